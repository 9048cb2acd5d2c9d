"""The words of the leakage audit: numbers in, sentences out."""

import numpy as np
from scipy.stats import ttest_1samp

from .._containers import name_some

_MARGIN = 0.05
"""Differences between scores from which on something is said."""
_LARGE = 0.1
_RARE = 0.05
"""Classes that chance spreads over the batches this unevenly more often are not linked."""


def write_verdict(scores, batches, shuffled, steps, metric, chance, link):
    """Say what the numbers of an audit mean.

    That the batch helps the pooled score is a problem where outcome and batch are linked by
    more than chance; in other data it is a note, as a random outcome is never spread evenly.

    Parameters
    ----------
    scores, batches, shuffled, steps : DataFrame
        As `LeakageAudit` holds them.
    metric : str
    chance : float
    link : float
        Chance of an outcome that is as unevenly spread over the batches as this one.

    Returns
    -------
    verdict : str
    problems, cautions : tuple of str
    """
    names = ("pooled", "within", "left_out", "empty", "inside")
    value = dict(zip(names, scores["score"].tolist(), strict=True))
    value |= {"metric": metric, "chance": chance, "linked": link < _RARE}
    signal = _shows_signal(value["within"], shuffled["within"].dropna())
    problems = [*_from_scores(value, shuffled, signal), *_from_steps(steps)]
    cautions = [*_limits(value, batches, shuffled, signal), *_new_batches(steps)]
    return _headline(value, problems, signal), tuple(problems), tuple(cautions)


def _headline(value, problems, signal):
    numbers = f"The {value['metric']} is {_two(value['pooled'])} pooled"
    if not np.isnan(value["within"]):
        numbers += f", {_two(value['within'])} within batches"
    if not np.isnan(value["left_out"]):
        numbers += f", {_two(value['left_out'])} on batches left out"
    if not np.isnan(value["empty"]):
        numbers += f"; with labels shuffled within batches it is {_two(value['empty'])}"
    numbers += "."
    if problems:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        return f"Do not trust the pooled score: {count} found. {numbers}"
    if not signal:
        return f"No sign of leakage, but no proof of a signal either. {numbers}"
    return (
        f"No sign of leakage. {numbers} No step lets the rows of a known batch act on each other."
    )


def _from_scores(value, shuffled, signal):
    metric, chance, pooled = value["metric"], value["chance"], value["pooled"]
    within = value["within"]
    if np.isnan(within):
        yield (
            "No batch holds two classes, so batch and outcome cannot be told apart: no score on "
            "these data says anything of the outcome. Get batches that hold several classes."
        )
        return
    inflated = pooled - chance > _MARGIN and pooled - within > max(_MARGIN, 2 * _noise(shuffled))
    inflated &= value["linked"]
    if _by_batch(value, shuffled) and value["linked"] and (inflated or not signal):
        yield (
            f"Where no signal is left (labels shuffled within batches), the pooled {metric} still "
            f"is {_two(value['empty'])}: that much comes from classes being spread unevenly over "
            "the batches, or from a step that writes the outcome into the data. Quote the score "
            f"within batches ({_two(within)}) or on batches left out, not the pooled one."
        )
    elif inflated:
        yield (
            f"Of the pooled {metric} of {_two(pooled)}, {_two(within)} is left among samples of "
            "the same batch: the model also tells batches apart. Quote the score within batches."
        )
    if value["inside"] - chance > _MARGIN and _above(shuffled["within"], chance):
        yield (
            f"Even within batches shuffled labels are predicted ({metric} "
            f"{_two(value['inside'])}): the outcome reaches the model by another way than "
            "expression. Look for an annotation or a step that knows it."
        )


def _from_steps(steps):
    for name, step in steps.iterrows():
        if step["reads_outcome"] is not None:
            yield (
                f"The step {name!r} reads the annotation {step['reads_outcome']!r}, which gives "
                "the outcome away, when it transforms: it writes the answer into the samples that "
                "are to be predicted, and new samples have none. Take it out of the step's "
                "covariates."
            )
        if step["rows"] == "coupled":
            how = (
                "cannot process a sample alone"
                if np.isinf(step["difference"])
                else "gives a sample another result alone than among others (by "
                f"{step['difference']:.1g} of the largest value)"
            )
            declared = "" if step["declares_rows"] else ", and does not declare it (couples_rows)"
            yield (
                f"The step {name!r} {how}{declared}: the test set shapes its own preprocessing. "
                "Learn what it needs in fit and only apply it in transform."
            )
        if step["rows"] == "random":
            yield (
                f"The step {name!r} gives other results each time for the same rows. Fix its "
                "random_state, or draw in fit only."
            )


def _limits(value, batches, shuffled, signal):
    metric, within, left_out = value["metric"], value["within"], value["left_out"]
    if np.isnan(within):
        return
    if len(shuffled) < 19:
        yield (
            f"{len(shuffled)} permutations are too few for a test at 5 %; use n_permutations=19 "
            "or more."
        )
    elif not signal:
        yield (
            f"Within batches the {metric} of {_two(within)} is not above that of shuffled labels "
            f"(up to {_two(shuffled['within'].max())}): these data do not show a signal."
        )
    if signal and within - left_out > _LARGE:
        yield (
            f"On a batch that it has not seen the model scores {_two(left_out)}, not "
            f"{_two(within)}: expect that for a new site."
        )
    harmless = signal and value["pooled"] - within <= _MARGIN
    if _by_batch(value, shuffled) and (harmless or not value["linked"]):
        how = "" if value["linked"] else ", though no more than chance would spread them"
        yield (
            f"Classes are spread unevenly over the batches{how}: batch alone gives a pooled "
            f"{metric} of {_two(value['empty'])}. The score within batches ({_two(within)}) does "
            "not profit from that; quote it."
        )
    failed = batches.index[batches["error"] != ""]
    if len(failed):
        yield (
            f"No score on batches left out for {name_some(failed)}, since the model refuses: "
            f"{batches.loc[failed[0], 'error']}"
        )
    warned = batches.index[(batches["warning"] != "") & (batches["error"] == "")]
    if len(warned):
        yield (
            f"Trained without the batch {warned[0]!r} and tried on it, the model warns: "
            f"{batches.loc[warned[0], 'warning']}"
        )


def _new_batches(steps):
    for name in steps.index[steps["rows_of_new_batch"] == "coupled"]:
        if steps.loc[name, "rows"] != "coupled":
            yield (
                f"The step {name!r} estimates a new batch from its rows that come together, so "
                "the score on batches left out holds for many samples at once with a like mix of "
                "classes, not for one patient. Freeze the new batch with reference samples "
                "(adapt) first."
            )


def _shows_signal(observed, shuffled):
    """Tell whether at most one in twenty (with few permutations: none) reaches the score."""
    if not len(shuffled):
        return False
    above = (shuffled >= observed).sum()
    return bool((1 + above) / (1 + len(shuffled)) <= 0.05 or (len(shuffled) < 19 and above == 0))


def _by_batch(value, shuffled):
    """Tell whether shuffled labels are predicted, which only the batch can do."""
    above = value["empty"] - value["chance"] > _MARGIN
    return above and _above(shuffled["pooled"], value["chance"])


def _noise(shuffled):
    gaps = (shuffled["pooled"] - shuffled["within"]).dropna()
    return gaps.std() if len(gaps) > 1 else 0.0


def _above(values, chance):
    """Tell whether the mean of permutations is above chance, by a t test at 1 %."""
    values = values.dropna()
    if len(values) < 2 or values.std() == 0:
        return len(values) > 1 and values.mean() > chance
    return ttest_1samp(values, chance, alternative="greater").pvalue < 0.01


def _two(number):
    return "unknown" if np.isnan(number) else f"{number:.2f}"
