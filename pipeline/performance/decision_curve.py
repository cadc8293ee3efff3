"""Whether acting on a model's findings is worth it: its net benefit over the threshold probability."""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.performance.grouped import bootstrap
from pipeline.performance.metrics import OneAgainstRest

THRESHOLDS = np.arange(1, 100) / 100
FEWEST_TREATED = 5  # images of the class, and others, that tell how much the net benefit varies


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefits at each of THRESHOLDS, float (99,); that of treating none is 0."""

    model: np.ndarray
    limits: np.ndarray  # of the model's 95 % interval, (99, 2); NaN where too few images decide
    treat_all: np.ndarray

    @property
    def intervals(self):
        """The interval [lower, upper] at each threshold, or None."""
        return [None if np.isnan(pair).any() else pair.tolist() for pair in self.limits]


def measure(predictions):
    """Return the DecisionCurve of the positive class of Predictions.

    Its probabilities are cut at each threshold, whatever the predicted classes; the interval is of resampled groups. It
    is missing where fewer than FEWEST_TREATED images of the class, or of others, are treated: at high thresholds a
    single false positive weighs heavily, and one that is not there cannot be drawn again. Raises UserError for several
    classes.
    """
    names = predictions.class_names
    if predictions.positive_class is None:
        raise UserError(f"--decision_curve: is of one positive class, and there are {len(names)} classes; leave it out")
    one = OneAgainstRest.of(predictions, names.index(predictions.positive_class))
    treated = one.probability[:, None] >= THRESHOLDS
    each = _benefit_of_each(one.truth, treated)
    model = each.mean(axis=0)
    limits = bootstrap(lambda times: times @ each / times.sum(), one.groups, one.folds)
    fewest = np.minimum(treated[one.truth].sum(axis=0), treated[~one.truth].sum(axis=0))
    limits[fewest < FEWEST_TREATED] = np.nan
    return DecisionCurve(model, limits, _benefit_of_each(one.truth, np.ones_like(each)).mean(axis=0))


def _benefit_of_each(truth, treated):
    """Return each image's part in the net benefit at each threshold, float (n, 99).

    The net benefit at a threshold probability p is (TP - FP x p / (1 - p)) / n: who treats from p on holds a false
    positive for p / (1 - p) times as bad as a true positive is good. Vickers and Elkin, Medical Decision Making 26
    (2006) 565.
    """
    return treated * np.where(truth[:, None], 1.0, -THRESHOLDS / (1 - THRESHOLDS))
