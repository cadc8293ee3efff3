"""Whether probabilities mean what they say: of images given 0.8, are 80 % of the class?"""

from dataclasses import dataclass

import numpy as np

from pipeline.performance.figures import Figure, Undefined, proportion

BINS = 10


@dataclass(frozen=True)
class Bin:
    """The images whose predicted probability lies between two limits."""

    lower: float
    upper: float
    mean_probability: float
    observed: Figure  # the fraction for which what was predicted came true


def brier_score(one):
    """Return the mean of (probability of the class - 1 or 0)^2 over images: 0 is perfect, 1 the worst.

    Brier, Monthly Weather Review 78 (1950) 1, summed over one class of the two.
    """
    return Figure(float(np.mean((one.probability - one.truth) ** 2)))


def multiclass_brier_score(labels, probabilities):
    """Return the mean over images of the sum over classes of (probability - 1 or 0)^2: 0 is perfect, 2 the worst.

    Brier, Monthly Weather Review 78 (1950) 1, as published. With two classes it is twice what brier_score gives.
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def log_loss(labels, probabilities):
    """Return the mean of -ln(probability of the true class); infinite, hence undefined, where that is 0.

    `labels` is int (n,), `probabilities` (n, classes).
    """
    of_truth = probabilities[np.arange(len(labels)), labels]
    impossible = int((of_truth == 0).sum())
    if impossible:
        raise Undefined(f"infinite: {impossible} of {len(labels)} images have probability 0 of their true class")
    return float(-np.log(of_truth).mean())


def reliability_bins(outcomes, probabilities):
    """Return the reliability diagram's points: the images by predicted probability in ten Bins of equal width.

    Args:
        outcomes: bool (n,), whether what was predicted came true.
        probabilities: float (n,), the predicted probability of it.

    A bin holds lower < probability <= upper (the first one 0 too), as in Guo et al., ICML 2017; bins without an
    image are left out.
    """
    # k/10 is the same float as the literal 0.3; linspace gives 0.30000000000000004.
    inner_edges = np.arange(1, BINS) / BINS
    of_bin = np.searchsorted(inner_edges, probabilities, side="left")
    bins = []
    for number in np.unique(of_bin):
        inside = of_bin == number
        observed = proportion(int(outcomes[inside].sum()), int(inside.sum()))
        mean = float(probabilities[inside].mean())
        bins.append(Bin(int(number) / BINS, (int(number) + 1) / BINS, mean, observed))
    return bins


def calibration_error(bins):
    """Return the expected calibration error: the mean over images of their bin's |observed - mean probability|.

    `bins` as reliability_bins gives them. Naeini et al., AAAI 2015; Guo et al., ICML 2017.
    """
    gaps = sum(one.observed.total * abs(one.observed.value - one.mean_probability) for one in bins)
    return gaps / sum(one.observed.total for one in bins)
