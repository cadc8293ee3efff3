"""The errors that a model is most confident of: the images, and the labels, to be looked at first."""

import numpy as np

from pipeline.performance.metrics import Undefined

MOST = 10  # of the errors that are listed


def most_confident_errors(predictions):
    """Return the wrong predictions of highest probability, the highest first, a dict for each.

    The probability is that of the class that was predicted. Raises Undefined where the predictions hold no file names.
    """
    if predictions.file_names is None:
        raise Undefined("the predictions hold no file names")
    of_prediction = predictions.probabilities_of_predictions()
    wrong = np.flatnonzero(predictions.predictions != predictions.labels)
    names = predictions.class_names
    return [
        {
            "file name": predictions.file_names[index],
            "class": names[predictions.labels[index]],
            "predicted": names[predictions.predictions[index]],
            "probability": float(of_prediction[index]),
        }
        for index in wrong[np.argsort(-of_prediction[wrong], kind="stable")][:MOST]
    ]
