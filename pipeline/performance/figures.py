"""What a figure is: its value, 95 % interval and counts, or why it is undefined; and how figures combine."""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

CONFIDENCE = 0.95
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
ROUNDING = 1e-12  # a kappa, an intercept or the like that is nearer to 0 is 0 but for rounding


class Undefined(ValueError):
    """A figure has no value for these images; the message says why, in words fit for a report."""


@dataclass(frozen=True)
class Figure:
    """One number of the results."""

    value: float | None
    interval: list | None = None  # [lower, upper]
    count: int | None = None  # of a proportion: `count` of `total` images
    total: int | None = None
    reason: str = ""  # why the value is undefined, or only its interval

    def mapped(self, function):
        """Return the Figure of a monotone function of the value and limits; an undefined one unchanged."""
        if self.value is None:
            return self
        return Figure(function(self.value), sorted(map(function, self.interval)))

    @property
    def counts(self):
        """The images behind a proportion, "15 of 16"; "" for another figure."""
        return "" if self.total is None else f"{self.count} of {self.total}"


def figure_of(function, *arguments, interval=None):
    """Return the Figure of function(*arguments), with interval(*arguments); either may raise Undefined."""
    value = None
    try:
        value = function(*arguments)
        return Figure(value, interval(*arguments) if interval else None)
    except Undefined as reason:
        return Figure(value, reason=str(reason))


def exact_interval(count, total, tail=(1 - CONFIDENCE) / 2):
    """Return the exact interval of a proportion: Clopper and Pearson, Biometrika 26 (1934) 404; R's binom.test.

    As quantiles of the beta distribution, so that neither number need be whole: see grouped.proportion. Each limit is
    also that of a one-sided interval, which is wrong with a probability of at most `tail`.
    """
    lower = special.betaincinv(count, total - count + 1, tail) if count > 0 else 0
    upper = special.betaincinv(count + 1, total - count, 1 - tail) if count < total else 1
    return [float(lower), float(upper)]


def around(value, half_width, lowest=-1):
    """Return the interval value -+ half_width, cut at `lowest` and at 1."""
    return [float(max(value - half_width, lowest)), float(min(value + half_width, 1))]


def around_logit(fraction, error):
    """Return the interval of a fraction, not 0 or 1, with a standard error, symmetric on the logit scale."""
    half_width = Z * error / (fraction * (1 - fraction))
    return special.expit(special.logit(fraction) + np.array([-half_width, half_width])).tolist()


def mean_of(figures, correlations=None):
    """Return the Figure of the mean of Figures.

    The interval recovers each figure's variance, on either side of it, from its own interval, so that it is not a point
    if theirs are not: Zou and Donner, Statistics in Medicine 27 (2008) 1693. It is None if one of theirs is.
    `correlations`, float (figures, figures), widen it (Zou, Psychological Methods 12 (2007) 399); those below 0 are
    taken as 0, and without any the figures are taken as independent.
    """
    count, mean = len(figures), sum(figure.value for figure in figures) / len(figures)
    if any(figure.interval is None for figure in figures):
        return Figure(mean)
    together = np.eye(count) if correlations is None else np.maximum(correlations, 0)
    values, limits = np.array([figure.value for figure in figures]), np.array([figure.interval for figure in figures])
    reaches = values - limits[:, 0], limits[:, 1] - values
    below, above = (float(np.sqrt(reach @ together @ reach)) / count for reach in reaches)
    return Figure(mean, [mean - below, mean + above])


def difference_of(first, second, correlation=0.0):
    """Return the Figure of the first Figure minus the second; one without an interval is taken as known.

    The interval follows from theirs and the correlation, as in mean_of: Zou, Psychological Methods 12 (2007) 399.
    """
    value = first.value - second.value
    (lower, upper), (other_lower, other_upper) = (each.interval or [each.value] * 2 for each in (first, second))

    def reach(own, other):
        return float(np.sqrt(max(own**2 + other**2 - 2 * correlation * own * other, 0)))

    below = reach(first.value - lower, other_upper - second.value)
    above = reach(upper - first.value, second.value - other_lower)
    return Figure(value, [value - below, value + above])


def differ(one, other):
    """Tell whether the Figures of two independent proportions differ: 0 is outside the interval of their difference.

    Method 10 of Newcombe, Statistics in Medicine 17 (1998) 873, from the intervals that they have.
    """
    lower, upper = difference_of(one, other).interval
    return not lower <= 0 <= upper


def missing_of(figures):
    """Return why the mean over classes of {class: Figure} is undefined; "" if it is not."""
    missing = [name for name, figure in figures.items() if figure.value is None]
    return f"undefined for the class {', '.join(missing)}" if missing else ""
