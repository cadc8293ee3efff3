"""Where everything is in a project folder."""

import os
from pathlib import Path, PurePosixPath, PureWindowsPath

from pipeline.errors import UserError
from pipeline.file_names import caseless
from pipeline.messages import command_text

SCRIPTS = Path(__file__).resolve().parents[1]
RESERVED_FOLDERS = ("bin", "csv", "models", "results")
PARTITIONS = ("train", "val", "test")
LONG_NAMES = {"train": "training", "val": "validation", "test": "test"}
MODEL_SUFFIX = ".pth.tar"
LAST_SUFFIX = ".last" + MODEL_SUFFIX
RUNS_NEXT_STEP = "IMAGE_CLASSIFICATION_RUNS_NEXT_STEP"  # environment variable set by a script that runs the five


class Project:
    """A project folder; see the README for its layout before and after each step."""

    def __init__(self, root):
        if not root.is_dir():
            fault = "is a file, not a folder" if root.exists() else "no such folder"
            raise UserError(f"{root}: {fault}; give the folder that holds one folder per class")
        self.root = root
        self.bin, self.csv = root / "bin", root / "csv"
        self.models, self.results = root / "models", root / "results"
        self.lock = root / ".lock"  # held while a script changes the split or moves the images, see locks.only_one

    @property
    def tables(self):
        """The folder of the current CSV files: the project folder until organize has moved them into csv/."""
        organized = (self.csv / "images.csv").exists() and not (self.root / "images.csv").exists()
        return self.csv if organized else self.root

    def split_folder(self, fold):
        """The folder of train.csv, val.csv and test.csv; that of a cross-validation's fold unless `fold` is None."""
        return self.csv if fold is None else self.csv / f"fold_{fold}"

    def fold_places(self):
        """Return {fold: folder} of the folders csv/fold_0, fold_1, ... that exist, whatever is in them."""
        numbers = (folder.name.removeprefix("fold_") for folder in self.csv.glob("fold_*") if folder.is_dir())
        folds = sorted(int(text) for text in numbers if text.isdecimal() and text == str(int(text)))
        return {fold: self.split_folder(fold) for fold in folds}

    def fold_folders(self):
        """Return {fold: folder} of the folds that the project is split into: those with split files."""
        return {
            fold: folder for fold, folder in self.fold_places().items() if any(map(Path.exists, split_tables(folder)))
        }

    def require_organized(self):
        """Raise UserError unless organize_files.py has finished: it moves images.csv last."""
        waiting = (self.root / "images.csv").exists() and not (self.csv / "images.csv").exists()
        if self.bin.is_dir() and self.csv.is_dir() and not waiting:
            return
        if waiting:
            organize = script_command("organize_files.py", self.root)
            raise UserError(f"{self.root}: not organized yet; run: {organize}")
        raise UserError(
            f"{self.root}: no bin and csv folders in it; run partition_datasets.py and organize_files.py first"
        )

    def model_path(self, file_name):
        """Return the path of the checkpoint called `file_name`; a name without any suffix gets .pth.tar.

        Raises UserError for a name that is not a plain file name, does not end in .pth.tar, or ends in
        .last.pth.tar, which is kept for the state to resume from.
        """
        if not is_plain_file_name(file_name):
            raise UserError(f"-model_save_name {file_name}: give a file name without folders, such as resnet_1.pth.tar")
        file_name += "" if "." in file_name else MODEL_SUFFIX
        if not file_name.endswith(MODEL_SUFFIX) or file_name == MODEL_SUFFIX:
            raise UserError(f"-model_save_name {file_name}: must end in .pth.tar, such as resnet_1.pth.tar")
        if file_name.endswith(LAST_SUFFIX):
            raise UserError(f"-model_save_name {file_name}: .last.pth.tar is kept for resuming; choose another name")
        return self.models / file_name


def script_command(script, *arguments):
    """Return the command line of one of the scripts, as it can be copied and run from the current folder."""
    path = SCRIPTS / script
    return command_text("python", path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path, *arguments)


def propose(script, *arguments):
    """Print the command of the next step, unless the caller of this script runs that itself."""
    if RUNS_NEXT_STEP not in os.environ:
        print(f"next: {script_command(script, *arguments)}")


def split_tables(folder):
    """Return the paths of train.csv, val.csv and test.csv in a folder."""
    return [folder / f"{partition}.csv" for partition in PARTITIONS]


def is_reserved(name):
    """Tell whether the project keeps its own files in a folder of this name, on any system."""
    return caseless(name) in RESERVED_FOLDERS


def fold_name(name, fold):
    """Return what a run called `name` is called in one fold of a cross-validation; `name` itself for None."""
    return name if fold is None else f"{name}_fold_{fold}"


def is_plain_file_name(name):
    """Tell whether `name` stays inside its folder on every platform: no separators, no drive, not `..`."""
    return (
        name not in ("", ".", "..")
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
        and "\0" not in name
    )
