"""What the study needs to know about a data set, whoever brought it."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

# Five outer and three inner folds leave two samples of a batch in every training fold
# only if the batch has six donors; a class needs two samples in every outer fold.
LEAST_PER_BATCH = 6
LEAST_PER_CLASS = 10
# ComBat refuses to estimate a new batch from fewer rows.
LEAST_EXTERNAL = 10


class IntakeError(ValueError):
    """The files do not fit together, or not to the job."""


@dataclass
class Cohort:
    """Counts with their annotations, and the words to report on them.

    Parameters
    ----------
    adata : AnnData of shape (n_samples, n_genes)
        Counts; ``obs`` holds label, batch and donor, ``var`` the gene lengths (``length``).
    label, batch, donor : str
        Columns of ``obs``.
    title, source : str
        What the report calls the data, and where they come from.
    external : str, optional
        The batch that is kept for the end; None: there is none, and ``no_external`` says why.
    equal_lengths : bool
        Normalise to equal gene lengths (3′ counting, UMIs).
    gene_sets : dict of str to set of str
        Known genes, by the name under which the report counts them.
    left_out : str, optional
        The gene set that one more run leaves out.
    notes : list of str
        What happened on the way in.
    """

    adata: object
    label: str
    batch: str
    donor: str
    title: str
    source: str
    external: str | None = None
    no_external: str = ""
    equal_lengths: bool = False
    gene_sets: dict[str, set] = field(default_factory=dict)
    left_out: str | None = None
    notes: list[str] = field(default_factory=list)

    def column(self, key):
        """Return one column of ``obs`` as an array of str."""
        return self.adata.obs[key].astype(str).to_numpy()

    @property
    def is_external(self):
        """Tell the samples of the external batch."""
        return self.column(self.batch) == self.external

    @property
    def is_training(self):
        """Tell the samples that any decision may rest on."""
        return ~self.is_external

    @property
    def is_shared(self):
        """Tell the external samples whose donor is in training too."""
        donors = self.column(self.donor)
        return self.is_external & np.isin(donors, donors[self.is_training])

    def symbols(self, genes):
        """Return what to call these genes in a figure."""
        if "symbol" not in self.adata.var:
            return np.asarray(genes, dtype=object)
        known = self.adata.var["symbol"].reindex(genes)
        known = known.where(known.notna() & (known.astype(str) != ""), pd.Series(genes, genes))
        return known.astype(str).to_numpy()


def some(names, most=3):
    """Write out the first few names, and how many more there are."""
    names = [str(name) for name in names]
    said = ", ".join(repr(name) for name in names[:most])
    return said if len(names) <= most else f"{said} and {len(names) - most:,} more"


def check_groups(obs, label, batch, donor, where):
    """Raise where labels and batches cannot carry a cross-validated comparison.

    Parameters
    ----------
    obs : DataFrame
        The training samples only.
    label, batch, donor : str
    where : str
        What to call the samples in the message.
    """
    table = pd.crosstab(obs[batch], obs[label])
    classes = obs[label].value_counts().sort_index()
    if len(classes) < 2:
        raise IntakeError(
            f"{label!r} has one class only ({classes.index[0]!r}) in {where}: there is nothing to "
            "tell apart. Name a column with two classes or more."
        )
    donors = obs.groupby(label, observed=True)[donor].nunique()
    rare = donors[donors < LEAST_PER_CLASS]
    if len(rare):
        said = ", ".join(f"{name!r} has {n}" for name, n in rare.items())
        raise IntakeError(
            f"Too few samples of a class of {label!r} in {where}: {said}. Nested cross-validation "
            f"needs {LEAST_PER_CLASS} of each; drop the class or merge it with another."
        )
    if (table.gt(0).sum(axis=1) == 1).all():
        raise IntakeError(
            f"Every batch of {batch!r} holds one class of {label!r} only, in {where}: the effect "
            "of the batch and that of the class cannot be told apart, and correcting one removes "
            "the other. Use batches that mix the classes."
        )
    donors = obs.groupby(batch, observed=True)[donor].nunique()
    small = donors[donors < LEAST_PER_BATCH]
    if len(small):
        said = ", ".join(f"{name!r} has {n}" for name, n in small.items())
        raise IntakeError(
            f"Too few samples in a batch of {batch!r} in {where}: {said}. Every training fold "
            f"must hold some of each batch, so a batch needs {LEAST_PER_BATCH}; drop it or merge "
            "it with another."
        )
