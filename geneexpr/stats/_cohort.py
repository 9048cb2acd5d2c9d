"""The model of a simulated cohort: known effects, expected counts, drawn counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ._count_sampling import sample_nonzero_counts

# Entries of a block of rows: its few float32 temporaries stay in a processor's cache.
_BLOCK_ENTRIES = 500_000


@dataclass
class CohortModel:
    """Everything that decides the expected counts of a cohort; effects are log2.

    Attributes
    ----------
    length : ndarray of shape (n_genes,)
        Length of each gene in bases.
    abundance : ndarray of shape (n_genes,)
        Expected share of each gene in the counts of a sample; sums to 1.
    dispersion : ndarray of shape (n_genes,)
        Squared biological coefficient of variation.
    n_classes : int
        Number of classes; the first is the reference.
    marks, fold_change : ndarray of shape (n_genes,)
        The class that each gene marks, -1 for none, and its shift in that class.
    batch_location, batch_scale : ndarray of shape (n_batches, n_genes)
        Shift of each gene in each batch, and the factor on its biological coefficient
        of variation there.
    module : ndarray of shape (n_genes,)
        Module of each gene, -1 for none.
    loading : ndarray of shape (n_genes,)
        Shift of each gene for an activity of 1 of its module.
    median_depth : float
        Median of the depths, in counts.
    depth : ndarray of shape (n_samples,)
        Expected total count of each sample before any effect.
    class_index, batch_index, donor_index : ndarray of shape (n_samples,)
        Class, batch and donor of each sample.
    activity : ndarray of shape (n_samples, n_modules)
        Activity of each module in each sample.
    donor_effect : float
        Standard deviation of the shifts shared by the samples of one donor.
    """

    length: np.ndarray
    abundance: np.ndarray
    dispersion: np.ndarray
    n_classes: int
    marks: np.ndarray
    fold_change: np.ndarray
    batch_location: np.ndarray
    batch_scale: np.ndarray
    module: np.ndarray
    loading: np.ndarray
    median_depth: float
    depth: np.ndarray
    class_index: np.ndarray
    batch_index: np.ndarray
    donor_index: np.ndarray
    activity: np.ndarray
    donor_effect: float

    @property
    def shape(self):
        """Number of samples and of genes."""
        return self.depth.size, self.abundance.size


def draw_model(
    rng,
    *,
    n_samples,
    n_genes,
    proportions,
    n_class_genes,
    effect_size,
    batch_location,
    batch_scale,
    n_modules,
    n_module_genes,
    module_strength,
    n_samples_per_donor,
    donor_effect,
    library_size,
    library_size_spread,
    density,
    trend,
):
    """Draw the genes, effects and samples of a cohort.

    Parameters are those of :func:`geneexpr.datasets.make_cohort`, checked, with
    ``proportions`` as a table of batches by classes and ``trend`` the asymptote and the
    extra-Poisson coefficient of the dispersion.

    Returns
    -------
    CohortModel
        The cohort without its counts.
    """
    n_batches, n_classes = proportions.shape
    length = np.clip(rng.lognormal(np.log(2000), 0.8, n_genes), 200, 100_000).round()
    abundance = rng.lognormal(0, 1.8, n_genes) * length
    abundance /= abundance.sum()
    if density is not None:
        spread = np.hypot(library_size_spread, np.log(2) * batch_location * (n_batches > 1))
        library_size = depth_for_density(abundance, trend, density, spread)
    dispersion = mean_dispersion_trend(library_size * abundance, *trend)
    marks, fold_change = _class_effects(abundance, n_classes, n_class_genes, effect_size, rng)
    location, scale = _batch_effects(n_batches, n_genes, batch_location, batch_scale, rng)
    module, loading = _modules(n_genes, n_modules, n_module_genes, module_strength, rng)
    batch, condition, donor = _samples(n_samples, proportions, n_samples_per_donor, rng)
    return CohortModel(
        length=length,
        abundance=abundance,
        dispersion=dispersion * rng.lognormal(0, 0.3, n_genes),
        n_classes=n_classes,
        marks=marks,
        fold_change=fold_change,
        batch_location=location,
        batch_scale=scale,
        module=module,
        loading=loading,
        median_depth=library_size,
        depth=library_size * rng.lognormal(0, library_size_spread, n_samples),
        class_index=condition,
        batch_index=batch,
        donor_index=donor,
        activity=rng.standard_normal((n_samples, n_modules)),
        donor_effect=donor_effect if n_samples_per_donor > 1 else 0.0,
    )


def draw_counts(model, seeds):
    """Draw the counts of a cohort in blocks of rows, non-zero entries only.

    Parameters
    ----------
    model : CohortModel
        The cohort.
    seeds : numpy.random.SeedSequence
        Each block of rows and each donor draws from a child of it.

    Yields
    ------
    block : csr_matrix of shape (n_rows, n_genes)
        Counts of the next rows, as int64.
    """
    n_samples, n_genes = model.shape
    step = max(1, _BLOCK_ENTRIES // n_genes)
    starts = range(0, n_samples, step)
    block_seeds, donor_seeds = seeds.spawn(2)
    n_donors = int(model.donor_index.max()) + 1 if model.donor_effect else 0
    expected = _ExpectedCounts(model, donor_seeds.spawn(n_donors))
    dispersion = model.dispersion * model.batch_scale**2
    for start, seed in zip(starts, block_seeds.spawn(len(starts)), strict=True):
        rows = np.arange(start, min(start + step, n_samples))
        positions, counts = sample_nonzero_counts(
            expected(rows), dispersion, np.random.default_rng(seed), model.batch_index[rows]
        )
        row_ends = np.searchsorted(positions, np.arange(rows.size + 1) * n_genes)
        yield sp.csr_matrix(
            (counts, positions % n_genes, row_ends), shape=(rows.size, n_genes), copy=False
        )


class _ExpectedCounts:
    """Expected counts of any rows of a cohort, as float32."""

    def __init__(self, model, donor_seeds):
        self.model = model
        self.donor_seeds = donor_seeds
        ln2 = np.log(2)
        marked = model.marks == np.arange(model.n_classes)[:, None]
        class_effect = np.where(marked, model.fold_change, 0.0)
        profile = np.log(model.abundance) + ln2 * (
            class_effect[:, None] + model.batch_location[None]
        )
        self.members = np.flatnonzero(model.module >= 0)
        self.loading = ln2 * model.loading[self.members].astype(np.float32)
        # Mean 1 over samples: a module spreads its genes without raising them.
        profile[..., self.members] -= self.loading**2 / 2
        self.profile = profile.astype(np.float32)

    def __call__(self, rows):
        model = self.model
        log_mean = self.profile[model.class_index[rows], model.batch_index[rows]]
        log_mean += np.log(model.depth[rows], dtype=np.float64).astype(np.float32)[:, None]
        if self.members.size:
            activity = model.activity[rows].astype(np.float32)
            log_mean[:, self.members] += activity[:, model.module[self.members]] * self.loading
        if model.donor_effect:
            for row, donor in enumerate(model.donor_index[rows]):
                log_mean[row] += self._donor_shift(donor)
        return np.exp(log_mean, out=log_mean)

    def _donor_shift(self, donor):
        rng = np.random.default_rng(self.donor_seeds[donor])
        shift = rng.standard_normal(self.model.abundance.size, dtype=np.float32)
        return np.float32(self.model.donor_effect * np.log(2)) * shift


def stack_dense(blocks, shape, dtype):
    """Write CSR blocks into one array."""
    X = np.zeros(shape, dtype=dtype)
    start = 0
    for block in blocks:
        X[start : start + block.shape[0]] = block.toarray()
        start += block.shape[0]
    return X


def stack_sparse(blocks, shape, dtype):
    """Join CSR blocks, holding at most one of the joined parts twice."""
    data, indices, row_lengths = [], [], []
    for block in blocks:
        data.append(block.data.astype(dtype))
        indices.append(block.indices.astype(np.int32))
        row_lengths.append(np.diff(block.indptr))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(row_lengths), dtype=np.int64)])
    index_dtype = np.int32 if indptr[-1] < 2**31 else np.int64
    joined_indices = np.concatenate(indices, dtype=index_dtype)
    indices.clear()
    joined_data = np.concatenate(data)
    data.clear()
    return sp.csr_matrix((joined_data, joined_indices, indptr.astype(index_dtype)), shape=shape)


def depth_for_density(abundance, trend, density, spread):
    """Return the median depth at which this share of the entries is non-zero.

    Parameters
    ----------
    abundance : ndarray of shape (n_genes,)
        Expected share of each gene.
    trend : tuple of float
        Asymptote and extra-Poisson coefficient of the dispersion.
    density : float
        Wanted share of non-zero entries, between 0 and 1.
    spread : float
        Standard deviation of the logarithm of the expected counts of a gene over samples.

    Returns
    -------
    float
        The depth, found by bisection on its logarithm.
    """
    # Five-point Gauss-Hermite rule over the log-normal spread of the depths.
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    factors, weights = np.exp(spread * nodes), weights / weights.sum()

    def share(depth):
        dispersion = mean_dispersion_trend(depth * abundance, *trend)
        odds = np.outer(factors, depth * abundance) * dispersion
        return weights @ -np.expm1(-np.log1p(odds) / dispersion).mean(axis=1)

    low, high = 1e-3, 1e15
    for _ in range(100):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if share(middle) < density else (low, middle)
    return high


def mean_dispersion_trend(mean, asymptote, extra_poisson):
    """Return the dispersion of genes with these mean counts: ``asymptote + extra / mean``.

    The trend is that of DESeq2 (Love et al. 2014, doi 10.1186/s13059-014-0550-8), and so
    is the upper limit of 10.
    """
    return np.clip(asymptote + extra_poisson / np.maximum(mean, 1e-12), 1e-8, 10.0)


def _class_effects(abundance, n_classes, n_class_genes, effect_size, rng):
    """Return the class that each gene marks (-1 for none) and its log2 fold change."""
    n_genes = abundance.size
    marks, fold_change = np.full(n_genes, -1), np.zeros(n_genes)
    if n_classes == 1:
        return marks, fold_change
    n_eligible = max(n_class_genes, n_genes // 2)
    eligible = np.argsort(-abundance, kind="stable")[:n_eligible]
    genes = rng.choice(eligible, n_class_genes, replace=False)
    marks[genes] = 1 + np.arange(n_class_genes) % (n_classes - 1)
    sign = rng.choice([-1.0, 1.0], n_class_genes)
    fold_change[genes] = sign * effect_size * rng.uniform(0.5, 1.5, n_class_genes)
    return marks, fold_change


def _batch_effects(n_batches, n_genes, location, scale, rng):
    """Return log2 shifts (centred over batches) and factors, batches by genes."""
    if n_batches == 1:
        return np.zeros((1, n_genes)), np.ones((1, n_genes))
    shift = location * rng.standard_normal((n_batches, n_genes))
    log_factor = scale * (
        rng.standard_normal((n_batches, 1)) + 0.5 * rng.standard_normal((n_batches, n_genes))
    )
    return shift - shift.mean(axis=0), np.exp(log_factor)


def _modules(n_genes, n_modules, n_module_genes, strength, rng):
    """Return the module of each gene (-1 for none) and its loading, of either sign."""
    module, loading = np.full(n_genes, -1), np.zeros(n_genes)
    if n_modules:
        genes = rng.choice(n_genes, n_module_genes, replace=False)
        module[genes] = np.arange(n_module_genes) % n_modules
        sign = rng.choice([-1.0, 1.0], n_module_genes, p=[0.2, 0.8])
        loading[genes] = sign * strength * rng.uniform(0.5, 1.5, n_module_genes)
    return module, loading


def _samples(n_samples, proportions, n_samples_per_donor, rng):
    """Return batch, class and donor of each sample, rows shuffled."""
    n_batches, n_classes = proportions.shape
    batch = np.arange(n_samples) * n_batches // n_samples
    condition = np.concatenate(
        [_apportion(n, share) for n, share in zip(np.bincount(batch), proportions, strict=True)]
    )
    cell = batch * n_classes + condition
    # Rows are ordered by cell here: donors are runs inside a cell.
    first = np.searchsorted(cell, cell)
    run = (np.arange(n_samples) - first) // n_samples_per_donor
    donor = np.unique(np.stack([cell, run]), axis=1, return_inverse=True)[1].ravel()
    order = rng.permutation(n_samples)
    return batch[order], condition[order], donor[order]


def _apportion(n, shares):
    """Return n class indices, ordered, in these shares by the largest remainder."""
    counts = np.floor(n * shares).astype(int)
    largest = np.argsort(-(n * shares - counts), kind="stable")[: n - counts.sum()]
    counts[largest] += 1
    return np.repeat(np.arange(shares.size), counts)
