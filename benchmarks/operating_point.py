"""An operating point: does the guarantee hold, is the warning right, from how many images on does a temperature pay?

    python benchmarks/operating_point.py temperature
    python benchmarks/operating_point.py guarantee
    python benchmarks/operating_point.py warning
    python benchmarks/operating_point.py runs "DIR/NAME_fold_*_preds.json" ...

The first three draw the log odds of two classes: x is normal with mean m or -m and variance 1, and 2 m x is then the
true log odds. A model gives `overconfidence` times that. Every random number comes from one seed. The fourth takes the
test predictions of real folds, and fits a temperature on some of their images to judge it by the others.
"""

import argparse
import functools
import glob
from pathlib import Path

import measuring
import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from pipeline.errors import UserError
from pipeline.messages import format_table
from pipeline.operating_point import SMALLEST, calibrated
from pipeline.performance import folds, temperature, thresholds, validations
from pipeline.performance.cautions import cautions
from pipeline.performance.summary import summarize
from pipeline.predictions import Predictions, read_all

REPEATS = 1000
ACCURACIES = (0.75, 0.9, 0.97)
OVERCONFIDENCE = (0.7, 1, 1.25, 1.5, 2)
COUNTS = (25, 50, 100, 200, 400)
# Of the guarantee.
DRAWS = 2000
SENSITIVITIES, POSITIVES, GROUP_SIZES = (0.8, 0.9, 0.95), (40, 75, 150, 300), (1, 3)

WARNING_DRAWS = 500


def draw(random, count, accuracy, overconfidence=1.0):
    """Return labels, int (n,), and a model's probabilities, float (n, 2), of as many images of either class."""
    labels, m = np.arange(count) % 2, norm.ppf(accuracy)
    positive = expit(overconfidence * 2 * m * random.normal((2 * labels - 1) * m))
    return labels, np.column_stack([1 - positive, positive])


def temperature_table():
    """Return the table of the change in log loss by a temperature, on other images: mean, and how often it is worse."""
    rows = []
    for accuracy in ACCURACIES:
        for overconfidence in OVERCONFIDENCE:
            random = np.random.default_rng(0)
            losses = Losses(*draw(random, 40_000, accuracy, overconfidence))
            changes = [
                [losses.change(temperature.fit(*draw(random, count, accuracy, overconfidence))) for _ in range(REPEATS)]
                for count in COUNTS
            ]
            cells = [f"{np.mean(one):+.4f} ({np.mean(np.array(one) > 0):.0%})" for one in changes]
            rows.append((f"{accuracy:.0%}", f"{overconfidence:g}", *cells))
    return format_table(["accuracy", "overconfidence", *(f"{count} images" for count in COUNTS)], rows)


class Losses:
    """The log loss of many images by temperature, computed once on a grid."""

    def __init__(self, labels, probabilities):
        self.grid = np.linspace(*np.log(temperature.BOUNDS), 301)
        logits = np.log(np.maximum(probabilities, SMALLEST))
        odds = (logits[:, 1] - logits[:, 0]) * (1 - 2 * labels)
        self.losses = [np.logaddexp(0, odds / np.exp(each)).mean() for each in self.grid]

    def change(self, value):
        """Return by how much the log loss is higher at a temperature than at 1, as it was."""
        return np.interp(np.log(value), self.grid, self.losses) - np.interp(0, self.grid, self.losses)


def guarantee_table():
    """Return the table of how often a threshold's true sensitivity is below the one asked for, and how often refused.

    Images of a group share half of the variance of their log odds.
    """
    rows = []
    for size in GROUP_SIZES:
        for least in SENSITIVITIES:
            for count in POSITIVES:
                random = np.random.default_rng(0)
                plain, shown = (
                    [true_sensitivity(random, count, size, thresholds.Rule(least, guaranteed)) for _ in range(DRAWS)]
                    for guaranteed in (False, True)
                )
                given = [value for value in shown if value is not None]
                below = [sum(value < least for value in values) / DRAWS for values in (plain, given)]
                median = f"{np.median(given):.3f}" if given else ""
                refused = f"{1 - len(given) / DRAWS:.1%}"
                rows.append((size, least, count, f"{below[0]:.1%}", f"{below[1]:.1%}", refused, median))
    header = [
        "images a group",
        "asked for",
        "positive images",
        "below, plain",
        "below, guaranteed",
        "refused",
        "median",
    ]
    return format_table(header, rows)


def true_sensitivity(random, positives, size, rule):
    """Return the true sensitivity of a threshold that drawn validation images choose; None where it is refused."""
    count = 2 * positives
    labels, m = np.repeat([0, 1], positives), norm.ppf(0.9)
    groups = np.arange(count) // size
    shared = random.normal(size=groups.max() + 1)[groups]
    x = (2 * labels - 1) * m + (
        random.normal(size=count) if size == 1 else (shared + random.normal(size=count)) / 2**0.5
    )
    positive = expit(2 * m * x)
    names = [str(group) for group in groups]
    drawn = Predictions(
        labels, (positive >= 0.5).astype(int), np.column_stack([1 - positive, positive]), ["no", "yes"], "yes",
        groups=names, split="val",
    )  # fmt: skip
    try:
        (point,), _ = thresholds.choose_all([drawn], validations.Pool("", "", drawn, [drawn]), rule)
    except UserError:
        return None
    return norm.sf(logit(point.value) / (2 * m) - m)


def warning_table():
    """Return the table of how often a threshold is said not to carry over to test images, of the same kind as it is."""
    rows = []
    for rule in (thresholds.Rule(), thresholds.Rule(0.95)):
        for count in (26, 50, 100, 400):
            random, warned = np.random.default_rng(0), 0
            for _ in range(WARNING_DRAWS):
                validation, tested = (predictions_of(*draw(random, count, 0.9), split) for split in ("val", "test"))
                pool = validations.Pool("", "", validation, [validation])
                (point,), _ = thresholds.choose_all([tested], pool, rule)
                results = summarize(thresholds.apply(tested, point.value), thresholds=(point,))
                warned += any("where it was chosen" in caution for caution in cautions(results))
            rows.append((str(rule), count, f"{warned / WARNING_DRAWS:.1%}"))
    return format_table(["rule", "images of either part", "warned"], rows)


def predictions_of(labels, probabilities, split):
    """Return Predictions of two classes."""
    return Predictions(labels, probabilities.argmax(axis=1), probabilities, ["no", "yes"], "yes", split=split)


def runs_table(patterns):
    """Return the table of the change in log loss for real predictions of folds; halves of whole groups, at random."""
    rows = []
    for pattern in patterns:
        paths = sorted(Path(path) for path in glob.glob(pattern))
        found = folds.pool(read_all(paths), paths)
        groups, random = found.group_numbers(), np.random.default_rng(0)
        cells = []
        for count in COUNTS:
            changes = (
                [] if count > 0.7 * len(groups) else [change_in_a_run(random, found, groups, count) for _ in range(200)]
            )
            cells.append(f"{np.mean(changes):+.4f} ({np.mean(np.array(changes) > 0):.0%})" if changes else "")
        accuracy = (found.labels == found.probabilities.argmax(axis=1)).mean()
        value = temperature.fit(found.labels, found.probabilities)
        rows.append(
            (
                paths[0].name.partition("_fold_")[0],
                f"{len(groups)} of {len(found.class_names)}",
                f"{accuracy:.1%}",
                f"{value:.2f}",
                *cells,
            )
        )
    header = ["run", "images of classes", "accuracy", "temperature of all", *(f"{count} images" for count in COUNTS)]
    return format_table(header, rows)


def change_in_a_run(random, found, groups, count):
    """Return the change in log loss of the other images by a temperature fitted on about `count`, in whole groups."""
    order = random.permutation(groups.max() + 1)
    chosen = np.isin(groups, order[: np.searchsorted(np.cumsum(np.bincount(groups)[order]), count) + 1])
    value = temperature.fit(found.labels[chosen], found.probabilities[chosen])
    labels, before = found.labels[~chosen], found.probabilities[~chosen]
    losses = (
        -np.log(np.maximum(probabilities, SMALLEST)[np.arange(len(labels)), labels]).mean()
        for probabilities in (calibrated(before, value), before)
    )
    return next(losses) - next(losses)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["temperature", "guarantee", "warning", "runs"])
    parser.add_argument("PREDS", nargs="*", help="with runs: patterns of predictions JSON, one for each model")
    options = parser.parse_args()
    tables = {
        "temperature": temperature_table,
        "guarantee": guarantee_table,
        "warning": warning_table,
        "runs": functools.partial(runs_table, options.PREDS),
    }
    print(measuring.machine("numpy", "scipy"))
    print(tables[options.what]())


if __name__ == "__main__":
    main()
