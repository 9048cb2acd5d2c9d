"""RMA: affy's numbers on the training arrays, frozen for new ones."""

import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from geneexpr import RMANormalizer, ScaleWarning
from geneexpr.stats._probe_summaries import (
    background_of,
    median_polish,
    sets_by_size,
    without_background,
)

CASES = ["rma_test3", "rma_test3_real2"]


def probes_of(case):
    return case.table("X.csv.gz").astype(float), case.table("var.csv")["probeset"]


@pytest.mark.parametrize("case", CASES)
def test_background_is_affy(gold, relative_error, case):
    case = gold(case)
    X = case.table("X.csv.gz").to_numpy(dtype=float)
    found = np.array([background_of(row) for row in X])
    expected = case.out("bg_params_affyR")[["mu", "sigma", "alpha"]]
    assert relative_error(found, expected) < 1e-12
    clean = [without_background(row, *of) for row, of in zip(X, found, strict=True)]
    assert relative_error(clean, case.out("bg")) < 1e-12


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("name", "options"),
    [("rma", {}), ("rma_nobg", {"background": False}), ("rma_nonorm", {"normalize": False})],
)
def test_training_arrays_are_affy(gold, relative_error, case, name, options):
    case = gold(case)
    X, sets = probes_of(case)
    model = RMANormalizer(sets.sample(frac=1, random_state=0), **options).fit(X)
    expected = case.out(name)[list(model.get_feature_names_out())]
    assert relative_error(model.training_values_, expected) < 1e-12


def test_new_arrays_meet_frozen_quantiles_and_probe_effects(gold, relative_error):
    case = gold("rma_test3")
    X, sets = probes_of(case)
    train = case.table("obs.csv")["is_train"] == 1
    model = RMANormalizer(sets).fit(X[train])
    assert relative_error(model.target_, case.out("frozen_target")["target"]) < 1e-12
    # Effects near 0 are differences of larger numbers.
    np.testing.assert_allclose(
        model.probe_effects_, case.out("frozen_probe_effects")["probe_effect"], atol=1e-12
    )
    names = list(model.get_feature_names_out())
    assert relative_error(model.training_values_, case.out("frozen_rma_train")[names]) < 1e-12
    out = model.transform(X[~train])
    assert list(out.columns) == names
    assert relative_error(out, case.out("frozen_rma_test")[names]) < 1e-12
    alone = model.transform(X[~train].iloc[:1])
    pd.testing.assert_frame_equal(alone, out.iloc[:1])


def test_median_polish_is_preprocesscore_and_stats(gold, relative_error):
    case = gold("medpolish_spikein")
    logged = np.log2(case.table("X.csv.gz").to_numpy(dtype=float))
    probes, arrays = median_polish(logged.T[None])
    np.testing.assert_allclose(probes[0], case.out("pc_probe").iloc[:, 0], atol=1e-12)
    assert relative_error(arrays[0], case.out("pc_chip").iloc[:, 0]) < 1e-12
    np.testing.assert_allclose(
        logged - probes[0] - arrays[0][:, None], case.out("pc_residuals"), atol=1e-12
    )
    np.testing.assert_allclose(probes[0], case.out("stats_row")["row"], atol=1e-12)
    assert relative_error(arrays[0], case.out("stats_col")["overall_plus_col"]) < 1e-12


@pytest.mark.parametrize("case", CASES)
def test_a_probe_alone_goes_to_quantiles_of_affy(gold, relative_error, case):
    """Where each probe is a set of its own there is nothing to summarise."""
    case = gold(case)
    X, _ = probes_of(case)
    model = RMANormalizer(None).fit(X)
    assert relative_error(np.exp2(model.training_values_), case.out("bg_quant")) < 1e-12
    cleaned = RMANormalizer(None, background=False).fit_transform(case.out("bg"))
    assert relative_error(np.exp2(cleaned), case.out("bg_quant")) < 1e-12


def test_sets_by_size():
    (ones, one), (twos, two) = sets_by_size(np.array([1, 0, 1, -1]))
    assert (ones.tolist(), one.tolist()) == ([0], [[1]])
    assert (twos.tolist(), two.tolist()) == ([1], [[0, 2]])


class TestProbeSets:
    X = pd.DataFrame(
        np.random.default_rng(0).gamma(2, 100, size=(4, 30)), columns=[f"p{i}" for i in range(30)]
    )
    sets = pd.Series(np.repeat(["a", "b", "c"], 10), index=X.columns)

    def test_every_way_to_name_them_is_the_same(self):
        expected = RMANormalizer(self.sets).fit_transform(self.X)
        assert list(expected.columns) == ["a", "b", "c"]
        by_mapping = RMANormalizer(self.sets.to_dict()).fit_transform(self.X)
        pd.testing.assert_frame_equal(by_mapping, expected)
        by_place = RMANormalizer(self.sets.to_numpy()).fit_transform(self.X.to_numpy())
        np.testing.assert_array_equal(by_place, expected)
        adata = ad.AnnData(self.X.to_numpy(), var=self.sets.to_frame("set"))
        by_column = RMANormalizer("set").fit_transform(adata)
        np.testing.assert_array_equal(by_column.X, expected)
        assert list(by_column.var_names) == ["a", "b", "c"]

    def test_training_values_stay_at_home(self):
        model = pickle.loads(pickle.dumps(RMANormalizer(self.sets).fit(self.X)))
        assert not hasattr(model, "training_values_")
        assert model.transform(self.X).shape == (4, 3)

    def test_unknown_and_missing_probes(self):
        more = pd.concat([self.sets, pd.Series({"q1": "d"})])
        with pytest.raises(ValueError, match="name 1 probes that X does not have: 'q1'"):
            RMANormalizer(more).fit(self.X)
        with pytest.raises(ValueError, match="name no set for 2 of 30 probes: 'p0', 'p1'"):
            RMANormalizer(self.sets.iloc[2:]).fit(self.X)
        with pytest.raises(ValueError, match="probe_sets must be taken by name"):
            RMANormalizer(self.sets.to_numpy()).fit(self.X)
        with pytest.raises(ValueError, match="indexed by probe, but X has no probe names"):
            RMANormalizer(self.sets).fit(self.X.to_numpy())
        with pytest.raises(ValueError, match="one set a probe: got 2 for 30 probes"):
            RMANormalizer(["a", "b"]).fit(self.X.to_numpy())

    def test_values_that_are_no_intensities(self):
        with pytest.raises(ValueError, match=r"Negative values.*intensities were expected"):
            RMANormalizer(self.sets).fit(self.X - 100)
        dark = self.X.copy()
        dark.iloc[0, 0] = 0
        with pytest.raises(ValueError, match=r"logarithm of intensities of 0, found in 1 of 4"):
            RMANormalizer(self.sets, background=False, normalize=False).fit(dark)
        with pytest.warns(ScaleWarning, match=r"no background for 4 of 4 arrays \(row 0, 1, 2"):
            RMANormalizer(self.sets).fit(self.X * 0 + 5)
