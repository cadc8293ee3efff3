"""Simple baselines: small models, cross-validated on what should not matter; and baselines.json, written and read.

If file sizes or brightness are enough to tell the classes apart, a network's accuracy is not evidence that it has
learned to see the finding: it may have learned how the classes were collected.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline import files, image_files
from pipeline.errors import UserError, require_none
from pipeline.messages import format_table, listed
from pipeline.performance.figure_text import score, with_span
from pipeline.performance.figures import Figure
from pipeline.performance.metrics import accuracy
from pipeline.performance.roc import area_of
from pipeline.plain_values import is_plain_number
from pipeline.predictions import Predictions
from pipeline.progress import map_in_threads, progress_bar

THUMBNAIL_SIDE = 16
# Below this grey value, out of 255, a pixel counts as dark: the black surroundings of a scan.
DARK = 32
TREES = 300  # in each forest
FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP")


@dataclass(frozen=True)
class Baseline:
    """How good one simple model is."""

    name: str
    accuracy: Figure
    auc: Figure  # undefined for more than two classes
    n: int  # images

    def as_json(self):
        """Return the entry of baselines.json and of the results JSON."""
        return {
            "name": self.name,
            "accuracy": self.accuracy.value,
            "accuracy interval": self.accuracy.interval,
            "roc auc": self.auc.value,
            "roc auc interval": self.auc.interval,
            "n": self.n,
        }


def file_facts(data):
    """Return what is known without decoding: width, height, aspect, bytes, bytes per pixel, channels, format."""
    width, height, channels, kind = image_files.header(data)
    formats = [float(kind == name) for name in FORMATS]
    return [width, height, width / height, len(data), len(data) / (width * height), channels, *formats]


def brightness_facts(image):
    """Return mean, spread, fraction of dark pixels and the four borders' means of a decoded image, in grey values."""
    grey = np.asarray(image.convert("L"), dtype=np.float32)
    borders = [grey[0], grey[-1], grey[:, 0], grey[:, -1]]
    return [grey.mean(), grey.std(), (grey < DARK).mean(), *(border.mean() for border in borders)]


def thumbnail(image):
    """Return the 256 grey values of a decoded image at 16 x 16 pixels."""
    small = image.convert("L").resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32).ravel()


def cross_validate(paths, labels, test_parts, seed):
    """Cross-validate the baselines.

    Args:
        paths: image files that can be decoded.
        labels: the class index of each.
        test_parts: indices of the test images of each fold.
        seed: the random seed of the models.

    Returns {name: out-of-fold probabilities (n, classes)} with every image predicted once.
    """
    # Imported here, since they take a quarter of a second and reading baselines.json does not need them.
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    facts = map_in_threads(_facts, paths, "baselines: reading")
    file_columns, brightness, thumbnails = (np.array(columns, dtype=np.float64) for columns in zip(*facts, strict=True))
    forest = RandomForestClassifier(n_estimators=TREES, n_jobs=-1, random_state=seed)
    candidates = {
        "always the larger class": (DummyClassifier(strategy="most_frequent"), file_columns),
        "file facts": (forest, file_columns),
        "brightness": (forest, brightness),
        "file facts and brightness": (forest, np.hstack([file_columns, brightness])),
        "16x16 thumbnail": (make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)), thumbnails),
    }
    labels = np.asarray(labels)
    out_of_fold = {}
    for name, (model, features) in progress_bar(candidates.items(), desc="baselines", unit="model"):
        probabilities = np.zeros((len(labels), labels.max() + 1))
        for test in test_parts:
            train = np.setdiff1d(np.arange(len(labels)), test)
            model.fit(features[train], labels[train])
            # A class without training images gets no column.
            probabilities[test[:, None], model.classes_] = model.predict_proba(features[test])
        out_of_fold[name] = probabilities
    return out_of_fold


def report(path, image_paths, class_of, groups, test_parts, seed):
    """Measure the baselines, print them with intervals and write them to `path`.

    Arguments as for cross_validate, except for `class_of`, the class name of each image, and `groups`, its group.
    """
    names, labels = np.unique(np.asarray(class_of, dtype=str), return_inverse=True)
    names, folds = names.tolist(), np.zeros(len(labels), dtype=int)
    for fold, part in enumerate(test_parts):
        folds[part] = fold
    positive, baselines = names[-1] if len(names) == 2 else None, []
    for name, probabilities in cross_validate(image_paths, labels, test_parts, seed).items():
        predicted = probabilities.argmax(axis=1)
        predictions = Predictions(labels, predicted, probabilities, names, positive, groups=groups, folds=folds)
        baselines.append(_measured(name, predictions))
    rows = [
        (each.name, with_span(each.accuracy), "" if each.auc.value is None else with_span(each.auc, score))
        for each in baselines
    ]
    print(f"\nSimple baselines: {len(test_parts)}-fold cross-validation over {len(labels)} images\n")
    print(format_table(["model on", "accuracy, 95% interval", "ROC-AUC, 95% interval"], rows))
    entries = [baseline.as_json() for baseline in baselines]
    verb = "replaced" if path.exists() else "wrote"
    content = {"baselines": entries, "folds": len(test_parts), "seed": seed, "class names": names}
    files.write_json(path, content)
    print(f"\n{verb} {path}")


def read(path, class_names):
    """Read baselines.json as a list of Baselines; raises UserError, one line per fault.

    Classes other than `class_names` are a fault; older files do not name theirs.
    """
    content = files.read_json_object(path)
    entries, theirs = content.get("baselines"), content.get("class names", class_names)
    if not isinstance(entries, list) or not entries:
        raise UserError(
            f"{path}: 'baselines' is missing or not a list; is it a file of partition_datasets.py --baselines?"
        )
    if theirs != class_names:
        theirs = listed(list(map(str, theirs))) if isinstance(theirs, list) else repr(theirs)
        raise UserError(f"{path}: its classes are {theirs}, but those of the predictions are {listed(class_names)}")
    require_none(
        f"{path}: baseline {number}: {fault}" for number, entry in enumerate(entries) for fault in _faults(entry)
    )
    return [
        Baseline(
            entry["name"],
            Figure(entry["accuracy"], entry["accuracy interval"]),
            Figure(entry.get("roc auc"), entry.get("roc auc interval")),
            entry["n"],
        )
        for entry in entries
    ]


def _measured(name, predictions):
    auc = Figure(None) if predictions.positive_class is None else area_of(predictions)
    return Baseline(name, accuracy(predictions), auc, len(predictions.labels))


def _facts(path):
    try:
        data = image_files.read_bytes(path)
        image = image_files.decode(data)
    except image_files.UnreadableImage as reason:
        raise UserError(f"{path}: {reason}; it could be read a moment ago; put it back as it was") from None
    return file_facts(data), brightness_facts(image), thumbnail(image)


def _faults(entry):
    if not isinstance(entry, dict):
        return ["is not an object"]
    area, limits = entry.get("roc auc"), entry.get("roc auc interval")
    sound_limits = limits is None or (area is not None and _is_interval(limits))
    interval = "two ascending numbers from 0 to 1"
    checks = (
        ("name", isinstance(entry.get("name"), str), "a string"),
        ("accuracy", is_plain_number(entry.get("accuracy"), 0, 1), "a number from 0 to 1"),
        ("accuracy interval", _is_interval(entry.get("accuracy interval")), interval),
        ("roc auc", area is None or is_plain_number(area, 0, 1), "null or a number from 0 to 1"),
        ("roc auc interval", sound_limits, f"null or, of a number, {interval}"),
        ("n", type(entry.get("n")) is int and entry["n"] > 0, "a whole number above 0"),
    )
    return [f"{name!r} is not {expected}" for name, sound, expected in checks if not sound]


def _is_interval(value):
    if not isinstance(value, list) or len(value) != 2:
        return False
    return all(is_plain_number(limit, 0, 1) for limit in value) and value[0] <= value[1]
