"""images.csv: the one table that knows every image. Its format, read with every fault named, and written.

Columns:
    source           where the image came from, its path in the project folder, usually class folder/file name
    file_name        its name in bin/; empty for a file that is not an image and stays where it is
    class_name       the class folder's name, or what a table of labels says
    content_hash     SHA-256 of the file's bytes
    group            images with the same number must share a partition
    left_out         why it is in no partition; empty for an image that is in one
    known_group      the group that the user has given it (-group_csv, -labels_csv); empty if there is none
    subfolder        the folder directly under the class folder whose images stay together; empty if there is none
    patient          the PatientID of a DICOM file; empty for others
    given_partition  train, val or test in a ready-made split; empty if it is drawn
    corrected_from   the class before the user corrected it, see corrections; empty if it was not corrected
"""

from collections import namedtuple
from pathlib import Path

from pipeline import files
from pipeline.errors import UserError, require_none
from pipeline.file_names import caseless, composed
from pipeline.messages import counted
from pipeline.project import PARTITIONS, is_plain_file_name, is_reserved

FIRST_COLUMNS = ["source", "file_name", "class_name", "content_hash", "group", "left_out"]
# Images with the same entry in one of these columns belong together.
GROUP_COLUMNS = ["known_group", "subfolder", "patient"]
COLUMNS = [*FIRST_COLUMNS, *GROUP_COLUMNS, "given_partition", "corrected_from"]
ImageRow = namedtuple("ImageRow", COLUMNS, defaults=[""] * len(COLUMNS))  # of texts
# How the reasons in left_out begin, except those of files that cannot be read as images.
LABEL_CONFLICT, LEAK, NO_CLASS = "label conflict: ", "leak: ", "no class in line "
NOT_CHOSEN = "not among the files that -files chooses"


def read(path):
    """Read an images.csv as a list of ImageRow; raise one UserError with all its faults."""
    rows = files.read_csv(path)
    if not has_header(rows):
        raise UserError(f"{path}: does not begin with the line {','.join(COLUMNS)}; restore it from a copy")
    faults, line_of = [], {}
    for line, cells in rows[1:]:
        where = f"{path}, line {line}"
        if len(cells) != len(rows[0][1]):
            faults.append(f"{where}: {counted(len(cells), 'column')} instead of {len(rows[0][1])}; correct the line")
            continue
        row = ImageRow(*cells)
        folders = row.source.split("/")
        if not all(map(_stays_inside, folders)):
            faults.append(f"{where}: {row.source!r} is not a path inside the project folder; correct the line")
        elif len(folders) > 1 and is_reserved(folders[0]):
            faults.append(f"{where}: the project keeps its own files in {folders[0]!r}; correct the line")
        if row.file_name and not is_plain_file_name(row.file_name):
            faults.append(f"{where}: {row.file_name!r} is not a plain file name; correct the line")
        first_line = line_of.setdefault(caseless(row.file_name), line)
        if row.file_name and first_line != line:
            faults.append(f"{where}: the name {row.file_name!r} is also that of line {first_line}; correct the line")
        if row.given_partition not in ("", *PARTITIONS):
            parts = ", ".join(PARTITIONS)
            faults.append(f"{where}: {row.given_partition!r} is not a partition; write {parts} or nothing")
    require_none(faults)
    return [ImageRow(*cells) for _, cells in rows[1:]]


def has_header(rows):
    """Tell whether the rows of a CSV file, as files.read_csv returns them, begin as those of an images.csv."""
    # Earlier versions wrote fewer columns.
    return bool(rows) and len(rows[0][1]) >= len(FIRST_COLUMNS) and rows[0][1] == COLUMNS[: len(rows[0][1])]


def write(path, table):
    """Write images.csv, rows in the order of the table, a pandas DataFrame."""
    files.write_csv(path, [COLUMNS, *table[COLUMNS].itertuples(index=False)])


def usable(images):
    """Return the rows of a table, a pandas DataFrame, that are not left out."""
    return images[images["left_out"] == ""]


def groups_of(project, file_names):
    """Return the group of each image, by its name in bin/, as `groups_in` does.

    Returns None if there is no images.csv, without which split files are valid too.
    """
    path = project.csv / "images.csv"
    return groups_in(read(path), file_names) if path.exists() else None


def groups_in(rows, file_names):
    """Return the group of each image as text, from a list of ImageRow; an image that is not in it is its own group."""
    group_of = {composed(row.file_name): row.group for row in rows}
    groups = [group_of.get(composed(name)) for name in file_names]
    return [f"group {group}" if group else name for group, name in zip(groups, file_names, strict=True)]


def names_of(folder):
    """Return [source, name in bin/] of every line of the images.csv in a folder; [] if there is no such file."""
    path = Path(folder) / "images.csv"
    return [[row.source, row.file_name] for row in read(path)] if path.exists() else []


def _stays_inside(name):
    # An existing folder or file may have a name that other systems do not allow.
    return name not in ("", ".", "..") and Path(name).name == name and "\0" not in name
