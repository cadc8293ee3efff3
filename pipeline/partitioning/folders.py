"""What the folders say: the class of each file, its subfolder, and ready-made partitions.

All of it follows from a file's source, its path in the project folder: `no/1.png`, `no/patient 7/1.png`,
`Training/no/1.png`. Images that are already in bin/ keep their source, and what follows from it. read_labels finds out
where in a source the class folder is; _below_class and tell_without_images rely on it.
"""

import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.file_names import caseless, composed, is_hidden
from pipeline.messages import counted, note, note_each, printable
from pipeline.project import is_reserved

PARTITION_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# From this number of pairs on, as a fraction of a folder's files, a note is printed. If each image has a mask it is
# 1/2; a few images in two formats are nothing unusual.
PAIRS_TO_TELL = 1 / 8


@dataclass(frozen=True)
class Label:
    """What is known of a file before it is read."""

    class_name: str
    partition: str = ""  # train, val or test if it is ready-made; "" if it is to be drawn
    known_group: str = ""  # as the user has named it
    left_out: str = ""  # why it is in no partition
    corrected_from: str = ""  # the class before the user corrected it


def entries(folder):
    """Return the entries of a folder, sorted by name, without hidden ones; print a note if it cannot be read."""
    try:
        found = sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        note(f"{folder}: skipped: {error.strerror}")
        return []
    return [entry for entry in found if not is_hidden(entry.name)]


def walk(project):
    """Return {source: path} of every file below the project folder, in order, without the project's own files.

    Hidden files and folders are skipped; links are followed, except those to a folder that they are in.
    """
    top = entries(project.root)
    reserved = [entry for entry in top if is_reserved(entry.name) and entry.is_dir()]
    has_tables = (project.tables / "images.csv").exists()
    note_each(
        # If an earlier run has created them, they are not meant as classes.
        f"{folder}: not treated as a class, since the project keeps its own files there; rename it if it is one"
        for folder in reserved
        if not has_tables or folder.name != caseless(folder.name)
    )
    kept = [entry for entry in top if entry not in reserved]
    return dict(_files_among(kept, "", {os.path.realpath(project.root)}))


def read_labels(sources):
    """Return {source: Label} of the files in class folders, which may be in folders of ready-made partitions."""
    folders_of = {source: source.split("/")[:-1] for source in sources}
    if not _are_ready_made(folders_of.values()):
        tell_levels(sources)
        return {source: Label(composed(folders[0])) for source, folders in folders_of.items() if folders}
    labels, passed_over, used = {}, Counter(), {}
    for source, folders in folders_of.items():
        partition = PARTITION_NAMES.get(caseless(folders[0])) if folders else None
        if partition and len(folders) > 1:
            labels[source] = Label(composed(folders[1]), partition)
            used[folders[0]] = partition
        elif folders:
            passed_over[folders[0]] += 1
    listed = ", ".join(f"{folder} ({partition})" for folder, partition in sorted(used.items()))
    print(f"ready-made partitions: {printable(listed)}")
    note_each(
        f"{folder}: skipped {counted(count, 'file')}, not in a class folder of a ready-made partition"
        for folder, count in passed_over.items()
    )
    return labels


def subfolders(images):
    """Return, for each row of a table of images, the folder directly under its class folder, "" if there is none.

    A folder that holds all images of a class counts as part of the class folder, unless it is one of several in another
    class. The class is that of the folder, since an image stays in it even if the user has corrected its class.
    """
    class_names = [corrected or name for corrected, name in images[["corrected_from", "class_name"]].to_numpy()]
    below = [_below_class(source, name) for source, name in zip(images["source"], class_names, strict=True)]
    while True:
        firsts = defaultdict(set)
        for class_name, folders in zip(class_names, below, strict=True):
            firsts[class_name].add(folders[0] if folders else "")
        of_several = {folder for names in firsts.values() if len(names) > 1 for folder in names}
        wrapped = {name for name, names in firsts.items() if len(names) == 1 and not names & {"", *of_several}}
        if not wrapped:
            return [folders[0] if folders else "" for folders in below]
        below = [folders[name in wrapped :] for folders, name in zip(below, class_names, strict=True)]


def tell_without_images(project, class_names):
    """Print a note for each folder that would be a class folder, but is not a class because it holds no image."""
    tops = [entry for entry in entries(project.root) if entry.is_dir() and not is_reserved(entry.name)]
    ready_made = [
        top for top in tops if caseless(top.name) in PARTITION_NAMES and composed(top.name) not in class_names
    ]
    places = [entry for top in ready_made for entry in entries(top) if entry.is_dir()] if ready_made else tops
    note_each(
        f"{place}: no image in it, so it is not a class; if it should be one, put images into it"
        for place in places
        if composed(place.name) not in class_names
    )


def tell_levels(sources):
    """Print notes if the class folders may be one level deeper, or if a folder beside them may hold a copy of them."""
    inner = folders_in_folders(sources)
    tops = {source.partition("/")[0] for source in sources if "/" in source}
    note_each(
        f"{folder}: holds folders with the names of classes, {' and '.join(sorted(names & tops))}; if it is a copy of "
        "them, remove it"
        for folder, names in inner.items()
        if len(names & tops) > 1
    )
    first, *others = inner.values() if len(inner) > 1 and inner.keys() == tops else [set()]
    if len(first) > 1 and all(names == first for names in others):
        note(
            f"{' and '.join(sorted(inner))} hold the same folders, {' and '.join(sorted(first))}: if those are the "
            "classes, put the images into one folder for each of them, or give -labels_csv"
        )


def folders_in_folders(sources):
    """Return {folder at the top: names of the folders directly in it that hold files}."""
    inner = defaultdict(set)
    for top, *below in (source.split("/")[:-1] for source in sources if source.count("/") > 1):
        inner[top].add(below[0])
    return inner


def tell_pairs(sources):
    """Print a note for each folder in which many files only differ in their suffix: one kind may be masks."""
    same, count = defaultdict(list), Counter()
    for source in sources:
        folder, _, name = source.rpartition("/")
        same[folder, PurePosixPath(name).stem].append(source)
        count[folder] += 1
    pairs = defaultdict(list)
    for (folder, _), found in same.items():
        if len(found) > 1:
            pairs[folder].append(found)
    note_each(
        f"{folder or 'the project folder'}: {counted(len(found), 'pair')} of files that only differ in the suffix "
        f"({' and '.join(found[0][:2])}); if one kind are masks, choose the images with -files '*.jpg'"
        for folder, found in pairs.items()
        if len(found) >= PAIRS_TO_TELL * count[folder]
    )


def _are_ready_made(folders_of_files):
    """Tell whether there are ready-made partitions with class folders, and not just a class called train."""
    tops, classes = set(), defaultdict(set)
    for folders in folders_of_files:
        tops.update(folders[:1])
        if folders and caseless(folders[0]) in PARTITION_NAMES:
            classes[folders[0]].update(folders[1:2])
    with_classes = {folder: PARTITION_NAMES[caseless(folder)] for folder, names in classes.items() if names}
    alone = len(with_classes) > 1 or len(tops) == 1
    return "train" in with_classes.values() and alone and len(set().union(*classes.values())) > 1


def _below_class(source, class_name):
    """Return the folders of a source between its class folder, the first or second one, and the file."""
    folders = list(map(composed, source.split("/")[:-1]))
    return folders[folders.index(class_name) + 1 :] if class_name in folders[:2] else []


def _files_among(siblings, prefix, above):
    """Yield (source, path) of the files among a folder's entries and below; `above` are the folders they are in."""
    for entry in siblings:
        if not entry.is_dir():
            yield prefix + entry.name, entry
            continue
        real = os.path.realpath(entry)
        if real not in above:
            yield from _files_among(entries(entry), f"{prefix}{entry.name}/", above | {real})
