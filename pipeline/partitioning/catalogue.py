"""Finding images, naming them in bin/, and what images.csv says of each; see pipeline.image_table for its format."""

import itertools
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import files, image_files, image_table, image_values, thumbnails
from pipeline.errors import UserError
from pipeline.file_names import FileNames, caseless, composed
from pipeline.image_table import COLUMNS, GROUP_COLUMNS, usable
from pipeline.messages import counted, note_each
from pipeline.partitioning import duplicates, folders, intake, moving
from pipeline.progress import map_in_threads
from pipeline.project import is_plain_file_name
from pipeline.remarks import NO_CONTRAST, SEVERAL_PAGES, Remarks

# Found by decoding, needed to group duplicates and to tell of, and not kept in images.csv.
DECODED_COLUMNS = ["pixel_hash", "thumbnail", "remarks"]
MOST_OF_A_REASON = 4  # images that are left out for the same reason and told one by one
LONGEST_NAME = 255  # bytes, on every usual file system
# File names that are not UTF-8 are not text to pyarrow, which pandas uses for strings where it is installed.
TEXT = object


def find_images(project, choices, forget_groups=False):
    """Return the table of all images, those in bin/ by now and those still to be moved; name the unreadable.

    It has the columns of images.csv, the group still empty, and the decoded ones. `choices` are intake.Choices. With
    `forget_groups` the groups that the user has given in earlier splits are left out. Raises UserError where fewer than
    two classes have images.
    """
    path = project.tables / "images.csv"
    earlier = _table([row._asdict() for row in image_table.read(path)] if path.exists() else [])
    if forget_groups:
        earlier["known_group"] = ""
    in_bin = {entry.name for entry in folders.entries(project.bin)} if project.bin.is_dir() else set()
    known = images_in_bin(project, earlier, in_bin)
    walked = folders.walk(project)
    labels, of_bin = intake.read_labels(walked, earlier, known, choices)
    waiting = earlier[~earlier["source"].isin(known["source"])]
    group_of = dict(zip(map(composed, waiting["source"]), waiting["known_group"], strict=True))
    known = label_known(known, of_bin)
    found = inspect_files(walked, labels, group_of, known)
    if not choices.table:
        found = corrected_again(found, waiting)
    if moving.was_copied(project):
        _tell_copies(project, known, walked, found)
    images = assign_bin_names(known, found, in_bin)
    _tell_left_out(project, images)
    remarks = Remarks()
    for row in usable(images).itertuples():
        remarks.add(row.source, row.remarks)
    remarks.tell("images")
    _check_classes(project, images, choices.labels_csv)
    return _with_found_groups(images, choices)


def images_in_bin(project, earlier, in_bin):
    """Decode those images of an earlier images.csv, the table `earlier`, whose names are `in_bin` by now.

    Returns a table as `inspect_files` does, with the known groups. Tells of images that are gone, and of files in bin/
    that are not in the table.
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
    kept = ["source", "file_name", "class_name", *GROUP_COLUMNS, "given_partition", "corrected_from"]
    inspected = map_in_threads(
        lambda row: _inspect(project.bin / row.file_name, {name: getattr(row, name) for name in kept}),
        rows,
        "reading bin",
    )
    return _table(inspected)


def label_known(known, labels):
    """Return the table of images in bin/ with what `labels`, {name, letters composed: Label}, now say of them."""
    rows = []
    for row in known.to_dict("records"):
        label = labels.get(composed(row["file_name"]))
        if label is None:
            row["left_out"] = image_table.NOT_CHOSEN
        elif label.left_out:
            row["left_out"] = label.left_out
        else:
            row |= {"class_name": label.class_name, "given_partition": label.partition}
            row["corrected_from"] = label.corrected_from
            row["known_group"] = label.known_group or row["known_group"]
        rows.append(row)
    return _table(rows)


def inspect_files(walked, labels, group_of, already_known):
    """Decode the files that have a label.

    Args:
        walked: {source: path} of all files.
        labels: {source, letters composed: Label}.
        group_of: {source, letters composed: group} that the user has given in an earlier split.
        already_known: a table as `images_in_bin` returns it: files of the same source and content are left out, since
            `organize_files.py --copy` leaves them where they were.

    Returns a table with the columns of images.csv and the decoded ones, in the order of the sources; a file that
    cannot be read as an image has its reason in `left_out` and no `file_name`.
    """

    def inspect(source):
        label = labels[composed(source)]
        row = {"source": source, "class_name": label.class_name, "given_partition": label.partition}
        row |= {"known_group": label.known_group or group_of.get(composed(source), ""), "left_out": label.left_out}
        return _inspect(walked[source], row)

    labelled = [source for source in walked if composed(source) in labels]
    found = _table(map_in_threads(inspect, labelled, "reading images"))
    known = set(zip(map(composed, already_known["source"]), already_known["content_hash"], strict=True))
    keys = zip(map(composed, found["source"]), found["content_hash"], strict=True)
    return found[np.array([key not in known for key in keys], dtype=bool)]


def corrected_again(found, waiting):
    """Return the table of files with the corrections of the same images in an earlier one: those that have left bin/.

    So it is where bin/ was deleted after `organize_files.py --copy`.
    """
    of_image = {(composed(row.source), row.content_hash): row for row in waiting.itertuples() if row.corrected_from}
    rows = found.to_dict("records") if of_image else []
    for row in rows:
        earlier = of_image.get((composed(row["source"]), row["content_hash"]))
        if earlier is not None:
            row |= {"class_name": earlier.class_name, "corrected_from": earlier.corrected_from}
    return _table(rows) if of_image else found


def assign_bin_names(known, found, in_bin=()):
    """Return one table of both, each image of `found` with a name in bin/ that no other has, case ignored.

    A name stays as it is where it can: same-named images get the folders that they come from in front, mostly their
    class, and names that still collide a number behind. Names of `known` images, and others that are `in_bin`, are in
    use and stay. What another system takes for a separator becomes an underscore, and no name is longer than systems
    take.
    """
    own_names = [_portable(Path(source).name) for source in found["source"]]
    is_image = list(found["left_out"] == "")
    taken = Counter({caseless(name) for name in (*known["file_name"], *in_bin)})
    taken.update(caseless(name) for name, image in zip(own_names, is_image, strict=True) if image)
    names = []
    for name, source, image in zip(own_names, found["source"], is_image, strict=True):
        if image and taken[caseless(name)] > 1:
            *above, _ = composed(source).split("/")
            name = _free_name(_portable("_".join([*above, name])), taken)
            taken[caseless(name)] += 1
        names.append(name if image else "")
    found = found.assign(file_name=pd.Series(names, found.index, dtype=TEXT))
    return pd.concat([known, found], ignore_index=True).sort_values("source", kind="stable", ignore_index=True)


def location(project, row):
    """Return where the image of a table's row lies: in bin/, or still in its class folder."""
    in_bin = project.bin / row.file_name
    return in_bin if row.file_name and in_bin.exists() else project.root / row.source


def _table(rows):
    return pd.DataFrame(rows, columns=COLUMNS + DECODED_COLUMNS, dtype=TEXT)


def _tell_left_out(project, images):
    """Print a note for each image that is left out; one for all of them where many share the reason."""
    notes = []
    for reason, rows in images[images["left_out"] != ""].groupby("left_out", sort=False):
        places = [location(project, row) for row in rows.itertuples()]
        shown = places if len(places) <= MOST_OF_A_REASON else [f"{places[0]} and {len(places) - 1} more"]
        notes += [f"left out: {place}: {reason}" for place in shown]
    note_each(notes, "images.csv has every one")


def _tell_copies(project, known, walked, found):
    """Tell where class folders that were copied are no longer as bin/, which counts: it may not be what is meant."""
    in_bin = {composed(row.source): project.bin / row.file_name for row in known.itertuples()}
    there = set(map(composed, walked))
    note_each(
        f"{project.root / source}: is gone, but not its copy {copy}, which counts; delete that too if it is to leave "
        "the split"
        for source, copy in in_bin.items()
        if source not in there and (project.root / source).parent.is_dir()
    )
    note_each(
        f"{project.root / row.source}: is no longer the same as its copy {in_bin[composed(row.source)]}; both count; "
        "delete one of them"
        for row in usable(found).itertuples()
        if composed(row.source) in in_bin
    )


def _check_classes(project, images, labels_csv):
    """Raise UserError where fewer than two classes have images; tell of what may not be meant as it is taken."""
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
        raise UserError(f"{project.root}: images of fewer than two classes in it{left_out}; {way_out}")
    if not labels_csv:
        folders.tell_without_images(project, set(class_names))
    alike = [list(names) for _, names in itertools.groupby(sorted(class_names, key=caseless), key=caseless)]
    note_each(
        f"classes {' and '.join(map(repr, names))}: differ in case only; rename a folder if they are one class"
        for names in alike
        if len(names) > 1
    )


def _with_found_groups(images, choices):
    """Return the table with the groups that subfolders and DICOM files give."""
    readable = usable(images)
    images = images.copy()
    images["subfolder"] = ""
    if choices.subfolders == intake.GROUPED and not choices.labels_csv:
        images.loc[readable.index, "subfolder"] = folders.subfolders(readable)
    if choices.patients == intake.UNGROUPED or len(set(readable["patient"]) - {""}) == 1:  # all of one, or anonymous
        images["patient"] = ""
    return images


def _inspect(path, known):
    """Return the row of a table for one file of which some columns are `known`, its group still to be chosen."""
    row = dict.fromkeys(COLUMNS + DECODED_COLUMNS, "") | known
    if row["left_out"]:
        return row
    try:
        data = image_files.read_bytes(path)
        row["content_hash"] = files.content_hash(data)
        with image_files.decoded(data) as image:
            row["remarks"] = _remarks_on(image, data)
            row["pixel_hash"] = duplicates.pixel_hash(image)
            row["thumbnail"] = thumbnails.thumbnail(image).tobytes()
            row["patient"] = image_files.patient(image)
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
