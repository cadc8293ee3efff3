"""Where predictions come from: what lies beside them in the project folder, as sections of a page."""

import contextlib
import platform
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path, PurePosixPath, PureWindowsPath

from pipeline import files
from pipeline.errors import UserError, require_none
from pipeline.file_names import composed
from pipeline.messages import in_words, listed
from pipeline.performance import flow
from pipeline.performance.pages import Picture, Section, Table
from pipeline.predictions import Predictions
from pipeline.project import MODEL_SUFFIX, PARTITIONS, Project, is_plain_file_name, split_tables
from pipeline.split_files import SplitRecord, read_rows, read_split_record

OF_EPOCHS = ("number of epochs", "best epoch", "kept epoch")  # in a training record


@dataclass(frozen=True)
class Source:
    """A predictions file and what is known of how it came about."""

    predictions: Predictions
    split: SplitRecord | None
    training: dict  # the training record of the model; empty without one
    split_changed: bool = False  # the split beside the predictions is not theirs, and `split` is None
    trained_since: bool = False  # the training record there is of other weights, and `training` is empty

    @property
    def root(self):
        """The project folder."""
        return self.predictions.path.parent

    @property
    def model(self):
        """The name of the model."""
        return _model_name(self.predictions)

    @property
    def label(self):
        """What distinguishes this source from others."""
        return self.model if self.predictions.fold is None else f"fold {self.predictions.fold}"

    def relative(self, text):
        """Return a text (a command line) with its absolute paths cut to start at the project folder, or to a name."""
        roots = [root for root in (self.root.absolute(), self.root.resolve()) if root.name]

        def cut(match):
            word = re.sub(r"^-[^\s=]*=", "", match[0].strip("'\""))  # PATH of -option=PATH
            if not (PurePosixPath(word).is_absolute() or PureWindowsPath(word).is_absolute()):
                return match[0]
            inside = [str(Path(word).relative_to(root.parent)) for root in roots if Path(word).is_relative_to(root)]
            return match[0].replace(word, inside[0] if inside else PureWindowsPath(word).name)

        return re.sub(r"'[^']*'|\"[^\"]*\"|\S+", cut, text)

    def fingerprints(self):
        """Return [(path in the project folder, SHA-256)] of the predictions and the files that they come from."""
        project, checkpoint = Project(self.root), self.predictions.checkpoint or ""
        of_split = [project.csv / "images.csv", *split_tables(project.split_folder(self.predictions.fold))]
        paths = [
            *([] if self.split_changed else of_split),
            *([project.models / checkpoint] if is_plain_file_name(checkpoint) and not self.trained_since else []),
            self.predictions.path,
        ]
        return [
            (path.relative_to(self.root).as_posix(), files.content_hash(path.read_bytes()))
            for path in paths
            if path.is_file()
        ]

    def curve(self, quantity):
        """Return the Picture of the training's loss or accuracy."""
        known = [name for name in ("best epoch", "number of epochs") if name in self.training]
        epochs = "".join(f"; {name} {self.training[name]}" for name in known)
        text = f"{self.label}: {quantity} by epoch, training and validation{epochs}."
        return Picture(Project(self.root).results / f"{self.model}_{quantity}.png", text)


def read(parts, for_report):
    """Return a Source for each of the Predictions `parts`.

    Raises UserError, one line per fault, if the record of the split is damaged or, for a report, if that of a training
    is damaged or a gallery is missing.
    """
    sources, faults = [], []
    for part in parts:
        gallery = part.gallery and part.path.with_name(part.gallery)
        if for_report and gallery and not gallery.is_file():
            faults.append(f"{gallery}: no such file, which {part.path} names; predict with --explain again")
        try:
            sources.append(_source(part, for_report))
        except UserError as error:
            faults += error.faults
    require_none(faults)
    return sources


def _source(part, for_report):
    """Return the Source of Predictions; a damaged training record is an error only for a report."""
    project, training = Project(part.path.parent), {}
    split, changed = read_split_record(project.csv / "split.json"), _split_has_changed(part)
    record = project.results / f"{_model_name(part)}_hyperparameters.json"
    if is_plain_file_name(record.name) and record.is_file():
        with contextlib.nullcontext() if for_report else contextlib.suppress(UserError):
            training = _training_record(record)
    weights = training.get("weights hash")
    since = None not in (weights, part.weights) and [weights] != part.weights
    return Source(part, None if changed else split, {} if since else training, changed, since)


def _split_has_changed(predictions):
    """Tell whether the split files beside predictions list other images or labels for their partition.

    False if there are none, and for images from elsewhere.
    """
    project, names = Project(predictions.path.parent), predictions.members
    names = names or [[name] for name in predictions.file_names or []]
    folders = project.fold_folders()
    together = predictions.fold is None and len(predictions.weights or ()) > 1  # of all folds' models
    folder = folders[min(folders)] if together and folders else project.split_folder(predictions.fold)
    path = folder / f"{predictions.split}.csv"
    is_split = folders or any(map(Path.exists, split_tables(project.csv)))
    if predictions.split not in PARTITIONS or not names or not is_split:
        return False
    if not path.exists():
        return True
    predicted = {
        (composed(name), int(label)) for each, label in zip(names, predictions.labels, strict=True) for name in each
    }
    try:
        return {(composed(name), label) for name, label in read_rows(path)} != predicted
    except UserError:  # it is damaged
        return True


def _training_record(path):
    """Read a training record; without epochs if the last layer was fitted at once, without a learning rate."""
    record = files.read_json_object(path)
    fitted_at_once = record.get("learning rate", 0) is None
    return {name: value for name, value in record.items() if not (fitted_at_once and name in OF_EPOCHS)}


def folds_of_split(sources):
    """Return the numbers of the folds that the projects of the Sources are split into, unless changed since."""
    return {fold for source in sources if not source.split_changed for fold in Project(source.root).fold_folders()}


def leaks_kept(sources):
    """Return how many of the images measured have a twin or group in another partition: leaks that the split kept."""
    return sum(source.split.leaks_kept.get(source.predictions.split, 0) for source in sources if source.split)


def split_sections(sources):
    """Return the section on how the images were split, and what has changed since, if it is known: [Section] or []."""
    sentences, commands = _split(sources)
    return [Section("Where this comes from", sentences, commands=commands)] if sentences else []


def report_sections(sources, command):
    """Return the sections of a report: flow of the images, explained predictions, training, origin, in this order.

    `command` is the line that writes it. Raises UserError for damaged tables of the split.
    """
    return [flow.section(sources), *_galleries(sources), _training(sources), _origin(sources, command)]


def _galleries(sources):
    """Return the section with the pictures of explained predictions: [Section] or []."""
    galleries = [
        Picture(source.root / source.predictions.gallery, f"{source.label}: where the model looks in some images.")
        for source in sources
        if source.predictions.gallery
    ]
    sentence = (
        "The most confident errors, the least certain and some correct predictions: each image as it is, and below it "
        "where the model looks, the brighter the more."
    )
    style = "large" if len(galleries) == 1 else ""
    return [Section("Where the model looks", [sentence], pictures=galleries, style=style)] if galleries else []


def _training(sources):
    """Return the section on how the models were trained: their curves and settings."""
    recorded = [source for source in sources if source.training]
    missing = [f"{source.model} beside {source.predictions.path.name}" for source in sources if not source.training]
    of = " of these weights" if any(source.trained_since for source in sources) else ""
    sentences = [f"There are no training records{of} of {', of '.join(missing)}."] if missing else []
    curves = [source.curve(quantity) for quantity in ("loss", "accuracy") for source in recorded]
    curves = [picture for picture in curves if picture.path.is_file()]
    tables = [_settings(recorded)] if recorded else []
    return Section("Training", sentences, tables=tables, pictures=curves, style="small" if len(curves) > 2 else "")


def _settings(sources):
    """Return the Table of settings, one column per model; a value that all of them have is given once.

    A setting without a value (of an option without effect, for example) is left out, or an empty cell beside others.
    """
    names = dict.fromkeys(name for source in sources for name, value in source.training.items() if value is not None)
    rows = []
    for name in names:
        if name not in ("command line", "fresh weights"):
            values = [(source, source.training.get(name)) for source in sources]
            cells = ["" if value is None else each.relative(in_words(_rounded(value), ", ")) for each, value in values]
            rows.append((name, *(cells if len(set(cells)) > 1 else cells[:1])))
    if len(sources) == 1:
        return Table(["setting", "value"], rows, f"How {sources[0].model} was trained")
    caption = "How the models were trained; a value given once holds for all"
    return Table(["setting", *(source.label for source in sources)], rows, caption)


def _rounded(value):
    """Return a value of a training record with the numbers in it, many of them computed, rounded to six digits."""
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _origin(sources, command):
    """Return the section on what the figures come from: command lines, fingerprints of the files, versions."""
    sentences, commands = _split(sources)
    for source in sources:
        lines = (source.training.get("command line"), source.predictions.command_line)
        commands += [source.relative(line) for line in lines if isinstance(line, str)]
    several = len({source.root for source in sources}) > 1
    fingerprints = {
        f"{source.root.absolute().name}/{path}" if several else path: fingerprint
        for source in sources
        for path, fingerprint in source.fingerprints()
    }
    packages = {name: version(name) for name in ("numpy", "scikit-learn", "scipy", "matplotlib")}
    return Section(
        "Where this comes from",
        [*sentences, f"This report was written on {datetime.now(UTC):%Y-%m-%d} (UTC), by these commands:"],
        commands=list(dict.fromkeys([*commands, sources[0].relative(command)])),
        tables=[
            Table(["file", "SHA-256"], list(fingerprints.items()), "Fingerprints of the files"),
            Table(["package", "version"], [("python", platform.python_version()), *packages.items()]),
        ],
        notes=[
            "Files with the same fingerprint have the same content. An images.csv holds the hash of every image's "
            "content, its group and where it came from."
        ],
    )


def _split(sources):
    """Return the sentences on how the images were split and what has changed since, and the splits' command lines."""
    known = [source for source in sources if source.split]
    sentences = [
        f"The images were split on {source.split.date[:10]} (UTC) with the random seed {source.split.seed}."
        for source in known
    ]
    changed = [source.predictions.path.name for source in sources if source.split_changed]
    if changed:
        sentences.append(
            f"{listed(changed)}: the split in this folder was changed after predicting, or is another one. How these "
            "images were split is not known."
        )
    since = [f"{source.predictions.path.name} ({source.model})" for source in sources if source.trained_since]
    if since:
        sentences.append(
            f"{listed(since)}: the model was trained again, or further, after predicting. Test it again to measure it "
            "as it is now."
        )
    commands = [source.relative(source.split.command_line) for source in known]
    return list(dict.fromkeys(sentences)), list(dict.fromkeys(commands))


def _model_name(predictions):
    return (predictions.checkpoint or "").removesuffix(MODEL_SUFFIX) or "a model without a name"
