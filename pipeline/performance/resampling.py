"""Intervals of figures that have no formula for them: groups of images are drawn again, and the figures with them."""

from dataclasses import dataclass

import numpy as np

from pipeline.performance.figures import Figure
from pipeline.performance.grouped import bootstrap

NO_SPREAD = "resampling the images finds no spread"


@dataclass(frozen=True)
class ResampledIntervals:
    """The intervals by the figure's name; NaN where resampling finds no spread."""

    limits: dict

    def figure(self, name, value):
        """Return the Figure of a value, with its interval or the reason why it has none where it was resampled."""
        if name not in self.limits:
            return Figure(value)
        limits = self.limits[name]
        return Figure(value, reason=NO_SPREAD) if np.isnan(limits).any() else Figure(value, limits.tolist())


def resampled_intervals(predictions, groups, folds):
    """Return the ResampledIntervals of Predictions.

    Of the Brier score and the log loss; for several classes also of the means over classes of specificity, negative
    predictive value and F1, since each class's is of images that the others' are of too. In a resample the mean is over
    the classes that have a value there.
    """
    labels, count = predictions.labels, len(predictions.class_names)
    cells = labels * count + predictions.predictions
    of_truth = predictions.probabilities[np.arange(len(labels)), labels]
    truth = np.eye(count)[labels]
    squares = ((predictions.probabilities - truth) ** 2).sum(axis=1)
    if predictions.positive_class is not None:
        squares = squares / 2
    with np.errstate(divide="ignore"):
        losses = -np.log(of_truth)
    losses[np.isinf(losses)] = np.nan  # the mean is undefined, and so is its interval
    names = ["Brier Score", "Log Loss"]
    if predictions.positive_class is None:
        names += ["Specificity", "Neg Pred Value", "F1"]

    def statistics(times):
        means = [times @ squares / times.sum(), times @ losses / times.sum()]
        if predictions.positive_class is None:
            matrix = np.bincount(cells, weights=times, minlength=count**2).reshape(count, count)
            means += _means_over_classes(matrix)
        return means

    limits = bootstrap(statistics, groups, folds)
    return ResampledIntervals(dict(zip(names, limits, strict=True)))


def _means_over_classes(matrix):
    """Return the means of specificity, negative predictive value and F1 over the classes of a confusion matrix."""
    hits, true, predicted, total = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0), matrix.sum()
    rejected = total - true - predicted + hits  # true negatives
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = rejected / (total - true), rejected / (total - predicted), 2 * hits / (true + predicted)
    return [figure[np.isfinite(figure)].mean() if np.isfinite(figure).any() else np.nan for figure in figures]
