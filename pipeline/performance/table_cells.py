"""How figures stand in the tables of the performance page: with their interval, and what it is of."""

from pipeline.performance.figures import percent, span, telling_decimals

COLUMNS = ["metric", "value", "95% interval"]
MOST_ROWS = 20  # of a table that could have more
SIGN_FLIPS = "exact, by sign flips of the groups"
ALL_IN_JSON = "The results JSON has all of them."


def columns(results):
    """Return COLUMNS and the name of what is counted."""
    return [*COLUMNS, f"{results.unit}s"]


def metric_row(name, figure, write=percent, images=""):
    """Return a row below `columns`; `images` where the figure has no counts."""
    interval = span(figure, write) if figure.interval or figure.value is None else ""
    return name, write(figure.value), interval, figure.counts or images


def counted(figure, write=percent):
    """Write a figure, with the images behind it if it is a proportion: "93.8% (15 of 16)"."""
    return f"{write(figure.value)} ({figure.counts})" if figure.total else write(figure.value)


def with_span(figure, write=percent, counts=False):
    """Write a figure and its interval, "93.8%; 69.8% to 99.8%", with the images behind it if `counts`."""
    value = counted(figure, write) if counts else write(figure.value)
    return f"{value}; {span(figure, write)}" if figure.interval else value


def with_telling_span(figure):
    """Write a percentage close to 0 or 100 and its interval with as many decimals as it takes to tell them apart."""
    decimals = telling_decimals(figure)
    return with_span(figure, lambda value: percent(value, decimals))
