"""Several predictions files as one: the folds of a cross-validation pooled, and the spread between them."""

from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np

from pipeline import predictions
from pipeline.classes import resolve_positive_class
from pipeline.errors import UserError
from pipeline.messages import note
from pipeline.performance.figures import Figure
from pipeline.performance.grouped import proportion
from pipeline.performance.metrics import OneAgainstRest
from pipeline.performance.roc import area_figure
from pipeline.predictions import Predictions


@dataclass(frozen=True)
class Fold:
    """The figures of one fold."""

    number: int
    checkpoint: str | None
    accuracy: Figure
    auc: Figure  # of the positive class, or the mean over classes, each against the rest


@dataclass(frozen=True)
class Spread:
    """How far a figure varies between the folds; all None where it is undefined for one of them."""

    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    standard_deviation: float | None = None  # with n - 1
    reason: str = ""

    def named(self):
        """Return {name: value}."""
        return {name.replace("_", " "): value for name, value in asdict(self).items() if name != "reason"}


@dataclass(frozen=True)
class CrossValidation:
    """The folds, in the order of their numbers, and the spread between them."""

    folds: list[Fold]
    accuracy: Spread
    auc: Spread

    @property
    def missing(self):
        """The numbers below the largest of which there is no fold."""
        numbers = {fold.number for fold in self.folds}
        return sorted(set(range(max(numbers))) - numbers)


def read(paths, positive_class=None):
    """Read predictions files as a list of Predictions; `positive_class` replaces the recorded one, and says so."""
    parts, replaced = predictions.read_all(paths), {}
    for part, path in zip(parts, paths, strict=True):
        recorded = part.positive_class
        part.positive_class = resolve_positive_class(part.class_names, positive_class, recorded)
        if recorded not in (None, part.positive_class):
            replaced.setdefault(recorded, path)
    for recorded, path in replaced.items():
        chosen = "each class in turn" if positive_class is None else f"positive class {positive_class!r}"
        note(f"{chosen} instead of {recorded!r}, which {path} names")
    return parts


def require_one_model(parts, paths, each_image_once=True):
    """Raise UserError, with a line a fault, where several `parts`, read from `paths`, are not of one cross-validation.

    That is where they are of other classes, another split or positive class, of no fold or of one that stands twice,
    and where images have no file name or are in two parts, which validation images may be.
    """
    faults = _faults(parts, paths, each_image_once) if len(parts) > 1 else []
    if faults:
        raise UserError(*faults)


def pool(parts, paths, each_image_once=True):
    """Return the Predictions of all images in `parts`, a list of Predictions read from `paths`; one part as it is.

    Raises UserError as require_one_model does.
    """
    require_one_model(parts, paths, each_image_once)
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return Predictions(
        labels=np.concatenate([part.labels for part in parts]),
        predictions=np.concatenate([part.predictions for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        class_names=first.class_names,
        positive_class=first.positive_class,
        file_names=[name for part in parts for name in part.file_names],
        groups=_pooled_groups(parts),
        folds=np.repeat([part.fold for part in parts], [len(part.labels) for part in parts]),
        split=first.split,
        interrupted="; ".join(f"fold {part.fold}: {part.interrupted}" for part in parts if part.interrupted) or None,
        **_pooled_uncertainty(parts),
    )


def _pooled_groups(parts):
    """Return the groups of all images; None where a part does not know its own."""
    return None if any(part.groups is None for part in parts) else [name for part in parts for name in part.groups]


def _pooled_uncertainty(parts):
    """Return the uncertainties of all images by Monte Carlo dropout, where it was used."""
    if parts[0].sample_count is None:
        return {}
    return {
        "sample_count": parts[0].sample_count,
        "predictive_entropy": np.concatenate([part.predictive_entropy for part in parts]),
        "mutual_information": np.concatenate([part.mutual_information for part in parts]),
    }


def cross_validation(parts):
    """Return the CrossValidation of the folds' Predictions."""
    folds = [
        Fold(part.fold, part.checkpoint, proportion(part.labels == part.predictions, part.group_numbers()), _area(part))
        for part in sorted(parts, key=lambda part: part.fold)
    ]
    return CrossValidation(folds, _spread([fold.accuracy for fold in folds]), _spread([fold.auc for fold in folds]))


def _spread(figures):
    values = [figure.value for figure in figures]
    if None in values:
        return Spread(reason="undefined for a fold")
    return Spread(min(values), max(values), float(np.mean(values)), float(np.std(values, ddof=1)))


def _area(part):
    names = part.class_names if part.positive_class is None else [part.positive_class]
    return area_figure([OneAgainstRest.of(part, part.class_names.index(name)) for name in names])


def _faults(parts, paths, each_image_once):
    first, faults = parts[0], []
    for part, path in zip(parts[1:], paths[1:], strict=True):
        for what, theirs, ours in (
            ("class names", part.class_names, first.class_names),
            ("positive class", part.positive_class, first.positive_class),
            ("split", part.split, first.split),
            ("number of Monte Carlo samples", part.sample_count, first.sample_count),
        ):
            if theirs != ours:
                faults.append(f"{path}: {what} {theirs!r}, in {paths[0]} {ours!r}; pool the folds of one model only")
    for part, path in zip(parts, paths, strict=True):
        if part.fold is None:
            faults.append(f"{path}: names no fold; several predictions are pooled as the folds of a cross-validation")
        if part.file_names is None:
            faults.append(f"{path}: has no 'filenames'; without them an image could be counted twice")
    for what, counts in (
        ("fold", Counter(part.fold for part in parts if part.fold is not None)),
        ("image", Counter(name for part in parts for name in part.file_names or () if each_image_once)),
    ):
        faults += [
            f"{what} {value} is in {count} of the predictions files; give each once"
            for value, count in counts.items()
            if count > 1
        ]
    return faults
