"""How often the 95% intervals of the report hold the true value, on drawn predictions whose truth is known.

    python benchmarks/coverage.py [-simulations 500] [-classes 2 4] [-folds 1 5]
    python benchmarks/coverage.py -figures differences|decision_curve [-simulations 500] [-folds 1 5]

For each setting and each figure with an interval, prints the percentage of simulations whose interval holds the true
value: that for an unlimited number of images of the same kind. At the end it prints a table with the lowest percentage
over all correlations. Images come in groups: the score of an image has a part that its group shares, whose fraction of
the variance is the intraclass correlation (ICC), and all images of a group are of one class. With five folds, the
scores of each fold's model are shifted against those of the others. A simulation without an interval (no image of a
class, say) is not counted.

The differences are those of two models on the same images, which are equally good or not. If they are, simulations with
p >= 0.05 are counted too: 95%, if the test wrongly finds a difference in 5%. The decision curve is that of one model,
at some thresholds, minus that of treating none and minus that of treating all.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

import measuring  # noqa: F401, makes the package pipeline importable
import numpy as np
from scipy import special

from pipeline.messages import format_table
from pipeline.performance import comparison, decision_curve, ordered
from pipeline.performance.figures import Figure
from pipeline.performance.predictive_values import predictive_values
from pipeline.performance.summary import summarize
from pipeline.predictions import Predictions

SEPARATION = 1.8  # between the classes, in standard deviations of the scores: an area of about 0.9
SHIFTS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])  # of the folds' models, in the same unit
PREVALENCE = 0.6  # of the positive class of two
ENDLESS = 200_000  # images from which the true values are computed
SIZES = ((30, 1), (100, 1), (500, 1), (100, 5), (200, 5), (200, 20), (500, 20))  # images, images in a group
CORRELATIONS = (0.0, 0.2, 0.5, 0.9)
# For the decision curve and the differences: single images, and 10, 20 and 50 groups.
SMALL_SIZES = ((50, 1), (200, 1), (50, 5), (200, 20), (200, 10), (200, 4))
SMALL_CORRELATIONS = (0.0, 0.3, 0.9)
THRESHOLDS = np.array([0.1, 0.3, 0.5, 0.7])
OTHERS = (SEPARATION, 1.2)  # separations of the second model: as good as the first, or an area of about 0.8
IN_COMMON = 0.5  # fraction of the variance that two models' scores share
FEWEST = 0.1  # fraction of the simulations that must have an interval of a difference, for it to be counted


@dataclass(frozen=True)
class Setting:
    """What is drawn."""

    classes: int
    folds: int
    images: int
    group_size: int
    correlation: float


@dataclass(frozen=True)
class Pair(Setting):
    """What is drawn for two models on the same images."""

    other: float  # the separation of the second one; that of the first is SEPARATION


def settings(class_counts, fold_counts, sizes=SIZES, correlations=CORRELATIONS):
    """Return the Settings: every size with every correlation; single images have none."""
    return [
        Setting(classes, folds, images, size, correlation)
        for classes in class_counts
        for folds in fold_counts
        for images, size in sizes
        for correlation in (correlations if size > 1 else (0.0,))
    ]


def draw(setting, random):
    """Return Predictions drawn for a Setting."""
    labels, groups, folds = draw_images(setting, random)
    return predict(setting, labels, groups, folds, draw_noise(setting, groups, random))


def draw_pair(setting, random):
    """Return the Predictions of both models of a Pair; some images are difficult for both.

    With five folds, the folds in which one model is shifted up are those in which the other is shifted down. So the
    two differ within a fold, but over all folds they are equally good if their separations are the same.
    """
    labels, groups, folds = draw_images(setting, random)
    common, first, second = (draw_noise(setting, groups, random) for _ in range(3))
    return [
        predict(setting, labels, groups, folds, np.sqrt(IN_COMMON) * common + np.sqrt(1 - IN_COMMON) * own, *model)
        for own, *model in ((first, SEPARATION, SHIFTS), (second, setting.other, -SHIFTS))
    ]


def draw_images(setting, random):
    """Return the labels, the groups and the folds of a Setting's images, int (n,) each."""
    group_count = setting.images // setting.group_size
    groups = np.repeat(np.arange(group_count), setting.group_size)
    weights = [1 - PREVALENCE, PREVALENCE] if setting.classes == 2 else None
    labels = random.choice(setting.classes, group_count, p=weights)[groups]
    return labels, groups, (np.arange(group_count) % setting.folds)[groups]


def draw_noise(setting, groups, random):
    """Return the random part of the scores, float (n, columns); the images of a group share some of it."""
    columns = 1 if setting.classes == 2 else setting.classes
    shared = random.normal(size=(setting.images // setting.group_size, columns))[groups]
    own = random.normal(size=(setting.images, columns))
    return np.sqrt(setting.correlation) * shared + np.sqrt(1 - setting.correlation) * own


def predict(setting, labels, groups, folds, noise, separation=SEPARATION, shifts=SHIFTS):
    """Return the Predictions of a model with this separation of the classes and these shifts of the folds."""
    shift = shifts[folds] if setting.folds > 1 else np.zeros(setting.images)
    if setting.classes == 2:
        scores = separation * (labels - 0.5) + noise[:, 0] + shift
        positive = special.expit(separation * scores)
        probabilities = np.stack([1 - positive, positive], axis=1)
    else:
        scores = separation * np.eye(setting.classes)[labels] + noise
        scores[:, 0] += shift
        probabilities = special.softmax(separation * scores, axis=1)
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
    same_or_without = ("Calibration Error", "Recall", "Precision", "Detection Rate", "Detection Prevalence")
    named = {name: figure for name, figure in named.items() if name not in same_or_without}
    named |= {"Brier Score": results.main.brier_score, "Log Loss": results.log_loss}
    if results.positive is not None:
        ratios = predictive_values(predictions, [])  # if their intervals hold, so do those of predictive values
        return named | results.main.calibration_line | {"LR+": ratios.positive_ratio, "LR-": ratios.negative_ratio}
    in_order = ordered.measure(predictions, predictions.class_names)
    return named | {"Hand and Till's M": results.pairwise_auc, "Weighted Kappa": in_order.weighted_kappa}


def net_benefits(predictions):
    """Return {name: Figure} of the decision curve minus treating none, and minus treating all, at THRESHOLDS."""
    curve, named = decision_curve.measure(predictions, THRESHOLDS), {}
    for name, values, limits in (
        ("None", curve.model, curve.limits),
        ("All", curve.difference, curve.difference_limits),
    ):
        for threshold, value, interval in zip(THRESHOLDS, values, limits, strict=True):
            named[f"less {name} at {threshold:.0%}"] = Figure(value, interval)
    return named


def differences(first, second, are_equal):
    """Return {name: Figure} of the differences of two models, and of their tests where they are equally good."""
    found = comparison.compare(first, second)
    (area,) = found.areas
    named = {"Accuracy": found.difference, "ROC-AUC": area.difference}
    if are_equal:
        named |= {
            "Accuracy p >= 0.05": not_rejected(found.p_value),
            "ROC-AUC p >= 0.05": not_rejected(area.p_value.value),
        }
    return named


def not_rejected(p_value):
    """Return a test of no difference as a Figure of 0, whose interval holds 0 unless the test rejects it."""
    if p_value is None:
        return Figure(0.0)
    return Figure(0.0, [0.0, 0.0] if p_value >= 0.05 else [np.nan, np.nan])


def small_settings(class_counts, fold_counts):
    """Return the Settings of the decision curve, from which those of the differences are created."""
    return settings(class_counts, fold_counts, SMALL_SIZES, SMALL_CORRELATIONS)


def pairs(class_counts, fold_counts):
    """Return the Pairs of the differences: in every setting, a second model as good as the first and a worse one."""
    return [Pair(*astuple(setting), other) for setting in small_settings(class_counts, fold_counts) for other in OTHERS]


@dataclass(frozen=True)
class Kind:
    """Figures that are drawn and measured together."""

    class_counts: tuple
    settings: Callable  # of class counts and fold counts
    measure: Callable  # of a setting and a random generator: {name: Figure}
    fewest: float = 0.0  # a figure is not counted if a smaller fraction of the simulations has its interval


KINDS = {
    "report": Kind((2, 4), settings, lambda setting, random: figures(draw(setting, random))),
    "differences": Kind(
        (2,), pairs, lambda pair, random: differences(*draw_pair(pair, random), pair.other == SEPARATION), FEWEST
    ),
    "decision_curve": Kind((2,), small_settings, lambda setting, random: net_benefits(draw(setting, random))),
}


def coverage(kind, setting, truth, simulations, seed):
    """Return {figure: fraction of the simulated intervals that hold its true value}."""
    random, held = np.random.default_rng(seed), defaultdict(list)
    for _ in range(simulations):
        for name, figure in kind.measure(setting, random).items():
            if figure.interval is not None:
                held[name].append(figure.interval[0] <= truth[name] <= figure.interval[1])
    return {name: float(np.mean(those)) for name, those in held.items() if len(those) >= kind.fewest * simulations}


def true_values(kind, setting):
    """Return {figure: value} for ENDLESS images; it does not depend on how they are grouped."""
    return {name: figure.value for name, figure in kind.measure(setting, np.random.default_rng(0)).items()}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("-figures", choices=KINDS, default="report")
    parser.add_argument("-simulations", type=int, default=500, help="of each setting (default: 500)")
    parser.add_argument("-classes", type=int, nargs="+", help="of the report (default: 2 4)")
    parser.add_argument("-folds", type=int, nargs="+", choices=(1, 5), default=[1, 5])
    arguments = parser.parse_args()
    kind, simulations = KINDS[arguments.figures], arguments.simulations
    if arguments.classes and arguments.figures != "report":
        parser.error(f"-classes: -figures {arguments.figures} is for two classes; leave it out")
    class_counts = arguments.classes or kind.class_counts
    truths, found = {}, {}
    for number, setting in enumerate(kind.settings(class_counts, arguments.folds)):
        endless = replace(setting, images=ENDLESS, group_size=1, correlation=0.0)
        if endless not in truths:
            truths[endless] = true_values(kind, endless)
        found[setting] = coverage(kind, setting, truths[endless], simulations, number)
        print(*astuple(setting), *(f"{name} {100 * value:.1f}" for name, value in found[setting].items()), flush=True)
    print(f"\n{simulations} simulations a setting; the lowest of all correlations")
    for classes in class_counts:
        print(f"\n{lowest({setting: values for setting, values in found.items() if setting.classes == classes})}")


def lowest(found):
    """Return the table of each figure's lowest coverage over the correlations, from {Setting: {figure: coverage}}."""
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
