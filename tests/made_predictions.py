"""Made-up predictions for the tests, as objects and as JSON files."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.performance import comparison, pages, report, thresholds, validations
from pipeline.performance.metrics import OneAgainstRest
from pipeline.performance.results_json import as_json
from pipeline.performance.summary import summarize
from pipeline.predictions import Predictions

GOLDEN = Path(__file__).parent / "golden"


def one_class(truth, finding, probability, groups=None, folds=None):
    """Return a class against the rest; without groups each image is its own, without folds all are of one model."""
    count = len(truth)
    groups = np.arange(count) if groups is None else np.asarray(groups)
    folds = np.zeros(count, dtype=int) if folds is None else np.asarray(folds)
    return OneAgainstRest(np.asarray(truth), np.asarray(finding), np.asarray(probability), groups, folds)


def two_class(labels, probabilities_of_last, **others):
    """Return Predictions of two classes from the probability of the last one, its class predicted from 0.5 on."""
    last = np.asarray(probabilities_of_last, dtype=float)
    others = {"class_names": ["no", "yes"], "positive_class": "yes", **others}
    return Predictions(np.asarray(labels), (last >= 0.5).astype(int), np.column_stack([1 - last, last]), **others)


def multiclass(labels, probabilities, class_names=None, **others):
    """Return Predictions of more classes: the most probable one predicted, no positive class."""
    probabilities = np.asarray(probabilities, dtype=float)
    names = class_names or list("ABCDEFGHIJ"[: probabilities.shape[1]])
    return Predictions(np.asarray(labels), probabilities.argmax(axis=1), probabilities, names, **others)


def random_two_class(seed, counts=(10, 16), signal=1.0, prefix="image", **others):
    """Return Predictions of images of two classes, `counts` of each, told apart the better the larger the signal."""
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1], counts)
    logits = signal * (2 * labels - 1) + random.normal(size=len(labels))
    names = [f"{prefix}{index}.png" for index in range(len(labels))]
    return two_class(labels, 1 / (1 + np.exp(-logits)), **{"file_names": names, "split": "test", **others})


def chosen_threshold(validation, path, measured, rule=None):
    """Return the Threshold that validation Predictions, read from `path`, choose for the Predictions `measured`."""
    pool = validations.pool([replace(validation, path=Path(path))], [measured], "-threshold_from")
    return thresholds.choose_all([measured], pool, rule)[0][0]


def compared(here, there):
    """Return the Comparison of Predictions `here` with those `there`, read from b.json."""
    return comparison.compare(here, comparison.matched(here, replace(there, path="b.json")))


def page(made, **more):
    """Return the page of Predictions in Markdown; `more` as summarize takes it."""
    results = summarize(made, **more)
    return pages.markdown(report.page(results, as_json(results)))


def content(path):
    """Return what a JSON file holds; NaN and Infinity, which are no JSON, raise an error."""

    def refuse(constant):
        raise AssertionError(f"{path} holds {constant}")

    return json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=refuse)
