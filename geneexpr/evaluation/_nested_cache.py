"""Folds that are done, kept as files so that an interrupted run goes on where it stopped.

A file is JSON: row numbers, scores, predictions, names of genes; no names of samples, and
nothing that runs when it is read.
"""

import hashlib
import json
import os
import pickle
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
from sklearn.base import clone

from .._containers import annotations, gene_names, is_anndata, values
from ._card_data import row_digests

FORMAT = 1
_PARTS = {
    "data": "X or its annotations",
    "outcome": "y or the groups",
    "search": "the estimator or its grid",
    "scoring": "scoring",
    "versions": "the version of geneexpr or scikit-learn",
    "rows": "the outer folds (outer, repeats, random_state)",
}
_NO_MATTER = ("n_jobs", "verbose", "pre_dispatch", "memory", "device")
"""Parameters that change how a model is computed, not what comes out."""


def fingerprints(search, X, outcome, groups, scoring):
    """Return hashes by which a later run knows the results of this one.

    Parameters
    ----------
    search : estimator
    X : container
    outcome : Outcome
    groups : array of shape (n_samples,), or None
    scoring : object

    Returns
    -------
    dict of str
        One for each thing that the result depends on, so that an error can name it.
    """
    return {
        "data": _hash_data(X),
        "outcome": joblib.hash((_plain(outcome.given), _plain(groups))),
        "search": _hash_search(search),
        "scoring": _hashed(scoring, "scoring"),
        "versions": f"{version('geneexpr')} {version('scikit-learn')}",
    }


def _hash_data(X):
    digest = hashlib.sha256(b"".join(row_digests(X)))
    if is_anndata(X):
        for key in sorted(X.layers):
            digest.update(key.encode() + b"".join(row_digests(values(X, layer=key))))
    names = gene_names(X)
    digest.update(b"" if names is None else "\n".join(names).encode())
    for table in annotations(X):
        for column in table.columns:
            digest.update(joblib.hash((str(column), _plain(table[column]))).encode())
    return digest.hexdigest()


def _plain(labels):
    """Return labels as text: the same in every process, whatever their type."""
    return None if labels is None else [str(label) for label in np.asarray(labels).tolist()]


def _hash_search(search):
    settled = clone(search)
    names = settled.get_params(deep=True)
    settled.set_params(**{name: None for name in names if name.split("__")[-1] in _NO_MATTER})
    return _hashed(settled, type(search).__name__)


def _hashed(value, name):
    try:
        return joblib.hash(value)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"cache= has to know {name} again, and something in it cannot be identified ({error}). "
            "Functions must be defined in a module, by name (no lambda)."
        ) from error


class FoldCache:
    """Records of folds in a folder, one JSON file a fold.

    Parameters
    ----------
    folder : path-like or None
        None keeps nothing.
    prints : dict of str
        Of `fingerprints`.
    """

    def __init__(self, folder, prints):
        self.folder = None if folder is None else Path(folder)
        self.prints = prints
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)

    def read(self, fold):
        """Return the record of a fold, or None where it is still to be done."""
        if self.folder is None or not self._path(fold).exists():
            return None
        path = self._path(fold)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            found, record = kept["fingerprints"], kept["record"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path} is no record of a fold ({type(error).__name__}); delete it, and the fold "
                "is done anew."
            ) from error
        self._compare(found, fold, path)
        return record

    def write(self, fold, record):
        """Keep the record of a fold; an interruption leaves no half of a file."""
        if self.folder is None:
            return
        path = self._path(fold)
        kept = {"format": FORMAT, "fingerprints": self._all(fold), "record": record}
        half = path.with_suffix(f".{os.getpid()}.part")
        half.write_text(json.dumps(kept), encoding="utf-8")
        half.replace(path)

    def _path(self, fold):
        return self.folder / f"repeat-{fold.repeat}-fold-{fold.number}.json"

    def _all(self, fold):
        return {**self.prints, "rows": joblib.hash((fold.train.tolist(), fold.test.tolist()))}

    def _compare(self, found, fold, path):
        other = [said for part, said in _PARTS.items() if found.get(part) != self._all(fold)[part]]
        if other:
            raise ValueError(
                f"The cache {str(self.folder)!r} holds another run: {' and '.join(other)} "
                f"differ from those of {path.name}. Give another folder, or delete this one to "
                "start anew."
            )
