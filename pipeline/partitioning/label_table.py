"""Labels in a table: a CSV with a line for each image, whose columns are found by their header or named by the user."""

import re

from pipeline import files
from pipeline.errors import UserError
from pipeline.file_names import caseless, composed
from pipeline.messages import note_each
from pipeline.partitioning.folders import PARTITION_NAMES, Label
from pipeline.partitioning.name_index import NameIndex

# Headers, compared without case, spaces, underscores and hyphens.
HEADERS = {
    "image": ("filename", "file", "image", "imageid", "imagename", "imagepath", "path", "filepath"),
    "class": ("class", "classname", "label", "diagnosis"),
    "group": ("group", "patient", "patientid"),
    "split": ("split", "partition"),
}
REQUIRED = ("image", "class")


def read(path, columns, names_of):
    """Read a table of labels; return {source: Label} of the files that it names.

    Args:
        path: a CSV with a header; comma, semicolon or tab.
        columns: {"image", "class", "group" or "split": the header of the column}, as far as the user has named them.
        names_of: {source: other names of the file}.

    Lines that name no file are told; a file whose class is empty gets the reason. Raises UserError, with a line a
    fault, for missing columns, lines of another width, names of several files, files in two classes or groups, and
    partitions that are none.
    """
    rows = files.read_csv(path)
    place = _columns(path, rows, columns)
    sources = list(names_of)
    index = NameIndex([[source, *others] for source, others in names_of.items()])
    labels, line_of, unknown, faults = {}, {}, [], []
    for line, row in rows[1:]:
        where = f"{path}, line {line}"
        if len(row) != len(rows[0][1]):
            faults.append(f"{where}: {len(row)} columns instead of {len(rows[0][1])}; correct the line")
            continue
        cells = {role: row[column].strip() for role, column in place.items()}
        found = index.find(cells["image"]) if cells["image"] else []
        if len(found) > 1:
            listed = " and ".join(sources[number] for number in found[:2])
            faults.append(f"{where}: {cells['image']!r} can be {listed}; write the folder too")
        elif not found:
            unknown.append(f"{where}: {cells['image']!r} is none of the files")
        elif cells.get("split") and caseless(cells["split"]) not in PARTITION_NAMES:
            faults.append(f"{where}: {cells['split']!r} is not a partition; write train, val or test")
        else:
            source, label = sources[found[0]], _label(cells, line, path)
            if labels.setdefault(source, label) != label:
                faults.append(f"{where}: {source!r} has another label in line {line_of[source]}; correct one of them")
            line_of.setdefault(source, line)
    if not labels and not faults:
        faults.append(f"{path}: names none of the files; the first line names {rows[1][1][place['image']]!r}")
    if faults:
        raise UserError(*faults)
    note_each(unknown)
    return labels


def _columns(path, rows, named):
    """Return {role: number of the column}; UserError where a column is missing or two could be meant."""
    if len(rows) < 2:
        raise UserError(f"{path}: has no lines below its header; is it the right file?")
    header = [cell.strip() for cell in rows[0][1]]
    plain = [re.sub(r"[\s_-]", "", cell.casefold()) for cell in header]
    place, faults = {}, []
    for role, names in HEADERS.items():
        if role in named:
            found = [number for number, cell in enumerate(header) if cell == named[role]]
            missing = f"-columns {role}={named[role]}: {path} has no such column; its header is {','.join(header)}"
        else:
            found = [number for number, cell in enumerate(plain) if cell in names]
            missing = f"{path}: no column for the {role} in its header ({','.join(header)}); give -columns {role}=..."
        if len(found) > 1:
            listed = " and ".join(header[number] for number in found[:2])
            faults.append(f"{path}: the {role} can be {listed}; give -columns {role}=...")
        elif found:
            place[role] = found[0]
        elif role in named or role in REQUIRED:
            faults.append(missing)
    if faults:
        raise UserError(*faults)
    return place


def _label(cells, line, path):
    class_name = composed(cells["class"])
    return Label(
        class_name,
        PARTITION_NAMES.get(caseless(cells.get("split", "")), ""),
        cells.get("group", ""),
        "" if class_name else f"no class in line {line} of {path.name}",
    )
