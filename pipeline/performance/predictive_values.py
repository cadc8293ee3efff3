"""Likelihood ratios, and what a finding means if the class is rarer, or more frequent, than among these images."""

import math
from dataclasses import dataclass

from pipeline.errors import UserError
from pipeline.performance.figures import Figure
from pipeline.performance.metrics import ALWAYS, NEVER, OneAgainstRest, one_sided

NO_FALSE_POSITIVE, NO_TRUE_NEGATIVE = "infinite: no false positive", "infinite: no true negative"


@dataclass(frozen=True)
class AtPrevalence:
    """The predictive values if the class has this prevalence."""

    prevalence: float
    positive: Figure
    negative: Figure


@dataclass(frozen=True)
class PredictiveValues:
    """The likelihood ratios of a class, and the predictive values that follow from them.

    A ratio may be infinite, as may the upper limit of its interval.
    """

    class_name: str
    positive_ratio: Figure  # LR+
    negative_ratio: Figure  # LR-
    at: list[AtPrevalence]


def predictive_values(predictions, prevalences):
    """Return the PredictiveValues of Predictions of two classes at some prevalences, numbers between 0 and 1.

    By Bayes' theorem, the odds of the class after a finding are those before it times the likelihood ratio; likewise
    the limits. PPV = odds LR+ / (1 + odds LR+) and NPV = 1 / (1 + odds LR-), with odds = prevalence / (1 - prevalence).
    Raises UserError for more than two classes.
    """
    if predictions.positive_class is None:
        count = len(predictions.class_names)
        raise UserError(f"-prevalence: with {count} classes, no single one is positive; leave it out")
    one = OneAgainstRest.of_positive(predictions)
    positive = _likelihood_ratio(one, one.finding, NEVER, NO_FALSE_POSITIVE)
    negative = _likelihood_ratio(one, ~one.finding, ALWAYS, NO_TRUE_NEGATIVE)
    at = [_at(prevalence, positive, negative) for prevalence in prevalences]
    return PredictiveValues(predictions.positive_class, positive, negative, at)


def _at(prevalence, positive_ratio, negative_ratio):
    odds = prevalence / (1 - prevalence)

    def chance(ratio):
        return 1.0 if ratio == math.inf else odds * ratio / (1 + odds * ratio)

    negative = negative_ratio.mapped(lambda ratio: 1 - chance(ratio))
    return AtPrevalence(prevalence, positive_ratio.mapped(chance), negative)


def _likelihood_ratio(one, outcome, if_never, if_infinite):
    """Return the Figure of P(outcome | class) / P(outcome | another class), `outcome` being bool (n,).

    The interval follows from those of the two fractions: see ratio_interval. Undefined if no image has the outcome.
    """
    if reason := one_sided(one) or ("" if outcome.any() else if_never):
        return Figure(None, reason=reason)
    above, below = one.fraction(outcome, one.truth), one.fraction(outcome, ~one.truth)
    # A correlation above 0 would make the interval shorter, and is not known well enough for that.
    interval = ratio_interval(above, below, min(float(one.correlations(outcome, outcome)[0, 1]), 0.0))
    if below.value == 0:
        return Figure(math.inf, interval, reason=if_infinite)
    return Figure(above.value / below.value, interval)


def ratio_interval(above, below, correlation=0.0):
    """Return the interval of the ratio of two Figures from 0 to 1, not both 0, from their own intervals.

    It recovers the variance of each on either side from its interval. With d = above - its lower limit, u = the upper
    limit of below - below and the correlation r, the lower limit L is where
    (above - L below)^2 = d^2 + (L u)^2 - 2 r d L u; the upper limit is the inverse of that of below / above. Unlike the
    interval of the logarithm, it allows counts of 0, and has a width if all images have the outcome. MOVER-R: Donner
    and Zou, Statistical Methods in Medical Research 21 (2012) 347, equation 9; R's pairwiseCI::MOVERR.
    """
    highest = _lower_limit(below, above, correlation)
    return [_lower_limit(above, below, correlation), 1 / highest if highest > 0 else math.inf]


def _lower_limit(above, below, correlation):
    down, up = above.value - above.interval[0], below.interval[1] - below.value
    product = above.value * below.value - correlation * down * up
    # L^2 (below^2 - up^2) - 2 L product + above^2 - down^2 = 0; written so that below = up does not divide by 0.
    left = above.value**2 - down**2
    root = math.sqrt(max(product**2 - (below.value**2 - up**2) * left, 0))
    return left / (product + root) if left > 0 else 0.0
