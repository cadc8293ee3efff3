"""Intervals that are valid for images in groups: of one patient or of one scene, say.

Images of a group tend to be right or wrong together, and then tell less than as many single ones. How much less is the
design effect: the variance of a mean over these groups, divided by that over as many single images (Kish, Survey
Sampling, 1965). The effective number of images is their number divided by it. `groups` is int (n,), the group of each
image. If each image is its own group, everything here is the usual method.
"""

import math

import numpy as np
from scipy import optimize, special, stats

from pipeline.performance.figures import CONFIDENCE, ROUNDING, Figure, exact_interval

RESAMPLES = 1000
ALIKE = "the images, or their groups, do not differ"
FEWEST_GROUPS = 3  # that tell how alike the images of a group are


def proportion(outcomes, groups, reason_if_none=""):
    """Return the Figure of the fraction of images with an outcome, bool (n,); undefined without images.

    The interval is the exact one for the effective number of images: Korn and Graubard, Survey Methodology 24 (1998)
    193; R's survey::svyciprop(method = "beta").
    """
    count, total = int(outcomes.sum()), len(outcomes)
    if total == 0:
        return Figure(None, None, count, total, reason_if_none)
    effect = design_effect(outcomes, groups)
    return Figure(count / total, exact_interval(count / effect, total / effect), count, total)


def positive_mean(values, groups, largest=math.inf):
    """Return the Figure of the mean of `values`, float (n,), which are between 0 and `largest`.

    The interval is Student's t for this number of groups on the logarithm of the mean, which is less skewed. Its
    variance follows from that of a ratio in survey sampling (see design_effect): Cochran, Sampling Techniques (1977),
    6.3; R's survey::svymean, whose interval is that of the mean itself.
    """
    mean = float(values.mean())
    deviations = sums_of(values - mean, groups)
    count = len(deviations)
    if count == 1 or np.abs(deviations).max() <= ROUNDING * values.sum():
        return Figure(mean, reason=ALIKE)
    error = np.sqrt(count / (count - 1) * (deviations**2).sum()) / len(values)
    factor = np.exp(student_t(count - 1) * error / mean)
    return Figure(mean, [float(mean / factor), float(min(mean * factor, largest))])


def number_to_halve(outcomes, groups):
    """Return how many images like these make the interval of proportion(outcomes, groups) half as wide, rounded up.

    This is the n with W(p, n / D) = W(p, n0 / D) / 2, where W is the width of the exact interval, p the fraction of
    these n0 images, and D their design effect, for groups as large as these. It is near 4 n0 for p near 1/2, as widths
    are then proportional to 1 / sqrt(n), and near 2 n0 for p of 0 or 1, as they are then proportional to 1 / n.
    """
    effect, total = design_effect(outcomes, groups), len(outcomes)

    def width(number):
        lower, upper = exact_interval(outcomes.mean() * number / effect, number / effect)
        return upper - lower

    # At most 17 times as many are needed: for two images of one group, one of them right.
    number = optimize.brentq(lambda number: width(number) - width(total) / 2, total, 100 * total)
    return math.ceil(number)


def design_effect(values, groups):
    """Return the design effect of the mean of `values`, float (n,): 1 or more, 1 if each image is its own group.

    The variance between groups is that of survey sampling, G / (G - 1) sum over groups of (sum of deviations)^2 / n^2,
    widened by Student's t for few groups as in svyciprop. The effect is at most that of groups whose images are all
    alike, and taken as that if nothing is known: if the values do not vary, or there is only one group.
    """
    sizes, _ = sizes_of(groups)
    count, most = len(values), most_design_effect(sizes)
    deviations = values - values.mean()
    single = (deviations**2).sum() * count / max(count - 1, 1)
    if single == 0 or len(sizes) == 1:
        return most
    between = (sums_of(deviations, groups) ** 2).sum() * len(sizes) / (len(sizes) - 1)
    return float(np.clip(between / single * widening(len(sizes), count) ** 2, 1, most))


def variance_of_sum(values, groups):
    """Return the variance between groups of the sum of `values`, float (n,), widened for few groups: see above."""
    sums = sums_of(values, groups)
    between = ((sums - sums.mean()) ** 2).sum() * len(sums) / max(len(sums) - 1, 1)
    return float(between * widening(len(sums), len(values)) ** 2)


def correlations(outcomes, among, groups):
    """Return the correlations of several fractions over groups, float (fractions, fractions), 1 on the diagonal.

    `outcomes` and `among` are bool (n, fractions): the images that a fraction counts, and those it is of. A correlation
    is 0 if no group has images of both fractions, or if one of the two does not vary.
    """
    fractions = (outcomes & among).sum(axis=0) / among.sum(axis=0)
    sums = np.stack([sums_of(each, groups) for each in (among * (outcomes - fractions)).T])
    sums /= np.maximum(np.sqrt((sums**2).sum(axis=1, keepdims=True)), np.finfo(float).tiny)
    together = sums @ sums.T
    np.fill_diagonal(together, 1)
    return together


def sizes_of(groups):
    """Return the number of images in each group, and the group of each image counted from 0."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return sizes, group


def sums_of(values, groups):
    """Return the sum of `values`, float (n,), over each group."""
    return np.bincount(sizes_of(groups)[1], weights=values)


def most_design_effect(sizes):
    """Return the design effect of groups of these sizes whose images are all alike: the sum of size^2 / n."""
    return float((sizes**2).sum() / sizes.sum())


def widening(group_count, image_count):
    """Return how much wider an interval gets as its variance is that of few groups: a ratio of Student's t."""
    return 1.0 if group_count == image_count else float(student_t(group_count - 1) / student_t(image_count - 1))


def student_t(degrees):
    """Return half the width of an interval, in standard errors with this number of degrees of freedom."""
    return special.stdtrit(degrees, (1 + CONFIDENCE) / 2)


def bootstrap(values, groups):
    """Return the interval of the mean of `values`, float (n,), as [lower, upper]; None if the mean does not vary.

    Whole groups are drawn with replacement, but not within folds: in a fold of two groups, the variance would come out
    half as large as it is. The limits are percentiles, a little further out for few groups: Davison and Hinkley,
    Bootstrap Methods (1997), 3.8; Hesterberg, The American Statistician 69 (2015) 371, 5.
    """
    random, (sizes, _), sums, drawn = np.random.RandomState(0), sizes_of(groups), sums_of(values, groups), []
    count = len(sizes)
    if count < 2:
        return None
    for _ in range(RESAMPLES):
        times = np.bincount(random.choice(count, count), minlength=count)
        drawn.append(times @ sums / (times @ sizes))
    tail = stats.norm.sf(np.sqrt(count / (count - 1)) * student_t(count - 1))
    lower, upper = np.quantile(drawn, [tail, 1 - tail]).tolist()
    return None if lower == upper else [lower, upper]


def sign_flip_test(differences, groups):
    """Return the two-sided exact p-value of two models being correct equally often on the same images.

    `differences`, int (n,), is 1 where only the first is correct and -1 where only the second is. Under the hypothesis
    the sum of each group is as likely as its negative, and all combinations of signs are counted (Fisher, The Design of
    Experiments, 1935, section 21). If each image is its own group, it is McNemar's exact test, Psychometrika 12 (1947)
    153, as R's exact2x2 gives it.
    """
    sums = np.abs(sums_of(differences, groups)).astype(int)
    total, observed = sums.sum(), abs(int(differences.sum()))
    if sums.max() == 1:
        return float(stats.binomtest(int((total + observed) // 2), int(total)).pvalue)
    # chance[total + s] is the probability of the sum s.
    chance = np.zeros(2 * total + 1)
    chance[total] = 1
    for each in sums[sums > 0]:
        chance = (np.roll(chance, each) + np.roll(chance, -each)) / 2
    return float(min(1, chance[np.abs(np.arange(-total, total + 1)) >= observed].sum()))
