"""Finding images, naming them in bin/, and what images.csv says of each; see pipeline.image_table for its format."""

import itertools
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import files, image_files, image_table, image_values
from pipeline.errors import UserError
from pipeline.file_names import FileNames, caseless, composed
from pipeline.image_table import COLUMNS, TEXT
from pipeline.messages import note, note_each
from pipeline.partitioning import duplicates
from pipeline.progress import map_in_threads
from pipeline.project import is_plain_file_name, is_reserved
from pipeline.remarks import NO_CONTRAST, SEVERAL_PAGES, Remarks

# Found by decoding, needed to group duplicates and to tell of, and not kept in images.csv.
DECODED_COLUMNS = ["pixel_hash", "thumbnail", "remarks"]
# What Windows puts into folders of images; hidden files are passed over as well.
PASSED_OVER = ("thumbs.db", "desktop.ini")
LONGEST_NAME = 255  # bytes, on every usual file system


def find_images(project):
    """Return the table of all images, those in bin/ by now and those in class folders; name the unreadable.

    It has the columns of images.csv, the group still empty, and the decoded ones. Raises UserError where fewer than
    two classes have images.
    """
    path = project.tables / "images.csv"
    earlier = image_table.read(path) if path.exists() else _table([])
    in_bin = {entry.name for entry in _entries(project.bin)} if project.bin.is_dir() else set()
    known = images_in_bin(project, earlier, in_bin)
    found = scan_class_folders(project, known)
    waiting = earlier[~earlier["source"].isin(known["source"])]  # in the class folders still
    group_of = dict(zip(map(composed, waiting["source"]), waiting["known_group"], strict=True))
    found["known_group"] = _texts([group_of.get(composed(source), "") for source in found["source"]], found.index)
    images = assign_bin_names(known, found, in_bin)
    note_each(
        (
            f"left out: {location(project, row)}: {row.left_out}"
            for row in images[images["left_out"] != ""].itertuples()
        ),
        "images.csv has every one",
    )
    remarks = Remarks()
    for row in usable(images).itertuples():
        remarks.add(row.source, row.remarks)
    remarks.tell("images")
    class_names = sorted(set(usable(images)["class_name"]))
    if len(class_names) < 2:
        raise UserError(
            f"{project.root}: images of fewer than two classes in it; give the folder that holds one folder of "
            "images per class"
        )
    alike = [list(names) for _, names in itertools.groupby(sorted(class_names, key=caseless), key=caseless)]
    note_each(
        f"classes {' and '.join(map(repr, names))}: differ in case only; rename a folder if they are one class"
        for names in alike
        if len(names) > 1
    )
    return images


def usable(images):
    """Return the rows of a table that no reason leaves out."""
    return images[images["left_out"] == ""]


def images_in_bin(project, earlier, in_bin):
    """Decode those images of an earlier images.csv, the table `earlier`, whose names are `in_bin` by now.

    Returns a table as `scan_class_folders` does, with the known groups. Tells of images that are gone, and of files
    in bin/ that are not in the table.
    """
    names, rows, gone = FileNames(in_bin), [], []
    for row in earlier[earlier["file_name"] != ""].itertuples():
        file_name = names.find(row.file_name)
        if file_name is not None:
            rows.append(row._replace(file_name=file_name))
        elif not (project.root / row.source).exists():
            gone.append(row)
    note_each(
        f"{project.root / row.source}: is neither there nor in {project.bin}, and so no longer in the split"
        for row in gone
    )
    others = sorted(in_bin - {row.file_name for row in rows}) if len(earlier) else []
    note_each(
        f"{project.bin / name}: is in no table and so in no partition; put it into a class folder" for name in others
    )
    inspected = map_in_threads(
        lambda row: _inspect(project.bin / row.file_name, row.source, row.file_name), rows, "reading bin"
    )
    return _table(inspected).assign(known_group=_texts([row.known_group for row in rows]))


def scan_class_folders(project, already_known):
    """Find and decode every file in the class folders.

    Subfolders of the project folder are class folders, less the reserved and hidden ones; hidden files are
    passed over. `already_known` is a table as `images_in_bin` returns it: files of the same source and content
    are left out, since `organize_files.py --copy` leaves them where they were.

    Returns a table with the columns of images.csv and the decoded ones, in the order of class and file name; a file
    that cannot be read as an image has its reason in `left_out` and no `file_name`.
    """
    folders = [entry for entry in _entries(project.root) if entry.is_dir()]
    reserved = [folder for folder in folders if is_reserved(folder.name)]
    has_tables = (project.tables / "images.csv").exists()
    note_each(
        # Where an earlier run has created them, they are not meant as classes.
        f"{folder}: not taken for a class, since the project keeps its own files there; rename it if it is one"
        for folder in reserved
        if not has_tables or folder.name != caseless(folder.name)
    )
    paths = [path for folder in folders if folder not in reserved for path in _entries(folder)]
    found = _table(map_in_threads(lambda path: _inspect(path, _source(path)), paths, "reading images"))
    known = set(zip(map(composed, already_known["source"]), already_known["content_hash"], strict=True))
    keys = zip(map(composed, found["source"]), found["content_hash"], strict=True)
    return found[np.array([key not in known for key in keys], dtype=bool)]


def assign_bin_names(known, found, in_bin=()):
    """Return one table of both, each image of `found` with a name in bin/ that no other has, case ignored.

    A name stays as it is where it can: same-named images of two classes each get their class in front, and
    names that still collide a number behind. Names of `known` images, and others that are `in_bin`, are in use and
    stay. What another system takes for a separator becomes an underscore, and no name is longer than systems take.
    """
    own_names = [_portable(Path(source).name) for source in found["source"]]
    is_image = list(found["left_out"] == "")
    taken = Counter({caseless(name) for name in (*known["file_name"], *in_bin)})
    taken.update(caseless(name) for name, image in zip(own_names, is_image, strict=True) if image)
    names = []
    for name, class_name, image in zip(own_names, found["class_name"], is_image, strict=True):
        if image and taken[caseless(name)] > 1:
            name = _free_name(_portable(f"{class_name}_{name}"), taken)
            taken[caseless(name)] += 1
        names.append(name if image else "")
    found = found.assign(file_name=_texts(names, found.index))
    return pd.concat([known, found], ignore_index=True).sort_values("source", kind="stable", ignore_index=True)


def location(project, row):
    """Return where the image of a table's row lies: in bin/, or still in its class folder."""
    in_bin = project.bin / row.file_name
    return in_bin if row.file_name and in_bin.exists() else project.root / row.source


def _table(rows):
    return pd.DataFrame(rows, columns=COLUMNS + DECODED_COLUMNS, dtype=TEXT)


def _texts(texts, index=None):
    return pd.Series(texts, index=index, dtype=TEXT)


def _entries(folder):
    """Return what is in a folder, in the order of the names, less what is hidden; tell of one that cannot be read."""
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        note(f"{folder}: passed over: {error.strerror}")
        return []
    return [entry for entry in entries if entry.name[0] != "." and entry.name.lower() not in PASSED_OVER]


def _source(path):
    return f"{path.parent.name}/{path.name}"


def _inspect(path, source, file_name=""):
    """Return the row of a table for one file, its group still to be chosen."""
    row = dict.fromkeys(COLUMNS + DECODED_COLUMNS, "")
    row |= {"source": source, "class_name": composed(source.partition("/")[0]), "file_name": file_name}
    try:
        data = image_files.read_bytes(path)
        row["content_hash"] = files.content_hash(data)
        with image_files.decoded(data) as image:
            row["remarks"] = _remarks_on(image, data)
            row["pixel_hash"] = duplicates.pixel_hash(image)
            row["thumbnail"] = duplicates.thumbnail(image).tobytes()
    except image_files.UnreadableImage as reason:
        row["left_out"] = str(reason)
    except MemoryError:
        row["left_out"] = "too large for this machine's memory"
    return row


def _remarks_on(image, data):
    low, high = image_values.value_range(image) if image_values.is_deep(image) else image.convert("L").getextrema()
    remarks = [NO_CONTRAST] if low == high else []
    return remarks + ([SEVERAL_PAGES] if image_files.page_count(data) > 1 else [])


def _free_name(name, taken):
    """Return `name`, or `name` with the first number behind it that makes it one that is not taken."""
    suffix = Path(name).suffix
    for ending in itertools.chain([suffix], (f"_{number}{suffix}" for number in itertools.count(2))):
        stem = Path(name).stem
        while stem and len((stem + ending).encode("utf-8", "surrogateescape")) > LONGEST_NAME:
            stem = stem[:-1]
        if not taken[caseless(stem + ending)]:
            return stem + ending


def _portable(name):
    return name if is_plain_file_name(name) else re.sub(r"[\\/:]", "_", name)
