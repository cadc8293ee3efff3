"""The area under the ROC curve: its value, two intervals, and the comparison of two models.

`truth` is bool (n,), whether the image is of the class; `scores` is float (n,), higher for the class. Fewer than one
image of the class and one other leave everything here undefined.
"""

import numpy as np
from scipy import optimize, stats

from pipeline.performance.figures import Undefined, Z

# A variance below this is 0 but for rounding: one exchanged pair among 100,000 images of each class gives 1e-20.
ROUNDING = 1e-28


def roc_auc(truth, scores):
    """Return the area: the probability that an image of the class scores above another one, ties counting half.

    The Mann-Whitney statistic over the number of pairs: Hanley and McNeil, Radiology 143 (1982) 29.
    """
    return float(_placements(truth, scores[None])[0].mean())


def delong_interval(truth, scores):
    """Return DeLong's interval [lower, upper] of the area, cut at 0 and 1, as R's pROC::ci.auc gives it.

    A point where the classes are separated without overlap. Undefined for fewer than two images of the class or two
    others. DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837.
    """
    beaten, beaten_by = _delong_placements(truth, scores[None])
    area, half_width = beaten[0].mean(), Z * np.sqrt(_delong_variance(beaten[0], beaten_by[0]))
    return [float(max(area - half_width, 0)), float(min(area + half_width, 1))]


def newcombe_interval(truth, scores):
    """Return the score interval [lower, upper] of the area, never a point, not at an area of 0 or 1 either.

    Method 5 of Newcombe, Statistics in Medicine 25 (2006) 559: the areas A with |area - A| <= z sqrt(V(A)), where for
    m images of the class, n others and N = (m + n) / 2 - 1
    V(A) = A (1 - A) (1 + N (1 - A) / (2 - A) + N A / (1 + A)) / (m n).
    """
    area, positives = roc_auc(truth, scores), int(truth.sum())
    negatives = len(truth) - positives
    lower = _newcombe_lower_limit(area, positives, negatives)
    return [lower, 1 - _newcombe_lower_limit(1 - area, positives, negatives)]


def delong_test(truth, scores, other_scores):
    """Return (difference of the areas, its interval, two-sided p-value) of two models on the same images.

    As R's pROC::roc.test(paired = TRUE, method = "delong"): the p-value is 1 where neither the difference nor its
    variance is other than 0. Undefined where only the variance is 0, and as for delong_interval.
    """
    beaten, beaten_by = _delong_placements(truth, np.stack([scores, other_scores]))
    difference = float(beaten[0].mean() - beaten[1].mean())
    variance = _delong_variance(beaten[0] - beaten[1], beaten_by[0] - beaten_by[1])
    if variance < ROUNDING and abs(difference) > np.sqrt(ROUNDING):
        raise Undefined("the difference has no variance on these images")
    error = np.sqrt(variance)
    p_value = 1.0 if variance < ROUNDING else float(2 * stats.norm.sf(abs(difference) / error))
    return difference, [float(max(difference - Z * error, -1)), float(min(difference + Z * error, 1))], p_value


def _placements(truth, scores):
    """Return for each image of the class the fraction of the others that it beats, and for each other the reverse.

    `scores` is (models, n); the results are (models, images of the class) and (models, others). Ranks with ties
    averaged take n log n instead of all pairs: Sun and Xu, IEEE Signal Processing Letters 21 (2014) 1389.
    """
    if truth.all() or not truth.any():
        raise Undefined("needs images of the class and of another one")
    ranks = stats.rankdata(scores, axis=1)
    of_class, others = scores[:, truth], scores[:, ~truth]
    beaten = (ranks[:, truth] - stats.rankdata(of_class, axis=1)) / others.shape[1]
    beaten_by = 1 - (ranks[:, ~truth] - stats.rankdata(others, axis=1)) / of_class.shape[1]
    return beaten, beaten_by


def _delong_placements(truth, scores):
    beaten, beaten_by = _placements(truth, scores)
    if min(beaten.shape[1], beaten_by.shape[1]) < 2:
        raise Undefined("needs two images of the class and two others")
    return beaten, beaten_by


def _delong_variance(beaten, beaten_by):
    return beaten.var(ddof=1) / len(beaten) + beaten_by.var(ddof=1) / len(beaten_by)


def _newcombe_lower_limit(area, positives, negatives):
    if area == 0:
        return 0.0
    spread = (positives + negatives) / 2 - 1

    def excess(limit):
        variance = limit * (1 - limit) * (1 + spread * (1 - limit) / (2 - limit) + spread * limit / (1 + limit))
        return (area - limit) ** 2 - Z**2 * variance / (positives * negatives)

    # At 0 the excess is above 0. At the area it is below 0, but for an area of 1, where it is 0: just under 1 it is.
    return float(optimize.brentq(excess, 0, min(area, 1 - 1e-12), xtol=1e-14))
