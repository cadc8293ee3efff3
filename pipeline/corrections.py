"""The table of doubtful labels, a CSV in which a user corrects them: its format, written and read.

Its column class is empty. What the user writes there is the image's right class; an empty cell changes nothing.
"""

from pipeline import files, user_table
from pipeline.classes import find_class
from pipeline.errors import UserError, require_none
from pipeline.file_names import composed

COLUMNS = [
    "image", "class", "given_class", "suggested_class", "label_quality", "images_in_group", "nearest_of_given_class",
    "nearest_of_suggested_class",
]  # fmt: skip
MARKS = {"image", "class", "given_class"}  # the columns by which a table of doubtful labels is recognized


def is_in(path):
    """Tell whether a CSV file is a table of doubtful labels, even if other columns have been removed or added."""
    rows = files.read_csv(path)
    return bool(rows) and set(_plain(rows[0][1])) >= MARKS


def write(path, rows):
    """Write rows of the COLUMNS, the most doubtful first."""
    files.write_csv(path, [COLUMNS, *rows])


def require_not_filled_in(path):
    """Raise UserError if a new table would replace one that the user has filled in, or another file."""
    if not path.exists():
        return
    if not is_in(path):
        raise UserError(f"{path}: is not a table of doubtful labels; rename it, or give another name")
    rows = files.read_csv(path)
    place = _plain(rows[0][1]).index("class")
    if any(len(row) > place and row[place].strip() for _, row in rows[1:]):
        raise UserError(f"{path}: is filled in, and would be replaced; rename it, or give another name")


def read(path, names, class_names):
    """Return {image: class} of the lines whose class is filled in.

    `names` are those of all images, `class_names` those of all classes, whose case does not matter. Raises UserError,
    with one line per fault, for unknown images and classes, an image with two classes, lines of another width, and if
    nothing is filled in.
    """
    table, names = user_table.read(path), list(names)
    header = _plain(table.header)
    classes, faults, place = {}, [], header.index("class")
    for line in table.lines(header.index("image"), [[name] for name in names], faults):
        written = composed(line.cells[place])
        if not written:
            continue
        class_name = find_class(written, class_names)
        if line.image is None:
            faults.append(f"{line.where}: {line.name!r} is not an image in bin; correct the line")
        elif class_name is None:
            listed = ", ".join(sorted(class_names))
            faults.append(f"{line.where}: {written!r} is not a class ({listed}); correct it")
        elif (above := classes.setdefault(names[line.image], class_name)) != class_name:
            faults.append(f"{line.where}: {line.name!r} has the class {above!r} above; correct one of them")
    if not classes and not faults:
        faults.append(f"{path}: the column class is empty; write the right class of images whose label is wrong")
    require_none(faults)
    return classes


def _plain(header):
    return [cell.strip().casefold() for cell in header]
