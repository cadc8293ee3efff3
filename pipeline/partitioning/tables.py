"""The tables of a split: written together, and moved together."""

import os

from pipeline import split_files
from pipeline.partitioning import catalogue
from pipeline.project import PARTITIONS

SPLIT_TABLES = tuple(f"{partition}.csv" for partition in PARTITIONS)
# images.csv goes last: while it lies in the project folder, organizing is not complete.
ALL_TABLES = (*SPLIT_TABLES, "classes.csv", "split.json", "near_duplicates.png", "baselines.json", "images.csv")


def write(project, images, class_names, assignments, record):
    """Write the tables of a split in place of those of an earlier one, and print where.

    Args:
        images: the table of all images.
        assignments: {fold: partition of each usable image}, as splitting.assign returns it.
        record: the SplitRecord.
    """
    tables = project.tables
    verb = "replaced" if (tables / "images.csv").exists() else "wrote"
    folders = {fold: tables if fold is None else project.split_folder(fold) for fold in assignments}
    for fold, partitions in assignments.items():
        _write_partitions(folders[fold], catalogue.usable(images), class_names, partitions)
    _remove_other_splits(project, folders.values())
    split_files.write_classes(tables / "classes.csv", class_names)
    record.write(tables / "split.json")
    catalogue.write(tables / "images.csv", images)
    if None in assignments:
        print(f"{verb} {', '.join(SPLIT_TABLES)}, classes.csv, images.csv and split.json in {tables}")
    else:
        print(f"wrote train.csv, val.csv and test.csv in {folders[0]} to {len(folders) - 1}")
        print(f"{verb} classes.csv, images.csv and split.json in {tables}")


def move(project):
    """Move the tables from the project folder into csv/; return whether there were any."""
    if not (project.root / "images.csv").exists():
        return False
    for name in ALL_TABLES:
        if (project.root / name).exists():
            os.replace(project.root / name, project.csv / name)
    return True


def _write_partitions(folder, images, class_names, partitions):
    folder.mkdir(parents=True, exist_ok=True)
    for partition, name in zip(PARTITIONS, SPLIT_TABLES, strict=True):
        chosen = images[[assigned == partition for assigned in partitions]]
        labels = [class_names.index(class_name) for class_name in chosen["class_name"]]
        split_files.write_split(folder / name, chosen["file_name"], labels)


def _remove_other_splits(project, kept):
    for folder in {project.tables, *project.csv.glob("fold_*")} - set(kept):
        for name in SPLIT_TABLES:
            (folder / name).unlink(missing_ok=True)
        if folder != project.tables and not any(folder.iterdir()):
            folder.rmdir()
