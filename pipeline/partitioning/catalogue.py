"""Finding images, choosing their names in bin/, and what images.csv says of each; its format is in image_table."""

import itertools
import re
from collections import Counter, defaultdict, namedtuple
from pathlib import Path

import pandas as pd

from pipeline import files, image_files, image_table, image_values, thumbnails
from pipeline.errors import UserError
from pipeline.file_names import FileNames, caseless, composed
from pipeline.image_table import COLUMNS, usable
from pipeline.messages import counted, note_each
from pipeline.partitioning import duplicates, folders, intake, moving
from pipeline.partitioning.split_request import GROUPED, UNGROUPED
from pipeline.progress import map_in_threads
from pipeline.project import is_plain_file_name
from pipeline.remarks import NO_CONTRAST, SEVERAL_PAGES, Remarks

# Found by decoding: needed to group duplicates and for notes, not kept in images.csv.
DECODED_COLUMNS = ["pixel_hash", "thumbnail", "remarks"]
Row = namedtuple("Row", COLUMNS + DECODED_COLUMNS, defaults=[""] * len(COLUMNS + DECODED_COLUMNS))
MOST_NOTES_FOR_A_REASON = 4  # if more images are left out for the same reason, one note is for all of them
LONGEST_NAME = 255  # bytes, on every usual file system


def find_images(project, choices, forget_groups=False):
    """Return the table of all images, those already in bin/ and those still to be moved; name the unreadable ones.

    It has the columns of images.csv, with the group still empty, and DECODED_COLUMNS. `choices` are intake.Choices.
    `forget_groups` ignores the groups that the user gave in earlier splits. Raises UserError if fewer than two classes
    have images.
    """
    path = project.tables / "images.csv"
    earlier = image_table.read(path) if path.exists() else []
    if forget_groups:
        earlier = [row._replace(known_group="") for row in earlier]
    bin_names = {entry.name for entry in folders.entries(project.bin)} if project.bin.is_dir() else set()
    in_bin = map_in_threads(
        lambda row: _inspect(project.bin / row.file_name, row),
        images_in_bin(project, earlier, bin_names),
        "reading bin",
    )
    moved = {composed(row.file_name) for row in in_bin}
    waiting = [row for row in earlier if composed(row.file_name) not in moved]
    walked = folders.walk(project)
    new = without_copies(walked, in_bin)
    labels, of_bin = intake.read_labels(new, waiting, in_bin, choices)
    in_bin = [_labelled(row, of_bin) for row in in_bin]
    found = inspect_files(new, labels, {composed(row.source): row.known_group for row in waiting})
    if not choices.table:
        found = corrected_again(found, waiting)
    if moving.was_copied(project):
        _tell_copies(project, in_bin, walked, found)
    # Otherwise pandas uses pyarrow's type for strings, if it is installed, which refuses names that are not UTF-8.
    images = pd.DataFrame(assign_bin_names(in_bin, found, bin_names), columns=Row._fields, dtype=object)
    _tell_left_out(project, images)
    remarks = Remarks()
    for row in usable(images).itertuples():
        remarks.add(row.source, row.remarks)
    remarks.tell("images")
    _check_classes(project, images, choices.labels_csv)
    return _with_found_groups(images, choices)


def images_in_bin(project, earlier, bin_names):
    """Return a Row for each of the `earlier` ImageRows whose file is in bin/, which holds `bin_names`.

    Prints notes on images that are gone, and on files in bin/ that are not in the table.
    """
    names, rows, gone = FileNames(bin_names), [], []
    for row in earlier:
        file_name = names.find(row.file_name) if row.file_name else None
        if file_name is not None:
            rows.append(Row(*row)._replace(file_name=file_name, content_hash="", group="", left_out=""))
        elif row.file_name and not (project.root / row.source).exists():
            gone.append(row)
    note_each(
        f"{project.root / row.source}: is gone, and not in {project.bin} either; it is no longer in the split"
        for row in gone
    )
    others = sorted(bin_names - {row.file_name for row in rows}) if earlier else []
    note_each(
        f"{project.bin / name}: is not in images.csv, so it is in no partition; put it into a class folder"
        for name in others
    )
    return rows


def without_copies(walked, in_bin):
    """Return {source: path} of the files `walked`, except those that are copied in bin/: same source, same content.

    `organize_files.py --copy` leaves these where they are, and links stay too. `in_bin` are the Rows of images in bin/.
    """
    hashes = defaultdict(set)
    for row in in_bin:
        hashes[composed(row.source)].add(row.content_hash)

    def is_copy(source):
        try:
            return files.content_hash(image_files.read_bytes(walked[source])) in hashes[composed(source)]
        except image_files.UnreadableImage:
            return False

    met = [source for source in walked if composed(source) in hashes]
    copies = {source for source, same in zip(met, map_in_threads(is_copy, met, "reading copies"), strict=True) if same}
    return {source: path for source, path in walked.items() if source not in copies}


def inspect_files(walked, labels, group_of):
    """Decode the files that have a label.

    Args:
        walked: {source: path} of all files.
        labels: {composed source: Label}.
        group_of: {composed source: group that the user gave in an earlier split}.

    Returns a list of Rows, in the order of `walked`; `left_out` says why a file cannot be read as an image.
    """

    def inspect(source):
        label = labels[composed(source)]
        row = Row(source, class_name=label.class_name, given_partition=label.partition, left_out=label.left_out)
        group = label.known_group or group_of.get(composed(source), "")
        return _inspect(walked[source], row._replace(known_group=group))

    labelled = [source for source in walked if composed(source) in labels]
    return map_in_threads(inspect, labelled, "reading images")


def corrected_again(found, waiting):
    """Return the Rows of files with the corrections that the ImageRows `waiting` hold for the same images.

    These are not in bin/, for example because it was deleted after `organize_files.py --copy`.
    """
    of_image = {(composed(row.source), row.content_hash): row for row in waiting if row.corrected_from}
    earlier = [of_image.get((composed(row.source), row.content_hash), row) for row in found]
    return [
        row._replace(class_name=was.class_name, corrected_from=was.corrected_from)
        for row, was in zip(found, earlier, strict=True)
    ]


def assign_bin_names(in_bin, found, bin_names=()):
    """Return all Rows, sorted by source; each image of `found` has a name in bin/ that is unique even without case.

    A name is kept if possible. Images of the same name get their folders (usually the class) in front of it, and names
    that still collide get a number at the end. The names of the images `in_bin`, and other `bin_names`, are in use and
    stay. What is a separator on another system becomes an underscore, and names that are too long are shortened.
    """
    named = [row._replace(file_name="" if row.left_out else _portable(Path(row.source).name)) for row in found]
    taken = Counter({caseless(name) for name in (*(row.file_name for row in in_bin), *bin_names)})
    taken.update(caseless(row.file_name) for row in named if row.file_name)
    for number, row in enumerate(named):
        if row.file_name and taken[caseless(row.file_name)] > 1:
            *above, _ = composed(row.source).split("/")
            name = _free_name(_portable("_".join([*above, row.file_name])), taken)
            taken[caseless(name)] += 1
            named[number] = row._replace(file_name=name)
    return sorted([*in_bin, *named], key=lambda row: row.source)


def location(project, row):
    """Return the path of the image in a table's row: in bin/, or still in its class folder."""
    path = project.bin / row.file_name
    return path if row.file_name and path.exists() else project.root / row.source


def _tell_left_out(project, images):
    """Print a note for each image that is left out; if many have the same reason, one note for all of them."""
    notes = []
    for reason, rows in images[images["left_out"] != ""].groupby("left_out", sort=False):
        places = [location(project, row) for row in rows.itertuples()]
        shown = places if len(places) <= MOST_NOTES_FOR_A_REASON else [f"{places[0]} and {len(places) - 1} more"]
        notes += [f"left out: {place}: {reason}" for place in shown]
    note_each(notes, "images.csv has every one")


def _tell_copies(project, in_bin, walked, found):
    """Print notes if copied class folders no longer match bin/, which counts: the user may not expect that."""
    copy_of = {composed(row.source): project.bin / row.file_name for row in in_bin}
    there = set(map(composed, walked))
    note_each(
        f"{project.root / source}: is gone, but its copy {copy} still counts; delete that too to take the image out of "
        "the split"
        for source, copy in copy_of.items()
        if source not in there and (project.root / source).parent.is_dir()
    )
    note_each(
        f"{project.root / row.source}: is no longer the same as its copy {copy_of[composed(row.source)]}, so both "
        "count; delete one of them"
        for row in found
        if not row.left_out and composed(row.source) in copy_of
    )


def _check_classes(project, images, labels_csv):
    """Raise UserError if fewer than two classes have images; print notes on what may be a mistake."""
    class_names = sorted(set(usable(images)["class_name"]))
    if len(class_names) < 2:
        way_out = f"correct the classes in {labels_csv}"
        if not labels_csv:
            inner = folders.folders_in_folders(images["source"])
            meant = "".join(f"; did you mean {project.root / top}?" for top, names in inner.items() if len(names) > 1)
            way_out = (
                "give the folder that holds one folder of images per class, or a table of labels with "
                f"-labels_csv{meant}"
            )
        count = int((images["left_out"] != "").sum())
        left_out = f" ({counted(count, 'file')} left out, see above)" if count else ""
        raise UserError(f"{project.root}: holds images of fewer than two classes{left_out}; {way_out}")
    if not labels_csv:
        folders.tell_without_images(project, set(class_names))
    alike = [list(names) for _, names in itertools.groupby(sorted(class_names, key=caseless), key=caseless)]
    note_each(
        f"classes {' and '.join(map(repr, names))}: only differ in case; if they are one class, "
        f"{f'correct {labels_csv}' if labels_csv else 'rename a folder'}"
        for names in alike
        if len(names) > 1
    )


def _with_found_groups(images, choices):
    """Return the table with the groups that follow from subfolders and DICOM files."""
    readable = usable(images)
    images = images.copy()
    images["subfolder"] = ""
    if choices.subfolders == GROUPED and not choices.labels_csv:
        images.loc[readable.index, "subfolder"] = folders.subfolders(readable)
    if choices.patients == UNGROUPED or len(set(readable["patient"]) - {""}) == 1:  # all of one patient, or anonymized
        images["patient"] = ""
    return images


def _inspect(path, row):
    """Return a Row, completed with what the file at `path` says."""
    if row.left_out:
        return row
    try:
        data = image_files.read_bytes(path)
        row = row._replace(content_hash=files.content_hash(data))
        with image_files.decoded(data) as image:
            return row._replace(
                remarks=_remarks_on(image, data),
                pixel_hash=duplicates.pixel_hash(image),
                thumbnail=thumbnails.thumbnail(image).tobytes(),
                patient=image_files.patient(image),
            )
    except image_files.UnreadableImage as reason:
        return row._replace(left_out=str(reason))


def _labelled(row, labels):
    """Return the Row of an image in bin/, updated from `labels`, {composed name: Label}."""
    label = labels.get(composed(row.file_name))
    if label is None or label.left_out:
        return row._replace(left_out=label.left_out if label else image_table.NOT_CHOSEN)
    return row._replace(
        class_name=label.class_name,
        given_partition=label.partition,
        corrected_from=label.corrected_from,
        known_group=label.known_group or row.known_group,
    )


def _remarks_on(image, data):
    low, high = image_values.value_range(image) if image_values.is_deep(image) else image.convert("L").getextrema()
    remarks = [NO_CONTRAST] if low == high else []
    return remarks + ([SEVERAL_PAGES] if image_files.page_count(data) > 1 else [])


def _free_name(name, taken):
    """Return `name`, shortened if it is too long, and with the first free number at its end if it is taken."""
    suffix = Path(name).suffix
    for ending in itertools.chain([suffix], (f"_{number}{suffix}" for number in itertools.count(2))):
        stem = Path(name).stem
        while stem and len((stem + ending).encode("utf-8", "surrogateescape")) > LONGEST_NAME:
            stem = stem[:-1]
        if not taken[caseless(stem + ending)]:
            return stem + ending


def _portable(name):
    return name if is_plain_file_name(name) else re.sub(r"[\\/:]", "_", name)
