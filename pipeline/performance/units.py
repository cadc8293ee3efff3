"""What is counted as one: an image or, with `-per group`, a group of images, such as all of a patient."""

from dataclasses import replace

import numpy as np

from pipeline import predictions
from pipeline.errors import require_none


def read_all(paths, unit="image"):
    """Read predictions files as Predictions of images, or of groups; raises UserError with every fault."""
    parts = predictions.read_all(paths)
    return parts if unit == "image" else of_groups(parts)


def of_groups(parts):
    """Return the Predictions of groups instead of those of images, for each of `parts`.

    Raises UserError, one line per file, if groups are not known, or one has images of several classes.
    """
    require_none(fault for part in parts for fault in _faults(part))
    return [_of_groups(part) for part in parts]


def _of_groups(part):
    """Return Predictions whose entries are groups, in the order of their first images.

    The probabilities of a group are the means of its images', and its prediction is the most probable class. The mean
    is that of a mixture of all the images' Monte Carlo samples: its entropy is the predictive entropy, and the mutual
    information is how much that exceeds the mean entropy of a sample.
    """
    names, number, first = _groups(part)
    sizes = np.bincount(number)

    def mean(values):
        return np.bincount(number, weights=values) / sizes

    probabilities = np.column_stack([mean(column) for column in part.probabilities.T])
    uncertainty = {}
    if part.sample_count is not None:
        entropy = predictions.entropies(probabilities)
        of_samples = mean(part.predictive_entropy - part.mutual_information)
        uncertainty = {"predictive_entropy": entropy, "mutual_information": np.maximum(entropy - of_samples, 0)}
    images = part.file_names or [f"image {position}" for position in range(len(number))]
    members = [[] for _ in names]
    for image, group in zip(images, number, strict=True):
        members[group].append(image)
    return replace(
        part,
        labels=part.labels[first],
        predictions=probabilities.argmax(axis=1),
        probabilities=probabilities,
        file_names=names,
        groups=names,
        members=members,
        **uncertainty,
    )


def _groups(part):
    """Return the names of the groups, the number of each image's group, and each group's first image."""
    names = list(dict.fromkeys(part.groups))
    numbers = {name: number for number, name in enumerate(names)}
    number = np.array([numbers[name] for name in part.groups])
    return names, number, np.unique(number, return_index=True)[1]


def _faults(part):
    """Return why there are no figures of groups: one line, or none.

    How to label a patient who has images of several classes is a clinical choice; to leave such patients out would
    leave the difficult ones out.
    """
    if part.groups is None:
        return [f"-per group: {part.path} has no 'groups'; predict with test_torchvision.py, which names them"]
    names, number, first = _groups(part)
    mixed = np.unique(number[part.labels != part.labels[first][number]])
    if not len(mixed):
        return []
    classes = " and ".join(part.class_names[label] for label in np.unique(part.labels[number == mixed[0]]))
    return [
        f"-per group: {part.path}: {len(mixed)} of {len(names)} groups have images of several classes, "
        f"{names[mixed[0]]!r} of {classes}, and so no single label; measure images, or give all images of a group the "
        "same label"
    ]
