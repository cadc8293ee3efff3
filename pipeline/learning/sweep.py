"""Several trainings in one command, folds or a grid of choices: names, order, table, plot."""

import gc
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline import files, plots, processes
from pipeline.errors import UserError
from pipeline.learning import config, devices, image_sets, models, training
from pipeline.learning.features import FeatureStore
from pipeline.learning.preprocessing import Preprocessing
from pipeline.learning.runs import Run
from pipeline.learning.transfer import IMAGENET
from pipeline.locks import only_one
from pipeline.messages import format_table
from pipeline.project import MODEL_SUFFIX, fold_name

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


def configurations(chosen, device):
    """Return the TrainingConfigs that the options mean on a device, see config.grid, with names and paths resolved."""
    return list(
        dict.fromkeys(
            replace(
                one,
                architecture=models.resolve_architecture(one.architecture),
                weights=str(Path(one.weights).absolute()) if one.weights not in (None, IMAGENET) else one.weights,
                precision=devices.pick_precision(one.precision, device),
            )
            for one in config.grid(chosen)
        )
    )


def plan_runs(project, configs, folds, file_name=None):
    """Return the name that the model's file name means, and a Run for each fold and configuration."""
    default = configs[0].architecture if len(configs) == 1 else "sweep"
    several_recipes = len({one.recipe for one in configs}) > 1
    name = project.model_path(file_name or f"{default}{MODEL_SUFFIX}").name.removesuffix(MODEL_SUFFIX)
    return name, [
        Run(project, fold_name(run_name(name, one, several_recipes) if len(configs) > 1 else name, fold), one, fold)
        for fold in folds
        for one in configs
    ]


def run_name(name, one, with_recipe=False):
    """Return the name of one run of the sweep called `name`."""
    recipe = f"_{one.recipe}" if with_recipe else ""
    steps = "" if one.freeze_backbone else f"_b{one.batch_size}_lr{one.learning_rate:g}"
    return f"{name}{recipe}_{one.architecture}{steps}"


def train_all(runs, device, command_line, class_count=None, overwrite=False):
    """Train every Run; return the hyperparameters of the finished ones, and a line for each that failed.

    A run that fails (one that diverges, or an architecture that cannot take the images) does not end the others; but a
    single run, or one of several processes, for which the others would wait, raises its UserError.
    """
    finished, failed, store = [], [], FeatureStore()

    def images_of(run):
        return run.fold, Preprocessing.from_options(run.config.image_shape, run.config.keep_color)

    for (fold, preprocessing), sharing in itertools.groupby(runs, key=images_of):
        sharing = list(sharing)
        with devices.memory_shortage_named(1, preprocessing.image_shape):
            data = image_sets.load_training_data(sharing[0].project, fold, preprocessing, device, class_count)
        for run in sharing:
            if len(runs) > 1:
                print(f"\nrun {len(finished) + len(failed) + 1} of {len(runs)}: {run.name}")
            try:
                shortage = devices.memory_shortage_named(run.config.batch_size, run.config.image_shape)
                with only_one(run.lock, run.model), shortage:
                    finished.append(training.train(run, data, command_line, overwrite, store))
            except UserError as error:
                if len(runs) == 1 or processes.count() > 1:
                    raise
                print(f"failed: {'; '.join(error.faults)}")
                failed.append(f"{run.name}: {'; '.join(error.faults)}")
            # A trainer holds itself in cycles (its schedule wraps its optimizer), and with it hundreds of megabytes.
            gc.collect()
        del data  # room for the next images
    return finished, failed


def print_table(finished):
    """Print the finished runs, the lowest validation loss first; `finished` as `train_all` returns them."""
    shown = _table(finished)
    shown["minimum validation loss"] = shown["minimum validation loss"].map("{:.4f}".format)
    print("\nRuns, lowest validation loss first\n")
    print(format_table(COLUMNS, shown.itertuples(index=False)))


def write_report(results_folder, name, finished):
    """Write the table of a sweep's runs as NAME_sweep.csv and draw NAME_sweep.png."""
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
