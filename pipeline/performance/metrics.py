"""Figures of classes and of the confusion matrix, each a function that says what it is.

A class is measured one against the rest: its images are the positive ones, all others negative. Its figures come as
Figures; those of all classes together as numbers, and where they have none, Undefined is raised with the reason. No
function returns a NaN, or a number that only looks like one.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import stats
from sklearn import metrics

from pipeline.performance.calibration import reliability_bins
from pipeline.performance.figures import Figure, Undefined, Z, proportion

NO_IMAGE, NO_OTHER, NEVER = "no image of the class", "no image of another class", "the class was never predicted"
ROUNDING = 1e-14  # a variance below this is 0 but for rounding


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

    @cached_property
    def predicted(self):
        return int(self.finding.sum())

    @cached_property
    def reliability(self):
        return reliability_bins(self.truth, self.probability)

    @property
    def false_negatives(self):
        return self.positives - self.true_positives

    @property
    def false_positives(self):
        return self.negatives - self.true_negatives


def sensitivity(one):
    """Return the fraction of the class's images that were predicted as it: TP / (TP + FN)."""
    return proportion(one.true_positives, one.positives, NO_IMAGE)


def specificity(one):
    """Return the fraction of the other classes' images that were not predicted as it: TN / (TN + FP)."""
    return proportion(one.true_negatives, one.negatives, NO_OTHER)


def precision(one):
    """Return the fraction of the images predicted as the class that are of it: TP / (TP + FP)."""
    return proportion(one.true_positives, one.predicted, NEVER)


def positive_predictive_value(one):
    """Return the precision, which is the positive predictive value at these images' prevalence.

    Undefined too where sensitivity or specificity is, since prevalence is then 0 or 1; so R's caret has it.
    """
    return _unless(_one_sided(one)) or precision(one)


def negative_predictive_value(one):
    """Return the fraction of the images not predicted as the class that are of another: TN / (TN + FN).

    Undefined as positive_predictive_value is.
    """
    not_predicted = len(one.truth) - one.predicted
    return _unless(_one_sided(one)) or proportion(
        one.true_negatives, not_predicted, "no other class was ever predicted"
    )


def f1(one):
    """Return the harmonic mean of precision and sensitivity: 2 TP / (2 TP + FP + FN).

    Undefined where one of the two is; 0 where both are 0 (R's caret divides 0 by 0 there).
    """
    reason = NEVER if one.predicted == 0 else NO_IMAGE if one.positives == 0 else ""
    return _unless(reason) or Figure(2 * one.true_positives / (one.positives + one.predicted))


def prevalence(one):
    """Return the fraction of the class's images among all: (TP + FN) / n."""
    return proportion(one.positives, len(one.truth))


def detection_rate(one):
    """Return the fraction of images that are of the class and were predicted as it: TP / n."""
    return proportion(one.true_positives, len(one.truth))


def detection_prevalence(one):
    """Return the fraction of images that were predicted as the class: (TP + FP) / n."""
    return proportion(one.predicted, len(one.truth))


def balanced_accuracy(one):
    """Return the mean of sensitivity and specificity."""
    return _unless(_one_sided(one)) or Figure(
        (one.true_positives / one.positives + one.true_negatives / one.negatives) / 2
    )


def average_precision(one):
    """Return the average precision: the sum over thresholds of (gain in recall) x precision, as scikit-learn has it."""
    return _unless(NO_IMAGE if one.positives == 0 else "") or Figure(
        float(metrics.average_precision_score(one.truth, one.probability))
    )


def confusion_matrix(labels, predictions, class_count):
    """Return counts (classes, classes): row the true class, column the predicted one."""
    return metrics.confusion_matrix(labels, predictions, labels=range(class_count))


def accuracy(matrix):
    """Return the fraction of images whose predicted class is the true one; `matrix` as confusion_matrix gives it."""
    return float(np.trace(matrix) / matrix.sum())


def no_information_rate(matrix):
    """Return the accuracy of always answering with the class that has most images, as R's caret defines it."""
    return float(matrix.sum(axis=1).max() / matrix.sum())


def cohen_kappa(matrix):
    """Return the agreement of labels and predictions beyond chance: (observed - expected) / (1 - expected).

    Undefined where chance always agrees. Cohen, Educational and Psychological Measurement 20 (1960) 37.
    """
    fractions = matrix / matrix.sum()
    expected = float(fractions.sum(axis=1) @ fractions.sum(axis=0))
    if np.count_nonzero(matrix) == 1 and np.trace(matrix):
        raise Undefined("all labels and predictions are one class")
    return (accuracy(matrix) - expected) / (1 - expected)


def kappa_interval(matrix):
    """Return the large-sample interval of Cohen's kappa, within -1 and 1, as R's psych::cohen.kappa gives it.

    The variance is that of Fleiss, Cohen and Everitt, Psychological Bulletin 72 (1969) 323, equation 13. It is 0, and
    the interval a point, where all predictions are right or all are one class. Undefined where kappa is.
    """
    kappa = cohen_kappa(matrix)
    fractions = matrix / matrix.sum()
    true, predicted = fractions.sum(axis=1), fractions.sum(axis=0)
    observed, expected = accuracy(matrix), true @ predicted
    on_diagonal = np.diag(fractions) @ (1 - expected - (true + predicted) * (1 - observed)) ** 2
    off_diagonal = fractions * (predicted[:, None] + true[None, :]) ** 2 * (1 - np.eye(len(fractions)))
    variance = on_diagonal + (1 - observed) ** 2 * off_diagonal.sum()
    variance -= (observed * expected - 2 * expected + observed) ** 2
    # What is 0 in exact arithmetic comes out as 1e-17, and its root as 1e-8.
    variance = variance if variance > ROUNDING else 0
    half_width = Z * np.sqrt(variance / matrix.sum()) / (1 - expected) ** 2
    return [float(max(kappa - half_width, -1)), float(min(kappa + half_width, 1))]


def accuracy_test(matrix):
    """Return the one-sided exact p-value of the accuracy being above the no-information rate, as R's caret has it."""
    test = stats.binomtest(
        int(np.trace(matrix)), int(matrix.sum()), p=no_information_rate(matrix), alternative="greater"
    )
    return float(test.pvalue)


def symmetry_test(matrix):
    """Return the p-value that each two classes are taken for one another equally often, as R's mcnemar.test gives it.

    Two classes: McNemar, Psychometrika 12 (1947) 153, with Edwards's continuity correction where the two errors differ
    in number. More: Bowker, Journal of the American Statistical Association 43 (1948) 572. Undefined, where R has NaN:
    two classes that were never taken for one another, in either direction.
    """
    upper = np.triu_indices(len(matrix), 1)
    difference, total = np.abs(matrix - matrix.T)[upper], (matrix + matrix.T)[upper]
    if (total == 0).any():
        never = int((total == 0).sum())
        raise Undefined(
            "no image was classified wrongly" if len(total) == 1
            else f"{never} of {len(total)} pairs of classes were never taken for one another"
        )  # fmt: skip
    if len(total) == 1:
        difference = np.maximum(difference - 1, 0)
    return float(stats.chi2.sf((difference**2 / total).sum(), len(total)))


def _one_sided(one):
    """Return why what needs images of the class and of another is undefined; "" where it is not."""
    return NO_IMAGE if one.positives == 0 else NO_OTHER if one.negatives == 0 else ""


def _unless(reason):
    return Figure(None, reason=reason) if reason else None
