"""The tables of a split: which files are ours, written together, and moved together."""

import os
from dataclasses import replace

from pipeline import files, image_table, split_files
from pipeline.errors import UserError, require_none
from pipeline.project import PARTITIONS, split_tables

# images.csv goes last: while it is in the project folder, organizing is not complete.
ALL_TABLES = (
    *(f"{partition}.csv" for partition in PARTITIONS),
    "classes.csv",
    "split.json",
    "near_duplicates.png",
    "leaks.png",
    "baselines.json",
    "images.csv",
)


def require_ours(project):
    """Raise UserError for each file that has the name of a table but was not written by partition_datasets.py.

    Files are recognized by their content: a split file lists images of our images.csv, which begins with our header.
    """
    fold_places = project.fold_places().values()
    faults = [
        f"{folder}: is a link; the project keeps its own files there; put a folder in its place"
        for folder in (project.bin, project.csv, *fold_places)
        if folder.is_symlink()
    ]
    folders = {project.tables, project.csv}
    paths = [folder / name for folder in folders for name in ALL_TABLES]
    paths += [path for folder in fold_places for path in split_tables(folder)]
    names = _listed_names(folder / "images.csv" for folder in folders)
    if not _was_interrupted(project):
        faults += [
            f"{path}: was not written by partition_datasets.py, which needs this name; rename it or move it elsewhere"
            for path in paths
            if os.path.lexists(path) and not _is_ours(path, *names)
        ]
    require_none(sorted(faults))


def write(project, images, class_names, assignments, record):
    """Write the tables of a split, replacing those of an earlier one, and print where.

    Args:
        images: the table of all images.
        assignments: {fold: partition of each usable image}, as splitting.assign returns it.
        record: the SplitRecord. It is written first, as unfinished, and again at the end, so that a split that was
            stopped in between, and whose files may not match, is recognized.
    """
    tables = project.tables
    verb = "replaced" if (tables / "images.csv").exists() else "wrote"
    folders = {fold: tables if fold is None else project.split_folder(fold) for fold in assignments}
    any_exist = any(path.exists() for folder in folders.values() for path in split_tables(folder))
    verb_of_folds = "replaced" if any_exist else "wrote"
    replace(record, finished=False).write(tables / "split.json")
    for fold, partitions in assignments.items():
        _write_partitions(folders[fold], image_table.usable(images), class_names, partitions)
    _remove_other_splits(project, folders.values())
    split_files.write_classes(tables / "classes.csv", class_names)
    image_table.write(tables / "images.csv", images)
    record.write(tables / "split.json")
    if None in assignments:
        print(f"{verb} train.csv, val.csv, test.csv, classes.csv, images.csv and split.json in {tables}")
    else:
        print(f"{verb_of_folds} train.csv, val.csv and test.csv in {folders[0]} to fold_{len(folders) - 1}")
        print(f"{verb} classes.csv, images.csv and split.json in {tables}")


def move(project):
    """Move the tables from the project folder into csv/, and return their new paths."""
    if not (project.root / "images.csv").exists():
        return []
    names = [name for name in ALL_TABLES if (project.root / name).exists()]
    for name in names:
        os.replace(project.root / name, project.csv / name)
    return [project.csv / name for name in names]


def _write_partitions(folder, images, class_names, partitions):
    folder.mkdir(parents=True, exist_ok=True)
    for partition, path in zip(PARTITIONS, split_tables(folder), strict=True):
        chosen = images[[assigned == partition for assigned in partitions]]
        labels = [class_names.index(class_name) for class_name in chosen["class_name"]]
        split_files.write_split(path, chosen["file_name"], labels)


def _remove_other_splits(project, kept):
    fold_places = set(project.fold_places().values())
    emptied = []
    for folder in sorted({project.tables, *fold_places} - set(kept)):
        earlier = [path for path in split_tables(folder) if path.exists()]
        for path in earlier:
            path.unlink()
        emptied += [str(folder)] if earlier else []
        if folder in fold_places:
            files.remove_unfinished(folder)
            if not any(folder.iterdir()):
                folder.rmdir()
    if emptied:
        print(f"removed train.csv, val.csv and test.csv of the earlier split in {', '.join(emptied)}")


def _was_interrupted(project):
    # Then the files in the way are ours, because the split had begun; images.csv may not list their names yet.
    try:
        record = split_files.read_split_record(project.tables / "split.json")
    except UserError:
        return False
    return record is not None and not record.finished


def _listed_names(image_tables):
    """Return the file names and the class names in our images.csv files; UserError for a damaged one."""
    ours = [path for path in image_tables if path.is_file() and image_table.has_header(files.read_csv(path))]
    rows = [row for path in ours for row in image_table.read(path)]
    return {row.file_name for row in rows}, {row.class_name for row in rows}


def _is_ours(path, file_names, class_names):
    """Tell from its content whether a file is one of our tables, which list `file_names` and `class_names`."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        match path.name:
            case "split.json":
                return split_files.read_split_record(path) is not None
            case "images.csv":
                return image_table.has_header(files.read_csv(path))
            case "baselines.json":
                return files.has_keys(path, "baselines")
            case "near_duplicates.png" | "leaks.png":
                return files.has_mark(path)
            case "classes.csv":
                return all(len(row) == 2 and row[1] in class_names for _, row in files.read_csv(path))
            case _:
                return all(len(row) == 2 and row[0] in file_names for _, row in files.read_csv(path))
    except UserError:
        return False
