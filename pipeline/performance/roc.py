"""Areas under ROC curves: their mean over folds and classes, its interval, and the comparison of two models.

Probabilities of different models are not on one scale: the areas are those of each fold, and their mean is the figure
(Parker, Guenter and Bedo, BMC Bioinformatics 8 (2007) 326; Forman and Scholz, SIGKDD Explorations 12 (2010) 49).
`truth` is bool (n,), whether the image is of the class; `scores` is float (n,), higher for the class. An area is
undefined without an image of the class and another one.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np
from scipy import optimize, stats

from pipeline.performance.figures import Figure, Undefined, Z, around, around_logit
from pipeline.performance.grouped import FEWEST_GROUPS, most_design_effect, sizes_of, sums_of, widening
from pipeline.performance.metrics import OneAgainstRest

# A variance below this is 0 but for rounding: one exchanged pair among 100,000 images of each class gives 1e-20.
ROUNDING = 1e-28
MOST_PAIRED_CLASSES = 20  # 380 pairs, which take two seconds, and five folds four times that
BOTH = "needs images of the class and of another one"
CONSTANT = "all probabilities are the same, and the area is 0.5 whatever the images"


@dataclass(frozen=True)
class Curve:
    """One ROC curve, of a class in a fold, and its weight in the mean over curves."""

    truth: np.ndarray
    scores: np.ndarray
    groups: np.ndarray  # int (n,)
    weight: float = 1.0

    @property
    def counts(self):
        """The number of images of the class, and of the others."""
        positives = int(self.truth.sum())
        return positives, len(self.truth) - positives

    @property
    def group_counts(self):
        """The number of groups with images of the class, and with others."""
        return [len(np.unique(self.groups[mask])) for mask in (self.truth, ~self.truth)]

    @cached_property
    def placements(self):
        """For each image of the class the fraction of others below it, for each other that of the class above it."""
        of_class, others = self.scores[self.truth], self.scores[~self.truth]
        return _fraction_below(of_class, others), 1 - _fraction_below(others, of_class)

    @property
    def area(self):
        """The probability that an image of the class scores above another one, ties counting half.

        The Mann-Whitney statistic over the number of pairs: Hanley and McNeil, Radiology 143 (1982) 29.
        """
        return float(self.placements[0].mean())

    def components(self, groups):
        """Return what each image adds to the area's deviation, float (n,).

        The sum over groups of the squares of their sums is the area's variance: Obuchowski, Biometrics 53 (1997) 567.
        For m images of the class in g of the groups, it is sqrt(g / (g - 1)) (placement - area) / m, and likewise for
        the others. (Her covariance of the two has the factor G / (G - 1) of all groups; here it is the geometric mean
        of their factors, so that the variance is never negative.) For single images it is DeLong's variance.
        """
        parts = np.empty(len(self.truth))
        for mask, placements in zip((self.truth, ~self.truth), self.placements, strict=True):
            group_count = len(np.unique(groups[mask]))
            factor = np.sqrt(group_count / max(group_count - 1, 1)) / len(placements)
            parts[mask] = factor * (placements - placements.mean())
        return self.weight * parts


def curves_of_folds(one, weight=1.0):
    """Return the Curves of a class (OneAgainstRest), one per fold that has images of it and others.

    Their weights sum to `weight`. Raises Undefined if no fold has both.
    """
    inside = one.folds_with_both()
    if not inside:
        raise Undefined(BOTH)
    return [Curve(part.truth, part.probability, part.groups, weight / len(inside)) for part in inside]


def area_figure(ones):
    """Return the Figure of the mean area of some classes (OneAgainstRest), each of which is a mean over folds."""
    try:
        return mean_area([curve for one in ones for curve in curves_of_folds(one, 1 / len(ones))])
    except Undefined as reason:
        return Figure(None, reason=str(reason))


def area_of(predictions):
    """Return area_figure of the positive class of Predictions, or of all classes if they take each in turn."""
    return area_figure([*OneAgainstRest.shown(predictions).values()])


def pairwise_area(predictions):
    """Return the Figure of Hand and Till's M of Predictions of three classes or more.

    How well any two classes are told apart: the mean over ordered pairs (i, j) of the area of the probability of i,
    over the images of i and j only, and over the folds that have images of both. Unlike the mean of the areas against
    the rest, it does not depend on how frequent each class is. Hand and Till, Machine Learning 45 (2001) 171, equation
    7; the interval is that of any mean of areas, see mean_area.
    """
    count, names = len(predictions.class_names), predictions.class_names
    if count > MOST_PAIRED_CLASSES:
        reason = f"{count} classes have too many pairs; it is computed for at most {MOST_PAIRED_CLASSES}"
        return Figure(None, reason=reason)
    ones, curves = [OneAgainstRest.of(predictions, index) for index in range(count)], []
    for first, second in permutations(range(count), 2):
        pair = ones[first].select(np.isin(predictions.labels, (first, second)))
        try:
            curves += curves_of_folds(pair, 1 / (count * (count - 1)))
        except Undefined:
            where = "" if predictions.folds is None else " in one fold"
            return Figure(None, reason=f"no images of both {names[first]} and {names[second]}{where}")
    return mean_area(curves)


def mean_area(curves):
    """Return the Figure of the mean area of Curves, of one or several classes and folds.

    The interval is the score interval, never a point: the areas A with (mean - A)^2 <= z^2 D V(A), where V(A) is the
    mean's variance with all areas at A by method 5 of Newcombe, Statistics in Medicine 25 (2006) 559: for m images of
    the class, n others and N = (m + n) / 2 - 1 that of a curve is
    A (1 - A) (1 + N (1 - A) / (2 - A) + N A / (1 + A)) / (m n). D is 1 for single images and one class; otherwise it is
    how much groups of images, or classes that share their images, increase the variance (see area_design_effect).
    """
    mean = _mean(curves)
    if all(np.ptp(curve.scores) == 0 for curve in curves):
        return Figure(mean, reason=CONSTANT)
    effect = area_design_effect(curves)
    # V(A) is V(1 - A): the upper limit follows from the lower one of 1 - mean.
    return Figure(mean, [_lower_limit(mean, curves, effect), 1 - _lower_limit(1 - mean, curves, effect)])


def delong_interval(one):
    """Return DeLong's interval [lower, upper] of the mean area of a class (OneAgainstRest), for independent images.

    One curve: cut at 0 and 1, as R's pROC::ci.auc gives it; a point if the classes are separated without overlap.
    Several: mean -+ z sqrt(sum of their variances) / number, on the logit scale. Undefined for fewer than two images
    of the class or two others. DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837.
    """
    curves = curves_of_folds(one)
    _require_two_of_each(curves)
    mean, error = _mean(curves), np.sqrt(_independent_variance(curves))
    return around(mean, Z * error, lowest=0) if len(curves) == 1 or not 0 < mean < 1 else around_logit(mean, error)


def area_design_effect(curves):
    """Return the variance of the mean area of Curves, divided by that for single images and independent curves.

    It is 1 or more, and at most what it is if all images of a group, and all classes, are alike. It is taken as that if
    no curve has any variance, or one has images of the class, or others, in fewer than FEWEST_GROUPS groups.
    """
    groups = _groups(curves)
    sizes, _ = sizes_of(groups)
    most, independent = most_design_effect(sizes), _independent_variance(curves)
    few = any(min(curve.group_counts) < FEWEST_GROUPS for curve in curves)
    if most == 1 or independent < ROUNDING or few:
        return most
    ratio = _variance(groups, _components(curves)) / independent
    return float(np.clip(ratio * widening(len(sizes), len(groups)) ** 2, 1, most))


def one_list_deviation(curves):
    """Return how far, by chance, the area of all images in one list is from the mean over the Curves of folds.

    This is a standard deviation, for folds whose models are on one scale. Both areas are then means over pairs of an
    image of the class and another one, and differ as single pairs deviate, whose variance is at most that of a coin,
    A (1 - A). A fold has as many pairs as its groups make.
    """
    area = _mean(curves)
    pairs = [np.prod(curve.group_counts) for curve in curves]
    return float(np.sqrt(sum(curve.weight**2 * area * (1 - area) / n for curve, n in zip(curves, pairs, strict=True))))


def paired_difference(curves, other_curves):
    """Return (difference of two models' mean areas, its interval, two-sided p-value) on the same images.

    For one curve of single images as R's pROC::roc.test(paired = TRUE, method = "delong"); for images in groups with
    Obuchowski's variance. Undefined if the variance is 0 (both areas are 1, or both models rank all images alike), and
    for fewer than two images of the class or of others, or, if they come in groups, fewer than FEWEST_GROUPS groups:
    with two groups that have images of both classes, the variance is far too small.
    """
    _require_two_of_each(curves)
    groups = _groups(curves)
    in_groups = len(np.unique(groups)) < len(groups)
    if in_groups and any(min(curve.group_counts) < FEWEST_GROUPS for curve in curves):
        raise Undefined("needs images of the class, and others, from three groups each")
    difference = sum(ours.weight * (ours.area - theirs.area) for ours, theirs in zip(curves, other_curves, strict=True))
    variance = _variance(groups, _components(curves) - _components(other_curves))
    if variance < ROUNDING:
        raise Undefined("the difference has no variance on these images")
    error = np.sqrt(variance) * widening(len(np.unique(groups)), len(groups))
    p_value = float(2 * stats.norm.sf(abs(difference) / error))
    return difference, around(difference, Z * error), p_value


def correlation(curves, other_curves):
    """Return the correlation of two models' mean areas on the same images, from DeLong's or Obuchowski's covariance.

    It is 0 if one of them has no variance.
    """
    ours, theirs = (sums_of(_components(each), _groups(curves)) for each in (curves, other_curves))
    size = np.sqrt((ours @ ours) * (theirs @ theirs))
    return 0.0 if size < ROUNDING else float(ours @ theirs / size)


def _mean(curves):
    """Return the mean area: divided by the sum of weights, since fifty areas of 1 at 0.02 each sum to above 1."""
    return float(np.average([curve.area for curve in curves], weights=[curve.weight for curve in curves]))


def _require_two_of_each(curves):
    if any(min(curve.counts) < 2 for curve in curves):
        raise Undefined("needs two images of the class and two others")


def _fraction_below(scores, others):
    """Return for each of `scores` the fraction of `others` that it is above, ties counting half, float (n,).

    Sorting takes n log n instead of all pairs: Sun and Xu, IEEE Signal Processing Letters 21 (2014) 1389.
    """
    others = np.sort(others)
    below, not_above = (np.searchsorted(others, scores, side) for side in ("left", "right"))
    return (below + not_above) / (2 * len(others))


def _groups(curves):
    return np.concatenate([curve.groups for curve in curves])


def _components(curves):
    return np.concatenate([curve.components(curve.groups) for curve in curves])


def _variance(groups, components):
    return float((sums_of(components, groups) ** 2).sum())


def _independent_variance(curves):
    """Return DeLong's variance of the mean area, as if no image were in two curves."""
    return sum(float((curve.components(np.arange(len(curve.truth))) ** 2).sum()) for curve in curves)


def _lower_limit(area, curves, effect):
    if area == 0:
        return 0.0
    counts, weights = np.array([curve.counts for curve in curves]), np.array([curve.weight for curve in curves])
    spread = counts.sum(axis=1) / 2 - 1
    pairs = counts.prod(axis=1)

    def excess(limit):
        variance = limit * (1 - limit) * (1 + spread * (1 - limit) / (2 - limit) + spread * limit / (1 + limit)) / pairs
        return (area - limit) ** 2 - Z**2 * effect * (weights**2 * variance).sum()

    # At 0 the excess is above 0, and at the area below 0. For an area of 1 it is 0 there, and below 0 just under 1.
    return float(optimize.brentq(excess, 0, min(area, 1 - 1e-12), xtol=1e-14))
