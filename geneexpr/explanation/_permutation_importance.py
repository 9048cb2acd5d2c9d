"""How much worse a model predicts once the genes of a group say nothing, all of them together."""

from functools import partial

import numpy as np
import pandas as pd
import scipy.sparse as sp
from joblib import Parallel, delayed
from scipy.stats import t as student
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from .._blocks import map_rows
from .._containers import gene_names, like, name_some
from .._validation import check_number, labels_of
from ._exchange import columns_of, matrices_of, rows_spread, with_columns
from ._gene_modules import correlated_modules, name_modules
from ._gene_sets import check_gene_sets, locate

_MODULE_ROWS = 1000
"""Samples that modules are formed from, at most."""
_OF_TREES = ("tree_", "estimators_", "get_booster", "booster_")
"""What tells a model of trees, whose importances are of impurity or gain, from a network."""


def grouped_permutation_importance(
    pipeline,
    X,
    y,
    *,
    groups="modules",
    scoring=None,
    n_repeats=10,
    batch_key=None,
    batch=None,
    correlation=0.7,
    confidence=0.95,
    random_state=0,
    n_jobs=None,
):
    r"""Measure how much worse a model predicts once the genes of a group are shuffled together.

    The rows of a group's genes are exchanged as a whole: the genes stay in line with one
    another and lose touch with ``y`` and with all other genes [1]_. Genes that are correlated
    stand in for each other when they are shuffled one by one, so that each seems dispensable
    [2]_; a group that holds them together shows what they are worth. Annotations are never
    shuffled, so that corrections by batch go on as before; layers of an AnnData are shuffled
    alike.

    Give samples that the model was not trained on: on training samples the numbers say what
    it has memorised. Sparse stays sparse; what is on disk is shuffled lazily and read in
    blocks, with the genes of one group in memory. ``(groups * n_repeats + 1)`` predictions of X
    are made, so give sets, or ``n_jobs``, where there are thousands of modules.

    Parameters
    ----------
    pipeline : fitted estimator or Pipeline
    X : {array, sparse matrix, DataFrame, AnnData} of shape (n_samples, n_genes)
        As the pipeline takes it.
    y : array-like of shape (n_samples,)
    groups : mapping of str to iterable of genes, "modules" or None, default="modules"
        Gene sets, which may overlap; genes that X lacks are ignored. "modules" forms groups of
        genes correlated in X, named after their leading gene; every gene that varies is in one.
        None makes every gene a group of its own.
    scoring : str or callable, optional
        As in scikit-learn, such as ``"roc_auc"``; by default the pipeline's own ``score``.
    n_repeats : int, default=10
        Shuffles of each group.
    batch_key : str, optional
        An annotation, such as a batch or a donor, within whose levels rows change places, so
        that what is lost is not that a sample got values of another laboratory.
    batch : array-like of shape (n_samples,), optional
        Its labels, for arrays, which carry no annotations.
    correlation : float, default=0.7
        For "modules": the absolute correlation with its leading gene from which on a gene
        joins a module (in up to 1 000 samples). The leading gene is the one of highest
        impurity importance left, or of highest variance where the model has none.
    confidence : float, default=0.95
        Level of the interval.
    random_state : int, RandomState or None, default=0
    n_jobs : int, optional
        Processes, as in joblib.

    Returns
    -------
    DataFrame
        Indexed by ``group``, most important first: ``n_genes``, ``mean`` and ``std`` over the
        shuffles of score lost, ``low`` and ``high``: Student's interval of the mean.
        It says how well the shuffles pin the number down, not how it would vary with other
        samples. ``impurity``: the sum of the group's ``feature_importances_``, where
        the last step has them and its features are genes (0 for genes that did not reach it).
        ``genes``: a list.

    Raises
    ------
    NotFittedError
        If the pipeline is not fitted.
    ValueError
        For gene sets without gene names in X, and if no set has a gene in X.

    References
    ----------
    .. [1] Au et al. (2022), "Grouped feature importance and combined features effect plot",
       doi:10.1007/s10618-022-00840-5; shuffling by Breiman (2001), "Random forests",
       doi:10.1023/A:1010933404324.
    .. [2] Strobl et al. (2008), "Conditional variable importance for random forests",
       doi:10.1186/1471-2105-9-307.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> from geneexpr import grouped_permutation_importance
    >>> rng = np.random.default_rng(0)
    >>> signal = rng.normal(size=(80, 1))
    >>> values = np.hstack([signal + 0.1 * rng.normal(size=(80, 3)), rng.normal(size=(80, 2))])
    >>> X = pd.DataFrame(values, columns=["MYC", "NCL", "NPM1", "ACTB", "GAPDH"])
    >>> y = signal[:, 0] > 0
    >>> model = RandomForestClassifier(random_state=0).fit(X, y)
    >>> sets = {"MYC targets": ["MYC", "NCL", "NPM1"], "house": ["ACTB", "GAPDH"]}
    >>> table = grouped_permutation_importance(model, X, y, groups=sets, random_state=0)
    >>> table.index.tolist(), bool(table["mean"].iloc[0] > 0.3)
    (['MYC targets', 'house'], True)
    >>> alone = grouped_permutation_importance(model, X, y, groups=None)
    >>> bool(alone["mean"].max() < 0.3)
    True
    """
    check_number("n_repeats", n_repeats, least=2, whole=True)
    check_number("correlation", correlation, above=0, most=1)
    check_number("confidence", confidence, above=0, below=1)
    check_is_fitted(pipeline)
    X = X if hasattr(X, "shape") else np.asarray(X)
    scorer = check_scoring(pipeline, scoring=scoring)
    impurity = impurity_of_genes(pipeline, X.shape[1])
    names = _names(X)
    groups = _groups(groups, X, names, impurity, correlation)
    seed = check_random_state(random_state).randint(2**31 - 1)
    # A generator of its own for each group, so that the result does not depend on n_jobs.
    seeds = np.random.SeedSequence(seed).spawn(len(groups))
    labels = labels_of(X, batch_key, batch)
    codes = np.zeros(X.shape[0], dtype=int) if labels is None else pd.factorize(labels)[0]
    score = partial(_shuffled_scores, pipeline, X, y, scorer, codes, n_repeats)
    before = float(scorer(pipeline, X, y))
    after = Parallel(n_jobs=n_jobs)(
        delayed(score)(genes, seed) for genes, seed in zip(groups.values(), seeds, strict=True)
    )
    table = _summary(before - np.array(after), confidence)
    table.insert(0, "n_genes", [len(genes) for genes in groups.values()])
    if impurity is not None:
        table["impurity"] = [float(impurity[genes].sum()) for genes in groups.values()]
    table["genes"] = [names[genes].tolist() for genes in groups.values()]
    table.index = pd.Index(list(groups), name="group", dtype=object)
    return table.sort_values("mean", ascending=False, kind="stable")


# ------------------------------------------------------------------ shuffling


def _shuffled_scores(pipeline, X, y, scorer, codes, n_repeats, genes, seed):
    """Return the score after each shuffle of a group's genes, within the levels of a batch."""
    rng = np.random.default_rng(seed)
    matrices = matrices_of(X)
    columns = {key: columns_of(matrix, genes) for key, matrix in matrices.items()}
    scores = []
    for _ in range(n_repeats):
        order = _order_within(codes, rng)
        new = {
            key: map_rows(matrix, partial(_exchange, genes), columns[key][order])
            for key, matrix in matrices.items()
        }
        rows = like(X, new.pop(None))
        for key, layer in new.items():
            rows.layers[key] = layer
        scores.append(float(scorer(pipeline, rows, y)))
    return scores


def _order_within(codes, rng):
    order = np.arange(len(codes))
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        order[rows] = rng.permutation(rows)
    return order


def _exchange(genes, block, new):
    return with_columns(block, genes, new)


def _summary(lost, confidence):
    """Return mean, standard deviation and interval of each row of losses."""
    n_repeats = lost.shape[1]
    mean, deviation = lost.mean(axis=1), lost.std(axis=1, ddof=1)
    half = student.ppf((1 + confidence) / 2, n_repeats - 1) * deviation / np.sqrt(n_repeats)
    return pd.DataFrame({"mean": mean, "std": deviation, "low": mean - half, "high": mean + half})


# ------------------------------------------------------------------ groups


def _names(X):
    found = gene_names(X)
    return np.asarray([f"x{i}" for i in range(X.shape[1])], object) if found is None else found


def _groups(groups, X, names, impurity, correlation):
    """Return the positions of each group's genes, by name."""
    if groups is None:
        return {name: np.array([i]) for i, name in enumerate(names)}
    if isinstance(groups, str):
        if groups != "modules":
            raise ValueError(
                f'groups must be None, "modules" or a mapping of names to genes; got {groups!r}.'
            )
        return _modules(X, names, impurity, correlation)
    sets = check_gene_sets(groups)
    if gene_names(X) is None:
        raise ValueError(
            "groups name genes, but X has no gene names. Give X as a DataFrame or an AnnData."
        )
    found = locate(sets, names)
    parts = np.split(found.genes, np.cumsum(found.sizes)[:-1])
    located = {name: part for name, part in zip(found.names, parts, strict=True) if len(part)}
    if not located:
        some = [gene for genes in sets.values() for gene in genes]
        raise ValueError(
            f"None of {len(sets)} groups has a gene in X: they name {name_some(some, 3)}, X has "
            f"{name_some(names, 3)}. Are these identifiers of the same kind?"
        )
    return located


def _modules(X, names, impurity, correlation):
    """Group the genes that are correlated in X, around the most important ones."""
    rows = rows_spread(matrices_of(X)[None], _MODULE_ROWS)
    rows = (rows.toarray() if sp.issparse(rows) else rows).astype(np.float32)
    spread = rows.std(axis=0)
    spread = spread / max(spread.max(), np.finfo(np.float64).tiny)
    # A constant gene leads and joins nothing; shuffling it changes nothing either.
    rank = spread if impurity is None else impurity + 1e-6 * spread
    modules = correlated_modules(
        rows, np.where(spread > 0, rank, 0), threshold=correlation, max_modules=len(names)
    )
    if not modules:
        raise ValueError(f"All {len(names)} genes are constant in X: there are no modules.")
    return name_modules(modules, names)


# ------------------------------------------------------------------ a forest's own importance


def impurity_of_genes(model, n_genes):
    """Return the importance that a fitted model of trees gives each gene, where it says.

    Parameters
    ----------
    model : fitted estimator or Pipeline
        Or a search around one.
    n_genes : int
        Genes that it was fitted on.

    Returns
    -------
    array of shape (n_genes,) or None
        None where the last step is no model of trees, or its features are not genes.

    Examples
    --------
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> impurity_of_genes(DecisionTreeClassifier().fit([[0, 0], [0, 1]], [0, 1]), 2)
    array([0., 1.])
    """
    model = getattr(model, "best_estimator_", model)
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    if not any(hasattr(steps[-1], name) for name in _OF_TREES):
        return None
    own = getattr(steps[-1], "feature_importances_", None)
    if own is None:
        return None
    names = getattr(steps[0], "feature_names_in_", None)
    names = np.asarray([f"x{i}" for i in range(n_genes)], object) if names is None else names
    places = pd.Index(names).get_indexer(_names_after(steps[:-1], names))
    if len(places) != len(own) or (places < 0).any():
        return None
    spread = np.zeros(n_genes)
    spread[places] = own
    return spread


def _names_after(steps, names):
    """Return the names of the features that the last step sees; none where a step is silent."""
    for step in steps:
        if isinstance(step, str) or step is None:
            continue
        if not hasattr(step, "get_feature_names_out"):
            return []
        names = step.get_feature_names_out(names)
    return names
