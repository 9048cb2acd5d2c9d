"""RMA: probes of Affymetrix arrays to expression, with frozen quantiles and probe effects."""

import warnings

import numpy as np
import pandas as pd

from .._base import GeneTransformer
from .._blocks import row_blocks
from .._containers import gene_annotation, name_some
from .._validation import ScaleWarning, warn_logged
from ..stats._probe_summaries import (
    background_of,
    median_polish,
    sets_by_size,
    without_background,
)
from ..stats._quantiles import quantile_sums, target_of, to_target


def probe_set_codes(estimator, X, source):
    """Return the probe set of each probe, as a code, and the names of the sets.

    Parameters
    ----------
    estimator : estimator
        Holds the probes seen in ``fit``.
    X : container
    source : str, mapping, Series, array-like or None
        A column of ``AnnData.var``, or names of sets indexed by probe; an array goes by
        position, for X without names only. None makes each probe a set of its own.

    Returns
    -------
    codes : array of int of shape (n_probes,)
    names : array of str of shape (n_sets,), or None
        In the order in which they come first.
    """
    n, probes = estimator.n_features_in_, getattr(estimator, "feature_names_in_", None)
    if source is None:
        return np.arange(n), None
    if isinstance(source, str):
        labels = pd.Series(gene_annotation(X, source))
    elif isinstance(source, pd.Series) or hasattr(source, "keys"):
        labels = _by_probe(pd.Series(source), probes)
    elif probes is not None:
        raise ValueError(
            "probe_sets must be taken by name, since X has probe names: pass a Series indexed by "
            f"probe (or the name of a column of AnnData.var), got {type(source).__name__}."
        )
    else:
        labels = pd.Series(np.asarray(source))
    if len(labels) != n:
        raise ValueError(f"probe_sets must name one set a probe: got {len(labels)} for {n} probes.")
    codes, names = pd.factorize(labels)
    if (codes < 0).any():
        lost = (np.arange(n) if probes is None else probes)[codes < 0]
        raise ValueError(
            f"probe_sets name no set for {len(lost)} of {n} probes: {name_some(lost)}. Drop these "
            "probes by name, or complete the sets."
        )
    return codes, np.asarray([str(name) for name in names], dtype=object)


def _by_probe(series, probes):
    if probes is None:
        raise ValueError(
            "probe_sets are indexed by probe, but X has no probe names. Give X as a DataFrame or "
            "an AnnData, or probe_sets as an array in the order of the columns."
        )
    series.index = series.index.astype(str)
    if not series.index.is_unique:
        twice = series.index[series.index.duplicated()].unique()
        raise ValueError(f"probe_sets name {name_some(twice)} more than once.")
    unknown = series.index.difference(probes)
    if len(unknown):
        raise ValueError(
            f"probe_sets name {len(unknown)} probes that X does not have: {name_some(unknown)}. "
            "probe_sets maps every probe of this array to its set: drop those of another array."
        )
    return series.reindex(probes)


def corrected(block, name):
    """Take the background off every array; one that shows none stays as it is, with a warning."""
    result = np.empty(block.shape)
    without = []
    for i, row in enumerate(block):
        found = background_of(row)
        if found is None:
            without.append(i)
        result[i] = row if found is None else without_background(row, *found)
    if without:
        warnings.warn(
            f"{name} can estimate no background for {len(without)} of {len(block)} arrays (row "
            f"{name_some(without)}), whose intensities have no two values on each side of their "
            "mode; these stay uncorrected. RMA expects thousands of probes, not logged.",
            ScaleWarning,
            stacklevel=4,
        )
    return result


class RMANormalizer(GeneTransformer):
    """Background, quantiles and median polish of Affymetrix probes, frozen for new arrays.

    The robust multi-array average of affy. `fit` stores the mean distribution and the effect
    of each probe; a new array is corrected for its own background, brought to that
    distribution, relieved of the probe effects and summarised by the median of each probe set,
    as frozen RMA does. The training arrays go the same way, so that they are on one scale with
    new ones; the values of ``affy::rma``, which fit all arrays at once, are in
    ``training_values_``.

    Row-independent; the result is dense, log2, and has probe sets as columns. ``fit`` holds
    the training arrays in memory (the median polish needs all).

    Parameters
    ----------
    probe_sets : str, mapping, Series, array-like or None
        The probe set of each probe, by name: a column of ``AnnData.var``, or a mapping or
        Series indexed by probe. For X without names: an array in the order of the columns.
        None makes each probe a set of its own.
    background : bool, default=True
        Correct for background.
    normalize : bool, default=True
        Bring arrays to the mean distribution.

    Attributes
    ----------
    target_ : array of shape (n_probes,), or None
        Mean distribution of the background-corrected training arrays, ascending; with
        ``normalize`` only.
    probe_effects_ : array of shape (n_probes,)
        log2 effects of the probes, with median 0 in each set.
    probe_set_codes_ : array of int of shape (n_probes,)
        The column of the result that each probe belongs to.
    probe_set_names_ : array of shape (n_sets,), or None
        Names of the columns; None where each probe is a set.
    training_values_ : array of shape (n_samples, n_sets)
        Values of the training arrays by the joint median polish. Not kept in model files.
    n_features_in_ : int
        Number of probes seen in `fit`.
    feature_names_in_ : array of shape (n_probes,)
        Their names, if they have names.

    Raises
    ------
    ValueError
        For negative intensities, probes without a set, sets of unknown probes, and
        intensities of zero that neither background nor quantiles make positive.

    Warns
    -----
    ScaleWarning
        For an array too small or too uniform to show a background.

    References
    ----------
    .. [1] Irizarry et al. (2003), "Exploration, normalization, and summaries of high density
       oligonucleotide array probe level data", doi:10.1093/biostatistics/4.2.249.
    .. [2] McCall, Bolstad, Irizarry (2010), "Frozen robust multiarray analysis (fRMA)",
       doi:10.1093/biostatistics/kxp059.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import RMANormalizer
    >>> probes = np.array([[32.0, 64.0, 8.0], [64.0, 128.0, 16.0]])
    >>> model = RMANormalizer(["a", "a", "b"], background=False, normalize=False).fit(probes)
    >>> model.transform(probes * 2)
    array([[6.5, 4. ],
           [7.5, 5. ]])
    """

    def __init__(self, probe_sets, *, background=True, normalize=True):
        self.probe_sets = probe_sets
        self.background = background
        self.normalize = normalize

    def fit(self, X, y=None):
        """Learn the distribution and the probe effects.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_probes)
            Perfect-match intensities, not logged.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        warn_logged(X, type(self).__name__)
        matrix = self._check(X, reset=True)
        self.probe_set_codes_, self.probe_set_names_ = probe_set_codes(self, X, self.probe_sets)
        clean = np.concatenate([self._cleaned(block) for _, _, block in row_blocks(matrix)])
        self.target_ = target_of(quantile_sums(clean)) if self.normalize else None
        logged = self._logged(clean)
        self.probe_effects_ = np.empty(logged.shape[1])
        self.training_values_ = np.empty((len(logged), self._n_sets()))
        for sets, probes in sets_by_size(self.probe_set_codes_):
            effects, values = median_polish(logged[:, probes].transpose(1, 2, 0))
            self.probe_effects_[probes] = effects
            self.training_values_[:, sets] = values.T
        return self

    def transform(self, X):
        """Summarise every array, each on its own.

        Parameters
        ----------
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_probes)
            Perfect-match intensities, not logged.

        Returns
        -------
        container like X, of shape (n_samples, n_sets)
            log2 expression of the probe sets.
        """
        matrix = self._check(X)
        return self._map(
            X,
            matrix,
            self._summarised,
            genes=self.probe_set_names_,
            n_columns=self._n_sets(),
            sparse=False,
        )

    def get_feature_names_out(self, input_features=None):
        """Return the names of the probe sets.

        Parameters
        ----------
        input_features : array-like of str, optional
            Names of the probes, where each probe is a set.

        Returns
        -------
        array of shape (n_sets,)
        """
        names = getattr(self, "probe_set_names_", None)
        return super().get_feature_names_out(input_features) if names is None else names

    def _n_sets(self):
        return int(self.probe_set_codes_.max()) + 1

    def _cleaned(self, block):
        block = block.toarray() if hasattr(block, "tocsr") else block
        if block.min() < 0:
            raise ValueError(
                f"Negative values in data passed to {type(self).__name__}: intensities were "
                f"expected, not logged, got {block.min():g} as lowest."
            )
        block = block.astype(np.float64)
        return corrected(block, type(self).__name__) if self.background else block

    def _logged(self, clean):
        values = clean if self.target_ is None else to_target(clean, self.target_)
        zero = np.flatnonzero((values <= 0).any(axis=1))
        if len(zero):
            raise ValueError(
                f"{type(self).__name__} cannot take the logarithm of intensities of 0, found in "
                f"{len(zero)} of {len(values)} arrays (row {name_some(zero)}). Drop these arrays, "
                "or correct for background."
            )
        return np.log2(values)

    def _summarised(self, block):
        values = self._logged(self._cleaned(block)) - self.probe_effects_
        result = np.empty((len(values), self._n_sets()), dtype=block.dtype)
        for sets, probes in sets_by_size(self.probe_set_codes_):
            result[:, sets] = np.median(values[:, probes], axis=2)
        return result

    def __getstate__(self):
        state = super().__getstate__()
        state.pop("training_values_", None)
        return state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.couples_genes = True
        return tags
