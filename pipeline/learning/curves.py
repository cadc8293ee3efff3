"""The curves of a training."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline import plots
from pipeline.learning.history import best_epoch


@plots.own_style()
def draw_curves(path, history, quantity, label):
    """Draw `quantity` ("loss" or "accuracy") of training and validation over the epochs, the best one marked."""
    epochs = [epoch["epoch"] for epoch in history]
    best = best_epoch(history)
    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    axes.plot(epochs, [epoch[quantity] for epoch in history], "o-", ms=4, color=plots.COLORS[0], label="training")
    validation = [epoch[f"val_{quantity}"] for epoch in history]
    axes.plot(epochs, validation, "s-", ms=4, color=plots.COLORS[1], label="validation")
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
    plots.save_figure(figure, path)
