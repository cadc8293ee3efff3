"""What test_torchvision.py can be asked to do: every option, for which tasks it has an effect, and what is impossible.

Imports neither torch nor NumPy, so that --help and faults in the options appear at once.
"""

from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path

from pipeline import options, split_files
from pipeline.defaults import MOST_PIXELS
from pipeline.errors import UserError, require_none
from pipeline.messages import in_words
from pipeline.options import Option, unmet_needs
from pipeline.project import Project
from pipeline.readers import column_choice, file_path, fold_choice, folder_path, number, whole_number

# The tasks, each named after the option that asks for it.
PROJECT, NEW, EXTERNAL, EXPORT = "dir", "images", "external", "export"
PREDICTING, ALL = (PROJECT, NEW, EXTERNAL), (PROJECT, NEW, EXTERNAL, EXPORT)

MOST_SAMPLES = 10_000  # of Monte Carlo dropout; all samples of an image are in memory at once

# The groups of options in --help, in their order.
GROUPS = DATA, NEW_IMAGES, ELSEWHERE, OTHER_PROGRAMS, MODEL, SAID, MORE, RUN = (
    "a project's labelled images",
    "or new images",
    "or labelled images from elsewhere",
    "or the model for other programs",
    "model",
    "what the checkpoint already says (checked; only needed if it says nothing)",
    "where the model looks, and how certain it is",
    "run",
)


@dataclass(frozen=True)
class TaskOption(Option):
    """An Option, and the tasks in which it has an effect."""

    tasks: tuple = ()
    flag: bool = True


choice = partial(options.choice, kind=TaskOption)


@dataclass(frozen=True)
class Task:
    """What to do with which model, as far as the user says; UserError if that is impossible."""

    # fmt: off
    dir: Path = choice(None, "-dir", "project folder (required, unless -images, -external or -export is given)", DATA,
                       folder_path, tasks=ALL, metavar="DIR", other_names=("-proj_dir", "-project_directory"))
    split: str = choice(None, "-split", "partition to predict (default: test)", DATA, tasks=(PROJECT,),
                        values=("train", "val", "test"))
    fold: int | str = choice(None, "-fold", "fold of a cross-validation, or all: one predictions file for each fold; "
                             "with -images, all models together", DATA, fold_choice, tasks=ALL, metavar="K")
    ensemble: bool = choice(False, "--ensemble", "with -fold all, the mean of all folds' models, for images that "
                            "none of them has trained on", DATA, tasks=(PROJECT,))
    result_json_name: str = choice(None, "-result_json_name", "predictions file, in DIR (default: NAME_preds.json; "
                                   "NAME_val_preds.json for another split)", DATA, tasks=(PROJECT,),
                                   metavar="NAME.json")
    doubtful_labels: str = choice(None, "-doubtful_labels", "with -fold all, write into DIR a page of the images whose "
                                  "label is doubtful, and NAME.csv to correct them", DATA, tasks=(PROJECT,),
                                  metavar="NAME.html")

    images: Path = choice(None, "-images", "folder of images, or one image, without labels", NEW_IMAGES, folder_path,
                          tasks=(NEW,), metavar="PATH")
    out: Path = choice(None, "-out", "predictions file, CSV (default: standard output); with -external, JSON "
                       "(required)", NEW_IMAGES, file_path, tasks=(NEW, EXTERNAL), metavar="FILE")
    operating_point: Path = choice(None, "-operating_point", "results of this model: apply the temperature and the "
                                   "threshold measured there; their sensitivity and specificity go into "
                                   "FILE_operating_point.json", NEW_IMAGES, file_path, tasks=(NEW, EXPORT),
                                   metavar="RESULTS.json")

    external: Path = choice(None, "-external", "folder in any layout that partition_datasets.py takes; it is only "
                            "read", ELSEWHERE, folder_path, tasks=(EXTERNAL,), metavar="FOLDER")
    labels_csv: Path = choice(None, "-labels_csv", "table of its images and classes, instead of class folders",
                              ELSEWHERE, file_path, tasks=(EXTERNAL,), metavar="FILE.csv")
    columns: list = choice(None, "-columns", "the table's columns, if its header does not tell: image=... "
                           "class=... group=...", ELSEWHERE, column_choice("image", "class", "group"),
                           tasks=(EXTERNAL,), count="+", metavar="WHAT=COLUMN", again=True,
                           needs=("labels_csv", "has no effect without -labels_csv; give both or none"))
    class_map: Path = choice(None, "-class_map", "CSV with the header external,class: which class of the model each "
                             "external class is; empty: left out", ELSEWHERE, file_path, tasks=(EXTERNAL,),
                             metavar="FILE.csv")
    keep_leaks: bool = choice(False, "--keep_leaks", "also predict images that the model has trained on, or that "
                              "look the same as one", ELSEWHERE, tasks=(EXTERNAL,))

    export: Path = choice(None, "-export", "write the model with its preprocessing (and the -operating_point) as ONNX, "
                          "checked on images of -dir or on drawn ones; or, as FILE.safetensors, its weights",
                          OTHER_PROGRAMS, file_path, tasks=(EXPORT,), metavar="FILE.onnx")

    save: str = choice(None, "-save", "checkpoint, in DIR/models or a path (default: the only one there is)", MODEL,
                       tasks=ALL, metavar="NAME.pth.tar", other_names=("-model_save_name",))
    positive_class: str = choice(None, "-positive_class", "the class that counts as positive (default: what the "
                                 "checkpoint says)", MODEL, tasks=(PROJECT, EXTERNAL, EXPORT), metavar="CLASS")

    architecture: str = choice(None, "-architecture", "torchvision's name of the model", SAID, tasks=ALL,
                               metavar="NAME")
    classes: int = choice(None, "-classes", "number of classes", SAID, whole_number(), tasks=ALL, metavar="N",
                          other_names=("-num_classes",))
    img_size: list = choice(None, "-img_size", "channels, height, width", SAID, whole_number(), tasks=ALL, count=3,
                            metavar=("C", "H", "W"), other_names=("-img_shape",))
    keep_color: bool = choice(False, "--keep_color", "the model sees colour, not grey values", SAID, tasks=ALL)
    mean: list = choice(None, "-mean", "subtracted from the images' values, which are from 0 to 1; one number, or one "
                        "for each channel", SAID, number(), tasks=ALL, count="+", metavar="X")
    std: list = choice(None, "-std", "what the difference is divided by, likewise", SAID, number(above=0), tasks=ALL,
                       count="+", metavar="X")

    explain: bool = choice(False, "--explain", "show where the model looks: NAME_preds_explained.png with the most "
                           "telling images; with -images, every image, in FILE_explained/", MORE, tasks=(PROJECT, NEW))
    mc_samples: int = choice(None, "-mc_samples", "Monte Carlo dropout: predict each image N times, 2 or more, with "
                             "random dropout; gives mean probabilities and how uncertain they are (default: predict "
                             "once, without dropout)", MORE, whole_number(2, MOST_SAMPLES), tasks=PREDICTING,
                             metavar="N")

    batch_size: int = choice(None, "-batch_size", "batch size (default: 100)", RUN, whole_number(), tasks=PREDICTING,
                             metavar="N")
    use_GPU: bool = choice(False, "--use_GPU", "predict on the GPU (default: on the CPU)", RUN, tasks=PREDICTING)
    # fmt: on
    max_pixels: int = MOST_PIXELS

    def __post_init__(self):
        self._require_one_task()
        self._require_effects()
        self._require_places()
        self._require_number_of_models()

    @property
    def name(self):
        """The option that says what to do: PROJECT, NEW, EXTERNAL or EXPORT."""
        return next((task for task in (NEW, EXTERNAL, EXPORT) if getattr(self, task) is not None), PROJECT)

    @property
    def together(self):
        """Whether the models of all folds predict each image."""
        return self.fold == "all" and (self.ensemble or self.name != PROJECT)

    @cached_property
    def project(self):
        return None if self.dir is None else Project(self.dir)

    @property
    def partition(self):
        return self.split or "test"

    @property
    def folds(self):
        """The folds of the project that are predicted one by one, or ["all"]."""
        return ["all"] if self.together else split_files.chosen_folds(self.project, self.fold)

    @property
    def preprocessing(self):
        """Those of "keep_color", "mean" and "std" that the options give, as a dict."""
        given = {"keep_color": self.keep_color or None, "mean": self.mean, "std": self.std}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def images_at_once(self):
        """The batch size, or the default if the user has not given one."""
        return self.batch_size or 100

    def _require_one_task(self):
        tasks = [task for task in (NEW, EXTERNAL, EXPORT) if getattr(self, task) is not None]
        if not tasks and self.dir is None:
            raise UserError("-dir: give the project folder, or one of -images, -external and -export")
        if len(tasks) > 1:
            raise UserError(f"{', '.join(f'-{task}' for task in tasks)}: are different tasks; give only one of them")

    def _require_effects(self):
        faults = []
        for entry in fields(self):
            value, option = getattr(self, entry.name), entry.metadata.get("option")
            if option and value not in (None, False) and self.name not in option.tasks:
                given = option.name + ("" if value is True else f" {in_words(value)}")
                needed = " or ".join(f"-{task}" for task in option.tasks)
                where = f"without {needed}" if self.name == PROJECT else f"with -{self.name}"
                faults.append(f"{given}: has no effect {where}; leave it out")
        if self.name == EXPORT and self.dir is None and self.max_pixels != MOST_PIXELS:
            faults.append(f"-max_pixels {self.max_pixels}: has no effect with -export without -dir; leave it out")
        faults = faults or unmet_needs(self)  # an option that has to be left out needs no other
        if self.name == EXTERNAL and self.out is None:
            faults.append("-external: give the JSON file for the predictions too, -out NAME_preds.json")
        elif self.name == EXTERNAL and self.out.suffix != ".json":
            faults.append(
                f"-out {self.out}: the predictions of labelled images are JSON; give a name that ends in .json"
            )
        require_none(faults)

    def _require_places(self):
        """Raise UserError if what is written has no folder, or would be read as images the next time."""
        name, out = self.result_json_name, self.out
        if name is not None and not (self.dir / name).parent.is_dir():
            raise UserError(f"-result_json_name {name}: no such folder in {self.dir}; create it or give another name")
        for option, path in (("-out", out), ("-export", self.export)):
            if path is not None and not path.parent.is_dir():
                raise UserError(f"{option} {path}: no such folder {path.parent}; create it or give another name")
        if self.name == NEW and out is not None and out.suffix.lower() != ".csv":
            raise UserError(f"-out {out}: the predictions of new images are a CSV file; give a name that ends in .csv")
        if self.export is not None and self.export.suffix not in (".onnx", ".safetensors"):
            raise UserError(f"-export {self.export}: give a file name that ends in .onnx or .safetensors")
        if self.explain and self.images is not None:
            self._require_place_of_pictures()

    def _require_place_of_pictures(self):
        out = self.out
        if out is None:
            raise UserError("--explain: the pictures of new images go beside a file; give -out FILE.csv too")
        if self.images.resolve() in out.resolve().parents:
            raise UserError(
                f"-out {out}: the pictures beside it would be among the images in {self.images} the next time; give "
                "another place"
            )
        if (out.parent / "csv").is_dir() and (out.parent / "bin").is_dir():
            raise UserError(
                f"-out {out}: the folder of pictures beside it would be a class at the next split of {out.parent}; "
                "give another place"
            )

    def _require_number_of_models(self):
        """Raise UserError if something meant for one model is asked of several, or the other way round."""
        if self.doubtful_labels and (self.fold != "all" or self.ensemble or self.split not in (None, "test")):
            raise UserError(
                f"-doubtful_labels {self.doubtful_labels}: takes the test images of every fold, which its model has "
                "not seen; give -fold all, and leave out --ensemble and -split"
            )
        if self.ensemble and not self.together:
            given = "without -fold all" if self.fold is None else f"with -fold {self.fold}"
            raise UserError(f"--ensemble: has no effect {given}; give -fold all")
        if self.together and self.explain:
            raise UserError("--explain: shows where one model looks; give the number of one with -fold")
        if self.together and self.mc_samples is not None:
            raise UserError(
                f"-mc_samples {self.mc_samples}: the uncertainty of several models is their disagreement; leave it "
                "out, or give the number of one with -fold"
            )
