"""Loss over epochs of two ways to train, over several seeds: with two number formats, or from two initial weights.

    python benchmarks/loss_curves.py precision FOLDER WORK FIGURE.png [-seeds 0 1 2] [OPTIONS OF train_torchvision.py]
    python benchmarks/loss_curves.py transfer FOLDER WORK FIGURE.png [-seeds 0 1 2] [OPTIONS OF train_torchvision.py]

FOLDER holds class folders and is left as it is; WORK is created and keeps everything: what has finished is not done
again. `transfer` first trains on drawn images (demo.py), then on FOLDER, from random weights and from those learned on
the drawn images.
"""

import argparse
import json
from pathlib import Path

import measuring
import numpy as np
from matplotlib.figure import Figure

import demo
from pipeline import plots
from pipeline.messages import format_table

DRAWN_IMAGES = 600  # of each class
DRAWN_EPOCHS = 15


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("what", choices=["precision", "transfer"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("-seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments, options = parser.parse_known_args()
    project = arguments.work / "project"
    if not (project / "bin").exists():
        measuring.make_project(arguments.folder, project)
    if arguments.what == "precision":
        ways = {name: ["-precision", name] for name in ("float32", "bfloat16")}
        quantity = "loss values"
    else:
        weights = train_on_drawn_images(arguments.work, options)
        ways = {"random weights": [], "weights from drawn images": ["-weights", weights]}
        quantity = "val loss values"
    losses = {
        way: [
            train(project, f"{way.replace(' ', '_')}_{seed}", quantity, *options, *more, "-seed", seed)
            for seed in arguments.seeds
        ]
        for way, more in ways.items()
    }
    draw(arguments.figure, losses, quantity.removesuffix(" values").replace("val ", "validation "))
    print(measuring.machine("torch", "torchvision"))
    print()
    print(report(losses))


def train_on_drawn_images(work, options):
    """Return the path of a model trained on drawn images, with the same options."""
    project = work / "drawn"
    if not (project / "bin").exists():
        demo.draw_phantoms(work / "phantoms", {"no": DRAWN_IMAGES, "yes": DRAWN_IMAGES})
        measuring.make_project(work / "phantoms", project)
    train(project, "drawn", "loss values", *options, "-num_epochs", DRAWN_EPOCHS)
    return project / "models" / "drawn.pth.tar"


def train(project, name, quantity, *options):
    """Train to the last epoch, unless this was done before, and return the quantity of each epoch."""
    measuring.run_script(
        "train_torchvision.py", "-dir", project, "-save", f"{name}.pth.tar", "--resume", *options, "-patience", 0
    )
    values = json.loads((project / "results" / f"{name}_loss_values.json").read_text())[quantity]
    return [value for _, value in values]


@plots.own_style()
def draw(path, losses, label):
    """Draw the median of the seeds over the epochs, and the range between them."""
    figure = Figure(figsize=(6.4, 4))
    axes = figure.subplots()
    for color, (way, runs) in zip(plots.COLORS, losses.items(), strict=False):
        epochs = np.arange(1, len(runs[0]) + 1)
        axes.plot(epochs, np.median(runs, axis=0), color=color, label=way)
        axes.fill_between(epochs, np.min(runs, axis=0), np.max(runs, axis=0), color=color, alpha=0.2, lw=0)
    axes.set(xlabel="epoch", ylabel=label)
    plots.plain_log_scale(axes, "y")
    axes.grid(alpha=0.3)
    plots.legend_above(axes, f"{label.capitalize()}: median and range of {len(runs)} seeds")
    plots.save_figure(figure, path)


def report(losses):
    """Return a table: lowest and last loss, and the first epoch that reaches the lowest median of the first way."""
    medians = {way: np.median(runs, axis=0) for way, runs in losses.items()}
    first, *_ = medians.values()
    goal, rows = first.min(), []
    for way, median in medians.items():
        (reached,) = np.nonzero(median <= goal)
        spread = f"{np.min(losses[way], axis=0)[-1]:.3f} to {np.max(losses[way], axis=0)[-1]:.3f}"
        rows.append(
            [way, f"{median.min():.3f}", f"{median[-1]:.3f} ({spread})", reached[0] + 1 if len(reached) else "never"]
        )
    header = ["training", "lowest median loss", "last epoch (range)", f"first epoch at or below {goal:.3f}"]
    return format_table(header, rows)


if __name__ == "__main__":
    main()
