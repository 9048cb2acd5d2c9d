"""What the numbers say, in plain words: the verdict first, then what cannot be told apart."""

from explain import in_words, some_words


def span(score, digits=3):
    """Write a score with its interval."""
    if score["value"] is None:
        return "not defined"
    if score["low"] is None:
        return f"{score['value']:.{digits}f} (no interval)"
    return f"{score['value']:.{digits}f} ({score['low']:.{digits}f} to {score['high']:.{digits}f})"


def right_of(scores):
    """Write how many were called right, with the exact interval of the share."""
    return f"{scores['right']} of {scores['n']} ({_share(scores)})"


def _share(scores):
    low, high = scores["right_interval"]
    return f"{100 * low:.0f} to {100 * high:.0f} %"


def points(difference):
    """Write a difference of shares in percentage points."""
    low, value, high = (difference[key] for key in ("low", "value", "high"))
    if low is None:
        return "not defined"
    if low == value == high == 0:
        return "no call differs"
    return f"{100 * value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def class_counts(part):
    """Write how many samples each class has."""
    return some_words([f"{n} {name}" for name, n in part["classes"].items()])


# ------------------------------------------------------------------ the verdict


def verdict(metrics):
    """Return the verdict as a headline and its reasons.

    Returns
    -------
    str, list of str
    """
    headline = _headline(metrics)
    reasons = [_inside(metrics), _outside(metrics), _rests_on(metrics), _correction(metrics)]
    return headline, [reason for reason in reasons if reason]


def _headline(metrics):
    label, pooled = metrics["data"]["label"], result(metrics)["pooled"]
    chance = metrics["permuted"]["auc"]["pooled"]
    low = pooled["auc"]["low"]
    if chance["as_high"] > 0.05 * metrics["permuted"]["n"] or low is None or low <= 0.5:
        return f"No: {label} is not predicted beyond chance."
    external = metrics["external"]
    carried = ""
    if external:
        balanced = external["ways"][external["headline"]]["balanced_accuracy"]
        holds = balanced["low"] is not None and balanced["low"] > 1 / n_classes(metrics)
        name = metrics["data"]["external"]["name"]
        carried = (
            f", and it carries over to {name}"
            if holds
            else f", but it does not carry over to {name}"
        )
    strength = "Yes" if pooled["auc"]["low"] >= 0.8 else "In part"
    return f"{strength}: {label} is predicted from expression{carried}."


def result(metrics):
    """Return the nested scores of what the search chose."""
    return metrics["nested"]["chosen by the search"]


def n_classes(metrics):
    """Return how many classes there are."""
    return len(metrics["data"]["classes"])


def _inside(metrics):
    pooled, permuted = result(metrics)["pooled"], metrics["permuted"]
    chance = permuted["auc"]["pooled"]
    above = (
        f"above all {permuted['n']} runs with permuted labels (at most {chance['most']:.3f})"
        if chance["as_high"] == 0
        else f"reached by {chance['as_high']} of {permuted['n']} runs with permuted labels"
    )
    batches = some_words(metrics["data"]["training"]["batches"])
    return (
        f"Within {batches}, by nested cross-validation, {pooled['right']} of {pooled['n']} samples "
        f"were called right ({_share(pooled)}); AUC {span(pooled['auc'])}, {above}."
    )


def _outside(metrics):
    external = metrics["external"]
    if not external:
        return metrics["data"]["no_external"]
    scores, data = external["ways"][external["headline"]], metrics["data"]["external"]
    wrong = [f"{w['sample']} ({w['is']}, called {w['called']})" for w in scores["wrong"]]
    named = ""
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        named = f" Called wrong: {', '.join(wrong[:3])}{more}."
    return (
        f"In {data['name']}, which no decision rested on, {scores['right']} of {scores['n']} "
        f"samples of donors who are not in training were called right ({_share(scores)}); AUC "
        f"{span(scores['auc'])}, balanced accuracy {span(scores['balanced_accuracy'])}.{named}"
    )


def _rests_on(metrics):
    genes, without = metrics["genes"], metrics["without"]
    uses = f"{_uses(genes)} {in_words(genes['known'])}".strip()
    if not without:
        return uses
    auc = without["nested"]["chosen by the search"]["pooled"]["auc"]
    said = f" Without the {without['name']} genes the AUC is {span(auc)}"
    if without["external"]:
        outside = without["external"]["ways"][without["external"]["headline"]]["auc"]
        said += f", and {span(outside)} in {metrics['data']['external']['name']}"
    return f"{uses}{said}."


def _uses(genes):
    if not genes["n_used"]:
        return f"The model uses none of the {genes['n_entering']:,} genes that enter it."
    strongest = some_words([gene["symbol"] for gene in genes["top"][:4]])
    return (
        f"The model uses {genes['n_used']:,} of the {genes['n_entering']:,} genes that enter it; "
        f"the strongest: {strongest}."
    )


def _correction(metrics):
    chosen = metrics["search"]["correction_in_outer_parts"]
    said = (
        "Correcting for the batch was a candidate like any other: the search chose it in "
        f"{chosen['ComBat']} of {metrics['search']['n_outer']} outer parts"
    )
    if not metrics["external"]:
        return f"{said}."
    ways = {
        way: s for way, s in metrics["external"]["ways"].items() if way != "trained uncorrected"
    }
    differences = [
        f"{way}, {points(s['difference_to_uncorrected'])}"
        for way, s in ways.items()
        if s["difference_to_uncorrected"]["low"] is not None
    ]
    return (
        f"{said}. In the external test, balanced accuracy against that of no correction: "
        f"{'; '.join(differences)}."
    )


# ------------------------------------------------------------------ what cannot be told apart


def limits(metrics):
    """Return what these data cannot say, one paragraph each: heading and text."""
    found = [_aliased(metrics, alias) for alias in metrics["confounded"]]
    found += [_mix(metrics), _linked(metrics)]
    found += [_bootstrap(metrics), _permutations(metrics), _genes(metrics)]
    if not metrics["external"]:
        found.append(("No external test.", metrics["data"]["no_external"]))
    return [item for item in found if item]


def _aliased(metrics, alias):
    batch, column = metrics["data"]["batch"], alias["column"]
    values = some_words([f"{name} is {value}" for name, value in alias["values"].items()])
    odd = _alone(alias["values"])
    example = (
        f" What sets {odd[0]} apart may be its {batch} or its {column} ({odd[1]})." if odd else ""
    )
    return (
        f"{batch.capitalize()} and {column} cannot be told apart.",
        f"Every {batch} has one {column} only: {values}.{example} ComBat takes out both together, "
        "and no analysis of these data can say which of them it was.",
    )


def _alone(values):
    """Return the one batch whose value no other has, where there is exactly one."""
    single = [
        (name, value) for name, value in values.items() if list(values.values()).count(value) == 1
    ]
    return single[0] if len(single) == 1 else None


def _mix(metrics):
    external = metrics["data"]["external"]
    if not external:
        return None
    new, training = external["new"], metrics["data"]["training"]
    rare = min(new["classes"], key=new["classes"].get)
    points = 100 / (n_classes(metrics) * new["classes"][rare])
    text = (
        f"Training has {class_counts(training)}. One more {rare} called wrong would cost "
        f"{points:.1f} points of balanced accuracy."
    )
    if _mixes_differ(new, training):
        text += (
            " And the two mixes differ: estimating the new batch from its own samples sets their "
            "mean to that of training, as if both had the same mix of classes, and so moves part "
            "of the difference between the classes as well. How much of a gain or loss is due to "
            f"the {metrics['data']['batch']} and how much to the mix cannot be told from one "
            "external batch."
        )
    return f"The external test has {class_counts(new)} samples of new donors.", text


def _mixes_differ(one, other, tolerance=0.05):
    shares = [{k: n / part["n"] for k, n in part["classes"].items()} for part in (one, other)]
    names = set(shares[0]) | set(shares[1])
    return any(abs(shares[0].get(k, 0) - shares[1].get(k, 0)) > tolerance for k in names)


def _linked(metrics):
    data = metrics["data"]
    if metrics["batch_alone"] < 0.52:
        return None
    mixes = [
        f"{batch}: {class_counts(data['by_batch'][batch])}" for batch in data["training"]["batches"]
    ]
    return (
        f"{data['label'].capitalize()} is linked with {data['batch']} in training.",
        f"{'; '.join(mixes)}. Guessing from the {data['batch']} alone gives a pooled AUC of "
        f"{metrics['batch_alone']:.3f}, so read the scores of each {data['batch']} beside the "
        "pooled ones.",
    )


def _bootstrap(metrics):
    return (
        "What an interval covers.",
        "It says how the score moves with the donors that are tested (1,000 resamples of donors "
        "within each batch, percentiles 2.5 and 97.5). The models are not trained again, so it "
        "says nothing of other training sets. Where nothing was called wrong it shrinks to one "
        "point; the exact (Clopper-Pearson) interval of the share called right does not, and "
        "stands beside it.",
    )


def _permutations(metrics):
    permuted = metrics["permuted"]
    return (
        "What the permuted runs test.",
        f"Labels were permuted among the donors of each {metrics['data']['batch']}, "
        f"{permuted['n']} times, and the chosen candidate ({permuted['candidate']}) was "
        "cross-validated on them in the same outer parts, filters and all. The search itself was "
        f"not repeated on permuted labels. With {permuted['n']} runs no p-value can fall below "
        f"{1 / (1 + permuted['n']):.3f}. Their mean tends to fall below 0.5: a class that is "
        "common in a test part is rarer in the training part that goes with it.",
    )


def _genes(metrics):
    if not metrics["search"]["chosen"].startswith("logistic") or n_classes(metrics) > 2:
        return None
    return (
        "A sparse model picks among genes that agree.",
        "Of several genes that carry the same signal, an L1 penalty keeps one or few. A gene that "
        "is not in the list may be as good as one that is.",
    )
