"""What nested cross-validation found."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from .._containers import name_some
from ..stats._resampled import corrected_interval
from ..stats._stability import nogueira

BOUNDS = {
    **dict.fromkeys(
        ("accuracy", "balanced_accuracy", "f1", "roc_auc", "average_precision"), (0, 1)
    ),
    **dict.fromkeys(("brier", "calibration_error", "mse", "mae"), (0, np.inf)),
    "r2": (-np.inf, 1),
}


@dataclass(frozen=True, repr=False)
class NestedCVResult:
    """What `nested_cv` found, in words when printed or shown.

    Attributes
    ----------
    metric : str
        The measure that comes first.
    scores : DataFrame
        Indexed by ``repeat`` and ``fold``: ``n_train``, ``n_test``, one column a measure, and
        ``inner_score``, what the search itself reported (NaN without a search).
    params : DataFrame
        The parameters that the search chose, a column each, indexed as ``scores``. Values that
        are no plain numbers or words are written out.
    genes : list of (tuple of str, or None)
        The genes that the steps kept, a tuple a fold; None where no step chooses.
    predictions : DataFrame
        Out of fold, indexed by sample: ``row``, ``repeat``, ``fold``, ``y_true``, ``y_pred``,
        and for classes a column ``score: class`` each (probabilities, else decision values).
    classes : ndarray, or None
        Of a classification.
    n_genes : int
        How many genes there were.
    """

    metric: str
    scores: pd.DataFrame
    params: pd.DataFrame
    genes: list
    predictions: pd.DataFrame
    classes: np.ndarray | None
    n_genes: int

    @property
    def metrics(self):
        """Names of the measures, the main one first."""
        return [name for name in self.scores if name not in ("n_train", "n_test", "inner_score")]

    @property
    def ratio(self):
        """Samples in a test set for one in a training set, on average."""
        return float((self.scores["n_test"] / self.scores["n_train"]).mean())

    def summary(self, level=0.95):
        """Return the mean of every measure over the outer folds, with its interval.

        Training sets of different folds share samples, so the interval uses the corrected
        variance of Nadeau and Bengio (2003, doi:10.1023/A:1024068626366), and t with one
        degree of freedom less than there are folds.

        Parameters
        ----------
        level : float, default=0.95

        Returns
        -------
        DataFrame
            Indexed by ``metric``: ``estimate``, ``low``, ``high``, ``sd`` over the folds, and
            ``n_folds`` that have a value.
        """
        rows = []
        for name in self.metrics:
            found = self.scores[name].dropna().to_numpy()
            low, high = corrected_interval(
                found, self.ratio, level, BOUNDS.get(name, (-np.inf, np.inf))
            )
            mean = found.mean() if len(found) else np.nan
            sd = found.std(ddof=1) if len(found) > 1 else np.nan
            rows.append((mean, low, high, sd, len(found)))
        columns = ["estimate", "low", "high", "sd", "n_folds"]
        return pd.DataFrame(rows, columns=columns, index=pd.Index(self.metrics, name="metric"))

    def to_frame(self):
        """Return one row a fold: scores, chosen parameters, number of chosen genes.

        Returns
        -------
        DataFrame
            Indexed by ``repeat`` and ``fold``; parameters are called ``param: name``.
        """
        table = self.scores.join(self.params.add_prefix("param: "))
        if self.gene_frequencies() is not None:
            table["n_chosen_genes"] = [np.nan if g is None else len(g) for g in self.genes]
        return table

    def gene_frequencies(self):
        """Return the share of the folds that chose each gene, the most frequent first.

        Returns
        -------
        Series, or None
            None where no step chooses genes.
        """
        chosen = [genes for genes in self.genes if genes is not None]
        if not chosen:
            return None
        counts = pd.Series(Counter(gene for genes in chosen for gene in genes), dtype=float)
        counts.index = pd.Index(counts.index, name="gene", dtype=object)
        shares = (counts / len(chosen)).rename("frequency")
        return shares.sort_values(ascending=False, kind="stable")

    def gene_stability(self):
        """Return how alike the chosen genes of the folds are.

        Returns
        -------
        float, or None
            Stability of Nogueira, Sechidis and Brown (2018): 1 for equal sets, about 0 for
            random ones; None for fewer than two folds that chose.
        """
        chosen = [set(genes) for genes in self.genes if genes is not None]
        if len(chosen) < 2:
            return None
        names = sorted(set().union(*chosen))
        table = np.array([[name in genes for name in names] for genes in chosen])
        return nogueira(table, self.n_genes)[0] if names else float("nan")

    def plot(self, **options):
        """Draw the scores of the folds, the chosen parameters and the chosen genes.

        Parameters
        ----------
        **options
            As `NestedCVDisplay.from_result` takes them.

        Returns
        -------
        NestedCVDisplay
        """
        import geneexpr  # loads the stage of figures only now

        return geneexpr.NestedCVDisplay.from_result(self, **options)

    def __repr__(self):
        return str(self)  # what a notebook shows

    def __str__(self):
        table = self.summary()[["estimate", "low", "high", "sd"]].rename_axis(None)
        parts = [self._headline(), table.to_string(float_format="{:.3f}".format, na_rep="-")]
        if len(self.params.columns):
            parts.append("Chosen parameters\n" + "\n".join(map(self._said, self.params)))
        if self.gene_frequencies() is not None:
            parts.append(self._said_of_genes())
        return "\n\n".join(parts)

    def _headline(self):
        best = self.summary().loc[self.metric]
        repeats = self.scores.index.get_level_values("repeat").nunique()
        text = (
            f"{self.metric} {best['estimate']:.3f} (95 % interval {best['low']:.3f} to "
            f"{best['high']:.3f}), mean of {len(self.scores)} outer folds"
            f"{f' in {repeats} repeats' if repeats > 1 else ''}, "
            f"{self.predictions['row'].nunique()} samples."
        )
        inner = self.scores["inner_score"].mean()
        return text if np.isnan(inner) else f"{text}\nThe searches themselves said {inner:.3f}."

    def _said(self, name):
        counts = Counter(
            f"{value:.4g}" if isinstance(value, float) else str(value)
            for value in self.params[name]
        )
        return f"  {name}: " + ", ".join(f"{v} ({n} x)" for v, n in counts.most_common(5))

    def _said_of_genes(self):
        sizes = [len(genes) for genes in self.genes if genes is not None]
        low, high = min(sizes), max(sizes)
        frequent = self.gene_frequencies()
        always = frequent.index[frequent == 1]
        size = f"{low}" if low == high else f"{low} to {high}"
        stability = self.gene_stability()
        text = f"Chosen genes: {size} of {self.n_genes} a fold"
        if stability is not None:
            text += f", stability {stability:.2f}"
        said = f"; in every fold {len(always)}" + (f": {name_some(always)}" if len(always) else "")
        return text + said
