"""Run the whole job on one cohort; what comes out is all that figures and report need."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import study
from explain import Explanation, explain
from scores import Predictions
from sklearn.decomposition import PCA

N_PCA_GENES = 500


@dataclass
class Run:
    """One pass over a cohort: nested cross-validation, the chosen pipeline, its external test.

    Parameters
    ----------
    nested : dict of str to Predictions
    chosen_outside : list of str
        What the search chose in each outer part.
    found : GridSearchCV
        The search on all training samples.
    external : dict of str to Predictions
        On new donors, by the way in which the new batch was met; empty without one.
    external_shared : dict of str to Predictions
        The same with the donors that training has seen.
    warned : dict of str to list of str
    explanation : Explanation
    """

    nested: dict[str, Predictions]
    chosen_outside: list[str]
    found: object
    explanation: Explanation
    external: dict[str, Predictions] = field(default_factory=dict)
    external_shared: dict[str, Predictions] = field(default_factory=dict)
    warned: dict[str, list[str]] = field(default_factory=dict)

    @property
    def result(self):
        """Out-of-fold predictions of what the search chose."""
        return self.nested["chosen by the search"]

    @property
    def pipeline(self):
        """The chosen candidate, fitted on all training samples."""
        return self.found.best_estimator_

    @property
    def headline(self):
        """The way to meet the new batch that goes with the chosen candidate."""
        return study.way_of(self.found.best_params_)


@dataclass
class Scatter:
    """Principal components before and after correction; training samples span them."""

    before: np.ndarray
    after: np.ndarray
    share_before: np.ndarray
    share_after: np.ndarray


@dataclass
class Results:
    """Everything that was found."""

    cohort: object
    run: Run
    permuted: list[Predictions]
    without: Run | None
    scatter: Scatter
    seconds: dict[str, float] = field(default_factory=dict)


def n_steps(cohort):
    """Return how many times :func:`run_job` ticks."""
    one = study.N_OUTER + 2
    return one * (2 if cohort.left_out else 1) + study.N_PERMUTATIONS + 1


def run_job(cohort, progress):
    """Run everything.

    Parameters
    ----------
    cohort : Cohort
    progress : tqdm or the like
        ``set_description`` and ``update`` are called.

    Returns
    -------
    Results
    """
    seconds = {}

    @contextmanager
    def stage(name):
        progress.set_description(name)
        start = time.perf_counter()
        yield
        seconds[name] = round(time.perf_counter() - start, 1)

    run = _one_run(cohort, stage, progress, "")
    with stage("permuted labels"):
        rows = study.rows_of(cohort, cohort.is_training)
        candidate = study.clone(run.found.estimator).set_params(**run.found.best_params_)
        permuted = study.permuted_within_batches(cohort, rows, candidate, tick=progress.update)
    without = None
    if cohort.left_out:
        rest = study.without_genes(cohort, cohort.gene_sets[cohort.left_out])
        # The same model, so that only the genes differ; its settings are searched anew.
        grid = study.grid_of_family(rest, run.found.best_params_)
        without = _one_run(rest, stage, progress, f" without {cohort.left_out} genes", grid=grid)
    with stage("principal components"):
        scatter = _scatter(cohort)
        progress.update()
    return Results(cohort, run, permuted, without, scatter, seconds)


def _one_run(cohort, stage, progress, suffix, grid=None):
    rows = study.rows_of(cohort, cohort.is_training)
    with stage(f"nested cross-validation{suffix}"):
        nested, chosen = study.nested_cross_validation(
            cohort, rows, grid=grid, tick=progress.update
        )
    with stage(f"search on all training samples{suffix}"):
        found = study.search(cohort, rows, grid=grid)
        progress.update()
    with stage(f"external test and SHAP values{suffix}"):
        run = Run(nested, chosen, found, _explained(cohort, found.best_estimator_, rows))
        if cohort.external is not None:
            _test_external(cohort, rows, run)
        progress.update()
    return run


def _explained(cohort, pipeline, rows):
    counts = rows.counts
    return explain(pipeline, counts, counts)


def _test_external(cohort, rows, run):
    """Predict the external batch, once, each way."""
    new = study.rows_of(cohort, cohort.is_external & ~cohort.is_shared)
    every = study.rows_of(cohort, cohort.is_external)
    for way, model in study.external_models(cohort, rows, run.found.best_params_).items():
        run.external[way], run.warned[way] = study.predict_external(model, new)
        if cohort.is_shared.any():
            run.external_shared[way], _ = study.predict_external(model, every)


def _scatter(cohort):
    """Project all samples on the components of the training samples, twice."""
    training = study.rows_of(cohort, cohort.is_training)
    pipeline = study.build_pipeline(cohort)
    pipeline.set_params(
        correct__unseen_batch="estimate", variable__n_genes=N_PCA_GENES, scale="passthrough"
    )
    coordinates = {}
    for when, step in {"before": "passthrough", "after": pipeline.named_steps["correct"]}.items():
        made = study.clone(pipeline[:-1]).set_params(correct=step)
        components = PCA(2, svd_solver="full").fit(made.fit_transform(training.counts, training.y))
        masks = [cohort.is_training, cohort.is_external]
        at = np.zeros((cohort.adata.n_obs, 2))
        for mask in masks:
            if mask.any():
                at[mask] = components.transform(made.transform(study.rows_of(cohort, mask).counts))
        coordinates[when] = at, components.explained_variance_ratio_
    (before, share_before), (after, share_after) = coordinates["before"], coordinates["after"]
    return Scatter(before, after, share_before, share_after)
