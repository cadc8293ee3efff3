"""Every figure that R gave for the files of tests/golden, to 1e-6 but for three; see tests/golden/README.md."""

from pathlib import Path

import numpy as np
import pytest
from made_predictions import GOLDEN, chosen_threshold, compared, content, random_two_class
from scipy import stats

from pipeline import predictions
from pipeline.performance import decision_curve, ordered, referral, temperature, thresholds
from pipeline.performance.figures import exact_interval
from pipeline.performance.predictive_values import predictive_values
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


def read(name, positive=1):
    made = predictions.read(GOLDEN / f"{name}.json")
    made.positive_class = made.class_names[positive] if len(made.class_names) == 2 else None
    return made


def results(name, positive=1):
    return as_json(summarize(read(name, positive)))


def golden(name):
    return content(GOLDEN / f"{name}.caret.json")


def by_r(name):
    return content(GOLDEN / f"{name}.r.json")


def require_same(ours, of_r):
    if of_r in ("NA", "NaN"):
        assert ours is None
    else:
        assert ours == pytest.approx(of_r, abs=1e-6, rel=0)


def require_same_figure(figure, value_and_limits):
    require_same([figure.value, *figure.interval], value_and_limits)


def require_same_figures(found, of_r, names):
    assert [*of_r] == names
    for name, value_and_limits in of_r.items():
        require_same([found[name], *found[f"{name} 95% Interval"]], value_and_limits)


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
    found, of_r = results(name), golden(name)
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
    found, of_r = results(name), golden(name)["kappa"]
    require_same(found["Cohen's Kappa"], of_r["estimate"])
    require_same(found["Cohen's Kappa 95% Interval (Fleiss, Cohen and Everitt)"], [of_r["lower"], of_r["upper"]])


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_exact_intervals_and_how_many_images_halve_that_of_the_accuracy(name):
    found, of_r = results(name), by_r(name)
    assert len(of_r["exact"]) == 11
    for figure, limits in of_r["exact"].items():
        require_same(found[f"{figure} 95% Interval"], limits)
    assert found["n For Half The Accuracy 95% Interval"] == of_r["number_to_halve"]


@pytest.mark.parametrize("name", [*TWO_CLASSES, *MORE_CLASSES, "grouped"])
def test_losses(name):
    require_same_figures(results(name), by_r(name)["losses"], ["Log Loss", "Brier Score"])


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_ranking(name):
    found, of_r = results(name), by_r(name)
    require_same(found["ROC-AUC 95% Interval"], of_r["newcombe_area"])
    require_same([found["Average Precision"], *found["Average Precision 95% Interval"]], of_r["average_precision"])


@pytest.mark.parametrize("name", [*TWO_CLASSES, "grouped"])
def test_calibration(name):
    found, of_r = results(name), by_r(name)["calibration"]
    for figure in ("intercept", "slope"):
        title = f"Calibration {figure.capitalize()}"
        require_same(found[title], of_r[figure]["value"])
        require_same(found[f"{title} 95% Interval"], of_r[figure]["interval"])
        # confint interpolates the profile.
        assert found[f"{title} 95% Interval"] == pytest.approx(of_r[figure]["confint"], abs=1e-3)


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_what_validation_images_choose(name):
    made, of_r = read(name), by_r(name)
    measured = random_two_class(0, class_names=made.class_names, positive_class=made.positive_class)
    require_same(chosen_threshold(made, Path("val.json"), measured).value, of_r["youden"])
    found = results(name)
    positives = found["True Positives"] + found["False Negatives"]
    limit, _ = exact_interval(found["True Positives"], positives, thresholds.LEVEL)
    require_same(limit, of_r["one_sided_limit"])


@pytest.mark.parametrize("name", [*TWO_CLASSES, *MORE_CLASSES])
def test_the_temperature(name):
    made = read(name)
    # The minimum is sought to 1e-5 of the logarithm.
    assert temperature.fit(made.labels, made.probabilities) == pytest.approx(by_r(name)["temperature"], rel=1e-5)


def test_folds():
    made, of_r = read("binary_ties"), by_r("binary_ties")["five_folds"]
    made.folds = np.arange(len(made.labels)) % 5
    found = as_json(summarize(made))
    require_same(found["ROC-AUC"], of_r["auc"])
    require_same(found["Average Precision"], of_r["average_precision"])
    # Of the conditional likelihood, to which the modified profile likelihood comes near.
    assert found["Calibration Slope"] == pytest.approx(of_r["slope"], rel=0.01)


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_predictive_values_at_another_prevalence(name):
    of_r = by_r(name)
    found = predictive_values(read(name), [each["prevalence"] for each in of_r["at_prevalence"]])
    require_same_figure(found.positive_ratio, of_r["likelihood_ratios"]["LR+"])
    require_same_figure(found.negative_ratio, of_r["likelihood_ratios"]["LR-"])
    for ours, theirs in zip(found.at, of_r["at_prevalence"], strict=True):
        require_same_figure(ours.positive, theirs["Pos Pred Value"])
        require_same_figure(ours.negative, theirs["Neg Pred Value"])


@pytest.mark.parametrize("name", TWO_CLASSES)
def test_decision_curves(name):
    curve, of_r = decision_curve.measure(read(name)), by_r(name)
    require_same(curve.model, of_r["net_benefit"])
    require_same(curve.treat_all, of_r["net_benefit_of_all"])


@pytest.mark.parametrize("name", ["published_table4", "binary_imbalanced", *MORE_CLASSES])
def test_referral(name):
    found, of_r = referral.referral(read(name)), by_r(name)["referral"]
    (ranking,) = found.rankings
    assert (found.referred, ranking.errors_referred.value) == (of_r["referred"], of_r["found"])
    require_same(ranking.p_value.value, of_r["p_value"])
    require_same(ranking.rest.interval, of_r["rest"])


@pytest.mark.parametrize("name", MORE_CLASSES)
def test_figures_of_pairs_and_means_of_classes(name):
    found, of_r = results(name), by_r(name)
    require_same(found["Hand and Till's M"], of_r["hand_and_till"])
    require_same_figures(found, of_r["means"], ["Specificity", "Neg Pred Value", "F1"])


@pytest.mark.parametrize("name", MORE_CLASSES)
def test_ordered_classes(name):
    made, of_r = read(name), by_r(name)
    found, count = ordered.measure(made, made.class_names), len(made.labels)
    require_same_figure(found.rank_difference, of_r["rank_difference"])
    kappa, of_r = found.weighted_kappa, of_r["weighted_kappa"]
    require_same(kappa.value, of_r["value"])
    # vcd's is the error on kappa's own scale, with a variance over n where it is over n - 1 here.
    half_width = stats.t.ppf(0.975, count - 1) * of_r["error"] * np.sqrt(count / (count - 1)) / (1 - kappa.value**2)
    require_same(np.ptp(np.arctanh(kappa.interval)) / 2, half_width)


def test_images_in_groups():
    """R's svyciprop compares with p (1 - p) / n, the variance of single images here is p (1 - p) / (n - 1)."""
    found, of_r = results("grouped"), by_r("grouped")
    assert len(of_r["proportions"]) == 8
    for figure, proportion in of_r["proportions"].items():
        p, effective = found[figure], proportion["effective"]
        require_same(exact_interval(p * effective, effective), proportion["svyciprop"])
        effective *= proportion["n"] / (proportion["n"] - 1)
        require_same(found[f"{figure} 95% Interval"], exact_interval(p * effective, effective))
    require_same(found["Accuracy P-Value"], of_r["accuracy_p_value"])
    require_same(found["McNemar P-Value"], of_r["sign_test"])


def test_more_classes_in_groups():
    made, of_r = read("three_class"), by_r("three_class")["groups_of_four"]
    made.groups = [str(index // 4) for index in range(len(made.labels))]
    found = as_json(summarize(made))
    require_same_figures(found, of_r["losses"], ["Log Loss", "Brier Score"])
    require_same_figures(found, of_r["means"], ["Specificity", "Neg Pred Value", "F1"])
    kappa, of_r = ordered.measure(made, made.class_names).weighted_kappa, of_r["weighted_kappa"]
    require_same(kappa.value, of_r["value"])
    half_width = stats.t.ppf(0.975, len(set(made.groups)) - 1) * of_r["error"] / (1 - kappa.value**2)
    require_same(np.ptp(np.arctanh(kappa.interval)) / 2, half_width)


def test_two_models():
    here = read("binary_ties")
    found, of_r = compared(here, read("second_model")), by_r("second_model")
    assert [found.only_here, found.only_there] == of_r["only"]
    require_same(found.difference.interval, of_r["interval"])
    require_same(found.p_value, of_r["mcnemar_exact"])
    (area,) = found.areas
    require_same_figure(area.delong, [of_r["area_difference"], *of_r["area_interval"]])
    require_same(area.p_value.value, of_r["delong"])
