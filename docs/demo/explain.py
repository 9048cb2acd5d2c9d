"""SHAP values of a fitted pipeline, in the genes that enter its last linear step or network.

The values are additive on the margin: the log-odds of the second class, or one output a
class. Filters only choose genes, so the columns there are genes of the input, by name;
scaling moves and stretches each gene alone and changes no value.
"""

import warnings
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

N_TOP = 20
N_GRADIENT_SAMPLES = 400


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
        margin of the background, over the spread of the margins.
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


def explain(pipeline, background, counts, *, random_state=0):
    """Explain a fitted pipeline.

    Parameters
    ----------
    pipeline : Pipeline
        Its last step is a logistic regression, a network, or an autoencoder with a logistic
        regression behind it.
    background, counts : AnnData
        The samples that stand for "on average", and those to explain.
    random_state : int

    Returns
    -------
    Explanation
    """
    before, model = pipeline[:-1], pipeline[-1]
    genes = before.get_feature_names_out()
    reference, expression = before.transform(background), before.transform(counts)
    if isinstance(model, LogisticRegression):
        values, margin = _linear(model, reference, expression)
        method = "exact (shap.LinearExplainer)"
    else:
        values, margin = _gradients(margin_module(model), reference, expression, random_state)
        method = f"expected gradients, {N_GRADIENT_SAMPLES} draws (shap.GradientExplainer)"
    wanted = margin(expression) - margin(reference).mean(axis=0)
    gap = np.abs(values.sum(axis=1) - wanted).max() / max(np.ptp(wanted), 1e-300)
    return Explanation(np.asarray(genes), values, expression, float(gap), method)


def _shap():
    """Import shap, whose plots call what matplotlib is about to drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap
    return shap


def _linear(model, reference, expression):
    shap = _shap()
    masker = shap.maskers.Independent(reference, max_samples=len(reference))
    values = np.asarray(shap.LinearExplainer(model, masker).shap_values(expression))
    return values.reshape(*expression.shape, -1), lambda x: _columns(model.decision_function(x))


def _columns(margin):
    return np.asarray(margin).reshape(len(margin), -1)


def _gradients(module, reference, expression, random_state):
    import torch

    shap = _shap()

    # shap draws its paths in float32, whatever the network was trained in.
    module = deepcopy(module).float()

    def tensor(x):
        return torch.as_tensor(np.ascontiguousarray(x), dtype=torch.float32)

    def margin(x):
        with torch.no_grad():
            return _columns(module(tensor(x)).numpy())

    explainer = shap.GradientExplainer(module, tensor(reference))
    values = explainer.shap_values(
        tensor(expression), nsamples=N_GRADIENT_SAMPLES, rseed=random_state
    )
    return np.asarray(values).reshape(*expression.shape, -1), margin


def margin_module(model):
    """Return a torch module from standardised expression to the margin of a fitted model.

    Parameters
    ----------
    model : TorchMLPClassifier, or Pipeline of AutoencoderEmbedder, StandardScaler and
        LogisticRegression
    """
    import torch

    if hasattr(model, "net_"):
        return model.net_.module_
    embedder, scaler, logistic = (step for _, step in model.steps)
    autoencoder = embedder.net_.module_

    class Margin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.autoencoder = autoencoder
            like = next(autoencoder.parameters())
            for name, value in {
                "center": scaler.mean_,
                "scale": scaler.scale_,
                "weight": logistic.coef_,
                "bias": logistic.intercept_,
            }.items():
                self.register_buffer(name, torch.as_tensor(value, dtype=like.dtype))

        def forward(self, x):
            z = (self.autoencoder.encode(x) - self.center) / self.scale
            return z @ self.weight.T + self.bias

    return Margin().eval()


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
