"""Predict one breast-cancer study from two others, after every correction and after none.

``python -m benchmarks.cross_study`` (about five minutes) writes CROSS_STUDY.md and
docs/cross_study.rst. The studies are read from the folder that GENEEXPR_DATA names, else
from ``../shared/data``.
"""

from __future__ import annotations

import argparse
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    BatchWarning,
    ComBatCorrector,
    LinearBatchCorrector,
    MeanCenterCorrector,
    RatioCorrector,
    SurrogateVariableCorrector,
)

from ._cross_study_report import write_report

HERE = Path(__file__).parent
RESULT, DOCS = HERE / "CROSS_STUDY.md", HERE.parent / "docs" / "cross_study.rst"
FOLDER = Path(os.environ.get("GENEEXPR_DATA", HERE.parents[1] / "shared" / "data"))
STUDIES = {"NKI": "nkis", "VDX": "vdxs", "expO": "expos"}
TASKS = {"er": "estrogen receptor, positive against negative", "grade": "grade 3 against 1-2"}
CLASSES = {
    "er": ("ER positive", "ER negative", "ER missing"),
    "grade": ("grade 3", "grade 1-2", "grade missing"),
}
OWN = "own"
MIXES = (0.1, 0.3, 0.5, 0.7, 0.9)
MOST_ROWS = 100


# ------------------------------------------------------------------ the studies


@dataclass
class Study:
    """One study: samples by genes on its own log scale, and its labels (NaN if missing)."""

    X: np.ndarray
    labels: pd.DataFrame


def read_studies():
    """Read the studies on the genes that all of them measure."""
    tables, labels = {}, {}
    folder = FOLDER / "breast_cancer_3studies_genefu"
    for name, file in STUDIES.items():
        values = pd.read_csv(folder / f"{file}_expr.csv.gz", index_col=0)
        genes = pd.read_csv(folder / f"{file}_probes.csv.gz", index_col=0)["EntrezGene.ID"]
        genes = genes.reindex(values.index)
        by_gene = values[genes.notna()].groupby(genes.dropna().astype(int)).mean().T
        tables[name] = by_gene.fillna(by_gene.mean())  # 361 values of NKI
        clinical = pd.read_csv(folder / f"{file}_clinical.csv.gz", index_col=0)
        labels[name] = clinical.reindex(by_gene.index)[["er", "grade"]]
        labels[name]["grade"] = labels[name]["grade"].map({1: 0, 2: 0, 3: 1})
    shared = sorted(set.intersection(*(set(table.columns) for table in tables.values())))
    return {name: Study(tables[name][shared].to_numpy(), labels[name]) for name in STUDIES}


# ------------------------------------------------------------------ the methods


CORRECTORS = {
    "ComBat": ComBatCorrector(),
    "ComBat, non-parametric": ComBatCorrector(parametric=False),
    "ComBat, mean only": ComBatCorrector(mean_only=True),
    "linear (limma)": LinearBatchCorrector(),
    "mean centring": MeanCenterCorrector(),
    "ratio, arithmetic": RatioCorrector(),
    "ratio, geometric": RatioCorrector(mean="geometric"),
}
NONE, PASSED, SVA = "none", "ComBat, new study passed through", "surrogate variables (frozen)"
KNOWN_MIX = ", known mix"
METHODS = (NONE, PASSED, SVA, *CORRECTORS, *(name + KNOWN_MIX for name in CORRECTORS))


def predictor():
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))


def same(X):
    return X


class Fitted:
    """One method fitted on the training studies; predicts samples of a new one."""

    def __init__(self, method, X, y, study):
        self.known_mix = method.endswith(KNOWN_MIX)
        self.before, self.after = same, same
        if method.startswith("ratio"):  # ratios are of intensities, predictors want logarithms
            self.before, self.after = np.exp2, np.log2
        labels = {"batch": study}
        if method == NONE:
            self.model, corrected = None, X
        elif method == SVA:
            self.model = SurrogateVariableCorrector(allow_outcome=True, random_state=0)
            corrected = self.model.fit_transform(X, y)
        else:
            base = ComBatCorrector() if method == PASSED else CORRECTORS[self.base(method)]
            unseen = "passthrough" if method == PASSED else "estimate"
            self.model = type(base)(**{**base.get_params(), "unseen_batch": unseen})
            corrected = self.after(self.model.fit_transform(self.before(X), y, **labels))
        self.row_by_row = method in (NONE, PASSED, SVA)
        self.takes_batch = method not in (NONE, SVA)
        self.predict = predictor().fit(corrected, y)

    @staticmethod
    def base(method):
        return method.removesuffix(KNOWN_MIX)

    def chances(self, X, y):
        """Return the chance of class 1 for samples of the new study; ``y`` tells the mix only."""
        model, labels = self.model, {"batch": ["new"] * len(X)} if self.takes_batch else {}
        if self.known_mix:
            shares = {"1": y.mean(), "0": 1 - y.mean()}
            model = model.adapt(self.before(X), batch="new", class_proportions=shares)
        if model is not None:
            X = self.after(model.transform(self.before(X), **labels))
        return self.predict.predict_proba(X)[:, 1]


# ------------------------------------------------------------------ the measures


def measures(y, chances, weights):
    """Accuracy, Brier score and calibration slope under rows of weights: (3, n_weightings)."""
    total = weights.sum(axis=1)
    accuracy = weights @ ((chances > 0.5) == y) / total
    brier = weights @ (chances - y) ** 2 / total
    return np.array([accuracy, brier, calibration_slope(y, chances, weights)])


def calibration_slope(y, chances, weights, n_steps=12):
    """Slope of the logistic regression of y on the log-odds, one for each row of weights.

    A normal prior of standard deviation 10 keeps it finite where the classes separate.
    """
    x = logit(np.clip(chances, 1e-6, 1 - 1e-6))
    intercept, slope = np.zeros(len(weights)), np.ones(len(weights))
    for _ in range(n_steps):
        p = expit(intercept[:, None] + slope[:, None] * x)
        rest, spread = weights * (y - p), weights * p * (1 - p)
        g0 = rest.sum(axis=1) - intercept / 100
        g1 = rest @ x - slope / 100
        h00, h01, h11 = spread.sum(axis=1) + 0.01, spread @ x, spread @ x**2 + 0.01
        determinant = h00 * h11 - h01**2
        intercept = intercept + np.clip((h11 * g0 - h01 * g1) / determinant, -2, 2)
        slope = slope + np.clip((h00 * g1 - h01 * g0) / determinant, -2, 2)
    return slope


def draws_of(y, share, n_draws, rng):
    """Yield rows of the study that have this share of class 1, as many as it allows."""
    if share == OWN:
        yield np.arange(len(y))
        return
    ones, zeros = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    n = int(min(MOST_ROWS, len(ones) / share, len(zeros) / (1 - share)))
    n_ones = min(len(ones), max(1, round(share * n)))
    for _ in range(n_draws):
        of_ones = rng.choice(ones, n_ones, replace=False)
        yield np.concatenate([of_ones, rng.choice(zeros, n - n_ones, replace=False)])


def bootstrap(y, n_boot, rng):
    """Weights of rows, the first all one, then as often as each was drawn within its class."""
    weights = np.ones((1 + n_boot, len(y)))
    for label in (0, 1):
        own = np.flatnonzero(y == label)
        weights[1:, own] = rng.multinomial(len(own), np.ones(len(own)) / len(own), n_boot)
    return weights


def weights_of(rows, y, weights):
    """Weights of the rows of one draw, each class with the weight of its rows."""
    of_draw = weights[:, rows].copy()
    for label in (0, 1):
        own = y[rows] == label
        total = of_draw[:, own].sum(axis=1, keepdims=True)
        of_draw[:, own] *= own.sum() / np.maximum(total, 1)
    return of_draw


def run_task(studies, task, *, n_draws, n_boot):
    """Return measures of (method, mix): arrays of 3 by 1 + n_boot, the mean over studies."""
    found = {}
    for held_out, study in studies.items():
        train = [name for name in studies if name != held_out]
        labels = {name: s.labels[task].to_numpy(float) for name, s in studies.items()}
        X = np.vstack([studies[name].X[~np.isnan(labels[name])] for name in train])
        y = np.concatenate([labels[name][~np.isnan(labels[name])] for name in train]).astype(int)
        batch = np.repeat(train, [int((~np.isnan(labels[name])).sum()) for name in train])
        there = ~np.isnan(labels[held_out])
        new, truth = study.X[there], labels[held_out][there].astype(int)
        # The same draws and bootstrap samples for all methods, so that they can be compared.
        rng = np.random.default_rng([ord(c) for c in f"{task}{held_out}"])
        weights = bootstrap(truth, n_boot, rng)
        draws = {mix: list(draws_of(truth, mix, n_draws, rng)) for mix in (OWN, *MIXES)}
        for method in METHODS:
            fitted = Fitted(method, X, y, batch)
            for mix, of_mix in predicted(fitted, new, truth, draws).items():
                rows = np.concatenate(draws[mix])
                of_rows = np.hstack([weights_of(r, truth, weights) for r in draws[mix]])
                values = measures(truth[rows], of_mix, of_rows)
                found.setdefault((method, mix), []).append(values)
    return {key: np.mean(of_studies, axis=0) for key, of_studies in found.items()}


def predicted(fitted, new, truth, draws):
    """Chances of class 1 for the rows of all draws of each mix, one after the other."""
    if fitted.row_by_row:
        of_row = fitted.chances(new, truth)
        return {mix: of_row[np.concatenate(rows)] for mix, rows in draws.items()}
    return {
        mix: np.concatenate([fitted.chances(new[r], truth[r]) for r in rows])
        for mix, rows in draws.items()
    }


def label_counts(studies):
    """How many samples each study has, with which labels."""
    rows = []
    for name, study in studies.items():
        row = {"study": name, "samples": len(study.X)}
        for task in TASKS:
            column = study.labels[task]
            one, zero, missing = CLASSES[task]
            row[one], row[zero] = int((column == 1).sum()), int((column == 0).sum())
            row[missing] = int(column.isna().sum())
        rows.append(row)
    return pd.DataFrame(rows)


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cross_study", description=__doc__)
    parser.add_argument("--draws", type=int, default=10, help="samples drawn of each mix")
    parser.add_argument("--boot", type=int, default=200, help="bootstrap samples")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", BatchWarning)  # rows passed through, on purpose
    studies = read_studies()
    results = {
        task: run_task(studies, task, n_draws=arguments.draws, n_boot=arguments.boot)
        for task in TASKS
    }
    n_genes = next(iter(studies.values())).X.shape[1]
    write_report(
        arguments.out,
        docs=DOCS if arguments.out == RESULT else None,
        counts=label_counts(studies),
        n_genes=n_genes,
        results=results,
        tasks=TASKS,
        methods=METHODS,
        mixes=(OWN, *MIXES),
    )
    print(f"Written to {arguments.out}")


if __name__ == "__main__":
    main()
