"""Training a grid of architectures, batch sizes and learning rates: names, table, plot."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline import files, plots
from pipeline.messages import format_table

COLUMNS = [
    "model name",
    "architecture",
    "batch size",
    "learning rate",
    "minimum validation loss",
    "best epoch",
    "number of epochs",
    "training seconds",
]


def grid(architectures, batch_sizes, learning_rates):
    """Return every combination once, as (architecture, batch size, learning rate), in the order given."""
    return list(dict.fromkeys(itertools.product(architectures, batch_sizes, learning_rates)))


def run_name(name, architecture, recipe):
    """Return the name of one run of the sweep called `name`."""
    return f"{name}_{architecture}_b{recipe.batch_size}_lr{recipe.learning_rate:g}"


def print_table(finished):
    """Print the finished runs, the lowest validation loss first; `finished` as for `report`."""
    shown = _table(finished)
    shown["minimum validation loss"] = shown["minimum validation loss"].map("{:.4f}".format)
    print("\nRuns, lowest validation loss first\n")
    print(format_table(COLUMNS, shown.itertuples(index=False)))


def report(results_folder, name, finished):
    """Print the table of a sweep's runs, write it as NAME_sweep.csv and draw NAME_sweep.png.

    `finished` is a list of hyperparameters, as runs.Run.write_records returns them.
    """
    print_table(finished)
    table = _table(finished)
    csv_path, plot_path = results_folder / f"{name}_sweep.csv", results_folder / f"{name}_sweep.png"
    verb = "replaced" if csv_path.exists() else "wrote"
    files.write_text(csv_path, table.to_csv(index=False, lineterminator="\n"))
    draw_sweep(plot_path, table.to_dict("records"))
    print(f"\n{verb} {csv_path} and {plot_path}")


def _table(finished):
    return pd.DataFrame(finished, columns=COLUMNS).sort_values("minimum validation loss", ignore_index=True)


@plots.own_style()
def draw_sweep(path, runs):
    """Draw the minimum validation loss over batch size and learning rate, one colour an architecture.

    `runs` is a list of dicts with `architecture`, `batch size`, `learning rate`, `minimum validation loss`.
    """
    figure = Figure(figsize=(7.5, 6))
    axes = figure.add_subplot(projection="3d", computed_zorder=False)
    floor = min(0, *(run["minimum validation loss"] for run in runs)) if runs else 0
    rates = sorted({run["learning rate"] for run in runs})
    for index, architecture in enumerate(dict.fromkeys(run["architecture"] for run in runs)):
        chosen = [run for run in runs if run["architecture"] == architecture]
        color, marker = plots.COLORS[index % len(plots.COLORS)], plots.MARKERS[index % len(plots.MARKERS)]
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
    plots.save_figure(figure, path)
