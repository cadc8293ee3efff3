"""Run the whole pipeline on images that it draws itself.

    python demo.py
    python demo.py -images FOLDER

Draws about 250 images into demo/ and runs the five scripts on them, one after the other, each printed as a line that
can be copied: about three minutes on two cores. With your own class folders it gives a first honest answer for them, in
cross-validation with the transfer recipe: each image is tested once, by a model that has not seen it. The steps come
first. Below them is how the images are drawn: heads of ellipses and noise, not medical images.
"""

import contextlib
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # which is left out if PYTHONSAFEPATH is set

from pipeline import command_line
from pipeline.command_line import add_option
from pipeline.errors import UserError
from pipeline.messages import counted
from pipeline.partitioning import folders
from pipeline.project import RUNS_NEXT_STEP, SCRIPTS, Project, script_command
from pipeline.readers import folder_path

try:
    import numpy as np
    from PIL import Image

    from pipeline.progress import map_in_threads, progress_bar
except ModuleNotFoundError as error:
    command_line.fail_for_missing("demo.py", error)

# The numbers of images in the public brain MRI set.
CLASS_COUNTS = {"no": 98, "yes": 155}
FOLDS = 5  # of the user's own images
# The demo only empties a folder if it finds this file in it.
MARKER = ".made_by_demo"


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Run the whole pipeline on drawn images (not medical ones); or on your own, as a first honest answer.\n\n"
        "reads:  nothing; with -images the class folders in FOLDER, which it copies and leaves alone\n"
        "writes: DIR, a project folder with images, model, predictions, results and pictures",
        "python demo.py",
    )
    # fmt: off
    group = parser.add_argument_group("folders")
    add_option(group, "-out", metavar="DIR", type=folder_path, default=Path("demo"),
               help="project folder (default: demo)")
    add_option(group, "-images", metavar="FOLDER", type=folder_path,
               help="your own images, one folder per class: five folds, the transfer recipe, a report")
    add_option(group, "--overwrite", action="store_true",
               help="delete everything in the project folder of an earlier demo first (default: leave it alone)")
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    out = options.out
    paths = find_files(options.images, out) if options.images else {}
    create_empty(out, options.overwrite)
    if options.images:
        copy_files(paths, out)
        cross_validate(out)
    else:
        print(f"drawing {sum(CLASS_COUNTS.values())} heads, with a lesion (yes) and without (no), into {out}:")
        print("drawn images, not medical ones", flush=True)
        draw_phantoms(out, CLASS_COUNTS)
        run_five_commands(out)


def run_five_commands(out):
    """Run the five scripts on the images in the folder `out`, with a training of two minutes."""
    run("partition_datasets.py", "-proj_dir", out, "-val_test_prop", 0.1)
    run("organize_files.py", out)
    run(
        *("train_torchvision.py", "-project_directory", out, "-num_epochs", 15, "-learning_rate", 0.001),
        *("-patience", 8, "-batch_size", 25, "-model_save_name", "resnet_1.pth.tar", "-img_shape", 3, 64, 64),
        *("-architecture", "resnet18"),
    )
    run("test_torchvision.py", "-dir", out, "-save", "resnet_1.pth.tar", "-result_json_name", "resnet_1_preds.json")
    run("calc_model_performance.py", out / "resnet_1_preds.json", out / "resnet_1_results.json")
    print("\nThe pictures:")
    for picture in sorted([*out.glob("*.png"), *(out / "results").glob("*.png")]):
        print(f"  {picture}")
    print("\nThe images are drawn, not medical: the figures above say nothing about real scans.")


def cross_validate(out):
    """Run the five scripts on the images in the folder `out`, in five folds with the transfer recipe."""
    run("partition_datasets.py", "-proj_dir", out, "-folds", FOLDS, "-partitions", "redrawn")
    run("organize_files.py", out)
    all_folds = ("-dir", out, "-fold", "all", "-save", "transfer.pth.tar")
    run("train_torchvision.py", *all_folds, "-recipe", "transfer")
    run("test_torchvision.py", *all_folds)
    predictions = [out / f"transfer_fold_{fold}_preds.json" for fold in range(FOLDS)]
    run("calc_model_performance.py", *predictions, out / "transfer_results.json", "--report")
    print(f"\nThe report, to be opened in a browser: {out / 'transfer_report.html'}")


def find_files(images, out):
    """Return {place below `images`: path} of the files in its class folders, as partition_datasets.py finds them.

    Raises UserError if there are fewer than two class folders, or if `out` and `images` overlap.
    """
    project = Project(images)
    ours, theirs = out.resolve(), images.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        raise UserError(f"-images {images}: overlaps with the project folder {out}; give another place with -out")
    if (project.csv / "images.csv").exists():
        command = script_command("partition_datasets.py", "-proj_dir", images, "-folds", FOLDS)
        raise UserError(f"-images {images}: its images are already organized; run instead: {command}")
    paths = {place: path for place, path in folders.walk(project).items() if "/" in place and path.is_file()}
    number = len({place.partition("/")[0] for place in paths})
    if number < 2:
        found = counted(number, "class folder")
        raise UserError(f"-images {images}: {found} with files in it; give the folder that holds one folder per class")
    return paths


def create_empty(out, overwrite):
    """Create the folder `out`, empty but for the marker; UserError if it exists and must not be overwritten."""
    if out.is_symlink() or (out.exists() and not (out / MARKER).is_file()):
        raise UserError(f"{out}: exists, and this demo did not create it; give another place with -out")
    if not out.exists():
        out.mkdir(parents=True)
        (out / MARKER).touch()
    # The marker stays, so that the same command works again after an interrupt.
    earlier = [entry for entry in out.iterdir() if entry.name != MARKER]
    if earlier and not overwrite:
        raise UserError(f"{out}: holds an earlier demo; give another place with -out, or --overwrite, which deletes it")
    if earlier:
        print(f"emptying {out}, which an earlier demo created", flush=True)
    for entry in earlier:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def copy_files(paths, out):
    """Copy files to their places below `out`, without their permissions: the originals may be read-only."""
    print(f"copying {counted(len(paths), 'file')} into {out}", flush=True)
    for place, path in progress_bar(paths.items(), desc="copying", unit="image"):
        copy = out / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def run(script, *arguments):
    """Print the command line of one step and run it; a step that fails ends the demo with its exit status."""
    print(f"\n{script_command(script, *arguments)}\n", flush=True)
    command = [sys.executable, SCRIPTS / script, *map(str, arguments)]
    # Unbuffered: each epoch is shown when it is over, through a pipe too.
    with subprocess.Popen(command, env=os.environ | {"PYTHONUNBUFFERED": "1", RUNS_NEXT_STEP: "1"}) as step:
        try:
            status = step.wait()
        except BaseException:
            # Ctrl-C in a terminal reaches the step too, which then ends cleanly; a signal only to the demo does not.
            with contextlib.suppress(subprocess.TimeoutExpired):
                step.wait(timeout=3)
            step.terminate()
            step.wait()
            raise
    if status:
        sys.exit(status if status > 0 else 128 - status)  # as in shells, if a signal has ended the step


# Brightness of the tissues, 0 to 1, in the three usual kinds of MRI scan.
TISSUES_OF_SCAN = {
    "T1": {"scalp": 0.85, "fluid": 0.10, "grey": 0.42, "white": 0.58},
    "T2": {"scalp": 0.45, "fluid": 0.80, "grey": 0.50, "white": 0.32},
    "FLAIR": {"scalp": 0.60, "fluid": 0.08, "grey": 0.50, "white": 0.40},
}
LESIONS = ("solid", "ring")

# Format, mode, suffix and proportion of the files: much as in the public brain MRI set, the rare kinds a little less
# rare. Every class draws from the same table, so that the kind of file tells nothing about the class.
FILE_KINDS = (
    ("JPEG", "RGB", ".jpg", 0.46),
    ("JPEG", "RGB", ".JPG", 0.25),
    ("JPEG", "L", ".jpg", 0.10),
    ("JPEG", "RGB", ".jpeg", 0.04),
    ("JPEG", "L", ".jpeg", 0.03),
    ("PNG", "RGBA", ".jpg", 0.04),
    ("PNG", "P", ".jpg", 0.02),
    ("PNG", "RGB", ".png", 0.03),
    ("PNG", "L", ".png", 0.03),
)
TWIN_EVERY = 25  # the 25th, 50th, ... image of a class repeats the one before it, so a small set has no twins


def draw_phantoms(folder, class_counts, seed=0, sizes=(180, 560)):
    """Draw `class_counts` = {class name: number of images} into class folders in `folder`.

    Images of the first class have no lesion, all others have a solid or a ring-shaped one. The longer side, in pixels,
    is drawn from `sizes`, both ends included; the shorter one is at least 3/4 of it. The same seed gives the same bytes
    on one platform.
    """
    for class_name in class_counts:
        Path(folder, class_name).mkdir(parents=True, exist_ok=True)

    def draw(task):
        class_index, class_name, number = task
        # A generator for each image: its pixels do not depend on the others, nor on the order of the threads.
        first_of_twins = number - 1 if number % TWIN_EVERY == 0 else number
        generator = np.random.default_rng([seed, class_index, first_of_twins])
        stem = f"{class_name[0].upper()}{number}" if generator.random() < 0.7 else f"{class_name} {number}"
        lesion = generator.choice(LESIONS) if class_index > 0 else None
        image, _ = draw_phantom(generator, lesion, _random_size(generator, sizes))
        _save_as_some_kind(generator, image, Path(folder, class_name, stem))

    classes = enumerate(class_counts.items())
    tasks = [(index, name, number) for index, (name, count) in classes for number in range(1, count + 1)]
    map_in_threads(draw, tasks, "drawing")


def draw_phantom(generator, lesion, size):
    """Return one axial head slice, a Pillow image of mode L, and where its lesion is, a bool array (height, width).

    `generator` is a numpy.random.Generator, `lesion` one of LESIONS or None, `size` (width, height) in pixels.
    """
    x, y = _head_coordinates(generator, size)
    tissues = TISSUES_OF_SCAN[generator.choice(list(TISSUES_OF_SCAN))]
    outline = np.hypot(x, y) * (1 + 0.02 * _smooth_noise(generator, 4, size))
    folds = _smooth_noise(generator, generator.integers(20, 28), size)
    pixels = np.zeros_like(x)

    def paint(level, depth, edge=0.02):
        """Paint where `depth`, the distance inside the boundary, is above 0; `edge` is the width of the blur."""
        pixels[:] += np.clip(depth / edge + 0.5, 0, 1) * (level - pixels)

    paint(tissues["scalp"], 1 - outline)
    paint(0.04, 0.94 - outline)  # the skull gives no signal
    paint(tissues["fluid"], 0.88 - outline)
    brain = 0.86 - outline
    paint(tissues["grey"], brain)
    paint(tissues["white"], 0.68 + 0.1 * folds - outline, edge=0.06)
    paint(tissues["fluid"], np.minimum(brain, np.minimum(0.02 - 0.08 * np.abs(folds), outline - 0.5)))  # furrows
    paint(tissues["fluid"], np.minimum(brain, np.minimum(0.008 - np.abs(x), np.abs(y) - 0.3)))  # between the halves
    _paint_ventricles(generator, paint, tissues, x, y)
    inside = np.zeros_like(x, dtype=bool)
    if lesion is not None:
        wobble = 1 + 0.15 * _smooth_noise(generator, 10, size)
        inside = _paint_lesion(generator, paint, lesion, brain, x, y, wobble)

    pixels *= generator.uniform(0.6, 1.0) * (1 + 0.1 * _smooth_noise(generator, 3, size))  # uneven coil
    pixels += generator.uniform(0.01, 0.05) * generator.standard_normal(pixels.shape, dtype=np.float32)
    return Image.fromarray(np.clip(np.abs(pixels) * 255, 0, 255).astype(np.uint8)), inside


def _random_size(generator, sizes):
    longer = int(generator.integers(*sizes, endpoint=True))
    shorter = round(longer * generator.uniform(0.75, 1))
    return (longer, shorter) if generator.random() < 0.3 else (shorter, longer)


def _head_coordinates(generator, size):
    """Return x and y of each pixel, in units of the head's half width and half length, its centre at 0."""
    width, height = size
    breadth = generator.uniform(0.76, 0.88)
    half_length = generator.uniform(0.78, 0.96) * min(height, width / breadth) / 2
    shift = generator.uniform(-0.04, 0.04, size=2).tolist()
    x = (np.arange(width, dtype=np.float32) - width / 2)[np.newaxis, :] / half_length - shift[0]
    y = (np.arange(height, dtype=np.float32) - height / 2)[:, np.newaxis] / half_length - shift[1]
    x, y = _rotate(x, y, generator.normal(0, 0.1))
    return x / breadth, y


def _rotate(x, y, angle):
    return x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)


def _smooth_noise(generator, cells, size):
    """Return noise of standard deviation about 1 whose lumps are 1/`cells` of the image."""
    coarse = generator.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))


def _paint_ventricles(generator, paint, tissues, x, y):
    scale = generator.uniform(0.7, 1.3)
    breadth = 0.055 * scale
    for end, length in ((-1, 0.17), (1, 0.21)):  # the front horns are the shorter ones
        across, along = _rotate(np.abs(x) - 0.1 * scale, y - end * 0.19, -end * 0.4)
        paint(tissues["fluid"], breadth * (1 - np.hypot(across / breadth, along / length)))


def _paint_lesion(generator, paint, lesion, brain, x, y, wobble):
    """Paint a lesion and return where it is."""
    angle, distance = generator.uniform(0, 2 * math.pi), generator.uniform(0.2, 0.56)
    radius, squeeze = generator.uniform(0.14, 0.26), generator.uniform(0.75, 1.33)
    x, y = _rotate(x - distance * math.cos(angle), y - distance * math.sin(angle), generator.uniform(0, math.pi))
    depth = radius - np.hypot(x * squeeze, y / squeeze) * wobble
    paint(generator.uniform(0.55, 0.75), np.minimum(brain, depth + 0.04), edge=0.2)  # swelling around it
    paint(generator.uniform(0.9, 1.0), np.minimum(brain, depth))
    if lesion == "ring":
        paint(generator.uniform(0.05, 0.35), depth - generator.uniform(0.25, 0.4) * radius)
    return np.minimum(brain, depth) > 0


def _save_as_some_kind(generator, image, stem):
    kind = generator.choice(len(FILE_KINDS), p=[proportion for *_, proportion in FILE_KINDS])
    file_format, mode, suffix, _ = FILE_KINDS[kind]
    settings = {"quality": int(generator.integers(80, 96))} if file_format == "JPEG" else {}
    image.convert(mode).save(f"{stem}{suffix}", file_format, **settings)


if __name__ == "__main__":
    main()
