"""Calibrated probabilities: one temperature, fitted on validation predictions, judged on other images."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from pipeline.errors import UserError
from pipeline.messages import counted
from pipeline.operating_point import SMALLEST, calibrated
from pipeline.performance.calibration import log_loss
from pipeline.performance.figures import Figure
from pipeline.performance.grouped import bootstrap

BOUNDS = (1 / 20, 20)  # of the temperature
# Below these a temperature costs more than it brings: benchmarks/operating_point.py, docs/using_a_model.md.
FEWEST_IMAGES, FEWEST_ERRORS = 200, 10


@dataclass(frozen=True)
class FittedTemperature:
    """The temperature fitted on all validation predictions, and those that calibrate the parts measured."""

    value: float
    of_parts: list  # fitted on the validation predictions that may choose for each part
    file: str
    images: int
    errors: int  # of the images


def apply(parts, temperatures):
    """Return the parts, a list of Predictions, with their probabilities calibrated, each by its temperature."""
    return [
        replace(part, probabilities=calibrated(part.probabilities, value))
        for part, value in zip(parts, temperatures, strict=True)
    ]


def choose(pool):
    """Return the FittedTemperature that a validation Pool gives.

    Raises UserError if the images, or the errors among them, are too few for a temperature.
    """
    choosers = [pool.everything, *pool.of_parts]
    for chooser in choosers:
        count, errors = len(chooser.labels), _errors(chooser)
        if count < FEWEST_IMAGES or errors < FEWEST_ERRORS:
            way_out = "leave it out" if len(pool.of_parts) > 1 else "give the predictions of all folds, or leave it out"
            less = "" if count == len(pool.everything.labels) else " are left for a fold, without those it tests"
            raise UserError(
                f"{pool.option} {pool.names}: {counted(count, chooser.unit)} with {counted(errors, 'error')}{less}; "
                f"below {FEWEST_IMAGES} {chooser.unit}s or {FEWEST_ERRORS} errors a temperature costs more than it "
                f"brings; {way_out}"
            )
    value, *of_parts = (fit(chooser.labels, chooser.probabilities) for chooser in choosers)
    return FittedTemperature(value, of_parts, pool.names, len(pool.everything.labels), _errors(pool.everything))


def change_in_log_loss(before, after):
    """Return the Figure of the log loss of Predictions `after` minus `before`, on the same images: below 0 is better.

    The interval is that of resampling whole groups of images. Undefined if one of the two is infinite.
    """
    for each in map(log_loss, (before, after)):
        if each.value is None:
            return each
    rows = np.arange(len(before.labels))
    losses_before, losses_after = (-np.log(one.probabilities[rows, one.labels]) for one in (before, after))
    differences = losses_after - losses_before
    interval = bootstrap(differences, before.group_numbers())
    return Figure(float(differences.mean()), interval, reason="" if interval else "it does not vary between resamples")


def fit(labels, probabilities):
    """Return the temperature at which the log loss of calibrated probabilities is lowest, within BOUNDS.

    `labels` is int (n,), `probabilities` float (n, classes). The log loss is convex in 1 / temperature, so that there
    is one minimum. Guo et al., ICML 2017; scikit-learn's CalibratedClassifierCV(method="temperature").
    """
    logits = np.log(np.maximum(probabilities, SMALLEST))
    of_truth = logits[np.arange(len(labels)), labels]

    def loss(log_inverse):
        inverse = np.exp(log_inverse)
        return float((logsumexp(inverse * logits, axis=1) - inverse * of_truth).mean())

    limits = sorted(-np.log(BOUNDS))
    return float(np.exp(-minimize_scalar(loss, bounds=limits, method="bounded").x))


def _errors(predictions):
    return int((predictions.probabilities.argmax(axis=1) != predictions.labels).sum())
