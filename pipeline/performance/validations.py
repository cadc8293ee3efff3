"""Validation predictions: pooled over folds, and which of them may choose for the images that are measured."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import require_none
from pipeline.performance import folds, temperature
from pipeline.predictions import Predictions


@dataclass(frozen=True)
class Pool:
    """The validation predictions that an option names."""

    option: str
    names: str  # of the files
    everything: Predictions
    of_parts: list[Predictions]  # for each part that is measured, those that may choose for it

    def calibrated(self, fitted):
        """Return the Pool with a FittedTemperature of the same parts applied."""
        values = [fitted.value, *fitted.of_parts]
        everything, *of_parts = temperature.apply([self.everything, *self.of_parts], values)
        return replace(self, everything=everything, of_parts=of_parts)


def pool(validations, parts, option):
    """Return the Pool of `validations`, a list of Predictions, for the `parts` that are measured.

    One file is that of the model measured. Several are those of all folds, and the choice is made on all of them
    together. The images that a fold tests may be validation images of another: for that fold they are left out, and
    so are all images of their groups. No image thus measures what it has chosen.

    Raises UserError, one line per fault, if files do not belong together, or if images would measure what they chose.
    """
    require_none(_fold_faults(validations, parts, option))
    alone, faults = len(validations) == len(parts) == 1, []
    for validation in validations:
        for part in parts:
            same = alone or None in (validation.fold, part.fold) or validation.fold == part.fold
            if same or part is parts[0]:
                faults += _faults(validation, part, f"{option} {validation.path}", same)
    require_none(faults)
    positive = parts[0].positive_class
    everything = folds.pool([replace(one, positive_class=positive) for one in validations], each_image_once=False)
    if everything.groups is None and everything.file_names is not None:
        everything = replace(everything, groups=everything.file_names)  # an image of two folds counts as a group
    of_parts = [everything if alone else _without(everything, part) for part in parts]
    more = f" and {len(validations) - 1} more" if len(validations) > 1 else ""
    return Pool(option, f"{everything.path.name}{more}", everything, of_parts)


def _without(everything, part):
    """Return Predictions without the images of a part and those of their groups."""
    names, groups = set(part.file_names or ()), set(part.groups or ())
    keep = [name not in names for name in everything.file_names or [""] * len(everything.labels)]
    if everything.groups is not None:
        keep = [kept and group not in groups for kept, group in zip(keep, everything.groups, strict=True)]
    return everything.select(np.array(keep))


def _fold_faults(validations, parts, option):
    given = [validation.fold for validation in validations]
    if len(parts) == 1:
        number = parts[0].fold
        if len(validations) == 1 or number is None or number in given:
            return []
        return [f"{option}: none of its files is of fold {number}, which is measured; give that one too"]
    wrong = [part.fold for part in parts if given.count(part.fold) != 1]
    faults = [
        f"{option}: {given.count(fold)} of its files are of fold {fold}; give one for each PREDS" for fold in wrong
    ]
    if len(validations) > len(parts):
        faults.append(f"{option}: {len(validations)} files for {len(parts)} PREDS; give one for each")
    return faults


def _faults(validation, part, file, same_model):
    """Return why these images may not choose for those that are measured, one line per fault."""
    faults = []
    if validation.class_names != part.class_names:
        theirs, ours = ", ".join(validation.class_names), ", ".join(part.class_names)
        faults.append(f"{file}: its classes are {theirs}, but those of the predictions measured are {ours}")
    if validation.split == "test":
        faults.append(f"{file}: is of the test split, which may not choose; predict with -split val")
    elif validation.split is not None and validation.split == part.split:
        faults.append(f"{file}: is of the {part.split} split, and so are the predictions measured; measure others")
    if validation.sample_count != part.sample_count:
        theirs, ours = validation.sample_count or "no", part.sample_count or "none"
        faults.append(f"{file}: has {theirs} Monte Carlo samples, the predictions measured {ours}; predict both alike")
    return faults + (_faults_of_one_model(validation, part, file) if same_model else [])


def _faults_of_one_model(validation, part, file):
    faults = []
    shared = set(validation.file_names or ()) & set(part.file_names or ())
    if shared:
        faults.append(
            f"{file}: {len(shared)} of its {part.unit}s are measured too ({min(shared)}, say); "
            f"{'an image' if part.unit == 'image' else 'a group'} that chose can't measure what it has chosen"
        )
    elif validation.split is None and None in (validation.file_names, part.file_names):
        faults.append(
            f"{file}: names no split, and its images may be the measured ones; "
            "predict with test_torchvision.py -split val"
        )
    others = [
        f"{file}: is of {what} {theirs}, but the predictions measured are of {what} {ours}"
        for what, theirs, ours in (
            ("fold", validation.fold, part.fold),
            ("checkpoint", validation.checkpoint, part.checkpoint),
        )
        if None not in (theirs, ours) and theirs != ours
    ]
    if not others and None not in (validation.weights, part.weights) and validation.weights != part.weights:
        others = [
            f"{file}: is of other weights than the predictions measured: the model was trained again, or further, in "
            "between; predict both again"
        ]
    return faults + others
