"""Point figures of a classifier's performance, each a function that says what it is. Imports no torch.

A class is measured one against the rest: its images are the positive ones, all others negative. A figure that these
images leave without a value raises Undefined with the reason; no function returns a NaN, or a number that only looks
like one.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn import metrics


class Undefined(ValueError):
    """A figure has no value for these images; the message says why, in words fit for a report."""


def evaluate(figures, subject):
    """Return ({name: value}, {name: reason}) of functions {name: function} called with `subject`.

    What raises Undefined has the value None, and its reason stands in the second dict.
    """
    values, reasons = {}, {}
    for name, figure in figures.items():
        try:
            values[name] = figure(subject)
        except Undefined as reason:
            values[name], reasons[name] = None, str(reason)
    return values, reasons


@dataclass(frozen=True)
class OneAgainstRest:
    """One class's images and findings against those of all other classes; all arrays (n,), in the same order."""

    truth: np.ndarray  # bool, whether the image is of the class
    finding: np.ndarray  # bool, whether the class was predicted
    probability: np.ndarray  # float, of the class

    @cached_property
    def positives(self):
        return int(self.truth.sum())

    @cached_property
    def negatives(self):
        return len(self.truth) - self.positives

    @cached_property
    def true_positives(self):
        return int((self.truth & self.finding).sum())

    @cached_property
    def true_negatives(self):
        return int((~self.truth & ~self.finding).sum())

    @property
    def false_negatives(self):
        return self.positives - self.true_positives

    @property
    def false_positives(self):
        return self.negatives - self.true_negatives


def sensitivity(one):
    """Return the share of the class's images that were predicted as it: TP / (TP + FN)."""
    return _share(one.true_positives, one.positives, "no image of the class")


def specificity(one):
    """Return the share of the other classes' images that were not predicted as it: TN / (TN + FP)."""
    return _share(one.true_negatives, one.negatives, "no image of another class")


def precision(one):
    """Return the share of the images predicted as the class that are of it: TP / (TP + FP)."""
    return _share(one.true_positives, one.true_positives + one.false_positives, "the class was never predicted")


def positive_predictive_value(one):
    """Return the precision, which is the positive predictive value at these images' prevalence.

    Undefined too where sensitivity or specificity is, since prevalence is then 0 or 1; so R's caret has it.
    """
    sensitivity(one), specificity(one)
    return precision(one)


def negative_predictive_value(one):
    """Return the share of the images not predicted as the class that are of another: TN / (TN + FN).

    Undefined as positive_predictive_value is.
    """
    sensitivity(one), specificity(one)
    return _share(one.true_negatives, one.true_negatives + one.false_negatives, "no other class was ever predicted")


def f1(one):
    """Return the harmonic mean of precision and sensitivity: 2 TP / (2 TP + FP + FN).

    Undefined where one of the two is; 0 where both are 0 (R's caret divides 0 by 0 there).
    """
    precision(one), sensitivity(one)
    return 2 * one.true_positives / (2 * one.true_positives + one.false_positives + one.false_negatives)


def prevalence(one):
    """Return the share of the class's images among all: (TP + FN) / n."""
    return one.positives / len(one.truth)


def detection_rate(one):
    """Return the share of images that are of the class and were predicted as it: TP / n."""
    return one.true_positives / len(one.truth)


def detection_prevalence(one):
    """Return the share of images that were predicted as the class: (TP + FP) / n."""
    return (one.true_positives + one.false_positives) / len(one.truth)


def balanced_accuracy(one):
    """Return the mean of sensitivity and specificity."""
    return (sensitivity(one) + specificity(one)) / 2


def average_precision(one):
    """Return the average precision: the sum over thresholds of (gain in recall) x precision, as scikit-learn has it."""
    if one.positives == 0:
        raise Undefined("no image of the class")
    return float(metrics.average_precision_score(one.truth, one.probability))


def brier_score(one):
    """Return the mean of (probability of the class - 1 or 0)^2 over images: 0 is perfect, 1 the worst.

    Brier, Monthly Weather Review 78 (1950) 1, summed over one class of the two.
    """
    return float(np.mean((one.probability - one.truth) ** 2))


def confusion_matrix(labels, predictions, class_count):
    """Return counts (classes, classes): row the true class, column the predicted one."""
    return metrics.confusion_matrix(labels, predictions, labels=range(class_count))


def accuracy(matrix):
    """Return the share of images whose predicted class is the true one; `matrix` as confusion_matrix gives it."""
    return float(np.trace(matrix) / matrix.sum())


def no_information_rate(matrix):
    """Return the accuracy of always answering with the class that has most images, as R's caret defines it."""
    return float(matrix.sum(axis=1).max() / matrix.sum())


def cohen_kappa(matrix):
    """Return the agreement of labels and predictions beyond chance: (observed - expected) / (1 - expected).

    Undefined where chance alone agrees always. Cohen, Educational and Psychological Measurement 20 (1960) 37.
    """
    shares = matrix / matrix.sum()
    expected = float(shares.sum(axis=1) @ shares.sum(axis=0))
    if np.count_nonzero(matrix) == 1 and np.trace(matrix):
        raise Undefined("all labels and predictions are one class")
    return (accuracy(matrix) - expected) / (1 - expected)


def log_loss(labels, probabilities):
    """Return the mean of -ln(probability of the true class); infinite, hence undefined, where that is 0.

    `labels` is int (n,), `probabilities` (n, classes).
    """
    of_truth = probabilities[np.arange(len(labels)), labels]
    impossible = int((of_truth == 0).sum())
    if impossible:
        raise Undefined(f"infinite: {impossible} of {len(labels)} images have probability 0 of their true class")
    return float(-np.log(of_truth).mean())


def multiclass_brier_score(labels, probabilities):
    """Return the mean over images of the sum over classes of (probability - 1 or 0)^2: 0 is perfect, 2 the worst.

    Brier, Monthly Weather Review 78 (1950) 1, as published. With two classes it is twice what brier_score gives.
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def _share(part, whole, reason_if_none):
    if whole == 0:
        raise Undefined(reason_if_none)
    return part / whole
