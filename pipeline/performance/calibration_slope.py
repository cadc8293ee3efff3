"""Calibration intercept and slope: the logistic regression of what came true on the logit of its probability.

    logit P(the image is of the class) = intercept + slope x logit(predicted probability)

Cox, Biometrika 45 (1958) 562; Van Calster et al., Journal of Clinical Epidemiology 74 (2016) 167 and BMC Medicine 17
(2019) 230. A calibrated model has the slope 1 and the intercept 0. The slope is that of the regression; below 1 the
probabilities are too extreme. The intercept, "calibration in the large", is that of the regression with the slope fixed
at 1; above 0 the probabilities are too low on the whole.

`truth` is bool (n,), whether the image is of the class; `logits`, `groups` and `folds` are (n,).
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from pipeline.performance.figures import Figure, Undefined, Z
from pipeline.performance.grouped import FEWEST_GROUPS, design_effect
from pipeline.performance.roc import BOTH

DOUBLINGS = 60  # of a step, before the value sought is taken as infinite
EQUAL = "all probabilities are the same"
FEW_GROUPS = f"the images come in fewer than {FEWEST_GROUPS} groups"
ONE_GROUP = "in a fold, all images of the class or all others are of one group"
SEPARATED = "the probabilities separate the classes perfectly, and the slope is infinite"


def logits_of(predictions, index):
    """Return the logits of the probabilities of the class with this index in Predictions, float (n,).

    Each is divided by the sum of the others, since 1 - p is rounded to 0 long before they are. Raises Undefined if a
    probability is exactly 0 or 1.
    """
    probabilities = predictions.probabilities
    own, others = probabilities[:, index], np.delete(probabilities, index, axis=1).sum(axis=1)
    if infinite := int(((own == 0) | (others == 0)).sum()):
        where = f"{infinite} of {len(own)} {predictions.unit}s"
        raise Undefined(f"a probability of exactly 0 or 1, whose logit is infinite ({where})")
    return np.log(own) - np.log(others)


def intercept_and_slope(predictions, index):
    """Return the Figures of the calibration intercept and slope of the class with this index in Predictions."""
    truth, groups, folds = predictions.labels == index, predictions.group_numbers(), predictions.fold_numbers()
    try:
        logits = logits_of(predictions, index)
        if truth.all() or not truth.any():
            raise Undefined(BOTH)
    except Undefined as reason:
        return [Figure(None, reason=str(reason))] * 2
    return intercept(truth, logits, groups), slope(truth, logits, groups, folds)


def intercept(truth, logits, groups):
    """Return the Figure of the calibration intercept, one for all images of all folds.

    The interval is that of the profile likelihood, as R's confint gives it for glm(truth ~ offset(logits)), widened if
    images come in groups or the slope is not 1: see _dispersion.
    """
    best = _intercept(truth, logits)
    chance = special.expit(best + logits)
    dispersion = _dispersion(truth - chance, chance @ (1 - chance), groups)
    return Figure(best, _interval(lambda value: _log_likelihood(truth, value + logits), best, 1.0, dispersion))


def slope(truth, logits, groups, folds):
    """Return the Figure of the calibration slope, one for all folds, each of which has an intercept of its own.

    Folds are different models: a shift of one against the others must not be taken for a slope. Folds with images of
    only one class say nothing about it. For one model, slope and interval are those of the profile likelihood, as R's
    glm and confint give them; for several, those of the conditional likelihood, as R's clogit gives them, which _Strata
    approximates. Undefined if no fold has images of both classes with different probabilities, or if a threshold
    separates the classes in each fold that has.

    The interval is widened for groups as in _dispersion, and at least by the design effect of the logits within each
    class: if few images are wrong, their few groups cannot tell how alike images of a group are, but the logits can.
    There is no interval, as it would be far too narrow, if a class in one of several folds comes in a single group, or
    the images of one model come in fewer than FEWEST_GROUPS.
    """
    strata = _Strata.of(truth, logits, folds)
    try:
        strata.require_finite_slope()
        step = 1 / logits.std()
        best = _root(lambda value: strata.scores(value)[0].sum(), step)
        if len(strata.masks) > 1:  # its maximum lies between 0 and that of the likelihood
            best = _highest(strata.log_likelihood, sorted((0.0, best)))
        if reason := strata.lack_of_groups(groups, len(np.unique(folds))):
            return Figure(best, reason=reason)
        scores, information = strata.scores(best)
        dispersion = max(_dispersion(scores, information, groups), design_effect(strata.deviations(), groups))
        return Figure(best, _interval(strata.log_likelihood, best, step, dispersion))
    except Undefined as reason:
        return Figure(None, reason=str(reason))


@dataclass(frozen=True)
class _Strata:
    """The folds that say something about the slope."""

    truth: np.ndarray
    logits: np.ndarray
    masks: list  # bool (n,), the images of each fold

    @classmethod
    def of(cls, truth, logits, folds):
        masks = [folds == fold for fold in np.unique(folds)]
        both = [mask for mask in masks if truth[mask].any() and not truth[mask].all() and np.ptp(logits[mask]) > 0]
        return cls(truth, logits, both)

    def lack_of_groups(self, groups, fold_count):
        """Return why there are too few groups for an interval; "" if there are enough, or images are single."""
        group_count = len(np.unique(groups))
        if group_count == len(groups):
            return ""
        if fold_count == 1:
            return FEW_GROUPS if group_count < FEWEST_GROUPS else ""
        parts = [groups[mask & of] for mask in self.masks for of in (self.truth, ~self.truth)]
        return ONE_GROUP if any(len(np.unique(part)) < 2 for part in parts) else ""

    def require_finite_slope(self):
        """Raise Undefined if the likelihood does not depend on the slope, or grows with it without end."""
        if not self.masks:
            raise Undefined(EQUAL)
        for sign, reason in ((1, SEPARATED), (-1, f"{SEPARATED}: they rank images the wrong way round")):
            if all(
                (sign * self.logits[mask & self.truth]).min() >= (sign * self.logits[mask & ~self.truth]).max()
                for mask in self.masks
            ):
                raise Undefined(reason)

    def log_likelihood(self, value):
        """Return the profile log-likelihood of a slope; for several folds the modified one.

        It adds half the logarithm of the information on each intercept, and so approximates the conditional likelihood,
        free of intercepts: Barndorff-Nielsen and Cox, Journal of the Royal Statistical Society B 41 (1979) 279.
        """
        total = 0.0
        for mask in self.masks:
            fitted = _fitted(self.truth[mask], value * self.logits[mask])
            total += _log_likelihood(self.truth[mask], fitted)
            if len(self.masks) > 1:
                total += np.log(max(_weights(fitted).sum(), np.finfo(float).tiny)) / 2
        return total

    def scores(self, value):
        """Return each image's part in the derivative of the profile log-likelihood, and the information on the slope.

        Logits are centred in each fold, so that an error in its intercept does not matter.
        """
        scores, information = np.zeros(len(self.truth)), 0.0
        for mask in self.masks:
            logits = self.logits[mask]
            fitted = _fitted(self.truth[mask], value * logits)
            weights = _weights(fitted)
            centred = logits - (weights @ logits / weights.sum() if weights.sum() > 0 else logits.mean())
            scores[mask] = (self.truth[mask] - special.expit(fitted)) * centred
            information += weights @ centred**2
        return scores, information

    def deviations(self):
        """Return the logits minus their mean over the image's class and fold, float (n,)."""
        deviations = np.zeros(len(self.truth))
        for mask in self.masks:
            for of_class in (mask & self.truth, mask & ~self.truth):
                deviations[of_class] = self.logits[of_class] - self.logits[of_class].mean()
        return deviations


def _intercept(truth, logits):
    """Return the intercept of highest likelihood with the offsets `logits`: mean probability and frequency agree."""
    mean = special.logit(truth.mean())
    limits = mean - logits.max() - 1, mean - logits.min() + 1
    return optimize.brentq(lambda value: (truth - special.expit(value + logits)).sum(), *limits, maxiter=1000)


def _fitted(truth, logits):
    return _intercept(truth, logits) + logits


def _weights(logits):
    return special.expit(logits) * special.expit(-logits)


def _log_likelihood(truth, logits):
    return -np.logaddexp(0, np.where(truth, -logits, logits)).sum()


def _dispersion(scores, information, groups):
    """Return the variance of the sum of `scores`, float (n,), divided by `information`, their variance in the model.

    That of single images, but at least 1, times the design effect of their groups: the sandwich of Huber (1967)
    with clusters. The likelihood ratio is divided by it: Rotnitzky and Jewell, Biometrika 77 (1990) 485.
    """
    single = float(scores @ scores) / information if information > 0 else 1.0
    return max(1.0, single) * design_effect(scores, groups)


def _interval(log_likelihood, best, step, dispersion):
    """Return the values at which twice the log-likelihood is within z^2 x dispersion of that of `best`."""
    highest = log_likelihood(best)

    def excess(value):
        return 2 * (highest - log_likelihood(value)) - Z**2 * dispersion

    return [_beyond(excess, best, -step), _beyond(excess, best, step)]


def _highest(function, bounds):
    width = bounds[1] - bounds[0]
    found = optimize.minimize_scalar(
        lambda value: -function(value), bounds=bounds, method="bounded", options={"xatol": 1e-8 * width}
    )
    return float(found.x)


def _beyond(excess, start, step):
    """Return where a function that is below 0 at `start` and grows in the direction of `step` is 0."""
    for _ in range(DOUBLINGS):
        if excess(start + step) > 0:
            return float(optimize.brentq(excess, *sorted((start, start + step))))
        step *= 2
    raise Undefined(SEPARATED)


def _root(falling, step):
    """Return where a falling function is 0."""
    return _beyond(falling, 0.0, -step) if falling(0.0) < 0 else _beyond(lambda value: -falling(value), 0.0, step)
