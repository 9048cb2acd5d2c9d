"""The base of correctors that know one location of every gene in every batch."""

import warnings
from copy import deepcopy

import numpy as np
import scipy.sparse as sp

from .._containers import name_some
from .._validation import BatchWarning
from ..stats import regress_on_batches
from ._base import BatchCorrector
from ._labels import class_shares
from ._location_scale import LocationScale, standardised_class_means

_TILE_VALUES = 2**14


class LocationCorrector(BatchCorrector):
    """Base of the correctors without a scale; a subclass says how a location is taken off.

    Beside what `BatchCorrector` asks for, a subclass has ``_row_function(locations)`` and,
    unless locations are differences, ``_ratios = True``.
    """

    _covariates_in_transform = False
    _ratios = False
    """Whether effects multiply the location rather than add to it."""

    def _check_batches(self, n_rows):
        super()._check_batches(n_rows)
        alone = [b for b, n in zip(self.batches_, n_rows, strict=True) if n == 1]
        if alone and len(self.batches_) > 1:
            warnings.warn(
                f"{len(alone)} of {len(self.batches_)} batches have one sample only "
                f"({name_some(alone)}), which cannot be told from its batch: after correction "
                "nothing of its own is left. Join such a batch with one that it resembles, or "
                "leave it out.",
                BatchWarning,
                stacklevel=6,
            )

    def _solve(self, moments):
        regression = regress_on_batches(moments, drop_dependent=True)
        self.covariate_effects_ = regression.coefficients
        counts = moments.counts[:, None]
        means = (counts * moments.covariate_means).sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
        self.covariate_offset_ = (means * self.covariate_effects_).sum(axis=0)
        self.batch_location_ = regression.intercepts + self.covariate_offset_

    def _learn_classes(self, moments, p):
        one = np.ones_like(self.batch_location_)
        model = LocationScale(
            mean=-self.covariate_offset_,
            sd=one[0],
            slopes=self.covariate_effects_,
            location=0 * one if self._ratios else self.batch_location_,
            scale=self.batch_location_**2 if self._ratios else one,
            corrected=one[0] > 0,
        )
        self.class_means_, self.class_shares_ = standardised_class_means(model, moments, p)

    def _expected(self, class_proportions):
        """Return the corrected mean of a batch with this mix of classes."""
        if class_proportions is None:
            return None
        return class_shares(class_proportions, self.outcome_classes_) @ self.class_means_

    def _estimate(self, moments, expected):
        effects = (moments.covariate_means[0] * self.covariate_effects_).sum(axis=0)
        location = moments.means[0] - effects + self.covariate_offset_
        if expected is not None:
            location = location / expected if self._ratios else location - expected
        # A gene without a value in the new batch tells nothing of it.
        there = np.broadcast_to(moments.counts[0] > 0, location.shape)
        return np.where(there, location, self.batch_location_.mean(axis=0))

    def _with_batches(self, names, estimates):
        new = deepcopy(self)
        order = np.argsort([*self.batches_, *names], kind="stable")
        new.batches_ = sorted([*self.batches_, *names])
        new.batch_location_ = np.vstack([self.batch_location_, *estimates])[order]
        return new

    def _rows_function(self, estimates):
        return self._row_function(np.vstack([self.batch_location_, *(estimates or ())]))


def take_off(rows, codes, effects, *, design=None, slopes=None):
    """Subtract from each row the effects of its batch and of its covariates.

    Parameters
    ----------
    rows : ndarray or CSR of shape (n_samples, n_genes)
    codes : ndarray of int of shape (n_samples,)
        Batch of each row; -1 leaves a row as it is.
    effects : ndarray of shape (n_batches, n_genes)
    design : ndarray of shape (n_samples, r), optional
    slopes : ndarray of shape (r, n_genes), optional

    Returns
    -------
    ndarray of shape (n_samples, n_genes)

    Examples
    --------
    >>> take_off(np.array([[3.0], [5.0]]), np.array([0, 1]), np.array([[1.0], [2.0]]))
    array([[2.],
           [3.]])
    """
    rows = rows.toarray() if sp.issparse(rows) else rows
    out = np.empty_like(rows)
    effects = effects.astype(rows.dtype, copy=False)
    slopes = () if slopes is None else slopes.astype(rows.dtype, copy=False)
    at_once = max(1, _TILE_VALUES // rows.shape[1])
    for code in np.unique(codes):
        members = np.flatnonzero(codes == code)
        if code < 0:
            out[members] = rows[members]
            continue
        for start in range(0, len(members), at_once):
            some = members[start : start + at_once]
            if at_once == 1:
                some = int(some[0])  # a view of one long row in place of a copy of it
            corrected = np.subtract(rows[some], effects[code], out=out[some])
            if len(slopes):
                for slope, value in zip(slopes, design[some].T, strict=True):
                    corrected -= slope * np.asarray(value, rows.dtype)[..., None]
            out[some] = corrected
    return out


def divide_by(rows, codes, factors):
    """Divide each row by the factors of its batch; sparse rows stay sparse.

    Parameters
    ----------
    rows : ndarray or CSR of shape (n_samples, n_genes)
    codes : ndarray of int of shape (n_samples,)
        Batch of each row; -1 leaves a row as it is.
    factors : ndarray of shape (n_batches, n_genes)

    Returns
    -------
    ndarray or CSR of shape (n_samples, n_genes)

    Examples
    --------
    >>> divide_by(np.array([[3.0], [5.0]]), np.array([0, -1]), np.array([[2.0]]))
    array([[1.5],
           [5. ]])
    """
    factors = np.vstack([factors, np.ones(rows.shape[1])]).astype(rows.dtype, copy=False)
    if not sp.issparse(rows):
        out = np.empty_like(rows)
        for i, code in enumerate(codes):
            np.divide(rows[i], factors[code], out=out[i])
        return out
    out = rows.copy()
    out.data /= factors[np.repeat(codes, np.diff(rows.indptr)), rows.indices]
    return out
