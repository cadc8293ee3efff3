"""Two models on the same images: the paired differences in accuracy and in ROC-AUC."""

from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import UserError, require_none
from pipeline.performance.figures import Figure, Undefined, Z, around, difference_of
from pipeline.performance.grouped import design_effect, sign_flip_test
from pipeline.performance.metrics import OneAgainstRest
from pipeline.performance.roc import area_figure, correlation, curves_of_folds, paired_difference

ROUNDING = 1e-9  # relative, of probabilities
OTHER_FOLDS = "the other model was tested on other folds of the images: the areas rank different images"


@dataclass(frozen=True)
class AreaComparison:
    """The areas under the ROC curves of one class, each a mean over folds, with the paired test of their difference."""

    class_name: str
    here: Figure
    there: Figure
    difference: Figure
    delong: Figure  # the same with DeLong's interval, by groups
    p_value: Figure  # DeLong's, likewise


@dataclass(frozen=True)
class Comparison:
    """A model ("here") against another one ("there"); every difference is here minus there."""

    checkpoint: str | None  # of the other model
    count: int  # images
    here: float  # accuracy
    there: float
    difference: Figure
    only_here: int  # images that only the first model classified correctly
    only_there: int
    p_value: float  # exact McNemar test, by groups if the images come in groups
    areas: list[AreaComparison]  # of the positive class; of each against the rest for more than two


def compare(measured, other):
    """Return the Comparison of `measured` with `other`, both Predictions, whose images are in the same order.

    Accuracies are compared image by image, whichever fold tested it. Areas rank images, and only those of one model are
    on one scale: if `other` was split differently, so that several of its models tested a fold of `measured`, each area
    is that of its own folds, and their difference has no interval.
    """
    here, there = measured.correct, other.correct
    count, only_here, only_there = len(here), int((here & ~there).sum()), int((~here & there).sum())
    differences, groups = here.astype(int) - there, measured.group_numbers()
    interval = paired_difference_interval(only_here, only_there, count, design_effect(differences, groups))
    return Comparison(
        other.checkpoint,
        count,
        float(here.mean()),
        float(there.mean()),
        Figure((only_here - only_there) / count, interval),
        only_here,
        only_there,
        sign_flip_test(differences, groups),
        [_compare_areas(name, ours, other) for name, ours in OneAgainstRest.shown(measured).items()],
    )


def matched(measured, other):
    """Return `other` with its images in the order of `measured`, matched by file name.

    They are matched by position if one of the two has no file names. `measured` are the predictions as they were read,
    before any threshold or temperature. Raises UserError, one line per fault, for other classes, images that only one
    of the two has, labels that differ, groups of the same name with other images, and predictions of the same model,
    which leave nothing to compare.
    """
    place = f"-compare {other.path}"
    if other.class_names != measured.class_names:
        theirs, ours = ", ".join(other.class_names), ", ".join(measured.class_names)
        raise UserError(f"{place}: its classes are {theirs}, but those of the predictions measured are {ours}")
    names, order = _names_and_order(measured, other, place)
    other = replace(other.select(order), file_names=measured.file_names)
    faults = [
        f"{place}: {names[index]} has the label {other.labels[index]}, but {measured.labels[index]} in the predictions "
        "measured"
        for index in np.flatnonzero(other.labels != measured.labels)
    ]
    if measured.members is not None:
        faults += [
            f"{place}: {name} has other images there; compare predictions of the same split"
            for name, theirs, ours in zip(names, other.members, measured.members, strict=True)
            if set(theirs) != set(ours)
        ]
    require_none(faults)
    # The last digits of a group's mean depend on the order of the images in the file.
    alike = np.allclose(other.probabilities, measured.probabilities, rtol=ROUNDING, atol=0)
    if alike and np.array_equal(other.predictions, measured.predictions):
        raise UserError(f"{place}: has the same probabilities of every image; give those of another model")
    return other


def _names_and_order(measured, other, place):
    """Return the names of the images measured, for messages, and the position of each in `other`, int (n,)."""
    count, theirs = len(measured.labels), len(other.labels)
    if None not in (measured.file_names, other.file_names):
        names, known = measured.file_names, set(measured.file_names)
        position = {name: index for index, name in enumerate(other.file_names)}
        faults = [f"{place}: has no prediction for {name}, which is measured" for name in names if name not in position]
        faults += [f"{place}: predicts {name}, which is not measured" for name in position if name not in known]
        require_none(faults)
        return names, np.array([position[name] for name in names])
    if theirs != count:
        raise UserError(f"{place}: has {theirs} images, {count} are measured; compare predictions of the same images")
    return [f"image {number}" for number in range(count)], np.arange(count)


def paired_difference_interval(only_first, only_second, count, effect=1.0):
    """Return the interval of the difference of two proportions of the same `count` images, within -1 and 1.

    Adjusted Wald interval with one image added to each kind of discordant pair: Bonett and Price, Journal of
    Educational and Behavioral Statistics 37 (2012) 479. `only_first` counts the images that only the first classified
    correctly, and `only_second` likewise; all counts are divided by the design effect.
    """
    only_first, only_second, count = only_first / effect, only_second / effect, count / effect
    first, second = (only_first + 1) / (count + 2), (only_second + 1) / (count + 2)
    return around(first - second, Z * np.sqrt((first + second - (first - second) ** 2) / (count + 2)))


def _compare_areas(name, ours, other):
    """Return the AreaComparison of a class: `ours`, a OneAgainstRest, and the other model's Predictions.

    The interval of the difference follows from those of both areas and their correlation: Zou and Yue, Statistics in
    Medicine 32 (2013) 5077. DeLong's takes an area of 1 as certain, since its variance is 0.
    """
    comparable = _tested_by_one_model(ours.folds, other.fold_numbers())
    folds = ours.folds if comparable else other.fold_numbers()
    theirs = replace(ours, probability=other.probabilities[:, other.class_names.index(name)], folds=folds)
    here, there = area_figure([ours]), area_figure([theirs])
    try:
        if not comparable:
            raise Undefined(OTHER_FOLDS)
        curves = curves_of_folds(ours), curves_of_folds(theirs)
        _, interval, p_value = paired_difference(*curves)
    except Undefined as undefined:
        value = None if None in (here.value, there.value) else here.value - there.value
        difference, undefined_p = Figure(value, reason=str(undefined)), Figure(None, reason=str(undefined))
        return AreaComparison(name, here, there, difference, difference, undefined_p)
    difference = difference_of(here, there, correlation(*curves))
    return AreaComparison(name, here, there, difference, Figure(difference.value, interval), Figure(p_value))


def _tested_by_one_model(folds, other_folds):
    """Tell whether the images of each fold are all in a single one of the other folds; both int (n,)."""
    return len(set(zip(folds.tolist(), other_folds.tolist(), strict=True))) == len(set(folds.tolist()))
