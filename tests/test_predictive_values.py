import numpy as np
import pytest
from made_predictions import multiclass, two_class
from scipy import stats

from pipeline.errors import UserError
from pipeline.performance.figures import Figure
from pipeline.performance.predictive_values import predictive_values, ratio_interval


def table(true_positives, false_negatives, false_positives, true_negatives, copies=1):
    """Return Predictions with these counts, each image `copies` times in a group of its own."""
    counts = [true_positives, false_negatives, false_positives, true_negatives]
    labels, probabilities = np.repeat([1, 1, 0, 0], counts), np.repeat([0.9, 0.1, 0.9, 0.1], counts)
    groups = [str(number) for number in np.repeat(np.arange(sum(counts)), copies)]
    return two_class(np.repeat(labels, copies), np.repeat(probabilities, copies), groups=groups)


def closed_form(above, below):
    """Return the interval by equation 9 of Donner and Zou (2012), as R's pairwiseCI::MOVERR has it."""
    (p, (low, high)), (q, (bottom, top)) = above, below
    lower = p * q - np.sqrt((p * q) ** 2 - low * top * (2 * p - low) * (2 * q - top))
    upper = p * q + np.sqrt((p * q) ** 2 - high * bottom * (2 * p - high) * (2 * q - bottom))
    return [lower / (top * (2 * q - top)), upper / (bottom * (2 * q - bottom))]


def exact(count, total):
    """Return a proportion and its exact interval, from scipy."""
    limits = stats.binomtest(count, total).proportion_ci(0.95)
    return count / total, (limits.low, limits.high)


def test_the_likelihood_ratios_of_epir():
    """The example of R's epiR::epi.tests, Scott et al. (2008), table 1, whose intervals are those of the logarithm."""
    found = predictive_values(table(670, 74, 202, 640), [0.1])
    assert [found.positive_ratio.value, *found.positive_ratio.interval] == pytest.approx([3.75, 3.32, 4.24], abs=0.03)
    assert [found.negative_ratio.value, *found.negative_ratio.interval] == pytest.approx([0.13, 0.11, 0.16], abs=0.007)
    assert found.positive_ratio.interval == pytest.approx(closed_form(exact(670, 744), exact(202, 842)))
    assert found.negative_ratio.interval == pytest.approx(closed_form(exact(74, 744), exact(640, 842)))


def test_the_predictive_values_of_cifinder():
    """The example of R's CIfinder::ppv_npv_ci, van de Vijver et al. (2002); the limits are Bayes' theorem of LR's."""
    found = predictive_values(table(31, 3, 12, 32), [0.07])
    (at,) = found.at
    assert (at.positive.value, at.negative.value) == pytest.approx((0.2010444, 0.9909508), abs=1e-7)
    odds = 0.07 / 0.93
    for figure, ratio, absent in ((at.positive, found.positive_ratio, 0), (at.negative, found.negative_ratio, 1)):
        limits = [abs(absent - odds * limit / (1 + odds * limit)) for limit in ratio.interval]
        assert figure.interval == pytest.approx(sorted(limits))


def test_at_the_prevalence_of_these_images_the_predictive_values_are_theirs():
    (at,) = predictive_values(table(30, 10, 12, 48), [0.4]).at
    assert (at.positive.value, at.negative.value) == (pytest.approx(30 / 42), pytest.approx(48 / 58))


def test_without_a_false_positive_the_ratio_is_infinite_and_its_lower_limit_is_not():
    found = predictive_values(table(53, 4, 0, 113), [0.017])
    (_, (low, _)), (_, (_, top)) = exact(53, 57), exact(0, 113)
    lower = np.sqrt(low * (2 * 53 / 57 - low)) / top  # of equation 9 with a fraction of 0 below
    assert (found.positive_ratio.value, found.positive_ratio.reason) == (np.inf, "infinite: no false positive")
    assert found.positive_ratio.interval == [pytest.approx(lower), np.inf]
    odds = lower * 0.017 / 0.983
    assert (found.at[0].positive.value, found.at[0].positive.interval) == (1, [pytest.approx(odds / (1 + odds)), 1])
    assert found.negative_ratio.value == pytest.approx(4 / 57)
    perfect = predictive_values(table(5, 0, 0, 5), [0.5])
    assert (perfect.positive_ratio.value, perfect.negative_ratio.value) == (np.inf, 0)
    assert perfect.negative_ratio.interval == [0, pytest.approx(1 / perfect.positive_ratio.interval[0])]


def test_fractions_of_1_are_no_certainty():
    """The variance of the logarithm is 0 where all images have the outcome; its interval would be 1 to 1."""
    found = predictive_values(table(16, 0, 10, 0), [0.01])
    lowest, highest = exact(16, 16)[1][0], exact(10, 10)[1][0]
    assert found.positive_ratio.value == 1
    assert found.positive_ratio.interval == pytest.approx(closed_form((1, (lowest, 1)), (1, (highest, 1))))
    assert found.positive_ratio.interval == pytest.approx([0.794, 1.446], abs=5e-4)
    undefined = (found.negative_ratio, found.at[0].negative)
    assert {(figure.value, figure.reason) for figure in undefined} == {(None, "no other class was ever predicted")}


def test_limits_solve_the_equation_of_the_method():
    """Also with a correlation, and where the denominator is as far from 0 as from its upper limit."""
    above, below = Figure(0.6, [0.4, 0.7]), Figure(0.1, [0.05, 0.2])
    for correlation in (0.0, -0.4):
        lower, upper = ratio_interval(above, below, correlation)
        for limit, one, other in ((lower, 0.4, 0.2), (upper, 0.7, 0.05)):
            off, off_below = one - 0.6, other - 0.1
            variance = off**2 + (limit * off_below) ** 2 - 2 * limit * correlation * abs(off * off_below)
            assert (0.6 - limit * 0.1) ** 2 == pytest.approx(variance)


def test_groups_that_are_right_in_one_class_and_wrong_in_the_other_widen_the_interval():
    """Where the fractions of findings of a group's two classes go apart, their ratio varies more."""
    labels, groups = np.tile([1, 1, 0, 0], 20), np.repeat(np.arange(20), 4)
    (both, apart), (alike, alone) = (
        [
            predictive_values(
                two_class(labels, 0.1 + 0.8 * np.ravel(finding), groups=[str(group) for group in each]), []
            ).positive_ratio
            for each in (groups, groups + 20 * labels)
        ]
        for finding in ([[1, 1, 0, 0]] * 14 + [[0, 0, 1, 1]] * 6, [[1, 1, 1, 1]] * 14 + [[0, 0, 0, 0]] * 6)
    )
    assert both.value == apart.value == pytest.approx(14 / 6)
    assert both.interval[0] < apart.interval[0] and both.interval[1] > apart.interval[1]
    assert alike.interval == pytest.approx(alone.interval)  # and where they go together, it is not narrowed


@pytest.mark.parametrize("counts", [(30, 10, 12, 48), (53, 4, 0, 113)])
def test_images_that_are_copies_count_once(counts):
    # The design effect of copies is their number, but for Student's t of fewer groups.
    once, copied = (predictive_values(table(*counts, copies=copies), [0.1]) for copies in (1, 4))
    assert copied.positive_ratio.value == pytest.approx(once.positive_ratio.value)
    assert copied.positive_ratio.interval == pytest.approx(once.positive_ratio.interval, rel=0.01)
    assert copied.at[0].negative.interval == pytest.approx(once.at[0].negative.interval, rel=0.01)


def test_without_images_of_a_class_there_is_nothing_to_say():
    found = predictive_values(two_class([1, 1], [0.9, 0.2]), [0.1])
    figures = (found.positive_ratio, found.negative_ratio, found.at[0].positive, found.at[0].negative)
    assert {(figure.value, figure.reason) for figure in figures} == {(None, "no image of another class")}


def test_more_classes_have_no_positive_one():
    with pytest.raises(UserError, match="-prevalence: with 3 classes"):
        predictive_values(multiclass([0, 1, 2], np.eye(3)), [0.1])
