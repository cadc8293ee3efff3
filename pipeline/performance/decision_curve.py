"""Whether acting on a model's findings is worth it: its net benefit over the threshold probability."""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.performance.figures import difference_of
from pipeline.performance.grouped import correlations, proportion
from pipeline.performance.metrics import OneAgainstRest

THRESHOLDS = np.arange(1, 100) / 100


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefits at each threshold, float (thresholds,); that of treating none is 0."""

    model: np.ndarray
    limits: np.ndarray  # of the 95 % interval of `model`, (thresholds, 2)
    treat_all: np.ndarray
    difference_limits: np.ndarray  # of the 95 % interval of `difference`, likewise

    @property
    def difference(self):
        return self.model - self.treat_all


def measure(predictions, thresholds=THRESHOLDS):
    """Return the DecisionCurve of the positive class of Predictions.

    Its probabilities are cut at each threshold, whatever the predicted classes. The net benefit at a threshold
    probability p is (TP - FP x p / (1 - p)) / n: someone who treats from p on finds a false positive p / (1 - p) times
    as bad as a true positive is good. Vickers and Elkin, Medical Decision Making 26 (2006) 565. Minus that of treating
    all it is (TN x p / (1 - p) - FN) / n. Raises UserError for more than two classes.
    """
    if predictions.positive_class is None:
        count = len(predictions.class_names)
        raise UserError(f"--decision_curve: needs one positive class, and there are {count} classes; leave it out")
    one = OneAgainstRest.of_positive(predictions)
    odds, model, difference = thresholds / (1 - thresholds), [], []
    for threshold, weight in zip(thresholds, odds, strict=True):
        treated = one.probability >= threshold
        model.append(_balance(one.truth & treated, 1, ~one.truth & treated, weight, one.groups))
        difference.append(_balance(~one.truth & ~treated, weight, one.truth & ~treated, 1, one.groups))
    return DecisionCurve(
        np.array([figure.value for figure in model]),
        np.array([figure.interval for figure in model]),
        one.truth.mean() - (1 - one.truth.mean()) * odds,
        np.array([figure.interval for figure in difference]),
    )


def _balance(gains, gain, losses, loss, groups):
    """Return the Figure of `gain` x the fraction of images that gain - `loss` x the fraction that lose.

    The interval follows from the exact ones of both fractions, so it is not too narrow if hardly any image loses, as at
    high thresholds: resampling cannot draw the one false positive that is not there and would weigh heavily. The
    correlation of the fractions over groups is included if it widens the interval.
    """
    outcomes = np.stack([gains, losses], axis=1)
    together = correlations(outcomes, np.ones_like(outcomes), groups)[0, 1]
    gained = proportion(gains, groups).mapped(lambda fraction: gain * fraction)
    lost = proportion(losses, groups).mapped(lambda fraction: loss * fraction)
    return difference_of(gained, lost, min(float(together), 0.0))
