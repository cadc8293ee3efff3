"""Two models on the same images: the paired differences in accuracy and in ROC-AUC. Imports no torch."""

from dataclasses import replace

import numpy as np

from pipeline.errors import UserError
from pipeline.performance.intervals import exact_mcnemar_test, paired_difference_interval
from pipeline.performance.metrics import Undefined
from pipeline.performance.roc import delong_test, roc_auc


def compare(measured, other, place):
    """Return ({figure: value}, {figure: reason why it is undefined}) of `measured` against `other`, both Predictions.

    Every difference is that of `measured` less that of `other`: of the accuracies, with its interval and the exact
    McNemar test; of the areas under the ROC curve of the positive class (of each class against the rest for more than
    two), with DeLong's interval and paired test. `place` names the other predictions in messages.

    Raises UserError where the two are not of the same images with the same labels: see matched.
    """
    other = matched(measured, other, place)
    here, there = (made.predictions == made.labels for made in (measured, other))
    only_here, only_there = int((here & ~there).sum()), int((~here & there).sum())
    figures = {
        "Checkpoint": other.checkpoint,
        "n": len(here),
        "Accuracy": float(here.mean()),
        "Other Accuracy": float(there.mean()),
        "Accuracy Difference": (only_here - only_there) / len(here),
        "Accuracy Difference 95% Interval": paired_difference_interval(only_here, only_there, len(here)),
        "Right Here Only": only_here,
        "Right There Only": only_there,
        "McNemar Exact P-Value": exact_mcnemar_test(only_here, only_there),
        "ROC-AUC": {},
    }
    undefined = {}
    for name in measured.class_names if measured.positive_class is None else [measured.positive_class]:
        index = measured.class_names.index(name)
        areas, reasons = _compare_areas(
            measured.labels == index, measured.probabilities[:, index], other.probabilities[:, index]
        )
        figures["ROC-AUC"][name] = areas
        undefined |= {f"Comparison ROC-AUC {figure} ({name})": reason for figure, reason in reasons.items()}
    return figures, undefined


def matched(measured, other, place):
    """Return `other` with its images in the order of `measured`, matched by file name.

    By position where one of the two has no file names. Raises UserError, with a line a fault, for other classes,
    images that only one of the two has, and labels that differ.
    """
    if other.class_names != measured.class_names:
        theirs, ours = ", ".join(other.class_names), ", ".join(measured.class_names)
        raise UserError(f"-compare {place}: its classes are {theirs}, those of the predictions measured {ours}")
    if None in (measured.file_names, other.file_names):
        if len(other.labels) != len(measured.labels):
            raise UserError(
                f"-compare {place}: {len(other.labels)} images, {len(measured.labels)} are measured; "
                "compare predictions of the same images"
            )
        order, names = np.arange(len(other.labels)), [f"image {number}" for number in range(len(other.labels))]
    else:
        names, position = measured.file_names, {name: index for index, name in enumerate(other.file_names)}
        missing = [name for name in names if name not in position]
        known = set(names)
        extra = [name for name in other.file_names if name not in known]
        faults = [f"-compare {place}: has no prediction for {name}, which is measured" for name in missing]
        faults += [f"-compare {place}: predicts {name}, which is not measured" for name in extra]
        if faults:
            raise UserError(*faults)
        order = np.array([position[name] for name in names])
    faults = [
        f"-compare {place}: {names[index]} has the label {other.labels[order[index]]}, in the predictions measured "
        f"{measured.labels[index]}"
        for index in np.flatnonzero(other.labels[order] != measured.labels)
    ]
    if faults:
        raise UserError(*faults)
    return replace(
        other,
        labels=other.labels[order],
        predictions=other.predictions[order],
        probabilities=other.probabilities[order],
        file_names=measured.file_names,
    )


def _compare_areas(truth, scores, other_scores):
    figures = dict.fromkeys(("here", "there", "difference", "difference 95% interval", "DeLong p-value"))
    try:
        figures["here"], figures["there"] = roc_auc(truth, scores), roc_auc(truth, other_scores)
        figures["difference"] = figures["here"] - figures["there"]
        _, figures["difference 95% interval"], figures["DeLong p-value"] = delong_test(truth, scores, other_scores)
    except Undefined as reason:
        return figures, {figure: str(reason) for figure, value in figures.items() if value is None}
    return figures, {}
