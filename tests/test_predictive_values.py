import numpy as np
import pytest
from made_predictions import multiclass, two_class

from pipeline.errors import UserError
from pipeline.performance.figures import Z
from pipeline.performance.predictive_values import predictive_values


def table(true_positives, false_negatives, false_positives, true_negatives, copies=1):
    """Return Predictions with these counts, each image `copies` times in a group of its own."""
    counts = [true_positives, false_negatives, false_positives, true_negatives]
    labels, probabilities = np.repeat([1, 1, 0, 0], counts), np.repeat([0.9, 0.1, 0.9, 0.1], counts)
    groups = [str(number) for number in np.repeat(np.arange(sum(counts)), copies)]
    return two_class(np.repeat(labels, copies), np.repeat(probabilities, copies), groups=groups)


def test_the_likelihood_ratios_of_epir():
    """The example of R's epiR::epi.tests, Scott et al. (2008), table 1; it has the intervals of Simel et al. too."""
    found = predictive_values(table(670, 74, 202, 640), [0.1])
    assert [found.positive_ratio.value, *found.positive_ratio.interval] == pytest.approx([3.75, 3.32, 4.24], abs=0.005)
    assert [found.negative_ratio.value, *found.negative_ratio.interval] == pytest.approx([0.13, 0.11, 0.16], abs=0.005)
    assert found.adjusted == []


def test_the_predictive_values_of_cifinder():
    """The example of R's CIfinder::ppv_npv_ci(method = "zhou"), van de Vijver et al. (2002): the standard logit."""
    (at,) = predictive_values(table(31, 3, 12, 32), [0.07]).at
    assert [at.positive.value, *at.positive.interval] == pytest.approx([0.2010444, 0.1331384, 0.2919216], abs=1e-7)
    assert [at.negative.value, *at.negative.interval] == pytest.approx([0.9909508, 0.9734141, 0.9969560], abs=1e-7)


def test_at_the_prevalence_of_these_images_the_predictive_values_are_theirs():
    (at,) = predictive_values(table(30, 10, 12, 48), [0.4]).at
    assert (at.positive.value, at.negative.value) == (pytest.approx(30 / 42), pytest.approx(48 / 58))


def test_a_half_is_added_where_a_count_is_0():
    found = predictive_values(table(53, 4, 0, 113), [0.017])
    assert found.adjusted == ["LR+"]
    value = (53.5 / 58) / (0.5 / 114)
    error = np.sqrt(1 / 53.5 - 1 / 58 + 1 / 0.5 - 1 / 114)
    assert found.positive_ratio.value == pytest.approx(value)
    assert found.positive_ratio.interval == pytest.approx([value * np.exp(-Z * error), value * np.exp(Z * error)])
    assert found.negative_ratio.value == pytest.approx(4 / 57)
    odds = value * 0.017 / 0.983
    assert found.at[0].positive.value == pytest.approx(odds / (1 + odds))
    assert predictive_values(table(5, 0, 0, 5), [0.5]).adjusted == ["LR+", "LR-"]


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
