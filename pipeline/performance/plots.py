"""The pictures of a model's performance: each is drawn from Predictions and their results object. Imports no torch."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn import metrics

from pipeline.performance.formats import span
from pipeline.performance.summary import of_class
from pipeline.plots import COLORS, own_style, save_figure, shown_name

LINE_STYLES = ["-", "--", "-.", ":"]
# More classes do not fit into a legend, nor into cells with numbers in them.
CLASSES_IN_LEGEND = 20
CLASSES_WITH_NUMBERS = 25


@own_style()
def draw_confusion_matrix(path, results):
    """Draw the confusion matrix: counts and row percentages, a row a true class, a column a predicted one."""
    counts = np.asarray(results["Confusion Matrix"])
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    class_count = len(counts)
    names, size = [shown_name(name) for name in results["Class Names"]], 10
    side = 2.2 + max(0.68, min(0.9, 9 / class_count)) * min(class_count, 15)
    figure = Figure(figsize=(side, side))
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if class_count <= CLASSES_WITH_NUMBERS:
        size = min(10, 150 / class_count)
        for row, column in np.ndindex(*counts.shape):
            # In a large matrix most cells are 0, and "0.0%" in each would hide the others.
            needed = counts[row, column] or (totals[row, 0] and class_count <= 4)
            shown = f"{counts[row, column]}\n{shares[row, column]:.1%}" if needed else str(counts[row, column])
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, shown, ha="center", va="center", color=color, size=size)
        rows = [f"{name}\n(n = {total})" for name, total in zip(names, totals[:, 0], strict=True)]
    else:
        size = max(4, 450 / class_count / 2)
        rows = names
    upright = max(map(len, names)) > (9 if class_count <= 4 else 4)
    axes.set_xticks(range(class_count), names, rotation=90 if upright else 0, size=size)
    axes.set_yticks(range(class_count), rows, size=size)
    axes.set(xlabel="predicted class", ylabel="true class")
    save_figure(figure, path)


@own_style()
def draw_roc(path, predictions, results):
    """Draw the ROC curve of the positive class, or of each class against the rest, with the area's interval.

    The interval is DeLong's, and Newcombe's where that one is a point or undefined.
    """
    figure, axes = _square_axes("1 - specificity", "sensitivity")
    curves = []
    for name, one in _classes_shown(predictions):
        figures = results["Per Class"][name]
        if figures["ROC-AUC"] is not None:
            interval, method = figures["ROC-AUC 95% Interval (DeLong)"], "DeLong"
            if interval is None or interval[0] == interval[1]:
                interval, method = figures["ROC-AUC 95% Interval (Newcombe)"], "Newcombe"
            area = f"{figures['ROC-AUC']:.3f} ({span(interval, '.3f')}, {method})"
            curves.append((*metrics.roc_curve(one.truth, one.probability)[:2], f"AUC of {shown_name(name)}: {area}"))
    _draw_curves(axes, curves, "default")
    axes.plot([0, 1], [0, 1], ls=":", color="grey", label="chance: 0.5", zorder=0)
    _add_legend(axes, len(curves))
    save_figure(figure, path)


@own_style()
def draw_precision_recall(path, predictions, results):
    """Draw precision over recall of the positive class, or of each class against the rest; for one, the prevalence."""
    figure, axes = _square_axes("recall (sensitivity)", "precision")
    curves = []
    for name, one in _classes_shown(predictions):
        average = results["Per Class"][name]["Average Precision"]
        if average is not None:
            precision, recall, _ = metrics.precision_recall_curve(one.truth, one.probability)
            curves.append((recall, precision, f"average precision of {shown_name(name)}: {average:.3f}"))
    _draw_curves(axes, curves, "steps-post")
    if predictions.positive_class is not None:
        prevalence = results["Prevalence"]
        axes.axhline(prevalence, ls=":", color="grey", label=f"chance: prevalence {prevalence:.3f}", zorder=0)
    _add_legend(axes, len(curves))
    save_figure(figure, path)


@own_style()
def draw_reliability(path, results):
    """Draw how often what was predicted came true, over its probability, above how many images each bin holds.

    The probability is that of the positive class; for more than two classes, that of the predicted class.
    """
    if results["Positive Class"] is None:
        bins, what = results["Confidence Reliability Diagram"], "the most probable class"
        error = results["Confidence Calibration Error"]
    else:
        bins, what = results["Reliability Diagram"], shown_name(results["Positive Class"])
        error = results["Calibration Error"]
    figure = Figure(figsize=(4.8, 6.2), layout="constrained")
    axes, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    means, shares = (np.array([one[key] for one in bins]) for key in ("mean probability", "observed share"))
    limits = np.array([one["observed share 95% interval"] for one in bins])
    axes.plot([0, 1], [0, 1], ls=":", color="grey", label="perfectly calibrated")
    axes.errorbar(
        means, shares, yerr=np.abs(limits.T - shares).tolist(), fmt="o-", color=COLORS[0], capsize=3,
        elinewidth=1, label=f"observed, with 95% interval (calibration error {error:.3f})",
    )  # fmt: skip
    axes.set(ylabel=f"share that is {what}", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    _legend_above(axes)
    axes.grid(alpha=0.3)
    below.bar(
        [one["from"] for one in bins], [one["n"] for one in bins], width=0.1, align="edge", color=COLORS[0], ec="white"
    )
    below.set(xlabel=f"predicted probability of {what}", ylabel="images")
    below.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    below.grid(alpha=0.3, axis="y")
    save_figure(figure, path)


@own_style()
def draw_referral(path, results):
    """Draw the accuracy of the images that are left over the share of the least certain ones that go to a person."""
    found, count = results["Referral"], results["n"]
    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    shares = np.arange(count) / count
    for color, style, (measure, figures) in zip(COLORS, LINE_STYLES, found["by"].items(), strict=False):
        axes.plot(
            shares, figures["accuracies of the rest"], color=color, ls=style, label=f"least certain first ({measure})"
        )
    right = count - found["errors"]
    best = np.minimum(1, right / np.arange(count, 0, -1))
    axes.plot(shares, best, color="black", lw=1, alpha=0.6, label="wrong ones first: the best there is")
    axes.axhline(right / count, ls=":", color="grey", label="at random", zorder=0)
    axes.axvline(found["referred"] / count, color="grey", lw=0.8, zorder=0)
    axes.set(xlabel="share of the images referred to a person", ylabel="accuracy of the rest", xlim=(0, 1))
    axes.grid(alpha=0.3)
    _legend_above(axes)
    save_figure(figure, path)


def _classes_shown(predictions):
    """Return (name, OneAgainstRest) of the positive class, or of each where every class is taken in turn."""
    names = predictions.class_names if predictions.positive_class is None else [predictions.positive_class]
    return [(name, of_class(predictions, predictions.class_names.index(name))) for name in names]


def _square_axes(x_label, y_label):
    figure = Figure(figsize=(4.8, 4.8))
    axes = figure.subplots()
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    axes.grid(alpha=0.3)
    return figure, axes


def _draw_curves(axes, curves, draw_style):
    """Draw each (x, y, label) in a colour of its own; more than fit into a legend in grey; a word if there is none."""
    for number, (x, y, label) in enumerate(curves):
        if len(curves) > CLASSES_IN_LEGEND:
            label = f"each of {len(curves)} classes" if number == 0 else None
            axes.plot(x, y, color="black", alpha=0.25, lw=1, drawstyle=draw_style, label=label)
        else:
            color, style = COLORS[number % len(COLORS)], LINE_STYLES[number // len(COLORS)]
            axes.plot(x, y, color=color, ls=style, lw=1.8, drawstyle=draw_style, label=label)
    if not curves:
        axes.text(0.5, 0.7, "undefined for these images", ha="center", transform=axes.transAxes)


def _add_legend(axes, curve_count):
    """Add the legend above the picture for one curve, beside it for several."""
    if 1 < curve_count <= CLASSES_IN_LEGEND:
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize="small")
    else:
        _legend_above(axes)


def _legend_above(axes):
    # Within the axes it would cover points of the one or the other model.
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.01), borderaxespad=0, frameon=False, fontsize="small")
