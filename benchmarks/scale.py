"""Time and peak memory of every script on many small images, and of training on more images than memory holds.

    python benchmarks/scale.py [COUNT ...]

Draws COUNT different images of 96 x 96 pixels, every tenth a recompressed near-duplicate of the one before it, and runs
the scripts on them. shufflenet_v2_x0_5 is trained twice, at 64 x 64 pixels in batches of 256 for two epochs: once with
the images held in memory, once with the images read again for every batch, as happens if they do not fit. The
images per second of training are those of the second epoch, those of predicting are over the whole command. Comparing
all pairs of images, which is part of partitioning, is also timed separately. All images are predicted once more as new
ones and, to compare with that, the training images as a partition. Unix only.
"""

import tempfile
import time
from pathlib import Path

import measuring
import numpy as np
from PIL import Image

from pipeline import command_line
from pipeline.messages import format_table
from pipeline.partitioning import duplicates
from pipeline.progress import map_in_threads
from pipeline.readers import whole_number

ARCHITECTURE = "shufflenet_v2_x0_5"
TRAINING = ("-architecture", ARCHITECTURE, "-img_shape", 3, 64, 64, "-batch_size", 256, "-num_epochs", 2)

# Runs the script without memory for the images.
STREAMING = """
import sys
sys.path.insert(0, sys.argv[1])
from pipeline.learning import image_sets
import train_torchvision
image_sets.FRACTION_OF_FREE_MEMORY *= 0
train_torchvision.main(sys.argv[2:])
"""


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Measure time and peak memory of every script on many small images.\n\n"
        "reads:  nothing; draws its images\nwrites: tables on standard output",
        "python benchmarks/scale.py 1000 10000 100000",
    )
    parser.add_argument(
        "COUNT", nargs="*", type=whole_number(), default=[10_000, 100_000], help="images (default: 10000 100000)"
    )
    return parser


@command_line.entry_point
def main(argv=None):
    counts = create_argparser().parse_args(argv).COUNT
    rows = [row for count in counts for row in measure(count)]
    print(f"{measuring.machine('torch', 'numpy', 'pillow')}\n")
    print(format_table(["images", "step", "seconds", "peak memory (MB)", "images/s"], rows))


def draw(folder, count):
    """Draw `count` images into two class folders."""
    for name in ("no", "yes"):
        (folder / name).mkdir()

    def save(number):
        seed = number - 1 if number % 10 == 9 else number
        pixels = np.random.default_rng(seed).integers(0, 256, (7, 7), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((96, 96), Image.Resampling.BICUBIC)
        image.save(folder / ("no", "yes")[number // 10 % 2] / f"{number}.jpg", quality=90 - number % 10)

    map_in_threads(save, range(count), "drawing")


def measure(count):
    """Yield a row for each script: images, step, seconds, peak memory in MB, images per second."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        draw(project, count)
        yield row(count, "partition", measuring.run_script("partition_datasets.py", "-proj_dir", project))
        yield [count, "of which: comparing pairs", f"{seconds_of_all_pairs(count):.1f}", "", ""]
        yield row(count, "organize", measuring.run_script("organize_files.py", project))
        training = ["-project_directory", project, *TRAINING]
        held = measuring.run_script("train_torchvision.py", *training)
        yield row(count, "train, held in memory", held, images_per_second(project))
        streamed = measuring.run("-c", STREAMING, measuring.SCRIPTS, *training, "--overwrite")
        yield row(count, "train, read again", streamed, images_per_second(project))
        yield row(count, "test", measuring.run_script("test_torchvision.py", "-dir", project))
        tested = measuring.run_script("test_torchvision.py", "-dir", project, "-split", "train")
        rate = measuring.count_images(project, "train") / tested.seconds
        yield row(count, "test, training images", tested, f"{rate:.0f}")
        new = ["-dir", project, "-images", project / "bin", "-out", project / "new.csv"]
        predicted = measuring.run_script("test_torchvision.py", *new)
        yield row(count, "test, new images", predicted, f"{count / predicted.seconds:.0f}")
        files = [project / f"{ARCHITECTURE}_{ending}.json" for ending in ("preds", "results")]
        yield row(count, "calc", measuring.run_script("calc_model_performance.py", *files))


def row(count, step, measured, rate=""):
    return [count, step, f"{measured.seconds:.1f}", f"{measured.memory:.0f}", rate]


def seconds_of_all_pairs(count):
    """Return how long comparing all pairs of `count` images takes."""
    thumbnails = np.random.default_rng(0).integers(0, 256, (count, 16, 17), dtype=np.uint8)
    started = time.perf_counter()
    duplicates.group_near(np.arange(count), thumbnails, 10)
    return time.perf_counter() - started


def images_per_second(project):
    """Return training images per second of the second epoch, its validation included."""
    return f"{measuring.count_images(project, 'train') / measuring.epoch_seconds(project, ARCHITECTURE)[-1]:.0f}"


if __name__ == "__main__":
    main()
