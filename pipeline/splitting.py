"""Which image goes into which partition: stratified by class, groups kept whole, exact sizes, seeded."""

import math
from fractions import Fraction

import numpy as np

from pipeline.errors import UserError


def held_out_counts(count, proportion):
    """Return (validation, test), the number of images of one class held out for each.

    Of `count` images round(2 x proportion x count) are held out, halves up and in exact arithmetic; half go to
    each partition and the odd one to test.
    """
    held_out = int(2 * Fraction(proportion) * count + Fraction(1, 2))
    return held_out // 2, held_out - held_out // 2


def smallest_class(proportion):
    """Return how many images a class needs for at least one in each of the three partitions."""
    two_held_out = math.ceil(3 / (4 * Fraction(proportion)))
    one_left_to_train = math.floor(1 / (2 - 4 * Fraction(proportion))) + 1
    return max(two_held_out, one_left_to_train)


def assign_partitions(class_names, groups, proportion, seed):
    """Assign images to partitions.

    Args:
        class_names: the class of each image.
        groups: the group of each image; a group is never divided between partitions.
        proportion: share of validation and of test images each, a Fraction between 0 and 1/2.
        seed: 0 to 2**32 - 1. The same arguments give the same result on every platform.

    Returns a list of "train", "val" and "test" parallel to the arguments. Of each class exactly
    `held_out_counts` images are held out, less what no whole group fits into.

    Raises UserError for a class that is too small for three partitions.
    """
    class_names, groups = np.asarray(class_names), np.asarray(groups)
    classes, class_of = np.unique(class_names, return_inverse=True)
    counts = np.bincount(class_of)
    needed = smallest_class(proportion)
    faults = [
        f"class {name!r}: {count} images are too few for three partitions; "
        f"with -val_test_prop {float(proportion):g} a class needs at least {needed}"
        for name, count in zip(classes, counts, strict=True)
        if count < needed
    ]
    if faults:
        raise UserError(*faults)

    room = {"test": [], "val": []}
    for count in counts:
        validation, test = held_out_counts(int(count), proportion)
        room["val"].append(validation)
        room["test"].append(test)
    room = {partition: np.array(sizes) for partition, sizes in room.items()}

    _, group_of = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    partitions = np.full(len(class_names), "train", dtype=object)
    # RandomState's stream is frozen (NumPy's NEP 19): the split is the same under every version.
    for group in np.random.RandomState(seed).permutation(len(members)):
        in_group = np.bincount(class_of[members[group]], minlength=len(classes))
        for partition, sizes in room.items():
            if (in_group <= sizes).all():
                partitions[members[group]] = partition
                sizes -= in_group
                break
    return partitions.tolist()
