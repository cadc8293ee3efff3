"""The last layer of a pretrained model, fitted to features of the images by logistic regression."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from torch import nn

# scikit-learn's C, the inverse of the L2 penalty; 1,280 standardized features and few images need a strong one.
STRENGTHS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
USUAL_STRENGTH = 0.01  # if there are too few images to choose one
INNER_FOLDS = 5


@dataclass(frozen=True)
class Head:
    """A linear layer: logits are features @ weights.T + biases."""

    weights: np.ndarray  # float64 (classes, features)
    biases: np.ndarray  # float64 (classes,)
    strength: float  # scikit-learn's C that it was fitted with

    def logits(self, features):
        return features @ self.weights.T + self.biases


def fit_head(features, labels, groups, views=(), balanced=False, bias=True, seed=0):
    """Fit a Head by multinomial logistic regression on standardized features; its weights undo the standardization.

    The L2 penalty is the one with the lowest log loss in a cross-validation within these images.

    Args:
        features: float array (n, features).
        labels: class indices (n,); each class has an image.
        groups: n texts; the images of a group stay together in the cross-validation.
        views: features of other views of the same images, to which the Head is fitted too.
        balanced: whether images of rare classes count more.
        bias: whether the layer has one.
        seed: random seed of the folds.
    """
    features = np.asarray(features, dtype=np.float64)
    class_weight = "balanced" if balanced else None
    losses = _held_out_losses(features, labels, groups, class_weight, bias, seed)
    strength = USUAL_STRENGTH if losses is None else STRENGTHS[int(losses.argmin())]
    rows = np.concatenate([features, *views])
    # Each image counts once, however many rows it has.
    (fitted,) = _fits(rows, np.tile(labels, 1 + len(views)), [strength / (1 + len(views))], class_weight, bias)
    return replace(fitted, strength=strength)


def evaluate(head, features, labels):
    """Return {"loss": ..., "accuracy": ...} of a Head, means over images."""
    logits = head.logits(features)
    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return {"loss": float(losses.mean()), "accuracy": float((logits.argmax(axis=1) == labels).mean())}


def put_into(layer, head, features):
    """Give the last layer of a model, linear or a convolution of one pixel, the weights of a Head.

    The convolution is SqueezeNet's, which is followed by a ReLU. Raising all biases equally changes no probability, so
    they are raised until the ReLU cuts nothing off for the features that the Head was fitted to.
    """
    biases = head.biases
    if isinstance(layer, nn.Conv2d):
        biases = biases + 10 + 4 * np.abs(head.logits(features)).max()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weights).view_as(layer.weight))
        if layer.bias is not None:
            layer.bias.copy_(torch.from_numpy(biases))


def _held_out_losses(features, labels, groups, class_weight, bias, seed):
    """Return the log loss of each of STRENGTHS on held-out images; None if a class has too few groups for that."""
    counts = [len({group for group, of in zip(groups, labels, strict=True) if of == label}) for label in set(labels)]
    if min(counts) < 2:
        return None
    folds = StratifiedGroupKFold(min(INNER_FOLDS, *counts), shuffle=True, random_state=seed)
    losses = np.zeros(len(STRENGTHS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds
        parts = list(folds.split(features, labels, groups))
    for train, held_out in parts:
        if len(held_out) == 0 or set(labels[train]) != set(labels):
            continue  # groups that hold most of a class
        fits = _fits(features[train], labels[train], STRENGTHS, class_weight, bias)
        for number, head in enumerate(fits):
            losses[number] += evaluate(head, features[held_out], labels[held_out])["loss"] * len(held_out)
    return losses if losses.any() else None


def _fits(features, labels, strengths, class_weight, bias):
    """Yield the Head of each strength.

    If there are fewer images than features, the regression is on rotated features: with an L2 penalty, only as many
    directions matter as there are images, and the others cost time.
    """
    scaler = StandardScaler(with_mean=bias).fit(features)
    standardized = scaler.transform(features).astype(np.float32)  # twice as fast
    rotation = None
    if len(features) < features.shape[1]:
        _, _, rotation = np.linalg.svd(standardized, full_matrices=False)
        standardized = standardized @ rotation.T
    model = LogisticRegression(fit_intercept=bias, class_weight=class_weight, warm_start=True, max_iter=1000, tol=1e-3)
    for strength in strengths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # it is near the optimum anyway
            model.set_params(C=strength).fit(standardized, labels)
        coefficients = model.coef_.astype(np.float64)
        weights = coefficients if rotation is None else coefficients @ rotation
        biases = np.broadcast_to(model.intercept_, len(weights))
        if len(weights) == 1:  # of two classes: the second gets half of the score, the first minus half
            weights, biases = np.concatenate([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
        weights = weights / scaler.scale_
        yield Head(weights, biases - weights @ scaler.mean_ if bias else biases, strength)
