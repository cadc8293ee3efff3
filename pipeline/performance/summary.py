"""The results object: every figure of a model's predictions, and its errors, under their names. Imports no torch."""

import numpy as np

from pipeline.performance import metrics
from pipeline.performance.calibration import calibration_error, reliability_bins
from pipeline.performance.confident_errors import most_confident_errors
from pipeline.performance.intervals import accuracy_test, exact_interval, kappa_interval, symmetry_test
from pipeline.performance.metrics import OneAgainstRest, evaluate
from pipeline.performance.roc import delong_interval, newcombe_interval, roc_auc

PUBLISHED = ("Sensitivity", "Specificity", "ROC-AUC", "Accuracy", "Cohen's Kappa")

# Of one class against the rest, called with a OneAgainstRest; the names are those of R's caret where it has the figure.
CLASS_FIGURES = {
    "Sensitivity": metrics.sensitivity,
    "Specificity": metrics.specificity,
    "ROC-AUC": lambda one: roc_auc(one.truth, one.probability),
    "Pos Pred Value": metrics.positive_predictive_value,
    "Neg Pred Value": metrics.negative_predictive_value,
    "Precision": metrics.precision,
    "Recall": metrics.sensitivity,
    "F1": metrics.f1,
    "Prevalence": metrics.prevalence,
    "Detection Rate": metrics.detection_rate,
    "Detection Prevalence": metrics.detection_prevalence,
    "Balanced Accuracy": metrics.balanced_accuracy,
    "Average Precision": metrics.average_precision,
    "Brier Score": metrics.brier_score,
    "Calibration Error": lambda one: calibration_error(reliability_bins(one.truth, one.probability)),
}
# What has no mean over classes.
CLASS_DETAILS = {
    "Sensitivity 95% Interval": lambda one: exact_interval(one.true_positives, one.positives),
    "Specificity 95% Interval": lambda one: exact_interval(one.true_negatives, one.negatives),
    "ROC-AUC 95% Interval (DeLong)": lambda one: delong_interval(one.truth, one.probability),
    "ROC-AUC 95% Interval (Newcombe)": lambda one: newcombe_interval(one.truth, one.probability),
    "True Positives": lambda one: one.true_positives,
    "False Negatives": lambda one: one.false_negatives,
    "False Positives": lambda one: one.false_positives,
    "True Negatives": lambda one: one.true_negatives,
    "Reliability Diagram": lambda one: reliability_bins(one.truth, one.probability),
}
# Of all classes together, called with the confusion matrix.
MATRIX_FIGURES = {
    "Accuracy": metrics.accuracy,
    "Accuracy 95% Interval": lambda matrix: exact_interval(int(np.trace(matrix)), int(matrix.sum())),
    "No Information Rate": metrics.no_information_rate,
    "Accuracy P-Value": accuracy_test,
    "Cohen's Kappa": metrics.cohen_kappa,
    "Cohen's Kappa 95% Interval": kappa_interval,
    "McNemar P-Value": symmetry_test,
}
# Of all classes' probabilities together, called with the Predictions.
PROBABILITY_FIGURES = {
    "Log Loss": lambda made: metrics.log_loss(made.labels, made.probabilities),
    "Confidence Calibration Error": lambda made: calibration_error(_confidence_bins(made)),
    "Confidence Reliability Diagram": lambda made: _confidence_bins(made),
    "Most Confident Errors": most_confident_errors,
}
# As the literature has it, the Brier score of two classes counts one of them, and that of more all.
MULTICLASS_FIGURES = {"Brier Score": lambda made: metrics.multiclass_brier_score(made.labels, made.probabilities)}


def summarize(predictions):
    """Return the results object for Predictions: a dict that strict JSON can hold.

    At the top the five published figures, as fractions; then all others. Two classes: those of the positive class.
    More: the means over classes (macro) of the figures of each class against the rest. "Per Class" has every class's
    own. What is undefined is None, with the reason under "undefined": by its name alone at the top, with the class's
    name in brackets under "Per Class".
    """
    class_names, positive_class = predictions.class_names, predictions.positive_class
    matrix = metrics.confusion_matrix(predictions.labels, predictions.predictions, len(class_names))
    overall, undefined = evaluate(MATRIX_FIGURES, matrix)
    more = PROBABILITY_FIGURES | (MULTICLASS_FIGURES if positive_class is None else {})
    probable, reasons = evaluate(more, predictions)
    undefined |= reasons
    per_class, class_reasons = _per_class(predictions)
    if positive_class is None:
        headline, reasons = _macro_means(per_class)
    else:
        headline = {name: value for name, value in per_class[positive_class].items() if name != "n"}
        reasons = class_reasons[positive_class]
    undefined |= reasons
    for class_name, reasons in class_reasons.items():
        undefined |= {f"{name} ({class_name})": reason for name, reason in reasons.items()}
    figures = {**headline, **overall, **probable}
    return {
        **{name: figures[name] for name in PUBLISHED},
        "Positive Class": positive_class,
        "Split": predictions.split,
        "Fold": predictions.fold,
        "Checkpoint": predictions.checkpoint,
        "n": len(predictions.labels),
        "Class Names": class_names,
        "Confusion Matrix": matrix.tolist(),
        "Predictions Not Most Probable": _unusual_predictions(predictions),
        **{name: value for name, value in figures.items() if name not in PUBLISHED},
        "Per Class": per_class,
        "undefined": undefined,
    }


def of_class(predictions, index):
    """Return the OneAgainstRest of the class with this index."""
    return OneAgainstRest(
        predictions.labels == index, predictions.predictions == index, predictions.probabilities[:, index]
    )


def _per_class(predictions):
    """Return ({class: {figure: value}}, {class: {figure: reason}})."""
    per_class, undefined = {}, {}
    for index, name in enumerate(predictions.class_names):
        one = of_class(predictions, index)
        figures, undefined[name] = evaluate(CLASS_FIGURES | CLASS_DETAILS, one)
        per_class[name] = {"n": one.positives} | figures
    return per_class, undefined


def _macro_means(per_class):
    """Return ({figure: mean over classes}, {figure: reason}); a mean is undefined where a class's figure is."""
    means, undefined = {}, {}
    for name in CLASS_FIGURES:
        missing = [class_name for class_name, figures in per_class.items() if figures[name] is None]
        if missing:
            means[name] = None
            undefined[name] = f"undefined for the class {', '.join(missing)}"
        else:
            means[name] = float(np.mean([figures[name] for figures in per_class.values()]))
    return means, undefined


def _confidence_bins(predictions):
    """Return the reliability bins of the largest of each image's probabilities, which comes true where it is right."""
    right = predictions.probabilities.argmax(axis=1) == predictions.labels
    return reliability_bins(right, predictions.probabilities.max(axis=1))


def _unusual_predictions(predictions):
    return int((predictions.probabilities_of_predictions() < predictions.probabilities.max(axis=1)).sum())
