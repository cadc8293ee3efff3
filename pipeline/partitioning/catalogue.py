"""images.csv: the one table that knows every image. Finding images, naming them in bin/, reading and writing.

Columns:
    source        where the image came from: class folder/file name
    file_name     its name in bin/; empty for a file that is not an image and stays where it is
    class_name    the class folder's name
    content_hash  SHA-256 of the file's bytes
    group         images with the same number must share a partition
    left_out      why it is in no partition; empty for an image that is in one
"""

import itertools
import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import files, image_files
from pipeline.errors import UserError
from pipeline.messages import note_each
from pipeline.partitioning import duplicates
from pipeline.progress import map_in_threads
from pipeline.project import RESERVED_FOLDERS, is_plain_file_name

COLUMNS = ["source", "file_name", "class_name", "content_hash", "group", "left_out"]
# Found by decoding, needed to group duplicates, and not kept in images.csv.
DECODED_COLUMNS = ["pixel_hash", "difference_hash"]
# File names that are not UTF-8 are not text to pyarrow, which pandas uses for strings where it is installed.
TEXT = object


def find_images(project):
    """Return the table of all images, those in bin/ by now and those in class folders; name the unreadable.

    It has the columns of images.csv, the group still empty, and the decoded ones. Raises UserError where fewer than
    two classes have images.
    """
    known = images_in_bin(project)
    images = assign_bin_names(known, scan_class_folders(project, known))
    note_each(
        (
            f"left out: {location(project, row)}: {row.left_out}"
            for row in images[images["left_out"] != ""].itertuples()
        ),
        "images.csv has every one",
    )
    if usable(images)["class_name"].nunique() < 2:
        raise UserError(
            f"{project.root}: images of fewer than two classes in it; give the folder that holds one folder of "
            "images per class"
        )
    return images


def usable(images):
    """Return the rows of a table that no reason leaves out."""
    return images[images["left_out"] == ""]


def read(path):
    """Read an images.csv as a table of strings, with every fault of it in one UserError."""
    rows = files.read_csv(path)
    if not rows or rows[0][1] != COLUMNS:
        raise UserError(f"{path}: does not begin with the line {','.join(COLUMNS)}; restore it from a copy")
    faults, line_of = [], {}
    for line, row in rows[1:]:
        if len(row) != len(COLUMNS):
            faults.append(f"{path}, line {line}: {len(row)} columns instead of {len(COLUMNS)}; correct the line")
            continue
        source, file_name, class_name = row[:3]
        folder, _, own_name = source.partition("/")
        if not _stays_inside(folder) or not _stays_inside(own_name) or class_name != folder:
            faults.append(f"{path}, line {line}: {source!r} is not 'class name/file name'; correct the line")
        if file_name and not is_plain_file_name(file_name):
            faults.append(f"{path}, line {line}: {file_name!r} is not a plain file name; correct the line")
        first_line = line_of.setdefault(_case_folded(file_name), line)
        if file_name and first_line != line:
            faults.append(f"{path}, line {line}: the name {file_name!r} is that of line {first_line} too; correct it")
    if faults:
        raise UserError(*faults)
    return pd.DataFrame([row for _, row in rows[1:]], columns=COLUMNS, dtype=TEXT)


def write(path, table):
    """Write images.csv, rows in the order of the table."""
    files.write_csv(path, [COLUMNS, *table[COLUMNS].itertuples(index=False)])


def images_in_bin(project):
    """Decode the images of an earlier images.csv that lie in bin/ by now.

    Returns a table as `scan_class_folders` does, empty if there are none.
    """
    path = project.tables / "images.csv"
    if not path.exists() or not project.bin.is_dir():
        return _table([])
    table = read(path)
    present = {entry.name for entry in project.bin.iterdir()}
    rows = list(table[table["file_name"].isin(present)].itertuples())
    inspected = map_in_threads(
        lambda row: _inspect(project.bin / row.file_name, row.source, row.file_name), rows, "reading bin"
    )
    return _table(inspected)


def scan_class_folders(project, already_known):
    """Find and decode every file in the class folders.

    Subfolders of the project folder are class folders, less the reserved and hidden ones; hidden files are
    passed over. `already_known` is a table as `images_in_bin` returns it: files of the same source and content
    are left out, since `organize_files.py --copy` leaves them where they were.

    Returns a table with the columns of images.csv and the decoded ones, in the order of class and file name; a file
    that cannot be read as an image has its reason in `left_out` and no `file_name`.
    """
    folders = [entry for entry in project.root.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    reserved = [folder for folder in folders if folder.name in RESERVED_FOLDERS]
    if reserved and not (project.tables / "images.csv").exists():
        # No earlier run created them: the user may have meant classes.
        note_each(
            f"{folder}: not taken for a class, since the project keeps its own files there; rename it if it is one"
            for folder in sorted(reserved)
        )
    folders = [folder for folder in folders if folder not in reserved]
    paths = [
        path
        for folder in sorted(folders, key=lambda folder: folder.name)
        for path in sorted(folder.iterdir(), key=lambda path: path.name)
        if not path.name.startswith(".")
    ]
    found = _table(map_in_threads(lambda path: _inspect(path, _source(path)), paths, "reading images"))
    known = set(zip(already_known["source"], already_known["content_hash"], strict=True))
    is_new = [key not in known for key in zip(found["source"], found["content_hash"], strict=True)]
    return found[np.array(is_new, dtype=bool)]


def assign_bin_names(known, found):
    """Return one table of both, each image of `found` with a name in bin/ that no other has, case ignored.

    A name stays as it is where it can: same-named images of two classes each get their class in front, and
    names that still collide a number behind. Names of `known` images are in use and stay. What another system
    takes for a separator becomes an underscore.
    """
    own_names = [_portable(Path(source).name) for source in found["source"]]
    is_image = list(found["left_out"] == "")
    taken = Counter(_case_folded(name) for name in known["file_name"])
    taken.update(_case_folded(name) for name, image in zip(own_names, is_image, strict=True) if image)
    names = []
    for name, class_name, image in zip(own_names, found["class_name"], is_image, strict=True):
        if image and taken[_case_folded(name)] > 1:
            name = _free_name(_portable(f"{class_name}_{name}"), taken)
            taken[_case_folded(name)] += 1
        names.append(name if image else "")
    found = found.assign(file_name=pd.Series(names, index=found.index, dtype=TEXT))
    return pd.concat([known, found], ignore_index=True).sort_values("source", kind="stable", ignore_index=True)


def location(project, row):
    """Return where the image of a table's row lies: in bin/, or still in its class folder."""
    in_bin = project.bin / row.file_name
    return in_bin if row.file_name and in_bin.exists() else project.root / row.source


def _table(rows):
    return pd.DataFrame(rows, columns=COLUMNS + DECODED_COLUMNS, dtype=TEXT)


def _source(path):
    return f"{path.parent.name}/{path.name}"


def _inspect(path, source, file_name=""):
    """Return the row of a table for one file, its group still to be chosen."""
    row = dict.fromkeys(COLUMNS + DECODED_COLUMNS, "")
    row |= {"source": source, "class_name": source.partition("/")[0], "file_name": file_name}
    try:
        data = image_files.read_bytes(path)
        row["content_hash"] = files.content_hash(data)
        image = image_files.decode(data)
        row["pixel_hash"] = duplicates.pixel_hash(image)
        row["difference_hash"] = duplicates.difference_hash(image).tobytes().hex()
    except image_files.UnreadableImage as reason:
        row["left_out"] = str(reason)
    return row


def _free_name(name, taken):
    """Return `name`, or `name` with the first number behind it that makes it one that is not taken."""
    stem, suffix = Path(name).stem, Path(name).suffix
    numbered = (f"{stem}_{number}{suffix}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([name], numbered) if not taken[_case_folded(candidate)])


def _portable(name):
    return name if is_plain_file_name(name) else re.sub(r"[\\/:]", "_", name)


def _stays_inside(name):
    # The name of a folder or file that is there already need not be one that other systems take.
    return name not in ("", ".", "..") and Path(name).name == name and "\0" not in name


def _case_folded(name):
    # What case-insensitive and Unicode-normalizing file systems (Windows, macOS) take for the same name.
    return unicodedata.normalize("NFC", name).casefold()
