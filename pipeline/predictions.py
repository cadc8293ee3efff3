"""The predictions JSON: the format, written strictly and read with every fault named. Imports no torch."""

from dataclasses import dataclass

import numpy as np

from pipeline import files
from pipeline.errors import UserError

# Softmax outputs in float32 sum to 1 within about 1e-6; files written by other tools are rounded.
SUM_TOLERANCE = 1e-4


@dataclass
class Predictions:
    """A model's predictions for labelled images; all arrays in the same order."""

    labels: np.ndarray  # int (n,), class indices
    predictions: np.ndarray  # int (n,), class indices
    probabilities: np.ndarray  # float (n, classes), rows sum to 1
    class_names: list
    positive_class: str = None
    file_names: list = None
    split: str = None  # train, val or test
    fold: int = None
    checkpoint: str = None  # file name

    def write(self, path):
        """Write the JSON file; what a required list repeats is derived here and nowhere else."""
        one_hot = np.eye(len(self.class_names))[self.labels]
        files.write_json(
            path,
            {
                "labels": self.labels.tolist(),
                "predictions": self.predictions.tolist(),
                "predictive probabilities": self.probabilities.tolist(),
                "label probabilities": one_hot.tolist(),
                "filenames": self.file_names,
                "class names": self.class_names,
                "positive class": self.positive_class,
                "split": self.split,
                "fold": self.fold,
                "checkpoint": self.checkpoint,
            },
        )


def read(path):
    """Read a predictions JSON; only the four lists of labels, predictions and probabilities are required.

    Raises UserError with every fault found: missing lists, different lengths, values of a wrong type or out of
    range, probabilities that do not sum to 1, label probabilities that are not the labels, duplicate file names.
    """
    content = files.read_json_object(path)
    required = ("labels", "predictions", "predictive probabilities", "label probabilities")
    faults = [
        f"{path}: {name!r} is missing or no list; is it a file of test_torchvision.py?"
        for name in required
        if not isinstance(content.get(name), list)
    ]
    if not faults and not content["labels"]:
        faults.append(f"{path}: 'labels' is empty; test at least one image")
    if faults:
        raise UserError(*faults)
    faults = [
        f"{path}: {name!r} has {len(content[name])} entries, 'labels' has {len(content['labels'])}"
        for name in required
        if len(content[name]) != len(content["labels"])
    ]
    probabilities = _matrix(content, "predictive probabilities", path, faults)
    one_hot = _matrix(content, "label probabilities", path, faults)
    if faults:
        raise UserError(*faults)

    class_count = probabilities.shape[1]
    labels = _class_indices(content, "labels", class_count, path, faults)
    predictions = _class_indices(content, "predictions", class_count, path, faults)
    _check_probabilities(probabilities, path, faults)
    if labels is not None and not np.array_equal(one_hot, np.eye(class_count)[labels]):
        faults.append(f"{path}: 'label probabilities' are not 1 for the label and 0 elsewhere")
    class_names = _names(content, "class names", class_count, path, faults)
    file_names = _names(content, "filenames", len(content["labels"]), path, faults)
    for name in ("positive class", "split", "checkpoint"):
        if not isinstance(content.get(name), str | None):
            faults.append(f"{path}: {name!r} is not a string")
    if faults:
        raise UserError(*faults)
    return Predictions(
        labels,
        predictions,
        probabilities,
        class_names or [str(index) for index in range(class_count)],
        content.get("positive class"),
        file_names,
        content.get("split"),
        content.get("fold"),
        content.get("checkpoint"),
    )


def _matrix(content, name, path, faults):
    """Return a list of equally long lists of numbers as an array; None and a fault where it is none."""
    rows = content[name]
    wide = len(rows[0]) if rows and isinstance(rows[0], list) else 0
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != wide or wide < 2:
            faults.append(f"{path}: {name!r}, entry {number}: not a list of one number per class, two or more")
        elif not all(isinstance(value, int | float) and not isinstance(value, bool) for value in row):
            faults.append(f"{path}: {name!r}, entry {number}: not all numbers")
        else:
            continue
        return None
    return np.array(rows, dtype=np.float64)


def _class_indices(content, name, class_count, path, faults):
    values = content[name]
    wrong = [
        f"{path}: {name!r}, entry {number}: {value!r} is not a class index from 0 to {class_count - 1}"
        for number, value in enumerate(values)
        if type(value) is not int or not 0 <= value < class_count
    ]
    faults += wrong
    return None if wrong else np.array(values)


def _check_probabilities(probabilities, path, faults):
    outside = ~((probabilities >= 0) & (probabilities <= 1)).all(axis=1)
    wrong_sum = ~outside & (np.abs(probabilities.sum(axis=1) - 1) > SUM_TOLERANCE)
    for wrong, what in ((outside, "are not all between 0 and 1"), (wrong_sum, "do not sum to 1")):
        faults += [
            f"{path}: 'predictive probabilities', entry {number}: {probabilities[number].tolist()} {what}"
            for number in np.flatnonzero(wrong)
        ]


def _names(content, name, count, path, faults):
    names = content.get(name)
    if names is None:
        return None
    if not isinstance(names, list) or len(names) != count or not all(isinstance(entry, str) for entry in names):
        faults.append(f"{path}: {name!r} is not a list of {count} strings")
    elif len(set(names)) < count:
        twice = sorted({entry for entry in names if names.count(entry) > 1})
        faults += [f"{path}: {name!r}: {entry!r} stands there more than once" for entry in twice]
    return names
