"""Several trainings side by side, folds or a grid of choices: their order, table and plot."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline import files, plots
from pipeline.messages import format_table
from pipeline.project import fold_name

# Runs are ranked by LOSS, that of the kept weights, which are not always those with the lowest loss.
LOSS, LOWEST = "kept validation loss", "minimum validation loss"
COLUMNS = [
    "model name",
    "architecture",
    "batch size",
    "learning rate",
    LOSS,
    LOWEST,
    "best epoch",
    "number of epochs",
    "training seconds",
]
NO_EPOCHS = {"best epoch": None, "number of epochs": None}  # of a last layer that is fitted without steps
# For the folds of a setting together; lowest and highest are among their kept losses.
SETTING_COLUMNS = [*COLUMNS[:6], "lowest", "highest", "folds", "training seconds"]


def settings_of(finished):
    """Return a dict for each setting of the finished runs, the best one first: SETTING_COLUMNS, `series` and `runs`.

    A setting is a run, or the runs of its folds together. Its losses are then means over the folds, which are not
    ranked among themselves, since each has other validation images. Settings that lack a fold come last.

    The series, which has its own colour in the plot, is the architecture, with the recipe if there are several.
    """
    runs_of = {}
    for run in finished:
        runs_of.setdefault(run["model name"].removesuffix(fold_name("", run["fold"])), []).append(run)
    settings, several_recipes = [], len({run["recipe"] for run in finished}) > 1
    for name, runs in runs_of.items():
        recipe, architecture = runs[0]["recipe"], runs[0]["architecture"]
        losses = [run[LOSS] for run in runs]
        mean = float(np.mean(losses))
        together = {
            "model name": name,
            LOSS: mean,
            LOWEST: float(np.mean([run[LOWEST] for run in runs])),
            "lowest": min(losses),
            "highest": max(losses),
            "folds": len(runs),
            "training seconds": round(sum(run["training seconds"] for run in runs), 3),
            "series": f"{recipe}, {architecture}" if several_recipes else architecture,
            "runs": [run | {"mean over folds": mean} for run in runs],
        }
        settings.append({column: runs[0][column] for column in COLUMNS[1:4]} | together)
    return sorted(settings, key=_rank)


def print_table(finished):
    """Print the finished runs of a sweep or of all folds; `finished` as execution.train_all returns them."""
    settings, loss = settings_of(finished), _ranking_loss(finished)
    rows, columns, fold_count = _runs_of(settings), COLUMNS, settings[0]["folds"]
    if fold_count == 1:
        title = "Runs, lowest validation loss first"
    elif len(settings) == 1:
        title = "Runs, one for each fold"
    else:
        title = f"Settings, lowest mean over {fold_count} folds of the {loss} first"
        rows, columns = settings, SETTING_COLUMNS
    rows = [row if row["learning rate"] is not None else row | NO_EPOCHS for row in rows]
    print(f"\n{title}\n")
    repeated = [LOSS] if loss == LOWEST else []
    columns = [each for each in columns if each not in repeated and any(row[each] is not None for row in rows)]
    print(format_table(columns, [[_shown(column, row[column]) for column in columns] for row in rows]))


def write_report(results_folder, name, finished, in_3d=False):
    """Write the table of a sweep's runs as NAME_sweep.csv and draw NAME_sweep.png, perhaps in three dimensions.

    For several folds, the table has every run, those of the best setting first, and the plot has the settings.
    """
    settings = settings_of(finished)
    csv_path, plot_path = results_folder / f"{name}_sweep.csv", results_folder / f"{name}_sweep.png"
    verb = "replaced" if csv_path.exists() else "wrote"
    columns = COLUMNS if settings[0]["folds"] == 1 else [*COLUMNS, "fold", "mean over folds"]
    rows = [[run[column] for column in columns] for run in _runs_of(settings)]
    files.write_csv(csv_path, [columns, *rows])
    draw = draw_sweep_in_3d if in_3d else draw_sweep
    draw(plot_path, settings)
    print(f"\n{verb} {csv_path} and {plot_path}")


def _rank(setting):
    return -setting["folds"], setting[LOSS]


def _runs_of(settings):
    return [run for setting in settings for run in setting["runs"]]


def _shown(column, value):
    return f"{value:.4f}" if column in (LOSS, LOWEST, "lowest", "highest") else value


@plots.own_style()
def draw_sweep(path, runs):
    """Draw the kept validation loss over the learning rate: one colour for each series, one marker for each batch size.

    `runs` is a list of dicts with `series`, `batch size`, `learning rate`, LOSS, LOWEST and `folds`, the number of
    folds that the losses are means over. A last layer that was fitted without steps has no learning rate and no batch
    size, and its loss is a horizontal line.
    """
    figure = Figure(figsize=(7.5, 5))
    axes = figure.subplots()
    stepped = [run for run in runs if run["learning rate"] is not None]
    series = list(dict.fromkeys(run["series"] for run in runs))
    sizes, rates = (sorted({run[name] for run in stepped}) for name in ("batch size", "learning rate"))
    shift = _shifts(rates, sorted({(run["batch size"], run["series"]) for run in stepped}))
    for run in runs:
        look, loss = _look(series.index(run["series"])), run[LOSS]
        if run in stepped:
            x = run["learning rate"] * shift[run["batch size"], run["series"]]
            axes.plot(x, loss, plots.MARKERS[sizes.index(run["batch size"]) % len(plots.MARKERS)], ms=9, **look)
        else:
            axes.axhline(loss, color=look["color"], ls="--")
    if stepped:
        plots.plain_log_scale(axes, "x", rates)
        side_by_side = " (points of the same rate are side by side)" if len(shift) > 1 else ""
        axes.set(xlabel=f"learning rate{side_by_side}", xlim=(rates[0] / 2, rates[-1] * 2))
    else:
        axes.set_xticks([])
    best = min(runs, key=_rank)
    axes.set_ylabel(_loss_label(runs))
    axes.grid(alpha=0.3)
    plots.titled(axes, f"Sweep, lowest loss: {best['series']}, {best[LOSS]:.3g}")
    _add_legends(figure, series, sizes, len(stepped) < len(runs))
    plots.save_figure(figure, path)


def _loss_label(runs):
    fold_count = max((run["folds"] for run in runs), default=1)
    return _ranking_loss(runs) + (f", mean over {fold_count} folds" if fold_count > 1 else "")


def _ranking_loss(runs):
    """Return the name of the loss that ranks the runs: the minimum if each has kept the weights with that loss."""
    return LOWEST if all(run[LOSS] == run[LOWEST] for run in runs) else LOSS


def _shifts(rates, combinations):
    """Return {combination: factor on its learning rate}, to draw points side by side, so that none hides another.

    All are within a sixth of the way to the next rate.
    """
    ways = np.diff(np.log(rates)) if len(rates) > 1 else [np.log(4)]
    places = np.linspace(-0.5, 0.5, len(combinations)) if len(combinations) != 1 else [0.0]
    return {one: float(np.exp(place * min(ways) / 3)) for one, place in zip(combinations, places, strict=True)}


def _look(number):
    """Return the colour of a series; once all colours are used, points that are not filled."""
    color = plots.COLORS[number % len(plots.COLORS)]
    return {"color": color, "mfc": color if number < len(plots.COLORS) else "white", "mew": 1.5}


def _add_legends(figure, series, sizes, with_fitted):
    """Show beside the axes which colour is which series, and which marker which batch size."""
    none, grey = {"ls": "none", "ms": 8}, {"color": "grey", "ls": "none", "ms": 8}
    entries = [Line2D([], [], marker="s", label=name, **none, **_look(n)) for n, name in enumerate(series)]
    entries += [
        Line2D([], [], marker=plots.MARKERS[n % len(plots.MARKERS)], label=f"batch size {size}", **grey)
        for n, size in enumerate(sizes)
    ]
    if with_fitted:
        entries.append(Line2D([], [], color="grey", ls="--", label="last layer fitted,\nwithout steps"))
    figure.legend(handles=entries, loc="center left", bbox_to_anchor=(0.92, 0.5), fontsize="small", frameon=False)


@plots.own_style()
def draw_sweep_in_3d(path, runs):
    """Draw the kept validation loss over batch size and learning rate, one colour for each series, as published.

    `runs` are as for `draw_sweep`. Those without steps are left out.
    """
    runs = [run for run in runs if run["learning rate"] is not None]
    figure = Figure(figsize=(7.5, 6))
    axes = figure.add_subplot(projection="3d", computed_zorder=False)
    floor = min(0, *(run[LOSS] for run in runs)) if runs else 0
    rates = sorted({run["learning rate"] for run in runs})
    for index, series in enumerate(dict.fromkeys(run["series"] for run in runs)):
        chosen = [run for run in runs if run["series"] == series]
        color, marker = plots.COLORS[index % len(plots.COLORS)], plots.MARKERS[index % len(plots.MARKERS)]
        x = [run["batch size"] for run in chosen]
        # Matplotlib's 3-D axes have no logarithmic scale: the exponents are drawn, the rates written beside them.
        y = [np.log10(run["learning rate"]) for run in chosen]
        z = [run[LOSS] for run in chosen]
        for point in zip(x, y, z, strict=True):
            axes.plot(*([value, value] for value in point[:2]), [floor, point[2]], color=color, lw=1, alpha=0.5)
        axes.scatter(x, y, z, s=45, color=color, marker=marker, depthshade=False, label=series)
    axes.set_xticks(sorted({run["batch size"] for run in runs}))
    axes.set_yticks(np.log10(rates), map(plots.plain_number, rates))
    axes.set_xlabel("batch size", labelpad=8)
    axes.set_ylabel("learning rate (log axis)", labelpad=12)
    axes.set_zlabel(_loss_label(runs), labelpad=8)
    axes.set_zlim(bottom=floor)
    axes.view_init(elev=22, azim=-52)
    axes.set_box_aspect(None, zoom=0.88)
    axes.legend(loc="upper left")
    plots.titled(axes, "Sweep")
    plots.save_figure(figure, path)
