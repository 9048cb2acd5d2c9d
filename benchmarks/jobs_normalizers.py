"""Scaling factors, quantiles, variance stabilisation and tests of genes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ._data import (
    annotated,
    counts,
    frame,
    log_expression,
    names,
    relative_difference,
    sparse_counts,
)
from ._jobs import Job, times_faster, within_copies

SIZE = "500 x 20 000"


def _counts(quick):
    X, _ = counts(*((50, 200) if quick else (500, 20_000)))
    X[:, : X.shape[1] // 10] += 1  # genes without a zero, which the median of ratios needs
    return X


def _logged(quick):
    X, _ = log_expression(*((50, 200) if quick else (500, 20_000)))
    return X, np.where(np.arange(len(X)) % 2, "case", "control")


def _cells(quick):
    X = sparse_counts(*((200, 100) if quick else (20_000, 20_000)), 0.05)
    X.data = np.log1p(X.data)
    return X, np.array(names("type", 12))[np.arange(X.shape[0]) % 12]


def _ours(name, **options):
    def prepare(X):
        import geneexpr

        normalizer = getattr(geneexpr, name)(**options)
        return lambda: normalizer.fit_transform(X)

    return prepare


def _rnanorm_tmm(X):
    import rnanorm

    table = frame(X)
    return lambda: rnanorm.TMM().fit_transform(table)


def _pydeseq2_factors(X):
    from pydeseq2.preprocessing import deseq2_norm

    return lambda: deseq2_norm(X)[0]


def _pydeseq2_vst(X):
    from pydeseq2.dds import DeseqDataSet

    table = frame(X.astype(int))
    group = pd.DataFrame({"group": ["a", "b"] * (len(X) // 2)}, index=table.index)

    def call():
        # Dispersions and size factors stay in the data set: it is made anew for each call.
        data = DeseqDataSet(counts=table, metadata=group, design="~group", quiet=True)
        data.vst(use_design=False)
        return data.layers["vst_counts"]

    return call


def _qnorm(X):
    import qnorm

    return lambda: qnorm.quantile_normalize(X, axis=0, ncpus=2)


def _tests(method):
    def prepare(data):
        from geneexpr import differential_expression

        reference = "rest" if method == "wilcoxon" else None
        return lambda: differential_expression(*data, method=method, reference=reference)

    return prepare


def _scipy_welch(data):
    from scipy.stats import ttest_ind

    X, group = data
    return lambda: ttest_ind(X[group == "case"], X[group == "control"], equal_var=False)


def _scanpy_ranks(data):
    from scanpy.tools import rank_genes_groups

    X, group = data
    cells = annotated(X, group=pd.Categorical(group))
    return lambda: rank_genes_groups(cells, "group", method="wilcoxon", tie_correct=True)


def _same(data, ours, theirs):
    return relative_difference(ours, theirs)


def _matrix(data):
    return data if isinstance(data, np.ndarray) else data[0]


JOBS = (
    Job(
        "tmm",
        f"TMM fit_transform, {SIZE}",
        _counts,
        {"geneexpr": _ours("TMMNormalizer"), "rnanorm": _rnanorm_tmm},
        targets=(times_faster(25, "rnanorm"),),
        copied=_matrix,
        first_call=True,
        note=_same,
        repeats=3,
    ),
    Job(
        "size_factors",
        f"median of ratios fit_transform, {SIZE}",
        _counts,
        {"geneexpr": _ours("MedianOfRatiosNormalizer"), "PyDESeq2": _pydeseq2_factors},
        targets=(times_faster(2, "PyDESeq2"),),
        copied=_matrix,
        first_call=True,
        note=_same,
    ),
    Job(
        "quantile",
        f"quantile normalisation fit_transform, {SIZE}",
        lambda quick: _logged(quick)[0],
        {"geneexpr": _ours("QuantileNormalizer"), "qnorm": _qnorm},
        targets=(times_faster(2.5, "qnorm"),),
        copied=_matrix,
        first_call=True,
    ),
    Job(
        "vst",
        f"VST fit_transform, 1 000 genes for the trend, {SIZE}",
        _counts,
        {"geneexpr": _ours("VarianceStabilizer")},
        copied=_matrix,
        first_call=True,
        repeats=3,
    ),
    Job(
        "vst_all_genes",
        f"VST fit_transform, all genes for the trend, {SIZE}",
        _counts,
        {"geneexpr": _ours("VarianceStabilizer", n_sub=None), "PyDESeq2": _pydeseq2_vst},
        targets=(times_faster(20, "PyDESeq2"),),
        copied=_matrix,
        first_call=True,
        note=_same,
        repeats=1,
        memory=False,
    ),
    Job(
        "moderated_t",
        f"moderated t, two groups, {SIZE}",
        _logged,
        {"geneexpr": _tests("moderated_t"), "SciPy (Welch)": _scipy_welch},
        targets=(within_copies(15),),
        copied=_matrix,
    ),
    Job(
        "wilcoxon",
        "Wilcoxon, 12 groups each against the rest, CSR 20 000 x 20 000, 5 %",
        _cells,
        {"geneexpr": _tests("wilcoxon"), "scanpy": _scanpy_ranks},
        targets=(times_faster(5, "scanpy"),),
        copied=_matrix,
        repeats=1,
        memory=False,
    ),
)
