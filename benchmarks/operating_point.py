"""Operating points: does the guarantee hold, is the warning right, from how many images on does a temperature help?

    python benchmarks/operating_point.py temperature
    python benchmarks/operating_point.py guarantee
    python benchmarks/operating_point.py warning
    python benchmarks/operating_point.py runs "DIR/NAME_fold_*_preds.json" ...

The first three draw the log odds of two classes: x is normal with mean m or -m and variance 1, so the true log odds are
2 m x. A model gives `overconfidence` times that. Every random number comes from one seed. The fourth takes the test
predictions of real folds, and fits a temperature on some of their images to judge it on the others.
"""

import argparse
import functools
import glob
import itertools
from pathlib import Path

import measuring
import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from pipeline.errors import UserError
from pipeline.messages import format_table
from pipeline.operating_point import SMALLEST, calibrated
from pipeline.performance import figures, folds, metrics, temperature, thresholds, validations
from pipeline.predictions import Predictions, read_all

REPEATS = 1000
ACCURACIES = (0.75, 0.9, 0.97)
OVERCONFIDENCE = (0.7, 1, 1.25, 1.5, 2)
COUNTS = (25, 50, 100, 200, 400)
# For the guarantee.
DRAWS = 2000
SENSITIVITIES, POSITIVES, GROUP_SIZES = (0.8, 0.9, 0.95), (40, 75, 150, 300), (1, 3)

# For the warning.
WARNING_DRAWS, WARNING_COUNTS = 500, (30, 50, 100, 400)


def draw(random, count, accuracy, overconfidence=1.0):
    """Return labels, int (n,), and a model's probabilities, float (n, 2), of equally many images of both classes."""
    labels, m = np.arange(count) % 2, norm.ppf(accuracy)
    positive = expit(overconfidence * 2 * m * random.normal((2 * labels - 1) * m))
    return labels, np.column_stack([1 - positive, positive])


def temperature_table():
    """Return the table of how a temperature changes the log loss of other images: mean, and how often it is worse."""
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
        """Return by how much the log loss is higher at a temperature than at 1, which changes nothing."""
        return np.interp(np.log(value), self.grid, self.losses) - np.interp(0, self.grid, self.losses)


def guarantee_table():
    """Return the table of how often a threshold's true sensitivity is too low, and how often a threshold is refused.

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
    """Return the true sensitivity of a threshold that drawn validation images choose; None if it is refused."""
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
    """Return the table of how often a warning says that thresholds do not carry over to test images.

    Of the validation images 90% are classified correctly; of the test images 90%, or 80% if they are harder.
    """
    rows = []
    rules = thresholds.Rule(), thresholds.Rule(0.95)
    for fold_count, size, rule, count in itertools.product((1, 5), GROUP_SIZES, rules, WARNING_COUNTS):
        cells = []
        for accuracy in (0.9, 0.8):
            random = np.random.default_rng(0)
            warned = sum(is_warned(random, fold_count, size, rule, count, accuracy) for _ in range(WARNING_DRAWS))
            cells.append(f"{warned / WARNING_DRAWS:.1%}")
        rows.append((fold_count, size, str(rule), count, *cells))
    return format_table(["folds", "images a group", "rule", "validation images", "warned", "harder"], rows)


def is_warned(random, fold_count, size, rule, count, accuracy):
    """Tell whether a warning says that thresholds chosen on `count` drawn validation images do not carry over.

    One model is tested on as many other images. With folds, each of twice as many images is tested by one model, and
    every second one is a validation image of another. The models share three quarters of the variance of the log odds,
    and are shifted. Images of a group share half of it.
    """
    groups, m = np.arange(2 * count) // size, norm.ppf(0.9)
    labels, folds_of = groups % 2, groups % 5 if fold_count > 1 else np.zeros(2 * count, dtype=int)
    of_group = 0.0 if size == 1 else 0.5
    shared = of_group**0.5 * random.normal(size=2 * count)[groups]
    shared += (0.75 - of_group) ** 0.5 * random.normal(size=2 * count)
    shifts = 0.25 * random.normal(size=fold_count)
    half = (groups // 10 + groups % 5) % 2 == 0

    def predictions_of(split, fold, chosen, accuracy):
        own = shared + 0.5 * random.normal(size=2 * count) + shifts[fold]
        positive = expit(2 * m * ((2 * labels - 1) * norm.ppf(accuracy) + own))[chosen]
        return Predictions(
            labels[chosen], (positive >= 0.5).astype(int), np.column_stack([1 - positive, positive]), ["no", "yes"],
            "yes", [f"{index}" for index in np.flatnonzero(chosen)], [f"group {group}" for group in groups[chosen]],
            split=split, fold=fold, path=Path(split),
        )  # fmt: skip

    chosen, parts = [], []
    for fold in range(fold_count):
        validated = half & (folds_of == (fold + 1) % fold_count)
        chosen.append(predictions_of("val", fold, validated, 0.9))
        tested = folds_of == fold if fold_count > 1 else ~half
        parts.append(predictions_of("test", fold, tested, accuracy))
    pool = validations.pool(chosen, parts, "")
    points, _ = thresholds.choose_all(parts, pool, rule)
    applied = [thresholds.apply(part, point.value) for part, point in zip(parts, points, strict=True)]
    found = metrics.OneAgainstRest.of(folds.pool(applied), 1)
    there, here = thresholds.where_chosen(pool, points), (metrics.sensitivity(found), metrics.specificity(found))
    return any(figures.differ(*pair) for pair in zip(there.values(), here, strict=True))


def runs_table(patterns):
    """Return the table of how a temperature, fitted on random groups of real folds, changes the others' log loss."""
    rows = []
    for pattern in patterns:
        paths = sorted(Path(path) for path in glob.glob(pattern))
        found = folds.pool(read_all(paths))
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
    """Return how a temperature fitted on about `count` images, in whole groups, changes the log loss of the others."""
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
