"""SHAP values of a fitted pipeline, in the genes that enter its last linear step or network.

The values are additive on the margin: the log-odds of the second class, or one output a
class. Filters only choose genes, so the columns there are genes of the input, by name;
scaling moves and stretches each gene alone and changes no value.
"""

from dataclasses import dataclass

import numpy as np

import geneexpr

N_TOP = 20
_SAID = {
    "linear": "exact, since the model is linear in the genes",
    "network": "mean gradients of the network between the sample and each training sample",
}


@dataclass
class Explanation:
    """SHAP values of some samples.

    Parameters
    ----------
    genes : array of str of shape (n_genes,)
    values : array of shape (n_samples, n_genes, n_outputs)
    expression : array of shape (n_samples, n_genes)
        What enters the model: standardised log expression.
    gap : float
        Largest difference between the sum of a sample's values and its margin less the mean
        margin of the background, over the spread of the sums.
    method : str
    """

    genes: np.ndarray
    values: np.ndarray
    expression: np.ndarray
    gap: float
    method: str

    @property
    def importance(self):
        """Mean absolute value of each gene, over samples and summed over outputs."""
        return np.abs(self.values).mean(axis=0).sum(axis=1)

    @property
    def used(self):
        """Genes that move the margin at all."""
        return np.flatnonzero(self.importance > 0)

    def top(self, n=N_TOP):
        """Positions of the genes that move the margin most, at most n."""
        order = np.argsort(-self.importance, kind="stable")
        return order[: min(n, len(self.used))]

    def direction(self, position, classes):
        """Name the class that more of a gene speaks for (two classes), else the strongest."""
        values, x = self.values[:, position], self.expression[:, position]
        if len(classes) == 2:
            return classes[int(np.dot(values[:, 0], x - x.mean()) > 0)]
        return classes[int(np.argmax((values * (x - x.mean())[:, None]).sum(axis=0)))]


def explain(pipeline, background, counts):
    """Explain a fitted pipeline by `geneexpr.explain`.

    Parameters
    ----------
    pipeline : Pipeline
        Its last step is a logistic regression, a network, or an autoencoder with a logistic
        regression behind it.
    background, counts : AnnData
        The samples that stand for "on average", and those to explain.

    Returns
    -------
    Explanation
    """
    found = geneexpr.explain(
        pipeline, counts, background=background, max_background=background.n_obs
    )
    values = found.values.reshape(*found.values.shape[:2], -1)
    spread = np.ptp(values.sum(axis=1))
    return Explanation(
        genes=found.gene_names[found.in_model],
        values=values[:, found.in_model],
        expression=pipeline[:-1].transform(counts),
        gap=float(found.additivity_error / (spread or 1)),
        method=f"{_SAID.get(found.method, found.reason)} (geneexpr.explain)",
    )


# ------------------------------------------------------------------ what the top genes are


def kinds_of(cohort, genes):
    """Return the gene set of each gene, "" where it is in none."""
    found = np.full(len(genes), "", dtype=object)
    for name, members in cohort.gene_sets.items():
        found[[gene in members for gene in genes]] = name
    return found


def known_genes(cohort, explanation, n=N_TOP):
    """Count the top genes in each gene set, and how many chance would put there.

    Returns
    -------
    list of dict
        ``name``, ``among_top``, ``n_top``, ``in_model`` and ``n_model`` (genes that entered
        the model), ``p``: hypergeometric probability of as many or more.
    """
    from scipy.stats import hypergeom

    top = explanation.top(n)
    kinds = kinds_of(cohort, explanation.genes)
    rows = []
    for name in cohort.gene_sets:
        in_model, among = int((kinds == name).sum()), int((kinds[top] == name).sum())
        p = hypergeom.sf(among - 1, len(kinds), in_model, len(top)) if len(top) else 1.0
        rows.append(
            {
                "name": name,
                "among_top": among,
                "n_top": len(top),
                "in_model": in_model,
                "n_model": len(kinds),
                "p": float(p),
            }
        )
    return rows


def gene_table(cohort, explanation, classes, n=N_TOP):
    """Return the top genes as plain values, strongest first."""
    top = explanation.top(n)
    genes = explanation.genes[top]
    symbols, kinds = cohort.symbols(genes), kinds_of(cohort, genes)
    chromosomes = (
        cohort.adata.var["chromosome"].reindex(genes).astype(str).to_numpy()
        if "chromosome" in cohort.adata.var
        else np.full(len(genes), "")
    )
    return [
        {
            "gene": str(genes[i]),
            "symbol": str(symbols[i]),
            "chromosome": str(chromosomes[i]),
            "kind": str(kinds[i]),
            "mean_abs_shap": float(explanation.importance[p]),
            "more_means": str(explanation.direction(p, classes)),
        }
        for i, p in enumerate(top)
    ]


def in_words(rows):
    """Say which of the top genes are known."""
    if not rows or not rows[0]["n_top"]:
        return ""
    n, known = rows[0]["n_top"], sum(row["among_top"] for row in rows)
    said = some_words([f"{row['among_top']} {row['name']}" for row in rows])
    return f"Of the {n} genes that move the model most, {known} are known ones: {said}."


def some_words(said):
    """Join phrases as prose does."""
    return said[0] if len(said) == 1 else ", ".join(said[:-1]) + " and " + said[-1]
