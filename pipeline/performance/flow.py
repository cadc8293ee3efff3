"""How the images got from the folders into the partitions, and how many were left out and why: a flow diagram.

STARD 2015, item 19 (Bossuyt et al., BMJ 351 (2015) h5527). The numbers are from images.csv and the split files.
"""

from collections import Counter
from dataclasses import dataclass

from pipeline import image_table
from pipeline.file_names import composed
from pipeline.messages import counted
from pipeline.performance.pages import Box, Diagram, Section, Table
from pipeline.project import LONG_NAMES, PARTITIONS, Project, split_tables
from pipeline.split_files import read_rows

TITLE = "Flow of the images"
# Why files were left out, by the beginning of their reason in images.csv; all others cannot be read as an image.
UNREADABLE = "unreadable as an image"
ALWAYS_SHOWN = {
    image_table.LABEL_CONFLICT: "conflicting: the same image in two classes",
    image_table.LEAK: "with a duplicate, or an image of the same group, in another partition",
}
REASONS = ALWAYS_SHOWN | {
    image_table.NO_CLASS: "without a class in the table of labels",
    image_table.NOT_CHOSEN: "not chosen by -files",
}
MOST_CLASSES = 10  # that are listed in a box or a table


@dataclass(frozen=True)
class Count:
    """The number of some images, and of their groups: duplicates, and what else belongs together."""

    images: int
    groups: int

    @classmethod
    def of(cls, groups):
        """Return the Count of images, from the group of each."""
        return cls(len(groups), len(set(groups)))

    def __str__(self):
        return f"{counted(self.images)} in {counted(self.groups, 'group')}"


@dataclass(frozen=True)
class Part:
    """The images of a partition, or of all of them."""

    file_names: frozenset
    count: Count
    of_classes: dict  # {class name: Count}

    @classmethod
    def of(cls, file_names, class_names, groups):
        """Return the Part of images, from their names, class names and groups, three parallel lists."""
        groups_of = {name: [] for name in sorted(set(class_names))}
        for name, group in zip(class_names, groups, strict=True):
            groups_of[name].append(group)
        of_classes = {name: Count.of(each) for name, each in groups_of.items()}
        return cls(frozenset(map(composed, file_names)), Count.of(groups), of_classes)

    def of_class(self, name):
        """Return the Count of a class, which may have no image."""
        return self.of_classes.get(name, Count(0, 0))


@dataclass(frozen=True)
class Flow:
    """What became of the files that were found."""

    found: int
    left_out: dict  # {why: number of files}
    used: Part
    partitions: dict  # {fold: {partition: Part}}; the only fold is None if there are no folds


def read(root, folds, class_names):
    """Return the Flow of the project folder `root` for a list of its folds; None without an images.csv or split files.

    `class_names` are those of the predictions, by class index. Raises UserError for damaged tables.
    """
    project = Project(root)
    tables = {fold: split_tables(project.split_folder(fold)) for fold in folds}
    of_all = project.csv / "images.csv"
    if not all(path.exists() for path in (of_all, *(path for of_fold in tables.values() for path in of_fold))):
        return None
    rows = image_table.read(of_all)
    used = [row for row in rows if not row.left_out]
    left_out = Counter(dict.fromkeys([UNREADABLE, *ALWAYS_SHOWN.values()], 0))
    left_out.update(_why(row.left_out) for row in rows if row.left_out)
    partitions = {
        fold: {name: _part(rows, path, class_names) for name, path in zip(PARTITIONS, of_fold, strict=True)}
        for fold, of_fold in tables.items()
    }
    names, classes, groups = ([getattr(row, name) for row in used] for name in ("file_name", "class_name", "group"))
    return Flow(len(rows), dict(left_out), Part.of(names, classes, groups), partitions)


def section(sources):
    """Return the Section with the flow of the images that Sources of predictions (see provenance) come from.

    If there is none, or only that of another split, a sentence says so. Raises UserError for damaged tables.
    """
    roots = dict.fromkeys(source.root for source in sources)
    if len(roots) > 1:
        return Section(TITLE, ["The predictions are in several folders, each with its own images: no flow is drawn."])
    predictions = [source.predictions for source in sources]
    flow = read(sources[0].root, [one.fold for one in predictions], predictions[0].class_names)
    if flow is None:
        where = "csv/images.csv, or the split files beside it, were not found beside the predictions"
        return Section(TITLE, [f"{where}: the flow of the images cannot be drawn."])
    if any(source.split_changed for source in sources):
        where = f"The {LONG_NAMES[predictions[0].split]} images of these predictions, or their labels, are not those of"
        told = f"{where} the split in this folder: it was changed since, or is another one, and is not drawn."
        return Section(TITLE, [told])
    tables = [_table(flow)] if len(flow.partitions) > 1 else []
    return Section(TITLE, _sentences(flow, sources), tables=tables, diagram=diagram(flow))


def diagram(flow):
    """Return the Diagram of a Flow: found, left out, in the split, and the partitions side by side."""
    left_out = sum(flow.left_out.values())
    aside = Box(f"Left out: {left_out}", tuple(f"{count} {why}" for why, count in flow.left_out.items()))
    steps = (
        (Box(f"Found: {flow.found}", ("files in the folders or the table of labels",)), aside),
        (Box(f"In the split: {flow.used.count}", _lines([flow.used])),),
    )
    return Diagram(
        f"{flow.found} files were found and {left_out} left out; the others are divided into training, validation and "
        "test images.",
        steps,
        tuple(_branch(name, [parts[name] for parts in flow.partitions.values()]) for name in PARTITIONS),
    )


def _branch(partition, parts):
    """Return the Box of a partition, from its Part in each fold."""
    name = LONG_NAMES[partition].capitalize()
    if len(parts) == 1:
        return Box(f"{name}: {parts[0].count}", _lines(parts))
    total = sum(part.count.images for part in parts)
    if len(frozenset.union(*(part.file_names for part in parts))) == total:
        return Box(f"{name}: {counted(total)}", (f"in {len(parts)} folds, each image once", *_lines(parts)))
    return Box(f"{name}: {_range(part.count.images for part in parts)} images a fold", _lines(parts))


def _lines(parts):
    """Return one line per class, on one Part or on the range of several."""
    names = list(dict.fromkeys(name for part in parts for name in part.of_classes))
    if len(names) > MOST_CLASSES:
        numbers = _range(part.of_class(name).images for part in parts for name in names)
        return (f"{len(names)} classes of {numbers} images",)
    if len(parts) == 1:
        return tuple(f"{name}: {parts[0].of_class(name)}" for name in names)
    return tuple(f"{name}: {_range(part.of_class(name).images for part in parts)} a fold" for name in names)


def _range(numbers):
    numbers = list(numbers)
    return f"{min(numbers)} to {max(numbers)}" if min(numbers) < max(numbers) else str(min(numbers))


def _table(flow):
    """Return the Table of several folds, with a row for each partition of each."""
    names = list(flow.used.of_classes) if len(flow.used.of_classes) <= MOST_CLASSES else []
    rows = []
    for fold, parts in sorted(flow.partitions.items()):
        for partition, part in parts.items():
            counts = [part.count, *map(part.of_class, names)]
            rows.append((fold, LONG_NAMES[partition], *(f"{count.images} ({count.groups})" for count in counts)))
    return Table(["fold", "partition", "images", *names], rows, "Images of each fold, with their groups in brackets")


def _sentences(flow, sources):
    """Say what the diagram cannot: whether groups stay together, and whether the predictions are of other images."""
    count, sentences = flow.used.count, []
    kept = sum(sources[0].split.leaks_kept.values()) if sources[0].split else 0
    if kept:
        sentences.append(f"--keep_leaks: {counted(kept)} with a duplicate or a group member in another partition.")
    elif count.groups < count.images:
        sentences.append("Images of a group (duplicates, or known to belong together) are in one partition.")
    if sources[0].predictions.split == "external":
        sentences.append("The images that were tested here come from elsewhere, and are not among these.")
    return sentences


def _part(rows, path, class_names):
    lines = read_rows(path)
    names = [name for name, _ in lines]
    # If the split was changed since, which a sentence says, an index may have no name.
    classes = [class_names[label] if label < len(class_names) else str(label) for _, label in lines]
    return Part.of(names, classes, image_table.groups_in(rows, names))


def _why(reason):
    return next((why for beginning, why in REASONS.items() if reason.startswith(beginning)), UNREADABLE)
