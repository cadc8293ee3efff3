"""Labels in a table: a CSV with a line for each image, whose columns are found by their header or named by the user."""

from pipeline import image_table, user_table
from pipeline.errors import require_none
from pipeline.file_names import caseless, composed
from pipeline.messages import note_each
from pipeline.partitioning.folders import PARTITION_NAMES, Label

HEADERS = {
    "image": user_table.IMAGE_HEADERS,
    "class": ("class", "classname", "label", "diagnosis"),
    "group": ("group", "patient", "patientid"),
    "split": ("split", "partition"),
}
REQUIRED = ("image", "class")


def read(path, columns, names_of):
    """Read a table of labels; return {source: Label} of the files that it names.

    Args:
        path: a CSV with a header; comma, semicolon or tab.
        columns: {"image", "class", "group" or "split": the header of the column}, for those that the user has named;
            None for one that is not to be read.
        names_of: {source: other names of the file}.

    Prints notes on lines that name no file; a file without a class gets the reason to leave it out. Raises UserError,
    with one line per fault, for missing columns, lines of another width, names of several files, files in two classes
    or groups, and unknown partitions.
    """
    table = user_table.read(path)
    place = _columns(table, columns)
    sources = list(names_of)
    labels, line_of, unknown, faults = {}, {}, [], []
    for line in table.lines(place["image"], [[source, *others] for source, others in names_of.items()], faults):
        cells = {role: line.cells[column] for role, column in place.items()}
        if line.image is None:
            unknown.append(f"{line.where}: {line.name!r} is not one of the files")
        elif cells.get("split") and caseless(cells["split"]) not in PARTITION_NAMES:
            faults.append(f"{line.where}: {cells['split']!r} is not a partition; write train, val or test")
        else:
            source, class_name = sources[line.image], composed(cells["class"])
            partition = PARTITION_NAMES.get(caseless(cells.get("split", "")), "")
            left_out = "" if class_name else f"{image_table.NO_CLASS}{line.number} of {path.name}"
            label = Label(class_name, partition, cells.get("group", ""), left_out)
            if labels.setdefault(source, label) != label:
                first = line_of[source]
                faults.append(f"{line.where}: {source!r} has another label in line {first}; correct one of them")
            line_of.setdefault(source, line.number)
    if not labels and not faults:
        faults.append(f"{path}: names none of the files; the first line names {table.rows[0][1][place['image']]!r}")
    require_none(faults)
    note_each(unknown)
    return labels


def _columns(table, named):
    """Return {role: number of the column}; UserError if a column is missing or two could be meant."""
    path, header, place, faults = table.path, table.header, {}, []
    for role, names in HEADERS.items():
        if named.get(role, "") is None:
            continue
        if role in named:
            found = [number for number, cell in enumerate(header) if cell == named[role]]
            missing = f"-columns {role}={named[role]}: {path} has no such column; its header is {','.join(header)}"
        else:
            found = table.columns_called(names)
            missing = f"{path}: no column for the {role} in its header ({','.join(header)}); give -columns {role}=..."
        if len(found) > 1 and role in named:
            faults.append(f"-columns {role}={named[role]}: {path} has {len(found)} such columns; rename one")
        elif len(found) > 1:
            listed = " and ".join(header[number] for number in found[:2])
            faults.append(f"{path}: the {role} can be {listed}; give -columns {role}=...")
        elif found:
            place[role] = found[0]
        elif role in named or role in REQUIRED:
            faults.append(missing)
    require_none(faults)
    return place
