"""Optional imports: the message names the package, who wants it and the extra."""

import sys

import pytest

from geneexpr._optional import import_optional


def test_installed_module_is_returned():
    assert import_optional("json.decoder", extra="disk") is sys.modules["json.decoder"]


def test_missing_package_names_the_extra():
    with pytest.raises(ImportError) as caught:
        import_optional("absentpackage.array", extra="disk", purpose="open_zarr")
    assert str(caught.value) == (
        "open_zarr needs the package absentpackage; install it with: pip install 'geneexpr[disk]'"
    )
    assert caught.value.name == "absentpackage"


def test_missing_dependency_of_an_installed_package_is_passed_on(tmp_path, monkeypatch):
    (tmp_path / "halfinstalled.py").write_text("import absentdependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="absentdependency"):
        import_optional("halfinstalled", extra="disk")
