"""ROC curves with bands from a bootstrap of samples or of donors."""

import numpy as np

from ._predictions import groups_of, interval, predicted, scores_by_class, units_of
from ._style import COLORS, DASHES, GREY, axes_for, shortened

GRID = np.linspace(0, 1, 101)


class ROCIntervalDisplay:
    """ROC curves, each with a pointwise band and the interval of its area.

    Make it with `from_estimator` or `from_predictions`. (scikit-learn's `RocCurveDisplay` draws
    the curve alone.) Of two classes the second is drawn, of more each against the rest, in
    another colour and dash. The band holds, at every single false positive rate, the true
    positive rate of the middle share ``level`` of the resamples; the whole curve leaves it
    more often.

    Parameters
    ----------
    curves : dict of label to dict
        ``fpr``, ``tpr``, ``low`` and ``high`` (of the true positive rate on 101 false positive
        rates from 0 to 1), ``auc``, ``auc_low``, ``auc_high``.
    level : float, default=0.95

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of matplotlib Line2D
        By class.
    bands_ : dict of matplotlib PolyCollection

    Notes
    -----
    Percentile bootstrap. Where one donor gave several samples, name the donors: the samples
    of a donor are drawn together, else the band is too narrow.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import ROCIntervalDisplay
    >>> y = np.repeat(["healthy", "ill"], 30)
    >>> score = np.random.default_rng(0).normal(size=60) + (y == "ill")
    >>> display = ROCIntervalDisplay.from_predictions(y, score)
    >>> print({name: round(curve["auc"], 2) for name, curve in display.curves.items()})
    {'ill': 0.86}
    """

    def __init__(self, curves, *, level=0.95):
        self.curves = curves
        self.level = level

    @classmethod
    def from_estimator(cls, estimator, X, y, *, group_key=None, groups=None, **options):
        """Draw the curves of a fitted classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted, with ``predict_proba`` or ``decision_function``.
        X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
            Samples that the classifier has not seen.
        y : array-like of shape (n_samples,)
        group_key : str, optional
            An annotation of X: the donors that are drawn.
        groups : array-like of shape (n_samples,), optional
            The same beside an array.
        **options
            ``n_resamples``, ``level``, ``random_state`` and ``ax`` as in `from_predictions`.

        Returns
        -------
        ROCIntervalDisplay
        """
        scores = predicted(estimator, X, ("predict_proba", "decision_function"))
        groups = groups_of(X, group_key, groups)
        return cls.from_predictions(y, scores, classes=estimator.classes_, groups=groups, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_score,
        *,
        classes=None,
        groups=None,
        n_resamples=1000,
        level=0.95,
        random_state=0,
        ax=None,
    ):
        """Draw the curves of scores.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
        y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
            Of one column: scores of the second class.
        classes : sequence, optional
            In the order of the columns; by default the labels, sorted.
        groups : array-like of shape (n_samples,), optional
            Donors, drawn as a whole.
        n_resamples : int, default=1000
            0 draws no bands.
        level : float, default=0.95
        random_state : int, RandomState instance or None, default=0
        ax : matplotlib Axes, optional
            By default those of a new figure.

        Returns
        -------
        ROCIntervalDisplay

        Raises
        ------
        ValueError
            For a single class, missing labels or scores, and shapes that do not fit.
        """
        y_true, scores = scores_by_class(y_true, y_score, classes)
        units = units_of(groups, len(y_true))
        curves = {}
        for label, score in scores.items():
            positive = y_true == label
            if not positive.any() or positive.all():
                raise ValueError(
                    f"The curve of {label!r} needs samples of it and of others in y_true; got "
                    f"{int(positive.sum())} of {len(positive)}."
                )
            curves[label] = _curve(
                positive, score, units, n_resamples=n_resamples, level=level, seed=random_state
            )
        return cls(curves, level=level).plot(ax=ax)

    def plot(self, ax=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        ROCIntervalDisplay
            Itself.
        """
        ax = axes_for(ax, figsize=(4.8, 4.8))
        ax.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":", zorder=0)
        self.lines_, self.bands_ = {}, {}
        for i, (label, curve) in enumerate(self.curves.items()):
            color = COLORS[i % len(COLORS)]
            said = f"{shortened(label, 18)}: {curve['auc']:.2f}"
            if np.isfinite(curve["auc_low"]):
                said += f" [{curve['auc_low']:.2f}, {curve['auc_high']:.2f}]"
                self.bands_[label] = ax.fill_between(
                    GRID, curve["low"], curve["high"], color=color, alpha=0.15, lw=0
                )
            (self.lines_[label],) = ax.plot(
                curve["fpr"], curve["tpr"], color=color, ls=DASHES[i % len(DASHES)], label=said
            )
        ax.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        ax.set(xlabel="false positive rate", ylabel="true positive rate")
        title = f"AUC [{self.level:.0%} interval]" if self.bands_ else "AUC"
        ax.legend(loc="lower right", fontsize="x-small", title=title, title_fontsize="x-small")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _curve(positive, score, units, *, n_resamples, level, seed):
    """Return a curve with its band."""
    measure = Rates(positive, score)
    fpr, tpr = (rate[0] for rate in measure.rates(np.ones((1, len(score)))))
    low, high = interval(measure, units, n_resamples=n_resamples, level=level, random_state=seed)
    auc = float(measure(np.ones((1, len(score))))[-1, 0])
    bands = {"low": low[:-1], "high": high[:-1], "auc_low": low[-1], "auc_high": high[-1]}
    return {"fpr": fpr, "tpr": tpr, "auc": auc, **bands}


class Rates:
    """True positive rates on a grid of false positive rates, and the area, by weights.

    Parameters
    ----------
    positive : array of bool of shape (n_samples,)
    score : array of shape (n_samples,)

    Examples
    --------
    >>> import numpy as np
    >>> rates = Rates(np.array([True, True, False, False]), np.array([0.9, 0.4, 0.5, 0.1]))
    >>> float(rates(np.ones((1, 4)))[-1, 0])
    0.75
    """

    def __init__(self, positive, score):
        order = np.argsort(-score, kind="stable")
        self.order = order
        self.positive = positive[order]
        self.last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))

    def rates(self, weights):
        """Return false and true positive rates of shape (n_resamples, n_thresholds + 1)."""
        weights = weights[:, self.order]
        hits = np.cumsum(weights * self.positive, axis=1)
        alarms = np.cumsum(weights * ~self.positive, axis=1)
        with np.errstate(invalid="ignore"):  # a resample of one class has no rates
            tpr = hits[:, self.last] / hits[:, -1:]
            fpr = alarms[:, self.last] / alarms[:, -1:]
        start = np.zeros((len(weights), 1))
        return np.hstack([start, fpr]), np.hstack([start, tpr])

    def __call__(self, weights):
        """Return the rates on the grid, then the area, of shape (102, n_resamples)."""
        fpr, tpr = self.rates(weights)
        found = np.full((len(GRID) + 1, len(weights)), np.nan)
        for i, (x, y) in enumerate(zip(fpr, tpr, strict=True)):
            if np.isfinite(x[-1]) and np.isfinite(y[-1]):
                found[:-1, i] = _highest_at(x, y)
                found[-1, i] = np.trapezoid(y, x)
        return found


def _highest_at(x, y):
    """Interpolate a curve with steps: at a step, the upper end."""
    last = np.append(np.diff(x) > 0, True)
    return np.interp(GRID, x[last], y[last])
