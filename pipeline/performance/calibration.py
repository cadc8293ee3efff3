"""Whether probabilities mean what they say: of images given 0.8, are 80 % of the class?"""

from dataclasses import dataclass

import numpy as np

from pipeline.performance.figures import Figure
from pipeline.performance.grouped import positive_mean, proportion, sizes_of

BINS = 10
RESAMPLES = 500


@dataclass(frozen=True)
class Bin:
    """The images whose predicted probability lies between two limits."""

    lower: float
    upper: float
    mean_probability: float
    observed: Figure  # the fraction for which what was predicted came true


def brier_score(one):
    """Return the mean of (probability of the class - 1 or 0)^2 over images: 0 is perfect, 1 the worst.

    Brier, Monthly Weather Review 78 (1950) 1, for one of the two classes only.
    """
    return positive_mean((one.probability - one.truth) ** 2, one.groups, largest=1)


def multiclass_brier_score(predictions):
    """Return the mean over images of the sum over classes of (probability - 1 or 0)^2: 0 is perfect, 2 the worst.

    Brier, Monthly Weather Review 78 (1950) 1, as published. With two classes it is twice what brier_score gives.
    """
    truth = np.eye(len(predictions.class_names))[predictions.labels]
    deviations = ((predictions.probabilities - truth) ** 2).sum(axis=1)
    return positive_mean(deviations, predictions.group_numbers(), largest=2)


def log_loss(predictions):
    """Return the mean over images of -ln(probability of the true class); infinite, hence undefined, if one is 0."""
    of_truth = predictions.probabilities[np.arange(len(predictions.labels)), predictions.labels]
    if impossible := int((of_truth == 0).sum()):
        where = f"{impossible} of {len(of_truth)} {predictions.unit}s"
        return Figure(None, reason=f"infinite: probability 0 of the true class ({where})")
    return positive_mean(-np.log(of_truth), predictions.group_numbers())


def reliability_bins(outcomes, probabilities, groups):
    """Return the reliability diagram's points: the images by predicted probability in ten Bins of equal width.

    Args:
        outcomes: bool (n,), whether what was predicted came true.
        probabilities: float (n,), the predicted probability that it would.
        groups: int (n,), the group of each image.

    A bin holds lower < probability <= upper (the first one 0 too), as in Guo et al., ICML 2017; empty bins are left
    out.
    """
    of_bin, bins = _bin_numbers(probabilities), []
    for number in np.unique(of_bin):
        inside = of_bin == number
        observed = proportion(outcomes[inside], groups[inside])
        mean = float(probabilities[inside].mean())
        bins.append(Bin(int(number) / BINS, (int(number) + 1) / BINS, mean, observed))
    return bins


def calibration_error(bins):
    """Return the expected calibration error: the mean over images of their bin's |observed - mean probability|.

    `bins` as reliability_bins gives them. Naeini et al., AAAI 2015; Guo et al., ICML 2017.
    """
    gaps = sum(one.observed.total * abs(one.observed.value - one.mean_probability) for one in bins)
    return gaps / sum(one.observed.total for one in bins)


def error_if_calibrated(probabilities, groups):
    """Return [mean, 95th percentile] of the calibration error of a perfectly calibrated model on the same images.

    It is not 0, since the outcomes of a limited number of images are not exactly as frequent as their probabilities
    say. Outcomes are drawn with the given probabilities: the consistency resampling of Broecker and Smith, Weather and
    Forecasting 22 (2007) 651. One random number is drawn for all images of a group, as if they were exactly alike.
    Drawn one by one they would be too regular, and a calibrated model would exceed the percentile in a quarter of cases
    instead of a twentieth.
    """
    (sizes, group), of_bin = sizes_of(groups), _bin_numbers(probabilities)
    random, errors = np.random.RandomState(0), []
    for _ in range(RESAMPLES):
        outcomes = random.random_sample(len(sizes))[group] < probabilities
        errors.append(np.abs(np.bincount(of_bin, weights=outcomes - probabilities)).sum() / len(probabilities))
    return [float(np.mean(errors)), float(np.quantile(errors, 0.95))]


def _bin_numbers(probabilities):
    # k/10 is the same float as the literal 0.3; linspace gives 0.30000000000000004.
    return np.searchsorted(np.arange(1, BINS) / BINS, probabilities, side="left")
