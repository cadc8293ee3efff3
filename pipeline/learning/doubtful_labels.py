"""Labels that the models of a cross-validation doubt: a page to look at, and a table that the user fills in.

Each image is judged by the fold's model that was not trained on it, its near-duplicates or its group, so that a wrong
label cannot confirm itself. Nothing is changed here; pipeline.corrections takes what the user fills in.
"""

import base64
import io
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from pipeline import corrections, files, image_files, split_files
from pipeline.learning import familiarity, task_files
from pipeline.messages import note
from pipeline.templates import rendered

MOST_SHOWN = 100  # on the page; the table has all of them
LONGER_SIDE = 160  # pixels of a picture on the page


@dataclass(frozen=True)
class DoubtfulLabel:
    """An image for which a model that has not seen it predicts another class than its label."""

    image: str  # its name in bin/, like those of the nearest images
    given: str  # the class that it is labelled with
    suggested: str  # the class that is predicted
    quality: float  # see label_quality
    images_in_group: int  # near-duplicates and others that belong together, itself included
    nearest_of_given: str  # the nearest training image of that class, in the model's features; "" if unknown
    nearest_of_suggested: str


def label_quality(labels, probabilities):
    """Return how well labels agree with out-of-fold probabilities, float (n,): 0 not at all, 1 perfectly.

    This is the normalized margin, (1 + p(given class) - largest p of another class) / 2: below 0.5, another class is
    more probable. Northcutt et al., "Confident Learning", 2021.

    Args:
        labels: int (n,), class indices.
        probabilities: float (n, classes).
    """
    rows = np.arange(len(labels))
    given, others = probabilities[rows, labels], probabilities.copy()
    others[rows, labels] = -1
    return (1 + given - others.max(axis=1)) / 2


class DoubtfulLabels:
    """Collects the doubtful labels of all folds, and writes the page and the table."""

    def __init__(self, project, name):
        """Take the project and the page's name; UserError if the page or table would replace something else."""
        self._project = project
        self._page, self._table = task_files.doubtful_label_paths(project, name)
        self._found, self._count = [], 0

    def add(self, classifier, images, predictions):
        """Add the doubtful labels of a fold's test images, an ImageSet, given the fold's Classifier and Predictions."""
        quality = label_quality(predictions.labels, predictions.probabilities)
        chosen = np.flatnonzero(predictions.predictions != predictions.labels)
        given, suggested = predictions.labels[chosen], predictions.predictions[chosen]
        training = split_files.read_split(self._project, "train", predictions.fold)
        class_of = dict(zip(training.file_names, training.labels, strict=True))
        nearest = familiarity.nearest_of_classes(classifier, images, chosen, class_of, [given, suggested])
        groups, names = predictions.group_numbers(), predictions.class_names
        columns = (
            [predictions.file_names[index] for index in chosen],
            *([names[label] for label in labels] for labels in (given, suggested)),
            quality[chosen].tolist(),
            np.bincount(groups)[groups][chosen].tolist(),
            *nearest,
        )
        self._count += len(quality)
        self._found += map(DoubtfulLabel, *columns)

    def write(self):
        """Write the page and the table, the most doubtful first; print where, and how to apply corrections."""
        found = sorted(self._found, key=lambda label: (label.quality, label.image))
        corrections.require_not_filled_in(self._table)  # it may have been filled in meanwhile
        verb = "replaced" if self._page.exists() else "wrote"
        corrections.write(self._table, map(_row, found))
        command = split_files.command_to_split_again(self._project, "-labels_csv", self._table)
        page = rendered(
            Path(__file__).with_name("templates") / "doubtful_labels.html.jinja",
            labels=found[:MOST_SHOWN],
            picture=lambda name: _picture(self._project.bin / name),
            doubtful_count=len(found),
            count=self._count,
            table=self._table.name,
            command=command,
        )
        files.write_text(self._page, page)
        print(f"{len(found)} of {self._count} labels are doubtful: {verb} {self._page} and {self._table}")
        if found:
            note(f"look at the page, write the right classes into {self._table}, then split again: {command}")


def _row(label):
    """Return the cells of corrections.COLUMNS."""
    image, given, suggested, quality, *others = astuple(label)
    return [image, "", given, suggested, f"{quality:.4f}", *others]


def _picture(path):
    """Return a small copy of an image as JPEG in base64; "" if the file can no longer be read."""
    try:
        image = image_files.decode(image_files.read_bytes(path)).convert("RGB")
    except image_files.UnreadableImage as reason:
        note(f"{path}: {reason}; it is not on the page")
        return ""
    image.thumbnail((LONGER_SIDE, LONGER_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=85)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
