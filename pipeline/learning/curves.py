"""The curves of a training: loss and accuracy over the epochs."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline import plots

LABELS = {"loss": "cross-entropy loss (mean over images)", "accuracy": "accuracy"}


@plots.own_style()
def draw_curves(path, epochs_csv, quantity):
    """Draw `quantity` ("loss" or "accuracy") of training and validation over the epochs, the best epoch marked."""
    epochs = pd.read_csv(epochs_csv)
    best = epochs.loc[epochs["val_loss"].idxmin()]
    validation = epochs[f"val_{quantity}"]
    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    axes.plot(epochs["epoch"], epochs[quantity], "o-", ms=4, color=plots.COLORS[0], label="training")
    axes.plot(epochs["epoch"], validation, "s-", ms=4, color=plots.COLORS[1], label="validation")
    axes.axvline(best["epoch"], color="grey", ls=":", zorder=0)
    label = f"best epoch ({best['epoch']:.0f}): {best[f'val_{quantity}']:.3f}"
    axes.plot(best["epoch"], best[f"val_{quantity}"], "*", ms=14, color="black", mfc="gold", ls="none", label=label)
    axes.set(xlabel="epoch", ylabel=LABELS[quantity])
    if quantity == "accuracy":
        axes.set_ylim(-0.02, 1.02)
    elif validation.max() > 10 * epochs[quantity].median():
        # One wild epoch, usual while batch statistics settle, would flatten all others.
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    # Above the axes, where it hides no point.
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    plots.save_figure(figure, path)
