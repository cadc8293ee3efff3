"""Calibration intercept and slope, beside scikit-learn's and scipy's own maximization."""

from itertools import combinations

import numpy as np
import pytest
from made_predictions import multiclass, random_two_class, two_class
from scipy import optimize, special, stats
from sklearn.linear_model import LogisticRegression

from pipeline.performance import folds
from pipeline.performance.calibration_slope import (
    FEW_GROUPS,
    ONE_GROUP,
    intercept,
    intercept_and_slope,
    logits_of,
    slope,
)


def log_likelihood(truth, logits):
    return stats.bernoulli.logpmf(truth, special.expit(logits)).sum()


@pytest.fixture(params=[0, 1], ids=["few", "many"])
def made(request):
    return random_two_class(request.param, counts=[(10, 16), (90, 120)][request.param], signal=0.7)


def test_the_slope_is_that_of_unpenalized_logistic_regression(made):
    logits = special.logit(made.probabilities[:, 1])
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logits[:, None], made.labels)
    found = intercept_and_slope(made, 1)[1]
    assert found.value == pytest.approx(fitted.coef_[0, 0], rel=1e-5)
    # At both limits the likelihood that is left is that of a chi-squared of 3.84.
    best = log_likelihood(made.labels, fitted.intercept_[0] + fitted.coef_[0, 0] * logits)
    for limit in found.interval:
        profile = optimize.minimize_scalar(lambda a, at=limit: -log_likelihood(made.labels, a + at * logits))
        assert 2 * (best + profile.fun) >= stats.chi2.ppf(0.95, 1) - 1e-4
    assert found.interval[0] < found.value < found.interval[1]


def test_the_intercept_is_that_of_highest_likelihood_at_a_slope_of_1(made):
    logits = special.logit(made.probabilities[:, 1])
    reference = optimize.minimize_scalar(lambda a: -log_likelihood(made.labels, a + logits), tol=1e-10)
    found = intercept_and_slope(made, 1)[0]
    assert found.value == pytest.approx(reference.x, abs=1e-5)
    assert special.expit(found.value + logits).sum() == pytest.approx(made.labels.sum())
    assert intercept_and_slope(made, 0)[0].interval == pytest.approx([-limit for limit in found.interval[::-1]])


def test_the_interval_of_single_images_is_that_of_the_profile_likelihood():
    """Where the model is right the variance of the scores is that of the model, and nothing widens the interval."""
    logits = np.tile([-1.0, 0.0, 1.0], 40)
    truth = np.concatenate([np.tile(each, 10) for each in ([0, 0, 0], [0, 0, 1], [0, 1, 1], [1, 1, 1])]).astype(bool)
    found = slope(truth, logits, np.arange(120), np.zeros(120, dtype=int))
    best = log_likelihood(truth, found.value * logits)
    for limit in found.interval:  # by symmetry the intercept is 0 at any slope
        assert 2 * (best - log_likelihood(truth, limit * logits)) == pytest.approx(stats.chi2.ppf(0.95, 1), abs=0.01)


@pytest.mark.parametrize(("logit", "wrong"), [(1, 1), (3, 2)])
def test_outcomes_that_are_less_regular_than_the_probabilities_say_widen_the_interval(logit, wrong):
    logits = np.repeat([-logit, logit], 50)
    truth = (logits > 0) ^ (np.arange(100) % 10 < wrong)  # by symmetry the intercept is 0
    chance, error = special.expit(logit), wrong / 10
    dispersion = (error * chance**2 + (1 - error) * (1 - chance) ** 2) / (chance * (1 - chance))
    for limit in intercept(truth, logits, np.arange(100)).interval:
        deviance = 2 * (log_likelihood(truth, logits) - log_likelihood(truth, limit + logits))
        assert deviance == pytest.approx(stats.chi2.ppf(0.95, 1) * max(dispersion, 1))


def test_groups_widen_the_intervals():
    random = np.random.default_rng(0)
    labels = np.repeat(random.integers(0, 2, 40), 5)
    logits = 1.5 * (labels - 0.5) + np.repeat(random.normal(size=40), 5) + 0.1 * random.normal(size=200)
    single = two_class(labels, special.expit(logits))
    grouped = two_class(labels, special.expit(logits), groups=[str(index // 5) for index in range(200)])
    for alone, together in zip(intercept_and_slope(single, 1), intercept_and_slope(grouped, 1), strict=True):
        assert together.value == alone.value
        assert np.ptp(together.interval) > 1.7 * np.ptp(alone.interval)


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
