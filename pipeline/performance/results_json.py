"""The results JSON: the one place where Results become its keys and values."""

from dataclasses import astuple, replace

from pipeline.operating_point import KEY, OperatingPoint
from pipeline.performance.cautions import cautions
from pipeline.performance.figures import Figure
from pipeline.performance.summary import OneClass

NO_FILE_NAMES = "the predictions hold no file names"


def as_json(results):
    """Return the object of the results JSON.

    At the top the five published figures, as fractions; then all others. Two classes: those of the positive class.
    More: the means over classes (macro) of the figures of each class against the rest. "Per Class" has every class's
    own. What is undefined is None, with the reason under "undefined": by its name at the top, with the class's name in
    brackets under "Per Class".
    """
    predictions, undefined = results.predictions, {}
    overall = _values(_overall(results), undefined)
    main = _one_class(replace(results.main, brier_score=results.brier_score), undefined)
    per_class = {
        one.name: {"n": one.against_rest.positives} | _one_class(one, undefined, f" ({one.name})")
        for one in results.classes
    }
    figures = main | overall
    published = ("Sensitivity", "Specificity", "ROC-AUC", "Accuracy", "Cohen's Kappa")
    return {
        **{name: figures.pop(name) for name in published},
        "Positive Class": results.positive,
        "Split": predictions.split, "Fold": predictions.fold, "Checkpoint": predictions.checkpoint, "n": results.count,
        "Groups": results.group_count,
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
    return {
        "Accuracy": results.accuracy, "Accuracy 95% Interval": _interval(results.accuracy),
        "No Information Rate": Figure(results.no_information_rate),
        "Accuracy P-Value": Figure(results.accuracy_p_value),
        "Cohen's Kappa": results.kappa, "Cohen's Kappa 95% Interval": _interval(results.kappa),
        "Cohen's Kappa 95% Interval (Fleiss, Cohen and Everitt)": _interval(results.kappa_large_sample),
        "McNemar P-Value": results.symmetry_p_value,
        "Log Loss": results.log_loss, "Log Loss 95% Interval": _interval(results.log_loss),
        "Confidence Calibration Error": Figure(results.confidence_error),
        "Expected Calibration Error": Figure(results.expected_error),
        "Confidence Reliability Diagram": Figure(_bins(results.confidence_bins)),
        "Most Confident Errors": Figure(_errors(results.errors), reason=NO_FILE_NAMES),
    }  # fmt: skip


def _errors(errors):
    return errors and [
        dict(zip(("file name", "class", "predicted", "probability"), astuple(error), strict=True)) for error in errors
    ]


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
    values["ROC-AUC 95% Interval (DeLong)"] = _interval(figures.auc_delong)
    if figures.auc_pooled is not None:
        values |= {
            "ROC-AUC (pooled)": figures.auc_pooled,
            "Average Precision (pooled)": figures.average_precision_pooled,
        }
    return {
        **_values(values, undefined, of),
        "True Positives": one.true_positives, "False Negatives": one.false_negatives,
        "False Positives": one.false_positives, "True Negatives": one.true_negatives,
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
    if results.calibration:
        added["Calibration"] = _calibration(results, undefined)
    point = operating_point(results)
    if point:
        added[KEY] = point.as_json()
    if results.cross_validation:
        added |= _folds(results.cross_validation, undefined)
    if results.referral:
        added["Referral"] = _referral(results.referral, undefined)
    if results.comparison:
        added["Comparison"] = _comparison(results.comparison, undefined)
    if results.baselines:
        added["Baselines"] = [baseline.as_json() for baseline in results.baselines]
    return added


def _threshold(point):
    return {
        "value": point.value, "rule": point.rule, "file": point.file, "split": point.split, "n": point.accuracy.total,
        "Sensitivity": point.sensitivity.value, "Sensitivity 95% Interval": point.sensitivity.interval,
        "Specificity": point.specificity.value, "Specificity 95% Interval": point.specificity.interval,
        "Accuracy": point.accuracy.value, "Accuracy 95% Interval": point.accuracy.interval,
        "positives": point.sensitivity.total, "negatives": point.specificity.total,
    }  # fmt: skip


def operating_point(results):
    """Return the OperatingPoint of Results; None where nothing was chosen, or no model is named."""
    folds = results.cross_validation.folds if results.cross_validation else [results.predictions]
    checkpoints = [each.checkpoint for each in folds if each.checkpoint is not None]
    chosen = results.threshold_for_new_images
    if not checkpoints or not (chosen or results.calibration):
        return None
    sensitivity, specificity = Figure(None), Figure(None)
    if results.positive is not None:
        sensitivity, specificity = results.main.sensitivity, results.main.specificity
    return OperatingPoint(
        class_names=results.predictions.class_names,
        positive_class=results.positive,
        checkpoints=checkpoints,
        monte_carlo_samples=results.predictions.sample_count,
        temperature=results.calibration and results.calibration.temperature,
        threshold=chosen and chosen.value,
        rule=chosen and chosen.rule,
        measured_images=results.count,
        sensitivity=sensitivity.value,
        sensitivity_interval=sensitivity.interval,
        specificity=specificity.value,
        specificity_interval=specificity.interval,
    )


def _calibration(results, undefined):
    calibration, before = results.calibration, results.uncalibrated
    one = before.confidence_error if results.positive is None else before.main.calibration_error.value
    figures = {
        "Log Loss Before": before.log_loss, "Brier Score Before": before.brier_score,
        "Calibration Error Before": Figure(one),
        "Log Loss Change": results.change_in_log_loss,
        "Log Loss Change 95% Interval": _interval(results.change_in_log_loss),
    }  # fmt: skip
    return {
        "temperature": calibration.temperature, "temperatures of parts": calibration.of_parts,
        "file": calibration.file, "n": calibration.images, "errors": calibration.errors,
        **_values(figures, undefined, " (calibration)"),
    }  # fmt: skip


def _folds(cross_validation, undefined):
    folds = []
    for fold in cross_validation.folds:
        areas = {"ROC-AUC": fold.auc, "ROC-AUC 95% Interval": _interval(fold.auc)}
        folds.append({
            "fold": fold.number, "checkpoint": fold.checkpoint,
            "n": fold.accuracy.total,
            "Accuracy": fold.accuracy.value, "Accuracy 95% Interval": fold.accuracy.interval,
            **_values(areas, undefined, f" (fold {fold.number})"),
        })  # fmt: skip
    between = {"Accuracy": cross_validation.accuracy, "ROC-AUC": cross_validation.auc}
    for name, spread in between.items():
        between[name] = Figure(None if spread.reason else spread.named(), reason=spread.reason)
    return {"Folds": folds, "Between Folds": _values(between, undefined, " (between folds)")}


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
    return {
        "Monte Carlo samples": referral.sample_count, "referred": referral.referred,
        "errors": referral.errors, "errors expected at random": referral.errors_at_random,
        "by": by,
    }  # fmt: skip


def _comparison(comparison, undefined):
    areas = {}
    for area in comparison.areas:
        figures = {
            "here": area.here, "there": area.there,
            "difference": area.difference, "difference 95% interval": _interval(area.difference),
            "DeLong p-value": area.p_value,
        }  # fmt: skip
        areas[area.class_name] = _values(figures, undefined, f" ({area.class_name})", "Comparison ROC-AUC ")
    return {
        "Checkpoint": comparison.checkpoint, "n": comparison.count,
        "Accuracy": comparison.here, "Other Accuracy": comparison.there,
        "Accuracy Difference": comparison.difference.value,
        "Accuracy Difference 95% Interval": comparison.difference.interval,
        "Right Here Only": comparison.only_here, "Right There Only": comparison.only_there,
        "McNemar Exact P-Value": comparison.p_value,
        "ROC-AUC": areas,
    }  # fmt: skip


def _interval(figure):
    return Figure(figure.interval, reason=figure.reason)


def _values(figures, undefined, after="", before=""):
    """Return {name: value} of {name: Figure}; the reason of what has no value goes into `undefined`."""
    undefined |= {before + name + after: figure.reason for name, figure in figures.items() if figure.value is None}
    return {name: figure.value for name, figure in figures.items()}
