"""Stable genes: frequencies over subsamples, and how alike chosen sets are."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import Lasso, LogisticRegression, Ridge

from geneexpr import SelectionWarning, StabilitySelector, make_cohort, signature_stability
from geneexpr.explanation._stability_selector import subsamples
from geneexpr.stats._stability import jaccard, kuncheva, nogueira

GENES = [f"g{i}" for i in range(60)]
Y = np.arange(80) % 2


def expression(seed=0, shift=1.5, n_true=4):
    X = np.random.default_rng(seed).normal(size=(80, 60))
    X[:, :n_true] += shift * Y[:, None]
    return pd.DataFrame(X, columns=GENES)


class TestSelector:
    @pytest.mark.parametrize(
        "options",
        [
            {"estimator": SelectKBest(k=6)},
            {"estimator": Ridge(100.0), "n_genes": 6},
            {"estimator": Lasso(0.1)},
            {"estimator": RandomForestClassifier(20, random_state=0), "n_genes": 6},
        ],
        ids=lambda o: type(o["estimator"]).__name__,
    )
    def test_finds_the_genes_that_differ(self, options):
        selector = StabilitySelector(**options, n_resamples=20, threshold=0.7).fit(expression(), Y)
        assert list(selector.get_feature_names_out()) == GENES[:4]
        assert selector.frequencies_[:4].min() > selector.frequencies_[4:].max() + 0.1
        assert selector.expected_false_ == pytest.approx(selector.mean_chosen_**2 / (0.4 * 60))

    @pytest.mark.filterwarnings("ignore:StabilitySelector keeps none of 60 genes")
    def test_the_error_bound_holds_on_noise(self):
        kept = []
        for seed in range(8):
            X = expression(seed, shift=0)
            selector = StabilitySelector(SelectKBest(k=5), threshold=0.75, n_resamples=20)
            selector.fit(X, Y)
            kept.append(selector.support_.sum())
        assert np.mean(kept) <= selector.expected_false_

    def test_frequencies_are_those_of_a_loop(self):
        X = expression()
        selector = StabilitySelector(SelectKBest(k=6), n_resamples=7, random_state=3).fit(X, Y)
        rng = np.random.RandomState(3)
        expected = [
            SelectKBest(k=6).fit(X.to_numpy()[rows], Y[rows]).get_support()
            for rows in subsamples(80, 0.5, 7, rng, strata=Y)
        ]
        np.testing.assert_array_equal(selector.frequencies_, np.mean(expected, axis=0))

    def test_two_processes_choose_the_same(self):
        X = sp.csr_matrix(expression())
        one = StabilitySelector(SelectKBest(k=6), n_resamples=6).fit(X, Y)
        two = StabilitySelector(SelectKBest(k=6), n_resamples=6, n_jobs=2).fit(X, Y)
        np.testing.assert_array_equal(one.frequencies_, two.frequencies_)

    def test_classes_keep_their_shares(self):
        strata = np.repeat([0, 1], [90, 10])
        rng = np.random.RandomState(0)
        for rows in subsamples(100, 0.5, 5, rng, strata=strata):
            assert np.bincount(strata[rows]).tolist() == [45, 5]
            assert len(np.unique(rows)) == 50

    def test_groups_stay_together(self):
        donors = np.repeat(np.arange(20), 4)
        rng = np.random.RandomState(0)
        for rows in subsamples(80, 0.5, 5, rng, strata=donors % 2, groups=donors):
            assert set(np.bincount(donors[rows], minlength=20)) == {0, 4}
            assert len(rows) == 40

    def test_groups_by_name_and_beside_an_array(self):
        X, donors, y = expression(), np.repeat(np.arange(20), 4), np.repeat(np.arange(20) % 2, 4)
        X.iloc[:, :4] += 2 * y[:, None]
        adata = ad.AnnData(
            X.to_numpy(), obs=pd.DataFrame({"donor": donors}, index=map(str, X.index))
        )
        named = StabilitySelector(SelectKBest(k=6), group_key="donor", n_resamples=9).fit(adata, y)
        beside = StabilitySelector(SelectKBest(k=6), n_resamples=9)
        beside.fit(X.to_numpy(), y, groups=donors)
        alone = StabilitySelector(SelectKBest(k=6), n_resamples=9).fit(adata, y)
        np.testing.assert_array_equal(named.frequencies_, beside.frequencies_)
        assert (named.frequencies_ != alone.frequencies_).any()

    def test_on_a_simulated_cohort(self):
        cohort = make_cohort(80, 300, n_modules=0, random_state=0)
        X = np.log1p(np.asarray(cohort.X))
        selector = StabilitySelector(SelectKBest(k=20), n_resamples=20, threshold=0.8)
        selector.fit(X, cohort.obs["condition"])
        assert cohort.var["class_gene"].to_numpy()[selector.support_].mean() > 0.9

    def test_groups_that_lack_a_class(self):
        message = (
            r"^No 0\.5 of 2 groups in 100 draws held all 2 classes: .* Raise sample_fraction\.$"
        )
        selector = StabilitySelector(SelectKBest(k=6))
        with pytest.raises(ValueError, match=message):
            selector.fit(expression(), Y, groups=Y)

    def test_one_class(self):
        with pytest.raises(ValueError, match=r"^y has one class only, .*: there is nothing"):
            StabilitySelector(SelectKBest(k=6)).fit(expression(), Y * 0)

    def test_all_genes_always(self):
        message = (
            r"^LogisticRegression chooses all 60 genes on every subsample, so that none stands out\. "
            r"Give n_genes, or an estimator with an L1 penalty\.$"
        )
        with pytest.warns(SelectionWarning, match=message):
            StabilitySelector(LogisticRegression(), n_resamples=3).fit(expression(), Y)

    def test_an_estimator_that_says_nothing_of_genes(self):
        message = r"^PCA says of none of the 60 genes how much it matters: estimator must have get_"
        with pytest.raises(ValueError, match=message):
            StabilitySelector(PCA(2), n_resamples=3).fit(expression(), Y)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"threshold": 0}, r"^threshold must be a number above 0 and at most 1; got 0\.$"),
            (
                {"sample_fraction": 1},
                r"^sample_fraction must be a number above 0 and below 1; got 1\.$",
            ),
            ({"n_resamples": 0}, r"^n_resamples must be a whole number at least 1; got 0\.$"),
            ({"n_genes": 0}, r"^n_genes must be a whole number at least 1; got 0\.$"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(ValueError, match=message):
            StabilitySelector(SelectKBest(k=6), **options).fit(expression(), Y)


class TestMeasures:
    def test_equal_sets(self):
        found = signature_stability([["a", "b"]] * 5, 100)
        assert (found.nogueira, found.kuncheva, found.jaccard) == (1, 1, 1)
        assert found.interval == (1, 1)

    def test_by_hand(self):
        """Two sets of two of four genes with one in common: no more than chance gives."""
        found = signature_stability([["a", "b"], ["b", "c"]], 4)
        assert found.jaccard == pytest.approx(1 / 3)
        assert found.kuncheva == pytest.approx(0)
        assert found.nogueira == pytest.approx(0)
        assert found.frequencies.to_dict() == {"b": 1.0, "a": 0.5, "c": 0.5}

    def test_nogueira_is_kunchevas_index_for_sets_of_one_size(self):
        rng = np.random.default_rng(0)
        chosen = np.array([rng.permutation(50) < 9 for _ in range(12)])
        assert nogueira(chosen, 50)[0] == pytest.approx(kuncheva(chosen, 50), abs=1e-12)
        assert nogueira(chosen, 50)[0] == pytest.approx(0, abs=0.1)

    def test_genes_that_no_set_holds_need_not_be_there(self):
        rng = np.random.default_rng(0)
        chosen = rng.random((8, 30)) < 0.3
        wide = np.hstack([chosen, np.zeros((8, 70), dtype=bool)])
        for one, other in zip(nogueira(chosen, 100), nogueira(wide, 100), strict=True):
            assert one == pytest.approx(other)
        assert jaccard(chosen) == jaccard(wide)

    def test_the_interval_holds_the_true_stability(self):
        rng = np.random.default_rng(0)
        p = np.repeat([0.8, 0.04], [8, 92])
        true, _ = nogueira(rng.random((20_000, 100)) < p, 100)
        intervals = [nogueira(rng.random((60, 100)) < p, 100)[1] for _ in range(200)]
        assert 0.88 <= np.mean([low <= true <= high for low, high in intervals]) <= 0.99

    def test_sets_of_different_sizes_have_no_kuncheva(self):
        found = signature_stability([["a"], ["a", "b"], ["a"]], 10)
        assert np.isnan(found.kuncheva)
        assert 0 < found.nogueira < 1

    def test_names_supports_and_a_printed_line(self):
        masks = np.array([[1, 1, 0, 0], [0, 1, 1, 0]], dtype=bool)
        by_mask = signature_stability(masks, 4)
        by_name = signature_stability([["a", "b"], ["b", "c"]], 4)
        assert by_mask.jaccard == by_name.jaccard
        assert by_mask.nogueira == pytest.approx(by_name.nogueira)
        assert str(by_name).startswith("2 sets of 4 genes: stability 0.00 (")

    @pytest.mark.parametrize(
        ("sets", "n_genes", "message"),
        [
            ([["a"]], 9, r"^Stability compares at least two sets of genes; got 1\.$"),
            (
                [["a"], ["b"]],
                1,
                r"^n_genes must be no less than the 2 genes .*; got 1\.$",
            ),
            (["ab", "bc"], 9, r"^Set 0 must be a list of gene names; got str 'ab'\.$"),
        ],
    )
    def test_bad_input(self, sets, n_genes, message):
        with pytest.raises(ValueError, match=message):
            signature_stability(sets, n_genes)
