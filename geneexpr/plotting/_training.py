"""The losses of a training, epoch by epoch."""

import numpy as np
import pandas as pd

from ._style import BLUE, GREY, ORANGE, axes_for, legend_above

_LOSSES = {"train_loss": ("training", BLUE, "-"), "valid_loss": ("held out", ORANGE, "--")}
_ONE_EPOCH = "o"
"""A line of one point would not be seen."""


class TrainingCurveDisplay:
    """The loss on what a network learns from and on what early stopping held out.

    Make it with `from_estimator`. The loss in training is that of dropped-out, noisy networks
    while they change, so it can lie above the other. A held-out loss that rises while the
    other falls says that the network learns its samples by heart: stop early, drop out more,
    decay more; losses that both still fall ask for more epochs.

    Parameters
    ----------
    history : DataFrame
        A row an epoch, as ``history_`` of a network estimator: ``train_loss`` and, where some
        samples were held out, ``valid_loss``.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of matplotlib Line2D
        By the column of ``history``.
    best_epoch_ : int or None
        That of the lowest held-out loss, whose weights the network has.

    See Also
    --------
    TorchMLPClassifier : Has a ``history_``.

    Examples
    --------
    >>> import numpy as np
    >>> from geneexpr import TorchMLPClassifier, TrainingCurveDisplay
    >>> X = np.random.default_rng(0).normal(size=(60, 20))
    >>> model = TorchMLPClassifier(max_epochs=5, early_stopping=True, random_state=0)
    >>> display = TrainingCurveDisplay.from_estimator(model.fit(X, X[:, 0] > 0))
    >>> sorted(display.lines_)
    ['train_loss', 'valid_loss']
    """

    def __init__(self, history):
        self.history = history

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw the training of a network.

        Parameters
        ----------
        estimator : estimator
            A fitted network estimator, or a pipeline that ends with one.
        ax : matplotlib Axes, optional
            By default those of a new figure.

        Returns
        -------
        TrainingCurveDisplay
        """
        steps = getattr(estimator, "steps", None)
        network = steps[-1][1] if steps else estimator
        history = getattr(network, "history_", None)
        if not isinstance(history, pd.DataFrame) or "train_loss" not in history:
            raise TypeError(
                "A fitted network estimator (one that has history_ with a train_loss) or a "
                f"pipeline that ends with one was expected, got {type(network).__name__}."
            )
        return cls(history).plot(ax=ax)

    def plot(self, ax=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional

        Returns
        -------
        TrainingCurveDisplay
            Itself.
        """
        ax = axes_for(ax)
        epochs = np.arange(1, len(self.history) + 1)
        marker = _ONE_EPOCH if len(epochs) == 1 else None
        self.lines_ = {}
        for column, (name, color, style) in _LOSSES.items():
            if column in self.history:
                (self.lines_[column],) = ax.plot(
                    epochs, self.history[column], style, color=color, label=name, marker=marker
                )
        self.best_epoch_ = None
        if "valid_loss" in self.history:
            self.best_epoch_ = int(np.argmin(self.history["valid_loss"])) + 1
            ax.axvline(
                self.best_epoch_,
                color=GREY,
                linewidth=0.8,
                zorder=0,
                label=f"best: epoch {self.best_epoch_}",
            )
        ax.set(xlabel="epoch", ylabel="loss")
        ax.xaxis.get_major_locator().set_params(integer=True)
        legend_above(ax)
        self.ax_, self.figure_ = ax, ax.figure
        return self
