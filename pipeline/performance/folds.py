"""Several predictions files as one: the folds of a cross-validation pooled, and the spread between them.

Imports no torch.
"""

from collections import Counter

import numpy as np

from pipeline.errors import UserError
from pipeline.performance.metrics import Undefined
from pipeline.performance.roc import roc_auc
from pipeline.predictions import Predictions


def pool(parts, paths):
    """Return the Predictions of all images in `parts`, a list of Predictions read from `paths`; one part as it is.

    Raises UserError, with a line a fault, where they are not the folds of one cross-validation: other classes, another
    split or positive class, no fold or one that stands twice, images without a file name or in two parts.
    """
    if len(parts) == 1:
        return parts[0]
    faults = _faults(parts, paths)
    if faults:
        raise UserError(*faults)
    first = parts[0]
    return Predictions(
        labels=np.concatenate([part.labels for part in parts]),
        predictions=np.concatenate([part.predictions for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        class_names=first.class_names,
        positive_class=first.positive_class,
        file_names=[name for part in parts for name in part.file_names],
        split=first.split,
        **_pooled_uncertainty(parts),
    )


def _pooled_uncertainty(parts):
    """Return what Monte Carlo dropout says of all images, where it was used."""
    if parts[0].sample_count is None:
        return {}
    return {
        "sample_count": parts[0].sample_count,
        "predictive_entropy": np.concatenate([part.predictive_entropy for part in parts]),
        "mutual_information": np.concatenate([part.mutual_information for part in parts]),
    }


def spread(parts, positive_class):
    """Return ({"Folds": ..., "Between Folds": ...}, {figure: reason why it is undefined}) of pooled Predictions.

    "Folds" is a list of each fold's accuracy and ROC-AUC (of the positive class; the mean over classes, each against
    the rest, where `positive_class` is None). "Between Folds" holds their minimum, maximum, mean and standard
    deviation (n - 1), each undefined where a fold's figure is.
    """
    undefined, folds = {}, []
    for part in sorted(parts, key=lambda part: part.fold):
        try:
            area = _area(part, positive_class)
        except Undefined as reason:
            area = None
            undefined[f"ROC-AUC (fold {part.fold})"] = str(reason)
        folds.append(
            {
                "fold": part.fold,
                "checkpoint": part.checkpoint,
                "n": len(part.labels),
                "Accuracy": float((part.labels == part.predictions).mean()),
                "ROC-AUC": area,
            }
        )
    between = {}
    for name in ("Accuracy", "ROC-AUC"):
        values = [fold[name] for fold in folds]
        if None in values:
            between[name] = None
            undefined[f"{name} (between folds)"] = "undefined for a fold"
        else:
            between[name] = {
                "minimum": min(values),
                "maximum": max(values),
                "mean": float(np.mean(values)),
                "standard deviation": float(np.std(values, ddof=1)),
            }
    return {"Folds": folds, "Between Folds": between}, undefined


def _area(part, positive_class):
    names = part.class_names if positive_class is None else [positive_class]
    indices = [part.class_names.index(name) for name in names]
    return float(np.mean([roc_auc(part.labels == index, part.probabilities[:, index]) for index in indices]))


def _faults(parts, paths):
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
            faults.append(f"{path}: says no fold; several predictions are pooled as the folds of a cross-validation")
        if part.file_names is None:
            faults.append(f"{path}: has no 'filenames', so that nothing shows whether an image is measured twice")
    for what, counts in (
        ("fold", Counter(part.fold for part in parts if part.fold is not None)),
        ("image", Counter(name for part in parts for name in part.file_names or ())),
    ):
        faults += [
            f"{what} {value} is in {count} of the predictions files; give each once"
            for value, count in counts.items()
            if count > 1
        ]
    return faults
