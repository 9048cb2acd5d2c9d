"""The pipeline, its search, and the ways in which it is put to the test."""

import warnings
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from scores import Predictions, macro_auc
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    AutoencoderEmbedder,
    BatchWarning,
    ComBatCorrector,
    LogTransformer,
    LowExpressionFilter,
    OnMatrix,
    ToArray,
    TorchMLPClassifier,
    TPMNormalizer,
    VarianceFilter,
)

N_OUTER, N_INNER = 5, 3
N_PERMUTATIONS = 40
N_JOBS = 2
N_GENES = (500, 2000)

LOGISTIC, AUTOENCODER, MLP = "logistic regression", "autoencoder + logistic", "MLP"
NONE, COMBAT = "no correction", "ComBat"


# ------------------------------------------------------------------ the pipeline and its grid


def build_pipeline(cohort):
    """Return the one pipeline: from counts with annotations to a class."""
    return Pipeline(
        [
            ("expressed", LowExpressionFilter(condition="y")),
            ("tpm", TPMNormalizer(gene_lengths=None if cohort.equal_lengths else "length")),
            ("log", LogTransformer()),
            ("correct", ComBatCorrector(batch_key=cohort.batch)),
            ("variable", VarianceFilter(n_genes=N_GENES[0])),
            ("scale", OnMatrix(StandardScaler())),
            ("array", ToArray()),
            ("model", LogisticRegression()),
        ]
    )


def build_grid(cohort):
    """Return what the search compares: three models, each with and without correction."""
    two = len(np.unique(cohort.column(cohort.label))) == 2
    # An L1 penalty suits a signal in few genes; its fast solver knows two classes only.
    sparse = {"l1_ratio": 1, "solver": "liblinear", "random_state": 0}
    logistic = LogisticRegression(**(sparse if two else {"max_iter": 2000}))
    autoencoder = make_pipeline(
        AutoencoderEmbedder(
            n_components=16, hidden_layers=(64,), max_epochs=40, batch_size=32, random_state=0
        ),
        StandardScaler(),
        LogisticRegression(max_iter=2000),
    )
    mlp = TorchMLPClassifier(
        hidden_layers=(64,), max_epochs=30, batch_size=32, early_stopping=False, random_state=0
    )
    # First comes what wins a tie: nothing corrected, few genes.
    corrected = {"correct": ["passthrough", ComBatCorrector(batch_key=cohort.batch)]}
    # A network has a weight for every gene, so it gets the shorter list only.
    numbers = gene_numbers(cohort)
    few, either = {"variable__n_genes": numbers[:1]}, {"variable__n_genes": numbers}
    return [
        {"model": [logistic], "model__C": [0.1, 1.0] if two else [0.001, 0.01]}
        | corrected
        | either,
        {"model": [autoencoder]} | corrected | few,
        {"model": [mlp]} | corrected | few,
    ]


def gene_numbers(cohort):
    """Return the numbers of genes to choose from, as far as there are so many."""
    n_genes = cohort.adata.n_vars
    return [n for n in N_GENES if n < n_genes] or [n_genes]


def grid_of_family(cohort, params):
    """Return the part of the grid that holds the model of a candidate."""
    return [
        part for part in build_grid(cohort) if family({"model": part["model"][0]}) == family(params)
    ]


def family(params):
    """Name the model of a candidate."""
    kinds = {LogisticRegression: LOGISTIC, Pipeline: AUTOENCODER, TorchMLPClassifier: MLP}
    return kinds[type(params["model"])]


def correction(params):
    """Name the correction of a candidate."""
    return NONE if params["correct"] == "passthrough" else COMBAT


def describe(params):
    """Say in words what a candidate is."""
    strength = f", C = {params['model__C']:g}" if "model__C" in params else ""
    genes = f"{params['variable__n_genes']:,} most variable genes"
    return f"{family(params)}{strength}, {genes}, {correction(params)}"


def donor_folds(cohort, rows, n_splits, seed=0):
    """Split rows so that no donor stands on both sides, and every fold is alike.

    Donors are dealt to the folds like cards, sorted by batch and class: a batch of k donors
    has at most ``ceil(k / n_splits)`` of them in one fold, so none loses a whole batch.

    Returns
    -------
    list of (train, test)
        Positions within ``rows``.
    """
    donors, labels, batches = (
        cohort.column(key)[rows] for key in (cohort.donor, cohort.label, cohort.batch)
    )
    names, first, which = np.unique(donors, return_index=True, return_inverse=True)
    shuffle = np.random.default_rng(seed).permutation(len(names))
    order = shuffle[np.lexsort((labels[first][shuffle], batches[first][shuffle]))]
    fold = np.empty(len(names), dtype=int)
    fold[order] = np.arange(len(names)) % n_splits
    fold = fold[which]
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(n_splits)]


# ------------------------------------------------------------------ fitting and predicting


@dataclass
class Rows:
    """Some samples of a cohort, as a model sees them."""

    cohort: object
    where: np.ndarray

    @property
    def counts(self):
        """The annotated counts of these samples."""
        return self.cohort.adata[self.where].copy()

    @property
    def y(self):
        """Their classes."""
        return self.cohort.column(self.cohort.label)[self.where]

    def __getitem__(self, positions):
        return Rows(self.cohort, self.where[positions])

    def __len__(self):
        return len(self.where)

    def predictions(self, probabilities, classes, y=None):
        """Put a model's answers beside the truth and the donors."""
        column = {
            key: self.cohort.column(key)[self.where]
            for key in (self.cohort.donor, self.cohort.batch)
        }
        return Predictions(
            y=self.y if y is None else y,
            probabilities=probabilities,
            classes=classes,
            donors=column[self.cohort.donor],
            batches=column[self.cohort.batch],
            samples=self.cohort.adata.obs_names[self.where].to_numpy(),
        )

    def predict(self, model):
        """Return what a fitted model says of these samples."""
        return self.predictions(model.predict_proba(self.counts), model.classes_)


def rows_of(cohort, mask):
    """Return the samples that a mask selects."""
    return Rows(cohort, np.flatnonzero(mask))


def fit_and_predict(pipeline, train, test, y=None):
    """Fit on some samples, return the probabilities of others."""
    model = clone(pipeline).fit(train.counts, train.y if y is None else y)
    return model.predict_proba(test.counts)


def cross_predict(pipeline, rows, folds, y=None):
    """Return out-of-fold predictions of one candidate, with labels of one's own if given."""
    y = rows.y if y is None else y
    classes = np.unique(y)
    probabilities = np.zeros((len(rows), len(classes)))
    for train, test in folds:
        probabilities[test] = fit_and_predict(pipeline, rows[train], rows[test], y[train])
    return rows.predictions(probabilities, classes, y)


# ------------------------------------------------------------------ the search, nested


def auc_and_log_loss(model, counts, y):
    """Score a fitted candidate by both measures, with one pass through the pipeline."""
    probabilities = model.predict_proba(counts)
    return {
        "auc": float(macro_auc(y, probabilities, model.classes_)[0]),
        "log_loss": -log_loss(y, probabilities, labels=model.classes_),
    }


def search(cohort, rows, *, grid=None):
    """Search the grid by donor-disjoint cross-validation within these samples."""
    return GridSearchCV(
        build_pipeline(cohort),
        build_grid(cohort) if grid is None else grid,
        scoring=auc_and_log_loss,
        # AUC ties at 1 where the classes separate; the log loss still tells candidates apart.
        refit="log_loss",
        cv=donor_folds(cohort, rows.where, N_INNER, seed=1),
        n_jobs=N_JOBS,
        error_score="raise",
    ).fit(rows.counts, rows.y)


def best_of(found, keep):
    """Return the index of the best candidate among those that ``keep`` accepts."""
    ranked = np.argsort(found.cv_results_["rank_test_log_loss"], kind="stable")
    return next(i for i in ranked if keep(found.cv_results_["params"][i]))


def variants_of(found):
    """Return the candidate that stands for each line of the comparison."""
    variants = {"chosen by the search": found.best_index_}
    for kind in (family, correction):
        names = dict.fromkeys(kind(params) for params in found.cv_results_["params"])
        if len(names) > 1:
            for name in names:
                variants[f"{name} only"] = best_of(
                    found, lambda params, kind=kind, name=name: kind(params) == name
                )
    return variants


def nested_cross_validation(cohort, rows, *, grid=None, tick=lambda: None):
    """Search within each outer training part, predict its test part.

    The comparison costs no further search: within each outer part, the best candidate of
    each kind is refitted and predicts the same test part.

    Parameters
    ----------
    cohort : Cohort
    rows : Rows
    grid : list of dict, optional
    tick : callable
        Called after each outer part.

    Returns
    -------
    predictions : dict of str to Predictions
        Out-of-fold, by line of the comparison; "chosen by the search" is the result.
    chosen : list of str
        What the search chose in each outer part.
    """
    classes = np.unique(rows.y)
    probabilities, chosen = {}, []
    for train, test in donor_folds(cohort, rows.where, N_OUTER):
        found = search(cohort, rows[train], grid=grid)
        chosen.append(describe(found.best_params_))
        variants = variants_of(found)
        others = sorted(set(variants.values()) - {found.best_index_})
        refits = Parallel(n_jobs=N_JOBS)(
            delayed(fit_and_predict)(
                clone(found.estimator).set_params(**found.cv_results_["params"][i]),
                rows[train],
                rows[test],
            )
            for i in others
        )
        answers = dict(zip(others, refits, strict=True))
        answers[found.best_index_] = found.predict_proba(rows[test].counts)
        for name, candidate in variants.items():
            table = probabilities.setdefault(name, np.zeros((len(rows), len(classes))))
            table[test] = answers[candidate]
        tick()
    return {n: rows.predictions(p, classes) for n, p in probabilities.items()}, chosen


def permute_labels(cohort, rows, rng):
    """Permute the labels within batches; those of a donor stay together where they agree."""
    truth = rows.y
    donors, batches = (cohort.column(key)[rows.where] for key in (cohort.donor, cohort.batch))
    _, first, which = np.unique(donors, return_index=True, return_inverse=True)
    if not (truth[first][which] == truth).all():
        first, which = np.arange(len(truth)), np.arange(len(truth))
    units = truth[first]
    for batch in np.unique(batches):
        inside = np.flatnonzero(batches[first] == batch)
        units[inside] = units[rng.permutation(inside)]
    return units[which]


def permuted_within_batches(cohort, rows, pipeline, *, tick=lambda: None):
    """Cross-validate one candidate on labels permuted among the donors of each batch.

    Returns
    -------
    list of Predictions
        Against the permuted labels, one a permutation.
    """
    folds = donor_folds(cohort, rows.where, N_OUTER)
    rng = np.random.default_rng(2)
    shuffled = [permute_labels(cohort, rows, rng) for _ in range(N_PERMUTATIONS)]
    runs = Parallel(n_jobs=N_JOBS, return_as="generator")(
        delayed(cross_predict)(pipeline, rows, folds, y) for y in shuffled
    )
    made = []
    for run in runs:
        made.append(run)
        tick()
    return made


# ------------------------------------------------------------------ the external test


EXTERNAL_WAYS = {
    "trained uncorrected": None,
    "ComBat, new batch passed through": "passthrough",
    "ComBat, new batch estimated": "estimate",
}


def external_models(cohort, rows, params):
    """Fit the chosen candidate on all training samples, for each way to meet a new batch."""
    models = {}
    for way, unseen in EXTERNAL_WAYS.items():
        step = (
            "passthrough"
            if unseen is None
            else ComBatCorrector(batch_key=cohort.batch, unseen_batch=unseen)
        )
        candidate = clone(build_pipeline(cohort)).set_params(**clone(params, safe=False))
        models[way] = candidate.set_params(correct=step).fit(rows.counts, rows.y)
    return models


def predict_external(model, rows):
    """Predict samples of an unseen batch; return the predictions and what was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BatchWarning)
        predictions = rows.predict(model)
    return predictions, [str(w.message) for w in caught]


def way_of(params):
    """Name the external way of the chosen candidate, fixed before anything is predicted."""
    ways = list(EXTERNAL_WAYS)
    return ways[0] if correction(params) == NONE else ways[2]


def without_genes(cohort, genes):
    """Return the cohort without some genes."""
    from dataclasses import replace

    keep = ~cohort.adata.var_names.isin(list(genes))
    return replace(cohort, adata=cohort.adata[:, keep].copy())
