"""The curves of a training: loss and accuracy over the epochs."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline import plots
from pipeline.learning.history import kept_epoch

MOST_MARKERS = 100  # epochs; with more, markers would hide the lines
LABELS = {"loss": "cross-entropy loss (mean over images)", "accuracy": "accuracy"}
TITLES = {"loss": "Loss while training", "accuracy": "Accuracy while training"}


@plots.own_style()
def draw_curves(path, history, quantity, keep="best"):
    """Draw `quantity` ("loss" or "accuracy") of training and validation over the Epochs, and mark the one that is kept.

    See history.kept_epoch for `keep`.
    """
    epochs = [epoch.epoch for epoch in history]
    training, validation = ([getattr(epoch, f"{part}{quantity}") for epoch in history] for part in ("", "val_"))
    kept = kept_epoch(history, keep)
    kept_value = getattr(kept, f"val_{quantity}")
    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    size = 4 if len(epochs) <= MOST_MARKERS else 0
    axes.plot(epochs, training, "o-", ms=size, color=plots.COLORS[0], label="training")
    axes.plot(epochs, validation, "s-", ms=size, color=plots.COLORS[1], label="validation")
    axes.axvline(kept.epoch, color="grey", ls=":", zorder=0)
    label = f"kept: epoch {kept.epoch}, {kept_value:.3f}"
    star = {"ms": 14, "color": "black", "mfc": "gold", "ls": "none", "zorder": 3}
    axes.plot(kept.epoch, kept_value, "*", label=label, **star)
    axes.set(xlabel="epoch", ylabel=LABELS[quantity])
    if quantity == "accuracy":
        axes.set_ylim(-0.02, 1.02)
    elif max(validation) > 10 * np.median(training):
        # One wild epoch, common while batch statistics settle, would flatten all others.
        plots.plain_log_scale(axes, "y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    plots.legend_above(axes, TITLES[quantity], ncols=3)
    plots.save_figure(figure, path)
