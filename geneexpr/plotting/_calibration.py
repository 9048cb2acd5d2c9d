"""Calibration curves with intervals, and how many samples stand behind each point."""

import numpy as np

from .._options import check_number
from ._predictions import groups_of, interval, predicted, scores_by_class, units_of
from ._style import COLORS, DASHES, GREY, MARKERS, axes_for, columns_for, legend_above, shortened


class CalibrationIntervalDisplay:
    """How often a class comes true against how probable the model said it was.

    Make it with `from_estimator` or `from_predictions`. (scikit-learn's `CalibrationDisplay`
    draws the curve alone.) Samples are put into bins of equal numbers by their predicted
    probability; each point has the interval of its share, and the strokes at the bottom are
    the samples. On the dotted diagonal a model says what happens; below it, it is too sure of
    the class. Of two classes the second is drawn, of more each against the rest.

    Parameters
    ----------
    curves : dict of label to dict
        ``predicted``, ``observed``, ``low``, ``high``, ``n`` of each bin, and the ``scores``.
    level : float, default=0.95

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of matplotlib Line2D
        By class.
    bars_ : dict of matplotlib LineCollection
        The intervals, by class.

    Notes
    -----
    Percentile bootstrap within fixed bins, of samples, or of donors where these are named.
    A share of 0 or 1 has an interval without width: no resample holds what the sample lacks.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import CalibrationIntervalDisplay
    >>> rng = np.random.default_rng(0)
    >>> probability = rng.uniform(size=400)
    >>> y = np.where(rng.uniform(size=400) < probability, "ill", "healthy")
    >>> display = CalibrationIntervalDisplay.from_predictions(y, probability, n_bins=4)
    >>> display.curves["ill"]["observed"].round(1)
    array([0.1, 0.4, 0.7, 0.9])
    """

    def __init__(self, curves, *, level=0.95):
        self.curves = curves
        self.level = level

    @classmethod
    def from_estimator(cls, estimator, X, y, *, group_key=None, groups=None, **options):
        """Draw the calibration of a fitted classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted, with ``predict_proba``.
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Samples that the classifier has not seen.
        y : array-like of shape (n_samples,)
        group_key : str, optional
            An annotation of X: the donors that are drawn.
        groups : array-like of shape (n_samples,), optional
            The same beside an array.
        **options
            As `from_predictions` takes them.

        Returns
        -------
        CalibrationIntervalDisplay
        """
        scores = predicted(estimator, X, ("predict_proba",))
        groups = groups_of(X, group_key, groups)
        return cls.from_predictions(y, scores, classes=estimator.classes_, groups=groups, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_prob,
        *,
        classes=None,
        groups=None,
        n_bins=10,
        n_resamples=1000,
        level=0.95,
        random_state=0,
        ax=None,
    ):
        """Draw the calibration of predicted probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
        y_prob : array-like of shape (n_samples,) or (n_samples, n_classes)
            Of one column: probabilities of the second class.
        classes : sequence, optional
            In the order of the columns; by default the labels, sorted.
        groups : array-like of shape (n_samples,), optional
            Donors, drawn as a whole.
        n_bins : int, default=10
            Fewer where fewer than ten samples would be in each.
        n_resamples : int, default=1000
            0 for no intervals.
        level : float, default=0.95
        random_state : int, RandomState instance or None, default=0
        ax : matplotlib Axes, optional
            By default those of a new figure.

        Returns
        -------
        CalibrationIntervalDisplay
        """
        check_number("n_bins", n_bins, least=1, whole=True)
        y_true, scores = scores_by_class(y_true, y_prob, classes)
        units = units_of(groups, len(y_true))
        options = {"n_resamples": n_resamples, "level": level, "random_state": random_state}
        curves = {}
        for label, score in scores.items():
            if score.min() < 0 or score.max() > 1:
                raise ValueError(
                    f"Probabilities lie between 0 and 1; got {score.min():g} to {score.max():g} "
                    f"for {label!r}. Scores of a decision function have no calibration."
                )
            curves[label] = _curve(y_true == label, score, units, n_bins, options)
        return cls(curves, level=level).plot(ax=ax)

    def plot(self, ax=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        CalibrationIntervalDisplay
            Itself.
        """
        ax = axes_for(ax, figsize=(4.8, 4.8))
        ax.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", zorder=0)
        self.lines_, self.bars_ = {}, {}
        for i, (label, curve) in enumerate(self.curves.items()):
            color = COLORS[i % len(COLORS)]
            look = {"ls": DASHES[i % len(DASHES)], "marker": MARKERS[i % len(MARKERS)], "ms": 5}
            x = curve["predicted"]
            (self.lines_[label],) = ax.plot(
                x, curve["observed"], color=color, label=shortened(label, 18), **look
            )
            self.bars_[label] = ax.vlines(x, curve["low"], curve["high"], color=color, lw=1)
            ticks = np.quantile(curve["scores"], np.linspace(0, 1, min(200, len(curve["scores"]))))
            bottom = np.full(len(ticks), -0.045 - 0.035 * i)
            ax.plot(ticks, bottom, "|", color=color, ms=5, mew=0.4)
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.07 - 0.035 * len(self.curves), 1.02), aspect="equal")
        ax.set_yticks(np.linspace(0, 1, 6))
        ax.set(xlabel="predicted probability", ylabel="observed share")
        legend_above(ax, ncols=columns_for(ax, ax.get_legend_handles_labels()[1]))
        self.ax_, self.figure_ = ax, ax.figure
        return self


def bins_of(score, n_bins, least=10):
    """Put scores into bins of equal numbers; equal scores share a bin.

    Parameters
    ----------
    score : array of shape (n_samples,)
    n_bins : int
    least : int
        Samples a bin, at least, where there are as many.

    Returns
    -------
    array of int of shape (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> bins_of(np.array([0.1, 0.9, 0.2, 0.8]), 2, least=1)
    array([0, 1, 0, 1])
    """
    n_bins = max(1, min(n_bins, len(score) // least))
    edges = np.unique(np.quantile(score, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.unique(np.searchsorted(edges, score, side="right"), return_inverse=True)[1]


def _curve(positive, score, units, n_bins, options):
    bins = bins_of(score, n_bins)
    member = (bins[:, None] == np.arange(bins.max() + 1)).astype(float)

    def observed(weights):
        total, hits = weights @ member, (weights * positive) @ member
        return np.divide(hits, total, out=np.full(total.shape, np.nan), where=total > 0).T

    low, high = interval(observed, units, **options)
    return {
        "predicted": score @ member / member.sum(axis=0),
        "observed": observed(np.ones((1, len(score))))[:, 0],
        "low": low,
        "high": high,
        "n": member.sum(axis=0).astype(int),
        "scores": score,
    }
