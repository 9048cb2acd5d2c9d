"""Where the study's data come from: three laboratories, or a simulation of them."""

from cohort import Cohort, some

SEX_LINKED = "Y-linked"
ESCAPE = "escaping X inactivation"
MARKING = "class-marking"


def load_cohort():
    """Return the cohort of three laboratories, or a simulated one where it cannot be had."""
    from geneexpr.datasets import DatasetUnavailableError, fetch_hapmap_lcl

    try:
        return three_laboratories(fetch_hapmap_lcl())
    except DatasetUnavailableError as error:
        cause = f" ({type(error.__cause__).__name__})" if error.__cause__ else ""
        return simulated(
            "The real data could not be had: GENEEXPR_DATA names no folder that holds them, and "
            f"they could not be downloaded{cause}. Simulated counts take their place."
        )


def three_laboratories(adata):
    """Drop the genes without length by name, and say what is known of the rest.

    Parameters
    ----------
    adata : AnnData
        What :func:`geneexpr.datasets.fetch_hapmap_lcl` returns.
    """
    adata, note = drop_without_length(adata)
    return Cohort(
        adata=adata,
        label="sex",
        batch="lab",
        donor="donor",
        title="Sex from the expression of lymphoblastoid cells",
        source="RNA-seq counts of HapMap lymphoblastoid cell lines from the laboratories of "
        "Pickrell, Cheung and Montgomery (2010), as recounted by ReCount",
        external="Montgomery",
        gene_sets={
            SEX_LINKED: set(map(str, adata.uns["y_linked"])),
            ESCAPE: set(map(str, adata.uns["x_escape"])),
        },
        left_out=SEX_LINKED,
        notes=[note],
    )


def drop_without_length(adata):
    """Return the genes whose length is known, and a note on the others."""
    known = (adata.var["length"] > 0).to_numpy()
    genes = adata.var_names[~known]
    share = adata.X[:, ~known].sum() / adata.X.sum()
    note = (
        f"{len(genes):,} of {adata.n_vars:,} genes have no length and were dropped by name "
        f"({some(genes)}); they hold {share:.2%} of all counts. {int(known.sum()):,} genes remain."
    )
    return adata[:, known].copy(), note


def simulated(reason, *, n_samples=150, n_genes=2000, effect_size=0.6, random_state=0):
    """Return a simulated cohort of three laboratories, whose class genes are known.

    Parameters
    ----------
    reason : str
        Why it is simulated; the first note of the report.
    n_samples, n_genes : int
    effect_size : float
        Mean log2 fold change of a class gene; at 0.6 the classes overlap.
    random_state : int
    """
    from geneexpr.datasets import make_cohort

    adata = make_cohort(
        n_samples,
        n_genes,
        n_batches=3,
        n_class_genes=max(4, n_genes // 200),
        effect_size=effect_size,
        random_state=random_state,
    )
    truth = set(adata.var_names[adata.var["class_gene"].to_numpy(dtype=bool)])
    return Cohort(
        adata=adata,
        label="condition",
        batch="batch",
        donor="donor",
        title="Condition from simulated expression",
        source="negative-binomial counts drawn by geneexpr.datasets.make_cohort",
        external="batch3",
        gene_sets={MARKING: truth},
        left_out=MARKING,
        notes=[reason, "Everything below is about simulated counts, and says nothing of cells."],
    )
