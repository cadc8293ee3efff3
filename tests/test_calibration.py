import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from pipeline.performance.calibration import calibration_error, reliability_bins


def test_bins_and_error_by_hand():
    outcomes = np.array([False, True, False, True, True])
    probabilities = np.array([0.02, 0.08, 0.55, 0.6, 1.0])
    bins = reliability_bins(outcomes, probabilities)
    assert [(one["from"], one["to"], one["n"]) for one in bins] == [(0, 0.1, 2), (0.5, 0.6, 2), (0.9, 1, 1)]
    assert [one["mean probability"] for one in bins] == pytest.approx([0.05, 0.575, 1])
    assert [one["observed share"] for one in bins] == [0.5, 0.5, 1]
    assert calibration_error(bins) == pytest.approx((2 * 0.45 + 2 * 0.075 + 0) / 5)


@pytest.mark.parametrize("upper", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
def test_an_edge_belongs_to_the_bin_below(upper):
    (one,) = reliability_bins(np.array([True]), np.array([upper]))
    assert one["to"] == upper


def test_the_first_bin_holds_0():
    (one,) = reliability_bins(np.array([True]), np.array([0.0]))
    assert (one["from"], one["to"]) == (0, 0.1)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1000)), min_size=1, max_size=60))
def test_the_diagram_is_scikit_learns(images):
    outcomes = np.array([outcome for outcome, _ in images])
    # No probability on an edge: scikit-learn's edges are off by a rounding.
    probabilities = np.array([(number + 0.5) / 1001 for _, number in images])
    shares, means = calibration_curve(outcomes, probabilities, n_bins=10)
    bins = reliability_bins(outcomes, probabilities)
    assert [one["observed share"] for one in bins] == pytest.approx(shares)
    assert [one["mean probability"] for one in bins] == pytest.approx(means)
    assert sum(one["n"] for one in bins) == len(images)
    assert 0 <= calibration_error(bins) <= 1
