from dataclasses import replace

import numpy as np
import pytest
from made_predictions import multiclass, one_class
from scipy import stats
from sklearn import metrics as reference

from pipeline.performance import metrics
from pipeline.performance.figures import Figure, Undefined, exact_interval
from pipeline.predictions import Predictions


def one(true_positives, false_negatives, false_positives, true_negatives):
    truth = np.repeat([True, True, False, False], [true_positives, false_negatives, false_positives, true_negatives])
    finding = np.repeat([True, False, True, False], [true_positives, false_negatives, false_positives, true_negatives])
    return one_class(truth, finding, np.where(finding, 0.75, 0.25))


# The published confusion matrix: 15 of 16 tumours and 9 of 10 others found.
PUBLISHED = one(15, 1, 1, 9)


@pytest.mark.parametrize(
    ("figure", "value", "counts"),
    [
        (metrics.sensitivity, 15 / 16, "15 of 16"),
        (metrics.specificity, 9 / 10, "9 of 10"),
        (metrics.precision, 15 / 16, "15 of 16"),
        (metrics.positive_predictive_value, 15 / 16, "15 of 16"),
        (metrics.negative_predictive_value, 9 / 10, "9 of 10"),
        (metrics.f1, 30 / 32, ""),
        (metrics.prevalence, 16 / 26, "16 of 26"),
        (metrics.detection_rate, 15 / 26, "15 of 26"),
        (metrics.detection_prevalence, 16 / 26, "16 of 26"),
        (metrics.balanced_accuracy, (15 / 16 + 9 / 10) / 2, ""),
        # One threshold lies above all: recall 15/16 at precision 15/16, then all at the prevalence.
        (metrics.average_precision, 15 / 16 * 15 / 16 + 1 / 16 * 16 / 26, ""),
    ],
)
def test_figures_of_a_class_by_hand(figure, value, counts):
    assert (figure(PUBLISHED).value, figure(PUBLISHED).counts) == (pytest.approx(value, abs=1e-12), counts)


@pytest.mark.parametrize(
    ("figure", "counts", "reason"),
    [
        (metrics.sensitivity, (0, 0, 1, 2), "no image of the class"),
        (metrics.specificity, (2, 1, 0, 0), "no image of another class"),
        (metrics.precision, (0, 2, 0, 3), "the class was never predicted"),
        (metrics.positive_predictive_value, (0, 2, 0, 3), "the class was never predicted"),
        (metrics.positive_predictive_value, (0, 0, 1, 3), "no image of the class"),
        (metrics.negative_predictive_value, (2, 0, 3, 0), "no other class was ever predicted"),
        (metrics.negative_predictive_value, (0, 0, 1, 3), "no image of the class"),
        (metrics.f1, (0, 2, 0, 3), "the class was never predicted"),
        (metrics.f1, (0, 0, 2, 3), "no image of the class"),
        (metrics.balanced_accuracy, (0, 0, 2, 3), "no image of the class"),
        (metrics.balanced_accuracy, (2, 3, 0, 0), "no image of another class"),
        (metrics.average_precision, (0, 0, 2, 3), "no image of the class"),
    ],
)
def test_what_is_undefined_says_why(figure, counts, reason):
    assert figure(one(*counts)).value is None
    assert figure(one(*counts)).reason == reason


def test_f1_is_0_where_precision_and_recall_are():
    assert metrics.f1(one(0, 2, 3, 4)).value == 0


def test_a_class_without_an_image_has_a_precision_of_0_if_it_was_predicted():
    assert metrics.precision(one(0, 0, 2, 3)).value == 0


def test_confusion_matrix_has_a_row_for_each_true_class_even_without_images():
    matrix = metrics.confusion_matrix([0, 0, 1], [0, 1, 1], 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def kappa(matrix):
    count, total = int(np.trace(matrix)), int(matrix.sum())
    return metrics.cohen_kappa(matrix, Figure(count / total, exact_interval(count, total)))


def test_kappa_of_a_single_class_is_undefined():
    matrix = np.array([[5, 0], [0, 0]])
    assert (kappa(matrix).value, kappa(matrix).reason) == (None, "all labels and predictions are one class")
    with pytest.raises(Undefined, match="one class"):
        metrics.kappa_large_sample_interval(matrix)


def test_kappa_of_one_class_always_taken_for_the_other_is_0():
    assert kappa(np.array([[0, 5], [0, 0]])).value == 0


@pytest.mark.parametrize(
    ("matrix", "value"),
    [([[10, 0], [0, 16]], 1), ([[3, 0, 0], [0, 5, 0], [0, 0, 7]], 1), ([[0, 10], [0, 16]], 0), ([[7, 0], [3, 0]], 0)],
)
def test_kappas_large_sample_interval_is_a_point_where_all_is_right_or_all_one_class(matrix, value):
    assert metrics.kappa_large_sample_interval(np.array(matrix)) == [value, value]


def test_kappas_interval_is_no_point_and_not_below_minus_1():
    lower, upper = kappa(np.array([[10, 0], [0, 16]])).interval
    assert 0.7 < lower < upper == 1
    assert kappa(np.array([[0, 1], [0, 25]])).interval[0] == -1  # where chance agrees nearly always


def test_f1s_interval_holds_it_and_is_no_point():
    for counts in ((15, 1, 1, 9), (16, 0, 0, 10), (1, 5, 9, 20), (0, 2, 3, 4)):
        figure = metrics.f1(one(*counts))
        assert 0 <= figure.interval[0] <= figure.value <= figure.interval[1] <= 1
        assert figure.interval[0] < figure.interval[1]


def test_average_precision_is_scikit_learns_in_each_fold_and_its_mean():
    random = np.random.default_rng(1)
    truth, folds = random.random(60) < 0.4, np.arange(60) % 3
    scores = np.round(random.normal(size=60) + 0.5 * truth, 1)
    of_folds = [reference.average_precision_score(truth[folds == k], scores[folds == k]) for k in range(3)]
    alone = metrics.average_precision(one_class(truth, truth, scores))
    assert alone.value == pytest.approx(reference.average_precision_score(truth, scores))
    assert alone.interval == pytest.approx(exact_interval(alone.value * truth.sum(), truth.sum()))
    assert metrics.average_precision(one_class(truth, truth, scores, folds=folds)).value == pytest.approx(
        np.mean(of_folds)
    )


def test_accuracy_test_by_hand():
    # At least 2 of 2 right where always saying the one class is right in half of all: 1/4.
    assert metrics.accuracy_test(np.array([True, True]), np.arange(2), 0.5) == pytest.approx(0.25)
    # Two groups of alike images are two images.
    assert metrics.accuracy_test(np.ones(6, dtype=bool), np.repeat([0, 1], 3), 0.5) == pytest.approx(0.25)
    assert metrics.accuracy_test(np.array([False, False]), np.arange(2), 0.5) == 1


def symmetry(matrix, groups=None):
    matrix = np.array(matrix)
    labels, predictions = np.repeat(np.argwhere(matrix >= 0), matrix.ravel(), axis=0).T
    return metrics.symmetry_test(matrix, labels - predictions, np.arange(len(labels)) if groups is None else groups)


def test_mcnemar_in_groups_counts_groups():
    # Of three groups, with errors all of one kind in each, each sign is as likely: 2 / 2^3.
    assert symmetry([[0, 6], [1, 0]], np.array([0, 0, 0, 1, 1, 1, 2])) == pytest.approx(4 / 8)


def test_mcnemar_without_errors_is_undefined():
    with pytest.raises(Undefined, match="no image was classified wrongly"):
        symmetry([[5, 0], [0, 5]])


@pytest.mark.parametrize("matrix", [[[0, 0], [6, 20]], [[3, 1, 1], [0, 0, 0], [0, 0, 0]]])
def test_images_of_one_class_cannot_show_whether_errors_go_both_ways(matrix):
    with pytest.raises(Undefined, match="all images are of one class"):
        symmetry(matrix)


def test_bowkers_test_is_of_single_images():
    with pytest.raises(Undefined, match="of single images"):
        symmetry([[5, 3, 1], [1, 5, 2], [4, 2, 5]], np.arange(28) // 2)


def test_bowker_with_a_pair_never_confused_is_undefined():
    with pytest.raises(Undefined, match=r"^some classes \(1 of 3 pairs\) were never mistaken for one another$"):
        symmetry([[5, 3, 0], [1, 5, 2], [0, 2, 5]])


def test_an_average_precision_of_images_in_groups_is_worth_as_few_as_the_jackknife_over_groups_finds():
    """Groups of one class each: how many are of it moves the precision, although no two images are alike."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 20)
    truth = (np.arange(40) % 2 == 0)[groups]
    probability = stats.norm.cdf(random.normal(1.5 * truth - 1, 1))
    without = [
        reference.average_precision_score(truth[groups != each], probability[groups != each]) for each in range(40)
    ]
    variance = 39 / 40 * ((np.array(without) - np.mean(without)) ** 2).sum()
    variance *= (stats.t.ppf(0.975, 39) / stats.t.ppf(0.975, 799)) ** 2
    value = reference.average_precision_score(truth, probability)
    count = value * (1 - value) / variance
    assert count < truth.sum() / 2
    figure = metrics.average_precision(one_class(truth, truth, probability, groups=groups))
    assert figure.value == pytest.approx(value)
    assert figure.interval == pytest.approx(exact_interval(value * count, count), abs=0.003)


def test_images_that_are_copies_add_nothing_to_an_average_precision():
    random = np.random.default_rng(0)
    truth = random.random(60) < 0.4
    single = truth, truth, random.normal(size=60) + 2 * truth, np.arange(60)
    once, copies = (metrics.average_precision(one_class(*(np.repeat(each, n) for each in single))) for n in (1, 3))
    assert copies.interval == pytest.approx(once.interval)


def test_the_mean_of_a_ratio_has_no_interval_where_a_class_is_in_two_groups_only():
    labels = np.array([0, 0, 1, 1, 1, 2, 2, 2])
    found = Predictions(labels, np.roll(labels, 1), np.eye(3)[labels], ["a", "b", "c"])
    figure = metrics.mean_f1(None, found)
    assert figure.value == pytest.approx(reference.f1_score(labels, np.roll(labels, 1), average="macro"))
    assert (figure.interval, figure.reason) == (None, "a class has images in fewer than 3 groups")


def test_a_fold_with_images_of_the_class_only_has_no_average_precision():
    truth, scores = np.array([True, True, True, False, False]), np.array([0.2, 0.3, 0.5, 0.7, 0.1])
    figure = metrics.average_precision(one_class(truth, truth, scores, folds=[0, 0, 1, 1, 1]))
    assert figure.value == pytest.approx(reference.average_precision_score(truth[2:], scores[2:]))
    alone = metrics.average_precision(one_class(truth[:2], truth[:2], scores[:2]))
    assert (alone.value, alone.reason) == (None, "no image of another class")


def test_groups_that_are_difficult_in_all_their_classes_widen_the_interval_of_means():
    """Ten groups of two images of either class, all four right or all wrong: the two fractions go wholly together."""
    labels, groups = np.tile([1, 1, 0, 0], 10), np.repeat(np.arange(10), 4)
    finding = np.where(groups < 8, labels, 1 - labels)
    one = one_class(labels == 1, finding == 1, finding, groups)
    of_parts = [part(one).interval for part in (metrics.sensitivity, metrics.specificity)]
    assert metrics.balanced_accuracy(one).interval == pytest.approx(np.mean(of_parts, axis=0))
    made = multiclass(labels, np.eye(2)[finding] * 0.6 + 0.2, groups=[f"{group}" for group in groups])
    mean = metrics.mean_by_label([Figure(0.8, [0.5, 0.9])] * 2, made)
    assert mean.interval == pytest.approx([0.5, 0.9])
    alone = metrics.mean_by_label([Figure(0.8, [0.5, 0.9])] * 2, replace(made, groups=None))
    assert alone.interval == pytest.approx([0.8 - 0.3 / 2**0.5, 0.8 + 0.1 / 2**0.5])
