"""Training a grid of architectures, batch sizes and learning rates: names, table, plot."""

import itertools

import pandas as pd

from pipeline import files, plots
from pipeline.tables import format_table

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
    plots.draw_sweep(plot_path, table.to_dict("records"))
    print(f"\n{verb} {csv_path} and {plot_path}")


def _table(finished):
    return pd.DataFrame(finished, columns=COLUMNS).sort_values("minimum validation loss", ignore_index=True)
