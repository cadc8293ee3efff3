"""Whether acting on a model's findings is worth it: its net benefit over the threshold probability."""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.performance.grouped import bootstrap
from pipeline.performance.metrics import OneAgainstRest

THRESHOLDS = np.arange(1, 100) / 100
FEWEST_DECIDED = 5  # images of the class, and others, that tell how much a net benefit varies


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefits at each of THRESHOLDS, float (99,); that of treating none is 0."""

    model: np.ndarray
    limits: np.ndarray  # of the model's 95 % interval, (99, 2); NaN where too few images decide
    treat_all: np.ndarray
    difference_limits: np.ndarray  # of the 95 % interval of the model's less that of treating all; likewise

    @property
    def difference(self):
        return self.model - self.treat_all


def measure(predictions):
    """Return the DecisionCurve of the positive class of Predictions.

    Its probabilities are cut at each threshold, whatever the predicted classes. Raises UserError for several classes.
    """
    names = predictions.class_names
    if predictions.positive_class is None:
        raise UserError(f"--decision_curve: is of one positive class, and there are {len(names)} classes; leave it out")
    one = OneAgainstRest.of(predictions, names.index(predictions.positive_class))
    treated = one.probability[:, None] >= THRESHOLDS
    by_model, of_all = (_benefit_of_each(one.truth, those) for those in (treated, np.ones_like(treated)))
    return DecisionCurve(
        by_model.mean(axis=0),
        _limits(one, by_model, treated),
        of_all.mean(axis=0),
        _limits(one, by_model - of_all, ~treated),  # which is 0 for all that are treated
    )


def _limits(one, benefits, decided):
    """Return the interval of the mean of `benefits`, float (n, 99), at each threshold, from resampled groups: (99, 2).

    `decided`, bool (n, 99), are the images whose benefits are not 0. Where they are fewer than FEWEST_DECIDED of the
    class, or of others, there is no interval, but NaN: at high thresholds a single false positive weighs heavily, and
    one that is not there cannot be drawn again.
    """
    limits = bootstrap(benefits, one.groups)
    fewest = np.minimum(decided[one.truth].sum(axis=0), decided[~one.truth].sum(axis=0))
    limits[fewest < FEWEST_DECIDED] = np.nan
    return limits


def _benefit_of_each(truth, treated):
    """Return each image's part in the net benefit at each threshold, float (n, 99).

    The net benefit at a threshold probability p is (TP - FP x p / (1 - p)) / n: who treats from p on holds a false
    positive for p / (1 - p) times as bad as a true positive is good. Vickers and Elkin, Medical Decision Making 26
    (2006) 565.
    """
    return treated * np.where(truth[:, None], 1.0, -THRESHOLDS / (1 - THRESHOLDS))
