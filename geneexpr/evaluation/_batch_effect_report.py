"""All measures of a batch effect in one object that reads well."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ._batch_auc import auc_table
from ._kbet import kbet_table
from ._lisi import lisi_table
from ._pvca import pvca_table
from ._samples import read_samples
from ._silhouette import silhouette_table, silhouette_widths
from ._variance_partition import total_shares, variance_partition

_N_COMPONENTS = 20
_ALPHA = 0.05
_COLUMNS = ["value", "no_batch_effect", "batches_apart"]


@dataclass(frozen=True, slots=True, repr=False)
class BatchEffectReport:
    """What `batch_effect_report` found, in words when printed or shown.

    Attributes
    ----------
    measures : DataFrame
        Indexed by measure: ``value``, ``no_batch_effect``, what to expect of data without one,
        and ``batches_apart``, the value where batches do not overlap (NaN for what measures
        the class).
    genes : DataFrame
        Of `variance_partition`: shares of variance of every gene.
    components : DataFrame
        Of `pvca`: shares of variance of the principal components.
    batches : DataFrame
        Of `batch_auc`: how well each batch is told from the rest.
    points : DataFrame
        The samples on the first two principal components, with ``batch`` and ``condition``.
    """

    measures: pd.DataFrame
    genes: pd.DataFrame
    components: pd.DataFrame
    batches: pd.DataFrame
    points: pd.DataFrame

    def compare(self, after):
        """Put the measures beside those of another report, such as one after correction.

        Parameters
        ----------
        after : BatchEffectReport

        Returns
        -------
        DataFrame
            Indexed by measure: ``before``, ``after``, ``no_batch_effect``.
        """
        columns = {
            "before": self.measures["value"],
            "after": after.measures["value"],
            "no_batch_effect": after.measures["no_batch_effect"],
        }
        return pd.DataFrame(columns).reindex(self.measures.index)

    def __repr__(self):
        return str(self)  # what a notebook shows

    def __str__(self):
        sizes = ", ".join(f"{name} ({n})" for name, n in self.batches["n_samples"].items())
        table = self.measures.rename(columns=lambda name: name.replace("_", " ")).rename_axis(None)
        lines = table.to_string(float_format=lambda v: f"{v:.2f}", na_rep="").splitlines()
        return "\n".join([f"Batches: {sizes}", *lines, "", self._in_words()])

    def _in_words(self):
        value = self.measures["value"]
        auc, most = value["batch AUC"], self.batches["auc"]
        if np.isnan(auc):
            said = "The batches share no class, so nothing tells their effect from the class."
        elif auc > 0.75:
            said = (
                f"The batches are plainly visible: a classifier tells them apart (AUC {auc:.2f})."
            )
        elif auc > 0.6:
            said = (
                f"Something of the batches is left: AUC {auc:.2f}, the highest for "
                f"{most.idxmax()} ({most.max():.2f})."
            )
        else:
            said = f"A linear classifier does not tell the batches apart (AUC {auc:.2f})."
            if auc < 0.45:
                said += " It is below 0.5 since the batches were centred on these very samples."
        share = value.get("variance by class alone")
        if share is not None:
            by_batch = value["variance by batch alone"]
            said += f" Batch explains {by_batch:.0%} of the variance, class {share:.0%}."
        return said


def batch_effect_report(
    X, *, batch_key=None, batch=None, condition=None, max_samples=5000, random_state=0
):
    """Measure a batch effect by all measures there are, for example before and after correction.

    The report gathers `variance_partition`, `pvca`, `batch_silhouette`, `kbet`, `lisi` and
    `batch_auc`, all with their defaults and on the same principal components. With
    ``condition``, silhouette, kBET, LISI and AUC compare samples of the same class only, so
    that a batch of another class mix is not taken for a batch effect; and the report says how
    much of the data the class explains, since a correction that also removes the class is
    none.

    Parameters
    ----------
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        Expression on a log scale, without missing values.
    batch_key : str, optional
        The annotation of X that names the batch.
    batch : array-like of shape (n_samples,), optional
        The batches, for arrays.
    condition : str or array-like of shape (n_samples,), optional
        The biological grouping of interest: an annotation's name or the labels.
    max_samples : int, default=5000
        Of more samples, as many are drawn at random for all measures but the shares of
        variance of genes, which take all.
    random_state : int, default=0
        For that draw, the folds and the principal components of large data.

    Returns
    -------
    BatchEffectReport

    Examples
    --------
    >>> from geneexpr import CPMNormalizer, ComBatCorrector, LogTransformer
    >>> from geneexpr import batch_effect_report, make_cohort
    >>> cohort = make_cohort(90, 300, n_batches=3, random_state=0)
    >>> X = LogTransformer().fit_transform(CPMNormalizer().fit_transform(cohort))
    >>> before = batch_effect_report(X, batch_key="batch", condition="condition")
    >>> corrected = ComBatCorrector(batch_key="batch").fit_transform(X)
    >>> after = batch_effect_report(corrected, batch_key="batch", condition="condition")
    >>> before.compare(after).loc["variance by batch alone"].round(1)
    before             0.2
    after              0.0
    no_batch_effect    0.0
    Name: variance by batch alone, dtype: float64
    """
    labels = {"batch_key": batch_key, "batch": batch, "condition": condition}
    genes = variance_partition(X, **labels)
    samples = read_samples(
        X, **labels, n_components=50, max_samples=max_samples, random_state=random_state
    )
    components = pvca_table(samples)
    batches = auc_table(samples, n_components=_N_COMPONENTS, random_state=random_state)
    rows = [
        *_variance_rows(genes, components, samples),
        *_neighbour_rows(samples),
        ("batch AUC", batches["auc"].mean(), 0.5, 1.0),
    ]
    if samples.condition is not None:
        widths = silhouette_widths(samples.first(_N_COMPONENTS), samples.condition.codes)
        rows.append(("class silhouette", widths.mean(), np.nan, np.nan))
    measures = pd.DataFrame(rows, columns=["measure", *_COLUMNS])
    return BatchEffectReport(
        measures.set_index("measure"), genes, components, batches, _points(samples)
    )


def _variance_rows(genes, components, samples):
    shares, total = total_shares(genes), components.loc["total"]
    n_samples, n_batches = len(samples.points), len(samples.batch.levels)
    chance = (n_batches - 1) / (n_samples - 1)
    only = "variance by batch alone"
    yield only, shares["batch"], chance, 1.0
    if "condition" in shares:
        yield "variance by class alone", shares["condition"], np.nan, np.nan
    yield "PVCA, batch", total["batch"], 0.0, 1.0
    if "condition" in total:
        yield "PVCA, class", total["condition"], np.nan, np.nan


def _neighbour_rows(samples):
    widths = silhouette_table(samples, _N_COMPONENTS)["silhouette"]
    yield "batch silhouette", widths.mean(), 0.0, 1.0
    rejected = kbet_table(samples, alpha=_ALPHA, n_components=_N_COMPONENTS)["rejected"]
    yield "kBET rejection rate", rejected.mean(), _ALPHA, 1.0
    around = lisi_table(samples, n_components=_N_COMPONENTS)
    yield "mean LISI", around["lisi"].mean(), around["expected"].mean(), 1.0


def _points(samples):
    points = samples.first(2)
    columns = {f"component {i + 1}": values for i, values in enumerate(points.T)}
    table = pd.DataFrame(columns, index=samples.names)
    table["batch"] = np.asarray(samples.batch.levels, dtype=object)[samples.batch.codes]
    if samples.condition is not None:
        levels = np.asarray(samples.condition.levels, dtype=object)
        table["condition"] = levels[samples.condition.codes]
    table.attrs["explained"] = samples.explained[:2].tolist()
    return table
