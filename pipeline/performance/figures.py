"""What a figure is: its value, 95 % interval and counts, or why it is undefined; and how figures are written."""

from dataclasses import dataclass

from scipy import special, stats

CONFIDENCE = 0.95
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))


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


def proportion(count, total, reason_if_none=""):
    """Return the Figure of `count` of `total` images, with its exact interval; undefined for no images."""
    if total == 0:
        return Figure(None, None, count, total, reason_if_none)
    return Figure(count / total, exact_interval(count, total), count, total)


def exact_interval(count, total):
    """Return the exact interval of a proportion: Clopper and Pearson, Biometrika 26 (1934) 404; R's binom.test."""
    tail = (1 - CONFIDENCE) / 2
    lower = special.betaincinv(count, total - count + 1, tail) if count > 0 else 0.0
    upper = special.betaincinv(count + 1, total - count, 1 - tail) if count < total else 1.0
    return [float(lower), float(upper)]


def percent(value):
    """Write a proportion as a percentage, 93.75%."""
    return "undefined" if value is None else f"{value:.2%}"


def score(value, sign=""):
    """Write an area or a score with three decimals, 0.939."""
    return "undefined" if value is None else f"{value:{sign}.3f}"


def p_value(value):
    """Write a p-value, or another probability, with four decimals; "< 0.0001" for what is smaller."""
    if value is None:
        return "undefined"
    return "< 0.0001" if 0 < value < 0.0001 else f"{value:.4f}"


def points(value, decimals=2):
    """Write a difference of two proportions in percentage points, +1.25 points."""
    return "undefined" if value is None else f"{100 * value:+.{decimals}f} points"


def span(interval, written=".1%"):
    """Write an interval as "74.9% to 99.1%", or in the format given."""
    return "undefined" if interval is None else f"{interval[0]:{written}} to {interval[1]:{written}}"
