"""Fit the model of a card anew, and compare."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._containers import name_some
from .._validation import check_number
from ._card_check import Ordered, run_check
from ._card_data import canonical_order, describe_data, fingerprint, row_digests
from ._card_reports import read_versions
from ._card_spec import decode, encode, walk
from ._model_card import ModelCard, load_card
from ._out_of_fold import read_outcome


@dataclass(frozen=True, slots=True, repr=False)
class Reproduction:
    """What `reproduce` found, in words when printed or shown.

    Attributes
    ----------
    reproduced : bool
        Whether data, pipeline and all numbers are those of the card, within the tolerance.
    differences : tuple of str
        What differs: data, pipeline, numbers.
    notes : tuple of str
        What differs and need not matter: versions, the order of the rows.
    numbers : DataFrame
        ``recorded``, ``found``, ``difference`` and ``agrees``, indexed by the number's name.
    versions : DataFrame
        ``recorded`` and ``now``, indexed by package.
    pipeline : estimator
        Fitted to all rows of the data given.
    """

    reproduced: bool
    differences: tuple
    notes: tuple
    numbers: pd.DataFrame
    versions: pd.DataFrame
    pipeline: object

    def __repr__(self):
        return str(self)  # what a notebook shows

    def __str__(self):
        agree = f"{int(self.numbers['agrees'].sum())} of {len(self.numbers)} numbers agree"
        head = f"Reproduced: {agree}." if self.reproduced else f"Not reproduced: {agree}."
        return "\n".join(
            [
                head,
                *(f"\nDIFFERENCE {i}. {text}" for i, text in enumerate(self.differences, 1)),
                *(f"\nNote. {text}" for text in self.notes),
            ]
        )


def reproduce(card, X, y, *, pipeline=None, tolerance=1e-6, n_jobs=None):
    """Fit the model of a card anew from what the card records, and compare.

    The pipeline is built from the card: public estimators of geneexpr and scikit-learn with
    the recorded parameters, nothing else. It is fitted to the same folds and to all data, and
    its scores and predictions are compared with the recorded ones. Whether the data are the
    same is told by hashes of values, outcome, genes and annotations. The rows may come in
    another order, and samples under other names; the genes may not.

    Parameters
    ----------
    card : ModelCard, str or path-like
        A card that was written with X and y, or the path of its JSON or folder.
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        The data of the card.
    y : array-like of shape (n_samples,)
    pipeline : estimator, optional
        The pipeline, where the card cannot hold it (steps of your own, large parameters). It
        is compared with what the card records of it.
    tolerance : float, default=1e-6
        Largest difference of two numbers that agree, relative to the recorded one where that
        is above 1. Other versions, processors and numbers of threads change the last digits;
        networks change more.
    n_jobs : int, optional
        Folds that are fitted at a time.

    Returns
    -------
    Reproduction

    Raises
    ------
    UntrustedCardError
        If the card names a class or function that is not among the public ones.
    ValueError
        If the card holds no numbers to compare with, or no whole pipeline.

    See Also
    --------
    model_card : Write a card.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from geneexpr import CPMNormalizer, LogTransformer, ToArray
    >>> from geneexpr import make_cohort, model_card, reproduce
    >>> cohort = make_cohort(60, 50, n_batches=2, effect_size=3, random_state=0)
    >>> y = cohort.obs["condition"].to_numpy()
    >>> model = make_pipeline(
    ...     CPMNormalizer(), LogTransformer(), ToArray(), LogisticRegression(max_iter=5000)
    ... )
    >>> card = model_card(model, X=cohort, y=y)
    >>> print(reproduce(card, cohort[::-1], y[::-1]))
    Reproduced: 24 of 24 numbers agree.
    """
    check_number("tolerance", tolerance, least=0)
    record = (card if isinstance(card, ModelCard) else load_card(card)).record
    recorded = record["check"]
    if recorded is None:
        raise ValueError(
            "The card holds no numbers to compare with: it was written without X and y, or with "
            "n_splits=None."
        )
    differences = []
    if pipeline is None:
        pipeline = decode(record["pipeline"])
    else:
        differences += _other_pipeline(record["pipeline"], encode(pipeline))
    outcome = read_outcome(y, pipeline)
    digests = row_digests(X)
    if len(outcome.given) != len(digests):
        raise ValueError(f"y has {len(outcome.given)} labels for {len(digests)} samples.")
    differences += _other_data(record["data"], X, outcome, digests)
    data = Ordered.of(X, outcome, canonical_order(digests, outcome.given))
    found, fitted = run_check(
        pipeline,
        data,
        n_splits=max(2, recorded["n_splits"]),
        group_key=recorded["group_key"],
        n_jobs=n_jobs,
    )
    numbers = _compare(recorded, found, tolerance)
    differences += _other_numbers(numbers, tolerance)
    versions = _compare_versions(record)
    return Reproduction(
        not differences,
        tuple(differences),
        tuple(_notes(versions)),
        numbers,
        versions,
        fitted,
    )


# ------------------------------------------------------------------ the pipeline


def _other_pipeline(recorded, given):
    """Name the parameters in which a pipeline is not the recorded one."""
    theirs, ours = (dict(_leaves(spec)) for spec in (recorded, given))
    places = [path for path in {**theirs, **ours} if theirs.get(path) != ours.get(path)]
    if places:
        yield f"The pipeline is not that of the card: {name_some(places)} differ."


def _leaves(spec):
    for path, node in walk(spec):
        if isinstance(node, dict) and node.get("kind") == "object":
            yield path or "the model", node["class"]
        elif not isinstance(node, list):
            yield path, node


# ------------------------------------------------------------------ the data


def _other_data(recorded, X, outcome, digests):
    """Say what of the data differs."""
    now = describe_data(X, outcome.given, outcome)
    now["fingerprint"] = fingerprint(X, outcome.given, digests)
    sizes = [(part["n_samples"], part["n_genes"]) for part in (recorded, now)]
    if sizes[0] != sizes[1]:
        yield (
            f"The card is of {sizes[0][0]} samples and {sizes[0][1]} genes, the data given have "
            f"{sizes[1][0]} samples and {sizes[1][1]} genes."
        )
    theirs, ours = recorded["fingerprint"], now["fingerprint"]
    if theirs["genes"] != ours["genes"]:
        same = theirs["genes_sorted"] == ours["genes_sorted"]
        yield (
            "The genes are the same but in another order: bring them into the order of the "
            "card's data."
            if same
            else "The genes have other names."
        )
    if theirs["values"] != ours["values"]:
        yield "The values of X are not those of the card."
    elif theirs["outcome"] != ours["outcome"]:
        yield f"The outcome y is not that of the card.{_counted(recorded, now)}"
    if theirs["values"] == ours["values"]:
        yield from _other_annotations(theirs["samples"], ours["samples"], "samples")
    if theirs["genes_sorted"] == ours["genes_sorted"]:
        part = "gene_annotations"
        yield from _other_annotations(theirs[part], ours[part], "genes")


def _counted(recorded, now):
    counts = [part["outcome"].get("counts") for part in (recorded, now)]
    if None in counts or counts[0] == counts[1]:
        return ""
    said = [", ".join(f"{n} {name}" for name, n in part) for part in counts]
    return f" Recorded: {said[0]}; given: {said[1]}."


def _other_annotations(theirs, ours, what):
    missing = [name for name in theirs if name not in ours]
    other = [name for name in theirs if name in ours and theirs[name] != ours[name]]
    if missing:
        yield f"The {what} lack the annotation {name_some(missing)} of the card."
    if other:
        yield f"The {what} have other values of the annotation {name_some(other)}."


# ------------------------------------------------------------------ the numbers


def _compare(recorded, found, tolerance):
    theirs, ours = _flat(recorded), _flat(found)
    rows = {}
    for name in {**theirs, **ours}:
        a, b = theirs.get(name), ours.get(name)
        gap = np.nan if a is None or b is None else abs(a - b)
        rows[name] = (_float(a), _float(b), gap, _close(a, b, tolerance))
    columns = ["recorded", "found", "difference", "agrees"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return frame.rename_axis("number").astype({"agrees": bool})


def _close(recorded, found, tolerance):
    if recorded is None or found is None:
        return recorded is found
    return abs(recorded - found) <= tolerance * max(1.0, abs(recorded))


def _float(number):
    return np.nan if number is None else float(number)


def _flat(check):
    scores = {
        f"{metric}, fold {i}": score
        for metric, folds in check["scores"].items()
        for i, score in enumerate(folds, 1)
    }
    summaries = {
        f"predictions of {name}, {what}": number
        for name, summary in check["predictions"].items()
        for what, number in summary.items()
    }
    return scores | summaries


def _other_numbers(numbers, tolerance):
    other = numbers[~numbers["agrees"]]
    if len(other):
        worst = other["difference"].fillna(np.inf).idxmax()
        row = other.loc[worst]
        yield (
            f"{len(other)} of {len(numbers)} numbers differ by more than {tolerance:g}, most "
            f"{worst}: {row['recorded']:.6g} recorded, {row['found']:.6g} found."
        )


def _compare_versions(record):
    now = read_versions(record["pipeline"])
    names = list({**record["versions"], **now})
    return pd.DataFrame(
        {
            "recorded": [record["versions"].get(name) for name in names],
            "now": [now.get(name) for name in names],
        },
        index=pd.Index(names, name="package"),
    )


def _notes(versions):
    other = versions[versions["recorded"] != versions["now"]]
    if len(other):
        said = [f"{name} {row['recorded']} (now {row['now']})" for name, row in other.iterrows()]
        yield f"The card was written with {', '.join(said)}."
