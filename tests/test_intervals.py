import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.performance import intervals
from pipeline.performance.metrics import Undefined


def test_exact_interval_by_hand():
    # Nothing in n has the upper limit 1 - 0.025^(1/n), all of n the lower limit 0.025^(1/n).
    assert intervals.exact_interval(0, 10) == pytest.approx([0, 1 - 0.025 ** (1 / 10)], abs=1e-9)
    assert intervals.exact_interval(10, 10) == pytest.approx([0.025 ** (1 / 10), 1], abs=1e-9)


@settings(deadline=None)
@given(st.integers(1, 300).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_exact_interval_is_made_of_beta_quantiles(counts):
    successes, trials = counts
    lower = stats.beta.ppf(0.025, successes, trials - successes + 1) if successes else 0
    upper = stats.beta.ppf(0.975, successes + 1, trials - successes) if successes < trials else 1
    assert intervals.exact_interval(successes, trials) == pytest.approx([lower, upper], abs=1e-8)


def test_exact_interval_of_no_image_is_undefined():
    with pytest.raises(Undefined, match="no image"):
        intervals.exact_interval(0, 0)


def test_kappa_interval_by_hand():
    # Fleiss, Cohen and Everitt's equation 13, cell by cell.
    counts = [[20, 5], [10, 15]]
    n, p = 50, np.array(counts) / 50
    row, column = [0.5, 0.5], [0.6, 0.4]
    observed, expected = 0.7, 0.5
    variance = -((observed * expected - 2 * expected + observed) ** 2)
    for i in (0, 1):
        variance += p[i][i] * ((1 - expected) - (row[i] + column[i]) * (1 - observed)) ** 2
        j = 1 - i
        variance += (1 - observed) ** 2 * p[i][j] * (column[i] + row[j]) ** 2
    half_width = 1.959963984540054 * np.sqrt(variance / (n * (1 - expected) ** 4))
    kappa = (observed - expected) / (1 - expected)
    assert intervals.kappa_interval(np.array(counts)) == pytest.approx(
        [kappa - half_width, kappa + half_width], abs=1e-12
    )


def test_kappa_interval_stays_within_1():
    assert intervals.kappa_interval(np.array([[9, 1], [1, 15]]))[1] == 1


@pytest.mark.parametrize(
    ("matrix", "kappa"),
    [([[10, 0], [0, 16]], 1), ([[3, 0, 0], [0, 5, 0], [0, 0, 7]], 1), ([[0, 10], [0, 16]], 0), ([[7, 0], [3, 0]], 0)],
)
def test_kappa_interval_is_a_point_where_all_is_right_or_all_one_class(matrix, kappa):
    assert intervals.kappa_interval(np.array(matrix)) == [kappa, kappa]


def test_accuracy_test_by_hand():
    # At least 2 of 2 right where always saying the one class is right in half of all: 1/4.
    assert intervals.accuracy_test(np.array([[1, 0], [0, 1]])) == pytest.approx(0.25)


def test_mcnemar_by_hand():
    # (|10 - 2| - 1)^2 / 12, as R corrects it, on one degree of freedom.
    assert intervals.symmetry_test(np.array([[5, 10], [2, 5]])) == pytest.approx(stats.chi2.sf(49 / 12, 1), abs=1e-12)
    assert intervals.symmetry_test(np.array([[5, 3], [3, 5]])) == 1


def test_mcnemar_without_errors_is_undefined():
    with pytest.raises(Undefined, match="no image was classified wrongly"):
        intervals.symmetry_test(np.array([[5, 0], [0, 5]]))


def test_bowker_by_hand():
    matrix = np.array([[5, 3, 1], [1, 5, 2], [4, 2, 5]])
    statistic = (3 - 1) ** 2 / 4 + (1 - 4) ** 2 / 5 + 0
    assert intervals.symmetry_test(matrix) == pytest.approx(stats.chi2.sf(statistic, 3), abs=1e-12)


def test_bowker_with_a_pair_never_confused_is_undefined():
    with pytest.raises(Undefined, match=r"^1 of 3 pairs of classes were never taken for one another$"):
        intervals.symmetry_test(np.array([[5, 3, 0], [1, 5, 2], [0, 2, 5]]))


def test_exact_mcnemar_by_hand():
    # Of 6 discordant pairs 5 or more on one side: 2 x (6 + 1) / 64.
    assert intervals.exact_mcnemar_test(5, 1) == pytest.approx(14 / 64)
    assert intervals.exact_mcnemar_test(1, 5) == pytest.approx(14 / 64)
    assert intervals.exact_mcnemar_test(3, 3) == 1
    assert intervals.exact_mcnemar_test(0, 0) == 1


def test_paired_difference_interval_by_hand():
    # With one added to each: 11/102 and 3/102.
    difference = 8 / 102
    half_width = 1.959963984540054 * np.sqrt((14 / 102 - difference**2) / 102)
    assert intervals.paired_difference_interval(10, 2, 100) == pytest.approx(
        [difference - half_width, difference + half_width], abs=1e-12
    )


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_paired_difference_interval_is_antisymmetric_and_no_point(first, second, others):
    count = max(first + second + others, 1)
    lower, upper = intervals.paired_difference_interval(first, second, count)
    assert intervals.paired_difference_interval(second, first, count) == pytest.approx([-upper, -lower])
    assert -1 <= lower < upper <= 1
