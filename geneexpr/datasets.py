"""Simulated cohorts with known truth, and public data read once and checked."""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from .stats._cohort import draw_counts, draw_model, stack_dense, stack_sparse

__all__ = ["DatasetUnavailableError", "fetch_hapmap_lcl", "make_cohort"]

_HAPMAP_LABS = ("Pickrell", "Montgomery", "Cheung")
_HAPMAP_URL = (
    "https://raw.githubusercontent.com/bioc/tweeDEseqCountData/"
    "25ac306fbf1a9073ef84aa66dcf3f47e9315dfaf/data/"
)
_HAPMAP_SHA256 = {
    "annotEnsembl63.rda": "cf6c9f30a2d02921bdfcb2ce5bdcac161c869e5d2a2a1df492cfdf0cc3e62ad0",
    "cheung.rda": "ec9fd7e40445bc1c310eca6697627f95a821b1edf13c033eaf4264d1874ab335",
    "genderGenes.rda": "1b1e41d6a4303041b2da368115a26a4f0402925fdc29368fc18eaf515ffa00b9",
    "montgomery.rda": "4817c003fec8f3c7a9167e13a48362536c803c96bfc7c19e76230bba48f0c9c9",
    "pickrell.rda": "4245c2b456dcb1b4e63240059e7bded1393dcec0f5452959f19dc511749bd613",
}


class DatasetUnavailableError(OSError):
    """A data set is neither in the local folder nor can it be downloaded."""


def make_cohort(
    n_samples=100,
    n_genes=1000,
    *,
    n_classes=2,
    n_batches=1,
    n_class_genes=None,
    effect_size=1.0,
    class_proportions=None,
    batch_location=0.5,
    batch_scale=0.2,
    n_modules=5,
    n_module_genes=None,
    module_strength=0.5,
    n_samples_per_donor=1,
    donor_effect=0.3,
    library_size=None,
    library_size_spread=0.3,
    density=None,
    dispersion=0.1,
    extra_poisson=1.0,
    sparse=False,
    dtype=np.float64,
    random_state=None,
):
    r"""Simulate RNA-seq counts of a cohort whose every effect is known.

    The count of gene *g* in sample *i* is negative binomial with mean

    .. math::
        \mu_{ig} = d_i\, a_g\, 2^{\beta_{g,c(i)} + \gamma_{g,b(i)} + w_g z_{i,m(g)} + u_{g,k(i)}}

    (depth *d*, abundance *a*, class effect β, batch location γ, loading *w* on the
    activity *z* of the gene's module, donor effect *u*) and dispersion
    :math:`\phi_g \delta_{g,b(i)}^2` (batch scale δ). Dispersions scatter around the trend
    ``dispersion + extra_poisson / mean`` that Love et al. (2014, doi
    10.1186/s13059-014-0550-8) found in real data. Abundances are log-normal times gene
    length. Counts are drawn in blocks of rows, and only where they can be non-zero, so
    the same cohort comes out dense or sparse and the sparse one is never dense.

    Parameters
    ----------
    n_samples, n_genes : int, default=100, 1000
        Size of the cohort.
    n_classes, n_batches : int, default=2, 1
        Number of classes and of batches. Batches are equally large; the rows are
        shuffled.
    n_class_genes : int, default=None
        Number of genes whose expression depends on the class, chosen from the more
        abundant half; by default 5 % of the genes, at least one. The first class is the
        reference; each class gene marks one of the others.
    effect_size : float, default=1.0
        Mean absolute log2 fold change of a class gene; single ones are uniform between
        half and one and a half times as much, up or down.
    class_proportions : array-like of shape (n_classes,) or (n_batches, n_classes), default=None
        Share of each class, the same in all batches or of each batch: the second form
        confounds class and batch. By default all are equal.
    batch_location : float, default=0.5
        Standard deviation of the log2 shifts of genes between batches.
    batch_scale : float, default=0.2
        Spread of the logarithm of the factor by which a batch changes a gene's
        biological coefficient of variation.
    n_modules : int, default=5
        Number of modules of co-expressed genes.
    n_module_genes : int, default=None
        Number of genes in all modules together; by default a fifth of the genes.
    module_strength : float, default=0.5
        Mean absolute loading: the log2 change for one standard deviation of activity.
    n_samples_per_donor : int, default=1
        Number of samples of one donor, who has one class and is in one batch.
    donor_effect : float, default=0.3
        Standard deviation of the log2 shifts shared by the samples of a donor; used
        where there are several.
    library_size : float, default=None
        Median depth, in counts; by default 500 per gene.
    library_size_spread : float, default=0.3
        Standard deviation of the natural logarithm of the depth.
    density : float, default=None
        Wanted share of non-zero counts, met within a few percent; sets the depth in
        place of `library_size`.
    dispersion : float, default=0.1
        Dispersion of abundant genes: the square of their biological coefficient of
        variation.
    extra_poisson : float, default=1.0
        Growth of the dispersion towards rare genes. 0 suits unique molecular identifiers.
    sparse : bool, default=False
        Return the counts as CSR, else as an array.
    dtype : dtype, default=numpy.float64
        Type of the counts.
    random_state : int, RandomState, Generator or None, default=None
        Seed or source of randomness; an int makes the cohort reproducible.

    Returns
    -------
    AnnData of shape (n_samples, n_genes)
        Counts with

        - ``obs``: ``condition`` (the class), ``batch``, ``donor``, ``library_size`` (the
          depth *d*: the expected total before any effect);
        - ``var``: ``length`` (bases), ``mean_count`` (at the median depth, before any
          effect), ``dispersion``, ``class_gene``, ``marks`` (the class that a class gene
          marks), ``log2_fold_change`` (of that class against the first), ``module``,
          ``module_loading``;
        - ``varm``: ``batch_location`` (log2) and ``batch_scale``, one column per batch;
        - ``obsm``: ``module_activity``, one column per module;
        - ``uns["cohort"]``: the names of classes and batches in column order, and the
          trend of the dispersion.

    Raises
    ------
    ValueError
        If sizes do not fit together or a parameter lies outside its range.

    Examples
    --------
    >>> from geneexpr.datasets import make_cohort
    >>> cohort = make_cohort(60, 200, n_batches=2, random_state=0)
    >>> cohort.shape
    (60, 200)
    >>> int(cohort.var["class_gene"].sum())
    10
    >>> cohort.obs["condition"].value_counts().to_dict()
    {'class1': 30, 'class2': 30}
    """
    _check_sizes(n_samples, n_genes, n_classes, n_batches, n_modules, n_samples_per_donor)
    if density is not None and library_size is not None:
        raise ValueError("density sets the library size: give density or library_size, not both")
    if density is not None and not 0 < density < 1:
        raise ValueError(f"density must lie between 0 and 1, got {density}")
    n_class_genes = max(1, n_genes // 20) if n_class_genes is None else n_class_genes
    n_module_genes = n_genes // 5 if n_module_genes is None else n_module_genes
    for name, n in {"n_class_genes": n_class_genes, "n_module_genes": n_module_genes}.items():
        if not 0 <= n <= n_genes:
            raise ValueError(f"{name} must lie between 0 and n_genes={n_genes}, got {n}")
    proportions = _check_proportions(class_proportions, n_classes, n_batches)
    model_seed, count_seed = _seed_sequence(random_state).spawn(2)
    rng = np.random.default_rng(model_seed)

    model = draw_model(
        rng,
        n_samples=n_samples,
        n_genes=n_genes,
        proportions=proportions,
        n_class_genes=n_class_genes,
        effect_size=effect_size,
        batch_location=batch_location,
        batch_scale=batch_scale,
        n_modules=n_modules,
        n_module_genes=n_module_genes,
        module_strength=module_strength,
        n_samples_per_donor=n_samples_per_donor,
        donor_effect=donor_effect,
        library_size=500.0 * n_genes if library_size is None else library_size,
        library_size_spread=library_size_spread,
        density=density,
        trend=(dispersion, extra_poisson),
    )
    blocks = draw_counts(model, count_seed)
    stack = stack_sparse if sparse else stack_dense
    cohort = _annotate(stack(blocks, model.shape, dtype), model)
    cohort.uns["cohort"] |= {"dispersion": dispersion, "extra_poisson": extra_poisson}
    return cohort


def _check_sizes(n_samples, n_genes, n_classes, n_batches, n_modules, n_samples_per_donor):
    sizes = {
        "n_samples": (n_samples, 1),
        "n_genes": (n_genes, 1),
        "n_classes": (n_classes, 1),
        "n_batches": (n_batches, 1),
        "n_modules": (n_modules, 0),
        "n_samples_per_donor": (n_samples_per_donor, 1),
    }
    for name, (value, least) in sizes.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    if n_samples < n_batches:
        raise ValueError(f"n_samples={n_samples} cannot fill n_batches={n_batches}")


def _check_proportions(class_proportions, n_classes, n_batches):
    """Return the share of each class in each batch, each row summing to 1."""
    if class_proportions is None:
        class_proportions = np.ones(n_classes)
    given = np.asarray(class_proportions, dtype=float)
    if given.shape not in {(n_classes,), (n_batches, n_classes)}:
        raise ValueError(
            f"class_proportions must have the shape ({n_classes},) or ({n_batches}, "
            f"{n_classes}), got {given.shape}"
        )
    table = np.broadcast_to(given, (n_batches, n_classes))
    if not np.all(np.isfinite(table)) or np.any(table < 0) or np.any(table.sum(axis=1) == 0):
        raise ValueError(
            "class_proportions must be finite, not negative and not all zero in a batch; "
            f"got {given.tolist()}"
        )
    return table / table.sum(axis=1, keepdims=True)


def _seed_sequence(random_state):
    """Return seeds from whatever scikit-learn takes, without moving the global generator."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.SeedSequence(random_state.randint(2**32, size=4, dtype=np.uint64).tolist())
    if isinstance(random_state, np.random.Generator):
        return np.random.SeedSequence(random_state.integers(2**32, size=4).tolist())
    return np.random.SeedSequence(random_state)


def _names(prefix, n, width=1):
    width = max(width, len(str(n)))
    return [f"{prefix}{i:0{width}d}" for i in range(1, n + 1)]


def _categories(prefix, index, n):
    names = _names(prefix, n)
    return pd.Categorical.from_codes(index, names)


def _annotate(X, model):
    n_samples, n_genes = model.shape
    n_classes, n_batches = model.n_classes, model.batch_location.shape[0]
    obs = pd.DataFrame(
        {
            "condition": _categories("class", model.class_index, n_classes),
            "batch": _categories("batch", model.batch_index, n_batches),
            "donor": _categories("donor", model.donor_index, model.donor_index.max() + 1),
            "library_size": model.depth,
        },
        index=_names("sample", n_samples, width=4),
    )
    n_modules = model.activity.shape[1]
    var = pd.DataFrame(
        {
            "length": model.length,
            "mean_count": model.median_depth * model.abundance,
            "dispersion": model.dispersion,
            "class_gene": model.marks >= 0,
            "marks": _categories("class", model.marks, n_classes),
            "log2_fold_change": model.fold_change,
            "module": _categories("module", model.module, n_modules),
            "module_loading": model.loading,
        },
        index=_names("gene", n_genes, width=5),
    )
    return ad.AnnData(
        X,
        obs=obs,
        var=var,
        varm={"batch_location": model.batch_location.T, "batch_scale": model.batch_scale.T},
        obsm={"module_activity": model.activity} if n_modules else {},
        uns={
            "cohort": {
                "classes": list(obs["condition"].cat.categories),
                "batches": list(obs["batch"].cat.categories),
            }
        },
    )


def fetch_hapmap_lcl():
    """Load RNA-seq counts of lymphoblastoid cell lines from three laboratories.

    Pickrell et al. (2010, doi 10.1038/nature08872), Montgomery et al. (2010, doi
    10.1038/nature08903) and Cheung et al. (2010, doi 10.1371/journal.pbio.1000480)
    sequenced cells of HapMap donors; the counts are those of ReCount (Frazee et al. 2011,
    doi 10.1186/1471-2105-12-449). Sex can be predicted across laboratories. Two traps: 29
    of Cheung's 41 donors are Montgomery's too (compare ``obs["donor"]``), and Pickrell's
    donors, and only they, are Yoruba, so that laboratory and population are confounded.

    The data are read from the folder ``hapmap_lcl_sex_counts`` in the folder named by the
    environment variable ``GENEEXPR_DATA``. Where there is none, the R data files of the
    Bioconductor package tweeDEseqCountData are downloaded (4 MB), checked against their
    SHA-256, kept in the cache folder of the operating system and read with rdata.

    Returns
    -------
    AnnData of shape (170, 52580)
        Raw counts as a dense float64 array, with

        - ``obs``, indexed by laboratory and donor (``"Cheung_NA06985"``): ``lab``,
          ``donor``, ``sex``, ``population``;
        - ``var``, indexed by Ensembl gene: ``symbol`` and ``chromosome`` (empty where
          unknown), ``length`` in bases and ``gc`` as a fraction (NaN where unknown: 12 301
          genes have no length);
        - ``uns``: ``y_linked`` and ``x_escape``, the genes on the male-specific part of Y
          and those that escape X inactivation.

    Raises
    ------
    DatasetUnavailableError
        If the folder is not there and the download fails.
    ValueError
        If a downloaded file has another checksum.

    Examples
    --------
    >>> from geneexpr.datasets import fetch_hapmap_lcl
    >>> cells = fetch_hapmap_lcl()  # doctest: +SKIP
    >>> cells.obs["lab"].value_counts().to_dict()  # doctest: +SKIP
    {'Pickrell': 69, 'Montgomery': 60, 'Cheung': 41}
    """
    root = os.environ.get("GENEEXPR_DATA")
    folder = Path(root) / "hapmap_lcl_sex_counts" if root else None
    if folder is not None and folder.is_dir():
        return _read_hapmap_csv(folder)
    return _read_hapmap_rda(_download("hapmap_lcl", _HAPMAP_URL, _HAPMAP_SHA256, folder))


def _download(name, url, sha256, folder):
    """Return the folder of the cached files, downloaded where they are missing."""
    import pooch

    cache = pooch.os_cache("geneexpr") / name
    files = pooch.create(path=cache, base_url=url, registry=dict(sha256))
    try:
        for file in sha256:
            files.fetch(file)
    except OSError as error:
        where = f"{folder} does not exist" if folder else "GENEEXPR_DATA is not set"
        raise DatasetUnavailableError(
            f"cannot load {name}: {where}, and the download from {url} failed ({error}). "
            "Set GENEEXPR_DATA to the folder that holds the data sets, connect to the "
            "network, or use geneexpr.datasets.make_cohort"
        ) from error
    return cache


def _read_hapmap_csv(folder):
    def table(name):
        return pd.read_csv(folder / f"{name}.csv.gz", index_col=0, keep_default_na=False)

    annotation = table("annotEnsembl63_length_gc").replace(
        {"Length": "NA", "GCcontent": "NA"}, "nan"
    )
    return _assemble_hapmap(
        counts={lab: table(f"{lab.lower()}_counts") for lab in _HAPMAP_LABS},
        samples={lab: table(f"{lab.lower()}_samples") for lab in _HAPMAP_LABS},
        annotation=annotation,
        y_linked=(folder / "msYgenes.txt").read_text().split(),
        x_escape=(folder / "XiEgenes.txt").read_text().split(),
    )


def _read_hapmap_rda(folder):
    import rdata

    bare = ("ExpressionSet", "AnnotatedDataFrame", "MIAME", "Versions")
    classes = dict.fromkeys(bare, lambda value, _: value)

    def load(name):
        return rdata.read_rda(
            folder / f"{name}.rda",
            constructor_dict=classes | dict(rdata.conversion.DEFAULT_CLASS_MAP),
            default_encoding="utf-8",
        )

    def frame(exprs):
        # A matrix in one of the files, a data frame in the others.
        return exprs.to_pandas() if hasattr(exprs, "to_pandas") else exprs

    sets = {lab: load(lab.lower())[f"{lab.lower()}.eset"] for lab in _HAPMAP_LABS}
    genes = load("genderGenes")
    return _assemble_hapmap(
        counts={lab: frame(e.assayData["exprs"]) for lab, e in sets.items()},
        samples={lab: e.phenoData.data for lab, e in sets.items()},
        annotation=load("annotEnsembl63")["annotEnsembl63"],
        y_linked=genes["msYgenes"],
        x_escape=genes["XiEgenes"],
    )


def _assemble_hapmap(counts, samples, annotation, y_linked, x_escape):
    """Join the laboratories by gene and sample name, whatever the files' order."""
    genes = counts[_HAPMAP_LABS[0]].index.astype(str).rename(None)
    X, obs = [], []
    for lab in _HAPMAP_LABS:
        table = counts[lab].loc[genes]
        donors = table.columns.astype(str)
        X.append(table.to_numpy(dtype=np.float64).T)
        about = samples[lab].loc[donors]
        obs.append(
            pd.DataFrame(
                {
                    "lab": lab,
                    "donor": donors,
                    "sex": about["gender"].astype(str).to_numpy(),
                    "population": about["population"].astype(str).to_numpy(),
                },
                index=lab + "_" + donors,
            )
        )
    about = annotation.reindex(genes)
    text = {"symbol": "Symbol", "chromosome": "Chr"}
    number = {"length": "Length", "gc": "GCcontent"}
    var = pd.DataFrame(
        {new: about[old].astype(object).fillna("").astype(str) for new, old in text.items()}
        | {new: about[old].astype(np.float64) for new, old in number.items()},
        index=genes,
    )
    return ad.AnnData(
        np.ascontiguousarray(np.concatenate(X)),
        obs=pd.concat(obs).astype({"lab": "category", "sex": "category", "population": "category"}),
        var=var,
        uns={"y_linked": np.array(y_linked, dtype=str), "x_escape": np.array(x_escape, dtype=str)},
    )
