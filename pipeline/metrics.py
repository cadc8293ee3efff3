"""Performance of a classifier, from labels, predicted classes and probabilities. Imports no torch.

A class is measured one against the rest: its images are the positive ones, all others negative. What cannot be
computed is None, and the reason stands beside it; never a NaN, never a number that only looks like one.
"""

import numpy as np
from sklearn import metrics


def confusion_matrix(labels, predictions, class_count):
    """Return counts (classes, classes): row the true class, column the predicted one."""
    return metrics.confusion_matrix(labels, predictions, labels=range(class_count))


def accuracy(labels, predictions):
    """Return the share of images whose predicted class is the true one."""
    return float(metrics.accuracy_score(labels, predictions))


def cohen_kappa(labels, predictions):
    """Return (kappa, reason): agreement beyond chance, (observed - expected) / (1 - expected).

    Cohen, Educational and Psychological Measurement 20 (1960) 37. Undefined where chance alone agrees always.
    """
    if len(set(labels) | set(predictions)) == 1:
        return None, "all labels and predictions are one class"
    return float(metrics.cohen_kappa_score(labels, predictions)), ""


def sensitivity(labels, predictions, positive):
    """Return (sensitivity, reason): the share of the positive class's images that were predicted as it."""
    of_class = labels == positive
    if not of_class.any():
        return None, "no image of the class"
    return float((predictions[of_class] == positive).mean()), ""


def specificity(labels, predictions, positive):
    """Return (specificity, reason): the share of the other classes' images that were not predicted as it."""
    others = labels != positive
    if not others.any():
        return None, "no image of another class"
    return float((predictions[others] != positive).mean()), ""


def roc_auc(labels, probabilities, positive):
    """Return (area under the ROC curve, reason).

    The probability that a random image of the positive class gets a higher probability of that class than a random
    other image; ties count half. `probabilities` is (n, classes).
    """
    of_class = labels == positive
    if of_class.all() or not of_class.any():
        return None, "needs images of the class and of another one"
    return float(metrics.roc_auc_score(of_class, probabilities[:, positive])), ""


def roc_curves(predictions, results):
    """Return the ROC curve of the positive class, or of every class against the rest for more than two.

    A dict from a label that names class and area, as `summarize` found it, to (false positive rates, true positive
    rates); classes without a curve are left out.
    """
    positive = predictions.positive_class
    areas = {name: figures["ROC-AUC"] for name, figures in results["Per Class"].items() if positive in (None, name)}
    return {
        f"{name}: AUC {area:.3f}": metrics.roc_curve(
            predictions.labels == predictions.class_names.index(name),
            predictions.probabilities[:, predictions.class_names.index(name)],
        )[:2]
        for name, area in areas.items()
        if area is not None
    }


def summarize(predictions):
    """Return the results object: the five published figures at the top, what they rest on beside them.

    Two classes: for the positive class. More: each class one against the rest under "Per Class", and the means
    over classes (macro) at the top, undefined where one class's is.
    """
    labels, predicted, class_names = predictions.labels, predictions.predictions, predictions.class_names
    undefined = {}

    def keep(name, value, reason=""):
        if reason:
            undefined[name] = reason
        return value

    per_class = {
        class_name: {
            name: keep(f"{name} ({class_name})", *figure)
            for name, figure in {
                "Sensitivity": sensitivity(labels, predicted, index),
                "Specificity": specificity(labels, predicted, index),
                "ROC-AUC": roc_auc(labels, predictions.probabilities, index),
            }.items()
        }
        | {"n": int((labels == index).sum())}
        for index, class_name in enumerate(class_names)
    }
    if predictions.positive_class is None:
        headline = {name: _macro_mean(name, per_class, undefined) for name in ("Sensitivity", "Specificity", "ROC-AUC")}
    else:
        headline = {
            name: per_class[predictions.positive_class][name] for name in ("Sensitivity", "Specificity", "ROC-AUC")
        }
        undefined = {
            name.removesuffix(f" ({predictions.positive_class})"): reason for name, reason in undefined.items()
        }
    kappa = keep("Cohen's Kappa", *cohen_kappa(labels, predicted))
    return {
        **headline,
        "Accuracy": accuracy(labels, predicted),
        "Cohen's Kappa": kappa,
        "Positive Class": predictions.positive_class,
        "n": len(labels),
        "Class Names": class_names,
        "Confusion Matrix": confusion_matrix(labels, predicted, len(class_names)).tolist(),
        "Per Class": per_class,
        "undefined": undefined,
        "Split": predictions.split,
        "Checkpoint": predictions.checkpoint,
    }


def _macro_mean(name, per_class, undefined):
    values = [figures[name] for figures in per_class.values()]
    if None in values:
        undefined[name] = "undefined for a class, see Per Class"
        return None
    return float(np.mean(values))
