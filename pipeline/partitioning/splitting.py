"""Which image goes into which partition: stratified by class, groups kept whole, exact sizes, seeded."""

import math
import warnings
from collections import Counter
from fractions import Fraction

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.errors import UserError
from pipeline.messages import format_table, note, printable
from pipeline.project import PARTITIONS

LOOSEN = "loosen the grouping (-near_duplicates, -group_csv, -subfolders ungrouped, -patients ungrouped)"
LONG_NAMES = {"train": "training", "val": "validation", "test": "test"}


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


def assign(class_names, groups, fold_count, proportion, seed, given=None):
    """Return {fold: partition of each image}; without folds (`fold_count` None) the one key is None."""
    if fold_count is None:
        return {None: assign_partitions(class_names, groups, proportion, seed, given)}
    if given is not None and any(given):
        raise UserError(
            f"-folds {fold_count}: the partitions are ready-made and kept; give -partitions redrawn too, or no -folds"
        )
    return dict(enumerate(assign_folds(class_names, groups, fold_count, proportion, seed)))


def assign_partitions(class_names, groups, proportion, seed, given=None):
    """Assign images to partitions.

    Args:
        class_names: the class of each image.
        groups: the group of each image; a group is never divided between partitions.
        proportion: of validation and of test images each, a Fraction between 0 and 1/2.
        seed: 0 to 2**32 - 1. The same arguments give the same result on every platform.
        given: the partition of each image in a ready-made split, "" where there is none. Such an image stays there, and
            only partitions that no image has are drawn, from the training images and those without.

    Returns a list of "train", "val" and "test" parallel to the arguments. Of each class exactly
    `held_out_counts` images are held out, or as near to it as `_fill` comes with whole groups.

    Raises UserError for a class that is too small for three partitions, or of too few groups.
    """
    class_names = np.asarray(class_names)
    partitions = np.array(["train"] * len(class_names) if given is None else [one or "train" for one in given], object)
    drawn = _drawn(given)
    if drawn:
        pool = class_names[partitions == "train"]
        purpose = f"three partitions; with -val_test_prop {float(proportion):g}"
        _refuse_small_classes(pool, smallest_class(proportion), purpose)
        sizes = [held_out_counts(int((pool == name).sum()), proportion) for name in np.unique(class_names)]
        room = {"test": [test for _, test in sizes], "val": [validation for validation, _ in sizes]}
        order = _random_order(groups, seed)
        _fill(partitions, class_names, groups, {partition: room[partition] for partition in drawn}, order)
    _require_every_class(partitions, class_names, ["train", *drawn])
    return partitions.tolist()


def assign_folds(class_names, groups, fold_count, proportion, seed):
    """Assign images to partitions once per fold of a cross-validation.

    Arguments as for `assign_partitions`, and `fold_count`, 2 or more. Every image is in the test part of one fold;
    the test parts are stratified by class and keep groups whole (scikit-learn's StratifiedGroupKFold). Of the others,
    as many as `held_out_counts` gives of each class, as far as groups allow, are validation images: in each fold those
    first that have been it the least often.

    Returns a list with, for each fold, a list as `assign_partitions` returns it. Raises UserError for a class with too
    few images or groups.
    """
    class_names, groups = np.asarray(class_names), np.asarray(groups)
    # In a fold's remainder, count x (1 - 1/folds), there must be room for validation and training.
    needed = max(fold_count, smallest_class(proportion))
    _refuse_small_classes(class_names, needed, f"{fold_count} folds; with -val_test_prop {float(proportion):g}")
    validation = [held_out_counts(int((class_names == name).sum()), proportion)[0] for name in np.unique(class_names)]
    folds, order, times_held_out = [], _random_order(groups, seed), Counter()
    for test in test_parts(class_names, groups, fold_count, seed):
        partitions = np.full(len(class_names), "train", dtype=object)
        partitions[test] = "test"
        order.sort(key=times_held_out.__getitem__)
        _fill(partitions, class_names, groups, {"val": validation}, order)
        times_held_out.update(set(groups[partitions == "val"]))
        _require_every_class(partitions, class_names, PARTITIONS)
        folds.append(partitions.tolist())
    return folds


def test_parts(class_names, groups, fold_count, seed):
    """Return the indices of the test images of each fold: stratified by class, groups whole, every image once.

    Raises UserError where there are fewer groups than folds, or where all images of a class are in one group.
    """
    group_count = len(set(groups))
    groups_in = Counter(name for name, _ in set(zip(class_names, groups, strict=True)))
    single = sorted(str(name) for name, count in groups_in.items() if count == 1)
    if single:
        fault = f"its images form one group, and stay in one fold; add images of this class or {LOOSEN}"
        raise UserError(*(f"class {name!r}: {fault}" for name in single))
    if group_count < fold_count:
        raise UserError(
            f"{fold_count} folds: the images form only {group_count} groups, and a group stays in one fold; give fewer "
            f"-folds, or {LOOSEN}"
        )
    splitter = StratifiedGroupKFold(fold_count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # It warns of classes with few images or groups, which is for the caller to judge.
        warnings.simplefilter("ignore", UserWarning)
        return [test for _, test in splitter.split(class_names, class_names, groups)]


def print_counts(class_names, assignments, proportion, given=None):
    """Print the sizes of the partitions of what `assign` returns, over all images and by class."""
    if None in assignments:
        _print_partitions(class_names, assignments[None], proportion, _drawn(given))
    else:
        _print_folds(class_names, assignments)


def _print_partitions(class_names, partitions, proportion, drawn):
    names, sizes = sorted(set(class_names)), Counter(partitions)
    counts = Counter(zip(partitions, class_names, strict=True))
    print("\nImages per partition\n")
    rows = [(partition, sizes[partition]) for partition in PARTITIONS]
    print(format_table(["partition", "images"], [*rows, ("total", len(partitions))]))
    print("\nImages per partition and class\n")
    rows = [[partition, *(counts[partition, name] for name in names)] for partition in PARTITIONS]
    print(format_table(["partition", *map(printable, names)], rows), end="\n\n")
    held_out = [partition for partition in ("val", "test") if partition in drawn]
    for name in names:
        pool = sum(counts[partition, name] for partition in ("train", *drawn))
        asked = dict(zip(("val", "test"), held_out_counts(pool, proportion), strict=True))
        if any(counts[partition, name] != asked[partition] for partition in held_out):
            got = " and ".join(f"{counts[partition, name]} {LONG_NAMES[partition]}" for partition in held_out)
            wanted = " and ".join(str(asked[partition]) for partition in held_out)
            note(f"class {name!r}: {got} images instead of {wanted}, since images that belong together stay together")
        for partition in ("val", "test"):
            if partition not in drawn and not counts[partition, name]:
                note(f"class {name!r}: has no {LONG_NAMES[partition]} image in the ready-made partitions")


def _print_folds(class_names, folds):
    names, rows = sorted(set(class_names)), []
    for fold, partitions in folds.items():
        counts = Counter(zip(partitions, class_names, strict=True))
        rows.append([fold, *(" + ".join(str(counts[part, name]) for name in names) for part in PARTITIONS)])
    print(f"\nImages per fold and partition ({printable(' + '.join(names))})\n")
    print(format_table(["fold", *PARTITIONS], rows), end="\n\n")


def _drawn(given):
    """Return the partitions that are to be drawn, in this order: those that no image is given."""
    return [partition for partition in ("test", "val") if given is None or partition not in set(given)]


def _random_order(groups, seed):
    """Return the names of the groups in random order."""
    # RandomState's stream is frozen (NumPy's NEP 19): the split is the same under every version.
    return np.random.RandomState(seed).permutation(np.unique(groups)).tolist()


def _fill(partitions, class_names, groups, room, order):
    """Move whole groups, in this order, from train into the first partition that has room for all of a group.

    Where groups are large, or of several classes, no other may fit before all is full. Then one that is too large is
    moved too, if it brings the partition nearer to what is asked for, and leaves training images of all its classes.

    `room` is {partition: [images of each class, in sorted order]}. Changes `partitions`.
    """
    class_of = np.unique(class_names, return_inverse=True)[1]
    names, group_of = np.unique(groups, return_inverse=True)
    members = np.split(np.argsort(group_of, kind="stable"), np.cumsum(np.bincount(group_of))[:-1])
    members = dict(zip(names.tolist(), members, strict=True))
    room = {partition: np.array(sizes) for partition, sizes in room.items()}

    def fits(in_group, sizes):
        return (in_group <= sizes).all()

    def is_nearer(in_group, sizes):
        left = np.bincount(class_of[partitions == "train"], minlength=len(sizes)) - in_group
        return np.abs(sizes - in_group).sum() < np.abs(sizes).sum() and (left > 0).all()

    for is_taken in (fits, is_nearer):
        for group in order:
            of_group = members[group]
            if (partitions[of_group] != "train").any():
                continue
            in_group = np.bincount(class_of[of_group], minlength=class_of.max() + 1)
            for partition, sizes in room.items():
                if is_taken(in_group, sizes):
                    partitions[of_group] = partition
                    sizes -= in_group
                    break


def _refuse_small_classes(class_names, needed, purpose):
    names, counts = np.unique(class_names, return_counts=True)
    faults = [
        f"class {str(name)!r}: too few images ({count}) for {purpose} a class needs at least {needed}"
        for name, count in zip(names, counts, strict=True)
        if count < needed
    ]
    if faults:
        raise UserError(*faults)


def _require_every_class(partitions, class_names, parts):
    faults = [
        f"class {str(name)!r}: no whole group of images fits into {partition}, since images that belong together stay "
        f"together; add images of this class or {LOOSEN}"
        if (partitions[class_names == name] == "train").any()
        else f"class {str(name)!r}: has no training image; add some to the training partition, or remove the class"
        for name in np.unique(class_names)
        for partition in PARTITIONS
        if partition in parts and not (partitions[class_names == name] == partition).any()
    ]
    if faults:
        raise UserError(*dict.fromkeys(faults))
