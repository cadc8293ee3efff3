"""Run the whole pipeline on images that it draws itself.

    python demo.py

Draws about 250 images into demo/, or copies your own class folders there with `-images FOLDER`, and runs the five
scripts on them, one after the other, each printed as a line that can be copied. About three minutes on two cores.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline import command_line
from pipeline.command_line import add_option
from pipeline.errors import UserError
from pipeline.messages import command_text
from pipeline.readers import folder_path

SCRIPTS = Path(__file__).resolve().parent
# As many images and as uneven classes as in the public brain MRI set.
CLASS_COUNTS = {"no": 98, "yes": 155}
# The demo deletes a folder only where it finds this file in it.
MARKER = ".made_by_demo"


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Run the whole pipeline on drawn images (not medical ones), or on your own.\n\n"
        "reads:  nothing; with -images the class folders in FOLDER, which it copies and leaves alone\n"
        "writes: DIR, a project folder with images, model, predictions, results and pictures",
        "python demo.py",
    )
    # fmt: off
    folders = parser.add_argument_group("folders")
    add_option(folders, "-out", metavar="DIR", type=folder_path, default=Path("demo"),
               help="project folder; one that an earlier demo made is emptied first (default: demo)")
    add_option(folders, "-images", metavar="FOLDER", type=folder_path,
               help="your own images, one folder per class, instead of drawn ones")
    # fmt: on
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    out = options.out
    class_folders = find_class_folders(options.images, out) if options.images else []
    make_afresh(out)
    if options.images:
        copy_images(class_folders, out)
    else:
        draw_images(out)

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
    if not options.images:
        print("\nThe images are drawn, not medical: the figures above say nothing about real scans.")


def find_class_folders(images, out):
    """Return the class folders in `images`; UserError where there are none or where `out` and it overlap."""
    from pipeline.project import RESERVED_FOLDERS

    if not images.is_dir():
        raise UserError(f"-images {images}: no such folder; give the folder that holds one folder per class")
    ours, theirs = out.resolve(), images.resolve()
    if ours == theirs or ours in theirs.parents or theirs in ours.parents:
        raise UserError(f"-images {images}: it and {out} lie one in the other; give another place with -out")
    folders = sorted(
        folder
        for folder in images.iterdir()
        if folder.is_dir() and folder.name not in RESERVED_FOLDERS and not folder.name.startswith(".")
    )
    if not folders:
        raise UserError(f"-images {images}: no class folders in it; give the folder that holds one folder per class")
    return folders


def make_afresh(out):
    """Make the folder `out`, empty but for the marker, in the place of one that an earlier demo made."""
    if out.is_symlink() or (out.exists() and not (out / MARKER).is_file()):
        raise UserError(f"{out}: is there already, and not made by this demo; give another place with -out")
    if not out.exists():
        out.mkdir(parents=True)
        (out / MARKER).touch()
    # The marker stays, so that the same command completes what an interrupt has left.
    earlier = [entry for entry in out.iterdir() if entry.name != MARKER]
    if earlier:
        print(f"emptying {out}, which an earlier demo made", flush=True)
    for entry in earlier:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def copy_images(class_folders, out):
    """Copy the files of the class folders, without their permissions: the originals may be read-only."""
    from pipeline.progress import progress_bar

    print(f"copying {len(class_folders)} class folders into {out}", flush=True)
    paths = [path for folder in class_folders for path in folder.iterdir() if path.is_file()]
    for path in progress_bar(paths, desc="copying", unit="image"):
        (out / path.parent.name).mkdir(exist_ok=True)
        shutil.copyfile(path, out / path.parent.name / path.name)


def draw_images(out):
    """Draw the built-in images."""
    from pipeline import phantoms

    print(f"drawing {sum(CLASS_COUNTS.values())} heads, with a lesion (yes) and without (no), into {out}:")
    print("drawn images, not medical ones", flush=True)
    phantoms.draw_phantoms(out, CLASS_COUNTS)


def run(script, *arguments):
    """Print the command line of one step and run it; a step that fails ends the demo with its exit status."""
    shown = os.path.relpath(SCRIPTS / script) if SCRIPTS.drive == Path.cwd().drive else SCRIPTS / script
    print(f"\n{command_text('python', shown, *arguments)}\n", flush=True)
    command = [sys.executable, SCRIPTS / script, *map(str, arguments)]
    # Unbuffered: each epoch is to be seen when it is over, through a pipe too.
    with subprocess.Popen(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as step:
        try:
            status = step.wait()
        except BaseException:
            # Ctrl-C in a terminal reaches the step too, which then ends in order; a signal to the demo alone does not.
            with contextlib.suppress(subprocess.TimeoutExpired):
                step.wait(timeout=3)
            step.terminate()
            step.wait()
            raise
    if status:
        sys.exit(status if status > 0 else 128 - status)  # as shells count a step that a signal has ended


if __name__ == "__main__":
    main()
