"""Which files are images and what their labels are: the user's choices, remembered in split.json, applied to files."""

import fnmatch
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from pipeline import corrections, split_files
from pipeline.errors import UserError, require_none
from pipeline.file_names import caseless, composed
from pipeline.messages import command_text, counted, listed, note, note_each
from pipeline.partitioning import folders, label_table
from pipeline.partitioning.folders import Label
from pipeline.partitioning.split_request import GROUPED, KEPT, REDRAWN, UNGROUPED
from pipeline.plain_values import are_texts


@dataclass(frozen=True)
class Choices:
    """What also holds for later splits, until the user says otherwise, and the tables that are given for this split."""

    files: tuple = ("*",)  # patterns of the files that are images
    subfolders: str = GROUPED  # or UNGROUPED
    patients: str = GROUPED  # or UNGROUPED: the images of a DICOM patient
    partitions: str = KEPT  # or REDRAWN: ready-made ones
    labels_csv: str = ""  # the name of the table that labels come from; "": from folders
    # Of this split only:
    table: Path = None  # of labels
    columns: dict = field(default_factory=dict)  # of that table, as label_table.read takes them
    doubtful_labels: Path = None  # the table of doubtful labels that the user has filled in, see corrections

    @classmethod
    def resolve(cls, project, table, columns, **given):
        """Return the Choices `given`, {field: value or None}; for None use those of the last split, and print them.

        `table` is a table of labels or of doubtful labels, or None; `columns` are [(what, column)], as the user has
        named them.
        """
        require_none(
            f"-columns {what}={column}: names a second column for the {what}; give one"
            for number, (what, column) in enumerate(columns)
            if what in dict(columns[:number])
        )
        record = split_files.read_split_record(project.tables / "split.json")
        earlier = _sound(record.choices if record else {})
        given = {name: value for name, value in given.items() if value is not None}
        if "files" in given:
            given["files"] = tuple(given["files"])
        if table is not None and corrections.is_in(table):
            if columns:
                raise UserError(f"-columns: has no effect with {table}, whose columns are known; leave it out")
            given["doubtful_labels"] = table  # it does not change where labels come from
        elif table is not None:
            given |= {"table": table, "labels_csv": table.name}
        kept = {name: value for name, value in earlier.items() if name not in given}
        chosen = cls(**kept, columns=dict(columns), **given)
        if chosen.labels_csv and "subfolders" in given:
            raise UserError(
                f"-subfolders {given['subfolders']}: has no effect, since labels come from {chosen.labels_csv} and not "
                "from folders; leave it out"
            )
        if kept:
            words = [
                word
                for name, value in kept.items()
                for word in (f"-{name}", *(value if isinstance(value, tuple) else [value]))
            ]
            print(f"as in the earlier split: {command_text(*words)}")
        return chosen

    def as_json(self):
        """Return what later splits keep, without what is at its default."""
        kept = [entry for entry in fields(self) if entry.name not in ("table", "columns", "doubtful_labels")]
        return {entry.name: getattr(self, entry.name) for entry in kept if getattr(self, entry.name) != entry.default}


def require_found(images, asked):
    """Raise UserError for each option of `asked`, {name: value or None}, that keeps what no usable image has.

    UNGROUPED and REDRAWN keep nothing, so they are always accepted.
    """
    require_none(
        f"-{name} {asked[name]}: has no effect, since {missing}; leave it out"
        for name, column, missing in (
            ("subfolders", "subfolder", "there are no folders in class folders"),
            ("patients", "patient", "no PatientID of DICOM files tells images apart"),
            ("partitions", "given_partition", "there are no ready-made partitions"),
        )
        if asked[name] in (GROUPED, KEPT) and not any(images[column])
    )


def given_partitions(images, choices):
    """Return, for each image of the table, the ready-made partition that it keeps, "" if its partition is drawn."""
    return images["given_partition"] if choices.partitions == KEPT else images["given_partition"].map(lambda _: "")


def read_labels(walked, waiting, in_bin, choices):
    """Return the Labels of the files and of the images in bin/ that the user has chosen; print what is left out.

    Returns two dicts, {composed source: Label} and {composed name in bin/: Label}. A file with the same source as an
    image in bin/ is a different image, so what is remembered about that one does not apply to it.

    Args:
        walked: {source: path} of the files, without those that are copied in bin/.
        waiting: ImageRows of the images of earlier splits that are not in bin/.
        in_bin: Rows of those that are.
        choices: the Choices. Images of earlier splits that are not in a table of labels keep their label. Corrections
            apply to images in bin/, wherever labels come from.
    """
    if choices.labels_csv:
        labels, of_bin = {row.source: _remembered(row) for row in waiting if row.class_name}, {}
        if choices.table:
            found, of_bin = _read_table(walked, in_bin, choices)
            labels |= found
        _tell_unlabelled(walked, labels, choices.labels_csv)
    else:
        labels, of_bin = folders.read_labels(dict.fromkeys([*(row.source for row in in_bin), *walked])), {}
    for row in in_bin:
        label = _remembered(row) if row.class_name else labels.get(row.source)
        if label is not None:
            of_bin.setdefault(composed(row.file_name), label)
    if choices.doubtful_labels:
        class_names = {label.class_name for label in (*labels.values(), *of_bin.values())}
        of_bin |= _corrected(of_bin, class_names, choices.doubtful_labels)
    # Copies may spell names with decomposed letters.
    labels = {composed(source): label for source, label in labels.items()}
    source_of = {composed(row.file_name): composed(row.source) for row in in_bin}
    sources = dict.fromkeys([*labels, *(source_of[name] for name in of_bin)])
    chosen = _chosen(sources, choices.files)
    folders.tell_pairs(chosen)
    return (
        {source: label for source, label in labels.items() if source in chosen},
        {name: label for name, label in of_bin.items() if source_of[name] in chosen},
    )


def _chosen(sources, patterns):
    """Return the sources that match one of the patterns, as keys of a dict; print how many if not all do.

    Raises UserError if none does.
    """
    option, chosen = f"-files {' '.join(patterns)}", [source for source in sources if _is_chosen(source, patterns)]
    if sources and not chosen:
        raise UserError(
            f"{option}: none of {counted(len(sources), 'file')} matches (one of them is {next(iter(sources))}); "
            "correct the pattern, or give -files '*' for all"
        )
    if len(chosen) < len(sources):
        print(f"{option}: {len(chosen)} of {len(sources)} files")
    return dict.fromkeys(chosen)


def _read_table(walked, in_bin, choices):
    """Return what the table of labels says of the files, {source: Label}, and of the images in bin/, {name: Label}.

    Prints a note on images in bin/ that get another class. Raises UserError for each file named in the table whose path
    is also that of an image now in bin/: the table could mean either.
    """
    times = Counter(row.source for row in in_bin)
    # Images that came from the same path are only told apart by their names in bin/.
    key_of = {row.file_name: row.source if times[row.source] == 1 else row.file_name for row in in_bin}
    names_of = {key: [name] for name, key in key_of.items()} | {source: [] for source in walked}
    found = label_table.read(choices.table, choices.columns, names_of)
    named = {composed(source): walked[source] for source in found if source in walked}
    require_none(
        f"{named[composed(row.source)]}: is not the image from this path that is now in bin as {row.file_name}, and "
        f"{choices.table} cannot tell the two apart; rename the file, or its folder"
        for row in in_bin
        if composed(row.source) in named
    )
    of_bin = {composed(name): found[key] for name, key in key_of.items() if key in found}
    before = {composed(row.file_name): row.class_name for row in in_bin if row.class_name}
    changed = [
        name for name, label in of_bin.items() if label.class_name and before.get(name) not in (None, label.class_name)
    ]
    if changed:
        note(
            f"{choices.table}: changes the class of {counted(len(changed))} in bin ({listed(changed, 3)}); if you mean "
            "others, write their folders too"
        )
    return {source: label for source, label in found.items() if source in walked}, of_bin


def _corrected(labels, class_names, path):
    """Return {name in bin/: Label} of the images whose labels the table of doubtful labels decides; print how many."""
    corrected, changed = {}, 0
    for name, class_name in corrections.read(path, labels, class_names).items():
        label = labels[name]
        first = label.corrected_from or label.class_name
        changed += class_name != label.class_name
        before = first if class_name != first else ""
        corrected[name] = replace(label, class_name=class_name, corrected_from=before)
    print(f"{path}: {counted(changed, 'label')} corrected, {len(corrected) - changed} confirmed")
    return corrected


def _remembered(row):
    return Label(row.class_name, row.given_partition, row.known_group, corrected_from=row.corrected_from)


def _sound(choices):
    """Return the valid ones of the choices in split.json: someone may have changed the file."""
    words = {"subfolders": (GROUPED, UNGROUPED), "patients": (GROUPED, UNGROUPED), "partitions": (KEPT, REDRAWN)}
    patterns, table = choices.get("files"), choices.get("labels_csv")
    sound = {name: choices[name] for name, values in words.items() if choices.get(name) in values}
    if patterns and are_texts(patterns):
        sound["files"] = tuple(patterns)
    return sound | ({"labels_csv": table} if isinstance(table, str) else {})


def _is_chosen(source, patterns):
    """Tell whether a file's name (its path, if the pattern has a folder) matches one of the patterns."""
    path = caseless(source)
    name = path.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(path if "/" in pattern else name, caseless(pattern)) for pattern in patterns)


def _tell_unlabelled(walked, labels, table):
    """Print a note for each file that no line names; in DIR itself only if a labelled file has the same suffix."""
    kinds = {caseless(source).rpartition(".")[2] for source in labels}
    known = set(map(composed, labels))
    unlabelled = [
        source
        for source in walked
        if composed(source) not in known and ("/" in source or caseless(source).rpartition(".")[2] in kinds)
    ]
    note_each(f"{source}: left out, since {table} does not name it" for source in unlabelled)
