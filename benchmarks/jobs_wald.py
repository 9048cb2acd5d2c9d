"""Wald's test of counts, against the reimplementation of DESeq2 in Python."""

from __future__ import annotations

import numpy as np

from ._data import frame
from ._jobs import Job, times_faster


def _data(quick):
    n, p = (12, 200) if quick else (30, 5000)
    rng = np.random.default_rng(0)
    group = np.where(np.arange(n) % 2, "case", "control")
    mean = (1 + rng.gamma(0.6, 300, p)) * rng.uniform(0.6, 1.6, (n, 1))
    mean[group == "case", ::10] *= 2
    size = 1 / (0.05 + 2 / mean.mean(axis=0) * rng.gamma(3, 1 / 3, p))
    return rng.negative_binomial(size, size / (size + mean)), group


def _wald(data):
    from geneexpr import differential_expression

    X, group = data
    options = {"method": "wald", "reference": "control"}
    return lambda: differential_expression(X.astype(np.float64), group, **options)


def _pydeseq2(data):
    import warnings

    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.ds import DeseqStats

    X, group = data
    table = frame(X)
    samples = table.iloc[:, :0].assign(group=group)

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fit = DeseqDataSet(counts=table, metadata=samples, design="~group", quiet=True)
            fit.deseq2()
            tests = DeseqStats(fit, contrast=["group", "case", "control"], quiet=True)
            tests.summary()
        return tests.results_df

    return run


def _agreement(data, ours, theirs):
    mine, other = ours["log2_fold_change"].to_numpy(), theirs["log2FoldChange"].to_numpy()
    change = np.nanmedian(np.abs(mine - other))
    p = np.nanmedian(np.abs(ours["p_value"] / theirs["pvalue"].to_numpy() - 1))
    return f"medians: fold change differs by {change:.0e}, p-value by {p:.1%}"


JOBS = (
    Job(
        "wald",
        "Wald's test, two groups, 30 x 5 000",
        _data,
        {"geneexpr": _wald, "PyDESeq2": _pydeseq2},
        targets=(times_faster(20, "PyDESeq2"),),
        note=_agreement,
        repeats=1,
        memory=False,
    ),
)
