"""The mistakes that a model was surest of: where its labels, or the model, are to be looked at first."""

import numpy as np

MOST = 5  # of the mistakes that are listed


def surest(predictions):
    """Return the wrong predictions of highest probability, the surest first, a dict for each; none without file names.

    The probability is that of the class that was predicted.
    """
    if predictions.file_names is None:
        return []
    of_prediction = predictions.probabilities[np.arange(len(predictions.labels)), predictions.predictions]
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
