"""The threshold of a two-class model: chosen on validation images, frozen, applied to others.

The positive class is predicted if its probability is at least the threshold.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from pipeline.errors import UserError, require_none
from pipeline.messages import in_words
from pipeline.performance.figure_text import score
from pipeline.performance.figures import CONFIDENCE, Figure, exact_interval
from pipeline.performance.grouped import design_effect, proportion
from pipeline.performance.metrics import OneAgainstRest, accuracy, sensitivity, specificity

LEVEL = 1 - CONFIDENCE  # of a test for a guaranteed sensitivity


@dataclass(frozen=True)
class Rule:
    """How a threshold is chosen: by Youden's index, or by the highest specificity at a minimum sensitivity."""

    min_sensitivity: float | None = None
    guaranteed: bool = False  # whether tests have to show that the sensitivity is that high

    def __str__(self):
        if self.min_sensitivity is None:
            return "Youden's index"
        text = f"highest specificity at a sensitivity of at least {in_words(self.min_sensitivity)}"
        return f"{text}, with {CONFIDENCE:.0%} confidence (exact tests)" if self.guaranteed else text


@dataclass(frozen=True)
class Threshold:
    """A threshold, how it was chosen, and what it gives where it was chosen."""

    value: float
    rule: str
    file: str
    split: str | None
    fold: int | None  # of the predictions that it is for
    sensitivity: Figure
    specificity: Figure
    accuracy: Figure


def choose_all(parts, pool, rule=None):
    """Choose a Threshold for each of `parts`, Predictions, and one on all of the validation Pool, for new images.

    By Youden's index, the threshold maximizes sensitivity + specificity - 1 (Youden, Cancer 3 (1950) 32). With a
    minimum sensitivity, it maximizes the specificity among those that reach it, or that are shown to: see _shown. Among
    equals, the one of highest sensitivity is taken. Candidates are 0, which calls every image positive, and the points
    midway between neighbouring probabilities.

    Returns the Thresholds of the parts and that of the whole Pool. Raises UserError for more than two classes, if a
    class has no image, and if the guarantee cannot be given.
    """
    rule, count = rule or Rule(), len(pool.everything.class_names)
    if count != 2:
        raise UserError(f"{pool.option} {pool.names}: with {count} classes there is no single threshold; leave it out")
    for_new_images = _choose(pool.everything, pool, rule, None)
    choosers = zip(pool.of_parts, parts, strict=True)
    return [_choose(chooser, pool, rule, part.fold) for chooser, part in choosers], for_new_images


def _choose(validation, pool, rule, fold):
    require_none(
        f"{pool.option} {pool.names}: no {validation.unit} of the class {name}; the threshold needs some of both"
        for index, name in enumerate(validation.class_names)
        if not (validation.labels == index).any()
    )
    one = OneAgainstRest.of_positive(validation)
    thresholds, sensitivities, specificities = _candidates(one.truth, one.probability)
    if rule.min_sensitivity is None:
        # Rounded, since 0.6 + 0.3 and 0.5 + 0.4 should be equal.
        order = np.lexsort((sensitivities, np.round(sensitivities + specificities, 12)))
    else:
        allowed = sensitivities >= rule.min_sensitivity
        if rule.guaranteed:
            allowed = _shown(one, thresholds, rule.min_sensitivity, validation.unit)
        order = np.lexsort((sensitivities, np.where(allowed, specificities, -1)))
    value = float(thresholds[order[-1]])
    chosen = apply(validation, value)
    one = OneAgainstRest.of_positive(chosen)
    return Threshold(
        value=value,
        rule=str(rule),
        file=pool.names,
        split=validation.split,
        fold=fold,
        sensitivity=sensitivity(one),
        specificity=specificity(one),
        accuracy=accuracy(chosen),
    )


def where_chosen(pool, points):
    """Return {name: Figure}, the sensitivity and specificity of the parts' Thresholds on the images that chose them.

    For several folds, the images of all choosers count together. An image that chose for several folds counts for each,
    but in one group, so that the interval is as wide as if it counted once.
    """
    chose = [apply(chooser, point.value) for chooser, point in zip(pool.of_parts, points, strict=True)]
    labels, correct = (np.concatenate([getattr(one, name) for one in chose]) for name in ("labels", "correct"))
    groups = chose[0].group_numbers() if len(chose) == 1 else np.concatenate([one.groups for one in chose])
    positive = labels == chose[0].class_names.index(chose[0].positive_class)
    return {
        name: proportion(correct[among], groups[among])
        for name, among in (("sensitivity", positive), ("specificity", ~positive))
    }


def _shown(one, thresholds, least, unit):
    """Return at which of the ascending thresholds a sensitivity of at least `least` is shown; bool (thresholds,).

    Exact binomial tests at level 0.05 on the positive images (of a OneAgainstRest) decide, from the lowest threshold up
    to the first test that fails. The higher a threshold, the lower its true sensitivity, so that the hypotheses are
    nested and their order is known beforehand: no correction for the number of tests is needed. Fixed sequence testing:
    Maurer, Hothorn and Lehmacher (1995); Angelopoulos et al., Annals of Applied Statistics 19 (2025) 1641. If images
    come in groups, the number is the effective one, as in grouped.proportion.

    Raises UserError if not even the lowest threshold, which misses none, shows it.
    """
    probabilities, groups = one.probability[one.truth], one.groups[one.truth]
    shown, missed = np.zeros(len(thresholds), dtype=bool), -1
    for index, threshold in enumerate(thresholds):
        found = probabilities >= threshold
        if missed != (missed := int((~found).sum())):  # otherwise the test is the same as the one before
            effect = design_effect(found, groups)
            if exact_interval(found.sum() / effect, len(found) / effect, LEVEL)[0] < least:
                break
        shown[index] = True
    if not shown[0]:
        raise UserError(_not_shown(groups, least, unit))
    return shown


def _not_shown(groups, least, unit):
    count, asked = len(groups), in_words(least)
    effective = count / design_effect(np.ones(count), groups)
    start = f"-min_sensitivity {asked} --guaranteed: cannot be shown; with {count} positive validation {unit}s"
    if effective < count:
        start += f", in groups and thus worth {effective:.3g} single ones,"
    start += f" even {count} of {count} shows only {score(exact_interval(effective, effective, LEVEL)[0])}"
    if least == 1:
        return f"{start}, and no number of {unit}s shows 1; ask for less"
    needed = math.ceil(math.log(LEVEL) / math.log(least))
    return f"{start}; {needed} {'single ones ' if effective < count else ''}without a miss are needed for {asked}"


def apply(predictions, threshold):
    """Return the Predictions with the classes that the threshold gives instead of those that they came with."""
    positive = predictions.class_names.index(predictions.positive_class)
    finding = predictions.probabilities[:, positive] >= threshold
    return replace(predictions, predictions=np.where(finding, positive, 1 - positive))


def _candidates(truth, probability):
    """Return thresholds, ascending, with the sensitivity and the specificity of each; bool (n,), float (n,)."""
    values = np.unique(probability)
    middle = (values[:-1] + values[1:]) / 2
    # If no float lies in between, the upper one is taken, which the rule "at least" includes.
    thresholds = np.concatenate([[0.0], np.where(middle > values[:-1], middle, values[1:])])
    positives, negatives = np.sort(probability[truth]), np.sort(probability[~truth])
    missed = np.searchsorted(positives, thresholds, side="left")
    passed = np.searchsorted(negatives, thresholds, side="left")
    return thresholds, (len(positives) - missed) / len(positives), passed / len(negatives)
