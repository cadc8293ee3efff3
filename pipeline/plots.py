"""Writing pictures, and those of training: its curves and the sweep. Imports no torch."""

import contextlib
import warnings

import matplotlib

matplotlib.use("Agg")  # files only: no window, no display needed

import numpy as np
from matplotlib import font_manager
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from pipeline import files
from pipeline.learning.history import best_epoch
from pipeline.performance.formats import printable

# Okabe and Ito's colours, told apart by colour-blind readers too (jfly.uni-koeln.de/color).
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = "osD^vP*"
# More letters of a name do not fit beside an axis.
NAME_LENGTH = 18

# Fonts of the large systems for the letters that matplotlib's own lacks.
FONTS = (
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "PingFang SC",
    "Arial Unicode MS",
    "Noto Sans",
)


@contextlib.contextmanager
def as_written():
    """Draw names as they are: none is a formula ("$x$"), and letters that no font has are boxes, not warnings."""
    installed = set(font_manager.get_font_names())
    fonts = ["DejaVu Sans", *(font for font in FONTS if font in installed)]
    with matplotlib.rc_context({"text.parse_math": False, "font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        yield


def shown_name(name):
    """Return a name as pictures show it: on one line, and its beginning only where it is long."""
    shown = printable(name)
    return shown if len(shown) <= NAME_LENGTH else shown[: NAME_LENGTH - 1] + "…"


def save_figure(figure, path):
    """Write a figure as PNG, whole or not at all, and forget it."""
    with files.whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150, bbox_inches="tight")
    plt.close(figure)


def draw_curves(path, history, quantity, label):
    """Draw `quantity` ("loss" or "accuracy") of training and validation over the epochs, the best one marked."""
    epochs = [epoch["epoch"] for epoch in history]
    best = best_epoch(history)
    figure, axes = plt.subplots(figsize=(6.4, 4))
    axes.plot(epochs, [epoch[quantity] for epoch in history], "o-", ms=4, color=COLORS[0], label="training")
    validation = [epoch[f"val_{quantity}"] for epoch in history]
    axes.plot(epochs, validation, "s-", ms=4, color=COLORS[1], label="validation")
    axes.axvline(best["epoch"], color="grey", ls=":", zorder=0)
    axes.plot(
        best["epoch"], best[f"val_{quantity}"], "*", ms=14, color="black", mfc="gold", ls="none",
        label=f"best epoch ({best['epoch']}): {best[f'val_{quantity}']:.3f}",
    )  # fmt: skip
    axes.set(xlabel="epoch", ylabel=label)
    if quantity == "accuracy":
        axes.set_ylim(-0.02, 1.02)
    elif max(validation) > 10 * np.median([epoch[quantity] for epoch in history]):
        # One wild epoch, usual while batch statistics settle, would flatten all others.
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    # Above the axes, where it hides no point.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    save_figure(figure, path)


def draw_sweep(path, runs):
    """Draw the minimum validation loss over batch size and learning rate, one colour an architecture.

    `runs` is a list of dicts with `architecture`, `batch size`, `learning rate`, `minimum validation loss`.
    """
    figure = plt.figure(figsize=(7.5, 6))
    axes = figure.add_subplot(projection="3d", computed_zorder=False)
    floor = min(0, *(run["minimum validation loss"] for run in runs)) if runs else 0
    rates = sorted({run["learning rate"] for run in runs})
    for index, architecture in enumerate(dict.fromkeys(run["architecture"] for run in runs)):
        chosen = [run for run in runs if run["architecture"] == architecture]
        color, marker = COLORS[index % len(COLORS)], MARKERS[index % len(MARKERS)]
        x = [run["batch size"] for run in chosen]
        # Matplotlib's 3-D axes have no logarithmic scale: the exponents are drawn, the rates written beside them.
        y = [np.log10(run["learning rate"]) for run in chosen]
        z = [run["minimum validation loss"] for run in chosen]
        for point in zip(x, y, z, strict=True):
            axes.plot(*([value, value] for value in point[:2]), [floor, point[2]], color=color, lw=1, alpha=0.5)
        axes.scatter(x, y, z, s=45, color=color, marker=marker, depthshade=False, label=architecture)
    axes.set_xticks(sorted({run["batch size"] for run in runs}))
    axes.set_yticks(np.log10(rates), [f"{rate:g}" for rate in rates])
    axes.set_xlabel("batch size", labelpad=8)
    axes.set_ylabel("learning rate (log axis)", labelpad=12)
    axes.set_zlabel("minimum validation loss", labelpad=8)
    axes.set_zlim(bottom=floor)
    axes.view_init(elev=22, azim=-52)
    axes.set_box_aspect(None, zoom=0.88)
    axes.legend(loc="upper left")
    save_figure(figure, path)
