"""Whether explanations name the genes that matter: ``python -m benchmarks.explanations``.

Writes EXPLANATIONS.md (about five minutes). Three models are explained on cohorts whose class
genes are known, on the sex of cells from three laboratories, and on the oestrogen receptor in
breast cancer. The real data are read from the folder that GENEEXPR_DATA names, else from
``../shared/data``.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    ComBatCorrector,
    CPMNormalizer,
    LowExpressionFilter,
    OnMatrix,
    ToArray,
    TorchMLPClassifier,
    differential_expression,
    explain,
    explain_instance,
    fetch_hapmap_lcl,
    make_cohort,
    validate_signature,
)

HERE = Path(__file__).resolve().parent
FOLDER = Path(os.environ.get("GENEEXPR_DATA", HERE.parents[1] / "shared" / "data"))
TOP = (10, 25, 50)
SIGNATURES = {
    "PAM50": "pam50_centroids",
    "70 genes": "sig.gene70",
    "76 genes": "sig.gene76",
    "genomic grade": "sig.ggi",
    "Oncotype DX": "sig.oncotypedx",
    "EndoPredict": "sig.endoPredict",
    "PIK3CA": "sig.pik3cags",
}
N_CHOSEN = 40


def models(seed):
    """Return the last steps that are compared."""
    return {
        "logistic regression": LogisticRegression(C=0.01, max_iter=2000),
        "random forest": RandomForestClassifier(500, random_state=seed),
        "network": TorchMLPClassifier(random_state=seed),
        "network, l1=0.02": TorchMLPClassifier(l1=0.02, lr_schedule="cosine", random_state=seed),
    }


# ------------------------------------------------------------------ simulated cohorts


def recover(n_seeds):
    """Return how many of the top genes are class genes: a row a seed, effect and ranking."""
    rows = []
    for seed in range(n_seeds):
        for effect in (1.0, 0.5):
            rows += [{"effect": effect, "seed": seed, **row} for row in recover_one(seed, effect)]
    return pd.DataFrame(rows)


def recover_one(seed, effect):
    """Explain three models of one cohort on samples that they have not seen."""
    X = make_cohort(150, 1000, effect_size=effect, random_state=seed)
    y = X.obs["condition"].to_numpy()
    train = np.random.default_rng(seed).permutation(150) < 100
    truth = X.var["class_gene"]
    for name, last in models(seed).items():
        model = make_pipeline(CPMNormalizer(log=True), OnMatrix(StandardScaler()), ToArray(), last)
        model.fit(X[train], y[train])
        found = explain(model, X[~train], background=X[train])
        yield {
            "ranked by": name,
            "accuracy": model.score(X[~train], y[~train]),
            "used": int((found.values != 0).any(axis=0).sum()),
            "additivity": found.additivity_error,
            **precision(found.top_genes(max(TOP))["gene"], truth),
        }
        if name == "logistic regression":
            yield {
                "ranked by": "LIME of the regression, 5 samples",
                **precision(lime(model, X, train), truth),
            }
    table = differential_expression(CPMNormalizer(log=True).fit_transform(X[train]), y[train])
    ranked = table.sort_values("p_value", kind="stable").index
    yield {"ranked by": "moderated t-test, no model", **precision(ranked, truth)}


def lime(model, X, train):
    """Rank genes by their mean absolute weight in the explanations of five held-out samples.

    From the logarithms on: of raw counts, abundant genes move all others.
    """
    logs = model[0].transform(X)
    parts = [
        explain_instance(model[1:], logs[[i]], background=logs[train], n_genes=max(TOP)).to_frame()
        for i in np.flatnonzero(~train)[:5]
    ]
    weights = pd.concat(parts).set_index("gene")["weight"].abs().groupby(level=0).sum()
    return weights.sort_values(ascending=False, kind="stable").index


def precision(ranked, truth):
    """Return the share of class genes among the first k."""
    hits = truth.loc[list(ranked[: max(TOP)])].to_numpy()
    return {f"top {k}": hits[:k].mean() for k in TOP}


def with_interval(values):
    """Return a mean and its 95 % interval over seeds, as text."""
    values = np.asarray(values, dtype=float)
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.2f} [{values.mean() - half:.2f}, {min(values.mean() + half, 1):.2f}]"


# ------------------------------------------------------------------ sex, three laboratories


def sex():
    """Return how many of the top genes for sex are sex-linked, a row a model."""
    X = fetch_hapmap_lcl()
    y = X.obs["sex"].to_numpy()
    linked = set(X.uns["y_linked"]) | set(X.uns["x_escape"])
    linked |= set(X.var_names[X.var["chromosome"] == "Y"])
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    rows = []
    for name, last in models(0).items():
        model = make_pipeline(
            LowExpressionFilter(condition="sex"),
            CPMNormalizer(log=True),
            ComBatCorrector(batch_key="lab"),
            OnMatrix(StandardScaler()),
            ToArray(),
            last,
        )
        accuracy = cross_val_score(model, X, y, groups=X.obs["donor"], cv=folds).mean()
        model.fit(X, y)
        found = explain(model, X)
        top = found.top_genes(10)["gene"]
        universe = found.gene_names[found.in_model]
        known = [gene for gene in universe if gene in linked]
        table = validate_signature(list(top), known, universe=universe)
        rows.append(
            {
                "model": name,
                "accuracy": f"{accuracy:.2f}",
                "genes in the model": len(universe),
                "sex-linked": len(known),
                "of the top 5": sum(gene in linked for gene in top[:5]),
                "of the top 10": int(table["overlap"].iloc[0]),
                "p of these 10": f"{table['p_value'].iloc[0]:.1g}",
                "top 10": ", ".join(named(gene, X.var, linked) for gene in top),
            }
        )
    return pd.DataFrame(rows)


def named(gene, about, linked):
    """Return the symbol of a gene, and its chromosome where it is not on the lists."""
    symbol = about.loc[gene, "symbol"] or gene
    return symbol if gene in linked else f"{symbol} (chromosome {about.loc[gene, 'chromosome']})"


# ------------------------------------------------------------------ oestrogen receptor


def load_study(file):
    """Return expression by Entrez gene, ER status and symbols of one study."""
    folder = FOLDER / "breast_cancer_3studies_genefu"
    values = pd.read_csv(folder / f"{file}_expr.csv.gz", index_col=0)
    probes = pd.read_csv(folder / f"{file}_probes.csv.gz", index_col=0).reindex(values.index)
    genes = probes["EntrezGene.ID"]
    known = genes.notna()
    X = values[known].groupby(genes[known].astype(int).astype(str)).mean().T
    symbols = (
        probes[known].groupby(genes[known].astype(int).astype(str))["HUGO.gene.symbol"].first()
    )
    er = pd.read_csv(folder / f"{file}_clinical.csv.gz", index_col=0).reindex(X.index)["er"]
    return X[er.notna()], er[er.notna()].astype(int).to_numpy(), symbols


def signatures(universe):
    """Return the published signatures by Entrez gene, those with genes in the universe."""
    found = {}
    for name, file in SIGNATURES.items():
        genes = pd.read_csv(FOLDER / "cancer_biomarkers" / f"{file}.csv")["EntrezGene.ID"]
        found[name] = genes.dropna().astype(int).astype(str).unique().tolist()
    return {name: genes for name, genes in found.items() if set(genes) & set(universe)}


def oestrogen(file):
    """Return the overlap of the chosen genes with each signature, and the first genes."""
    X, y, symbols = load_study(file)
    tables, first = {}, {}
    for name, last in models(0).items():
        model = make_pipeline(StandardScaler().set_output(transform="pandas"), last)
        found = explain(model.fit(X, y), X)
        top = found.top_genes(N_CHOSEN)["gene"].tolist()
        universe = found.gene_names[found.in_model]
        tables[name], first[name] = overlap(top, universe, X, symbols)
    ranked = differential_expression(X, y).sort_values("p_value", kind="stable").index
    name = "t-test, no model"
    tables[name], first[name] = overlap(ranked[:N_CHOSEN].tolist(), list(X.columns), X, symbols)
    return tables, first, X.shape, int(y.sum())


def overlap(chosen, universe, X, symbols):
    """Return the overlap with each signature, and the symbols of the first ten genes."""
    table = validate_signature(
        chosen, signatures(universe), universe=universe, mean_expression=X.mean()
    )
    return table, [symbols[gene] or f"Entrez {gene}" for gene in chosen[:10]]


# ------------------------------------------------------------------ the report


HEAD = """# Do explanations name the genes that matter?

Made by `OMP_NUM_THREADS=1 python -m benchmarks.explanations`, which overwrites this file (other
numbers of threads change networks in their last digits). `explain` ranks genes by their mean
absolute SHAP value; the models are those of the library's examples, untuned.

"""


def table_of(frame):
    """Return a DataFrame as a Markdown table."""
    lines = [f"| {' | '.join(map(str, frame.columns))} |", f"|{'---|' * len(frame.columns)}"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in frame.itertuples(index=False)]
    return "\n".join(lines) + "\n"


def report_recovery(rows):
    """Say how many of the top genes are class genes."""
    n_seeds = rows["seed"].nunique()
    parts = [
        f"""## Simulated cohorts

{n_seeds} cohorts of `make_cohort(150, 1000)`: negative-binomial counts, 50 class genes, half of
whose effects are below `effect_size` (in log2, up or down). Each model is fitted on 100 samples
(log CPM, `StandardScaler`) and explained on the other 50, with the 100 as background. Share of
class genes among the top k, mean over cohorts with Student's 95 % interval; chance gives 0.05.
"""
    ]
    for effect, part in rows.groupby("effect", sort=False):
        shown = [
            {
                "ranked by": name,
                **{f"top {k}": with_interval(of[f"top {k}"]) for k in TOP},
                "accuracy": "" if of["accuracy"].isna().any() else f"{of['accuracy'].mean():.2f}",
                "genes used": "" if of["used"].isna().any() else f"{of['used'].mean():.0f}",
                "additivity error": ""
                if of["additivity"].isna().any()
                else f"{of['additivity'].max():.0e}",
            }
            for name, of in part.groupby("ranked by", sort=False)
        ]
        parts.append(f"### Effect size {effect:g}\n\n{table_of(pd.DataFrame(shown))}")
    parts.append(
        "LIME explains one sample at a time; its weights of five held-out samples of the\n"
        "logistic regression are summed. Genes used: those with any value; of a network that\n"
        "selects genes (`l1`) the rest of the top 50 have none and are there by their order.\n"
        "The t-test ranks by p-value and predicts nothing: it is what genes taken one by one\n"
        "can show.\n"
    )
    return "\n".join(parts)


def report_sex(table):
    """Say which genes the models see sex by."""
    return f"""## Sex, three laboratories

170 lymphoblastoid cell lines of Pickrell, Montgomery and Cheung (`fetch_hapmap_lcl`):
`LowExpressionFilter(condition="sex")` (without the condition it asks for counts in most samples,
which drops the genes of Y), log CPM, `ComBatCorrector(batch_key="lab")`, `StandardScaler`.
Accuracy is cross-validated in five folds that keep the samples of a donor together (29 donors
were sequenced twice); the explanation is of the model of all samples. Sex-linked: on the
male-specific part of Y, elsewhere on Y, or escaping X inactivation by the lists of the data set.
XIST has no counts in these data.

{table_of(table)}
Genes with a chromosome in brackets are not on the lists.
"""


def beyond_chance(tables):
    """Say which overlaps are more than chance gives, over the signatures of a model."""
    parts = []
    for model, table in tables.items():
        names = table.index[table["p_adjusted"] < 0.05]
        parts.append(f"{model}: {', '.join(names) if len(names) else 'none'}")
    return (
        "Overlap beyond chance (p below 0.05 after Benjamini and Hochberg):\n"
        + ";\n".join(parts)
        + "."
    )


def report_oestrogen(study, tables, first, shape, n_positive):
    """Say how the chosen genes overlap with the signatures."""
    rows = []
    for name in SIGNATURES:
        row = {"signature": name}
        for model, table in tables.items():
            if name not in table.index:
                row[model] = "none in the model"
                continue
            of = table.loc[name]
            row[model] = (
                f"{of['overlap']} of {of['set_size']} ({of['expected']:.1f}), "
                f"p {of['p_value']:.2g} ({of['matched_p_value']:.2g})"
            )
        rows.append(row)
    lists = "\n".join(f"- {model}: {', '.join(genes)}" for model, genes in first.items())
    return f"""### {study}: {shape[0]} tumours ({n_positive} positive), {shape[1]} genes

{table_of(pd.DataFrame(rows))}
{beyond_chance(tables)}

The first ten genes:

{lists}
"""


OESTROGEN = f"""## Oestrogen receptor in breast cancer

The {N_CHOSEN} genes that move each model most, beside published signatures: overlap of genes of
the signature in the universe (by chance), hypergeometric p (p of random genes of the same
expression). The universe is the genes that entered the model. These studies hold only genes that
some signature uses, so that what is compared is one signature with the others, and most are of
prognosis, not of the receptor. A linear model and a network share weights out over correlated
genes, so that the best known gene need not be first; a forest, and a test of each gene by itself,
take genes one at a time.

"""


def main():
    """Run all, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=HERE / "EXPLANATIONS.md")
    options = parser.parse_args()
    os.environ.setdefault("GENEEXPR_DATA", str(FOLDER))
    parts = [HEAD + report_recovery(recover(options.seeds)), report_sex(sex())]
    studies = [
        report_oestrogen(study, *oestrogen(file))
        for study, file in (("expO", "expos"), ("VDX", "vdxs"))
    ]
    parts.append(OESTROGEN + "\n".join(studies))
    options.out.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
