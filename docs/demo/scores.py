"""Scores with an interval: AUC and balanced accuracy, by bootstrap over donors.

A bootstrap sample is a vector of weights (how often a donor was drawn), and both scores
are ratios of weighted sums, so a thousand resamples are two matrix products.
"""

from dataclasses import asdict, dataclass

import numpy as np

N_BOOTSTRAP = 1000


@dataclass
class Score:
    """A score, its 95 % interval, and how many it rests on."""

    value: float
    low: float
    high: float
    n: int
    n_donors: int

    def __str__(self):
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    def as_dict(self):
        """Return plain values for JSON."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def _plain(value):
    value = float(value) if not isinstance(value, (int, np.integer)) else int(value)
    return None if value != value else value


# ------------------------------------------------------------------ scores under weights


def auc(is_case, decision, weights=None):
    """Area under the ROC curve; ties count half.

    Parameters
    ----------
    is_case : array of bool of shape (n_samples,)
    decision : array of shape (n_samples,)
    weights : array of shape (n_resamples, n_samples), optional

    Returns
    -------
    array of shape (n_resamples,); one value where no weights are given
        NaN where a resample lacks a class.
    """
    is_case = np.asarray(is_case, dtype=bool)
    weights = _weights(weights, len(is_case))
    cases, controls = decision[is_case], decision[~is_case]
    wins = np.sign(cases[:, None] - controls[None, :]) / 2 + 0.5
    w_case, w_control = weights[:, is_case], weights[:, ~is_case]
    return _ratio(np.einsum("rc,rc->r", w_case @ wins, w_control), w_case.sum(1) * w_control.sum(1))


def macro_auc(y, probabilities, classes, weights=None):
    """AUC of the second class against the first, or the mean of one against the rest."""
    if len(classes) == 2:
        return auc(y == classes[1], probabilities[:, 1], weights)
    each = [auc(y == c, probabilities[:, k], weights) for k, c in enumerate(classes)]
    return np.mean(each, axis=0)


def balanced_accuracy(y, predicted, classes, weights=None):
    """Mean over the classes of the share called right."""
    weights = _weights(weights, len(y))
    right = y == predicted
    recalls = [_ratio(weights @ (right & (y == c)), weights @ (y == c)) for c in classes]
    return np.mean(recalls, axis=0)


def _weights(weights, n):
    return np.ones((1, n)) if weights is None else np.asarray(weights, dtype=float)


def _ratio(above, below):
    above, below = np.asarray(above, dtype=float), np.asarray(below, dtype=float)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


# ------------------------------------------------------------------ the bootstrap


def donor_weights(donors, strata, *, n_resamples=N_BOOTSTRAP, random_state=0):
    """Draw donors with replacement within strata; return how often each sample counts.

    Parameters
    ----------
    donors, strata : array of shape (n_samples,)
        A donor belongs to the stratum of their first sample.

    Returns
    -------
    array of shape (n_resamples, n_samples)
    """
    rng = np.random.default_rng(random_state)
    names, first, which = np.unique(donors, return_index=True, return_inverse=True)
    drawn = np.zeros((n_resamples, len(names)))
    for stratum in np.unique(strata[first]):
        members = np.flatnonzero(strata[first] == stratum)
        picks = rng.choice(members, size=(n_resamples, len(members)))
        np.add.at(drawn, (np.arange(n_resamples)[:, None], picks), 1)
    return drawn[:, which]


def interval(resampled, level=0.95):
    """Percentile interval over the resamples where the score exists."""
    resampled = resampled[~np.isnan(resampled)]
    if not len(resampled):
        return np.nan, np.nan
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass
class Predictions:
    """What a model said of samples that it had not seen, row by row."""

    y: np.ndarray
    probabilities: np.ndarray
    classes: np.ndarray
    donors: np.ndarray
    batches: np.ndarray
    samples: np.ndarray

    def __getitem__(self, rows):
        return Predictions(
            self.y[rows],
            self.probabilities[rows],
            self.classes,
            self.donors[rows],
            self.batches[rows],
            self.samples[rows],
        )

    @property
    def predicted(self):
        """The class of largest probability."""
        return self.classes[self.probabilities.argmax(axis=1)]

    @property
    def wrong(self):
        """Rows whose class was not hit."""
        return np.flatnonzero(self.predicted != self.y)

    def weights(self, **options):
        """Bootstrap weights: donors drawn within batches."""
        return donor_weights(self.donors, self.batches, **options)


def score(predictions, **options):
    """Return AUC and balanced accuracy with their intervals, and how many were right."""
    p = predictions
    weights = p.weights(**options)
    n_donors = len(np.unique(p.donors))
    values = {
        "auc": lambda w: macro_auc(p.y, p.probabilities, p.classes, w),
        "balanced_accuracy": lambda w: balanced_accuracy(p.y, p.predicted, p.classes, w),
    }
    made = {
        name: Score(float(f(None)[0]), *interval(f(weights)), n=len(p.y), n_donors=n_donors)
        for name, f in values.items()
    }
    return {**made, "right": int(len(p.y) - len(p.wrong))}


def score_by_batch(predictions, **options):
    """Return the scores of each batch, and of all together under the key ``pooled``."""
    each = {
        str(batch): score(predictions[predictions.batches == batch], **options)
        for batch in np.unique(predictions.batches)
    }
    return each | {"pooled": score(predictions, **options)}


def paired_difference(one, other, **options):
    """Return the balanced accuracy of one minus that of the other, on the same donors."""
    weights = one.weights(**options)

    def difference(w):
        return balanced_accuracy(one.y, one.predicted, one.classes, w) - balanced_accuracy(
            other.y, other.predicted, other.classes, w
        )

    low, high = interval(difference(weights))
    return Score(float(difference(None)[0]), low, high, len(one.y), len(np.unique(one.donors)))


def count_interval(right, n, level=0.95):
    """Exact (Clopper-Pearson) interval of a share: a bootstrap of n out of n says nothing."""
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = 0.0 if right == 0 else float(beta.ppf(tail, right, n - right + 1))
    high = 1.0 if right == n else float(beta.ppf(1 - tail, right + 1, n - right))
    return low, high
