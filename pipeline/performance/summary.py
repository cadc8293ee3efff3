"""The results: every figure of a model's predictions, and its errors, as typed values.

To add a figure of a class, add a line to ClassFigures, with its mean over classes if that says something. The JSON then
has it; a line in sections.MORE_FIGURES gives it a row on the page. A figure of all classes together needs a field of
Results, its value in `summarize`, its name in results_json and its row in sections.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, NamedTuple

import numpy as np

from pipeline.performance import metrics
from pipeline.performance.baselines import Baseline
from pipeline.performance.calibration import (
    Bin,
    brier_score,
    calibration_error,
    error_if_calibrated,
    log_loss,
    multiclass_brier_score,
    reliability_bins,
)
from pipeline.performance.calibration_slope import intercept_and_slope
from pipeline.performance.comparison import Comparison
from pipeline.performance.decision_curve import DecisionCurve
from pipeline.performance.figures import Figure, figure_of, mean_of, missing_of
from pipeline.performance.folds import CrossValidation
from pipeline.performance.grouped import number_to_halve
from pipeline.performance.metrics import OneAgainstRest
from pipeline.performance.ordered import Ordered
from pipeline.performance.predictive_values import PredictiveValues
from pipeline.performance.referral import Referral
from pipeline.performance.roc import area_figure, area_of, delong_interval, pairwise_area
from pipeline.performance.subgroups import Subgroups
from pipeline.performance.temperature import FittedTemperature
from pipeline.performance.thresholds import Threshold
from pipeline.predictions import Predictions

MOST_ERRORS = 10  # that are listed


class Measure(NamedTuple):
    """The name of a figure, and how it is computed for a class and for all classes together."""

    name: str  # in the results JSON and on the page: that of R's caret
    of_class: Callable  # from a OneAgainstRest to its Figure
    mean: Callable | None = None  # from the Figures of all classes and their Predictions; None: it would say nothing


@dataclass(frozen=True)
class ClassFigures:
    """Figures of a class against the rest, or their means over the classes; each is annotated with its Measure."""

    sensitivity: Annotated[Figure, "Sensitivity", metrics.sensitivity, metrics.mean_by_label]
    specificity: Annotated[Figure, "Specificity", metrics.specificity, metrics.mean_specificity]
    auc: Annotated[Figure, "ROC-AUC", lambda one: area_figure([one]), lambda _, predictions: area_of(predictions)]
    positive_predictive_value: Annotated[
        Figure, "Pos Pred Value", metrics.positive_predictive_value, metrics.mean_by_finding
    ]
    negative_predictive_value: Annotated[Figure, "Neg Pred Value", metrics.negative_predictive_value, metrics.mean_npv]
    precision: Annotated[Figure, "Precision", metrics.precision, metrics.mean_by_finding]
    recall: Annotated[Figure, "Recall", metrics.sensitivity, metrics.mean_by_label]
    f1: Annotated[Figure, "F1", metrics.f1, metrics.mean_f1]
    prevalence: Annotated[Figure | None, "Prevalence", metrics.prevalence]
    detection_rate: Annotated[Figure | None, "Detection Rate", metrics.detection_rate]
    detection_prevalence: Annotated[Figure | None, "Detection Prevalence", metrics.detection_prevalence]
    balanced_accuracy: Annotated[Figure, "Balanced Accuracy", metrics.balanced_accuracy]  # see _means
    average_precision: Annotated[
        Figure, "Average Precision", metrics.average_precision, lambda figures, _: mean_of(figures)
    ]
    brier_score: Annotated[
        Figure, "Brier Score", brier_score, lambda _, predictions: multiclass_brier_score(predictions)
    ]
    calibration_error: Annotated[
        Figure,
        "Calibration Error",
        lambda one: Figure(calibration_error(one.reliability)),
        lambda figures, _: Figure(float(np.mean([figure.value for figure in figures]))),
    ]

    def named(self):
        """Return {name: Figure}, without the means over classes that would say nothing."""
        figures = {measure.name: getattr(self, attribute) for attribute, measure in MEASURES.items()}
        return {name: figure for name, figure in figures.items() if figure is not None}


MEASURES = {each.name: Measure(*each.type.__metadata__) for each in fields(ClassFigures)}


@dataclass(frozen=True)
class OneClass(ClassFigures):
    """A class against the rest, with what has no mean over classes."""

    name: str
    against_rest: OneAgainstRest
    calibration_intercept: Figure
    calibration_slope: Figure
    delong_interval: Figure  # of the area, images taken as independent; its value is [lower, upper]
    auc_pooled: Figure | None = None  # of all folds' images ranked in one list
    average_precision_pooled: Figure | None = None

    @property
    def calibration_line(self):
        """The calibration intercept and slope, {name: Figure}."""
        return {"Calibration Intercept": self.calibration_intercept, "Calibration Slope": self.calibration_slope}


@dataclass(frozen=True)
class ConfidentError:
    """A wrong prediction, the most confident one of its group; the probability is that of the predicted class."""

    file_name: str
    true_class: str
    predicted_class: str
    probability: float
    others: int  # images of the same group whose predictions are wrong too


@dataclass(frozen=True)
class Results:
    """Everything that is known of a model's performance on some images."""

    predictions: Predictions
    matrix: np.ndarray  # counts (classes, classes): row the true class, column the predicted one
    main: ClassFigures  # of the positive class; the means over classes if each is taken in turn
    classes: list[OneClass]
    accuracy: Figure
    number_to_halve: int  # of images like these, for half the interval of the accuracy
    no_information_rate: float
    accuracy_p_value: float  # of the accuracy being above the no-information rate
    kappa: Figure
    kappa_large_sample_interval: Figure  # the interval of Fleiss, Cohen and Everitt; its value is [lower, upper]
    symmetry_p_value: Figure  # of classes being taken for one another equally often
    pairwise_auc: Figure | None  # Hand and Till's M; None for two classes
    log_loss: Figure
    confidence_bins: list[Bin]  # of the most probable class
    error_if_calibrated: list  # mean and 95th percentile of calibration_error, of a perfectly calibrated model
    errors: list[ConfidentError] | None  # the most confident ones; None without file names
    not_most_probable: int  # predictions that are not the most probable class
    thresholds: tuple[Threshold, ...] = ()  # one, or one per fold
    where_chosen: dict[str, Figure] = field(default_factory=dict)  # the thresholds' sensitivity and specificity there
    threshold_for_new_images: Threshold | None = None  # chosen on all validation images
    temperature: FittedTemperature | None = None
    uncalibrated: "Results | None" = None  # of the same probabilities before calibration
    change_in_log_loss: Figure | None = None  # by the temperature
    cross_validation: CrossValidation | None = None
    referral: Referral | None = None
    predictive_values: PredictiveValues | None = None  # at other prevalences
    subgroups: Subgroups | None = None
    ordered: Ordered | None = None
    decision_curve: DecisionCurve | None = None
    comparison: Comparison | None = None
    baselines: tuple[Baseline, ...] = ()
    leaks_kept: int = 0  # images with a twin or group in another partition of the split

    @property
    def count(self):
        """The number of images, or of groups if these are counted."""
        return len(self.predictions.labels)

    @property
    def unit(self):
        """What is counted: "image" or "group"."""
        return self.predictions.unit

    @property
    def group_count(self):
        """The number of groups that the images come in; None if it is not known."""
        return self.predictions.group_count

    @property
    def in_groups(self):
        """Whether some of what is counted belongs together, as far as is known."""
        return self.group_count not in (None, self.count)

    @property
    def positive(self):
        """The name of the positive class; None if each class is taken in turn."""
        return self.predictions.positive_class

    @property
    def shown_classes(self):
        """The positive class, or all classes if each is taken in turn."""
        return [one for one in self.classes if self.positive in (None, one.name)]

    @property
    def reliability(self):
        """The reliability diagram shown: of the positive class or, if each is taken in turn, of the most probable."""
        return self.confidence_bins if self.positive is None else self.main.against_rest.reliability

    @property
    def calibration_error(self):
        """The calibration error of the reliability diagram shown."""
        return calibration_error(self.reliability)


def summarize(predictions, **more):
    """Return the Results of Predictions; `more` are the fields that options ask for."""
    groups = predictions.group_numbers()
    classes = [_one_class(predictions, index) for index in range(len(predictions.class_names))]
    labels, probabilities = predictions.labels, predictions.probabilities
    matrix = metrics.confusion_matrix(labels, predictions.predictions, len(classes))
    accuracy = metrics.accuracy(predictions)
    highest = probabilities.max(axis=1)
    if predictions.positive_class is None:
        main, shown = _means(classes, predictions), highest
    else:
        main = classes[predictions.class_names.index(predictions.positive_class)]
        shown = main.against_rest.probability
    rate = metrics.no_information_rate(matrix)
    return Results(
        predictions=predictions,
        matrix=matrix,
        main=main,
        classes=classes,
        accuracy=accuracy,
        number_to_halve=number_to_halve(predictions.correct, groups),
        no_information_rate=rate,
        accuracy_p_value=metrics.accuracy_test(predictions.correct, groups, rate),
        kappa=metrics.cohen_kappa(matrix, accuracy),
        kappa_large_sample_interval=figure_of(metrics.kappa_large_sample_interval, matrix),
        symmetry_p_value=figure_of(metrics.symmetry_test, matrix, labels - predictions.predictions, groups),
        pairwise_auc=pairwise_area(predictions) if len(classes) > 2 else None,
        log_loss=log_loss(predictions),
        confidence_bins=reliability_bins(probabilities.argmax(axis=1) == labels, highest, groups),
        error_if_calibrated=error_if_calibrated(shown, groups),
        errors=most_confident_errors(predictions),
        not_most_probable=int((predictions.probabilities_of_predictions() < highest).sum()),
        **more,
    )


def most_confident_errors(predictions):
    """Return the wrong predictions of highest probability, the highest first; None without file names.

    Only the first of each group: near-duplicates tell the same, and would hide other errors.
    """
    if predictions.file_names is None:
        return None
    probability = predictions.probabilities_of_predictions()
    wrong = np.flatnonzero(~predictions.correct)
    wrong = wrong[np.argsort(-probability[wrong], kind="stable")]
    _, first, counts = np.unique(predictions.group_numbers()[wrong], return_index=True, return_counts=True)
    order, names = np.argsort(first), predictions.class_names
    return [
        ConfidentError(
            predictions.file_names[index],
            names[predictions.labels[index]],
            names[predictions.predictions[index]],
            float(probability[index]),
            int(count) - 1,
        )
        for index, count in zip(wrong[first[order]][:MOST_ERRORS], counts[order][:MOST_ERRORS], strict=True)
    ]


def _one_class(predictions, index):
    one = OneAgainstRest.of(predictions, index)
    figures = {attribute: measure.of_class(one) for attribute, measure in MEASURES.items()}
    pooled = {}
    if predictions.folds is not None:
        one_fold = replace(one, folds=np.zeros_like(one.folds))
        average_precision = metrics.average_precision(one_fold)
        pooled = {"auc_pooled": area_figure([one_fold]), "average_precision_pooled": average_precision}
    intercept, slope = intercept_and_slope(predictions, index)
    return OneClass(
        **figures,
        **pooled,
        name=predictions.class_names[index],
        against_rest=one,
        calibration_intercept=intercept,
        calibration_slope=slope,
        delong_interval=figure_of(delong_interval, one),
    )


def _means(classes, predictions):
    """Return the means over classes (macro) of their figures; a mean is undefined if a class's figure is.

    The balanced accuracy is the mean sensitivity, and the Brier score that of all classes together.
    """
    means = dict.fromkeys(MEASURES)
    for attribute, measure in MEASURES.items():
        if measure.mean:
            figures = {one.name: getattr(one, attribute) for one in classes}
            reason = missing_of(figures)
            means[attribute] = Figure(None, reason=reason) if reason else measure.mean([*figures.values()], predictions)
    means["balanced_accuracy"] = means["sensitivity"]
    return ClassFigures(**means)
