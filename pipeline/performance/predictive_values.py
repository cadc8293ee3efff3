"""Likelihood ratios, and what a finding means where the class is rarer, or more frequent, than among these images."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from pipeline.errors import UserError
from pipeline.performance.figures import Figure, Z
from pipeline.performance.grouped import design_effect
from pipeline.performance.metrics import NO_IMAGE, NO_OTHER, OneAgainstRest

ADDED = 0.5  # to each count of a ratio of which one is 0: Haldane, Annals of Human Genetics 20 (1956) 309


@dataclass(frozen=True)
class AtPrevalence:
    """The predictive values where so large a fraction of the images is of the class."""

    prevalence: float
    positive: Figure
    negative: Figure


@dataclass(frozen=True)
class PredictiveValues:
    """The likelihood ratios of a class, and the predictive values that follow from them."""

    class_name: str
    positive_ratio: Figure  # LR+
    negative_ratio: Figure  # LR-
    at: list[AtPrevalence]
    adjusted: list[str]  # the ratios, "LR+" or "LR-", of which a count was 0, so that a half was added to each


def predictive_values(predictions, prevalences):
    """Return the PredictiveValues of Predictions of two classes at some prevalences, numbers between 0 and 1.

    By Bayes' theorem the odds of the class after a finding are those before it times the likelihood ratio, and so are
    the limits: PPV = odds LR+ / (1 + odds LR+) and NPV = 1 / (1 + odds LR-), with odds = prevalence / (1 - prevalence).
    With the interval of the ratio as it is here, these are the logit intervals of Mercaldo, Lau and Zhou, Statistics in
    Medicine 26 (2007) 2170. Raises UserError for more than two classes.
    """
    if predictions.positive_class is None:
        raise UserError(
            f"-prevalence: with {len(predictions.class_names)} classes no one of them is positive; leave it out"
        )
    one = OneAgainstRest.of(predictions, predictions.class_names.index(predictions.positive_class))
    positive, adjusted_positive = _likelihood_ratio(one, one.finding)
    negative, adjusted_negative = _likelihood_ratio(one, ~one.finding)
    at = [AtPrevalence(each, _after(positive, each), _rest(_after(negative, each))) for each in prevalences]
    adjusted = [name for name, is_so in (("LR+", adjusted_positive), ("LR-", adjusted_negative)) if is_so]
    return PredictiveValues(predictions.positive_class, positive, negative, at, adjusted)


def _likelihood_ratio(one, outcome):
    """Return the Figure of P(outcome | class) / P(outcome | another class), and whether it is of adjusted counts.

    The interval is that of its logarithm, with the variance 1/a - 1/m + 1/b - 1/n for a of the class's m images and b
    of the n others: Simel, Samsa and Matchar, Journal of Clinical Epidemiology 44 (1991) 763. All four are effective
    numbers, divided by the design effect of the class's images or of the others. Where groups have images of both, what
    they have in common widens it further. Where a or b is 0, a half is added to each of a, b, m - a and n - b.
    """
    masks = (one.truth, ~one.truth)
    if not all(mask.any() for mask in masks):
        return Figure(None, reason=NO_OTHER if one.positives else NO_IMAGE), False
    effects = [design_effect(outcome[mask], one.groups[mask]) for mask in masks]
    counts = np.array([outcome[mask].sum() for mask in masks]) / effects
    totals = np.array([one.positives, one.negatives]) / effects
    adjusted = not counts.all()
    if adjusted:
        counts, totals = counts + ADDED, totals + 2 * ADDED
    variance = (1 / counts - 1 / totals).sum() + (0 if adjusted else _shared_variance(one, outcome))
    logarithm = np.log(counts[0] / totals[0]) - np.log(counts[1] / totals[1])
    half_width = Z * np.sqrt(variance)
    limits = np.exp([logarithm - half_width, logarithm + half_width])
    return Figure(float(np.exp(logarithm)), limits.tolist()), adjusted


def _shared_variance(one, outcome):
    """Return by how much groups with images of both classes increase the variance of the ratio's logarithm; 0 or more.

    It is -2 times the covariance of the logarithms of the two fractions, the sum over groups of the products of what
    the group's images of each class add to them.
    """
    sums = [
        np.bincount(one.groups[mask], outcome[mask] / outcome[mask].sum() - 1 / mask.sum(), one.groups.max() + 1)
        for mask in (one.truth, ~one.truth)
    ]
    return max(-2 * float(sums[0] @ sums[1]), 0.0)


def _after(ratio, prevalence):
    """Return the Figure of the class's probability after a finding with the likelihood ratio, a Figure."""
    if ratio.value is None:
        return ratio
    odds = np.log([ratio.value, *ratio.interval]) + special.logit(prevalence)
    value, *interval = special.expit(odds).tolist()
    return Figure(value, interval)


def _rest(figure):
    if figure.value is None:
        return figure
    return Figure(1 - figure.value, [1 - limit for limit in reversed(figure.interval)])
