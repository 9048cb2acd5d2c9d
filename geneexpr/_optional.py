"""Optional imports that fail with the command that installs what is missing."""

from __future__ import annotations

import importlib
from types import ModuleType


def import_optional(name: str, *, extra: str, purpose: str = "This") -> ModuleType:
    """Import a module of an optional package, or say how to install it.

    Parameters
    ----------
    name : str
        Dotted name of the module, such as ``"dask.array"``.
    extra : str
        The extra of geneexpr that installs the package.
    purpose : str, default="This"
        What needs it, as the subject of the message.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    ImportError
        If the package is not installed, with the command that installs it. An import
        error from inside an installed package is passed on unchanged.

    Examples
    --------
    >>> import_optional("json", extra="disk").loads("1")
    1
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if (error.name or "").partition(".")[0] != package:
            raise
        raise ImportError(
            f"{purpose} needs the package {package}; install it with: "
            f"pip install 'geneexpr[{extra}]'",
            name=package,
        ) from error
