"""Does training start better from the weights of another training? Validation loss over epochs, with and without.

    python benchmarks/transfer.py FOLDER WORK FIGURE.png [-seeds 0 1 2] [OPTIONS OF train_torchvision.py]

Trains on drawn images first (pipeline.phantoms), then on the images of FOLDER, once from random weights and once from
those of the first training, with the same options and seeds. WORK is made and keeps everything; what was finished is
not done again.
"""

import argparse
import json
from pathlib import Path

import measuring
import numpy as np
from matplotlib import pyplot as plt

from pipeline import phantoms, plots
from pipeline.tables import format_table

DRAWN_IMAGES = 600  # of each class
DRAWN_EPOCHS = 15


def train(project, name, *options):
    """Train, unless it has been done, and return the validation loss of each epoch."""
    measuring.run_script(
        "train_torchvision.py", "-dir", project, "-save", f"{name}.pth.tar", "--resume", *options, "-patience", "none"
    )
    values = json.loads((project / "results" / f"{name}_loss_values.json").read_text())["val loss values"]
    return [loss for _, loss in values]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("-seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments, options = parser.parse_known_args()
    drawn, real = arguments.work / "drawn", arguments.work / "real"
    if not (drawn / "bin").exists():
        phantoms.draw_phantoms(arguments.work / "phantoms", {"no": DRAWN_IMAGES, "yes": DRAWN_IMAGES})
        measuring.make_project(arguments.work / "phantoms", drawn)
    if not (real / "bin").exists():
        measuring.make_project(arguments.folder, real)
    train(drawn, "drawn", *options, "-num_epochs", DRAWN_EPOCHS)
    starts = {"random weights": [], "weights from drawn images": ["-weights", drawn / "models" / "drawn.pth.tar"]}
    losses = {
        start: [
            train(real, f"{'from_drawn' if more else 'random'}_{seed}", *options, *more, "-seed", seed)
            for seed in arguments.seeds
        ]
        for start, more in starts.items()
    }
    draw(arguments.figure, losses)
    report(losses)


def draw(path, losses):
    """Draw the median validation loss of the seeds over the epochs, and the range between them."""
    figure, axes = plt.subplots(figsize=(6.4, 4))
    for color, (start, runs) in zip(plots.COLORS, losses.items(), strict=False):
        epochs = np.arange(1, len(runs[0]) + 1)
        axes.plot(epochs, np.median(runs, axis=0), color=color, label=start)
        axes.fill_between(epochs, np.min(runs, axis=0), np.max(runs, axis=0), color=color, alpha=0.2, lw=0)
    axes.set(xlabel="epoch", ylabel=f"validation loss (median and range of {len(runs)} seeds)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    plots.save_figure(figure, path)


def report(losses):
    """Print after how many epochs each start first reaches the lowest median loss that random weights ever reach."""
    medians = {start: np.median(runs, axis=0) for start, runs in losses.items()}
    goal = medians["random weights"].min()
    rows = []
    for start, median in medians.items():
        reached = np.flatnonzero(median <= goal)
        rows.append([start, f"{median.min():.3f}", reached[0] + 1 if len(reached) else "never"])
    print(measuring.machine("torch", "torchvision"))
    print()
    print(format_table(["start", "lowest validation loss", f"first epoch at or below {goal:.3f}"], rows))


if __name__ == "__main__":
    main()
