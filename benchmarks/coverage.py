"""How often the 95% intervals of the report hold the true value, on drawn predictions whose truth is known.

    python benchmarks/coverage.py [-simulations 500] [-classes 2 4] [-folds 1 5]

Prints for each setting and each figure that has an interval the percentage of simulations whose interval holds the
figure's value for endlessly many images of the same kind; at the end, a table with the lowest of all correlations.
Images come in groups: the score of an image has a part that its group shares, whose fraction of the variance is the
intraclass correlation (ICC), and all images of a group are of one class. With five folds, the scores of each fold's
model are shifted against those of the others. An interval that a simulation does not have (no image of a class, say) is
not counted.
"""

import argparse
from collections import defaultdict
from dataclasses import astuple, dataclass

import measuring  # noqa: F401, makes the package pipeline importable
import numpy as np
from scipy import special

from pipeline.messages import format_table
from pipeline.performance import ordered
from pipeline.performance.predictive_values import predictive_values
from pipeline.performance.summary import summarize
from pipeline.predictions import Predictions

SEPARATION = 1.8  # between the classes, in standard deviations of the scores: an area of about 0.9
SHIFTS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])  # of the folds' models, in the same unit
PREVALENCE = 0.6  # of the positive class of two
ENDLESS = 200_000  # images that tell the true values
SIZES = ((30, 1), (100, 1), (500, 1), (100, 5), (200, 5), (200, 20), (500, 20))  # images, images in a group
CORRELATIONS = (0.0, 0.2, 0.5, 0.9)


@dataclass(frozen=True)
class Setting:
    """What is drawn."""

    classes: int
    folds: int
    images: int
    group_size: int
    correlation: float


def settings(class_counts, fold_counts):
    """Return the Settings: every size with every correlation, which single images have no use for."""
    return [
        Setting(classes, folds, images, size, correlation)
        for classes in class_counts
        for folds in fold_counts
        for images, size in SIZES
        for correlation in (CORRELATIONS if size > 1 else (0.0,))
    ]


def draw(setting, random):
    """Return Predictions drawn for a Setting."""
    group_count = setting.images // setting.group_size
    groups = np.repeat(np.arange(group_count), setting.group_size)
    weights = [1 - PREVALENCE, PREVALENCE] if setting.classes == 2 else None
    labels = random.choice(setting.classes, group_count, p=weights)[groups]
    folds = (np.arange(group_count) % setting.folds)[groups]
    columns = 1 if setting.classes == 2 else setting.classes
    shared = random.normal(size=(group_count, columns))[groups]
    own = random.normal(size=(setting.images, columns))
    noise = np.sqrt(setting.correlation) * shared + np.sqrt(1 - setting.correlation) * own
    shifts = SHIFTS[folds] if setting.folds > 1 else np.zeros(setting.images)
    if setting.classes == 2:
        scores = SEPARATION * (labels - 0.5) + noise[:, 0] + shifts
        positive = special.expit(SEPARATION * scores)
        probabilities = np.stack([1 - positive, positive], axis=1)
    else:
        scores = SEPARATION * np.eye(setting.classes)[labels] + noise
        scores[:, 0] += shifts
        probabilities = special.softmax(SEPARATION * scores, axis=1)
    return Predictions(
        labels=labels,
        predictions=probabilities.argmax(axis=1),
        probabilities=probabilities,
        class_names=[f"class {number}" for number in range(setting.classes)],
        positive_class="class 1" if setting.classes == 2 else None,
        groups=[str(group) for group in groups],
        folds=folds if setting.folds > 1 else None,
    )


def figures(predictions):
    """Return {name: Figure} of what the report shows with an interval."""
    results = summarize(predictions)
    named = {"Accuracy": results.accuracy, "Kappa": results.kappa, **results.main.named()}
    for same_or_without in ("Calibration Error", "Recall", "Precision", "Detection Rate", "Detection Prevalence"):
        del named[same_or_without]
    named |= {"Brier Score": results.brier_score, "Log Loss": results.log_loss}
    if results.positive is not None:
        ratios = predictive_values(predictions, [])  # with which those of predictive values at any prevalence hold too
        return named | results.main.calibration_line | {"LR+": ratios.positive_ratio, "LR-": ratios.negative_ratio}
    in_order = ordered.measure(predictions, predictions.class_names)
    return named | {"Hand and Till's M": results.pairwise_auc, "Weighted Kappa": in_order.weighted_kappa}


def coverage(setting, truth, simulations, seed):
    """Return {figure: fraction of the simulated intervals that hold its true value}."""
    random, held = np.random.default_rng(seed), defaultdict(list)
    for _ in range(simulations):
        for name, figure in figures(draw(setting, random)).items():
            if figure.interval is not None:
                held[name].append(figure.interval[0] <= truth[name] <= figure.interval[1])
    return {name: float(np.mean(those)) for name, those in held.items()}


def true_values(classes, folds):
    """Return {figure: value} for endlessly many images; how they are grouped does not matter to it."""
    drawn = draw(Setting(classes, folds, ENDLESS, 1, 0.0), np.random.default_rng(0))
    return {name: figure.value for name, figure in figures(drawn).items()}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("-simulations", type=int, default=500, help="of each setting (default: 500)")
    parser.add_argument("-classes", type=int, nargs="+", default=[2, 4])
    parser.add_argument("-folds", type=int, nargs="+", choices=(1, 5), default=[1, 5])
    arguments = parser.parse_args()
    truths, found = {}, {}
    for number, setting in enumerate(settings(arguments.classes, arguments.folds)):
        kind = setting.classes, setting.folds
        if kind not in truths:
            truths[kind] = true_values(*kind)
        found[setting] = coverage(setting, truths[kind], arguments.simulations, number)
        print(*astuple(setting), *(f"{name} {100 * value:.1f}" for name, value in found[setting].items()), flush=True)
    print(f"\n{arguments.simulations} simulations a setting; the lowest of all correlations")
    for classes in arguments.classes:
        print(f"\n{lowest({setting: values for setting, values in found.items() if setting.classes == classes})}")


def lowest(found):
    """Return the table of each figure's lowest coverage over the correlations, of {Setting: {figure: coverage}}."""
    cells = defaultdict(lambda: defaultdict(list))
    for setting, values in found.items():
        for name, value in values.items():
            cells[setting.folds, setting.images, setting.group_size][name].append(100 * value)
    names = list(dict.fromkeys(name for values in found.values() for name in values))
    rows = [
        [*size, *(f"{min(values[name]):.1f}" if name in values else "" for name in names)]
        for size, values in cells.items()
    ]
    return format_table(["folds", "images", "in a group", *names], rows)


if __name__ == "__main__":
    main()
