"""Figures of classes and of the confusion matrix, each a function that says what it is.

A class is measured one against the rest: its images are the positive ones, all others negative. The figures of a class
are Figures. Those of all classes together are numbers; if one is undefined, Undefined is raised with the reason. No
function returns a NaN, or a number that only looks like one.
"""

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from scipy import special, stats
from sklearn import metrics

from pipeline.performance.calibration import reliability_bins
from pipeline.performance.figures import Figure, Undefined, Z, around, around_logit, exact_interval, mean_of
from pipeline.performance.grouped import (
    ALIKE,
    FEWEST_GROUPS,
    correlations,
    design_effect,
    proportion,
    sign_flip_test,
    variance_of_sum,
)

NO_IMAGE, NO_OTHER = "no image of the class", "no image of another class"
ONE_CLASS = "all labels and predictions are one class"
NEVER, ALWAYS = "the class was never predicted", "no other class was ever predicted"
ROUNDING = 1e-14  # a variance below this is 0 but for rounding


@dataclass(frozen=True)
class OneAgainstRest:
    """One class's images and findings against those of all other classes; all arrays (n,), in the same order."""

    truth: np.ndarray  # bool, whether the image is of the class
    finding: np.ndarray  # bool, whether the class was predicted
    probability: np.ndarray  # float, of the class
    groups: np.ndarray  # int, images of a group are not independent
    folds: np.ndarray  # int, images of a fold are predicted by the same model

    @classmethod
    def of(cls, predictions, index):
        """Return it for the class with this index in Predictions."""
        return cls(
            predictions.labels == index,
            predictions.predictions == index,
            predictions.probabilities[:, index],
            predictions.group_numbers(),
            predictions.fold_numbers(),
        )

    @classmethod
    def of_positive(cls, predictions):
        """Return it for the positive class of Predictions."""
        return cls.of(predictions, predictions.class_names.index(predictions.positive_class))

    @classmethod
    def shown(cls, predictions):
        """Return {class name: it} of the positive class, or of all classes if Predictions take each in turn."""
        names, positive = predictions.class_names, predictions.positive_class
        return {name: cls.of(predictions, index) for index, name in enumerate(names) if positive in (None, name)}

    @cached_property
    def reliability(self):
        """The Bins of the class's probability."""
        return reliability_bins(self.truth, self.probability, self.groups)

    def select(self, keep):
        """Return it for some of the images; `keep` is bool (n,)."""
        return OneAgainstRest(*(getattr(self, each.name)[keep] for each in fields(self)))

    def folds_with_both(self):
        """Return it for each fold that has images of the class and others."""
        parts = [self.select(self.folds == fold) for fold in np.unique(self.folds)]
        return [part for part in parts if not one_sided(part)]

    @property
    def ranked(self):
        """The numbers of images of the class and of others in the folds that have both; in all folds if none has."""
        truth = np.concatenate([part.truth for part in self.folds_with_both() or [self]])
        return int(truth.sum()), int((~truth).sum())

    def correlations(self, of_class, of_others):
        """Return grouped.correlations of outcomes, bool (n,): among the class's images, and among the others."""
        outcomes, among = (np.stack(pair, axis=1) for pair in ((of_class, of_others), (self.truth, ~self.truth)))
        return correlations(outcomes, among, self.groups)

    def fraction(self, outcome, among, reason_if_none=""):
        """Return the Figure of the fraction of the images `among` that have an `outcome`; both bool (n,)."""
        return proportion(outcome[among], self.groups[among], reason_if_none)


def sensitivity(one):
    """Return the fraction of the class's images that were predicted as it: TP / (TP + FN)."""
    return one.fraction(one.finding, one.truth, NO_IMAGE)


def specificity(one):
    """Return the fraction of the other classes' images that were not predicted as it: TN / (TN + FP)."""
    return one.fraction(~one.finding, ~one.truth, NO_OTHER)


def precision(one):
    """Return the fraction of the images predicted as the class that are of it: TP / (TP + FP)."""
    return one.fraction(one.truth, one.finding, NEVER)


def positive_predictive_value(one):
    """Return the precision, which is the positive predictive value at these images' prevalence.

    Also undefined if sensitivity or specificity is, since the prevalence is then 0 or 1, as in R's caret.
    """
    return _unless(one_sided(one)) or precision(one)


def negative_predictive_value(one):
    """Return the fraction of the images not predicted as the class that are of another: TN / (TN + FN).

    Also undefined if sensitivity or specificity is.
    """
    return _unless(one_sided(one)) or one.fraction(~one.truth, ~one.finding, ALWAYS)


def f1(one):
    """Return the harmonic mean of precision and sensitivity: 2 TP / (2 TP + FP + FN).

    Undefined if one of the two is; 0 if both are 0 (R's caret then divides 0 by 0). It is 2 J / (1 + J) of the fraction
    J = TP / (TP + FP + FN), Jaccard's index, and so are the limits of its interval.
    """
    if not one.finding.any() or not one.truth.any():
        return Figure(None, reason=NO_IMAGE if one.finding.any() else NEVER)
    jaccard = one.fraction(one.truth & one.finding, one.truth | one.finding)
    limits = [2 * limit / (1 + limit) for limit in jaccard.interval]
    return Figure(2 * jaccard.count / int(one.truth.sum() + one.finding.sum()), limits)


def prevalence(one):
    """Return the fraction of the class's images among all: (TP + FN) / n."""
    return proportion(one.truth, one.groups)


def detection_rate(one):
    """Return the fraction of images that are of the class and were predicted as it: TP / n."""
    return proportion(one.truth & one.finding, one.groups)


def detection_prevalence(one):
    """Return the fraction of images that were predicted as the class: (TP + FP) / n."""
    return proportion(one.finding, one.groups)


def balanced_accuracy(one):
    """Return the mean of sensitivity and specificity. (For several classes it is the mean sensitivity.)"""
    return _unless(one_sided(one)) or mean_of(
        [sensitivity(one), specificity(one)], correlations=one.correlations(one.finding, ~one.finding)
    )


def average_precision(one):
    """Return the mean over folds of the average precision; undefined if no fold has images of the class and others.

    In a fold it is the mean, over the class's images, of the precision with their own probability as the threshold,
    which is scikit-learn's sum over thresholds of (gain in recall) x precision. The interval is the exact one of a
    proportion of as many images: Boyd, Eng and Page, ECML 2013, recommend a binomial one for the class's images. If
    images come in groups, their number is the effective number by these precisions, or the one that gives the variance
    between groups if that is smaller: the number of images of the class varies from group to group too.
    """
    inside = one.folds_with_both()
    if not inside:
        return Figure(None, reason=NO_OTHER if one.truth.any() else NO_IMAGE)
    parts = [_precisions(part.truth, part.probability) for part in inside]
    mean = float(np.mean([precisions.mean() for precisions, _ in parts]))
    values = np.concatenate([precisions for precisions, _ in parts])
    of_class = np.concatenate([part.groups[part.truth] for part in inside])
    count = len(values) / design_effect(values, of_class)
    if len(np.unique(one.groups)) < len(one.groups):
        influence = np.concatenate([influences for _, influences in parts]) / len(inside)
        variance = variance_of_sum(influence, np.concatenate([part.groups for part in inside]))
        if variance > 0:
            count = min(count, mean * (1 - mean) / variance)
    return Figure(mean, exact_interval(mean * count, count))


def _precisions(truth, probability):
    """Return the precision at each image of the class, and how much each image moves their mean, to first order.

    Take an image of the class at whose threshold n images are called positive, with precision p. Another image at that
    threshold or above changes p by (1 - p) / n if it is of the class, and by -p / n if not.
    """
    own, descending = probability[truth], np.sort(-probability)
    positive = np.searchsorted(descending, -own, side="right")
    precisions = np.searchsorted(np.sort(-own), -own, side="right") / positive
    order = np.argsort(own)
    below = np.searchsorted(own[order], probability, side="right")
    gain, loss = (np.concatenate([[0], np.cumsum(each[order])]) for each in (1 / positive, precisions / positive))
    influence = truth * gain[below] - loss[below]
    influence[truth] += precisions - precisions.mean()
    return precisions, influence / len(own)


def mean_by_label(figures, predictions):
    """Return the Figure of the mean over classes of `figures`, their sensitivities.

    Each is the fraction of correct predictions among the images of a class.
    """
    return _mean_fraction(figures, predictions, predictions.labels)


def mean_by_finding(figures, predictions):
    """Return the same for precisions: fractions of the images that were predicted as a class."""
    return _mean_fraction(figures, predictions, predictions.predictions)


def mean_specificity(_, predictions):
    """Return the Figure of the mean specificity over classes, see _mean_ratio."""
    return _mean_ratio(predictions, lambda true, found: (~true & ~found, ~true))


def mean_npv(_, predictions):
    """Return the Figure of the mean negative predictive value over classes, see _mean_ratio."""
    return _mean_ratio(predictions, lambda true, found: (~true & ~found, ~found))


def mean_f1(_, predictions):
    """Return the Figure of the mean F1 over classes, see _mean_ratio."""
    return _mean_ratio(predictions, lambda true, found: (2 * (true & found), true.astype(int) + found))


def _mean_fraction(figures, predictions, classes):
    """Return mean_of the figures, correlated over groups that have images of several `classes`, int (n,)."""
    among = classes[:, np.newaxis] == np.arange(len(predictions.class_names))
    together = correlations(predictions.correct[:, np.newaxis], among, predictions.group_numbers())
    return mean_of(figures, correlations=together)


def _mean_ratio(predictions, counts):
    """Return the Figure of the mean over classes of a ratio of sums over images; all classes share the images.

    `counts` returns what each image adds to numerator and denominator, (n, classes) each, from bool (n, classes):
    whether it is of the class, and whether the class was predicted. The denominators do not sum to 0.

    The interval is on the logit scale, with the variance between groups of what each image adds to the mean to first
    order (Woodruff, Journal of the American Statistical Association 66 (1971) 411), widened for few groups. There is
    none if a class has images in fewer than FEWEST_GROUPS groups.
    """
    classes, groups = np.arange(len(predictions.class_names)), predictions.group_numbers()
    true, found = (each[:, np.newaxis] == classes for each in (predictions.labels, predictions.predictions))
    above, below = counts(true, found)
    totals = below.sum(axis=0)
    ratios = above.sum(axis=0) / totals
    mean = float(ratios.mean())
    if any(len(np.unique(groups[mask])) < FEWEST_GROUPS for mask in true.T):
        return Figure(mean, reason=f"a class has images in fewer than {FEWEST_GROUPS} groups")
    variance = variance_of_sum(((above - ratios * below) / totals).mean(axis=1), groups)
    if variance == 0:
        return Figure(mean, reason=ALIKE)
    return Figure(mean, around_logit(mean, np.sqrt(variance)))


def confusion_matrix(labels, predictions, class_count):
    """Return counts (classes, classes): row the true class, column the predicted one."""
    return metrics.confusion_matrix(labels, predictions, labels=range(class_count))


def accuracy(predictions):
    """Return the Figure of the fraction of images whose predicted class is the true one."""
    return proportion(predictions.correct, predictions.group_numbers())


def no_information_rate(matrix):
    """Return the accuracy of always answering with the class that has most images, as R's caret defines it."""
    return float(matrix.sum(axis=1).max() / matrix.sum())


def cohen_kappa(matrix, accuracy):
    """Return the Figure of the agreement of labels and predictions beyond chance: (observed - chance) / (1 - chance).

    `accuracy`, a Figure, is the agreement observed, and its limits give those of kappa. Like Cohen's own interval, this
    takes the agreement by chance as known; it is never a point, and never below -1. Undefined if chance always agrees.
    Cohen, Educational and Psychological Measurement 20 (1960) 37.
    """
    if _chance_always_agrees(matrix):
        return Figure(None, reason=ONE_CLASS)
    fractions = matrix / matrix.sum()
    chance = float(fractions.sum(axis=1) @ fractions.sum(axis=0))
    return accuracy.mapped(lambda observed: max((observed - chance) / (1 - chance), -1.0))


def kappa_large_sample_interval(matrix):
    """Return the large-sample interval of Cohen's kappa, within -1 and 1, as R's psych::cohen.kappa gives it.

    The variance is that of Fleiss, Cohen and Everitt, Psychological Bulletin 72 (1969) 323, equation 13. It is 0, and
    the interval a point, if all predictions are correct or all are one class. Undefined if kappa is.
    """
    if _chance_always_agrees(matrix):
        raise Undefined(ONE_CLASS)
    fractions = matrix / matrix.sum()
    true, predicted = fractions.sum(axis=1), fractions.sum(axis=0)
    observed, expected = np.trace(matrix) / matrix.sum(), true @ predicted
    on_diagonal = np.diag(fractions) @ (1 - expected - (true + predicted) * (1 - observed)) ** 2
    off_diagonal = fractions * (predicted[:, None] + true[None, :]) ** 2 * (1 - np.eye(len(fractions)))
    variance = on_diagonal + (1 - observed) ** 2 * off_diagonal.sum()
    variance -= (observed * expected - 2 * expected + observed) ** 2
    # What is 0 in exact arithmetic comes out as 1e-17, and its root as 1e-8.
    variance = variance if variance > ROUNDING else 0
    return around((observed - expected) / (1 - expected), Z * np.sqrt(variance / matrix.sum()) / (1 - expected) ** 2)


def accuracy_test(correct, groups, rate):
    """Return the one-sided exact p-value of the accuracy being above `rate`, as R's caret has it.

    The binomial test, for the effective number of images if they come in groups. `correct` is bool (n,).
    """
    effect = design_effect(correct, groups)
    count, total = correct.sum() / effect, len(correct) / effect
    return float(special.betainc(count, total - count + 1, rate)) if count else 1.0


def symmetry_test(matrix, differences, groups):
    """Return the p-value of any two classes being mistaken for one another equally often, as R's mcnemar.test gives it.

    Two classes: McNemar, Psychometrika 12 (1947) 153, with Edwards's continuity correction if the two errors differ in
    number; for images in groups, the exact grouped.sign_flip_test on `differences`, label - prediction. More classes:
    Bowker, Journal of the American Statistical Association 43 (1948) 572. Undefined if two classes were never mistaken
    for one another, in either direction (R has NaN), and for more than two classes with images in groups. Also
    undefined, unlike in R, for images of one class: they can be mistaken in one direction only.
    """
    if np.count_nonzero(matrix.sum(axis=1)) == 1:
        raise Undefined("all images are of one class")
    upper = np.triu_indices(len(matrix), 1)
    difference, total = np.abs(matrix - matrix.T)[upper], (matrix + matrix.T)[upper]
    if (total == 0).any():
        never = int((total == 0).sum())
        raise Undefined(
            "no image was classified wrongly" if len(total) == 1
            else f"some classes ({never} of {len(total)} pairs) were never mistaken for one another"
        )  # fmt: skip
    in_groups = len(np.unique(groups)) < len(groups)
    if len(total) == 1:
        if in_groups:
            return sign_flip_test(differences, groups)
        difference = np.maximum(difference - 1, 0)
    elif in_groups:
        raise Undefined("Bowker's test is of single images, and these come in groups")
    return float(stats.chi2.sf((difference**2 / total).sum(), len(total)))


def _chance_always_agrees(matrix):
    return np.count_nonzero(matrix) == 1 and np.trace(matrix) > 0


def one_sided(one):
    """Return why a figure that needs images of the class and of another is undefined; "" if it is not."""
    return NO_IMAGE if not one.truth.any() else NO_OTHER if one.truth.all() else ""


def _unless(reason):
    return Figure(None, reason=reason) if reason else None
