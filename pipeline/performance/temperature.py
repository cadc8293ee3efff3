"""Calibrated probabilities: one temperature, fitted on validation predictions, judged on other images."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from pipeline.errors import UserError
from pipeline.operating_point import SMALLEST, calibrated

BOUNDS = (1 / 20, 20)  # of the temperature
# Below these a temperature costs more than it brings: benchmarks/operating_point.py, docs/using_a_model.md.
FEWEST_IMAGES, FEWEST_ERRORS = 100, 10


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
