"""The results: every figure of a model's predictions, and its errors, as typed values."""

from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np

from pipeline.performance import metrics
from pipeline.performance.baselines import Baseline
from pipeline.performance.calibration import (
    Bin,
    brier_score,
    calibration_error,
    log_loss,
    multiclass_brier_score,
    reliability_bins,
)
from pipeline.performance.comparison import Comparison
from pipeline.performance.figures import Figure, figure_of, proportion
from pipeline.performance.folds import CrossValidation
from pipeline.performance.metrics import OneAgainstRest
from pipeline.performance.referral import Referral
from pipeline.performance.roc import delong_interval, newcombe_interval, roc_auc
from pipeline.performance.thresholds import OperatingPoint
from pipeline.predictions import Predictions

MOST_ERRORS = 10  # that are listed


def _auc(one):
    return figure_of(roc_auc, one.truth, one.probability, interval=newcombe_interval)


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
    auc_delong: Figure  # the same area with the interval of DeLong


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
    symmetry_p_value: Figure  # of classes being taken for one another equally often
    log_loss: Figure
    brier_score: Figure  # of the positive class; of all classes where each is taken in turn
    confidence_bins: list[Bin]  # of the most probable class
    confidence_error: float
    errors: list[ConfidentError] | None  # the most confident ones; None without file names
    not_most_probable: int  # predictions that are not the most probable class
    threshold: OperatingPoint | None = None
    cross_validation: CrossValidation | None = None
    referral: Referral | None = None
    comparison: Comparison | None = None
    baselines: tuple[Baseline, ...] = ()

    @property
    def count(self):
        """The number of images."""
        return len(self.predictions.labels)

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
    classes = [_one_class(predictions, index) for index in range(len(predictions.class_names))]
    labels, probabilities = predictions.labels, predictions.probabilities
    matrix = metrics.confusion_matrix(labels, predictions.predictions, len(classes))
    if predictions.positive_class is None:
        main = _means(classes)
        brier = Figure(multiclass_brier_score(labels, probabilities))
    else:
        main = classes[predictions.class_names.index(predictions.positive_class)]
        brier = main.brier_score
    highest = probabilities.max(axis=1)
    confidence_bins = reliability_bins(probabilities.argmax(axis=1) == labels, highest)
    return Results(
        predictions=predictions,
        matrix=matrix,
        main=main,
        classes=classes,
        accuracy=proportion(int(np.trace(matrix)), len(labels)),
        no_information_rate=metrics.no_information_rate(matrix),
        accuracy_p_value=metrics.accuracy_test(matrix),
        kappa=figure_of(metrics.cohen_kappa, matrix, interval=metrics.kappa_interval),
        symmetry_p_value=figure_of(metrics.symmetry_test, matrix),
        log_loss=figure_of(log_loss, labels, probabilities),
        brier_score=brier,
        confidence_bins=confidence_bins,
        confidence_error=calibration_error(confidence_bins),
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
    one = OneAgainstRest(
        predictions.labels == index, predictions.predictions == index, predictions.probabilities[:, index]
    )
    figures = {each.name: each.type.__metadata__[1](one) for each in fields(ClassFigures)}
    delong = figure_of(roc_auc, one.truth, one.probability, interval=delong_interval)
    return OneClass(**figures, name=predictions.class_names[index], against_rest=one, auc_delong=delong)


def _means(classes):
    """Return the means over classes (macro) of their figures; a mean is undefined where a class's figure is."""
    means = {}
    for each in fields(ClassFigures):
        values = {one.name: getattr(one, each.name).value for one in classes}
        missing = [name for name, value in values.items() if value is None]
        if missing:
            means[each.name] = Figure(None, reason=f"undefined for the class {', '.join(missing)}")
        else:
            means[each.name] = Figure(float(np.mean(list(values.values()))))
    return ClassFigures(**means)
