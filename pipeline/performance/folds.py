"""Several predictions files as one: the folds of a cross-validation pooled, and the spread between them."""

from collections import Counter
from dataclasses import dataclass
from itertools import chain

import numpy as np

from pipeline.errors import require_none
from pipeline.messages import MOST_NAMES, listed
from pipeline.performance.figures import Figure
from pipeline.performance.metrics import accuracy
from pipeline.performance.roc import area_of
from pipeline.predictions import OF_EACH_IMAGE, Predictions

# How far a figure varies between the folds; the standard deviation is that with n - 1.
SPREAD = ("minimum", "maximum", "mean", "standard deviation")


@dataclass(frozen=True)
class Fold:
    """The figures of one fold."""

    number: int
    checkpoint: str | None
    accuracy: Figure
    auc: Figure  # of the positive class, or the mean over classes, each against the rest


@dataclass(frozen=True)
class CrossValidation:
    """The folds, in the order of their numbers, and the spread between them."""

    folds: list[Fold]
    accuracy: Figure  # its value is {name: value between the folds}, see SPREAD
    auc: Figure
    missing: list[int]  # numbers of folds that are not here


def pool(parts, each_image_once=True):
    """Return the Predictions of all images in `parts`, a list of Predictions; one part as it is.

    Raises UserError, in one line, if several parts are not of one cross-validation: if they differ in their classes,
    split, positive class or number of Monte Carlo samples, have no fold or the same one, or if images have no file name
    or are in two parts, unless `each_image_once` is false, as for validation images.
    """
    if len(parts) == 1:
        return parts[0]
    require_none(_faults(parts, each_image_once))
    first = parts[0]
    pooled = {name: _pooled(parts, name) for name in (*OF_EACH_IMAGE, "weights")}
    pooled["folds"] = np.repeat([part.fold for part in parts], [len(part.labels) for part in parts])
    return Predictions(
        **pooled,
        class_names=first.class_names,
        positive_class=first.positive_class,
        split=first.split,
        sample_count=first.sample_count,
        path=first.path,
        interrupted="; ".join(f"fold {part.fold}: {part.interrupted}" for part in parts if part.interrupted) or None,
    )


def _pooled(parts, name):
    """Return what the attribute `name` holds in all parts, in order; None if a part has none."""
    values = [getattr(part, name) for part in parts]
    if any(each is None for each in values):
        return None
    return np.concatenate(values) if isinstance(values[0], np.ndarray) else list(chain(*values))


def cross_validation(parts, of_split=()):
    """Return the CrossValidation of the folds' Predictions; `of_split` are the numbers of all folds, if they are known.

    Otherwise the largest number among the parts is taken as the last one.
    """
    numbers, folds = {part.fold for part in parts}, []
    for part in sorted(parts, key=lambda part: part.fold):
        folds.append(Fold(part.fold, part.checkpoint, accuracy(part), area_of(part)))
    spreads = (_spread([getattr(fold, name) for fold in folds]) for name in ("accuracy", "auc"))
    return CrossValidation(folds, *spreads, missing=sorted({*range(max(numbers)), *of_split} - numbers))


def _spread(figures):
    values = [figure.value for figure in figures]
    if None in values:
        return Figure(None, reason="undefined for a fold")
    measures = min(values), max(values), float(np.mean(values)), float(np.std(values, ddof=1))
    return Figure(dict(zip(SPREAD, measures, strict=True)))


def _faults(parts, each_image_once):
    """Return the faults of the first kind found; those of other kinds mostly follow from it."""
    first = parts[0]
    one_model = "pool the folds of one model only"
    one_split = "leave out the predictions of one split; -threshold_from and -calibrate_from take those of val"
    for what, name, way_out in (
        ("class names", "class_names", one_model),
        ("positive class", "positive_class", "choose one for all with -positive_class"),
        ("split", "split", one_split),
        ("number of Monte Carlo samples", "sample_count", one_model),
    ):
        ours, others = getattr(first, name), [part for part in parts if getattr(part, name) != getattr(first, name)]
        if others:
            found = f"{what} {getattr(others[0], name)!r}, in {first.path} {ours!r}"
            return [f"{_listed(others)}: {found}; {way_out}"]
    if without := [part for part in parts if part.fold is None]:
        return [f"{_listed(without)}: no 'fold'; only the folds of a cross-validation are pooled; give one file"]
    if without := [part for part in parts if part.file_names is None]:
        return [f"{_listed(without)}: no 'filenames'; without them an image could be counted twice"]
    for what, contents in (
        ("fold", [[part.fold] for part in parts]),
        (first.unit, [part.file_names if each_image_once else [] for part in parts]),
    ):
        counts = Counter(chain(*contents))
        twice = [value for value, count in counts.items() if count > 1]
        if twice:
            where = [part for part, content in zip(parts, contents, strict=True) if twice[0] in content]
            more = f" (and {len(twice) - 1} more)" if len(twice) > 1 else ""
            return [f"{_listed(where)}: {what} {twice[0]}{more} is in each of them; give each {what} once"]
    return []


def _listed(parts):
    return listed([str(part.path) for part in parts], MOST_NAMES)
