"""Fitted models as files that hold no code: save_model and load_model."""

from __future__ import annotations

import io
import json
import os
import platform
import uuid
import warnings
import zipfile
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from .._validation import ModelFileWarning
from ._requests import plain_requests, restore_requests
from ._reviewed import NEVER_TRUSTED, is_reviewed, public_path
from ._trees import secure_trees, walk

_FORMAT = 1
_ABOUT = "geneexpr.json"
_SCHEMA = "schema.json"
# The first protocol of skops that files of ours were written in: older ones check less.
_OLDEST_PROTOCOL = 2
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
_LOADERS = frozenset(
    {
        "DTypeNode",
        "DictNode",
        "FunctionNode",
        "JsonNode",
        "ListNode",
        "LossNode",
        "MaskedArrayNode",
        "NdArrayNode",
        "ObjectNode",
        "RandomGeneratorNode",
        "RandomStateNode",
        "SetNode",
        "SliceNode",
        "SparseMatrixNode",
        "TreeNode",
        "TupleNode",
        "TypeNode",
    }
)


class UntrustedModelError(TypeError):
    """A model file holds, or would hold, something that is not known to be safe."""


def save_model(model, path, *, trusted=(), compress=True):
    """Save a fitted model to a file that runs nothing when it is loaded.

    The file is a skops archive: arrays, numbers, text, and the names of classes. It can
    hold any estimator of geneexpr and of scikit-learn, alone or in a pipeline, a column
    transformer or a fitted search. Sample names are in no estimator's state; which rows
    of the training data some methods need is said in their docstrings. Callbacks and a
    pipeline's cache folder (``memory``) are not kept.

    Parameters
    ----------
    model : estimator
        A fitted estimator or pipeline.
    path : str or path-like
        The file to write, under exactly this name (``.skops`` is customary). It is
        replaced only once the new one is complete.
    trusted : iterable of str or type, default=()
        Types of your own that the model holds, such as ``"mypackage.MyTransformer"``;
        :func:`load_model` needs the same list.
    compress : bool, default=True
        Compress the file.

    Raises
    ------
    UntrustedModelError
        If the model holds something that :func:`load_model` would refuse: a function of
        your own, a random distribution of a fitted search (save ``best_estimator_``), a
        type that is not listed.

    See Also
    --------
    load_model : Read the file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from geneexpr import CPMNormalizer, load_model, save_model
    >>> from geneexpr.datasets import make_cohort
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> cohort = make_cohort(40, 30, random_state=0)
    >>> X, y = cohort.X, cohort.obs["condition"].to_numpy()
    >>> model = make_pipeline(CPMNormalizer(), LogisticRegression(max_iter=1000)).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, pathlib.Path(folder) / "model.skops")
    ...     loaded = load_model(pathlib.Path(folder) / "model.skops")
    >>> bool((loaded.predict(X) == model.predict(X)).all())
    True
    """
    import skops.io

    trusted = _own_types(trusted)
    _secure(model)
    try:
        with plain_requests(model):
            written = skops.io.dumps(model)
    except skops.io.exceptions.UnsupportedTypeException as error:
        raise UntrustedModelError(f"the model cannot be saved: {error}") from error
    data = _with_public_names(written, compress=compress)
    refused = sorted(_untrusted(data) - trusted)
    refused = [name for name in refused if not is_reviewed(name)]
    if refused:
        raise UntrustedModelError(
            f"the model cannot be saved, since load_model would refuse {', '.join(refused)}. "
            "List types of your own in trusted=, here and in load_model; of a fitted search, "
            "save best_estimator_"
        )
    _inspect(zipfile.ZipFile(io.BytesIO(data)), path)
    _replace(Path(path), data)


def load_model(path, *, trusted=()):
    """Load a model saved by :func:`save_model`; nothing in the file is run.

    Before anything is built, every type that the file names is looked up: plain values,
    arrays, the public estimators of geneexpr and scikit-learn, and a list of reviewed
    types of scikit-learn are allowed, all else is refused. Decision trees are checked to
    point only to what they have; neighbour trees are built anew from their points.

    Parameters
    ----------
    path : str or path-like
        The file.
    trusted : iterable of str or type, default=()
        Further types to allow, such as ``"mypackage.MyTransformer"``. Name only what you
        know: loading imports their modules. Types of torch, skorch and scipy.stats are never
        allowed.

    Returns
    -------
    estimator
        The model as it was saved.

    Raises
    ------
    UntrustedModelError
        If the file holds a type that is not allowed; the message names it.
    ValueError
        If the file is no model file, is damaged or was tampered with, or comes from a
        newer geneexpr.

    Warns
    -----
    ModelFileWarning
        If the file was written with another version of geneexpr or scikit-learn.

    See Also
    --------
    save_model : Write the file; has an example.
    """
    import skops.io
    from sklearn.exceptions import InconsistentVersionWarning

    trusted = _own_types(trusted)
    data = Path(path).read_bytes()
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise ValueError(f"{os.fspath(path)} is not a model file: {error}") from error
    about = _inspect(archive, path)
    with _no_loops(path):
        found = _untrusted(data)
    refused = [name for name in sorted(found - trusted) if not is_reviewed(name)]
    if refused:
        raise UntrustedModelError(
            f"{os.fspath(path)} was refused: it holds {', '.join(refused)}, which is not known to "
            "be safe. If it is a type of your own, list it in trusted=; if you do not know it, "
            "do not use the file"
        )
    _warn_versions(about, path)
    with warnings.catch_warnings(), _no_loops(path):
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        model = skops.io.loads(data, trusted=sorted(found))
    return _secure(model, loaded=True)


def _secure(model, *, loaded=False):
    """Check the trees inside a model; replace what a loaded one must not bring along."""
    secure_trees(model, rebuild=loaded)
    if loaded:
        restore_requests(model)
        for item in walk(model):
            if isinstance(vars(item).get("memory"), str):
                # A later fit would unpickle what lies in that folder.
                item.memory = None
    return model


@contextmanager
def _no_loops(path):
    try:
        yield
    except RecursionError as error:
        raise ValueError(f"{os.fspath(path)} is damaged: an object in it holds itself") from error


def _own_types(trusted):
    names = {f"{t.__module__}.{t.__qualname__}" if isinstance(t, type) else t for t in trusted}
    never = sorted(name for name in names if f"{name}.".startswith(NEVER_TRUSTED))
    if never:
        raise ValueError(
            f"{', '.join(never)} cannot be trusted: restoring a type of torch, skorch or "
            "scipy.stats can run code that the file holds"
        )
    return names


def _untrusted(data):
    import skops.io

    return set(skops.io.get_untrusted_types(data=data))


def _versions():
    packages = ("geneexpr", "scikit-learn", "numpy", "scipy")
    return {name: version(name) for name in packages} | {"python": platform.python_version()}


def _with_public_names(written, *, compress):
    """Name our classes by their public stage in the archive, and add what wrote it."""
    target = io.BytesIO()
    compression = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with (
        zipfile.ZipFile(io.BytesIO(written)) as source,
        zipfile.ZipFile(target, "w", compression=compression) as archive,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == _SCHEMA:
                schema = json.loads(content)
                for node in _nodes(schema):
                    node["__module__"] = public_path(node["__module__"], node["__class__"])
                content = json.dumps(schema)
            archive.writestr(name, content)
        archive.writestr(_ABOUT, json.dumps({"format": _FORMAT, "versions": _versions()}))
    return target.getvalue()


def _nodes(schema):
    """Yield every node of a schema, that is every dict that names a class."""
    pending = [schema]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if "__loader__" in item:
                yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _inspect(archive, path):
    """Check the form of an archive before any type is looked up; return what wrote it."""
    name = os.fspath(path)
    try:
        schema = json.loads(archive.read(_SCHEMA))
        about = json.loads(archive.read(_ABOUT))
        versions = {str(k): str(v) for k, v in about["versions"].items()}
        file_format, protocol = int(about["format"]), int(schema["protocol"])
    except (*_MALFORMED, zipfile.BadZipFile, RecursionError) as error:
        raise ValueError(f"{name} is not a model file of geneexpr, or it is damaged") from error
    if file_format > _FORMAT:
        raise ValueError(
            f"{name} has the format {file_format}, written by geneexpr "
            f"{versions.get('geneexpr')}; this geneexpr reads up to {_FORMAT}. Update geneexpr"
        )
    if protocol < _OLDEST_PROTOCOL:
        raise UntrustedModelError(
            f"{name} was refused: skops protocol {protocol} checks too little"
        )
    for node in _nodes(schema):
        loader = node["__loader__"]
        if loader not in _LOADERS:
            what = f"{node.get('__module__')}.{node.get('__class__')}"
            raise UntrustedModelError(
                f"{name} was refused: it wants to restore {what} by calling it ({loader})"
            )
        if loader == "TreeNode":
            _check_tree_arguments(archive, node, name)
    return versions


def _check_tree_arguments(archive, node, name):
    """Check the sizes that a tree is allocated with: it reads that many class counts."""
    import numpy as np

    try:
        n_features, n_classes, n_outputs = node["__reduce__"]["args"]["content"]
        sizes = np.load(io.BytesIO(archive.read(n_classes["file"])), allow_pickle=False)
        n_outputs, n_features = json.loads(n_outputs["content"]), json.loads(n_features["content"])
        sound = sizes.shape == (n_outputs,) and n_features > 0 and np.all(sizes > 0)
    except _MALFORMED as error:
        raise ValueError(f"{name} is damaged: a tree has no sizes") from error
    if not sound:
        raise ValueError(f"{name} is damaged or was tampered with: the sizes of a tree disagree")


def _warn_versions(saved, path):
    now = _versions()
    other = [
        f"{package} {saved.get(package, 'unknown')} (now {now[package]})"
        for package in ("geneexpr", "scikit-learn")
        if saved.get(package) != now[package]
    ]
    if other:
        warnings.warn(
            f"{os.fspath(path)} was saved with {' and '.join(other)}. Its predictions may differ: "
            "compare them on known samples, or save the model again",
            ModelFileWarning,
            stacklevel=3,
        )


def _replace(path, data):
    """Write a file under another name and move it into place."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(draft, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
