"""Intervals and tests for shares, kappa and confusion matrices, at 95 %. Imports no torch.

Intervals are lists [lower, upper]. `matrix` is counts (classes, classes): row the true class, column the predicted one.
"""

import numpy as np
from scipy import stats

from pipeline.performance.metrics import Undefined, accuracy, cohen_kappa, no_information_rate

CONFIDENCE = 0.95
ROUNDING = 1e-14
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))


def exact_interval(successes, trials):
    """Return the exact interval of a share: Clopper and Pearson, Biometrika 26 (1934) 404; R's binom.test.

    Undefined for no trials.
    """
    if trials == 0:
        raise Undefined("no image to take the share of")
    interval = stats.binomtest(successes, trials).proportion_ci(CONFIDENCE, method="exact")
    return [float(interval.low), float(interval.high)]


def kappa_interval(matrix):
    """Return the large-sample interval of Cohen's kappa, within -1 and 1, as R's psych::cohen.kappa gives it.

    The variance is that of Fleiss, Cohen and Everitt, Psychological Bulletin 72 (1969) 323, equation 13. It is 0, and
    the interval a point, where all predictions are right or all are one class. Undefined where kappa is.
    """
    kappa = cohen_kappa(matrix)
    shares = matrix / matrix.sum()
    true, predicted = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = accuracy(matrix), true @ predicted
    on_diagonal = np.diag(shares) @ (1 - expected - (true + predicted) * (1 - observed)) ** 2
    off_diagonal = shares * (predicted[:, None] + true[None, :]) ** 2 * (1 - np.eye(len(shares)))
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


def exact_mcnemar_test(only_first, only_second):
    """Return the two-sided exact p-value that two classifiers are right equally often on the same images.

    `only_first` counts the images that the first alone classified rightly, `only_second` those of the second. 1 where
    there is none of either. McNemar, Psychometrika 12 (1947) 153; the binomial form, as R's exact2x2 has it.
    """
    discordant = only_first + only_second
    return float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0


def paired_difference_interval(only_first, only_second, count):
    """Return the interval of the difference of two shares of the same `count` images, within -1 and 1.

    Adjusted Wald interval with one image added to each kind of discordant pair: Bonett and Price, Journal of
    Educational and Behavioral Statistics 37 (2012) 479. Arguments as for exact_mcnemar_test.
    """
    first, second = (only_first + 1) / (count + 2), (only_second + 1) / (count + 2)
    half_width = Z * np.sqrt((first + second - (first - second) ** 2) / (count + 2))
    return [float(max(first - second - half_width, -1)), float(min(first - second + half_width, 1))]
