"""The pictures of a model's performance, each drawn from the Results."""

import matplotlib
import matplotlib.figure
import numpy as np
from matplotlib.ticker import MaxNLocator
from sklearn import metrics

from pipeline.performance.decision_curve import THRESHOLDS
from pipeline.performance.figure_text import percent, score, span
from pipeline.performance.pages import Picture
from pipeline.performance.referral import uncertainty_source
from pipeline.performance.results_files import picture_paths
from pipeline.performance.roc import curves_of_folds
from pipeline.plots import COLORS, legend_above, own_style, save_figure, shown_name, text_color, titled

LINE_STYLES = ["-", "--", "-.", ":"]
# More classes do not fit into a legend, into a matrix with numbers in its cells, or into a sentence.
CLASSES_IN_LEGEND = 20
CLASSES_WITH_NUMBERS = 25
CLASSES_IN_TEXT = 10
SQUARE = {"xlim": (-0.02, 1.02), "ylim": (-0.02, 1.02), "aspect": "equal"}
CLASSES_IN_HALF_A_PAGE = 6  # whose confusion matrix can be read at half the width of a page


def drawings(results, results_path, for_report=False):
    """Return [(function that draws it from the Results, Picture)] of the pictures that belong beside the results JSON.

    The one of the referral is for a report, and for predictions with Monte Carlo dropout.
    """
    of_class = results.positive or "each class"
    units = f"{results.unit}s"
    correct = f"{results.accuracy.counts} {units}"
    if len(results.classes) <= CLASSES_IN_TEXT:
        correct = ", ".join(f"{one.sensitivity.counts} {units} of {one.name}" for one in results.classes)
    reliability = "How often what was predicted came true, against its probability"
    reliability += f"; calibration error {score(results.calibration_error)}"
    roc = f"ROC curve of {of_class}, sensitivity against 1 - specificity; area {score(results.main.auc.value)}."
    average = score(results.main.average_precision.value)
    drawn = [
        (draw_confusion_matrix, "confusion_matrix", f"Confusion matrix. Correct: {correct}."),
        (draw_roc, "roc", roc),
        (draw_precision_recall, "precision_recall", f"Precision against recall of {of_class}; average {average}."),
        (draw_reliability, "reliability", f"{reliability}."),
    ]
    referral = results.referral
    if referral and referral.leaves_enough and (for_report or referral.sample_count is not None):
        text = f"Accuracy of the {units} that are left, against the fraction referred, the least certain ones first"
        drawn.append((draw_referral, "referral", f"{text}; uncertainty of {uncertainty_source(referral)}."))
    if results.decision_curve:
        text = f"Net benefit of treating if the probability of {of_class} is at least the threshold, by threshold."
        drawn.append((draw_decision_curve, "decision_curve", text))
    paths = picture_paths(results_path)
    wide = ["confusion_matrix"] if len(results.classes) > CLASSES_IN_HALF_A_PAGE else []
    return [(draw, Picture(paths[name], text, name in wide)) for draw, name, text in drawn]


@own_style()
def save(draw, results, path):
    """Write the picture that `draw` draws from the Results as PNG."""
    save_figure(draw(results), path)


def draw_confusion_matrix(results):
    """Draw the confusion matrix: counts and row percentages, a row per true class, a column per predicted one."""
    counts = results.matrix
    totals = counts.sum(axis=1, keepdims=True)
    fractions = counts / np.maximum(totals, 1)
    class_count = len(counts)
    names, size = [shown_name(name) for name in results.predictions.class_names], 10
    side = 2.2 + max(0.68, min(0.9, 9 / class_count)) * min(class_count, 15)
    figure = matplotlib.figure.Figure(figsize=(side, side))
    axes = figure.subplots()
    colors = matplotlib.colormaps["Blues"]
    axes.imshow(fractions, cmap=colors, vmin=0, vmax=1)
    if class_count <= CLASSES_WITH_NUMBERS:
        size = min(10, 150 / class_count)
        for row, column in np.ndindex(*counts.shape):
            # In a large matrix most cells are 0, and "0.0%" in each would hide the others.
            needed = counts[row, column] or (totals[row, 0] and class_count <= 4)
            shown = f"{counts[row, column]}\n{fractions[row, column]:.1%}" if needed else str(counts[row, column])
            color = text_color(colors(fractions[row, column]))
            axes.text(column, row, shown, ha="center", va="center", color=color, size=size)
        rows = [f"{name}\n(n = {total})" for name, total in zip(names, totals[:, 0], strict=True)]
    else:
        size = max(4, 450 / class_count / 2)
        rows = names
    upright = max(map(len, names)) > (9 if class_count <= 4 else 4)
    axes.set_xticks(range(class_count), names, rotation=90 if upright else 0, size=size)
    axes.set_yticks(range(class_count), rows, size=size)
    axes.set(xlabel="predicted class", ylabel="true class")
    titled(axes, f"Confusion matrix: {results.unit}s and row percentages" if class_count > 4 else "Confusion matrix")
    return figure


def draw_roc(results):
    """Draw the ROC curve of the positive class, or of each class against the rest, with the area and its interval.

    Each of several folds has a thin curve. The thick one is their mean sensitivity at each specificity, and its area is
    the mean of theirs: Fawcett, Pattern Recognition Letters 27 (2006) 861, 8.1. A circle shows the positive class as it
    was predicted.
    """
    figure, axes = _axes(4.8, 4.8, xlabel="1 - specificity", ylabel="sensitivity", **SQUARE)
    areas = [one.auc for one in results.shown_classes]
    _draw_classes(axes, results, "AUC", areas, metrics.roc_curve, _mean_sensitivity, "default")
    if results.positive is not None and None not in (results.main.sensitivity.value, results.main.specificity.value):
        point = 1 - results.main.specificity.value, results.main.sensitivity.value
        axes.plot(*point, "o", color=COLORS[1], ms=8, label=_as_predicted(results), zorder=3)
    axes.plot([0, 1], [0, 1], ls=":", color="grey", label="chance: 0.5", zorder=0)
    legend_above(axes, f"ROC {_of_whom(results)}")
    return figure


def draw_precision_recall(results):
    """Draw precision against recall of the positive class, with its prevalence, or of each class against the rest.

    Each of several folds has a thin curve. The thick one is their mean precision at each recall, and its area is the
    mean of theirs.
    """
    figure, axes = _axes(4.8, 4.8, xlabel="recall (sensitivity)", ylabel="precision", **SQUARE)
    areas = [one.average_precision for one in results.shown_classes]
    _draw_classes(axes, results, "average precision", areas, _recall_and_precision, _mean_precision, "steps-post")
    if results.positive is not None:
        prevalence = results.main.prevalence.value
        axes.axhline(prevalence, ls=":", color="grey", label=f"chance: prevalence {prevalence:.3f}", zorder=0)
    # Above the legend, if there is a curve to name.
    write = legend_above if axes.get_legend_handles_labels()[0] else titled
    write(axes, f"Precision and recall {_of_whom(results)}")
    return figure


def _of_whom(results):
    """Say in a title whose curves there are, and of how many folds."""
    folds = f", {len(results.cross_validation.folds)} folds" if results.cross_validation else ""
    return f"of {'each class' if results.positive is None else shown_name(results.positive)}{folds}"


def _as_predicted(results):
    """Say what the circle on the ROC curve is: the positive class as it was predicted, by a threshold or not."""
    how = f"threshold {results.thresholds[0].value:.3g}" if len(results.thresholds) == 1 else "as predicted"
    main = results.main
    return f"{how}: sensitivity {percent(main.sensitivity.value)}, specificity {percent(main.specificity.value)}"


def draw_reliability(results):
    """Draw how often what was predicted came true against its probability, and below it the images in each bin.

    The probability is that of the positive class; for more than two classes, that of the predicted class.
    """
    bins = results.reliability
    if results.positive is None:
        fraction, what = "fraction predicted correctly", "the most probable class"
    else:
        what = shown_name(results.positive)
        fraction = f"fraction that is {what}"
    figure = matplotlib.figure.Figure(figsize=(4.8, 6.2), layout="constrained")
    axes, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    means = np.array([one.mean_probability for one in bins])
    observed = np.array([one.observed.value for one in bins])
    limits = np.array([one.observed.interval for one in bins])
    label = f"observed, with 95% interval (calibration error {score(results.calibration_error)})"
    axes.plot([0, 1], [0, 1], ls=":", color="grey", label="perfectly calibrated")
    axes.errorbar(
        means, observed, yerr=np.abs(limits.T - observed).tolist(), fmt="o", color=COLORS[0], capsize=3,
        elinewidth=1, label=label,
    )  # fmt: skip
    # A line through single images would only go up and down.
    several = np.array([one.observed.total > 1 for one in bins])
    axes.plot(means[several], observed[several], color=COLORS[0])
    axes.set(ylabel=fraction, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    legend_above(axes, f"Reliability of {'the probability of ' if results.positive else ''}{what}")
    axes.grid(alpha=0.3)
    counts = [one.observed.total for one in bins]
    below.bar([one.lower for one in bins], counts, width=0.1, align="edge", color=COLORS[0], ec="white")
    below.set(xlabel=f"predicted probability of {what}", ylabel=f"{results.unit}s")
    below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    below.grid(alpha=0.3, axis="y")
    return figure


def draw_referral(results):
    """Draw the accuracy of the images that are left against the fraction referred, the least certain ones first."""
    referral, count = results.referral, results.count
    x_label = f"fraction of the {results.unit}s referred to an expert"
    figure, axes = _axes(4.8, 3.6, xlabel=x_label, ylabel="accuracy of the rest", xlim=(0, 1))
    left = np.arange(count, count - len(referral.rankings[0].accuracies), -1)
    fractions = 1 - left / count
    for color, style, ranking in zip(COLORS, LINE_STYLES, referral.rankings, strict=False):
        label = f"least certain first ({ranking.measure}\nof {uncertainty_source(referral)})"
        axes.plot(fractions, ranking.accuracies, color=color, ls=style, label=label)
    correct = count - referral.errors
    best = np.minimum(1, correct / left)
    axes.plot(fractions, best, color="black", lw=1, alpha=0.6, label="wrong ones first: the best possible")
    axes.axhline(correct / count, ls=":", color="grey", label="at random", zorder=0)
    referred = referral.referred / count
    axes.axvline(referred, color="grey", lw=0.8, label=f"{percent(referred)} referred, as on the page", zorder=0)
    legend_above(axes, f"Referring the least certain {results.unit}s")
    return figure


def draw_decision_curve(results):
    """Draw the net benefit of the model, with its interval, of treating all and of treating none."""
    curve, x_label = results.decision_curve, f"threshold probability of {shown_name(results.positive)}"
    highest = max(curve.limits.max(), curve.treat_all.max(), 0.05)
    limits = {"xlim": (0, 1), "ylim": (-0.3 * highest, 1.05 * highest)}
    figure, axes = _axes(4.8, 3.6, xlabel=x_label, ylabel="net benefit", **limits)
    axes.fill_between(THRESHOLDS, *curve.limits.T, color=COLORS[0], alpha=0.3, lw=0, label="95% interval")
    axes.plot(THRESHOLDS, curve.model, color=COLORS[0], label="treat by the model")
    axes.plot(THRESHOLDS, curve.treat_all, color=COLORS[1], ls="--", label="treat all")
    axes.axhline(0, color="black", lw=1, ls=":", label="treat none")
    legend_above(axes, "Decision curve")
    return figure


def _axes(width, height, **settings):
    figure = matplotlib.figure.Figure(figsize=(width, height))
    axes = figure.subplots()
    axes.set(**settings)
    axes.grid(alpha=0.3)
    return figure, axes


def _draw_classes(axes, results, measure, areas, curve_of, mean_of, draw_style):
    """Draw the mean curve over folds of each shown class in its own colour, and for a positive class the folds' too.

    If they do not fit into a legend, they are grey; if there is none, a text says so. `areas` are the Figures of the
    shown classes, and `measure` is their name. `curve_of` returns x, y and more of a fold, from `truth` and `scores` of
    its roc.Curve; `mean_of` returns x and y of the mean of several [(x, y), ...].
    """
    known = [(one, area) for one, area in zip(results.shown_classes, areas, strict=True) if area.value is not None]
    thin = []
    for number, (one, area) in enumerate(known):
        of_folds = [curve_of(curve.truth, curve.scores)[:2] for curve in curves_of_folds(one.against_rest)]
        thin += of_folds if len(of_folds) > 1 and results.positive else []
        if len(known) > CLASSES_IN_LEGEND:
            label = f"each of {len(known)} classes" if number == 0 else None
            look = {"color": "black", "alpha": 0.25, "lw": 1}
        else:
            label = f"{measure} of {shown_name(one.name)}: {score(area.value)} ({span(area, score)})"
            look = {"color": COLORS[number % len(COLORS)], "ls": LINE_STYLES[number // len(COLORS)], "lw": 1.8}
        axes.plot(*mean_of(of_folds), drawstyle=draw_style, label=label, **look)
    if not known:
        axes.text(0.5, 0.7, "undefined for these images", ha="center", transform=axes.transAxes)
    for number, (x, y) in enumerate(thin):
        label = f"each of {len(thin)} folds" if number == 0 else None
        axes.plot(x, y, color="grey", lw=0.8, drawstyle=draw_style, label=label, zorder=1)


def _mean_sensitivity(curves):
    """Return x and y of the mean of ROC curves at each x; a single one unchanged."""
    if len(curves) == 1:
        return curves[0]
    grid = np.linspace(0, 1, 1001)
    mean = np.mean([np.interp(grid, x, y) for x, y in curves], axis=0)
    return np.append(0, grid), np.append(0, mean)


def _recall_and_precision(truth, scores):
    precision, recall, _ = metrics.precision_recall_curve(truth, scores)
    return recall, precision


def _mean_precision(curves):
    """Return falling recalls and the mean precision at each; a curve is read at its lowest recall not below it."""
    recalls = np.unique(np.concatenate([recall for recall, _ in curves]))[::-1]
    reached = [precision[np.searchsorted(-recall, -recalls, side="right") - 1] for recall, precision in curves]
    return recalls, np.mean(reached, axis=0)
