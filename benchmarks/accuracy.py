"""Compare classifiers on nine expression sets: the network at its defaults and plain models.

``python -m benchmarks.accuracy`` (about half an hour) writes ACCURACY.md. The sets are read
from the folder that GENEEXPR_DATA names, else from ``../shared/data``.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from geneexpr import TorchMLPClassifier

from ._report import machine, versions

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("GENEEXPR_DATA", HERE.parents[1] / "shared" / "data"))
OURS = "TorchMLPClassifier"
N_SEEDS, N_FOLDS, MOST_GENES = 5, 4, 2000
FEW = 500
"""Sets of fewer samples are split twice per seed."""


def contenders(seed):
    """The models by name; both networks may see every sample a hundred times."""
    return {
        OURS: TorchMLPClassifier(random_state=seed),
        "logistic": LogisticRegression(max_iter=1000),
        "linear SVM": SVC(kernel="linear"),
        "forest": RandomForestClassifier(200, random_state=seed),
        "MLPClassifier": MLPClassifier(max_iter=100, random_state=seed),
    }


def read_sets():
    """Return the nine sets as (X, y) by name."""
    path = FOLDER / "baselines.py"
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; name the folder by GENEEXPR_DATA.")
    spec = importlib.util.spec_from_file_location("baselines", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {name: module.load(make) for name, make in module.OPEN.items()}


def gene_variance(X, y):
    """Score genes by their variance."""
    return X.var(0)


def splits(y, seed):
    """Return the splits of one seed; those of seed 0 are the ones of baselines.md."""
    repeats = 2 if len(y) < FEW else 1
    cv = RepeatedStratifiedKFold(n_splits=N_FOLDS, n_repeats=repeats, random_state=seed)
    return cv.split(np.zeros(len(y)), y)


def score_set(X, y, seed):
    """Yield ``(fold, contender, balanced accuracy)`` of one set under one seed."""
    for fold, (train, test) in enumerate(splits(y, seed)):
        for name, model in contenders(seed).items():
            genes = SelectKBest(gene_variance, k=min(MOST_GENES, X.shape[1]))
            pipe = make_pipeline(genes, StandardScaler(), model).fit(X[train], y[train])
            yield fold, name, balanced_accuracy_score(y[test], pipe.predict(X[test]))


def measure(progress=print):
    """Return a table of all scores, a row a set, seed and fold, a column a contender."""
    rows = []
    for name, (X, y) in read_sets().items():
        for seed in range(N_SEEDS):
            rows += [(name, seed, *found) for found in score_set(X, y, seed)]
            progress(f"{name}, seed {seed}")
    table = pd.DataFrame(rows, columns=["set", "seed", "fold", "model", "score"])
    return table.pivot(index=["set", "seed", "fold"], columns="model", values="score")


# ------------------------------------------------------------------ intervals


def corrected_variance(differences):
    """Return the variance of a mean over overlapping splits, after Nadeau and Bengio [1]_.

    Training sets of repeated cross-validation overlap, so the naive variance over splits is
    too small; the share of test to training samples is added to the factor ``1 / n``.

    References
    ----------
    .. [1] Nadeau, Bengio (2003), "Inference for the generalization error", Machine Learning
       52, 239-281, doi:10.1023/A:1024068626366.
    """
    return differences.var(ddof=1) * (1 / len(differences) + 1 / (N_FOLDS - 1))


def difference(scores, other, level=0.95):
    """Return mean difference to another model over all sets and its interval.

    Sets are independent of each other, so the variances of their means add up; degrees of
    freedom are Satterthwaite's.
    """
    by_set = (scores[OURS] - scores[other]).groupby(level="set")
    means = by_set.mean()
    variances = by_set.agg(corrected_variance) / len(means) ** 2
    freedom = variances.sum() ** 2 / (variances**2 / (by_set.size() - 1)).sum()
    half = stats.t.ppf((1 + level) / 2, freedom) * np.sqrt(variances.sum())
    return means.mean(), means.mean() - half, means.mean() + half


# ------------------------------------------------------------------ report


def accuracy_table(scores):
    """Return the mean of every set and model, best in bold, and the mean over the sets."""
    means = scores.groupby(level="set", sort=False).mean()
    means = means[list(contenders(0))]
    means.loc["**mean**"] = means.mean()
    lines = ["| set | " + " | ".join(means.columns) + " |", "|---|" + "---|" * means.shape[1]]
    for name, row in means.round(3).iterrows():
        cells = [f"**{v:.3f}**" if v == row.max() else f"{v:.3f}" for v in row]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def difference_table(scores):
    """Return the differences to all plain models, with intervals."""
    lines = ["| against | difference of means | 95 % interval |", "|---|---|---|"]
    for name in scores.columns.drop(OURS):
        mean, low, high = difference(scores, name)
        lines.append(f"| {name} | {mean:+.4f} | {low:+.4f} to {high:+.4f} |")
    return "\n".join(lines)


REPORT = """# Accuracy on nine expression sets

Balanced accuracy, mean over {n_seeds} seeds (`python -m benchmarks.accuracy`). A seed draws
the splits (stratified, {n_folds} folds, twice for sets of fewer than {few} samples) and what is
random in the models; seed 0 has the splits of `baselines.md`, where the sets are described.
Every model sees the same splits in the same pipeline: the {genes} genes of largest variance in
the training fold, standardised. Models are at their defaults, but for logistic regression
(1000 iterations), the forest (200 trees) and scikit-learn's MLPClassifier
(as many epochs as ours, 100).

{accuracy}

Difference of our mean over the sets to that of each plain model, with the interval of the
corrected resampled t-test (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366) for each set,
variances of the sets added up:

{differences}

{remarks}

{machine}
{versions}
"""

REMARKS = """On these splits the network comes out level with the linear models: ahead where
there are several classes or outliers (alon, pomeroy, brca_pam50), behind on golub, shipp, singh
and srbct, which a straight line tells apart.

What was tried on the way to the defaults, so that nobody reads the table as untouched by
choice: the units of the hidden layer were compared on these sets. Over five seeds relu gives
.8330 and tanh .8372 (with dropout .5: .8368); bounded units bear the outliers of standardised
genes. On eight sets
(without pbmc3k) and two seeds, where tanh gives .8374 and logistic regression .8404, none of
these was clearly better: cosine schedule .8365, dropout .5 .8394 and .7 .8346, an ensemble of
five seeds .8324, 30 epochs .8340, softsign .8361, asinh .8362, elu .8335, layer normalisation
.8249, a linear path beside the hidden layer (dropout .5) .8315, 512 units (dropout .5) .8330.
In a later run of eight sets and two seeds, where the defaults give .8361 and logistic regression
.8362: mixed samples (mixup) .8265, noise on the genes .8303, a third or a tenth of the learning
rate .8337 and .8325, Adam with an epsilon of 1e-3 or 1e-2, which takes it nearer to plain gradient
descent, .8349 and .8350, batches of 16 with dropout .5 .8361, five seeds with dropout .5 .8337."""


def write_report(scores, path=HERE / "ACCURACY.md"):
    """Write the report."""
    text = REPORT.format(
        n_seeds=N_SEEDS,
        n_folds=N_FOLDS,
        few=FEW,
        genes=MOST_GENES,
        accuracy=accuracy_table(scores),
        differences=difference_table(scores),
        remarks=REMARKS,
        machine=machine(),
        versions=versions(),
    )
    path.write_text(text)
    return path


def main():
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("--scores", type=Path, help="keep the single scores in this CSV file")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", category=ConvergenceWarning)
    scores = measure()
    if arguments.scores:
        scores.to_csv(arguments.scores)
    print(f"Written to {write_report(scores)}")


if __name__ == "__main__":
    main()
