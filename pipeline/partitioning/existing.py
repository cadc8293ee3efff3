"""The split that a project already has, read from its tables, for what is measured on it without changing it."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from pipeline import image_table, split_files
from pipeline.errors import UserError, require_none
from pipeline.file_names import composed, finder
from pipeline.partitioning import splitting

MOST_FOLDS = 5  # if a project has none of its own
WAYS_OUT = "put it back, or split again without --baselines"


@dataclass(frozen=True)
class ExistingSplit:
    """The images of a split, of all its partitions together."""

    paths: list  # the path of each
    class_of: list  # the class of each
    groups: list  # the group of each
    test_parts: list  # for each fold the indices of its test images; each image is in one of them
    seed: int  # that the images were split with
    place: str  # for messages


def read(project):
    """Return the ExistingSplit of a Project; if it has no folds, its images are dealt into folds, groups kept whole.

    Raises UserError for an unfinished split, tables that do not match, and missing images.
    """
    split_files.require_finished_split(project.tables / "split.json")
    record = split_files.read_split_record(project.tables / "split.json")
    seed = record.seed if record else 0
    rows = [row for row in image_table.read(project.tables / "images.csv") if not row.left_out]
    find = finder()
    in_bin = [find(project.bin, row.file_name) for row in rows]
    paths = [
        path if path.exists() else find(project.root, *row.source.split("/"))
        for path, row in zip(in_bin, rows, strict=True)
    ]
    require_none(f"{path}: no such file, but images.csv names it; {WAYS_OUT}" for path in paths if not path.exists())
    class_of, groups = [row.class_name for row in rows], [row.group for row in rows]
    folders = [*project.fold_folders().values()]
    if folders:
        place = f"the {len(folders)} folds in {project.csv}"
        parts = _test_parts_in(folders, [composed(row.file_name) for row in rows])
    else:
        place = f"the images of the split in {project.tables}"
        parts = splitting.test_parts(class_of, groups, most_folds(class_of, groups), seed)
    return ExistingSplit(paths, class_of, groups, parts, seed, place)


def most_folds(class_of, groups):
    """Return how many folds images are dealt into if the user has not asked for any.

    It is at most the number of groups, and of images of the largest class: scikit-learn refuses more.
    """
    return min(MOST_FOLDS, len(set(groups)), max(Counter(class_of).values()))


def _test_parts_in(folders, names):
    """Return the indices of the test images of each fold; UserError if not every image is tested once."""
    tested = [[composed(name) for name, _ in split_files.read_rows(folder / "test.csv")] for folder in folders]
    if Counter(name for part in tested for name in part) != Counter(names):
        raise UserError(
            f"{folders[0].parent}: the test parts of the folds do not hold each image of images.csv exactly once; add "
            f"-folds {len(folders)}, which splits again"
        )
    index_of = {name: index for index, name in enumerate(names)}
    return [np.array([index_of[name] for name in part]) for part in tested]
