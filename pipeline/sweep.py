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


def run_name(name, architecture, batch_size, learning_rate):
    """Return the name of one run of the sweep called `name`."""
    return f"{name}_{architecture}_b{batch_size}_lr{learning_rate:g}"


def report(results_folder, name, finished):
    """Write NAME_sweep.csv and NAME_sweep.png, print the table; sorted by minimum validation loss.

    `finished` is a list of hyperparameters, as runs.Run.write_records returns them.
    """
    table = pd.DataFrame(finished, columns=COLUMNS).sort_values("minimum validation loss", ignore_index=True)
    csv_path, plot_path = results_folder / f"{name}_sweep.csv", results_folder / f"{name}_sweep.png"
    files.write_text(csv_path, table.to_csv(index=False, lineterminator="\n"))
    plots.draw_sweep(plot_path, table.to_dict("records"))
    shown = table.assign(**{"minimum validation loss": table["minimum validation loss"].map("{:.4f}".format)})
    print("\nSweep, best first\n")
    print(format_table(COLUMNS, shown.itertuples(index=False)))
    print(f"\nwrote {csv_path} and {plot_path}")
