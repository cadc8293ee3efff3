"""Every figure that R gave for the files of tests/golden, to 1e-6; see tests/golden/README.md."""

import pytest
from made_predictions import GOLDEN, content

from pipeline import predictions
from pipeline.performance.results_json import as_json
from pipeline.performance.summary import summarize

TWO_CLASSES = ("published_table4", "binary_ties", "binary_imbalanced")
MORE_CLASSES = ("three_class", "ten_class")
OVERALL = {
    "Accuracy": "Accuracy",
    "Cohen's Kappa": "Kappa",
    "No Information Rate": "AccuracyNull",
    "Accuracy P-Value": "AccuracyPValue",
    "McNemar P-Value": "McnemarPValue",
}


def results(name, positive=None):
    made = predictions.read(GOLDEN / f"{name}.json")
    made.positive_class = None if positive is None else made.class_names[positive]
    return as_json(summarize(made))


def golden(name):
    return content(GOLDEN / f"{name}.caret.json")


def require_same(ours, of_r):
    if of_r in ("NA", "NaN"):
        assert ours is None
    else:
        assert ours == pytest.approx(of_r, abs=1e-6, rel=0)


def require_same_overall(found, of_r):
    for ours, theirs in OVERALL.items():
        require_same(found[ours], of_r["overall"][theirs])
        assert (found[ours] is None) == (ours in found["undefined"])
    require_same(found["Accuracy 95% Interval"], [of_r["overall"]["AccuracyLower"], of_r["overall"]["AccuracyUpper"]])


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("name", TWO_CLASSES)
def test_carets_figures_of_two_classes(name, positive):
    found, of_r = results(name, positive), golden(name)[f"positive_{positive}"]
    require_same_overall(found, of_r)
    assert len(of_r["byClass"]) == 11
    for figure, value in of_r["byClass"].items():
        require_same(found[figure], value)


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_intervals_of_two_classes(name):
    found, of_r = results(name, 1), golden(name)
    require_same(found["ROC-AUC"], of_r["auc"]["estimate"])
    require_same(found["ROC-AUC 95% Interval (DeLong)"], [of_r["auc"]["delong_lower"], of_r["auc"]["delong_upper"]])
    require_same(found["Sensitivity 95% Interval"], of_r["sensitivity_ci_positive_1"])
    require_same(found["Specificity 95% Interval"], of_r["specificity_ci_positive_1"])


@pytest.mark.parametrize("name", MORE_CLASSES)
def test_carets_figures_of_more_classes(name):
    found, of_r = results(name), golden(name)["all"]
    require_same_overall(found, of_r)
    assert len(of_r["byClass"]) == len(found["Per Class"])
    for index, class_name in enumerate(found["Class Names"]):
        for figure, value in of_r["byClass"][f"Class: {index}"].items():
            require_same(found["Per Class"][class_name][figure], value)


@pytest.mark.parametrize("name", MORE_CLASSES)
def test_areas_of_more_classes(name):
    found = results(name)
    areas = [figures["ROC-AUC"] for figures in found["Per Class"].values()]
    require_same(areas, golden(name)["auc_one_vs_rest"])
    require_same(found["ROC-AUC"], sum(areas) / len(areas))


@pytest.mark.parametrize("name", TWO_CLASSES + MORE_CLASSES)
def test_kappas_interval(name):
    found, of_r = results(name, 1 if name in TWO_CLASSES else None), golden(name)["kappa"]
    require_same(found["Cohen's Kappa"], of_r["estimate"])
    require_same(found["Cohen's Kappa 95% Interval (Fleiss, Cohen and Everitt)"], [of_r["lower"], of_r["upper"]])
