import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from pipeline.performance import metrics
from pipeline.performance.metrics import OneAgainstRest, Undefined


def one(true_positives, false_negatives, false_positives, true_negatives):
    truth = np.repeat([True, True, False, False], [true_positives, false_negatives, false_positives, true_negatives])
    finding = np.repeat([True, False, True, False], [true_positives, false_negatives, false_positives, true_negatives])
    return OneAgainstRest(truth, finding, np.where(finding, 0.75, 0.25))


# The published confusion matrix: 15 of 16 tumours and 9 of 10 others found.
PUBLISHED = one(15, 1, 1, 9)


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        (metrics.sensitivity, 15 / 16),
        (metrics.specificity, 9 / 10),
        (metrics.precision, 15 / 16),
        (metrics.positive_predictive_value, 15 / 16),
        (metrics.negative_predictive_value, 9 / 10),
        (metrics.f1, 30 / 32),
        (metrics.prevalence, 16 / 26),
        (metrics.detection_rate, 15 / 26),
        (metrics.detection_prevalence, 16 / 26),
        (metrics.balanced_accuracy, (15 / 16 + 9 / 10) / 2),
        # 24 right ones are 0.25 off, 2 wrong ones 0.75.
        (metrics.brier_score, (24 * 0.25**2 + 2 * 0.75**2) / 26),
        # One threshold lies above all: recall 15/16 at precision 15/16, then all at the prevalence.
        (metrics.average_precision, 15 / 16 * 15 / 16 + 1 / 16 * 16 / 26),
    ],
)
def test_figures_of_a_class_by_hand(figure, value):
    assert figure(PUBLISHED) == pytest.approx(value, abs=1e-12)


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
    with pytest.raises(Undefined, match=f"^{reason}$"):
        figure(one(*counts))


def test_f1_is_0_where_precision_and_recall_are():
    assert metrics.f1(one(0, 2, 3, 4)) == 0


def test_a_class_without_an_image_has_a_precision_of_0_if_it_was_predicted():
    assert metrics.precision(one(0, 0, 2, 3)) == 0


def test_evaluate_keeps_values_and_reasons_apart():
    figures = {"Sensitivity": metrics.sensitivity, "Specificity": metrics.specificity}
    assert metrics.evaluate(figures, one(0, 0, 1, 3)) == (
        {"Sensitivity": None, "Specificity": 0.75},
        {"Sensitivity": "no image of the class"},
    )


def test_confusion_matrix_has_a_row_for_each_true_class_even_without_images():
    matrix = metrics.confusion_matrix([0, 0, 1], [0, 1, 1], 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_kappa_by_hand():
    # Observed 24/26; by chance (10 x 10 + 16 x 16) / 26^2.
    expected = (10 * 10 + 16 * 16) / 26**2
    matrix = np.array([[9, 1], [1, 15]])
    assert metrics.cohen_kappa(matrix) == pytest.approx((24 / 26 - expected) / (1 - expected), abs=1e-12)
    assert metrics.accuracy(matrix) == 24 / 26
    assert metrics.no_information_rate(matrix) == 16 / 26


def test_kappa_of_a_single_class_is_undefined():
    with pytest.raises(Undefined, match="one class"):
        metrics.cohen_kappa(np.array([[5, 0], [0, 0]]))


def test_kappa_of_one_class_always_taken_for_the_other_is_0():
    assert metrics.cohen_kappa(np.array([[0, 5], [0, 0]])) == 0


def test_log_loss_by_hand():
    probabilities = np.array([[0.5, 0.5], [0.2, 0.8], [0.25, 0.75]])
    loss = metrics.log_loss(np.array([0, 1, 0]), probabilities)
    assert loss == pytest.approx(-(math.log(0.5) + math.log(0.8) + math.log(0.25)) / 3, abs=1e-12)


def test_log_loss_of_an_impossible_truth_is_undefined_and_not_infinite():
    with pytest.raises(Undefined, match="infinite: 1 of 2 images have probability 0 of their true class"):
        metrics.log_loss(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))


def test_multiclass_brier_score_by_hand():
    probabilities = np.array([[0.6, 0.3, 0.1], [0, 0, 1]])
    score = metrics.multiclass_brier_score(np.array([0, 1]), probabilities)
    assert score == pytest.approx((0.4**2 + 0.3**2 + 0.1**2 + 0 + 1 + 1) / 2, abs=1e-12)


@st.composite
def labelled(draw, classes=2):
    """Labels with every class among them, predictions, and probabilities with ties."""
    count = draw(st.integers(classes, 40))
    labels = [*range(classes), *draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))]
    predictions = draw(st.lists(st.integers(0, classes - 1), min_size=len(labels), max_size=len(labels)))
    weights = draw(
        st.lists(
            st.lists(st.integers(1, 5), min_size=classes, max_size=classes), min_size=len(labels), max_size=len(labels)
        )
    )
    weights = np.array(weights, dtype=float)
    return np.array(labels), np.array(predictions), weights / weights.sum(axis=1, keepdims=True)


@settings(deadline=None)
@given(labelled())
def test_figures_of_a_class_are_scikit_learns(data):
    labels, predictions, probabilities = data
    subject = OneAgainstRest(labels == 1, predictions == 1, probabilities[:, 1])
    assert metrics.sensitivity(subject) == pytest.approx(reference.recall_score(labels, predictions))
    assert metrics.specificity(subject) == pytest.approx(reference.recall_score(labels, predictions, pos_label=0))
    assert metrics.balanced_accuracy(subject) == pytest.approx(reference.balanced_accuracy_score(labels, predictions))
    assert metrics.brier_score(subject) == pytest.approx(reference.brier_score_loss(labels, probabilities[:, 1]))
    if (predictions == 1).any():
        assert metrics.precision(subject) == pytest.approx(reference.precision_score(labels, predictions))
        assert metrics.f1(subject) == pytest.approx(reference.f1_score(labels, predictions))


@settings(deadline=None)
@given(labelled(classes=3))
def test_figures_of_all_classes_are_scikit_learns(data):
    labels, predictions, probabilities = data
    matrix = metrics.confusion_matrix(labels, predictions, 3)
    assert metrics.accuracy(matrix) == pytest.approx(reference.accuracy_score(labels, predictions))
    assert metrics.cohen_kappa(matrix) == pytest.approx(reference.cohen_kappa_score(labels, predictions), abs=1e-12)
    assert metrics.log_loss(labels, probabilities) == pytest.approx(reference.log_loss(labels, probabilities))
