"""How figures are written: alone, with their interval and counts, and as rows of the page's tables."""

import math

from pipeline.performance.figures import ROUNDING

COLUMNS = ["metric", "value", "95% interval"]
MOST_ROWS = 20  # of a table that could have more
SIGN_FLIPS = "exact, by sign flips of the groups"
ALL_IN_JSON = "The results JSON has all of them."
MOST_DECIMALS = 6  # of a fraction that is almost 0 or 1


def percent(value, decimals=None):
    """Write a proportion as a percentage, 92.3%."""
    if value is None:
        return "undefined"
    decimals = _decimals(value) if decimals is None else decimals
    return f"{_imperfect(value, decimals):.{decimals - 2}%}"


def score(value, decimals=None):
    """Write an area or another score with three decimals, 0.939."""
    if value is None:
        return "undefined"
    decimals = _decimals(value) if decimals is None else decimals
    return f"{_imperfect(value, decimals):.{decimals}f}"


def ratio(value):
    """Write a ratio from 0 up with three digits or, below 1, three decimals: 9.38, 0.069."""
    if value is None:
        return "undefined"
    if value == math.inf:
        return "infinite"
    return f"{value:.{sum(value < bound for bound in (1, 10, 100))}f}"


def p_value(value):
    """Write a p-value with four decimals, or as "< 0.0001"."""
    if value is None:
        return "undefined"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def points(value):
    """Write a difference of two proportions in percentage points, +1.2 points."""
    return "undefined" if value is None else f"{100 * value:+.1f} points"


def span(figure, write=percent):
    """Write a Figure's interval as "74.9% to 99.1%", with as many decimals as its value."""
    if figure.interval is None:
        return "undefined"
    decimals = _decimals(figure.value) if write in (percent, score) else None
    return " to ".join(write(limit) if decimals is None else write(limit, decimals) for limit in figure.interval)


def telling_decimals(figure):
    """Return how many decimals, 3 or more, tell the value of a Figure, a fraction, from its limits."""
    if figure.value is None:
        return 3
    numbers = {figure.value, *(figure.interval or ())}
    enough = (
        n for n in range(3, MOST_DECIMALS) if len({round(_imperfect(each, n), n) for each in numbers}) == len(numbers)
    )
    return next(enough, MOST_DECIMALS)


def signed(value):
    """Write a difference of two scores with three decimals, +0.012."""
    return "undefined" if value is None else f"{value:+.3f}"


def columns(results):
    """Return COLUMNS and the name of what is counted."""
    return [*COLUMNS, f"{results.unit}s"]


def metric_row(name, figure, write=percent, images=""):
    """Return a row below `columns`; `images` is for a figure without counts."""
    interval = span(figure, write) if figure.interval or figure.value is None else ""
    return name, write(figure.value), interval, figure.counts or images


def with_span(figure, write=percent, counts=False):
    """Write a figure and its interval, "93.8%; 69.8% to 99.8%", with the images of a proportion if `counts`."""
    value = f"{write(figure.value)} ({figure.counts})" if counts and figure.total else write(figure.value)
    return f"{value}; {span(figure, write)}" if figure.interval else value


def with_telling_span(figure):
    """Write a percentage close to 0 or 100 and its interval with as many decimals as it takes to tell them apart."""
    decimals = telling_decimals(figure)
    return with_span(figure, lambda value: percent(value, decimals))


def _decimals(value):
    """Return how many decimals, 3 or more, keep a value that is not quite 0, 1 or -1 from looking like it."""
    distance = min(abs(value), abs(1 - abs(value)))
    if distance == 0 or abs(value) < ROUNDING:
        return 3
    return next((number for number in range(3, MOST_DECIMALS) if distance >= 0.5 * 10**-number), MOST_DECIMALS)


def _imperfect(value, decimals):
    """Return a value strictly between 0 and 1 so that it is not written as either; others unchanged."""
    if abs(value) < ROUNDING:
        return 0.0
    step = 10.0**-decimals
    return min(max(value, step), 1 - step) if 0 < value < 1 else value
