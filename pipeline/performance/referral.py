"""What is gained by showing the images that a model is least sure of to a person. Imports no torch."""

import numpy as np
from scipy import stats

from pipeline.performance.intervals import exact_interval

SHARE = 0.1  # of the images, for the figures; the picture shows all shares

MEASURES = {"predictive entropy": "predictive_entropy", "mutual information": "mutual_information"}


def referral(predictions):
    """Return ({"Referral": ...}, {figure: reason why it is undefined}) for Predictions that say how unsure they are.

    For each measure of uncertainty the images are sorted by it, the least sure first (equal ones in their order), and
    the first SHARE of them, at least one, are referred to a person. The p-value is that of a hypergeometric test: how
    often as many of the wrong predictions, or more, were among as many images drawn at random.
    """
    right = predictions.labels == predictions.predictions
    count, errors = len(right), int((~right).sum())
    referred = max(1, round(SHARE * count))
    figures, undefined = {}, {}
    for measure, name in MEASURES.items():
        order = np.argsort(-getattr(predictions, name), kind="stable")
        # By the number of images that are referred, from none to all but one.
        rights_left = right.sum() - np.concatenate([[0], np.cumsum(right[order])[:-1]])
        accuracy = rights_left / np.arange(count, 0, -1)
        found = int((~right[order[:referred]]).sum())
        of_measure = {"errors referred": found, "accuracies of the rest": accuracy.tolist()}
        for figure in ("accuracy of the rest", "95% interval", "gain", "p-value"):
            of_measure[figure] = None
        if referred < count:
            left = int(rights_left[referred])
            of_measure["accuracy of the rest"] = left / (count - referred)
            of_measure["95% interval"] = exact_interval(left, count - referred)
            of_measure["gain"] = left / (count - referred) - right.mean().item()
        else:
            undefined[f"accuracy of the rest (by {measure})"] = "there is one image only"
        if errors:
            of_measure["p-value"] = float(stats.hypergeom.sf(found - 1, count, errors, referred))
        else:
            undefined[f"referral p-value (by {measure})"] = "no image is predicted wrongly"
        figures[measure] = of_measure
    return {
        "Referral": {
            "Monte Carlo samples": predictions.sample_count,
            "referred": referred,
            "errors": errors,
            "errors expected at random": errors * referred / count,
            "by": figures,
        }
    }, undefined
