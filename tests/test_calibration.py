import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import one_class, two_class
from sklearn.calibration import calibration_curve

from pipeline.performance import calibration, units
from pipeline.performance.calibration import calibration_error, reliability_bins
from pipeline.performance.figures import Figure


def test_bins_and_error_by_hand():
    outcomes = np.array([False, True, False, True, True])
    probabilities = np.array([0.02, 0.08, 0.55, 0.6, 1.0])
    bins = reliability_bins(outcomes, probabilities, np.arange(len(outcomes)))
    assert [(one.lower, one.upper, one.observed.total) for one in bins] == [(0, 0.1, 2), (0.5, 0.6, 2), (0.9, 1, 1)]
    assert [one.mean_probability for one in bins] == pytest.approx([0.05, 0.575, 1])
    assert [one.observed.value for one in bins] == [0.5, 0.5, 1]
    assert calibration_error(bins) == pytest.approx((2 * 0.45 + 2 * 0.075 + 0) / 5)


@pytest.mark.parametrize("edge", range(11))
def test_an_edge_belongs_to_the_bin_below_and_0_to_the_first(edge):
    (one,) = reliability_bins(np.array([True]), np.array([edge / 10]), np.arange(1))
    assert one.upper == max(edge, 1) / 10


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1000)), min_size=1, max_size=60))
def test_the_diagram_is_scikit_learns(images):
    outcomes = np.array([outcome for outcome, _ in images])
    # No probability on an edge: scikit-learn's edges are off by a rounding.
    probabilities = np.array([(number + 0.5) / 1001 for _, number in images])
    observed, means = calibration_curve(outcomes, probabilities, n_bins=10)
    bins = reliability_bins(outcomes, probabilities, np.arange(len(outcomes)))
    assert [one.observed.value for one in bins] == pytest.approx(observed)
    assert [one.mean_probability for one in bins] == pytest.approx(means)
    assert sum(one.observed.total for one in bins) == len(images)
    assert 0 <= calibration_error(bins) <= 1


def test_log_loss_of_an_impossible_truth_is_undefined_and_not_infinite():
    made = two_class([0, 1], [0, 0], groups=["a", "b"])
    reason = "infinite: probability 0 of the true class (1 of 2 images)"
    assert calibration.log_loss(made) == Figure(None, reason=reason)
    (of_groups,) = units.of_groups([made])
    assert calibration.log_loss(of_groups) == Figure(None, reason=reason.replace("images", "groups"))


def test_a_perfectly_calibrated_model_shows_the_error_that_is_expected():
    # One image at 0.5 is off by 0.5 whatever it is; two at 0.5 by 0.5 or not at all, as often.
    assert calibration.error_if_calibrated(np.array([0.5]), np.arange(1)) == [0.5, 0.5]
    mean, high = calibration.error_if_calibrated(np.array([0.5, 0.5]), np.arange(2))
    assert (mean, high) == (pytest.approx(0.25, abs=0.03), 0.5)
    random = np.random.default_rng(1)
    probabilities = random.random(200)
    errors = [
        calibration_error(reliability_bins(random.random(200) < probabilities, probabilities, np.arange(200)))
        for _ in range(200)
    ]
    mean, high = calibration.error_if_calibrated(probabilities, np.arange(200))
    assert mean == pytest.approx(np.mean(errors), rel=0.05)
    assert high == pytest.approx(np.quantile(errors, 0.95), rel=0.1)


def test_images_of_a_group_are_drawn_as_one_for_the_error_of_a_calibrated_model():
    single = np.linspace(0.05, 0.95, 40)
    four_times = calibration.error_if_calibrated(np.repeat(single, 4), np.repeat(np.arange(40), 4))
    assert four_times == pytest.approx(calibration.error_if_calibrated(single, np.arange(40)))


def test_the_interval_of_a_brier_score_ends_at_its_largest_value():
    probability = np.array([0.8, 0.9])
    one = one_class(np.array([False, True]), probability > 0.5, probability)
    assert calibration.brier_score(one).interval[1] == 1
    assert calibration.multiclass_brier_score(two_class([0, 1], probability)).interval[1] == 2
