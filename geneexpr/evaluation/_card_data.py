"""What a model card says of its data: sizes, counts and hashes, and nothing that names a sample."""

import hashlib
import json
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .._blocks import row_blocks
from .._containers import annotations, gene_names, name_some, sample_names, values

_FEW = 5
"""Samples a label on average below which labels tell who somebody is."""
_SHORT = 3
_SHORT_NUMBER = 5
"""Names shorter than this turn up in any text by chance."""
HIDDEN = "(sample)"


# ------------------------------------------------------------------ description


def describe_data(X, y, outcome):
    """Say how large the data are, what is known of the samples, and of the outcome.

    Parameters
    ----------
    X : container
    y : array of shape (n_samples,)
    outcome : Outcome

    Returns
    -------
    dict
        Plain values. Of annotations: names and numbers of levels, no level.
    """
    matrix = values(X)
    obs, var = annotations(X)
    return {
        "n_samples": int(matrix.shape[0]),
        "n_genes": int(matrix.shape[1]),
        "genes_are_named": gene_names(X) is not None,
        "container": type(X).__name__,
        "outcome": _describe_outcome(y, outcome),
        "annotations": [_describe_column(str(name), obs[name]) for name in _told(obs)],
        "gene_annotations": [str(name) for name in var.columns],
    }


def _describe_outcome(y, outcome):
    if outcome.classes is not None:
        counts = np.bincount(outcome.values)
        return {"kind": "classes", "counts": [[str(c), int(n)] for c, n in _pairs(outcome, counts)]}
    numbers = outcome.values
    return {
        "kind": "numbers",
        "mean": float(numbers.mean()),
        "standard_deviation": float(numbers.std()),
    }


def _pairs(outcome, counts):
    return zip(outcome.classes.tolist(), counts.tolist(), strict=True)


def _told(obs):
    """Return the annotations but for the level of an index that is the names of the samples."""
    return [name for i, name in enumerate(obs.columns) if i or not _is_name(obs, name)]


def _is_name(obs, name):
    return isinstance(obs.index, pd.RangeIndex) and obs[name].is_unique


def _describe_column(name, column):
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    levels = column.dropna().nunique()
    return {
        "name": name,
        "kind": "numbers" if numeric and levels > 10 else "labels",
        "n_levels": int(levels),
        "n_missing": int(column.isna().sum()),
    }


# ------------------------------------------------------------------ fingerprint


def row_digests(X):
    """Return a digest of the values of every row, the same for every container and order.

    Examples
    --------
    >>> a = np.array([[0.0, 1.5], [2.0, 0.0]])
    >>> row_digests(a) == row_digests(sp.csr_matrix(a)) == row_digests(a[::-1])[::-1]
    True
    """
    found = []
    for _, _, block in row_blocks(values(X)):
        found += _of_csr(block) if sp.issparse(block) else map(_of_row, np.asarray(block))
    return found


def _of_csr(block):
    block = block.tocsr(copy=True)
    block.sum_duplicates()
    ends = block.indptr
    return [
        _digest(block.indices[start:stop], block.data[start:stop]) for start, stop in pairwise(ends)
    ]


def _of_row(row):
    places = np.flatnonzero(row)
    return _digest(places, row[places])


def _digest(places, entries):
    """Digest the entries that are not zero and where they stand."""
    entries = entries.astype("<f8")
    there = entries != 0
    entries, places = entries[there], places[there].astype("<i8")
    entries[np.isnan(entries)] = np.nan  # one of its many bit patterns
    return hashlib.sha256(places.tobytes() + entries.tobytes()).digest()


def canonical_order(digests, y):
    """Return an order of the rows that depends on their content only."""
    keys = [digest + _text(label) for digest, label in zip(digests, y, strict=True)]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)


def fingerprint(X, y, digests):
    """Return hashes by which data are known again, whatever the order of the rows.

    Names of samples do not enter. Labels and annotations are hashed together with the values
    of their rows, so that none can be guessed from its hash without the data.

    Parameters
    ----------
    X : container
    y : array-like of shape (n_samples,)
    digests : list of bytes
        As `row_digests` returns them.

    Returns
    -------
    dict
        ``genes`` and ``genes_sorted`` (names, or their number), ``values``, ``outcome``,
        and a hash of each annotation of ``samples`` and of ``gene_annotations``.
    """
    obs, var = annotations(X)
    names = gene_names(X)
    genes = [str(values(X).shape[1])] if names is None else names.tolist()
    by_gene = [gene.encode() for gene in genes]
    return {
        "genes": _hash(by_gene),
        "genes_sorted": _hash(sorted(by_gene)),
        "values": _hash(sorted(digests)),
        "outcome": _joint(digests, y),
        "samples": {str(name): _joint(digests, obs[name]) for name in _told(obs)},
        "gene_annotations": {
            str(name): _joint(by_gene, var[name]) for name in var.columns if names is not None
        },
    }


def _joint(digests, labels):
    pairs = [digest + _text(label) for digest, label in zip(digests, labels, strict=True)]
    return _hash(sorted(pairs))


def _text(label):
    """Return a label as bytes; a whole number is the same in every numeric type."""
    if isinstance(label, bool | np.bool_):
        return str(bool(label)).encode()
    if isinstance(label, int | float | np.number):
        return repr(float(label)).encode()
    return str(label).encode()


def _hash(parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


# ------------------------------------------------------------------ nobody is named


class Identities:
    """The names that must not appear: of samples, and labels that few samples share.

    Parameters
    ----------
    X : container
    identifiers : iterable of str, optional
        The annotations whose labels tell who somebody is, such as a donor. By default those
        with fewer than five samples a label on average.
    spared : iterable of str
        Names that may appear: those of the classes.
    """

    def __init__(self, X, identifiers=None, spared=()):
        found = {str(name) for name in _of_samples(X)}
        obs, _ = annotations(X)
        for name in _chosen(obs, identifiers):
            found |= {str(label) for label in obs[name].dropna().unique()}
        names = sorted(name for name in found - {*spared} if _tells(name))
        self._by_word = {}
        for name in names:
            first = re.search(r"\w+|$", name).group()
            self._by_word.setdefault(first, []).append(name)

    def within(self, text):
        """Return the names that a text holds, each as a word or words of its own."""
        words = {"", *re.findall(r"\w+", text)}
        near = [name for word in words for name in self._by_word.get(word, ()) if name in text]
        found = (name for name in near if re.search(_alone(name), text))
        return sorted(found, key=lambda name: (-len(name), name))

    def hide(self, text):
        """Replace names in a text that somebody else has written."""
        for name in self.within(text):
            text = re.sub(_alone(name), HIDDEN, text)
        return text

    def refuse(self, record):
        """Raise where a record names somebody, and say in which part."""
        for path, text in _texts(record):
            if named := self.within(text):
                raise ValueError(
                    f"The card would name samples: {name_some(named)} in {path}. A card holds no "
                    "identifiers: reword it, or say with identifiers= which annotations tell who "
                    "somebody is."
                )


def _of_samples(X):
    """Return the names of the samples where each has one of its own."""
    names = sample_names(X)
    if names is None or isinstance(names, pd.RangeIndex) or not names.is_unique:
        return []
    return names


def _chosen(obs, identifiers):
    if identifiers is None:
        return [name for name in obs.columns if _names_people(obs[name])]
    missing = [name for name in identifiers if name not in obs]
    if missing:
        raise ValueError(
            f"identifiers names {name_some(missing)}, which X does not carry; it has "
            f"{name_some(obs.columns) or 'no annotations'}."
        )
    return list(identifiers)


def _names_people(column):
    if pd.api.types.is_float_dtype(column):
        return False
    return 0 < len(column) < _FEW * column.nunique()


def _alone(name):
    return rf"(?<!\w){re.escape(name)}(?!\w)"


def _tells(name):
    return len(name) >= (_SHORT_NUMBER if name.isdigit() else _SHORT)


def _texts(record, path="the card"):
    if isinstance(record, str):
        yield path, record
    elif isinstance(record, list):
        for item in record:
            yield from _texts(item, path)
    elif isinstance(record, dict):
        for key, item in record.items():
            inner = key if path == "the card" else f"{path}.{key}"
            yield inner, key
            yield from _texts(item, inner)


def as_json(record):
    """Write a record always in the same bytes."""
    return json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
