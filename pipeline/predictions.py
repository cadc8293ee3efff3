"""The predictions JSON: the format, written strictly and read with every fault named."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pipeline import files
from pipeline.classes import resolve_positive_class, tell_other_positive_class
from pipeline.errors import UserError, require_none
from pipeline.messages import listed
from pipeline.plain_values import are_texts, is_plain_number
from pipeline.project import is_plain_file_name

# Softmax outputs in float32 sum to 1 within about 1e-6; files written by other tools are rounded.
SUM_TOLERANCE = 1e-4
ROUNDING = 5e-5  # of a probability with four decimals
REQUIRED = ("labels", "predictions", "predictive probabilities", "label probabilities")
WANTED = "the predictions JSON that test_torchvision.py writes, NAME_preds.json"
# What is stored unchanged, {name in the file: attribute}: always, and only if it is known.
ALWAYS = {
    "filenames": "file_names", "groups": "groups", "class names": "class_names", "positive class": "positive_class",
    "split": "split", "fold": "fold", "checkpoint": "checkpoint", "weights": "weights",
}  # fmt: skip
OF_DROPOUT = {"predictive entropy": "predictive_entropy", "mutual information": "mutual_information"}
REMARKS = {"gallery": "gallery", "command line": "command_line", "training": "interrupted"}
IF_KNOWN = {"Monte Carlo samples": "sample_count", **OF_DROPOUT, **REMARKS}
# The attributes that hold one value per image (or group).
OF_EACH_IMAGE = (
    "labels", "predictions", "probabilities", "file_names", "groups", "folds", "predictive_entropy",
    "mutual_information", "members",
)  # fmt: skip


@dataclass
class Predictions:
    """A model's predictions for labelled images; all arrays in the same order."""

    labels: np.ndarray  # int (n,), class indices
    predictions: np.ndarray  # int (n,), class indices
    probabilities: np.ndarray  # float (n, classes), rows sum to 1
    class_names: list
    positive_class: str = None
    file_names: list = None
    groups: list = None  # names; images of a group (of a patient, near-duplicates) are not independent
    split: str = None  # train, val, test or external
    fold: int = None
    folds: np.ndarray = None  # int (n,), of each image, if the folds of a cross-validation are pooled; not in the file
    checkpoint: str = None  # file name
    weights: list = None  # hashes of the weights of the models that predicted, see learning.classifier
    # With Monte Carlo dropout, whose samples the probabilities are means of: their number, and float (n,) in nats.
    sample_count: int = None
    predictive_entropy: np.ndarray = None
    mutual_information: np.ndarray = None
    gallery: str = None  # file name, beside this file, of the picture that explains some of the predictions
    command_line: str = None  # of the script that wrote the file
    interrupted: str = None  # how the model's training was stopped before its end: "stopped at epoch 9 of 256"
    path: Path = None  # of this file, or of the first of several that are pooled
    # If groups are counted instead of images (see performance.units), the names of the images of each; not in the file.
    # Everything above then describes groups.
    members: list = None

    @property
    def unit(self):
        """What is counted: "image" or "group"."""
        return "image" if self.members is None else "group"

    @property
    def image_count(self):
        """The number of images, even if groups are counted."""
        return len(self.labels) if self.members is None else sum(map(len, self.members))

    @property
    def group_count(self):
        """The number of groups that the images come in; None if it is not known."""
        return None if self.groups is None else len(set(self.groups))

    @property
    def correct(self):
        """Whether each image's predicted class is the true one, bool (n,)."""
        return self.predictions == self.labels

    def probabilities_of_predictions(self):
        """Return the probability of each image's predicted class, float (n,)."""
        return self.probabilities[np.arange(len(self.labels)), self.predictions]

    def group_numbers(self):
        """Return the group of each image, int (n,); each its own if groups are not known."""
        return np.arange(len(self.labels)) if self.groups is None else np.unique(self.groups, return_inverse=True)[1]

    def fold_numbers(self):
        """Return the fold of each image, int (n,); all 0 for one model."""
        return np.zeros(len(self.labels), dtype=int) if self.folds is None else self.folds

    def entropy(self):
        """Return how uncertain the model is of each image: the predictive entropy, float (n,), in nats."""
        return self.predictive_entropy if self.sample_count else entropies(self.probabilities)

    def select(self, keep):
        """Return the Predictions of some images: `keep` is bool (n,), or their numbers in the order wanted."""
        numbers, lists = np.arange(len(self.labels))[keep], {name: getattr(self, name) for name in OF_EACH_IMAGE}
        return replace(
            self,
            **{
                name: values[keep] if isinstance(values, np.ndarray) else [values[number] for number in numbers]
                for name, values in lists.items()
                if values is not None
            },
        )

    def write(self, path):
        """Write the JSON file; the label probabilities, which only repeat the labels, exist nowhere else."""
        content = {
            "labels": self.labels,
            "predictions": self.predictions,
            "predictive probabilities": self.probabilities,
            "label probabilities": np.eye(len(self.class_names))[self.labels],
            **{name: getattr(self, attribute) for name, attribute in ALWAYS.items()},
            **{name: value for name, attribute in IF_KNOWN.items() if (value := getattr(self, attribute)) is not None},
        }
        plain = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in content.items()}
        files.write_json(path, plain)


def entropies(probabilities):
    """Return the entropy of each row of probabilities (n, classes), in nats; float (n,)."""
    return 0 - (probabilities * np.log(np.where(probabilities > 0, probabilities, 1))).sum(axis=1)


def read(path):
    """Read a predictions JSON; only the four lists of labels, predictions and probabilities are required.

    Raises UserError with every fault found: missing lists, different lengths, values of a wrong type or out of range,
    probabilities that do not sum to 1, label probabilities that contradict the labels, duplicate file names, a positive
    class that is not a class.
    """
    content = _content(path)
    faults = _list_faults(content)
    if not faults:
        probabilities, of_label = (
            _probability_rows(content[name], name, faults)
            for name in ("predictive probabilities", "label probabilities")
        )
        class_count = _class_count(content["predictive probabilities"])
        labels, predictions = (
            _class_indices(content[name], name, class_count, faults) for name in ("labels", "predictions")
        )
        faults += _name_faults(content, "class names", class_count)
        faults += _name_faults(content, "filenames", len(content["labels"]))
        faults += _name_faults(content, "groups", len(content["labels"]), unique=False)
        faults += _remark_faults(content)
        uncertainty = _uncertainty(content, faults)
    if not faults:
        known = {attribute: content.get(name) for name, attribute in (ALWAYS | REMARKS).items()} | uncertainty
        known["class_names"] = known["class_names"] or [str(index) for index in range(class_count)]
        faults += _agreement_faults(labels, probabilities, of_label, known["class_names"], known["positive_class"])
    require_none(f"{path}: {fault}" for fault in faults)
    return Predictions(labels, predictions, probabilities, path=path, **known)


def read_all(paths):
    """Read several predictions JSON files; raises UserError with every fault of every file."""
    read_files, faults = [], []
    for path in paths:
        try:
            read_files.append(read(path))
        except UserError as error:
            faults += error.faults
    require_none(faults)
    return read_files


def read_parts(paths, positive_class):
    """Read predictions files as a list of Predictions; `positive_class` replaces the recorded one, with a note."""
    parts, first_with = read_all(paths), {}
    for part in parts:
        first_with.setdefault(part.positive_class, part)
        part.positive_class = resolve_positive_class(part.class_names, positive_class, part.positive_class)
    for recorded, part in first_with.items():
        tell_other_positive_class(part.positive_class, recorded, part.path)
    return parts


def are_in(path):
    """Return whether a file holds predictions, faulty or not."""
    return files.has_keys(path, "predictive probabilities")


def _content(path):
    """Return the JSON object in a file; raises UserError for a folder, or a file that does not hold predictions."""
    path = Path(path)
    if path.is_dir():
        found = [each.name for each in sorted(path.glob("*_preds.json"))]
        raise UserError(f"{path}: is a folder; give {f'a file in it: {listed(found, most=4)}' if found else WANTED}")
    try:
        content = files.read_json_object(path)
    except UserError:
        if not path.is_file() or path.suffix.lower() in ("", ".json"):
            raise
        raise UserError(f"{path}: is a {path.suffix[1:].upper()} file; give {WANTED}") from None
    if not content.keys() & set(REQUIRED):
        raise UserError(f"{path}: holds no predictions; give {WANTED}")
    return content


def _list_faults(content):
    """Return which required lists are missing, empty or of different lengths."""
    faults = [
        f"{name!r} is missing or not a list; is it a file of test_torchvision.py?"
        for name in REQUIRED
        if not isinstance(content.get(name), list)
    ]
    if faults:
        return faults
    count = len(content["labels"])
    faults = [
        f"{name!r} has {len(content[name])} entries, 'labels' has {count}; each needs one per image"
        for name in REQUIRED
        if len(content[name]) != count
    ]
    return faults or ([] if count else ["'labels' is empty; test at least one image"])


def _class_count(rows):
    # The most frequent length, so that a single short row is the fault, not all the others.
    lengths = Counter(len(row) for row in rows if isinstance(row, list))
    return max(lengths.most_common(1)[0][0], 2) if lengths else 2


def _probability_rows(rows, name, faults):
    """Return lists of equally many numbers from 0 to 1 as an array; None if they are not, with the `faults` added."""
    wide, before = _class_count(rows), len(faults)
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != wide:
            faults.append(f"{name!r}, entry {number}: not a list of {wide} numbers, one per class")
        elif not all(map(is_plain_number, row)):
            faults.append(f"{name!r}, entry {number}: not all numbers")
        elif not all(0 <= value <= 1 for value in row):
            faults.append(f"{name!r}, entry {number}: not all between 0 and 1")
        elif abs(sum(row) - 1) > SUM_TOLERANCE + wide * ROUNDING:
            faults.append(f"{name!r}, entry {number}: sums to {sum(row):g}, not 1")
    return np.array(rows, dtype=np.float64) if len(faults) == before else None


def _class_indices(values, name, class_count, faults):
    wrong = [
        f"{name!r}, entry {number}: {value!r} is not a class index from 0 to {class_count - 1}"
        for number, value in enumerate(values)
        if type(value) is not int or not 0 <= value < class_count
    ]
    faults += wrong
    return None if wrong else np.array(values)


def _name_faults(content, name, count, unique=True):
    names = content.get(name)
    if names is None:
        return []
    if not are_texts(names) or len(names) != count:
        return [f"{name!r} is not a list of {count} strings"]
    twice = {entry: times for entry, times in Counter(names).items() if unique and times > 1}
    return [f"{name!r}: {entry!r} is there {times} times" for entry, times in twice.items()]


def _remark_faults(content):
    """Return what is wrong with the single values beside the lists."""
    faults = [
        f"{name!r} is not a string"
        for name in ("positive class", "checkpoint", *REMARKS)
        if not isinstance(content.get(name), str | None)
    ]
    if not (content.get("weights") is None or are_texts(content["weights"])):
        faults.append("'weights' is not a list of strings")
    gallery = content.get("gallery")
    if isinstance(gallery, str) and not is_plain_file_name(gallery):
        faults.append(f"'gallery' is {gallery!r}, not the name of a file beside this one")
    if content.get("split") not in (None, "train", "val", "test", "external"):
        faults.append(f"'split' is {content['split']!r}, not train, val, test or external")
    fold = content.get("fold")
    if fold is not None and (type(fold) is not int or fold < 0):
        faults.append(f"'fold' is {fold!r}, not null or a whole number from 0")
    return faults


def _uncertainty(content, faults):
    """Return what Monte Carlo dropout says about the images, {attribute of Predictions: value}; {} without it."""
    count = content.get("Monte Carlo samples")
    if count is None:
        return {}
    if type(count) is not int or not 1 <= count < 10**9:
        faults.append(f"'Monte Carlo samples' is {count!r}, not a whole number from 1")
    found = {"sample_count": count}
    for name, attribute in OF_DROPOUT.items():
        values = content.get(name)
        numbers = isinstance(values, list) and all(is_plain_number(value, 0) and value < 1e6 for value in values)
        if not numbers or len(values) != len(content["labels"]):
            faults.append(f"{name!r} is not a list of {len(content['labels'])} numbers from 0 up, one per image")
        else:
            found[attribute] = np.array(values, dtype=np.float64)
    return found


def _agreement_faults(labels, probabilities, of_label, class_names, positive_class):
    """Return the contradictions between parts of the file."""
    faults = []
    if of_label.shape != probabilities.shape:
        theirs, ours = of_label.shape[1], probabilities.shape[1]
        faults.append(f"'label probabilities' have {theirs} classes, 'predictive probabilities' {ours}")
    else:
        wrong = (of_label != np.eye(len(class_names))[labels]).any(axis=1)
        faults += [
            f"'label probabilities', entry {number}: not 1 for the label {labels[number]} and 0 elsewhere"
            for number in np.flatnonzero(wrong)
        ]
    if positive_class not in (None, *class_names):
        faults.append(f"'positive class' is {positive_class!r}; the classes are {', '.join(class_names)}")
    return faults
