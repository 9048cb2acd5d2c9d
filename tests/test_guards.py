"""What a corrector refuses as a covariate: how well it gives the outcome away."""

import numpy as np
import pytest

from geneexpr.batch_effects._guards import check_outcome


def refused(y, column):
    column = np.asarray(column, float).reshape(len(y), -1)
    try:
        check_outcome(np.asarray(y), None, {"c": column})
    except ValueError as error:
        return "The covariate 'c' gives the outcome y away" in str(error)
    return False


@pytest.mark.parametrize(("n_wrong", "expected"), [(0, True), (2, True), (4, True), (16, False)])
def test_a_covariate_of_two_levels_is_judged_by_its_own_auc(n_wrong, expected):
    y = np.tile([0, 1], 60)
    column = y.copy()
    column[:n_wrong] = 1 - column[:n_wrong]
    assert refused(y, column) is expected


def test_whole_numbers_are_judged_as_numbers():
    rng = np.random.default_rng(0)
    age = rng.integers(20, 80, 120)
    assert refused(age, age + rng.normal(scale=0.3, size=120))
    assert refused(age.astype(float), age + rng.normal(scale=0.3, size=120))
    assert not refused(age, rng.normal(size=120))


def test_grades_are_judged_as_classes():
    rng = np.random.default_rng(0)
    grade = rng.permutation(np.arange(120) % 3)
    assert refused(grade, np.eye(3)[grade][:, 1:])
    assert not refused(grade, rng.normal(size=120))


def test_batches_that_hold_one_class_each_are_refused():
    batch = np.repeat([0, 1, 2, 3], 5)
    with pytest.raises(ValueError, match=r"^The batch determines the outcome y: each batch holds"):
        check_outcome(np.array(["case", "control"])[batch // 2], batch, {})
    mixed = np.array(["case", "control"])[batch // 2]
    mixed[0] = "control"
    check_outcome(mixed, batch, {})
