"""Wald's test of counts, against the reimplementation of DESeq2 in Python."""

from __future__ import annotations

import numpy as np

from ._data import counts, frame
from ._jobs import Job, times_faster


def _data(quick):
    X, _ = counts(*((12, 200) if quick else (30, 5000)))
    X[:, : X.shape[1] // 10] += 1  # genes without a zero, which size factors need
    group = np.where(np.arange(len(X)) % 2, "case", "control")
    X[group == "case", ::10] *= 2
    return X.astype(np.int64), group


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
    mine, other = ours["p_value"].to_numpy(), theirs["pvalue"].to_numpy()
    both = ~np.isnan(mine) & ~np.isnan(other)
    close = np.abs(mine - other)[both] <= 1e-3 * mine[both]
    return f"p-values within 1e-3 for {close.mean():.1%} of genes"


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
