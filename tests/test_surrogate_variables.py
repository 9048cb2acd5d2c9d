"""SurrogateVariableCorrector: the numbers of sva and fsva, and what it refuses."""

import numpy as np
import pandas as pd
import pytest

from geneexpr import BatchWarning, SurrogateVariableCorrector
from geneexpr.stats._local_fdr import kernel_density, local_fdr, smoothing_spline
from geneexpr.stats._surrogate_variables import count_by_asymptotics, count_by_permutation


class Frozen:
    """The reference case, split as R was."""

    def __init__(self, case):
        X, split = case.table("X.csv.gz"), case.out("split").iloc[:, 0] == 1
        self.train, self.test = X[split].to_numpy(), X[~split].to_numpy()
        self.design = case.table("mod.csv")[split].to_numpy()
        self.y = case.table("obs.csv")[split]["cancer"].to_numpy()
        self.out = lambda name: case.out(name).to_numpy()


@pytest.fixture
def frozen(gold):
    return Frozen(gold("fsva_bladder"))


def test_training_samples_are_those_of_sva(frozen, relative_error):
    model = SurrogateVariableCorrector(3, allow_outcome=True).fit(frozen.train, frozen.y)
    theirs = frozen.out("sv_train")
    signs = np.sign((model.training_variables_ * theirs).sum(axis=0))
    assert relative_error(model.training_variables_ * signs, theirs) < 1e-6
    found = np.column_stack([model.unmodelled_probability_, model.outcome_probability_])
    assert relative_error(found, frozen.out("sva_probs")) < 1e-6
    assert relative_error(model.training_values_, frozen.out("fsva_train")) < 1e-6


def test_new_samples_are_those_of_frozen_sva(frozen, relative_error):
    model = SurrogateVariableCorrector(3, allow_outcome=True).fit(frozen.train, frozen.y)
    assert relative_error(model.transform(frozen.test), frozen.out("fsva_test_exact")) < 1e-6
    signs = np.sign((model.training_variables_ * frozen.out("sv_train")).sum(axis=0))
    ours = model.surrogate_variables(frozen.test) * signs
    assert relative_error(ours, frozen.out("newsv_exact")) < 1e-6


def test_the_number_is_that_of_num_sv(frozen):
    be, leek, _ = frozen.out("num_sv").ravel()
    for seed in range(3):
        rng = np.random.RandomState(seed)
        assert count_by_permutation(frozen.train, frozen.design, rng) == be
    assert count_by_asymptotics(frozen.train, frozen.design) == leek
    model = SurrogateVariableCorrector(allow_outcome=True, random_state=1)
    assert model.fit(frozen.train, frozen.y).n_sv_ == be


# ------------------------------------------------------------------ local false discovery rates


def test_local_rates_rise_with_p_and_stay_below_one():
    rng = np.random.default_rng(0)
    p = np.r_[rng.uniform(size=900), rng.beta(0.1, 5, 100), 0.0, 1.0]
    rates = local_fdr(p)
    assert (np.diff(rates[np.argsort(p)]) >= 0).all()
    assert 0 <= rates.min() < 0.05
    assert rates.max() <= 1


def test_p_values_that_are_all_alike_have_a_rate():
    assert local_fdr(np.full(50, 1e-12)).max() < 1e-3


def test_the_kernel_density_is_the_mean_of_its_kernels():
    x = np.random.default_rng(0).normal(size=300)
    grid, heights = kernel_density(x)
    quartiles = np.quantile(x, [0.25, 0.75])
    width = 0.9 * min(x.std(ddof=1), np.diff(quartiles)[0] / 1.34) * 300**-0.2
    exact = np.exp(-0.5 * ((grid[:, None] - x) / width) ** 2).mean(axis=1)
    np.testing.assert_allclose(heights, exact / (width * np.sqrt(2 * np.pi)), atol=1e-3)


def test_a_spline_smooths_noise_and_keeps_a_line():
    rng = np.random.default_rng(0)
    x = np.linspace(0, 10, 400)
    np.testing.assert_allclose(smoothing_spline(x, 3 - 2 * x)(x), 3 - 2 * x, atol=1e-8)
    noisy = np.sin(x) + rng.normal(0, 0.3, 400)
    assert np.sqrt(np.mean((smoothing_spline(x, noisy)(x) - np.sin(x)) ** 2)) < 0.1


# ------------------------------------------------------------------ what it does


def simulate(n=60, genes=300, seed=0):
    rng = np.random.default_rng(seed)
    y, hidden = np.arange(n) % 2, rng.normal(size=n)
    X = rng.normal(size=(n, genes))
    X[:, :40] += 1.5 * y[:, None]
    X[:, 20:160] += np.outer(hidden, np.random.default_rng(9).normal(0, 1.5, 140))
    return X, y, hidden


def test_hidden_variation_goes_and_the_outcome_stays():
    X, y, _ = simulate()
    model = SurrogateVariableCorrector(1, allow_outcome=True).fit(X, y)
    new, truth, hidden = simulate(seed=1)
    out = model.transform(new)
    hidden_left = np.corrcoef(hidden, out[:, 40:160].T)[0, 1:]
    assert (
        np.abs(hidden_left).mean()
        < 0.5 * np.abs(np.corrcoef(hidden, new[:, 40:160].T)[0, 1:]).mean()
    )
    difference = out[truth == 1, :40].mean(axis=0) - out[truth == 0, :40].mean(axis=0)
    assert abs(difference.mean() - 1.5) < 0.2


def test_protected_covariates_come_from_annotations_or_beside_an_array():
    X, y, _ = simulate()
    age = np.random.default_rng(2).normal(50, 10, len(X))
    by_array = SurrogateVariableCorrector(1, allow_outcome=True).fit(X, y, covariates=age)
    index = pd.MultiIndex.from_arrays([range(len(X)), age], names=["sample", "age"])
    frame = pd.DataFrame(X, index)
    by_name = SurrogateVariableCorrector(1, ["age"], allow_outcome=True).fit(frame, y)
    np.testing.assert_array_equal(by_name.surrogate_effects_, by_array.surrogate_effects_)
    plain = SurrogateVariableCorrector(1, allow_outcome=True).fit(X, y)
    assert not np.array_equal(plain.surrogate_effects_, by_array.surrogate_effects_)


def test_a_continuous_outcome_may_have_any_unit():
    X, y, _ = simulate()
    dose = y + np.random.default_rng(3).normal(size=len(y))
    a = SurrogateVariableCorrector(1, allow_outcome=True).fit(X, dose)
    b = SurrogateVariableCorrector(1, allow_outcome=True).fit(X, 1000 * dose + 5)
    np.testing.assert_allclose(a.transform(X), b.transform(X), atol=1e-6)


def test_without_a_surrogate_variable_nothing_is_corrected_and_it_says_so():
    X = np.random.default_rng(0).normal(size=(30, 100))
    with pytest.warns(BatchWarning, match="found no surrogate variable and corrects nothing"):
        model = SurrogateVariableCorrector(0, allow_outcome=True).fit(X, np.arange(30) % 2)
    np.testing.assert_array_equal(model.transform(X), X)
    assert model.surrogate_variables(X).shape == (30, 0)


def test_training_values_stay_out_of_model_files():
    import pickle

    X, y, _ = simulate()
    model = SurrogateVariableCorrector(1, allow_outcome=True).fit(X, y)
    assert model.training_values_.shape == X.shape
    assert not hasattr(pickle.loads(pickle.dumps(model)), "training_values_")


# ------------------------------------------------------------------ what it refuses


def test_it_must_be_told_that_the_outcome_is_protected():
    X, y, _ = simulate()
    with pytest.raises(ValueError, match=r"protects the outcome y by its construction.*True says"):
        SurrogateVariableCorrector().fit(X, y)


@pytest.mark.parametrize(
    ("options", "y", "match"),
    [
        ({}, None, "requires y to be passed, but the target y is None"),
        ({}, np.zeros(60), "or y has one class"),
        ({}, np.array([np.nan, *np.ones(59)]), "y is missing for 1 of 60 samples"),
        ({"n_sv": 58}, np.arange(60) % 2, "n_sv=58, but 60 samples of 300 genes .* allow 0 to 57"),
        ({"n_sv": "many"}, np.arange(60) % 2, "must be a number, 'be' or 'leek'; got 'many'"),
    ],
)
def test_what_cannot_be_fitted_raises(options, y, match):
    X, _, _ = simulate()
    with pytest.raises(ValueError, match=match):
        SurrogateVariableCorrector(allow_outcome=True, **options).fit(X, y)


def test_a_covariate_that_is_the_outcome_raises():
    X, y, _ = simulate()
    with pytest.raises(ValueError, match="y and the covariates determine each other"):
        SurrogateVariableCorrector(1, allow_outcome=True).fit(X, y, covariates=1.0 - y)


def test_too_few_samples_raise():
    X, y, _ = simulate()
    with pytest.raises(ValueError, match="3 samples are too few for a design of 2 columns"):
        SurrogateVariableCorrector(1, allow_outcome=True).fit(X[:3], y[:3])
