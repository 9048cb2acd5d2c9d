"""The structure: which module may import which, what is public, what an import costs."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import geneexpr

ROOT = Path(geneexpr.__file__).parent
PRIVATE = [
    "_optional",
    "_options",
    "_disk_rows",
    "_containers",
    "_blocks",
    "_warning_classes",
    "_validation",
    "_covariates",
    "_base",
    "_skorch_net",
    "_network",
]
"""Each may import those before it."""
BELOW = ["stats", "nets"]
ABOVE = {"plotting", "evaluation", "explanation"}
HEAVY = ["torch", "skorch", "shap", "numba", "anndata", "scanpy", "sklearn", "pandas"]
MODULES = sorted(ROOT.rglob("*.py"))


def imported(path):
    """Return the parts of geneexpr that a module imports, as paths of names from the root."""
    package = path.relative_to(ROOT).parts[:-1]
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)]
            module = tuple(node.module.split(".")) if node.module else ()
            found += [(*base, *module)] if module else [(*base, a.name) for a in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("geneexpr"):
            found.append(tuple(node.module.split(".")[1:]))
        elif isinstance(node, ast.Import):
            found += [tuple(a.name.split(".")[1:]) for a in node.names if a.name.startswith("gene")]
    return found


def place(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path):
    here = place(path)
    tops = {target[0] for target in imported(path) if target}
    if here in BELOW:
        assert tops <= {here}, "stats and nets import nothing else of geneexpr"
    elif here in PRIVATE:
        allowed = {*BELOW, *PRIVATE[: PRIVATE.index(here) + 1]}
        assert tops <= allowed
    elif here != "__init__":
        assert tops <= {*BELOW, *PRIVATE, here}, "stage folders never import each other"
        if here in ABOVE:
            assert tops <= {*PRIVATE, "stats", here}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_newcomer_can_read_every_module(path):
    assert path.read_text().count("\n") <= 450
    assert path.name != "utils.py"


def test_private_scikit_learn_has_one_home():
    for path in MODULES:
        if path.name == "_validation.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sklearn"):
                names = [*node.module.split("."), *(a.name for a in node.names)]
                assert not any(n.startswith("_") for n in names), f"{path.name}: {names}"


def test_container_types_have_one_home():
    verbs = {"obs", "obs_names", "var_names", "iloc", "obsm"}
    free = {"_containers.py", "datasets.py", "_zarr.py", "_cohort.py"}
    for path in MODULES:
        if path.name in free:
            continue
        used = {
            n.attr for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Attribute)
        }
        assert not used & verbs, f"{path.name} uses {used & verbs}"


def test_import_is_lazy():
    code = f"import geneexpr, sys; print([m for m in {HEAVY} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "stage", ["normalization", "selection", "batch_effects", "adapters", "evaluation"]
)
def test_a_stage_loads_no_network(stage):
    code = f"import geneexpr.{stage}, sys; print([m for m in {HEAVY[:6]} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", geneexpr.__all__)
def test_every_public_name_loads(name):
    thing = getattr(geneexpr, name)
    assert thing.__doc__
    assert thing.__name__.removeprefix("geneexpr.") == name


def test_stages_and_top_level_agree():
    """What a stage lists in __all__ is public at the top, and the other way round."""
    stages = {
        child.name if child.is_dir() else child.stem
        for child in ROOT.iterdir()
        if not child.name.startswith("_") and (child.is_dir() or child.suffix == ".py")
    } - {*BELOW, "base"}  # geneexpr.base is for those who write transformers of their own
    listed = set()
    for stage in sorted(stages):
        module = importlib.import_module(f"geneexpr.{stage}")
        listed |= set(module.__all__)
        for name in module.__all__:
            assert getattr(geneexpr, name) is getattr(module, name), f"{stage}.{name}"
    warnings = {name for name in geneexpr.__all__ if name.endswith("Warning")}
    assert set(geneexpr.__all__) == listed | warnings | stages | {"base"}


def test_the_stub_is_typed():
    assert (ROOT / "py.typed").exists()
    stub = ast.parse((ROOT / "__init__.pyi").read_text())
    for node in stub.body:
        for alias in getattr(node, "names", []):
            assert node.module is None or alias.asname == alias.name, "re-exported by `as`"
