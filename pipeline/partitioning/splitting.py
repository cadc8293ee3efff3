"""Which image goes into which partition: stratified by class, groups kept whole, exact sizes, seeded."""

import itertools
import math
import warnings
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from pipeline.errors import UserError, require_none
from pipeline.messages import format_table, note, printable
from pipeline.project import LONG_NAMES, PARTITIONS

LARGER = "a larger -val_test_prop"
LOOSEN = "loosen the grouping (-near_duplicates, -group_csv, -subfolders ungrouped, -patients ungrouped)"
# For the exchange of groups between folds, see _exchanged.
UNEVEN = 0.05
MANY = 0.1
TRIES = 20  # for each group


def held_out_counts(count, proportion):
    """Return (validation, test), the number of images of one class held out for each.

    Of `count` images round(2 x proportion x count) are held out, halves up and in exact arithmetic. Half of these go to
    each partition, the odd one to test.
    """
    held_out = int(2 * Fraction(proportion) * count + Fraction(1, 2))
    return held_out // 2, held_out - held_out // 2


def smallest_class(proportion):
    """Return how many images a class needs for at least one in each of the three partitions."""
    two_held_out = math.ceil(3 / (4 * Fraction(proportion)))
    one_left_to_train = math.floor(1 / (2 - 4 * Fraction(proportion))) + 1
    return max(two_held_out, one_left_to_train)


def assign(class_of, groups, fold_count, proportion, seed, given):
    """Return {fold: partition of each image}; without folds (`fold_count` None) the only key is None."""
    if fold_count is None:
        return {None: assign_partitions(class_of, groups, proportion, seed, given)}
    if any(given):
        raise UserError(
            f"-folds {fold_count}: the partitions are ready-made and kept; give -partitions redrawn too, or no -folds"
        )
    return dict(enumerate(assign_folds(class_of, groups, fold_count, proportion, seed)))


def require_drawn(given, options):
    """Raise UserError for each of `options`, about the drawing of partitions, if all are `given`, see `assign`."""
    require_none(
        f"{option}: has no effect, since validation and test are ready-made partitions, which are kept; leave it out, "
        "or give -partitions redrawn"
        for option in options
        if not _drawn(given)
    )


def assign_partitions(class_of, groups, proportion, seed, given):
    """Assign images to partitions.

    Args:
        class_of: the class of each image.
        groups: the group of each image; a group is never divided between partitions.
        proportion: of validation and of test images each, a Fraction between 0 and 1/2.
        seed: 0 to 2**32 - 1. The same arguments give the same result on every platform.
        given: the ready-made partition of each image, "" if it has none. Images stay in it, and only partitions that no
            image has are drawn, from the training images and those without a partition.

    Returns a list of "train", "val" and "test" parallel to the arguments. Of each class exactly
    `held_out_counts` images are held out, or as close to that as `_fill` gets with whole groups.

    Raises UserError for a class that is too small for three partitions, or has too few groups.
    """
    class_of = np.asarray(class_of)
    partitions = np.array([one or "train" for one in given], dtype=object)
    drawn = _drawn(given)
    if drawn:
        pool = class_of[partitions == "train"]
        _refuse_small_classes(pool, proportion)
        sizes = [held_out_counts(int((pool == name).sum()), proportion) for name in np.unique(class_of)]
        room = {"test": [test for _, test in sizes], "val": [validation for validation, _ in sizes]}
        order = _random_order(groups, seed)
        _fill(partitions, class_of, groups, {partition: room[partition] for partition in drawn}, order)
    _require_every_class(partitions, class_of, groups, dict.fromkeys(drawn, LARGER))
    return partitions.tolist()


def assign_folds(class_of, groups, fold_count, proportion, seed):
    """Assign images to partitions once per fold of a cross-validation.

    Arguments as for `assign_partitions`, and `fold_count`, 2 or more. Every image is in the test part of one fold;
    the test parts are stratified by class and keep groups whole, see `test_parts`. `held_out_counts` of the others, as
    far as groups allow, are validation images: in each fold, those come first that were validation images least often.

    Returns a list for each fold, as `assign_partitions` does. Raises UserError for a class with too few images or
    groups.
    """
    class_of, groups = np.asarray(class_of), np.asarray(groups)
    _refuse_small_classes(class_of, proportion, fold_count)
    validation = [held_out_counts(int((class_of == name).sum()), proportion)[0] for name in np.unique(class_of)]
    folds, order, times_held_out = [], _random_order(groups, seed), Counter()
    for test in test_parts(class_of, groups, fold_count, seed):
        partitions = np.full(len(class_of), "train", dtype=object)
        partitions[test] = "test"
        order.sort(key=times_held_out.__getitem__)
        _fill(partitions, class_of, groups, {"val": validation}, order)
        times_held_out.update(set(groups[partitions == "val"]))
        _require_every_class(partitions, class_of, groups, {"val": LARGER, "test": "fewer -folds"})
        folds.append(partitions.tolist())
    return folds


def test_parts(class_of, groups, fold_count, seed):
    """Return the indices of the test images of each fold: stratified by class, groups whole, every image once.

    scikit-learn's StratifiedGroupKFold deals out the groups, the largest first. Its seed only shuffles groups with the
    same number of images of each class, so groups that are unlike all others are exchanged between folds afterwards.

    Raises UserError if there are fewer groups than folds, or if all images of a class are in one group.
    """
    _refuse_few_groups(class_of, groups, fold_count)
    splitter = StratifiedGroupKFold(fold_count, shuffle=True, random_state=seed)
    class_index, group_of = (np.unique(values, return_inverse=True)[1] for values in (class_of, groups))
    fold_of = np.empty(group_of.max() + 1, dtype=int)
    with warnings.catch_warnings():
        # It warns of classes with few images or groups, which is for the caller to judge.
        warnings.simplefilter("ignore", UserWarning)
        for fold, (_, test) in enumerate(splitter.split(class_of, class_of, groups)):
            fold_of[group_of[test]] = fold
    fold_of = _exchanged(fold_of, pd.crosstab(group_of, class_index).to_numpy(), fold_count, seed)
    return [np.flatnonzero(fold_of[group_of] == fold) for fold in range(fold_count)]


def _exchanged(fold_of, contents, fold_count, seed):
    """Return the fold of each group, int (groups,), after random exchanges of groups that are unlike all others.

    `contents` are the numbers of images of each class, int (groups, classes). No exchange lets a fold's number for a
    class differ from the mean of the folds by more than the largest difference before or, if that is less, the fraction
    UNEVEN of the mean. If such groups hold less than the fraction MANY of the images, the seed has shuffled enough, and
    no fold is changed.
    """
    _, kind, count = np.unique(contents, axis=0, return_inverse=True, return_counts=True)
    single = np.flatnonzero(count[kind.ravel()] == 1)
    if contents[single].sum() < MANY * contents.sum():
        return fold_of
    fold_of, random = fold_of.copy(), np.random.RandomState(seed)
    even = contents.sum(axis=0) / fold_count
    excess = np.stack([contents[fold_of == fold].sum(axis=0) - even for fold in range(fold_count)])
    allowed = np.maximum(np.abs(excess).max(axis=0), UNEVEN * even)
    for one, other in random.choice(single, (TRIES * len(single), 2)):
        here, there, change = fold_of[one], fold_of[other], contents[other] - contents[one]
        after = np.abs([excess[here] + change, excess[there] - change])
        if here != there and (after <= allowed).all():
            fold_of[[one, other]] = there, here
            excess[here] += change
            excess[there] -= change
    return fold_of


def print_counts(class_of, assignments, proportion, given):
    """Print the sizes of the partitions that `assign` returns, in total and by class."""
    if None in assignments:
        _print_partitions(class_of, assignments[None], proportion, _drawn(given))
    else:
        _print_folds(class_of, assignments)


def _print_partitions(class_of, partitions, proportion, drawn):
    names, sizes = sorted(set(class_of)), Counter(partitions)
    counts = Counter(zip(partitions, class_of, strict=True))
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


def _print_folds(class_of, folds):
    names, rows = sorted(set(class_of)), []
    for fold, partitions in folds.items():
        counts = Counter(zip(partitions, class_of, strict=True))
        rows.append([fold, *(" + ".join(str(counts[part, name]) for name in names) for part in PARTITIONS)])
    print(f"\nImages per fold and partition ({printable(' + '.join(names))})\n")
    print(format_table(["fold", *PARTITIONS], rows), end="\n\n")


def _drawn(given):
    """Return the partitions to be drawn, in order: those that are given to no image."""
    return [partition for partition in ("test", "val") if partition not in set(given)]


def _random_order(groups, seed):
    """Return the names of the groups in random order."""
    # RandomState's stream is frozen (NumPy's NEP 19): the split is the same under every version.
    return np.random.RandomState(seed).permutation(np.unique(groups)).tolist()


def _fill(partitions, class_of, groups, room, order):
    """Move whole groups, in `order`, from train into the first partition that has room for all of a group.

    If groups are large, or of several classes, a partition may not be full when no other group fits. Then one that is
    too large is moved too, if it brings the partition closer to its size and leaves training images of all classes.

    `room` is {partition: [images of each class, in sorted order]}. Changes `partitions`.
    """
    class_index = np.unique(class_of, return_inverse=True)[1]
    members = pd.Series(class_index).groupby(np.asarray(groups)).indices
    room = {partition: np.array(sizes) for partition, sizes in room.items()}

    def fits(in_group, sizes):
        return (in_group <= sizes).all()

    def is_nearer(in_group, sizes):
        if np.abs(sizes - in_group).sum() >= np.abs(sizes).sum():
            return False
        left = np.bincount(class_index[partitions == "train"], minlength=len(sizes)) - in_group
        return (left > 0).all()

    for is_taken in (fits, is_nearer):
        for group in order:
            of_group = members[group]
            if (partitions[of_group] != "train").any():
                continue
            in_group = np.bincount(class_index[of_group], minlength=class_index.max() + 1)
            for partition, sizes in room.items():
                if is_taken(in_group, sizes):
                    partitions[of_group] = partition
                    sizes -= in_group
                    break


def _refuse_small_classes(class_of, proportion, fold_count=None):
    """Raise UserError, with the ways out, for each class with fewer images than the partitions or folds need."""
    needed = max(fold_count or 0, smallest_class(proportion))
    asked = f"-val_test_prop {float(proportion):g}" + (f" and -folds {fold_count}" if fold_count else "")
    faults = []
    for name, count in Counter(map(str, class_of)).items():
        if count < needed:
            ways_out = [f"add {needed - count} more of this class", *_easier(count, proportion, fold_count)]
            faults.append(
                f"class {name!r}: too few images ({count}), with {asked} a class needs at least {needed}; "
                + ", or ".join(ways_out)
            )
    require_none(sorted(faults))


def _easier(count, proportion, fold_count):
    """Return, in a list, advice on which options would make `count` images of a class enough; [] if none would."""
    others = sorted((Fraction(percent, 100) for percent in range(5, 50, 5)), key=lambda one: abs(one - proportion))
    enough = next((one for one in (proportion, *others) if smallest_class(one) <= count), None)
    if enough is None:
        return []
    options = [] if enough == proportion else [f"-val_test_prop {float(enough):g}"]
    options += [f"-folds {count}"] if (fold_count or 0) > count else []
    return [f"give {' and '.join(options)}"]


def _refuse_few_groups(class_of, groups, fold_count):
    """Raise UserError for each class whose images form one group, or if there are fewer groups than folds."""
    groups_in = _groups_in(class_of, groups)
    fault = f"its images form one group, and stay in one fold; add images of this class or {LOOSEN}"
    faults = [f"class {str(name)!r}: {fault}" for name, count in sorted(groups_in.items()) if count == 1]
    count = len(set(groups))
    if count < fold_count and not faults:
        faults.append(
            f"-folds {fold_count}: the images form only {count} groups, and a group stays in one fold; give -folds "
            f"{count}, or {LOOSEN}"
        )
    require_none(faults)


def _groups_in(class_of, groups):
    """Return how many groups have images of each class, {name: number}."""
    return Counter(name for name, _ in set(zip(class_of, groups, strict=True)))


def _require_every_class(partitions, class_of, groups, ways_out):
    """Raise UserError, with one line per fault, for each class without an image in training or in a drawn partition.

    `ways_out` are {partition that was drawn: what makes room in it}.
    """
    groups_in = _groups_in(class_of, groups)
    faults = []
    for name, partition in itertools.product(np.unique(class_of), PARTITIONS):
        if partition not in ("train", *ways_out) or (partitions[class_of == name] == partition).any():
            continue
        fault = "has no training image; add some to the training partition, or remove the class"
        if (partitions[class_of == name] == "train").any():
            way_out = f"try {ways_out[partition]}, " if groups_in[name] >= len(PARTITIONS) else ""
            fault = (
                f"no whole group of images fits into {partition}, since images that belong together stay together; "
                f"{way_out}add images of this class or {LOOSEN}"
            )
        faults.append(f"class {str(name)!r}: {fault}")
    require_none(faults)
