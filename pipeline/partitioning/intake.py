"""Which files are images and what their labels are: the user's choices, remembered in split.json, applied to files."""

import fnmatch
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from pipeline import corrections, split_files
from pipeline.errors import UserError, require_none
from pipeline.file_names import caseless, composed
from pipeline.messages import command_text, counted, note_each
from pipeline.partitioning import folders, label_table
from pipeline.partitioning.folders import Label
from pipeline.plain_values import are_texts

GROUPED, UNGROUPED = "grouped", "ungrouped"
KEPT, REDRAWN = "kept", "redrawn"


@dataclass(frozen=True)
class Choices:
    """What holds for later splits too, until the user says otherwise; and the tables that are given for this one."""

    files: tuple = ("*",)  # patterns of the files that are images
    subfolders: str = GROUPED  # or UNGROUPED
    patients: str = GROUPED  # or UNGROUPED: the images of a DICOM patient
    partitions: str = KEPT  # or REDRAWN: ready-made ones
    labels_csv: str = ""  # the name of the table that labels come from; "": from folders
    # Of this split only:
    table: Path = None  # of labels
    columns: dict = field(default_factory=dict)  # of it, as label_table.read takes them
    doubtful_labels: Path = None  # a table of them that the user has filled in, see corrections

    @classmethod
    def resolve(cls, project, table, columns, **given):
        """Return the Choices `given`, {field: value or None}, and for None those of the last split, which are told.

        `table`, or None, is one of labels or of doubtful labels; `columns` are [(what, column)], as the user has named
        them.
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
            given["doubtful_labels"] = table  # which leaves it as it is where labels come from
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
        """Return what later splits keep, as far as it differs from the defaults."""
        kept = [entry for entry in fields(self) if entry.name not in ("table", "columns", "doubtful_labels")]
        return {entry.name: getattr(self, entry.name) for entry in kept if getattr(self, entry.name) != entry.default}


def require_found(images, asked):
    """Raise UserError for each option of `asked`, {name: value or None}, that keeps what none of the usable images has.

    UNGROUPED and REDRAWN keep nothing, and hold whether there is something or not.
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
    """Return the ready-made partition of each image of the table as far as it is kept, "" where it is drawn."""
    return images["given_partition"] if choices.partitions == KEPT else images["given_partition"].map(lambda _: "")


def read_labels(walked, earlier, in_bin, choices):
    """Return {source, letters composed: Label} of the files that the user has chosen; print what was passed over.

    Args:
        walked: {source: path} of all files, as folders.walk finds them.
        earlier: ImageRows of the images of earlier splits.
        in_bin: those of them that lie in bin/.
        choices: the Choices. Images of earlier splits that are not in a table of labels keep their label. Corrections
            are of images in bin/, wherever labels come from.
    """
    if choices.labels_csv:
        labels = _remembered(earlier)
        if choices.table:
            bin_names = {row.source: [row.file_name] for row in in_bin}
            names_of = bin_names | {source: [] for source in walked if source not in bin_names}
            labels |= label_table.read(choices.table, choices.columns, names_of)
        _tell_unlabelled(walked, labels, choices.labels_csv)
    else:
        labels = folders.read_labels(dict.fromkeys([*(row.source for row in in_bin), *walked])) | _remembered(in_bin)
    if choices.doubtful_labels:
        labels |= _corrected(labels, in_bin, choices.doubtful_labels)
    # Copies may spell names with decomposed letters.
    labels = {composed(source): label for source, label in labels.items()}
    chosen = {source: label for source, label in labels.items() if _is_chosen(source, choices.files)}
    if labels and not chosen:
        example = next(iter(labels))
        raise UserError(
            f"-files {' '.join(choices.files)}: none of {counted(len(labels), 'file')} has such a name ({example}, "
            "say); correct the pattern, or give -files '*' for all"
        )
    if len(chosen) < len(labels):
        print(f"-files {' '.join(choices.files)}: {len(chosen)} of {len(labels)} files")
    folders.tell_pairs(chosen)
    return chosen


def _corrected(labels, in_bin, path):
    """Return {source: Label} of the images in bin/ that a table of doubtful labels corrects; print how many."""
    source_of = {composed(row.file_name): row.source for row in in_bin if row.source in labels}
    corrected, changed = {}, 0
    for name, class_name in corrections.read(path, source_of, {row.class_name for row in labels.values()}).items():
        label = labels[source_of[name]]
        first = label.corrected_from or label.class_name
        changed += class_name != label.class_name
        before = first if class_name != first else ""
        corrected[source_of[name]] = replace(label, class_name=class_name, corrected_from=before)
    print(f"{path}: {counted(changed, 'label')} corrected, {len(corrected) - changed} confirmed")
    return corrected


def _remembered(rows):
    return {
        row.source: Label(row.class_name, row.given_partition, row.known_group, corrected_from=row.corrected_from)
        for row in rows
        if row.class_name
    }


def _sound(choices):
    """Return of the choices in split.json those that mean something: someone may have changed the file."""
    words = {"subfolders": (GROUPED, UNGROUPED), "patients": (GROUPED, UNGROUPED), "partitions": (KEPT, REDRAWN)}
    patterns, table = choices.get("files"), choices.get("labels_csv")
    sound = {name: choices[name] for name, values in words.items() if choices.get(name) in values}
    if patterns and are_texts(patterns):
        sound["files"] = tuple(patterns)
    return sound | ({"labels_csv": table} if isinstance(table, str) else {})


def _is_chosen(source, patterns):
    """Tell whether a file's name matches one of the patterns, its path where the pattern has a folder."""
    path = caseless(source)
    name = path.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(path if "/" in pattern else name, caseless(pattern)) for pattern in patterns)


def _tell_unlabelled(walked, labels, table):
    """Print notes of the files that no line names, in DIR itself only those of a kind that others are labelled of."""
    kinds = {caseless(source).rpartition(".")[2] for source in labels}
    known = set(map(composed, labels))
    unlabelled = [
        source
        for source in walked
        if composed(source) not in known and ("/" in source or caseless(source).rpartition(".")[2] in kinds)
    ]
    note_each(f"{source}: left out, since {table} does not name it" for source in unlabelled)
