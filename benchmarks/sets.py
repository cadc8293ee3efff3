"""Write images into class folders: sets to train on beside your own, the same every time.

    python benchmarks/sets.py digits FOLDER [COUNT]    scikit-learn's handwritten digits, 8 x 8 pixels, ten classes
    python benchmarks/sets.py heads FOLDER [COUNT]     those that demo.py draws, with and without a lesion
    python benchmarks/sets.py shapes FOLDER [COUNT]    coloured shapes on noise; only the outline tells the five classes
    python benchmarks/sets.py sample FOLDER [COUNT] -of SOURCE    some of the images in the class folders of SOURCE

COUNT images (default: 300), equally many of each class.
"""

import argparse
import random
import shutil
from pathlib import Path

import measuring
import numpy as np
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import demo

assert measuring  # importing it makes demo importable

SIDE = 128  # pixels of a drawn shape's image
# Corners on a circle, and which of them is the next: in a star, every second one.
SHAPES = {"triangle": (3, 1), "square": (4, 1), "pentagon": (5, 1), "hexagon": (6, 1), "star": (5, 2)}


def write_digits(folder, count):
    """Write `count` of the digits as PNG files."""
    digits = load_digits()
    chosen, _ = train_test_split(
        np.arange(len(digits.target)), train_size=count, stratify=digits.target, random_state=0
    )
    for number in chosen:
        path = folder / str(digits.target[number]) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[number] * 255 / 16).astype(np.uint8)).save(path)


def write_heads(folder, count):
    """Draw `count` heads, half of them with a lesion."""
    demo.draw_phantoms(folder, {"no": count // 2, "yes": count // 2})


def write_shapes(folder, count):
    """Draw `count` shapes of any colour, size, place and rotation, as PNG files."""
    for label, name in enumerate(SHAPES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count // len(SHAPES)):
            draw_shape(np.random.default_rng([label, number]), *SHAPES[name]).save(folder / name / f"{number}.png")


def draw_shape(generator, corners, step):
    """Return an image of a filled shape with this number of corners, in which each is joined to the `step`-th next."""
    background, colour = generator.uniform(0, 255, (2, 3))
    radius = generator.uniform(0.14, 0.32) * SIDE
    centre = generator.uniform(radius, SIDE - radius, 2)
    angles = generator.uniform(0, 2 * np.pi) + 2 * np.pi * step * np.arange(corners) / corners
    outline = [tuple(centre + radius * np.array([np.cos(angle), np.sin(angle)])) for angle in angles]
    mask = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    inside = np.asarray(mask)[..., np.newaxis] > 0
    pixels = np.where(inside, colour, background) + generator.normal(0, 30, (SIDE, SIDE, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def copy_sample(folder, count, source):
    """Copy `count` of the images in the class folders of `source`, drawn at random."""
    classes = sorted(path for path in source.iterdir() if path.is_dir())
    for class_folder in classes:
        shuffled = sorted(class_folder.iterdir())
        random.Random(0).shuffle(shuffled)
        (folder / class_folder.name).mkdir(parents=True)
        for path in shuffled[: count // len(classes)]:
            shutil.copy(path, folder / class_folder.name)


SETS = {"digits": write_digits, "heads": write_heads, "shapes": write_shapes}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("set", choices=[*SETS, "sample"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("count", type=int, nargs="?", default=300)
    parser.add_argument("-of", dest="source", type=Path, metavar="SOURCE", help="for sample: the folder of the images")
    arguments = parser.parse_args()
    if (arguments.set == "sample") != (arguments.source is not None):
        parser.error("-of SOURCE: must be given for sample, and only for it")
    if arguments.source:
        copy_sample(arguments.folder, arguments.count, arguments.source)
    else:
        SETS[arguments.set](arguments.folder, arguments.count)
    print(f"wrote {len(list(arguments.folder.glob('*/*')))} images to {arguments.folder}")


if __name__ == "__main__":
    main()
