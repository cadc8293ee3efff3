"""The results JSON: the one place where Results become its keys and values."""

import math
from dataclasses import astuple

from pipeline.messages import in_words
from pipeline.operating_point import KEY, OperatingPoint
from pipeline.performance.calibration import calibration_error
from pipeline.performance.cautions import cautions
from pipeline.performance.decision_curve import THRESHOLDS
from pipeline.performance.figures import Figure
from pipeline.performance.metrics import confusion_matrix
from pipeline.performance.summary import OneClass

ERROR = ("file name", "class", "predicted", "probability", "others of its group")
NO_FILE_NAMES = "the predictions hold no file names"
# Whose means over classes are 1 / classes, or the accuracy / classes, and say nothing.
WITHOUT_MEAN = ("Prevalence", "Detection Rate", "Detection Prevalence")


def as_json(results):
    """Return the object of the results JSON.

    At the top the five published figures, as fractions; then all others. Two classes: those of the positive class.
    More: the means over classes (macro) of the figures of each class against the rest. "Per Class" has every class's
    own. What is undefined is None, with the reason under "undefined": by its name at the top, with the class's name in
    brackets under "Per Class".
    """
    predictions, undefined = results.predictions, {}
    overall = _values(_overall(results), undefined)
    main = _one_class(results.main, undefined)
    per_class = {
        one.name: {"n": int(one.against_rest.truth.sum())} | _one_class(one, undefined, f" ({one.name})")
        for one in results.classes
    }
    figures = main | overall
    if results.positive is None:
        figures = {name: value for name, value in figures.items() if name not in WITHOUT_MEAN}
    published = ("Sensitivity", "Specificity", "ROC-AUC", "Accuracy", "Cohen's Kappa")
    return {
        **{name: figures.pop(name) for name in published},
        "Positive Class": results.positive,
        "Split": predictions.split, "Fold": predictions.fold, "Checkpoint": predictions.checkpoint, "n": results.count,
        "Unit": results.unit, "Images": predictions.image_count, "Groups": results.group_count,
        "Class Names": predictions.class_names, "Confusion Matrix": results.matrix.tolist(),
        "Predictions Not Most Probable": results.not_most_probable,
        **figures,
        "Per Class": per_class,
        "undefined": undefined,
        **_added(results, undefined),
        "Warnings": cautions(results),
    }  # fmt: skip


def _overall(results):
    """Return {name: Figure} of what is measured over all classes."""
    of_pairs = {} if results.pairwise_auc is None else {"Hand and Till's M": results.pairwise_auc}
    return {
        **_with_intervals({"Accuracy": results.accuracy}),
        "n For Half The Accuracy 95% Interval": Figure(results.number_to_halve),
        "No Information Rate": Figure(results.no_information_rate),
        "Accuracy P-Value": Figure(results.accuracy_p_value),
        **_with_intervals({"Cohen's Kappa": results.kappa}),
        "Cohen's Kappa 95% Interval (Fleiss, Cohen and Everitt)": results.kappa_large_sample_interval,
        "McNemar P-Value": results.symmetry_p_value,
        **_with_intervals(of_pairs | {"Log Loss": results.log_loss}),
        "Confidence Calibration Error": Figure(calibration_error(results.confidence_bins)),
        "Calibration Error If Calibrated": Figure(results.error_if_calibrated),
        "Confidence Reliability Diagram": Figure(_bins(results.confidence_bins)),
        "Most Confident Errors": Figure(_errors(results.errors), reason=NO_FILE_NAMES),
    }  # fmt: skip


def _errors(errors):
    return errors and [dict(zip(ERROR, astuple(error), strict=True)) for error in errors]


def _one_class(figures, undefined, of=""):
    """Return the JSON of ClassFigures, with the details of a OneClass."""
    values = figures.named()
    values |= {
        f"{name} 95% Interval": _interval(figure)
        for name, figure in figures.named().items()
        if figure.interval or figure.reason
    }
    if not isinstance(figures, OneClass):
        return _values(values, undefined, of)
    one = figures.against_rest
    counts = confusion_matrix(one.truth, one.finding, 2).tolist()
    (true_negatives, false_positives), (false_negatives, true_positives) = counts
    values |= _with_intervals(figures.calibration_line)
    values["ROC-AUC 95% Interval (DeLong)"] = figures.delong_interval
    if figures.auc_pooled is not None:
        values |= {
            "ROC-AUC (pooled)": figures.auc_pooled,
            "Average Precision (pooled)": figures.average_precision_pooled,
        }
    return {
        **_values(values, undefined, of),
        "True Positives": true_positives, "False Negatives": false_negatives,
        "False Positives": false_positives, "True Negatives": true_negatives,
        "Reliability Diagram": _bins(one.reliability),
    }  # fmt: skip


def _bins(bins):
    return [
        {
            "from": one.lower, "to": one.upper, "n": one.observed.total, "mean probability": one.mean_probability,
            "observed share": one.observed.value, "observed share 95% interval": one.observed.interval,
        }
        for one in bins
    ]  # fmt: skip


def _added(results, undefined):
    """Return the JSON of what options ask for."""
    added = {}
    if len(results.thresholds) == 1:
        added["Threshold"] = _threshold(results.thresholds[0])
    elif results.thresholds:
        added["Thresholds"] = [{"fold": point.fold, **_threshold(point)} for point in results.thresholds]
    if results.temperature:
        added["Calibration"] = _temperature(results, undefined)
    point = operating_point(results)
    if point:
        added[KEY] = point.as_json()
    if results.cross_validation:
        added |= _folds(results.cross_validation, undefined)
    parts = (
        ("Referral", _referral, results.referral),
        ("Predictive Values", _predictive_values, results.predictive_values),
        ("Subgroups", _subgroups, results.subgroups),
        ("Ordered Classes", _ordered, results.ordered),
        ("Decision Curve", _decision_curve, results.decision_curve),
        ("Comparison", _comparison, results.comparison),
    )
    added |= {name: described(part, undefined) for name, described, part in parts if part}
    if results.baselines:
        added["Baselines"] = [baseline.as_json() for baseline in results.baselines]
    return added


def _threshold(point):
    return {
        "value": point.value, "rule": point.rule, "file": point.file, "split": point.split, "n": point.accuracy.total,
        **_defined("Sensitivity", point.sensitivity), **_defined("Specificity", point.specificity),
        **_defined("Accuracy", point.accuracy),
        "positives": point.sensitivity.total, "negatives": point.specificity.total,
    }  # fmt: skip


def operating_point(results):
    """Return the OperatingPoint of Results; None where nothing was chosen, or no model is named.

    Also None where groups are counted: a point of the means of their probabilities is not one of single images.
    """
    folds = results.cross_validation.folds if results.cross_validation else [results.predictions]
    checkpoints = [each.checkpoint for each in folds if each.checkpoint is not None]
    chosen = results.threshold_for_new_images
    if not checkpoints or not (chosen or results.temperature) or results.unit == "group":
        return None
    sensitivity, specificity = Figure(None), Figure(None)
    if results.positive is not None:
        sensitivity, specificity = results.main.sensitivity, results.main.specificity
    return OperatingPoint(
        class_names=results.predictions.class_names,
        positive_class=results.positive,
        checkpoints=checkpoints,
        monte_carlo_samples=results.predictions.sample_count,
        temperature=results.temperature and results.temperature.value,
        threshold=chosen and chosen.value,
        rule=chosen and chosen.rule,
        measured_images=results.count,
        sensitivity=sensitivity.value,
        sensitivity_interval=sensitivity.interval,
        specificity=specificity.value,
        specificity_interval=specificity.interval,
        weights=results.predictions.weights,
    )


def _temperature(results, undefined):
    fitted, before = results.temperature, results.uncalibrated
    figures = {
        "Log Loss Before": before.log_loss, "Brier Score Before": before.main.brier_score,
        "Calibration Error Before": Figure(before.calibration_error),
        **_with_intervals({"Log Loss Change": results.change_in_log_loss}),
    }  # fmt: skip
    return {
        "temperature": fitted.value, "temperatures of parts": fitted.of_parts,
        "file": fitted.file, "n": fitted.images, "errors": fitted.errors,
        **_values(figures, undefined, " (calibration)"),
    }  # fmt: skip


def _folds(cross_validation, undefined):
    folds = []
    for fold in cross_validation.folds:
        area = _with_intervals({"ROC-AUC": fold.auc})
        folds.append({
            "fold": fold.number, "checkpoint": fold.checkpoint,
            "n": fold.accuracy.total,
            **_defined("Accuracy", fold.accuracy),
            **_values(area, undefined, f" (fold {fold.number})"),
        })  # fmt: skip
    between = {"Accuracy": cross_validation.accuracy, "ROC-AUC": cross_validation.auc}
    return {"Folds": folds, "Between Folds": _values(between, undefined, " (between folds)")}


def _predictive_values(values, undefined):
    ratios = _with_intervals({"LR+": _finite(values.positive_ratio), "LR-": _finite(values.negative_ratio)})
    at = []
    for each in values.at:
        figures = _with_intervals({"Pos Pred Value": each.positive, "Neg Pred Value": each.negative})
        of = f" (prevalence {in_words(each.prevalence)})"
        at.append({"prevalence": each.prevalence, **_values(figures, undefined, of)})
    return {
        "class": values.class_name, **_values(ratios, undefined, f" ({values.class_name})"), "at": at,
    }  # fmt: skip


def _finite(figure):
    """Return a Figure with None in place of what is infinite."""
    if figure.value is None:
        return figure
    value, *interval = (None if each == math.inf else each for each in (figure.value, *figure.interval))
    return Figure(value, interval, reason=figure.reason)


def _subgroups(subgroups, undefined):
    by_value = []
    for each in subgroups.by_value:
        figures = {"Accuracy": each.accuracy, "Sensitivity": each.sensitivity, "Specificity": each.specificity}
        figures = {name: figure for name, figure in figures.items() if figure} | {"ROC-AUC": each.auc}
        values = _values(_with_intervals(figures), undefined, f" ({subgroups.column} {each.value})")
        by_value.append({"value": each.value, "n": each.count, "Groups": each.group_count, **values})
    return {
        "file": subgroups.file, "column": subgroups.column, "by value": by_value,
        "without a value": subgroups.without_value, "of several values": subgroups.of_several,
    }  # fmt: skip


def _referral(referral, undefined):
    by = {}
    for ranking in referral.rankings:
        figures = {
            "errors referred": ranking.errors_referred,
            "accuracy of the rest": ranking.rest, "95% interval": _interval(ranking.rest),
            "gain": ranking.gain, "p-value": ranking.p_value,
        }  # fmt: skip
        values = _values(figures, undefined, f" (referred by {ranking.measure})")
        by[ranking.measure] = values | {"accuracies of the rest": ranking.accuracies}
    samples = {} if referral.sample_count is None else {"Monte Carlo samples": referral.sample_count}
    return samples | {
        "referred": referral.referred,
        "errors": referral.errors, "errors expected at random": referral.errors_at_random,
        "by": by,
    }  # fmt: skip


def _ordered(ordered, undefined):
    figures = {"Quadratic Weighted Kappa": ordered.weighted_kappa, "Mean Rank Difference": ordered.rank_difference}
    return {"classes": ordered.class_names, **_values(_with_intervals(figures), undefined)}


def _decision_curve(curve, _):
    return {
        "threshold": THRESHOLDS.tolist(),
        "net benefit": curve.model.tolist(), "net benefit 95% interval": curve.limits.tolist(),
        "net benefit of treating all": curve.treat_all.tolist(),
        "difference": curve.difference.tolist(), "difference 95% interval": curve.difference_limits.tolist(),
    }  # fmt: skip


def _comparison(comparison, undefined):
    areas = {}
    for area in comparison.areas:
        figures = {
            "here": area.here, "there": area.there,
            "difference": area.difference, "difference 95% interval": _interval(area.difference),
            "difference 95% interval (DeLong)": _interval(area.delong),
            "DeLong p-value": area.p_value,
        }  # fmt: skip
        areas[area.class_name] = _values(figures, undefined, f" ({area.class_name})", "Comparison ROC-AUC ")
    return {
        "Checkpoint": comparison.checkpoint, "n": comparison.count,
        "Accuracy": comparison.here, "Other Accuracy": comparison.there,
        **_defined("Accuracy Difference", comparison.difference),
        "Right Here Only": comparison.only_here, "Right There Only": comparison.only_there,
        "McNemar Exact P-Value": comparison.p_value,
        "ROC-AUC": areas,
    }  # fmt: skip


def _with_intervals(figures):
    """Return {name: Figure} with the intervals as Figures of their own."""
    return {
        key: entry
        for name, figure in figures.items()
        for key, entry in ((name, figure), (f"{name} 95% Interval", _interval(figure)))
    }


def _defined(name, figure):
    """Return the value and the interval of a Figure that has both."""
    return {name: figure.value, f"{name} 95% Interval": figure.interval}


def _interval(figure):
    return Figure(figure.interval, reason=figure.reason)


def _values(figures, undefined, after="", before=""):
    """Return {name: value} of {name: Figure}; the reason of what has no value goes into `undefined`."""
    undefined |= {before + name + after: figure.reason for name, figure in figures.items() if figure.value is None}
    return {name: figure.value for name, figure in figures.items()}
