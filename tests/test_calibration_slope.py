"""Calibration intercept and slope; test_golden.py has those of R."""

from itertools import combinations

import numpy as np
import pytest
from made_predictions import multiclass, random_two_class, two_class
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression

from pipeline.performance import folds
from pipeline.performance.calibration_slope import FEW_GROUPS, ONE_GROUP, intercept_and_slope, logits_of, slope


def test_the_rest_has_the_intercept_of_the_class_with_the_other_sign_and_its_slope():
    made = random_two_class(0)
    of_class, of_rest = (intercept_and_slope(made, index) for index in (1, 0))
    assert of_rest[0].interval == pytest.approx([-limit for limit in of_class[0].interval[::-1]])
    assert of_rest[1].interval == pytest.approx(of_class[1].interval)


def test_the_slope_of_folds_is_nearly_that_of_the_conditional_likelihood():
    """Counted out over all ways in which as many images of each small fold could be of the class."""
    random = np.random.default_rng(3)
    fold, logits = np.repeat(np.arange(6), 10), random.normal(size=60) * 1.5
    truth = random.random(60) < special.expit(0.8 * logits + fold - 2.5)

    def conditional(value):
        total = 0.0
        for number in range(6):
            here, count = value * logits[fold == number], int(truth[fold == number].sum())
            ways = special.logsumexp([here[list(of_class)].sum() for of_class in combinations(range(10), count)])
            total += here[truth[fold == number]].sum() - ways
        return -total

    reference = optimize.minimize_scalar(conditional, bounds=(-5, 5), method="bounded").x
    design = np.column_stack([logits, np.eye(6)[fold]])
    model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(design, truth)
    of_folds_as_dummies = model.coef_[0, 0]
    found = slope(truth, logits, np.arange(60), fold).value
    assert abs(found - reference) < 0.25 * abs(of_folds_as_dummies - reference)
    assert found == pytest.approx(reference, rel=0.03)


def test_a_shift_between_folds_is_no_slope():
    parts = [random_two_class(seed, counts=(40, 40), prefix=f"{seed}_", fold=seed) for seed in range(2)]
    plain = intercept_and_slope(folds.pool(parts), 1)[1].value
    logits = special.logit(parts[1].probabilities[:, 1]) + 3
    parts[1].probabilities = np.column_stack([special.expit(-logits), special.expit(logits)])
    assert intercept_and_slope(folds.pool(parts), 1)[1].value == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize(
    ("labels", "probabilities", "intercept_too", "reason"),
    [
        ([0, 0], [0.1, 0.4], True, "needs images of the class and of another one"),
        ([0, 1, 1], [0.0, 0.4, 1.0], True, "exactly 0 or 1, whose logit is infinite (2 of 3 images)"),
        ([0, 1, 1], [0.3, 0.3, 0.3], False, "all probabilities are the same"),
        ([0, 0, 1, 1], [0.1, 0.3, 0.3, 0.8], False, "separate the classes perfectly"),
        ([1, 0, 0], [0.1, 0.3, 0.8], False, "wrong way round"),
    ],
)
def test_what_is_undefined_says_why(labels, probabilities, intercept_too, reason):
    intercept, of_slope = intercept_and_slope(two_class(labels, probabilities), 1)
    assert of_slope.value is None and reason in of_slope.reason
    assert (intercept.value is None) == intercept_too


def test_a_probability_that_rounds_to_1_has_the_logit_of_the_others():
    rows = np.array([[1.0, 1e-30, 1e-30], [0.2, 0.3, 0.5]])
    assert logits_of(multiclass([0, 1], rows), 0) == pytest.approx([np.log(1 / 2e-30), np.log(0.25)])


def test_the_slope_of_folds_has_no_interval_where_one_group_is_a_whole_class_of_a_fold():
    random = np.random.default_rng(0)
    truth, folds = np.tile(np.repeat([False, True], 10), 2), np.repeat([0, 1], 20)
    logits = random.normal(truth.astype(float))
    alone = slope(truth, logits, np.arange(40), folds)
    in_pairs = slope(truth, logits, np.arange(40) // 2, folds)
    in_tens = slope(truth, logits, np.arange(40) // 10, folds)
    assert alone.value == in_pairs.value == in_tens.value
    assert alone.interval and in_pairs.interval
    assert (in_tens.interval, in_tens.reason) == (None, ONE_GROUP)
    truth[:20] = True  # so that one fold tells alone
    in_tens = slope(truth, logits, np.arange(40) // 10, folds)
    assert (in_tens.interval, in_tens.reason) == (None, ONE_GROUP)


def test_the_slope_of_one_model_has_an_interval_from_three_groups_on():
    random = np.random.default_rng(0)
    truth, folds = np.repeat([False, True], [10, 20]), np.zeros(30, dtype=int)
    logits = random.normal(truth.astype(float))
    in_three, in_two = slope(truth, logits, np.arange(30) // 10, folds), slope(truth, logits, truth.astype(int), folds)
    assert in_three.interval and in_three.value == in_two.value
    assert (in_two.interval, in_two.reason) == (None, FEW_GROUPS)
