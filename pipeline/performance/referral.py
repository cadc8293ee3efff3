"""What is gained by showing the images that a model is least sure of to a person. Imports no torch."""

import numpy as np
from scipy import stats

from pipeline.performance.intervals import exact_interval

SHARE = 0.1  # of the images, for the figures; the picture shows all shares

MEASURES = {"predictive entropy": "predictive_entropy", "mutual information": "mutual_information"}
FIGURES = ("errors referred", "accuracy of the rest", "95% interval", "gain", "p-value")


def referral(predictions):
    """Return ({"Referral": ...}, {figure: reason why it is undefined}) for Predictions that say how unsure they are.

    For each measure of uncertainty the images are sorted by it, the least sure first, and the first SHARE of them,
    halves rounded up and at least one, are referred to a person. The p-value is that of a hypergeometric test: how
    often as many of the wrong predictions, or more, were among as many images drawn at random. "accuracies of the
    rest" has them for all numbers of referred images, from 0; equally unsure ones count by their mean.
    """
    right = predictions.labels == predictions.predictions
    count = len(right)
    referred = max(1, int(SHARE * count + 0.5))
    by, undefined = {}, {}
    for measure, name in MEASURES.items():
        # Below this it is rounding that tells values apart.
        values = np.round(getattr(predictions, name), 12)
        figures, reasons = _figures(right, values, referred)
        by[measure] = {
            **dict.fromkeys(FIGURES),
            **figures,
            "accuracies of the rest": _accuracies_of_the_rest(right, values),
        }
        undefined |= {f"{figure} (referred by {measure})": reason for figure, reason in reasons.items()}
    errors = int((~right).sum())
    return {
        "Referral": {
            "Monte Carlo samples": predictions.sample_count,
            "referred": referred,
            "errors": errors,
            "errors expected at random": errors * referred / count,
            "by": by,
        }
    }, undefined


def _figures(right, values, referred):
    """Return ({figure: value}, {figure: reason}) of referring so many images of the largest values."""
    count, errors = len(right), int((~right).sum())
    order = np.argsort(-values, kind="stable")
    if count == 1:
        return {}, dict.fromkeys(FIGURES, "there is one image only")
    if values[order[referred - 1]] == values[order[referred]]:
        return {}, dict.fromkeys(FIGURES, "images that are referred and images that are not are equally uncertain")
    found = int((~right[order[:referred]]).sum())
    left = count - referred
    rights_left = left - (errors - found)
    figures = {
        "errors referred": found,
        "accuracy of the rest": rights_left / left,
        "95% interval": exact_interval(rights_left, left),
        "gain": rights_left / left - float(right.mean()),
    }
    if not errors:
        return figures, {"p-value": "no image is predicted wrongly"}
    return {**figures, "p-value": float(stats.hypergeom.sf(found - 1, count, errors, referred))}, {}


def _accuracies_of_the_rest(right, values):
    _, group = np.unique(-values, return_inverse=True)
    means = np.bincount(group, weights=right) / np.bincount(group)
    expected = means[np.sort(group)]
    # From the most certain image on: of the last one, of the last two, ...
    return (np.cumsum(expected[::-1]) / np.arange(1, len(right) + 1))[::-1].tolist()
