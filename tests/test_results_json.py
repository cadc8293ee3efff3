import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_predictions import multiclass, page, two_class

from pipeline.performance import summary
from pipeline.performance.predictive_values import predictive_values
from pipeline.performance.results_json import as_json

PUBLISHED = ("Sensitivity", "Specificity", "ROC-AUC", "Accuracy", "Cohen's Kappa")
THREE = [[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.8, 0.1], [0.1, 0.3, 0.6], [0.3, 0.2, 0.5]]


def summarize(predictions):
    return as_json(summary.summarize(predictions))


def nulls(value, path=()):
    """Return the paths of all None in a results object."""
    if value is None:
        return [path]
    if isinstance(value, dict):
        return [found for key, entry in value.items() for found in nulls(entry, (*path, key))]
    if isinstance(value, list):
        return [found for entry in value for found in nulls(entry, path)]
    return []


def require_reasons(results):
    """Hold that each undefined figure has its reason, and each reason its undefined figure."""
    remarks = {("Positive Class",), ("Split",), ("Fold",), ("Checkpoint",), ("Groups",)}
    paths = {path for path in nulls({k: v for k, v in results.items() if k != "undefined"}) if path not in remarks}
    expected = {path[0] if len(path) == 1 else f"{path[2]} ({path[1]})" for path in paths}
    assert set(results["undefined"]) == expected
    assert all(isinstance(reason, str) and reason for reason in results["undefined"].values())


def test_the_published_figures_come_first_as_fractions_of_the_positive_class():
    results = summarize(two_class([0, 0, 0, 1, 1], [0.1, 0.6, 0.2, 0.9, 0.8]))
    assert tuple(results)[:5] == PUBLISHED
    assert [results[name] for name in PUBLISHED[:4]] == [1, pytest.approx(2 / 3), 1, 0.8]
    other = summarize(two_class([0, 0, 0, 1, 1], [0.1, 0.6, 0.2, 0.9, 0.8], positive_class="no"))
    assert [other[name] for name in PUBLISHED[:4]] == [pytest.approx(2 / 3), 1, 1, 0.8]
    assert results["Per Class"] == other["Per Class"]
    assert results["Confusion Matrix"] == other["Confusion Matrix"] == [[2, 1], [0, 2]]


def test_more_classes_have_the_means_at_the_top_with_intervals():
    results = summarize(multiclass([0, 1, 1, 2, 0], THREE))
    assert results["Positive Class"] is None
    assert len(results["Sensitivity 95% Interval"]) == 2
    # That of the prevalences is 1 / 3, whatever the images.
    assert "Prevalence" not in results and "Prevalence 95% Interval" in results["Per Class"]["A"]
    require_reasons(results)


def test_a_class_without_images_leaves_gaps_with_reasons_and_no_wrong_mean():
    results = summarize(multiclass([0, 1, 1, 1, 0], THREE))
    assert results["Sensitivity"] is results["ROC-AUC"] is results["Per Class"]["C"]["Sensitivity"] is None
    assert results["undefined"]["Sensitivity"] == "undefined for the class C"
    assert results["undefined"]["ROC-AUC (C)"] == "needs images of the class and of another one"
    assert results["Specificity"] is not None and results["Accuracy"] == 0.6
    require_reasons(results)


@pytest.mark.parametrize("positive_class", ["no", "yes"])
@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [
        ([0, 0, 0], [0.1, 0.2, 0.3]),
        ([0, 0, 0], [0.1, 0.2, 0.7]),
        ([1], [0.9]),
        ([1], [0.1]),
        ([0, 1], [0.0, 0.0]),
        ([0, 1], [1.0, 0.0]),
        ([0, 1, 1], [0.0, 1.0, 1.0]),
    ],
)
def test_gaps_of_two_classes_have_reasons(labels, probabilities, positive_class):
    results = summarize(two_class(labels, probabilities, positive_class=positive_class))
    require_reasons(results)
    json.dumps(results, allow_nan=False)


@settings(max_examples=25)
@given(st.integers(2, 4).flatmap(lambda classes: st.tuples(
    st.lists(st.integers(0, classes - 1), min_size=1, max_size=12),
    st.lists(st.lists(st.integers(0, 3), min_size=classes, max_size=classes), min_size=12, max_size=12),
)))  # fmt: skip
def test_no_predictions_make_a_nan_a_gap_without_a_reason_or_an_error_on_the_page(data):
    labels, weights = data
    weights = np.array(weights[: len(labels)], dtype=float)
    weights[weights.sum(axis=1) == 0] = 1
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    made = two_class(labels, probabilities[:, 1]) if probabilities.shape[1] == 2 else multiclass(labels, probabilities)
    results = summarize(made)
    json.dumps(results, allow_nan=False)
    require_reasons(results)
    assert page(made).endswith("\n")


def test_predictions_that_are_not_the_most_probable_class_are_counted():
    made = two_class([0, 1, 1], [0.1, 0.9, 0.8])
    made.predictions = np.array([1, 1, 0])
    assert summarize(made)["Predictions Not Most Probable"] == 2


def test_an_infinite_likelihood_ratio_is_null_with_its_reason_and_its_lower_limit():
    made = two_class([0, 0, 1, 1], [0.1, 0.2, 0.9, 0.4])
    results = as_json(summary.summarize(made, predictive_values=predictive_values(made, [0.1])))
    values = results["Predictive Values"]
    lower, upper = values["LR+ 95% Interval"]
    assert (values["LR+"], upper, results["undefined"]["LR+ (yes)"]) == (None, None, "infinite: no false positive")
    assert 0 < lower < 1
    assert (values["LR-"], values["at"][0]["Pos Pred Value"]) == (0.5, 1)
    assert "Infinity" not in json.dumps(results)


def test_what_is_undefined_at_a_prevalence_names_it_with_all_its_digits():
    made = two_class([1, 1], [0.9, 0.2])
    results = as_json(summary.summarize(made, predictive_values=predictive_values(made, [0.01, 0.0100000001])))
    at = [name for name in results["undefined"] if name.startswith("Pos Pred Value (prev")]
    assert at == ["Pos Pred Value (prevalence 0.01)", "Pos Pred Value (prevalence 0.0100000001)"]
