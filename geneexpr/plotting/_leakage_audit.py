"""A leakage audit: the scores against those of shuffled labels, and the steps."""

import textwrap

import numpy as np

from ._style import BLACK, BLUE, GREEN, GREY, LIGHT_GREY, VERMILION, grid_for, shortened

_ROWS = ("pooled", "within batches", "left-out batches")
_STATUS = {
    "independent": ("✓", GREEN, "alone = together"),
    "coupled": ("✗", VERMILION, "rows act on each other"),
    "random": ("✗", VERMILION, "random"),
    "refused": ("–", GREY, "refused or not reached"),
    "not reached": ("–", GREY, "refused or not reached"),
}
_MOST_STEPS = 12


class LeakageAuditDisplay:
    """The scores of an audit beside those of shuffled labels, and what the steps do.

    Make it with `from_audit`. On the left each score is a large point, in grey the scores of
    the same model with labels shuffled within batches (what is no signal), in small points
    the scores of single batches. A model that can be believed has its large points right of
    the grey ones, close to each other. On the right, for every step of the pipeline, whether
    samples come out the same alone and together.

    Parameters
    ----------
    audit : LeakageAudit

    Attributes
    ----------
    axes_ : array of matplotlib Axes
        Scores and steps.
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from geneexpr import LeakageAuditDisplay, leakage_audit, make_cohort
    >>> cohort = make_cohort(60, 20, n_batches=2, random_state=0)
    >>> audit = leakage_audit(
    ...     GaussianNB(), cohort.X, cohort.obs["condition"],
    ...     batch=cohort.obs["batch"].array, n_permutations=2,
    ... )
    >>> display = LeakageAuditDisplay.from_audit(audit)
    >>> display.axes_[0].get_xlabel()
    'AUC'
    """

    def __init__(self, audit):
        self.audit = audit

    @classmethod
    def from_audit(cls, audit, *, axes=None):
        """Draw what `leakage_audit` returned.

        Parameters
        ----------
        audit : LeakageAudit
        axes : sequence of two matplotlib Axes, optional
            By default those of a new figure.

        Returns
        -------
        LeakageAuditDisplay
        """
        if not hasattr(audit, "permutations") or not hasattr(audit, "steps"):
            raise TypeError(f"A result of leakage_audit was expected, got {type(audit).__name__}.")
        return cls(audit).plot(axes)

    def plot(self, axes=None):
        """Draw on these axes, or on those of a new figure.

        Parameters
        ----------
        axes : sequence of two matplotlib Axes, optional

        Returns
        -------
        LeakageAuditDisplay
            Itself.
        """
        n_steps = min(len(self.audit.steps), _MOST_STEPS)
        made = axes is None
        axes = grid_for(
            axes, 2, figsize=(9.0, max(3.2, 1.6 + 0.34 * n_steps)), width_ratios=[1.25, 1]
        )
        _draw_scores(axes[0], self.audit)
        _draw_steps(axes[1], self.audit.steps)
        self.axes_, self.figure_ = axes, axes[0].figure
        if made:
            headline = self.audit.verdict.partition(". ")[0].rstrip(".")
            self.figure_.suptitle(
                headline, color=BLACK if self.audit.passed else VERMILION, x=0.01, ha="left"
            )
        return self


def _draw_scores(ax, audit):
    """Draw the three scores from top to bottom."""
    shuffled = [audit.permutations["pooled"], audit.permutations["within"], None]
    single = [None, audit.batches["within"], audit.batches["left_out"]]
    for y, name in enumerate(_ROWS):
        if shuffled[y] is not None:
            _draw_many(ax, shuffled[y], y + 0.22, LIGHT_GREY, "shuffled labels", y == 0)
        if single[y] is not None:
            _draw_many(ax, single[y], y - 0.22, BLUE, "single batches", y == 1, alpha=0.5)
        score = audit.scores.loc[name, "score"]
        if np.isnan(score):
            ax.text(audit.chance, y, " no score", va="center", color=GREY, fontsize="small")
            continue
        ax.plot(score, y, "o", color=BLUE, ms=9, zorder=3)
        ax.annotate(f"{score:.2f}", (score, y), (9, 0), textcoords="offset points", va="center")
    ax.axvline(audit.chance, color=GREY, lw=0.8, ls="--", zorder=0)
    ax.set_yticks(range(len(_ROWS)), [name.replace(" ", "\n") for name in _ROWS])
    ax.set(ylim=(len(_ROWS) - 0.5, -0.5), xlabel=audit.metric)
    low, high = ax.get_xlim()
    if audit.chance == 0.5:
        ax.set_xlim(max(-0.02, min(low, 0.38)), 1.09)
    else:
        ax.set_xlim(low, high + 0.1 * (high - low))
    ax.tick_params(axis="y", length=0)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize="small")


def _draw_many(ax, values, y, color, label, first, **style):
    """Draw points on a line, with a fixed jitter so that equal ones show."""
    values = values.dropna().to_numpy()
    if not len(values):
        return
    jitter = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.16
    ax.scatter(
        values,
        y + jitter,
        s=14,
        color=color,
        linewidths=0,
        label=label if first else None,
        zorder=2,
        **style,
    )


def _draw_steps(ax, steps):
    """Write a line for every step, with a mark for known batches and one for a new one."""
    shown = steps.head(_MOST_STEPS)
    ax.set(xlim=(0, 1), ylim=(len(shown) - 0.4, -1.4), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    heads = {0.0: "step", 0.66: "known\nbatches", 0.88: "a new\nbatch"}
    for x, text in heads.items():
        ax.text(x, -0.55, text, ha="left" if x == 0 else "center", va="bottom", fontsize="small")
    for y, (name, step) in enumerate(shown.iterrows()):
        ax.axhline(y - 0.5, color=LIGHT_GREY, lw=0.6)
        reads = step["reads_outcome"] is not None
        color = VERMILION if reads else BLACK
        ax.text(0, y, shortened(name, 24), va="center", fontsize="small", color=color)
        for x, column in ((0.66, "rows"), (0.88, "rows_of_new_batch")):
            mark, color, _ = _STATUS[step[column]]
            ax.text(x, y, mark, ha="center", va="center", color=color, weight="bold")
    said = {
        mark: meaning
        for column in ("rows", "rows_of_new_batch")
        for mark, _, meaning in (_STATUS[status] for status in shown[column])
    }
    note = "; ".join(f"{mark} {meaning}" for mark, meaning in sorted(said.items(), reverse=True))
    if shown["reads_outcome"].notna().any():
        note += "; red name: reads the outcome"
    if len(steps) > len(shown):
        note += f"; {len(steps) - len(shown)} more steps"
    ax.set_xlabel("\n".join(textwrap.wrap(note, 36)), fontsize="small", color=GREY, loc="left")
