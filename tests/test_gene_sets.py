"""Gene sets: files, over-representation, ranked enrichment, signatures against known genes."""

import gzip
import re
import sys
from fractions import Fraction
from math import comb

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact, hypergeom
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from geneexpr import (
    differential_expression,
    explain,
    over_representation,
    ranked_enrichment,
    read_gmt,
    validate_signature,
)
from geneexpr.stats._hypergeometric import (
    hypergeometric_mass,
    hypergeometric_tail,
    stratified_overlap,
)

GENES = [f"g{i}" for i in range(200)]
SETS = {
    "first": GENES[:20],
    "spread": GENES[::10],
    "foreign": ["x1", "x2", *GENES[:3]],
    "absent": ["x1", "x2"],
}


class TestGMT:
    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_reads_text_and_gzip(self, tmp_path, pack):
        path = tmp_path / "sets"
        text = "A\tabout\tTP53\tMDM2\tTP53\t\r\n\nB b\t\tMYC\n"
        path.write_bytes(pack(text.encode()))
        assert read_gmt(path) == {"A": ["TP53", "MDM2"], "B b": ["MYC"]}

    def test_bad_lines_are_named(self, tmp_path):
        path = tmp_path / "bad.gmt"
        path.write_text("A\td\tTP53\nno tabs here\nB\td\t\n\td\tMYC\nA\td\tMYC\n")
        message = (
            r"^bad\.gmt has 4 lines that are no gene set: line 2 has no tabs \('no tabs here'\); "
            r"line 3 names no genes \('B'\); line 4 has no name; line 5 repeats the name 'A'\. A "
            r"line of a GMT file is a name, a description and genes, separated by tabs\.$"
        )
        with pytest.raises(ValueError, match=message):
            read_gmt(path)

    def test_an_empty_file_and_no_text(self, tmp_path):
        path = tmp_path / "none.gmt"
        path.write_text("\n")
        with pytest.raises(ValueError, match=r"^none\.gmt holds no gene sets\.$"):
            read_gmt(path)
        path.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(ValueError, match=r"^none\.gmt is no GMT file: it is not text"):
            read_gmt(path)

    def test_msigdb_and_reactome(self, shared):
        folder = shared / "data" / "gene_sets"
        hallmark = read_gmt(folder / "h.all.v7.0.symbols.gmt.gz")
        reactome = read_gmt(folder / "ReactomePathways_2024-09-18.gmt.gz")
        assert (len(hallmark), len(reactome)) == (50, 2694)
        assert len({g for genes in hallmark.values() for g in genes}) == 4384
        assert {"TP53", "MDM2"} <= set(hallmark["HALLMARK_P53_PATHWAY"])


class TestHypergeometric:
    def test_equals_exact_fractions(self):
        total, marked, drawn = 60, 13, 21
        ways = [comb(marked, k) * comb(total - marked, drawn - k) for k in range(drawn + 1)]
        exact = [float(Fraction(sum(ways[k:]), sum(ways))) for k in range(drawn + 1)]
        ours = hypergeometric_tail(np.arange(drawn + 1), marked, drawn, total)
        np.testing.assert_allclose(ours, exact, rtol=1e-12)
        mass = hypergeometric_mass(marked, drawn, total)
        np.testing.assert_allclose(mass, np.array(ways) / sum(ways), rtol=1e-12)

    def test_equals_scipy_on_many_sets_far_into_the_tail(self):
        rng = np.random.default_rng(0)
        marked = rng.integers(1, 500, 300)
        overlap = np.minimum(marked, rng.binomial(marked, 300 / 20_000) + rng.integers(0, 40, 300))
        ours = hypergeometric_tail(overlap, marked, 300, 20_000)
        theirs = hypergeom.sf(overlap - 1, 20_000, marked, 300)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        assert ours.min() < 1e-40

    def test_limits(self):
        np.testing.assert_array_equal(
            hypergeometric_tail([0, 5, 3], [4, 4, 10], [4, 4, 8], [20, 20, 15]), [1, 0, 1]
        )

    def test_strata_convolve(self):
        joint = stratified_overlap([3, 2], [4, 2], [9, 5])
        by_hand = np.convolve(
            hypergeom.pmf(np.arange(5), 9, 3, 4), hypergeom.pmf(np.arange(3), 5, 2, 2)
        )
        np.testing.assert_allclose(joint, by_hand, atol=1e-14)


class TestOverRepresentation:
    def test_equals_fishers_exact_test(self):
        chosen = [*GENES[:12], *GENES[100:118]]
        table = over_representation(chosen, SETS, universe=GENES, min_size=3)
        assert list(table.index) == ["first", "foreign", "spread"]
        for name, row in table.iterrows():
            inside = set(SETS[name]) & set(GENES)
            both = len(inside & set(chosen))
            cells = [[both, len(inside) - both], [30 - both, 200 - len(inside) - 30 + both]]
            expected = fisher_exact(cells, alternative="greater")
            np.testing.assert_allclose([row["odds_ratio"], row["p_value"]], [*expected], rtol=1e-10)
            assert row["set_size"] == len(inside)
            assert row["expected"] == pytest.approx(len(inside) * 30 / 200)
            assert row["enrichment"] == pytest.approx(both / row["expected"])
            assert set(row["genes"]) == inside & set(chosen)

    def test_is_calibrated_on_random_genes(self):
        rng = np.random.default_rng(0)
        sets = {"a": GENES[:50]}
        chosen = (rng.choice(GENES, 40, replace=False) for _ in range(300))
        p = [over_representation(c, sets, universe=GENES)["p_value"].item() for c in chosen]
        assert np.mean(np.array(p) <= 0.05) <= 0.08

    def test_the_universe_of_a_pipeline_a_table_and_an_anndata(self):
        rng = np.random.default_rng(0)
        X = pd.DataFrame(rng.normal(size=(20, 200)), columns=GENES)
        y = np.arange(20) % 2
        pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
        table = differential_expression(X, y)
        expected = over_representation(GENES[:9], SETS, universe=GENES)
        for universe in (
            pipeline,
            table,
            ad.AnnData(X.set_axis(list(map(str, X.index)))),
            X,
            tuple(GENES),
        ):
            found = over_representation(GENES[:9], SETS, universe=universe)
            pd.testing.assert_frame_equal(found, expected)
        table.loc["g199", "p_value"] = np.nan
        smaller = over_representation(GENES[:9], SETS, universe=table)
        assert smaller.loc["first", "p_value"] > expected.loc["first", "p_value"]

    def test_a_universe_without_names(self):
        model = StandardScaler().fit(np.eye(3))
        message = r"^universe is a StandardScaler that knows no gene names\. Fit it on a DataFrame"
        with pytest.raises(ValueError, match=message):
            over_representation(["a"], SETS, universe=model)

    def test_chosen_genes_outside_the_universe(self):
        message = (
            r"^2 of 3 genes are not in the universe: 'x1', 'x9'\. The universe holds all genes that "
            r"could have been chosen: those that entered the model\.$"
        )
        with pytest.raises(ValueError, match=message):
            over_representation(["g1", "x1", "x9"], SETS, universe=GENES)

    def test_sets_of_other_identifiers(self):
        message = (
            r"^None of 1 gene sets has 1 to any number of genes in the universe; the largest has 0\. "
            r"The sets name genes such as '7157', '4193': are these identifiers of the same kind\?$"
        )
        with pytest.raises(ValueError, match=message):
            over_representation(["g1"], {"P53": [7157, 4193]}, universe=GENES)

    @pytest.mark.parametrize("options", [{"min_size": 0}, {"min_size": 5, "max_size": 4}])
    def test_sizes_that_no_set_has(self, options):
        with pytest.raises(ValueError, match=r"m.._size must be a whole number at least .; got ."):
            over_representation(["g1"], SETS, universe=GENES, **options)

    @pytest.mark.parametrize(
        ("genes", "sets", "message"),
        [
            ("g1", SETS, r"^genes must be a list of gene names; got str 'g1'\.$"),
            ([], SETS, r"^genes is empty\.$"),
            (["g1", None], SETS, r"^genes has 1 missing names of 2\. Drop them\.$"),
            (["g1"], ["g1"], r"^gene_sets must map the name of a set to its genes, .* got list\.$"),
            (["g1"], {}, r"^gene_sets holds no sets\.$"),
            (["g1"], {"a": [], "b": ["g1"]}, r"^1 of 2 gene sets name no genes: 'a'\.$"),
            (["g1"], {1: ["g1"], "1": ["g2"]}, r"^gene_sets has two names that are the same as"),
            (["g1"], {"a": "g1"}, r"^The gene set 'a' must be a list of gene names; got str 'g1'"),
        ],
    )
    def test_bad_input(self, genes, sets, message):
        with pytest.raises(ValueError, match=message):
            over_representation(genes, sets, universe=GENES)


RANKED_SETS = {"top": GENES[:20], "bottom": GENES[-20:], "even": GENES[::10], "small": GENES[:3]}


class TestRankedEnrichment:
    ranking = pd.Series(np.linspace(3, -3, 200), index=GENES)

    def test_finds_top_and_bottom(self):
        table = ranked_enrichment(self.ranking, RANKED_SETS, n_permutations=200)
        assert set(table.index) == {"top", "bottom", "even"}
        assert table.loc["top", "enrichment_score"] == pytest.approx(1)
        assert table.loc["bottom", "enrichment_score"] == pytest.approx(-1)
        assert (table.loc[["top", "bottom"], "p_value"] == 1 / 200).all()
        assert table.loc["even", "p_value"] > 0.05
        assert set(table.loc["top", "leading_edge"]) == set(GENES[:20])
        assert table["set_size"].to_dict() == {"top": 20, "bottom": 20, "even": 20}

    def test_is_the_running_sum(self):
        """The enrichment score of Subramanian et al. (2005), written out."""
        rng = np.random.default_rng(1)
        ranking = pd.Series(rng.normal(size=200), index=GENES)
        table = ranked_enrichment(ranking, {"s": GENES[:20]}, n_permutations=10)
        falling = ranking.sort_values(ascending=False)
        hit = falling.index.isin(GENES[:20])
        up = np.cumsum(np.where(hit, falling.abs(), 0)) / falling.abs()[hit].sum()
        running = up - np.cumsum(~hit) / (~hit).sum()
        expected = running[np.argmax(np.abs(running))]
        assert table["enrichment_score"].item() == pytest.approx(expected, abs=1e-6)

    def test_takes_tables_and_mappings_in_any_order_of_rows(self):
        table = pd.DataFrame({"statistic": self.ranking, "other": -self.ranking})
        expected = ranked_enrichment(self.ranking, RANKED_SETS, n_permutations=50)
        shuffled = table.sample(frac=1, random_state=0)
        for given in (shuffled, self.ranking.to_dict()):
            pd.testing.assert_frame_equal(
                ranked_enrichment(given, RANKED_SETS, n_permutations=50), expected
            )
        other = ranked_enrichment(table, RANKED_SETS, by="other", n_permutations=50)
        assert other.loc["top", "enrichment_score"] == pytest.approx(-1)

    def test_bad_rankings(self):
        with pytest.raises(ValueError, match=r"has no column 't'; it has 'a'\. Name one with by="):
            ranked_enrichment(pd.DataFrame({"a": self.ranking}), RANKED_SETS, by="t")
        with pytest.raises(ValueError, match="no finite score for 1 of 200 genes: 'g5'"):
            ranked_enrichment(self.ranking.where(self.ranking.index != "g5"), RANKED_SETS)
        with pytest.raises(ValueError, match=r"names 'g0', 'g1', .* more than once"):
            ranked_enrichment(pd.concat([self.ranking] * 2), RANKED_SETS)
        with pytest.raises(ValueError, match="gives all 200 genes the same score"):
            ranked_enrichment(self.ranking * 0, RANKED_SETS)
        with pytest.raises(ValueError, match=r"must be a Series indexed by gene.*; got list"):
            ranked_enrichment(GENES, RANKED_SETS)
        with pytest.raises(ValueError, match="None of 1 gene sets has 15 to 500 genes"):
            ranked_enrichment(self.ranking, {"small": GENES[:3]})

    def test_without_gseapy(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "gseapy", None)
        message = (
            r"^ranked_enrichment needs the package gseapy; install it with: pip install "
            r"'geneexpr\[genesets\]'$"
        )
        with pytest.raises(ImportError, match=message):
            ranked_enrichment(self.ranking, RANKED_SETS)


class TestValidateSignature:
    def test_equals_scipy(self):
        table = validate_signature(GENES[:30], SETS["foreign"], universe=GENES)
        row = table.loc["reference"]
        assert (row["set_size"], row["n_unknown"], row["overlap"]) == (3, 2, 3)
        assert row["p_value"] == pytest.approx(hypergeom.sf(2, 200, 3, 30), rel=1e-10)
        assert (row["genes"], row["unknown"]) == (GENES[:3], ["x1", "x2"])

    def test_the_matched_null_is_what_resampling_gives(self):
        rng = np.random.default_rng(0)
        mean = pd.Series(rng.gamma(2, 2, 200), index=GENES)
        high = mean.sort_values(ascending=False).index
        chosen, known = [*high[:25], *high[100:105]], list(high[:80:2])
        table = validate_signature(chosen, known, universe=GENES, mean_expression=mean, n_bins=5)
        row = table.loc["reference"]
        bins = pd.qcut(mean, 5, labels=False)
        drawn = bins[chosen].value_counts()
        overlaps = [
            sum(
                len(set(known) & set(rng.choice(bins.index[bins == b], n, replace=False)))
                for b, n in drawn.items()
            )
            for _ in range(2000)
        ]
        assert row["matched_expected"] == pytest.approx(np.mean(overlaps), abs=0.2)
        assert row["matched_sd"] == pytest.approx(np.std(overlaps), rel=0.1)
        share = np.mean(np.array(overlaps) >= row["overlap"])
        assert row["matched_p_value"] == pytest.approx(share, abs=0.04)
        assert row["matched_expected"] > row["expected"] + 3, "well-expressed genes are known"
        assert row["matched_p_value"] > 10 * row["p_value"]

    def test_one_bin_is_the_hypergeometric_test(self):
        mean = dict.fromkeys(GENES, 1.0)
        table = validate_signature(
            GENES[:30], {"a": GENES[:10]}, universe=GENES, mean_expression=mean, n_bins=7
        )
        np.testing.assert_allclose(table["matched_p_value"], table["p_value"], rtol=1e-9)
        np.testing.assert_allclose(table["matched_expected"], table["expected"], rtol=1e-9)

    def test_unknown_references(self):
        message = (
            r"^No gene of 'absent' is in the universe; the reference names 'x1', 'x2'\. Are these "
            r"identifiers of the same kind\?$"
        )
        with pytest.raises(ValueError, match=message):
            validate_signature(GENES[:5], SETS, universe=GENES)

    def test_genes_without_an_expression(self):
        mean = pd.Series(1.0, index=GENES[2:])
        message = r"no finite value for 2 of 200 genes of the universe: 'g0', 'g1'\. Complete it"
        with pytest.raises(ValueError, match=message):
            validate_signature(GENES[:5], GENES[:9], universe=GENES, mean_expression=mean)


# ------------------------------------------------------------------ tables as they come


@pytest.fixture(scope="module")
def explained():
    """A model of two sets that matter, its explanation and the test of its genes."""
    rng = np.random.default_rng(0)
    genes = [f"gene{i}" for i in range(120)]
    y = np.arange(60) % 2
    X = pd.DataFrame(rng.normal(size=(60, 120)), columns=genes)
    X.iloc[:, :20] += 1.5 * y[:, None]
    X.iloc[:, 20:40] -= 1.5 * y[:, None]
    sets = {f"set{j}": genes[20 * j : 20 * (j + 1)] for j in range(6)}
    model = make_pipeline(
        SelectKBest(k=100).set_output(transform="pandas"),
        StandardScaler(),
        LogisticRegression(C=0.01),
    )
    return explain(model.fit(X, y), X), differential_expression(X, y, reference=0), model, sets


def test_over_representation_takes_what_there_is(explained):
    found, tests, model, sets = explained
    top = found.top_genes(25)
    by_table = over_representation(top, sets, universe=found)
    by_names = over_representation(top["gene"], sets, universe=model[1:])
    by_signature = over_representation(
        list(top["gene"]), sets, universe=model[0].get_feature_names_out()
    )
    pd.testing.assert_frame_equal(by_table, by_signature)
    assert set(by_table.index[:2]) == {"set0", "set1"}
    assert by_table["overlap"].sum() == 25
    assert by_table["set_size"].sum() == 100
    pd.testing.assert_frame_equal(by_table, by_names)
    of_tests = over_representation(tests[tests["p_adjusted"] < 0.01], sets, universe=tests)
    assert set(of_tests.index[:2]) == {"set0", "set1"}
    overlap = validate_signature(top, sets, universe=found)["overlap"]
    assert overlap["set0"] == by_table.loc["set0", "overlap"]


def test_ranked_enrichment_of_signed_effects_and_of_tests(explained):
    found, tests, _, sets = explained
    effects = found.top_genes(len(found.gene_names))
    by_effect = ranked_enrichment(effects, sets, by="mean_signed_effect", n_permutations=100)
    by_test = ranked_enrichment(tests, sets, n_permutations=100)
    for table in (by_effect, by_test):
        assert table.loc["set0", "normalized_score"] > 1.5
        assert table.loc["set1", "normalized_score"] < -1.5


def test_a_table_of_nothing_known_is_refused(explained):
    message = (
        "genes is a DataFrame that has neither a column 'gene', as top_genes gives it, nor a column "
        "'p_value', as a table of tests indexed by gene; it has 'MYC'. Give a list of genes."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        over_representation(pd.DataFrame({"MYC": [1.0]}), {"a": ["MYC"]}, universe=["MYC"])
    found, _, _, sets = explained
    with pytest.raises(ValueError, match="The ranking has no column 'statistic'; it has"):
        ranked_enrichment(found.top_genes(5), sets)
