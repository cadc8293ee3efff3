"""What calc_model_performance.py can be asked for: every option, and what is impossible. Imports nothing slow."""

import glob
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UserError, require_none
from pipeline.options import choice, unmet_needs
from pipeline.readers import file_path, number, table_column

# The groups of options in --help, in their order.
GROUPS = FIGURES, POINT, BESIDE = (
    "further figures",
    "operating point (default: the probabilities and predictions as they are)",
    "beside other results",
)
# The options that take names of predictions files, or patterns of them.
OF_FILES = ("PREDS", "compare", "threshold_from", "calibrate_from")


@dataclass(frozen=True)
class Request:
    """What is measured, and how; UserError for an option that would have no effect."""

    PREDS: list  # paths of the predictions that are measured
    RESULTS: Path
    # fmt: off
    positive_class: str = choice(None, "-positive_class", "the class that counts as positive (default: what PREDS "
                                 "says, otherwise the last of two)", metavar="CLASS")
    per: str = choice("image", "-per", "what is counted: each image, or each group (a patient, say) by the mean "
                      "probabilities of its images (default: image)", values=("image", "group"))

    prevalence: list = choice((), "-prevalence", "likelihood ratios, and the predictive values if this fraction is of "
                              "the positive class", FIGURES, number(above=0, below=1), metavar="FRACTION", count="+",
                              again=True)
    by: tuple = choice(None, "-by", "the main figures for each value of a column of a table that names the images; "
                       "images.csv will do", FIGURES, table_column, metavar="TABLE.csv:COLUMN")
    ordered: list = choice((), "-ordered", "weighted kappa of three or more classes that are in this order, the lowest "
                           "first", FIGURES, metavar="CLASS", count="+")
    decision_curve: bool = choice(False, "--decision_curve", "the net benefit of acting on the positive class, over "
                                  "the threshold probability", FIGURES, flag=True)

    calibrate_from: list = choice((), "-calibrate_from", "fit a temperature on these predictions of -split val, of one "
                                  "model or of all folds, and apply it", POINT, metavar="VAL_PREDS", count="+",
                                  again=True)
    threshold_from: list = choice((), "-threshold_from", "choose the threshold for the positive class (of two) on such "
                                  "predictions, after calibration, and apply it", POINT, metavar="VAL_PREDS",
                                  count="+", again=True)
    min_sensitivity: float = choice(None, "-min_sensitivity", "choose the highest specificity at this sensitivity or "
                                    "above (default: by Youden's index)", POINT, number(above=0, at_most=1),
                                    metavar="FRACTION",
                                    needs=("threshold_from", "says how -threshold_from chooses; give that too"))
    guaranteed: bool = choice(False, "--guaranteed", "with -min_sensitivity: reach it with 95%% confidence, not only "
                              "on VAL_PREDS", POINT, flag=True,
                              needs=("min_sensitivity", "says how -min_sensitivity is reached; give that too"))

    compare: list = choice((), "-compare", "another model's predictions of the same images; for several folds a "
                           "pattern, or the option again", BESIDE, metavar="PREDS", again=True)
    baselines: Path = choice(None, "-baselines", "baselines.json of partition_datasets.py, shown beside the model's "
                             "figures", BESIDE, file_path, metavar="FILE")

    report: bool = choice(False, "--report", "also write everything as one page for the browser, NAME_report.html, to "
                          "pass on", flag=True)
    # fmt: on

    def __post_init__(self):
        require_none(unmet_needs(self))
        if self.baselines and self.per == "group":
            raise UserError("-baselines: are for images, and -per group counts groups; leave one of the two out")

    @property
    def inputs(self):
        """The paths of all files that are read."""
        files = [self.baselines, self.by and self.by[0]]
        return [*self.PREDS, *self.threshold_from, *self.calibrate_from, *self.compare, *filter(None, files)]


def checked(**options):
    """Return the Request of the options, {name: value or None}, with paths in place of patterns of file names.

    Raises UserError for a pattern that matches no file, and as Request does.
    """
    given = {name: value for name, value in options.items() if value is not None}
    return Request(**given | {name: _expand(name, given[name]) for name in OF_FILES if name in given})


def _expand(name, texts):
    """Return the paths; for patterns that the shell did not expand, such as fold_*_preds.json, what they match."""
    paths, faults = [], []
    for text in texts:
        matches = [text] if Path(text).exists() or not glob.has_magic(text) else sorted(glob.glob(text))
        paths += map(Path, matches)
        if not matches:
            option = name if name == "PREDS" else f"-{name}"
            faults.append(f"{option} {text}: no file matches this pattern; check the folder and the names")
    require_none(faults)
    return paths
