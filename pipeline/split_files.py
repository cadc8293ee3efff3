"""Split CSVs (file name, class index) and classes.csv: the formats, read with every fault named."""

import json
import re
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

from pipeline import files
from pipeline.classes import require_class_count
from pipeline.errors import UserError, require_none
from pipeline.file_names import FileNames, composed
from pipeline.messages import counted
from pipeline.project import is_plain_file_name, script_command, split_tables


@dataclass(frozen=True)
class Split:
    """One partition of a project, in file order."""

    partition: str  # train, val or test
    path: Path  # of the split CSV
    file_names: list  # as they are in bin/
    labels: list  # class indices, parallel to file_names
    class_names: list  # by class index


@dataclass(frozen=True)
class SplitRecord:
    """How the images were split: split.json, beside the split files. Its keys are the fields' names, with spaces."""

    command_line: str
    seed: int
    date: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))  # ISO 8601
    finished: bool = True  # False while the tables are being written
    choices: dict = field(default_factory=dict)  # {option: value} of intake.Choices, which later splits keep
    leaks_kept: dict = field(default_factory=dict)  # {partition: images with a twin or group in another one}
    options: list = field(default_factory=list)  # words of a command line: what else the split depends on

    def write(self, path):
        """Write split.json, which read_split_record reads."""
        files.write_json(path, {name.replace("_", " "): value for name, value in asdict(self).items()})


def read_split_record(path):
    """Read split.json; None if there is none, since split files may come from elsewhere.

    Raises UserError for a file that is not as SplitRecord.write writes it.
    """
    if not Path(path).exists():
        return None
    content = files.read_json_object(path)
    content = {"choices": {}, "leaks kept": {}, "options": [], **content}  # which earlier versions did not write
    values = [content.get(entry.name.replace("_", " ")) for entry in fields(SplitRecord)]
    if [type(value) for value in values] != [entry.type for entry in fields(SplitRecord)]:
        raise UserError(f"{path}: is not the record of a split; move it elsewhere")
    return SplitRecord(*values)


def require_finished_split(path):
    """Raise UserError if split.json says that the tables beside it were not all written: they may not match."""
    record = read_split_record(path)
    if record is not None and not record.finished:
        raise UserError(f"{path}: the split was not finished; run again: {record.command_line}")


def chosen_folds(project, choice):
    """Return the folds of an organized project that `-fold` chose: [None] without it, [k], or all of them for "all".

    Raises UserError for a fold that the project does not have or that lacks a split file, for a project with folds if
    none was chosen, and for a split that was not finished.
    """
    project.require_organized()
    require_finished_split(project.csv / "split.json")
    folders = project.fold_folders()
    listed = f"folds {', '.join(map(str, folders))}"
    if choice is None and folders:
        raise UserError(f"-fold: {project.root} is split into {listed}; give one of them or all")
    if choice is not None and not folders:
        command = script_command("partition_datasets.py", "-proj_dir", project.root, "-folds", 5)
        raise UserError(f"-fold {choice}: {project.root} has no folds; leave it out, or split into folds: {command}")
    if choice not in (None, "all", *folders):
        raise UserError(f"-fold {choice}: {project.root} has {listed}; give one of them or all")
    chosen = [*folders] if choice == "all" else [choice]
    require_none(
        f"{table}: no such file, while others of fold {fold} are there; put it back, or split again with "
        "partition_datasets.py -folds"
        for fold in chosen
        if fold is not None
        for table in split_tables(folders[fold])
        if not table.exists()
    )
    return chosen


def command_to_split_again(project, *more):
    """Return the command line that splits an organized project as it is split now, with `more` options."""
    record, folds = read_split_record(project.csv / "split.json"), project.fold_folders()
    words = ["-folds", len(folds)] if folds else []
    if record is not None:
        words += [*(["-seed", record.seed] if record.seed else []), *record.options]
    return script_command("partition_datasets.py", "-proj_dir", project.root, *words, *more)


def write_split(path, file_names, labels):
    """Write a split CSV: no header; file name, class index."""
    files.write_csv(path, zip(file_names, labels, strict=True))


def write_classes(path, class_names):
    """Write classes.csv: no header; class index, class name."""
    files.write_csv(path, enumerate(class_names))


def read_split(project, partition, fold=None):
    """Read one partition of an organized project, or of one fold of it, and check it against bin/.

    Returns a Split, its file names spelled as in bin/. Raises UserError with every fault of the file at once: rows
    that are not `file name,class index`, labels that no class has, names that lead out of bin/ or are not in it,
    duplicates, names that another partition holds too, no rows at all.
    """
    project.require_organized()
    require_finished_split(project.csv / "split.json")
    path = project.split_folder(fold) / f"{partition}.csv"
    rows, faults = _read_rows(path)
    class_names = read_class_names(project, fold)
    in_bin = FileNames(entry.name for entry in project.bin.iterdir())
    file_names, first_line_of = [], {}
    for line, file_name, label in rows:
        where = f"{path}, line {line}"
        found = in_bin.find(file_name)
        file_names.append(found)
        if not is_plain_file_name(file_name):
            faults.append(f"{where}: {file_name!r} is not a plain file name; images are in {project.bin} itself")
        elif found is None:
            faults.append(
                f"{where}: {file_name!r} is not in {project.bin}; run organize_files.py if it is still in its class "
                "folder, otherwise put it back or remove the line"
            )
        first_line = first_line_of.setdefault(composed(file_name), line)
        if first_line != line:
            faults.append(f"{where}: {file_name!r} is in line {first_line} already; remove one")
        if label >= len(class_names):
            faults.append(
                f"{where}: class index {label} is out of range; {project.csv / 'classes.csv'} has "
                f"{len(class_names)} classes, 0 to {len(class_names) - 1}"
            )
    faults += _shared_with_other_partitions(path, first_line_of)
    if not rows and not faults:
        faults.append(f"{path}: holds no images; run partition_datasets.py again")
    require_none(faults)
    return Split(partition, path, file_names, [row[2] for row in rows], class_names)


def read_training_splits(project, fold, class_count=None):
    """Read the training and the validation Split; UserError also if their classes make training impossible.

    There must be `class_count` classes, unless that is None.
    """
    splits = [read_split(project, partition, fold) for partition in ("train", "val")]
    require_class_count(splits[0].class_names, class_count)
    _require_classes(*splits)
    return splits


def read_class_names(project, fold):
    """Read the class names of an organized project, by class index.

    Without a classes.csv the classes are named by the indices in the split files: '0', '1', ...
    """
    path = project.csv / "classes.csv"
    if not path.exists():
        tables = filter(Path.exists, split_tables(project.split_folder(fold)))
        labels = [label for table in tables for _, _, label in _read_rows(table)[0]]
        return [str(index) for index in range(max(labels, default=-1) + 1)]
    class_names = []
    for line, row in _csv_rows(path):
        if len(row) != 2 or row[0].strip() != str(len(class_names)) or not row[1]:
            raise UserError(
                f"{path}, line {line}: {','.join(row)!r} is not '{len(class_names)},class name'; "
                "class indices count up from 0"
            )
        class_names.append(row[1])
    if not class_names:
        raise UserError(f"{path}: holds no classes; run partition_datasets.py again")
    if len(set(class_names)) < len(class_names):
        raise UserError(f"{path}: two classes have the same name; give each its own")
    return class_names


def fingerprint(*splits):
    """Return a hash of the images of the splits and their labels, by which a training recognizes its split."""
    content = [
        [split.partition, list(map(composed, split.file_names)), split.labels, split.class_names] for split in splits
    ]
    return files.content_hash(json.dumps(content).encode())


def _require_classes(train, val):
    """Raise UserError if a class has no training image, or if the validation images are all of one class."""
    class_names = train.class_names
    without = [name for index, name in enumerate(class_names) if index not in set(train.labels)]
    faults = [
        f"{train.path}: holds no image of class {name!r}; training needs images of each class" for name in without
    ]
    if len(class_names) < 2:
        faults.append(f"{train.path}: all images are of class {class_names[0]!r}; training needs at least two classes")
    if len(set(val.labels)) < 2:
        faults.append(f"{val.path}: all images are of one class, so they cannot choose an epoch; add some of another")
    require_none(faults)


def read_rows(path):
    """Read a split CSV without checking it against bin/: [(file name, class index)]; UserError with its faults."""
    rows, faults = _read_rows(path)
    require_none(faults)
    return [(file_name, label) for _, file_name, label in rows]


def _read_rows(path):
    """Return [(line number, file name, class index)], and the faults of all other lines."""
    rows, faults = [], []
    for line, row in _csv_rows(path):
        if len(row) != 2:
            faults.append(
                f"{path}, line {line}: {counted(len(row), 'column')}, not 'file name,class index'; correct the line"
            )
        elif not re.fullmatch(r"[0-9]{1,6}", row[1].strip()):
            remark = "a split file has no header" if line == 1 else "class indices are whole numbers from 0"
            faults.append(f"{path}, line {line}: {row[1]!r} is not a class index; {remark}")
        else:
            rows.append((line, row[0], int(row[1])))
    return rows, faults


def _shared_with_other_partitions(path, line_of):
    return [
        f"{path}, line {line_of[composed(name)]}: {name!r} is also in {other}, line {line}; an image belongs to one "
        "partition"
        for other in split_tables(path.parent)
        if other != path and other.exists()
        for line, name, _ in _read_rows(other)[0]
        if composed(name) in line_of
    ]


def _csv_rows(path):
    if not Path(path).exists():
        raise UserError(f"{path}: no such file; run partition_datasets.py and organize_files.py first")
    return files.read_csv(path)
