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


def as_json(results):
    """Return the object of the results JSON.

    The five published figures come first, as fractions, then all others: for two classes those of the positive class,
    for more the means over classes (macro) of each class against the rest. "Per Class" has those of every class. What
    is undefined is None, with the reason under "undefined": by its name, with the class's name in brackets if it is
    from "Per Class".
    """
    predictions, undefined = results.predictions, {}
    overall = _plain(_overall(results), undefined)
    figures = _plain(_one_class(results.main), undefined) | overall
    per_class = {
        one.name: _plain({"n": int(one.against_rest.truth.sum())} | _one_class(one), undefined, f" ({one.name})")
        for one in results.classes
    }
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
    """Return what is measured over all classes together."""
    of_pairs = {} if results.pairwise_auc is None else {"Hand and Till's M": results.pairwise_auc}
    return {
        **_with_intervals({"Accuracy": results.accuracy}),
        "n For Half The Accuracy 95% Interval": results.number_to_halve,
        "No Information Rate": results.no_information_rate,
        "Accuracy P-Value": results.accuracy_p_value,
        **_with_intervals({"Cohen's Kappa": results.kappa}),
        "Cohen's Kappa 95% Interval (Fleiss, Cohen and Everitt)": results.kappa_large_sample_interval,
        "McNemar P-Value": results.symmetry_p_value,
        **_with_intervals(of_pairs | {"Log Loss": results.log_loss}),
        "Confidence Calibration Error": calibration_error(results.confidence_bins),
        "Calibration Error If Calibrated": results.error_if_calibrated,
        "Confidence Reliability Diagram": _bins(results.confidence_bins),
        "Most Confident Errors": _errors(results.errors),
    }


def _errors(errors):
    if errors is None:
        return Figure(None, reason="the predictions hold no file names")
    return [dict(zip(ERROR, astuple(error), strict=True)) for error in errors]


def _one_class(figures):
    """Return the entries of ClassFigures, with the details of a OneClass."""
    named = figures.named()
    measured = {name: figure for name, figure in named.items() if figure.interval or figure.reason}
    entries = named | {f"{name} 95% Interval": _interval(figure) for name, figure in measured.items()}
    if not isinstance(figures, OneClass):
        return entries
    entries |= _with_intervals(figures.calibration_line)
    entries["ROC-AUC 95% Interval (DeLong)"] = figures.delong_interval
    if figures.auc_pooled is not None:
        entries["ROC-AUC (pooled)"] = figures.auc_pooled
        entries["Average Precision (pooled)"] = figures.average_precision_pooled
    one = figures.against_rest
    counts = confusion_matrix(one.truth, one.finding, 2).tolist()
    (true_negatives, false_positives), (false_negatives, true_positives) = counts
    return entries | {
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
    """Return the entries that options ask for."""
    added = {}
    if len(results.thresholds) == 1:
        added["Threshold"] = _threshold(results.thresholds[0], undefined)
    elif results.thresholds:
        added["Thresholds"] = [{"fold": point.fold, **_threshold(point, undefined)} for point in results.thresholds]
    if results.temperature:
        added["Calibration"] = _temperature(results, undefined)
    if point := operating_point(results):
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


def _threshold(point, undefined):
    figures = {"Sensitivity": point.sensitivity, "Specificity": point.specificity, "Accuracy": point.accuracy}
    entries = {
        "value": point.value, "rule": point.rule, "file": point.file, "split": point.split, "n": point.accuracy.total,
        **_with_intervals(figures),
        "positives": point.sensitivity.total, "negatives": point.specificity.total,
    }  # fmt: skip
    return _plain(entries, undefined)


def operating_point(results):
    """Return the OperatingPoint of Results; None if nothing was chosen, or no model is named.

    Also None if groups are counted: a point for their mean probabilities is not one for those of single images.
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
    entries = {
        "temperature": fitted.value, "temperatures of parts": fitted.of_parts,
        "file": fitted.file, "n": fitted.images, "errors": fitted.errors,
        "Log Loss Before": before.log_loss, "Brier Score Before": before.main.brier_score,
        "Calibration Error Before": before.calibration_error,
        **_with_intervals({"Log Loss Change": results.change_in_log_loss}),
    }  # fmt: skip
    return _plain(entries, undefined, " (calibration)")


def _folds(cross_validation, undefined):
    folds = []
    for fold in cross_validation.folds:
        entries = {
            "fold": fold.number, "checkpoint": fold.checkpoint, "n": fold.accuracy.total,
            **_with_intervals({"Accuracy": fold.accuracy, "ROC-AUC": fold.auc}),
        }  # fmt: skip
        folds.append(_plain(entries, undefined, f" (fold {fold.number})"))
    between = {"Accuracy": cross_validation.accuracy, "ROC-AUC": cross_validation.auc}
    return {"Folds": folds, "Between Folds": _plain(between, undefined, " (between folds)")}


def _predictive_values(values, undefined):
    at = []
    for each in values.at:
        figures = _with_intervals({"Pos Pred Value": each.positive, "Neg Pred Value": each.negative})
        of = f" (prevalence {in_words(each.prevalence)})"
        at.append(_plain({"prevalence": each.prevalence, **figures}, undefined, of))
    ratios = _with_intervals({"LR+": _finite(values.positive_ratio), "LR-": _finite(values.negative_ratio)})
    return _plain({"class": values.class_name, **ratios, "at": at}, undefined, f" ({values.class_name})")


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
        entries = {"value": each.value, "n": each.count, "Groups": each.group_count, **_with_intervals(figures)}
        by_value.append(_plain(entries, undefined, f" ({subgroups.column} {each.value})"))
    return {
        "file": subgroups.file, "column": subgroups.column, "by value": by_value,
        "without a value": subgroups.without_value, "of several values": subgroups.of_several,
    }  # fmt: skip


def _referral(referral, undefined):
    by = {}
    for ranking in referral.rankings:
        entries = {
            "errors referred": ranking.errors_referred,
            "accuracy of the rest": ranking.rest, "95% interval": _interval(ranking.rest),
            "gain": ranking.gain, "p-value": ranking.p_value, "accuracies of the rest": ranking.accuracies,
        }  # fmt: skip
        by[ranking.measure] = _plain(entries, undefined, f" (referred by {ranking.measure})")
    samples = {} if referral.sample_count is None else {"Monte Carlo samples": referral.sample_count}
    return samples | {
        "referred": referral.referred,
        "errors": referral.errors, "errors expected at random": referral.errors_at_random,
        "by": by,
    }  # fmt: skip


def _ordered(ordered, undefined):
    figures = {"Quadratic Weighted Kappa": ordered.weighted_kappa, "Mean Rank Difference": ordered.rank_difference}
    return _plain({"classes": ordered.class_names, **_with_intervals(figures)}, undefined)


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
        entries = {
            "here": area.here, "there": area.there,
            "difference": area.difference, "difference 95% interval": _interval(area.difference),
            "difference 95% interval (DeLong)": _interval(area.delong),
            "DeLong p-value": area.p_value,
        }  # fmt: skip
        areas[area.class_name] = _plain(entries, undefined, f" ({area.class_name})", "Comparison ROC-AUC ")
    entries = {
        "Checkpoint": comparison.checkpoint, "n": comparison.count,
        "Accuracy": comparison.here, "Other Accuracy": comparison.there,
        **_with_intervals({"Accuracy Difference": comparison.difference}),
        "Right Here Only": comparison.only_here, "Right There Only": comparison.only_there,
        "McNemar Exact P-Value": comparison.p_value,
        "ROC-AUC": areas,
    }  # fmt: skip
    return _plain(entries, undefined)


def _with_intervals(figures):
    """Return {name: Figure} with each followed by its interval, as a Figure of its own."""
    pairs = ({name: figure, f"{name} 95% Interval": _interval(figure)} for name, figure in figures.items())
    return {name: figure for pair in pairs for name, figure in pair.items()}


def _interval(figure):
    return Figure(figure.interval, reason=figure.reason)


def _plain(entries, undefined, after="", before=""):
    """Return the entries with Figures replaced by their values; the reasons for None go into `undefined`."""
    figures = {name: entry for name, entry in entries.items() if isinstance(entry, Figure)}
    undefined |= {before + name + after: figure.reason for name, figure in figures.items() if figure.value is None}
    return entries | {name: figure.value for name, figure in figures.items()}
