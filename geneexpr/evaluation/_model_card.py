"""Model cards: what a fitted pipeline is, what it was tested on, and what it was not."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from .._validation import check_number
from ._card_check import Ordered, run_check
from ._card_data import (
    Identities,
    as_json,
    canonical_order,
    describe_data,
    fingerprint,
    row_digests,
)
from ._card_html import to_fragment, to_page
from ._card_markdown import to_markdown
from ._card_reports import (
    read_explanation,
    read_leakage,
    read_performance,
    read_seeds,
    read_subgroups,
    read_versions,
    untested,
)
from ._card_sections import sections_of
from ._card_spec import encode
from ._out_of_fold import read_outcome

FORMAT = 1
_KIND = "geneexpr model card"
_PARTS = (
    *("kind", "format", "title", "date", "intended_use", "sources", "data", "outcome_key"),
    *("pipeline", "seeds", "versions", "performance", "subgroups", "leakage", "explanation"),
    *("limits", "not_tested", "check", "sha256"),
)


@dataclass(frozen=True, slots=True, repr=False)
class ModelCard:
    """What `model_card` wrote; a notebook shows it as a page.

    Attributes
    ----------
    record : dict
        Everything that the card says, as plain values; what the JSON holds.
    """

    record: dict

    @property
    def title(self):
        """The title of the card."""
        return self.record["title"]

    @property
    def not_tested(self):
        """What the card does not rest on, in sentences."""
        return tuple(self.record["not_tested"])

    def to_json(self):
        """Return the record as JSON, always in the same bytes.

        Returns
        -------
        str
        """
        return as_json(self.record) + "\n"

    def to_markdown(self):
        """Return the card as Markdown.

        Returns
        -------
        str
        """
        return to_markdown(self.title, self._subtitle(), sections_of(self.record))

    def to_html(self):
        """Return the card as one HTML page that loads nothing and runs nothing.

        Returns
        -------
        str
        """
        return to_page(self.title, self._repr_html_())

    def save(self, folder):
        """Write ``card.md``, ``card.html`` and ``card.json`` into a folder.

        Parameters
        ----------
        folder : str or path-like
            Made where it is not there; cards in it are replaced.

        Returns
        -------
        Path
            That of ``card.json``, which `load_card` and `reproduce` take.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {"md": self.to_markdown(), "html": self.to_html(), "json": self.to_json()}
        for ending, text in texts.items():
            (folder / f"card.{ending}").write_bytes(text.encode())
        return folder / "card.json"

    def _subtitle(self):
        date = self.record["date"]
        return f"Model card, geneexpr {self.record['versions'].get('geneexpr', '')}" + (
            f", {date}" if date else ""
        )

    def _repr_html_(self):
        return to_fragment(self.title, self._subtitle(), sections_of(self.record))

    def __repr__(self):
        return self.to_markdown()


def model_card(
    pipeline,
    evaluation=None,
    *,
    X=None,
    y=None,
    title="Model card",
    intended_use="",
    sources=(),
    date=None,
    subgroups=None,
    leakage=None,
    explanation=None,
    limits=(),
    seeds=None,
    outcome_key=None,
    group_key=None,
    identifiers=None,
    n_splits=5,
    n_jobs=None,
):
    """Write down what a model is, what it was tested on, and what it was not tested on.

    The card (Mitchell et al. 2019, doi 10.1145/3287560.3287596) holds the data (sizes,
    classes, annotations, sources), every step with every parameter, versions, seeds,
    performance overall and by subgroup, the leakage audit, the genes that count most, and
    limits. What was not tested is listed by itself. With ``X`` and ``y`` it also holds
    numbers to compare with: the pipeline is fitted to ``n_splits`` folds and to all data, so
    that `reproduce` can do the same later.

    No card names a sample. Names of samples, and labels that few samples share, are looked
    for in everything that is written, and refused. Without X they are not known, so look
    yourself whether a text or a table names somebody.

    Parameters
    ----------
    pipeline : classifier or regressor
        Usually a Pipeline, fitted or not. Not changed.
    evaluation : DataFrame, or object with ``summary()``, or dict of these, optional
        Performance: the result of `nested_cv`, a table of metrics with intervals, or several
        by name.
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes), optional
        The data that the pipeline is, or is to be, fitted to.
    y : array-like of shape (n_samples,), optional
        Classes or numbers. Needed with X.
    title, intended_use : str
    sources : str or sequence of str
        Where the data come from: accessions, references, licences.
    date : str or datetime.date, optional
        Written as it is given. Without it the card has no date, so that the same inputs give
        the same bytes.
    subgroups : SubgroupReport or list of these, optional
    leakage : LeakageAudit, optional
    explanation : Explanation or DataFrame, optional
        Its 20 top genes are shown.
    limits : str or sequence of str
        Limits that you know of.
    seeds : dict, optional
        Further seeds by name; those of the steps are found.
    outcome_key : str, optional
        The annotation that y is, which then is no subgroup to be tested.
    group_key : str, optional
        Annotation whose groups (donors) stay together in the folds.
    identifiers : sequence of str, optional
        The annotations whose labels tell who somebody is. By default those with fewer than
        five samples a label on average.
    n_splits : int or None, default=5
        Folds for the numbers to compare with; None records none, and fits nothing.
    n_jobs : int, optional
        Folds that are fitted at a time.

    Returns
    -------
    ModelCard

    Raises
    ------
    ValueError
        If the card would name samples; if X comes without y.

    See Also
    --------
    reproduce : Fit the model anew from the card and compare.
    load_card : Read a card.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from geneexpr import CPMNormalizer, LogTransformer, ToArray, make_cohort, model_card
    >>> cohort = make_cohort(60, 50, n_batches=2, effect_size=3, random_state=0)
    >>> model = make_pipeline(
    ...     CPMNormalizer(), LogTransformer(), ToArray(), LogisticRegression(max_iter=5000)
    ... )
    >>> card = model_card(model, X=cohort, y=cohort.obs["condition"], title="A simulation")
    >>> print(card.to_markdown()[:15])
    # A simulation
    >>> card.not_tested[0]
    'How well the model predicts samples that it has not seen.'
    """
    hide, data, check = str, None, None
    identities = None
    if (X is None) != (y is None):
        raise ValueError("X and y belong together: give both, or neither.")
    if X is not None:
        identities, data, check = _look_at(
            pipeline, X, y, identifiers, group_key=group_key, n_splits=n_splits, n_jobs=n_jobs
        )
        hide = identities.hide
    spec = encode(pipeline)
    record = {
        "kind": _KIND,
        "format": FORMAT,
        "title": str(title),
        "date": None if date is None else str(date),
        "intended_use": str(intended_use),
        "sources": _texts(sources),
        "data": data,
        "outcome_key": outcome_key,
        "pipeline": spec,
        "seeds": read_seeds(spec, seeds),
        "versions": read_versions(spec),
        "performance": read_performance(evaluation),
        "subgroups": read_subgroups(subgroups, hide),
        "leakage": read_leakage(leakage, hide),
        "explanation": read_explanation(explanation),
        "limits": _texts(limits),
        "check": check,
    }
    record["not_tested"] = untested(record)
    record = json.loads(as_json(record))
    if identities is not None:
        identities.refuse(record)
    return ModelCard(record | {"sha256": seal_of(record)})


def _look_at(pipeline, X, y, identifiers, *, group_key, n_splits, n_jobs):
    """Describe the data, and fit the pipeline to them for numbers to compare with."""
    outcome = read_outcome(y, pipeline)
    digests = row_digests(X)
    if len(outcome.given) != len(digests):
        raise ValueError(f"y has {len(outcome.given)} labels for {len(digests)} samples.")
    spared = () if outcome.classes is None else [str(c) for c in outcome.classes]
    identities = Identities(X, identifiers, spared)
    data = describe_data(X, outcome.given, outcome)
    data["fingerprint"] = fingerprint(X, outcome.given, digests)
    if n_splits is None:
        return identities, data, None
    check_number("n_splits", n_splits, least=2, whole=True)
    ordered = Ordered.of(X, outcome, canonical_order(digests, outcome.given))
    check, _ = run_check(pipeline, ordered, n_splits=n_splits, group_key=group_key, n_jobs=n_jobs)
    return identities, data, check


def _texts(given):
    return [given] if isinstance(given, str) else [str(text) for text in given]


def seal_of(record):
    """Return the hash of a record, by which a change is noticed."""
    kept = {name: part for name, part in record.items() if name != "sha256"}
    return hashlib.sha256(as_json(kept).encode()).hexdigest()


def load_card(path):
    """Read a model card; nothing in the file is run.

    Parameters
    ----------
    path : str or path-like
        A ``card.json``, or the folder that holds it.

    Returns
    -------
    ModelCard

    Raises
    ------
    ValueError
        If the file is no model card, was changed after it was written, or comes from a newer
        geneexpr. The check is a hash that the file holds itself: it finds accidents and
        edits by hand, it does not prove who wrote the card.

    See Also
    --------
    model_card : Write one; has an example.
    """
    path = Path(path)
    path = path / "card.json" if path.is_dir() else path
    name = os.fspath(path)
    try:
        record = json.loads(path.read_bytes(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no model card: it is not JSON ({error}).") from error
    if not isinstance(record, dict) or record.get("kind") != _KIND:
        raise ValueError(f"{name} is no model card of geneexpr.")
    if not isinstance(record.get("format"), int) or record["format"] > FORMAT:
        raise ValueError(
            f"{name} has the format {record.get('format')!r}; this geneexpr reads up to {FORMAT}. "
            "Update geneexpr."
        )
    if set(record) != set(_PARTS) or record["sha256"] != seal_of(record):
        raise ValueError(
            f"{name} was changed after it was written: its content does not match its hash. Get "
            "the card from where it came from, or write it anew."
        )
    return ModelCard(record)


def _no_constant(text):
    raise ValueError(f"{text} is no number of JSON")
