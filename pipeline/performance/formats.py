"""How figures of a results object are written for people: shares, intervals, p-values, counts. Imports no torch."""

from pipeline.messages import printable


def percent(share):
    """Write a share as a percentage, 93.75%; "undefined" for None."""
    return "undefined" if share is None else f"{share:.2%}"


def number(value):
    """Write an area, a score or a p-value with four decimals; "undefined" for None, "< 0.0001" for what is smaller."""
    if value is None:
        return "undefined"
    return "< 0.0001" if 0 < value < 0.0001 else f"{value:.4f}"


def span(interval, written=".1%"):
    """Write an interval as "74.9% to 99.1%", or in the format given; "undefined" for None."""
    return "undefined" if interval is None else f"{interval[0]:{written}} to {interval[1]:{written}}"


def one_line(text):
    """Write a name on one line that leaves a Markdown table whole, whatever letters it holds."""
    return printable(text).replace("|", "\\|")


def counts_behind(name, figures):
    """Return (count, of how many) of a share in `figures`, one class's or those at the top of a two-class result.

    None for what is no share of images.
    """
    true_positives, false_negatives = figures["True Positives"], figures["False Negatives"]
    false_positives, true_negatives = figures["False Positives"], figures["True Negatives"]
    positives, predicted = true_positives + false_negatives, true_positives + false_positives
    total = positives + false_positives + true_negatives
    return {
        "Sensitivity": (true_positives, positives),
        "Specificity": (true_negatives, total - positives),
        "Accuracy": (true_positives + true_negatives, total),
        "Pos Pred Value": (true_positives, predicted),
        "Neg Pred Value": (true_negatives, total - predicted),
        "Precision": (true_positives, predicted),
        "Recall": (true_positives, positives),
        "Prevalence": (positives, total),
        "Detection Rate": (true_positives, total),
        "Detection Prevalence": (predicted, total),
    }.get(name)


def counted(name, figures):
    """Write a share with the images behind it, "93.75% (15 of 16)"; without them what is no share of images."""
    counts = counts_behind(name, figures)
    if figures[name] is None or counts is None:
        return percent(figures[name])
    return f"{percent(figures[name])} ({counts[0]} of {counts[1]})"
