"""What can be had without seeing the picture: cross-validated small models on what should not matter. No torch.

Where file sizes or brightness alone tell the classes apart, a network's accuracy is no evidence that it has learnt to
see the finding: it may have learnt how the classes were collected.
"""

import numpy as np
from PIL import Image
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipeline import files, image_files
from pipeline.messages import format_table
from pipeline.partitioning import catalogue, splitting
from pipeline.performance import intervals, roc
from pipeline.progress import map_in_threads, progress_bar

THUMBNAIL_SIDE = 16
# Below this grey value, out of 255, a pixel counts as dark: the black surroundings of a scan.
DARK = 32
TREES = 300  # in each forest
FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP")


def file_facts(data):
    """Return what the file alone says: width, height, aspect, bytes, bytes per pixel, channels, format."""
    width, height, channels, kind = image_files.header(data)
    formats = [float(kind == name) for name in FORMATS]
    return [width, height, width / height, len(data), len(data) / (width * height), channels, *formats]


def brightness_facts(image):
    """Return mean, spread, dark share and the means of the four borders of a decoded image, in grey values."""
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
        labels: class index of each.
        test_parts: indices of the test images of each fold, as splitting.test_parts gives them.
        seed: of the models.

    Returns {name: out-of-fold probabilities (n, classes)} with every image predicted once.
    """
    facts = map_in_threads(_facts, paths, "baselines: reading")
    files, brightness, thumbnails = (np.array(columns, dtype=np.float64) for columns in zip(*facts, strict=True))
    forest = RandomForestClassifier(n_estimators=TREES, n_jobs=-1, random_state=seed)
    candidates = {
        "always the larger class": (DummyClassifier(strategy="most_frequent"), files),
        "file facts": (forest, files),
        "brightness": (forest, brightness),
        "file facts and brightness": (forest, np.hstack([files, brightness])),
        "16x16 thumbnail": (make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)), thumbnails),
    }
    labels = np.asarray(labels)
    out_of_fold = {}
    for name, (model, features) in progress_bar(candidates.items(), desc="baselines", unit="model"):
        probabilities = np.zeros((len(labels), labels.max() + 1))
        for test in test_parts:
            train = np.setdiff1d(np.arange(len(labels)), test)
            model.fit(features[train], labels[train])
            # A class that is in no training image gets no column.
            probabilities[test[:, None], model.classes_] = model.predict_proba(features[test])
        out_of_fold[name] = probabilities
    return out_of_fold


def report(project, images, class_names, folds, seed):
    """Measure the baselines on a table of images, print them with intervals and write baselines.json.

    The folds keep the groups of the table whole.
    """
    paths = [catalogue.location(project, row) for row in images.itertuples()]
    labels = np.array([class_names.index(name) for name in images["class_name"]])
    parts = splitting.test_parts(images["class_name"], images["group"], folds, seed)
    measured = [
        {"name": name, **_figures(labels, probabilities)}
        for name, probabilities in cross_validate(paths, labels, parts, seed).items()
    ]
    rows = [
        (
            baseline["name"],
            "{:.1%} ({:.1%} to {:.1%})".format(baseline["accuracy"], *baseline["accuracy interval"]),
            "" if baseline["roc auc"] is None else f"{baseline['roc auc']:.3f}",
        )
        for baseline in measured
    ]
    print(f"\nWithout seeing the picture: {folds}-fold cross-validation over {len(labels)} images\n")
    print(format_table(["model on", "accuracy (95% interval)", "ROC-AUC"], rows))
    path = project.tables / "baselines.json"
    files.write_json(path, {"baselines": measured, "folds": folds, "seed": seed, "class names": class_names})
    print(f"\nwrote {path}")


def _figures(labels, probabilities):
    right = int((probabilities.argmax(axis=1) == labels).sum())
    figures = {
        "accuracy": right / len(labels),
        "accuracy interval": intervals.exact_interval(right, len(labels)),
        "roc auc": None,
        "roc auc interval": None,
        "n": len(labels),
    }
    if probabilities.shape[1] == 2:
        truth, scores = labels == 1, probabilities[:, 1]
        figures["roc auc"] = roc.roc_auc(truth, scores)
        figures["roc auc interval"] = roc.delong_interval(truth, scores)
    return figures


def _facts(path):
    data = image_files.read_bytes(path)
    image = image_files.decode(data)
    return file_facts(data), brightness_facts(image), thumbnail(image)
