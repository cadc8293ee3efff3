"""What partition_datasets.py can be asked for: every option, and what is impossible. Imports nothing slow."""

from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

from pipeline.defaults import MOST_PIXELS, NEAR_DUPLICATE_BITS
from pipeline.errors import UserError, require_none
from pipeline.options import choice, unmet_needs
from pipeline.project import Project
from pipeline.readers import column_choice, file_path, whole_number

# The groups of options in --help, in their order.
GROUPS = DATA, SPLIT, TOGETHER, CHECK = "data", "split", "what must stay in one partition", "check"

GROUPED, UNGROUPED = "grouped", "ungrouped"
KEPT, REDRAWN = "kept", "redrawn"

# With no other options than these, --baselines measures an earlier split instead of drawing a new one.
ONLY_MEASURE = {"baselines", "proj_dir", "num_classes", "max_pixels"}
# What later splits keep, see intake.Choices.
KEPT_CHOICES = ("files", "subfolders", "patients", "partitions")
# The other options, besides the folds and the seed, that have to be given again for the same split.
NOT_KEPT = ("max_pixels", "val_test_prop", "keep_leaks", "near_duplicates", "keep_label_conflicts")


def held_out_proportion(text):
    """Read a proportion between 0 and 0.5 as an exact fraction: 0.1 is 1/10, not the float beside it."""
    try:
        # Checked as a float first, which is bounded: as a fraction, 1e-999999999 would fill the memory.
        proportion = Fraction(text) if "/" in text or 0 < float(text) < 0.5 else Fraction(0)
    except (ValueError, ZeroDivisionError):
        proportion = Fraction(0)
    if not 0 < proportion < Fraction(1, 2):
        raise ValueError(
            f"{text!r} is not a number above 0 and below 0.5 (the proportion of validation and of test images each)"
        )
    return proportion


@dataclass(frozen=True)
class SplitRequest:
    """Which images are split, and how; UserError for a table that does not exist, or an option without effect."""

    proj_dir: Path
    max_pixels: int = MOST_PIXELS
    # fmt: off
    num_classes: int = choice(None, "-num_classes", "expected number of classes, as a check (default: as many as are "
                              "found)", DATA, whole_number(), metavar="N", other_names=("-classes",))
    labels_csv: Path = choice(None, "-labels_csv", "table of image and class (and group, split) for files anywhere in "
                              "DIR, instead of class folders; or the filled-in table of doubtful labels, whose "
                              "corrections images.csv keeps", DATA, file_path, metavar="FILE.csv")
    columns: list = choice((), "-columns", "the table's columns, if its header does not tell: image=... class=... "
                           "group=... split=...", DATA, column_choice("image", "class", "group", "split"),
                           metavar="WHAT=COLUMN", count="+", again=True,
                           needs=("labels_csv", "has no effect without -labels_csv; give both or none"))
    files: list = choice(None, "-files", "which files are images, such as '*.jpg' if there are masks beside them "
                         "(default: all)", DATA, metavar="GLOB", count="+", again=True)

    val_test_prop: Fraction = choice(Fraction("0.1"), "-val_test_prop", "proportion of the images for validation, and "
                                     "the same again for test (default: 0.1)", SPLIT, held_out_proportion, metavar="P")
    seed: int = choice(0, "-seed", "random seed; the same seed gives the same split (default: 0)", SPLIT,
                       whole_number(0, 2**32 - 1))
    folds: int = choice(None, "-folds", "cross-validation: K splits in DIR/csv/fold_0, fold_1, ...; each image is "
                        "tested in one of them", SPLIT, whole_number(2, 100), metavar="K")
    partitions: str = choice(None, "-partitions", "whether ready-made partitions are kept, and missing ones drawn, or "
                             "all are drawn again (default: kept)", SPLIT, values=(KEPT, REDRAWN))
    keep_leaks: bool = choice(False, "--keep_leaks", "keep images of ready-made partitions that belong together with "
                              "images of another one (default: leave them out of training, or of validation)", SPLIT,
                              flag=True)

    near_duplicates: int = choice(NEAR_DUPLICATE_BITS, "-near_duplicates", "images count as the same if at most this "
                                  "many of the 256 bits of their difference hashes differ, and they correlate; 0: only "
                                  f"if they are identical (default: {NEAR_DUPLICATE_BITS})", TOGETHER,
                                  whole_number(0, 64), metavar="BITS")
    group_csv: Path = choice(None, "-group_csv", "CSV of file name,group (a patient number, say): a group's images "
                             "stay together, in later splits too", TOGETHER, file_path, metavar="FILE.csv")
    forget_groups: bool = choice(False, "--forget_groups", "forget the groups of an earlier -group_csv or "
                                 "-labels_csv", TOGETHER, flag=True)
    subfolders: str = choice(None, "-subfolders", "whether the images of a folder in a class folder stay together "
                             "(default: grouped)", TOGETHER, values=(GROUPED, UNGROUPED))
    patients: str = choice(None, "-patients", "whether DICOM images with the same PatientID stay together (default: "
                           "grouped)", TOGETHER, values=(GROUPED, UNGROUPED))
    keep_label_conflicts: bool = choice(False, "--keep_label_conflicts", "keep images that are in two classes "
                                        "(default: leave them out)", TOGETHER, flag=True)

    baselines: bool = choice(False, "--baselines", "measure how well file sizes, brightness and thumbnails predict "
                             "the class, and write baselines.json; an earlier split stays as it is, unless another "
                             "option asks for a new one", CHECK, flag=True)
    # fmt: on

    def __post_init__(self):
        require_none(unmet_needs(self))
        for table in (self.labels_csv, self.group_csv):
            if table is not None and not table.exists():
                raise UserError(f"{table}: no such file; check the name")

    @property
    def project(self):
        """The Project; UserError if there is no such folder."""
        return Project(self.proj_dir)

    @property
    def kept_choices(self):
        """{name: value or None} of the KEPT_CHOICES; None: as in the last split."""
        return {name: getattr(self, name) for name in KEPT_CHOICES}

    @property
    def words(self):
        """The NOT_KEPT options that differ from their defaults, as words of a command line."""
        defaults, words = {entry.name: entry.default for entry in fields(self)}, []
        for name in NOT_KEPT:
            value = getattr(self, name)
            if value != defaults[name]:
                words += [f"--{name}"] if value is True else [f"-{name}", str(value)]
        return words

    @property
    def drawing_options(self):
        """The options that differ from their defaults and only affect how partitions are drawn.

        With --baselines the seed is not one of them: it also draws the folds that the baselines are measured on.
        """
        seed = ["-seed"] if self.seed and not self.baselines else []
        return seed + [word for word in self.words if word == "-val_test_prop"]
