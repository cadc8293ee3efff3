"""The operating point of a two-class model: chosen on validation images, frozen, applied to others.

An image is given the positive class where the probability of it is at least the threshold.
"""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import UserError
from pipeline.performance.figures import Figure
from pipeline.performance.grouped import proportion


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold, how it was chosen, and what it gives where it was chosen."""

    value: float
    rule: str
    file: str
    split: str | None
    fold: int | None
    sensitivity: Figure
    specificity: Figure
    accuracy: Figure

    @property
    def chosen(self):
        """The two figures that the rule chooses by."""
        return self.sensitivity, self.specificity


def choose_all(parts, validations, paths, min_sensitivity=None):
    """Choose a threshold on each of `validations`, Predictions read from `paths`, for the part of the same fold.

    Returns the OperatingPoints and the parts with the classes that their thresholds give, both in the order of `parts`.
    Raises UserError, with a line a fault, where they do not belong together: see choose.
    """
    if len(parts) > 1:
        given = [validation.fold for validation in validations]
        faults = [
            f"-threshold_from: {given.count(part.fold)} of its files are of fold {part.fold}; give one for each PREDS"
            for part in parts
            if given.count(part.fold) != 1
        ]
        if len(validations) > len(parts):
            faults.append(f"-threshold_from: {len(validations)} files for {len(parts)} PREDS; give one for each")
        if faults:
            raise UserError(*faults)
        order = [given.index(part.fold) for part in parts]
        validations, paths = [validations[index] for index in order], [paths[index] for index in order]
    elif len(validations) > 1:
        raise UserError(f"-threshold_from: {len(validations)} files for one PREDS; give one")
    points = [choose(*each, min_sensitivity) for each in zip(validations, paths, parts, strict=True)]
    return points, [apply(part, point.value) for part, point in zip(parts, points, strict=True)]


def choose(validation, path, measured, min_sensitivity=None):
    """Return the OperatingPoint chosen on `validation` for the Predictions `measured`.

    Without `min_sensitivity` the threshold maximizes sensitivity + specificity - 1 (Youden, Cancer 3 (1950) 32), the
    one with the higher sensitivity where several do; with it, the specificity among those thresholds that reach this
    sensitivity. Thresholds lie midway between neighbouring probabilities; 0, which calls every image positive, is one.

    Raises UserError where the images of `validation` (read from `path`) may not choose it: see _faults.
    """
    faults = _faults(validation, path, measured)
    if faults:
        raise UserError(*faults)
    positive = measured.class_names.index(measured.positive_class)
    truth = validation.labels == positive
    thresholds, sensitivities, specificities = _operating_points(truth, validation.probabilities[:, positive])
    if min_sensitivity is None:
        # Rounded, since 0.6 + 0.3 and 0.5 + 0.4 should be equal.
        order = np.lexsort((sensitivities, np.round(sensitivities + specificities, 12)))
        rule = "Youden's index"
    else:
        order = np.lexsort((sensitivities, np.where(sensitivities >= min_sensitivity, specificities, -1)))
        rule = f"highest specificity at a sensitivity of at least {min_sensitivity:g}"
    best = order[-1]
    finding, groups = validation.probabilities[:, positive] >= thresholds[best], validation.group_numbers()
    return OperatingPoint(
        value=float(thresholds[best]),
        rule=rule,
        file=path.name,
        split=validation.split,
        fold=measured.fold,
        sensitivity=proportion(finding[truth], groups[truth]),
        specificity=proportion(~finding[~truth], groups[~truth]),
        accuracy=proportion(finding == truth, groups),
    )


def apply(predictions, threshold):
    """Return the Predictions with the classes that the threshold gives in place of the ones they came with."""
    positive = predictions.class_names.index(predictions.positive_class)
    finding = predictions.probabilities[:, positive] >= threshold
    return replace(predictions, predictions=np.where(finding, positive, 1 - positive))


def _operating_points(truth, probability):
    """Return thresholds, ascending, with the sensitivity and the specificity of each; bool (n,), float (n,)."""
    values = np.unique(probability)
    middle = (values[:-1] + values[1:]) / 2
    # Midway between neighbouring floats lies none: then the upper one, which the rule "at least" includes.
    thresholds = np.concatenate([[0.0], np.where(middle > values[:-1], middle, values[1:])])
    positives, negatives = np.sort(probability[truth]), np.sort(probability[~truth])
    missed = np.searchsorted(positives, thresholds, side="left")
    passed = np.searchsorted(negatives, thresholds, side="left")
    return thresholds, (len(positives) - missed) / len(positives), passed / len(negatives)


def _faults(validation, path, measured):
    """Return why these images may not choose the threshold for those that are measured: a line each, or none."""
    if len(measured.class_names) != 2:
        count = len(measured.class_names)
        return [f"-threshold_from {path}: with {count} classes there is no single threshold; leave it out"]
    faults = []
    if validation.class_names != measured.class_names:
        theirs, ours = ", ".join(validation.class_names), ", ".join(measured.class_names)
        faults.append(f"-threshold_from {path}: its classes are {theirs}, those of the predictions measured {ours}")
    if validation.split == "test":
        faults.append(f"-threshold_from {path}: is of the test split, which may not choose; predict with -split val")
    elif validation.split is not None and validation.split == measured.split:
        faults.append(
            f"-threshold_from {path}: is of the {validation.split} split, and so are the predictions measured; "
            "measure others"
        )
    shared = set(validation.file_names or ()) & set(measured.file_names or ())
    if shared:
        faults.append(
            f"-threshold_from {path}: {len(shared)} of its images are measured too ({min(shared)}, say); "
            "an image that chose the threshold can't measure it"
        )
    elif validation.split is None and None in (validation.file_names, measured.file_names):
        faults.append(
            f"-threshold_from {path}: names no split, and its images may be the measured ones; "
            "predict with test_torchvision.py -split val"
        )
    for what, theirs, ours in (
        ("fold", validation.fold, measured.fold),
        ("checkpoint", validation.checkpoint, measured.checkpoint),
    ):
        if None not in (theirs, ours) and theirs != ours:
            faults.append(f"-threshold_from {path}: is of {what} {theirs}, the predictions measured of {what} {ours}")
    faults += [
        f"-threshold_from {path}: no image of the class {name}; the threshold needs images of both"
        for index, name in enumerate(validation.class_names)
        if not (validation.labels == index).any()
    ]
    return faults
