"""The results: every figure of a model's predictions, and its errors, as typed values."""

from dataclasses import dataclass, fields, replace
from typing import Annotated

import numpy as np

from pipeline.performance import metrics
from pipeline.performance.baselines import Baseline
from pipeline.performance.calibration import (
    Bin,
    brier_score,
    calibration_error,
    expected_calibration_error,
    log_loss,
    multiclass_brier_score,
    reliability_bins,
)
from pipeline.performance.comparison import Comparison
from pipeline.performance.figures import Figure, Undefined, figure_of, mean_of
from pipeline.performance.folds import CrossValidation
from pipeline.performance.grouped import proportion
from pipeline.performance.metrics import OneAgainstRest
from pipeline.performance.referral import Referral
from pipeline.performance.resampling import resampled_intervals
from pipeline.performance.roc import area_figure, curves_of_folds, delong_interval, roc_auc
from pipeline.performance.temperature import Calibration
from pipeline.performance.thresholds import Threshold
from pipeline.predictions import Predictions

MOST_ERRORS = 10  # that are listed
# Figures that each class has of images that no other class's figure is of.
INDEPENDENT = ("sensitivity", "recall", "precision", "positive_predictive_value", "average_precision")


def _auc(one):
    return area_figure([one])


def _calibration_error(one):
    return Figure(calibration_error(one.reliability))


@dataclass(frozen=True)
class ClassFigures:
    """Figures of a class against the rest, or their means over the classes.

    Beside each stand its name in the results JSON and on the page, which is that of R's caret, and its function.
    """

    sensitivity: Annotated[Figure, "Sensitivity", metrics.sensitivity]
    specificity: Annotated[Figure, "Specificity", metrics.specificity]
    auc: Annotated[Figure, "ROC-AUC", _auc]
    positive_predictive_value: Annotated[Figure, "Pos Pred Value", metrics.positive_predictive_value]
    negative_predictive_value: Annotated[Figure, "Neg Pred Value", metrics.negative_predictive_value]
    precision: Annotated[Figure, "Precision", metrics.precision]
    recall: Annotated[Figure, "Recall", metrics.sensitivity]
    f1: Annotated[Figure, "F1", metrics.f1]
    prevalence: Annotated[Figure, "Prevalence", metrics.prevalence]
    detection_rate: Annotated[Figure, "Detection Rate", metrics.detection_rate]
    detection_prevalence: Annotated[Figure, "Detection Prevalence", metrics.detection_prevalence]
    balanced_accuracy: Annotated[Figure, "Balanced Accuracy", metrics.balanced_accuracy]
    average_precision: Annotated[Figure, "Average Precision", metrics.average_precision]
    brier_score: Annotated[Figure, "Brier Score", brier_score]
    calibration_error: Annotated[Figure, "Calibration Error", _calibration_error]

    def named(self):
        """Return {name: Figure}."""
        return {each.type.__metadata__[0]: getattr(self, each.name) for each in fields(ClassFigures)}


@dataclass(frozen=True)
class OneClass(ClassFigures):
    """A class against the rest, with what has no mean over classes."""

    name: str
    against_rest: OneAgainstRest
    auc_delong: Figure  # the same area with the interval of DeLong, images taken as independent
    auc_pooled: Figure | None = None  # of all folds' images ranked in one list
    average_precision_pooled: Figure | None = None


@dataclass(frozen=True)
class ConfidentError:
    """A wrong prediction; the probability is that of the class that was predicted."""

    file_name: str
    true_class: str
    predicted_class: str
    probability: float


@dataclass(frozen=True)
class Results:
    """Everything that is known of a model's performance on some images."""

    predictions: Predictions
    matrix: np.ndarray  # counts (classes, classes): row the true class, column the predicted one
    main: ClassFigures  # of the positive class; the means over classes where each is taken in turn
    classes: list[OneClass]
    accuracy: Figure
    no_information_rate: float
    accuracy_p_value: float  # of the accuracy being above the no-information rate
    kappa: Figure
    kappa_large_sample: Figure  # the same with the interval of Fleiss, Cohen and Everitt
    symmetry_p_value: Figure  # of classes being taken for one another equally often
    log_loss: Figure
    brier_score: Figure  # of the positive class; of all classes where each is taken in turn
    confidence_bins: list[Bin]  # of the most probable class
    confidence_error: float
    expected_error: list  # mean and 95th percentile of the calibration error shown, of a perfectly calibrated model
    errors: list[ConfidentError] | None  # the most confident ones; None without file names
    not_most_probable: int  # predictions that are not the most probable class
    thresholds: tuple[Threshold, ...] = ()  # one, or one a fold
    threshold_for_new_images: Threshold | None = None  # chosen on all validation images
    calibration: Calibration | None = None
    uncalibrated: "Results | None" = None  # what the same probabilities gave before
    change_in_log_loss: Figure | None = None  # by the calibration
    cross_validation: CrossValidation | None = None
    referral: Referral | None = None
    comparison: Comparison | None = None
    baselines: tuple[Baseline, ...] = ()
    leaks_kept: int = 0  # images with a twin or group in another partition of the split

    @property
    def count(self):
        """The number of images."""
        return len(self.predictions.labels)

    @property
    def group_count(self):
        """The number of groups that the images come in; None where that is not known."""
        groups = self.predictions.groups
        return None if groups is None else len(set(groups))

    @property
    def positive(self):
        """The name of the positive class; None where each class is taken in turn."""
        return self.predictions.positive_class

    @property
    def shown_classes(self):
        """The positive class, or each where every class is taken in turn."""
        return [one for one in self.classes if self.positive in (None, one.name)]


def summarize(predictions, **more):
    """Return the Results of Predictions; `more` are those that options ask for, by the field's name."""
    groups, folds = predictions.group_numbers(), predictions.fold_numbers()
    classes = [_one_class(predictions, index) for index in range(len(predictions.class_names))]
    labels, probabilities = predictions.labels, predictions.probabilities
    matrix = metrics.confusion_matrix(labels, predictions.predictions, len(classes))
    correct = predictions.predictions == labels
    accuracy = proportion(correct, groups)
    intervals = resampled_intervals(predictions, groups, folds)
    highest = probabilities.max(axis=1)
    confidence_bins = reliability_bins(probabilities.argmax(axis=1) == labels, highest, groups)
    if predictions.positive_class is None:
        main, shown = _means(classes, intervals), highest
        brier = intervals.figure("Brier Score", multiclass_brier_score(labels, probabilities))
    else:
        main = classes[predictions.class_names.index(predictions.positive_class)]
        brier = intervals.figure("Brier Score", main.brier_score.value)
        shown = main.against_rest.probability
    rate = metrics.no_information_rate(matrix)
    loss = figure_of(log_loss, labels, probabilities)
    return Results(
        predictions=predictions,
        matrix=matrix,
        main=main,
        classes=classes,
        accuracy=accuracy,
        no_information_rate=rate,
        accuracy_p_value=metrics.accuracy_test(correct, groups, rate),
        kappa=figure_of(metrics.cohen_kappa, matrix, interval=lambda _: metrics.kappa_interval(matrix, accuracy)),
        kappa_large_sample=figure_of(metrics.cohen_kappa, matrix, interval=metrics.kappa_large_sample_interval),
        symmetry_p_value=figure_of(metrics.symmetry_test, matrix, labels - predictions.predictions, groups),
        log_loss=loss if loss.value is None else intervals.figure("Log Loss", loss.value),
        brier_score=brier,
        confidence_bins=confidence_bins,
        confidence_error=calibration_error(confidence_bins),
        expected_error=expected_calibration_error(shown),
        errors=most_confident_errors(predictions),
        not_most_probable=int((predictions.probabilities_of_predictions() < highest).sum()),
        **more,
    )


def most_confident_errors(predictions):
    """Return the wrong predictions of highest probability, the highest first; None without file names."""
    if predictions.file_names is None:
        return None
    probability = predictions.probabilities_of_predictions()
    wrong = np.flatnonzero(predictions.predictions != predictions.labels)
    names = predictions.class_names
    return [
        ConfidentError(
            predictions.file_names[index],
            names[predictions.labels[index]],
            names[predictions.predictions[index]],
            float(probability[index]),
        )
        for index in wrong[np.argsort(-probability[wrong], kind="stable")][:MOST_ERRORS]
    ]


def _one_class(predictions, index):
    one = OneAgainstRest.of(predictions, index)
    figures = {each.name: each.type.__metadata__[1](one) for each in fields(ClassFigures)}
    pooled = {}
    if predictions.folds is not None:
        one_fold = replace(one, folds=np.zeros_like(one.folds))
        pooled["auc_pooled"] = figure_of(roc_auc, one.truth, one.probability)
        pooled["average_precision_pooled"] = metrics.average_precision(one_fold)
    auc = figures["auc"]
    return OneClass(
        **figures,
        **pooled,
        name=predictions.class_names[index],
        against_rest=one,
        auc_delong=auc if auc.value is None else _with_delong(auc.value, one),
    )


def _with_delong(area, one):
    try:
        return Figure(area, delong_interval(curves_of_folds(one)))
    except Undefined as reason:
        return Figure(area, reason=str(reason))


def _means(classes, intervals):
    """Return the means over classes (macro) of their figures; a mean is undefined where a class's figure is.

    Sensitivity and precision are of other images in each class, so that their intervals give that of the mean; the
    area has its own, and other figures that of resampling. The balanced accuracy is the mean sensitivity.
    """
    means = {}
    for each in fields(ClassFigures):
        name, values = each.type.__metadata__[0], [getattr(one, each.name) for one in classes]
        missing = [one.name for one, figure in zip(classes, values, strict=True) if figure.value is None]
        if missing:
            means[each.name] = Figure(None, reason=f"undefined for the class {', '.join(missing)}")
        elif each.name == "auc":
            means[each.name] = area_figure([one.against_rest for one in classes])
        elif each.name in INDEPENDENT:
            means[each.name] = mean_of(values)
        else:
            means[each.name] = intervals.figure(name, float(np.mean([figure.value for figure in values])))
    return ClassFigures(**means | {"balanced_accuracy": means["sensitivity"]})
