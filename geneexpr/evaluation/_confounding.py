"""Whether batch and covariates can be told apart."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import chi2_contingency, kruskal

from .._containers import annotation, name_some
from ..stats import dependent_columns
from ._samples import Grouping

_STRONG, _SOME = 0.5, 0.2


@dataclass(frozen=True, slots=True, repr=False)
class ConfoundingReport:
    """What `confounding_report` found, in words when printed or shown.

    Attributes
    ----------
    associations : DataFrame
        Indexed by covariate: ``kind`` (``"levels"`` or ``"number"``), ``association`` with the
        batch (0 none, 1 one determines the other) and ``estimable``, whether the effect can be
        told from that of the batch.
    tables : dict of str to DataFrame
        Of each covariate with levels: the number of samples in each batch.
    n_columns, rank : int
        Of the design matrix of intercept, batch and all covariates. With full rank all
        effects can be estimated side by side.
    not_estimable : tuple of str
        What cannot be told apart, one sentence each.
    """

    associations: pd.DataFrame
    tables: dict
    n_columns: int
    rank: int
    not_estimable: tuple

    @property
    def passed(self):
        """Whether all effects can be estimated beside that of the batch."""
        return not self.not_estimable

    def __repr__(self):
        return str(self)  # what a notebook shows

    def __str__(self):
        lines = [
            f"{name}: {_strength(row['association'])} association with the batch "
            f"({row['association']:.2f})"
            for name, row in self.associations.iterrows()
        ]
        if self.passed:
            lines.append(
                f"The design has full rank ({self.rank}): batch and covariates can be told apart."
            )
        else:
            lines.append(f"The design has rank {self.rank} for {self.n_columns} columns:")
            lines += [f"- {text}" for text in self.not_estimable]
        return "\n".join(lines)


def confounding_report(batch, covariates, *, data=None):
    r"""Say whether the effects of batch and covariates can be told apart.

    Run it before correcting anything: where a class was measured in one batch only, no method
    can tell the class from the batch.

    Parameters
    ----------
    batch : str or array-like of shape (n_samples,)
        Labels, or the name of an annotation of ``data``.
    covariates : str, sequence of str, mapping or DataFrame
        Names of annotations of ``data``, or labels and numbers by name. Numbers are taken as
        they are, everything else (and bool) as levels.
    data : AnnData or DataFrame, optional
        What carries the annotations: an AnnData, a DataFrame of expression with them in its
        row index, or a table of samples such as ``adata.obs``.

    Returns
    -------
    ConfoundingReport

    Raises
    ------
    ValueError
        For missing labels, labels of different length, fewer than two batches.

    Notes
    -----
    The association of levels with the batch is Cramér's V with Bergsma's correction for
    bias [1]_, which is near 0 without association also in small tables. That of a number is
    the correlation ratio with the batch, likewise corrected: the root of
    :math:`\varepsilon^2`, the adjusted share of variance between batches.

    References
    ----------
    .. [1] Bergsma (2013), "A bias-correction for Cramér's V and Tschuprow's T",
       doi:10.1016/j.jkss.2012.10.002.

    Examples
    --------
    >>> from geneexpr import confounding_report
    >>> report = confounding_report(
    ...     ["a", "a", "a", "b", "b", "b"],
    ...     {"state": ["case", "case", "case", "control", "control", "control"]},
    ... )
    >>> print(report)
    state: complete association with the batch (1.00)
    The design has rank 2 for 3 columns:
    - 'case' and 'control' of 'state' are never in the same batch, nor linked by batches ...
    """
    batches = _levels(_column(batch, data, "batch"), "batch")
    if len(batches.levels) < 2:
        raise ValueError(f"There is one batch only ({batches.levels[0]!r}): nothing is confounded.")
    columns = {name: _column(given, data, name) for name, given in _named(covariates, data)}
    rows, tables, said, designs = {}, {}, [], {}
    for name, column in columns.items():
        if len(column) != len(batches.codes):
            raise ValueError(f"{name!r} has {len(column)} values for {len(batches.codes)} samples.")
        numeric = column.dtype.kind in "iuf"
        if numeric:
            found, designs[name] = _of_number(name, column.astype(np.float64), batches)
            association = correlation_ratio(column.astype(np.float64), batches.codes)
        else:
            grouping = _levels(column, name)
            table = pd.crosstab(*(_text(g) for g in (grouping, batches)))
            tables[name] = table.rename_axis(index=name, columns="batch")
            found, designs[name] = _of_levels(name, grouping, batches)
            association = cramers_v(table.to_numpy())
        kind = "number" if numeric else "levels"
        rows[name] = {"kind": kind, "association": association, "estimable": not found}
        said += found
    n_columns, rank, together = _rank(batches, designs)
    if together and not said:
        said.append(together)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("covariate")
    return ConfoundingReport(table, tables, n_columns, rank, tuple(said))


def cramers_v(table):
    """Cramér's V of a table of counts, corrected for bias after Bergsma.

    Parameters
    ----------
    table : array of shape (n_rows, n_columns)
        Without empty rows or columns.

    Returns
    -------
    float
        From 0 to 1; 0 where there is one row or column only.

    Examples
    --------
    >>> round(cramers_v([[10, 0], [0, 10]]), 3)
    1.0
    >>> cramers_v([[5, 5], [5, 5]])
    0.0
    """
    table = np.asarray(table, np.float64)
    n_samples, (n_rows, n_columns) = table.sum(), table.shape
    if min(n_rows, n_columns) < 2 or n_samples < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n_samples
    squared = ((table - expected) ** 2 / expected).sum() / n_samples
    bias = (n_rows - 1) * (n_columns - 1) / (n_samples - 1)
    smaller = min(k - (k - 1) ** 2 / (n_samples - 1) for k in (n_rows, n_columns)) - 1
    return float(np.sqrt(max(0.0, squared - bias) / smaller)) if smaller > 0 else 0.0


def chance_of_link(values, codes, *, numeric):
    """Chance that values which do not depend on the batch are this unevenly spread over it.

    Parameters
    ----------
    values : array of shape (n_samples,)
        Codes of classes, or numbers.
    codes : array of int of shape (n_samples,)
        The batches.
    numeric : bool
        Numbers are compared by the test of Kruskal and Wallis, classes by Pearson's test.

    Returns
    -------
    float

    Examples
    --------
    >>> batch = [0, 0, 0, 0, 1, 1, 1, 1]
    >>> chance_of_link([0, 1, 0, 1, 0, 1, 0, 1], batch, numeric=False)
    1.0
    >>> round(chance_of_link([0, 0, 0, 0, 1, 1, 1, 1], batch, numeric=False), 3)
    0.005
    """
    values, codes = np.asarray(values), np.asarray(codes)
    if not numeric:
        return float(chi2_contingency(pd.crosstab(values, codes), correction=False).pvalue)
    if np.ptp(values) == 0:
        return 1.0
    return float(kruskal(*(values[codes == code] for code in np.unique(codes))).pvalue)


def correlation_ratio(values, codes):
    """Root of the share of variance between groups, adjusted for chance.

    Parameters
    ----------
    values : array of shape (n_samples,)
    codes : array of int of shape (n_samples,)

    Returns
    -------
    float
        From 0 to 1.

    Examples
    --------
    >>> correlation_ratio(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    1.0
    """
    n_samples, n_groups = len(values), len(np.unique(codes))
    total = ((values - values.mean()) ** 2).sum()
    if total == 0 or n_samples <= n_groups:
        return 0.0
    means = np.bincount(codes, values) / np.maximum(np.bincount(codes), 1)
    within = ((values - means[codes]) ** 2).sum() / (n_samples - n_groups)
    return float(np.sqrt(np.clip(1 - within * (n_samples - 1) / total, 0, 1)))


def _named(covariates, data):
    if isinstance(covariates, str):
        covariates = [covariates]
    if hasattr(covariates, "keys"):
        return [(str(key), covariates[key]) for key in covariates.keys()]  # noqa: SIM118
    if data is None:
        raise ValueError(
            "Covariates given by name need data=, which carries them; without it pass a mapping "
            "of names to labels, or a DataFrame."
        )
    return [(name, name) for name in covariates]


def _column(given, data, name):
    """Return labels, or the annotation or column of the data that they name."""
    if isinstance(given, str):
        if data is None:
            raise ValueError(f"{given!r} names an annotation, but data= is missing.")
        table = isinstance(data, pd.DataFrame) and given in data.columns
        given = data[given] if table else annotation(data, given)
    missing = np.flatnonzero(pd.isna(given))
    if len(missing):
        raise ValueError(
            f"{name!r} is missing for {len(missing)} of {len(given)} samples: row "
            f"{name_some(missing)}. Fill it in or drop these samples."
        )
    return np.asarray(given)


def _levels(column, name):
    codes, levels = pd.factorize(column.astype(str), sort=True)
    return Grouping(codes, [str(level) for level in levels])


def _text(grouping):
    return np.asarray(grouping.levels, dtype=object)[grouping.codes]


def _of_levels(name, grouping, batches):
    """Say which levels no batch links, and return the columns of the design."""
    n_levels, n_batches = len(grouping.levels), len(batches.levels)
    size = n_levels + n_batches
    links = coo_array(
        (np.ones(len(batches.codes)), (grouping.codes, n_levels + batches.codes)), (size, size)
    )
    n_groups, group = connected_components(links, directed=False)
    said = []
    if n_levels < 2:
        said.append(f"{name!r} has one level only ({grouping.levels[0]!r}): it has no effect.")
    elif n_groups > 1:
        sets = [np.flatnonzero(group[:n_levels] == g) for g in range(n_groups)]
        words = [" or ".join(repr(grouping.levels[i]) for i in s[:4]) for s in sets]
        said.append(
            f"{' and '.join(words)} of {name!r} are never in the same batch, nor linked by "
            "batches that share other levels with both: their difference cannot be told from "
            "that of the batches."
        )
    return said, np.eye(n_levels)[grouping.codes][:, 1:]


def _of_number(name, values, batches):
    means = np.bincount(batches.codes, values) / np.bincount(batches.codes)
    left = np.linalg.norm(values - means[batches.codes])
    centred = values - values.mean()
    length = np.linalg.norm(centred)
    said = []
    if length <= 1e-9 * np.linalg.norm(values):
        said.append(f"{name!r} has the same value in all samples: it has no effect.")
    elif left <= 1e-9 * length:
        said.append(
            f"{name!r} does not vary within any batch: its effect cannot be told from that of "
            "the batches."
        )
    return said, (centred / (length or 1.0))[:, None]


def _rank(batches, designs):
    """Return columns and rank of the design, and which covariate depends on those before."""
    parts = [np.eye(len(batches.levels))[batches.codes], *designs.values()]
    owners = [None] * len(batches.levels)
    for name, part in designs.items():
        owners += [name] * part.shape[1]
    dependent = dependent_columns(np.hstack(parts))
    guilty = [owner for owner, bad in zip(owners, dependent, strict=True) if bad]
    said = None
    if guilty:
        others = [name for name in designs if name != guilty[0]]
        said = (
            f"{guilty[0]!r} is determined by the batch and {name_some(others)} together: leave one "
            "of them out."
        )
    return len(dependent), int((~dependent).sum()), said


def _strength(association):
    if association > 0.99:
        return "complete"
    if association >= _STRONG:
        return "strong"
    return "some" if association >= _SOME else "little"
