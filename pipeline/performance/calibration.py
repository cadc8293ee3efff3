"""Whether probabilities mean what they say: of images given 0.8, are 80 % of the class? Imports no torch."""

import numpy as np

from pipeline.performance.intervals import exact_interval

BINS = 10


def reliability_bins(outcomes, probabilities):
    """Return the reliability diagram's points: the images by predicted probability in ten bins of equal width.

    Args:
        outcomes: bool (n,), whether what was predicted came true.
        probabilities: float (n,), the predicted probability of it.

    A bin holds lower < probability <= upper (the first one 0 too), as in Guo et al., ICML 2017; bins without an
    image are left out. Each is a dict of "from", "to", "n", "mean probability", "observed share" and the exact
    interval of that share.
    """
    # k/10 is the same float as the literal 0.3; linspace gives 0.30000000000000004.
    inner_edges = np.arange(1, BINS) / BINS
    of_bin = np.searchsorted(inner_edges, probabilities, side="left")
    bins = []
    for number in np.unique(of_bin):
        inside = of_bin == number
        count, happened = int(inside.sum()), int(outcomes[inside].sum())
        bins.append(
            {
                "from": int(number) / BINS,
                "to": (int(number) + 1) / BINS,
                "n": count,
                "mean probability": float(probabilities[inside].mean()),
                "observed share": happened / count,
                "observed share 95% interval": exact_interval(happened, count),
            }
        )
    return bins


def calibration_error(bins):
    """Return the expected calibration error: the mean over images of their bin's |observed share - mean probability|.

    `bins` as reliability_bins gives them. Naeini et al., AAAI 2015; Guo et al., ICML 2017.
    """
    gaps = sum(one["n"] * abs(one["observed share"] - one["mean probability"]) for one in bins)
    return gaps / sum(one["n"] for one in bins)
