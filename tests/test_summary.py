from dataclasses import astuple

import numpy as np
import pytest
from made_predictions import multiclass, page, random_two_class, two_class
from sklearn.metrics import roc_auc_score

from pipeline.performance import folds, thresholds
from pipeline.performance.results_json import as_json
from pipeline.performance.summary import most_confident_errors, summarize


def test_main_figures_are_those_of_the_positive_class_or_means_over_the_classes():
    two = summarize(two_class([0, 0, 0, 1, 1], [0.1, 0.6, 0.2, 0.9, 0.8]))
    assert two.main is two.classes[1] and two.shown_classes == [two.main]
    rows = [[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.8, 0.1], [0.1, 0.3, 0.6], [0.3, 0.2, 0.5]]
    three = summarize(multiclass([0, 1, 1, 2, 0], rows))
    assert three.shown_classes == three.classes
    for name, figure in three.main.named().items():
        of_classes = "Sensitivity" if name == "Balanced Accuracy" else name
        mean = np.mean([one.named()[of_classes].value for one in three.classes])
        assert figure.value == pytest.approx(3 * mean if name == "Brier Score" else mean)


def test_means_over_classes_have_intervals_that_hold_them():
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    weights = random.dirichlet(np.ones(3), 90) + 0.5 * np.eye(3)[labels]
    main = summarize(multiclass(labels, weights / weights.sum(axis=1, keepdims=True))).main
    fractions = ("sensitivity", "specificity", "precision", "negative_predictive_value", "balanced_accuracy")
    for name in (*fractions, "auc", "f1"):
        figure = getattr(main, name)
        assert figure.interval[0] < figure.value < figure.interval[1]


def test_areas_are_means_over_folds_and_the_pooled_ones_stand_beside_them():
    parts = [random_two_class(seed, prefix=f"{seed}_", fold=seed) for seed in range(3)]
    parts[1].probabilities = np.column_stack([1 - parts[1].probabilities[:, 1] / 9, parts[1].probabilities[:, 1] / 9])
    main = summarize(folds.pool(parts)).main
    areas = [roc_auc_score(part.labels, part.probabilities[:, 1]) for part in parts]
    assert main.auc.value == pytest.approx(np.mean(areas))
    assert main.auc_pooled.value < main.auc.value
    assert main.average_precision_pooled.value < main.average_precision.value


@pytest.mark.parametrize(
    ("made", "errors"),
    [
        (
            two_class([0, 0, 1, 1, 0, 1], [0.7, 0.1, 0.05, 0.9, 0.99, 0.4], file_names=list("abcdef")),
            [("e", "no", "yes", 0.99), ("c", "yes", "no", 0.95), ("a", "no", "yes", 0.7), ("f", "yes", "no", 0.6)],
        ),
        (thresholds.apply(two_class([0, 0], [0.3, 0.1], file_names=list("ab")), 0.2), [("a", "no", "yes", 0.3)]),
        (multiclass([0, 2], [[0.2, 0.5, 0.3], [0.1, 0.3, 0.6]], file_names=list("ab")), [("a", "A", "B", 0.5)]),
    ],
    ids=["two classes", "a threshold", "three classes"],
)
def test_the_most_confident_come_first_with_the_probability_of_the_class_that_was_predicted(made, errors):
    assert [astuple(error) for error in most_confident_errors(made)] == [(*error, 0) for error in errors]


def test_a_group_is_named_once_by_its_most_confident_error():
    groups = ["p", "q", "p", "p", "q", "r"]
    made = two_class([0, 0, 0, 0, 0, 1], [0.7, 0.8, 0.9, 0.6, 0.1, 0.9], file_names=list("abcdef"), groups=groups)
    found = [(error.file_name, error.others) for error in most_confident_errors(made)]
    assert found == [("c", 2), ("b", 0)]
    text = page(made)
    assert "| image | class | predicted | probability | others of its group |" in text
    assert "| c     | no    | yes       |       0.900 |                   2 |" in text


def test_no_more_than_ten_are_listed_and_equals_in_the_order_of_the_files():
    made = two_class([0] * 12, [0.8] * 12, file_names=list("lkjihgfedcba"))
    assert [error.file_name for error in most_confident_errors(made)] == list("lkjihgfedc")


def test_without_errors_there_is_nothing_to_list():
    made = two_class([0, 1], [0.1, 0.9], file_names=["a", "b"])
    assert most_confident_errors(made) == []
    assert "confident errors" not in page(made)


def test_without_file_names_they_are_undefined():
    made = two_class([0, 1], [0.9, 0.9])
    assert most_confident_errors(made) is None
    assert "- the predictions hold no file names: Most Confident Errors\n" in page(made)


def test_the_page_and_the_json_list_those_of_all_folds():
    of_folds = [(["a|b.png", "c"], [0.876, 0.9]), (["d\ne", "f"], [0.6, 0.3])]
    pooled = folds.pool(
        [two_class([0, 1], yes, file_names=names, fold=fold) for fold, (names, yes) in enumerate(of_folds)]
    )
    assert (
        "## The most confident errors\n\n"
        "Look here first for what the model has not learned, and for wrong labels. The probability is that of the "
        "class that was predicted.\n\n"
        "| image    | class | predicted | probability |\n"
        "| -------- | ----- | --------- | ----------: |\n"
        "| a\\|b.png | no    | yes       |       0.876 |\n"
        "| f        | yes   | no        |       0.700 |\n"
        "| d\\ne     | no    | yes       |       0.600 |\n"
    ) in page(pooled)
    errors = as_json(summarize(pooled))["Most Confident Errors"]
    assert [error["file name"] for error in errors] == ["a|b.png", "f", "d\ne"]
