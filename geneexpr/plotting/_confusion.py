"""A confusion matrix with intervals of its rates."""

import numpy as np

from .._containers import name_some
from ._predictions import checked_labels, groups_of, interval, predicted, units_of
from ._style import VALUES, axes_for, lightness, shortened

MOST_WRITTEN = 12
"""Cells of more classes bear no text."""


class ConfusionIntervalDisplay:
    """Which classes are taken for which: counts, shares of the true class, intervals.

    Make it with `from_estimator` or `from_predictions`. (scikit-learn's
    `ConfusionMatrixDisplay` draws counts or shares alone.) Rows are true classes; every cell
    holds the share of its row, the interval of that share, and the count. Darker is less.

    Parameters
    ----------
    counts : array of shape (n_classes, n_classes)
        True classes in rows, predicted ones in columns.
    classes : sequence
    low, high : array of shape (n_classes, n_classes)
        Of the shares of the true class; NaN where there is none.
    level : float, default=0.95

    Attributes
    ----------
    shares : array of shape (n_classes, n_classes)
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
    texts_ : list of matplotlib Text
        Row by row; none for more than twelve classes.

    Notes
    -----
    Percentile bootstrap of samples, or of donors where these are named.
    A share of 0 or 1 has an interval without width: no resample holds what the sample lacks.

    Examples
    --------
    >>> from geneexpr import ConfusionIntervalDisplay
    >>> display = ConfusionIntervalDisplay.from_predictions(
    ...     ["ill", "ill", "well", "well"], ["ill", "well", "well", "well"]
    ... )
    >>> display.counts.tolist()
    [[1, 1], [0, 2]]
    """

    def __init__(self, counts, *, classes, low=None, high=None, level=0.95):
        self.counts = np.asarray(counts)
        self.classes = list(classes)
        self.low = np.full(self.counts.shape, np.nan) if low is None else np.asarray(low)
        self.high = np.full(self.counts.shape, np.nan) if high is None else np.asarray(high)
        self.level = level

    @property
    def shares(self):
        """Share of each true class; NaN for a class without samples."""
        return _shares(self.counts[..., None].astype(float))[..., 0]

    @classmethod
    def from_estimator(cls, estimator, X, y, *, group_key=None, groups=None, **options):
        """Draw the predictions of a fitted classifier.

        Parameters
        ----------
        estimator : classifier
            Fitted.
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
        ConfusionIntervalDisplay
        """
        guesses = predicted(estimator, X, ("predict",))
        return cls.from_predictions(y, guesses, groups=groups_of(X, group_key, groups), **options)

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_pred,
        *,
        classes=None,
        groups=None,
        n_resamples=1000,
        level=0.95,
        random_state=0,
        ax=None,
    ):
        """Draw predicted labels.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_samples,)
        classes : sequence, optional
            In the order of rows and columns; by default all labels, sorted.
        groups : array-like of shape (n_samples,), optional
            Donors, drawn as a whole.
        n_resamples : int, default=1000
            0 for no intervals.
        level : float, default=0.95
        random_state : int, RandomState instance or None, default=0
        ax : matplotlib Axes, optional
            By default those of a new figure.

        Returns
        -------
        ConfusionIntervalDisplay
        """
        y_pred = np.asarray(y_pred)
        y_true = checked_labels(y_true, y_pred, name="y_pred")
        there = np.unique(np.concatenate([y_true, y_pred]))
        classes = there if classes is None else np.asarray(classes)
        places = {label: i for i, label in enumerate(classes.tolist())}
        unknown = [label for label in there.tolist() if label not in places]
        if unknown:
            raise ValueError(
                f"y_true or y_pred hold labels that classes does not name: {name_some(unknown)}; "
                f"it names {name_some(classes)}."
            )
        k = len(classes)
        cells = np.array(
            [
                places[a] * k + places[b]
                for a, b in zip(y_true.tolist(), y_pred.tolist(), strict=True)
            ]
        )

        def measure(weights):
            counts = np.zeros((k * k, len(weights)))
            for cell in np.unique(cells):
                counts[cell] = weights[:, cells == cell].sum(axis=1)
            return _shares(counts.reshape(k, k, -1)).reshape(k * k, -1)

        low, high = interval(
            measure,
            units_of(groups, len(cells)),
            n_resamples=n_resamples,
            level=level,
            random_state=random_state,
        )
        counts = np.bincount(cells, minlength=k * k).reshape(k, k)
        shape = {"low": low.reshape(k, k), "high": high.reshape(k, k)}
        return cls(counts, classes=classes.tolist(), level=level, **shape).plot(ax=ax)

    def plot(self, ax=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        ConfusionIntervalDisplay
            Itself.
        """
        k = len(self.classes)
        side = float(np.clip(1.6 + 0.85 * k, 3.4, 8.0))
        ax = axes_for(ax, figsize=(side + 0.6, side))
        self.image_ = ax.imshow(self.shares, cmap=VALUES, vmin=0, vmax=1)
        names = [shortened(label, 18) for label in self.classes]
        slanted = {"rotation": 90} if k > 4 or max(map(len, names)) > 9 else {}
        size = "small" if k <= MOST_WRITTEN else "xx-small"
        ax.set_xticks(range(k), names, fontsize=size, **slanted)
        ax.set_yticks(range(k), names, fontsize=size)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set(xlabel="predicted", ylabel="true")
        self.texts_ = self._write(ax) if k <= MOST_WRITTEN else []
        if k > MOST_WRITTEN:
            ax.figure.colorbar(self.image_, ax=ax, label="share of the true class")
        elif np.isfinite(self.low).any():
            ax.set_title(
                f"share of the true class [{self.level:.0%}]", fontsize="small", loc="left"
            )
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _write(self, ax):
        texts = []
        size = 9 if len(self.classes) <= 5 else 5.5
        for (i, j), share in np.ndenumerate(self.shares):
            ground = self.image_.cmap(self.image_.norm(0 if np.isnan(share) else share))
            said = "-" if np.isnan(share) else f"{share:.0%}"
            if np.isfinite(self.low[i, j]):
                said += f"\n[{100 * self.low[i, j]:.0f}, {100 * self.high[i, j]:.0f}]"
            said += f"\nn={self.counts[i, j]}"
            color = "white" if lightness(ground) < 55 else "black"
            texts.append(ax.text(j, i, said, ha="center", va="center", color=color, fontsize=size))
        return texts


def _shares(counts):
    """Return shares of the true class of counts of shape (n_classes, n_classes, ...)."""
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
