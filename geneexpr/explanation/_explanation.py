"""What `explain` gives back: values of samples and genes, and tables of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from .._containers import name_some
from .._options import check_choice, check_number
from ._gene_modules import correlated_modules, name_modules


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """SHAP values of samples in gene space, and how they were computed.

    For every sample the values add up, with the base value, to the margin of the model.

    Attributes
    ----------
    values : array of shape (n_samples, n_genes) or (n_samples, n_genes, n_outputs)
        In units of the margin (``scale``). Two classes and a single target have one output.
    base_values : float or array of shape (n_outputs,)
        Mean margin of the background.
    gene_names : array of str of shape (n_genes,)
    sample_names : array of shape (n_samples,)
    classes : array of shape (n_outputs,) or None
        What each output speaks for: of two classes the second. None for a regressor.
    method : {"linear", "tree", "network", "sampling", "integrated_gradients"}
    reason : str
        Why this method, where gene space begins, and what is approximate.
    scale : str
        What the values are of: "log-odds", "probability", "decision_function", "prediction"...
    additivity_error : float
        Largest difference between base value plus values and the margin of the model.
    data : array or sparse matrix of shape (n_samples, n_genes)
        The genes as they enter the part of the pipeline that is explained.
    in_model : array of bool of shape (n_genes,)
        Genes that reach the model; the values of others are zero.
    groups : dict of str to array of int, or None
        Positions of the genes of each gene set, or of each group that was sampled.
    group_values : array of shape (n_samples, n_groups[, n_outputs]), or None
        What the genes of a group add together.
    standard_errors : array like ``group_values``, or None
        Where these were sampled; None where nothing was.
    seen_together : array of shape (n_rows, n_genes)
        Some rows of the background and of the samples, from which correlations are taken.
    n_background : int
        Rows of the background that were used.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from geneexpr import explain
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame(rng.normal(size=(60, 3)), columns=["MYC", "ACTB", "TP53"])
    >>> explained = explain(LogisticRegression().fit(X, X["TP53"] > 0), X)
    >>> explained.top_genes(1)["gene"].tolist()
    ['TP53']
    >>> explained.to_frame().shape
    (60, 3)
    """

    values: np.ndarray
    base_values: float | np.ndarray
    gene_names: np.ndarray
    sample_names: np.ndarray
    classes: np.ndarray | None
    method: str
    reason: str
    scale: str
    additivity_error: float
    data: object
    in_model: np.ndarray
    n_background: int = 0
    groups: dict | None = None
    group_values: np.ndarray | None = None
    standard_errors: np.ndarray | None = None
    seen_together: np.ndarray | None = None

    @property
    def n_outputs(self):
        """Number of outputs: one for two classes or a single target."""
        return 1 if self.values.ndim == 2 else self.values.shape[2]

    @cached_property
    def modules(self):
        """Positions of the genes of each group, or of each module of correlated genes (dict).

        Where there are no gene sets and nothing was sampled, the most important genes lead
        modules that all genes join whose absolute correlation with them is at least 0.7.
        """
        if self.groups is not None:
            return self.groups
        if self.seen_together is None:
            return {}
        together = correlated_modules(self.seen_together, self._importance())
        return name_modules(together, self.gene_names)

    @cached_property
    def module_values(self):
        """What the genes of a module add together, of shape (n_samples, n_modules[, n_outputs])."""
        if self.group_values is not None:
            return self.group_values
        return np.stack([self.values[:, at].sum(axis=1) for at in self.modules.values()], axis=1)

    def to_frame(self, output=None):
        """Return the values as a DataFrame of samples and genes.

        Parameters
        ----------
        output : label, optional
            A class (of a regressor of several targets "output 0", ...). Needed where there
            are several.

        Returns
        -------
        DataFrame of shape (n_samples, n_genes)
        """
        return pd.DataFrame(
            self._of_output(self.values, output),
            index=pd.Index(self.sample_names, name="sample"),
            columns=pd.Index(self.gene_names, name="gene"),
        )

    def top_genes(self, k=20, *, per_class=False):
        """Return the genes that move the margin most.

        Parameters
        ----------
        k : int, default=20
            How many genes; with ``per_class`` for each class.
        per_class : bool, default=False
            Rank for each output by itself, in place of the mean over all.

        Returns
        -------
        DataFrame
            ``gene``, ``mean_abs_shap`` (mean over the samples of the absolute value),
            ``mean_signed_effect`` (mean, in units of the margin, of the value where the gene
            is above its mean in these samples less that where it is below), largest first;
            with ``per_class`` a column ``class`` before them. Without it, of several outputs
            the signed effect is that on the output that the gene moves most.
        """
        return _ranked(
            self._cube(self.values),
            self.gene_names,
            self._labels() if per_class else None,
            check_k(k),
            "gene",
            self._effects,
        )

    def by_module(self, k=None, *, per_class=False):
        """Return gene sets or correlated modules, by how much they move the margin together.

        Parameters
        ----------
        k : int, optional
            How many; all by default.
        per_class : bool, default=False

        Returns
        -------
        DataFrame
            ``module``, ``n_genes``, ``genes`` (list, the most important first),
            ``mean_abs_shap`` of the sum over the genes, its ``standard_error`` (NaN where
            nothing was sampled), largest first; with ``per_class`` a column ``class`` first.

        Raises
        ------
        ValueError
            Where there are no modules.
        """
        if not self.modules:
            raise ValueError("This Explanation has no modules: all of its values are zero.")
        names = np.array(list(self.modules), dtype=object)
        k = len(names) if k is None else check_k(k)
        table = _ranked(
            self._cube(self.module_values),
            names,
            self._labels() if per_class else None,
            k,
            "module",
        )
        table.insert(list(table).index("module") + 1, "n_genes", 0)
        table["n_genes"] = [len(self.modules[name]) for name in table["module"]]
        size = self._importance()
        table["genes"] = [
            self.gene_names[at[np.argsort(-size[at], kind="stable")]].tolist()
            for at in (self.modules[name] for name in table["module"])
        ]
        table["standard_error"] = self._module_errors(names, table, per_class)
        return table

    def expression(self, genes):
        """Return the data of some genes as a dense array.

        Parameters
        ----------
        genes : sequence of str
            Names among ``gene_names``.

        Returns
        -------
        array of shape (n_samples, len(genes))
        """
        at = pd.Index(self.gene_names).get_indexer(list(genes))
        if (at < 0).any():
            unknown = [gene for gene, i in zip(genes, at, strict=True) if i < 0]
            raise ValueError(
                f"{len(unknown)} of {len(at)} genes are not explained: {name_some(unknown)}."
            )
        block = self.data[:, at]
        return block.toarray() if hasattr(block, "toarray") else np.asarray(block)

    # ------------------------------------------------------------------ pieces

    def _labels(self):
        return list(range(self.n_outputs)) if self.classes is None else self.classes.tolist()

    def _cube(self, values):
        return values[:, :, None] if values.ndim == 2 else values

    def _importance(self):
        return _mean_sizes(self._cube(self.values)).mean(axis=1)

    def _of_output(self, values, output):
        labels = self._labels()
        if output is None:
            if self.n_outputs > 1:
                raise ValueError(
                    f"There are {self.n_outputs} outputs ({name_some(labels)}): name the one that "
                    "is meant, output=..."
                )
            return self._cube(values)[:, :, 0]
        if output in labels:
            return self._cube(values)[:, :, labels.index(output)]
        check_choice("output", output, labels)
        return None

    def _effects(self, genes):
        """Return the signed effects of some genes, an array of shape (len(genes), n_outputs)."""
        block = self.data[:, genes]
        block = block.toarray() if hasattr(block, "toarray") else np.asarray(block)
        block = block.astype(np.float64)
        values = self._cube(self.values)[:, genes]
        high = (block > np.nanmean(block, axis=0))[:, :, None]
        n_high = high.sum(axis=0)
        n_low = len(block) - n_high
        above = (values * high).sum(axis=0) / np.maximum(n_high, 1)
        below = (values * ~high).sum(axis=0) / np.maximum(n_low, 1)
        return np.where((n_high > 0) & (n_low > 0), above - below, values.mean(axis=0))

    def _module_errors(self, names, table, per_class):
        if self.standard_errors is None:
            return np.nan
        errors = np.sqrt((self._cube(self.standard_errors) ** 2).mean(axis=0))
        place = {name: i for i, name in enumerate(names)}
        rows = [place[name] for name in table["module"]]
        if not per_class:
            return errors[rows].mean(axis=1)
        labels = self._labels()
        return errors[rows, [labels.index(label) for label in table["class"]]]

    def __repr__(self):
        top = self.top_genes(5)
        said = ", ".join(
            f"{gene} ({size:.3g})"
            for gene, size in zip(top["gene"], top["mean_abs_shap"], strict=True)
        )
        outputs = "" if self.classes is None else f" for {name_some(self._labels())}"
        return (
            f"Explanation of {self.values.shape[0]} samples in {self.values.shape[1]} genes "
            f"({int(self.in_model.sum())} in the model), {self.scale}{outputs}\n"
            f"  method: {self.method}: {self.reason}\n"
            f"  additivity error: {self.additivity_error:.2g} "
            f"(background of {self.n_background} rows)\n"
            f"  top genes (mean |SHAP|): {said}"
        )


def check_k(k):
    """Return k, a number of genes of at least 1."""
    check_number("k", k, least=1, whole=True)
    return k


def _mean_sizes(cube):
    """Return the mean absolute value of each column and output, without a copy of all."""
    total = np.zeros(cube.shape[1:])
    for rows in np.array_split(np.arange(len(cube)), max(1, len(cube) // 16)):
        total += np.abs(cube[rows[0] : rows[-1] + 1]).sum(axis=0) if len(rows) else 0
    return total / max(len(cube), 1)


def _ranked(cube, names, labels, k, kind, effects=None):
    """Rank columns by their mean absolute value, over all outputs or for each of ``labels``."""
    sizes = _mean_sizes(cube)
    if labels is None:
        overall = sizes.mean(axis=1)
        order = np.argsort(-overall, kind="stable")[:k]
        strongest = sizes[order].argmax(axis=1)
        return _table(names, order, overall[order], kind, effects, strongest)
    parts = []
    for output, label in enumerate(labels):
        order = np.argsort(-sizes[:, output], kind="stable")[:k]
        part = _table(
            names, order, sizes[order, output], kind, effects, np.full(len(order), output)
        )
        part.insert(0, "class", label)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _table(names, order, sizes, kind, effects, outputs):
    table = pd.DataFrame({kind: names[order], "mean_abs_shap": sizes})
    if effects is not None:
        table["mean_signed_effect"] = effects(order)[np.arange(len(order)), outputs]
    return table
