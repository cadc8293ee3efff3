"""Predicting a labelled partition of a project: the model that is meant, its predictions, the files of them."""

from dataclasses import dataclass

import torch

from pipeline import files, image_table, split_files
from pipeline.classes import resolve_positive_class
from pipeline.errors import UserError
from pipeline.learning import checkpoints, image_sets, inference, models
from pipeline.learning.classifier import Classifier
from pipeline.learning.devices import memory_shortage_named
from pipeline.messages import note
from pipeline.predictions import Predictions
from pipeline.predictions import are_in as are_predictions_in
from pipeline.project import MODEL_SUFFIX, Project, fold_name


@dataclass(frozen=True)
class ModelChoice:
    """The checkpoint that the options of test_torchvision.py mean, and what they give of its settings, else None."""

    name: str
    project: Project
    architecture: str
    class_count: int
    image_shape: list
    preprocessing: dict  # "keep_color", "mean", "std", as far as given
    positive_class: str

    def load(self, device, fold=None, class_names=None):
        """Return the Classifier; UserError where the options, or `class_names` of a project, contradict the file."""
        path = checkpoints.find(self.name, self.project, fold)
        checkpoint = checkpoints.complete(
            checkpoints.load(path),
            path,
            architecture=self.architecture and models.resolve_architecture(self.architecture),
            class_count=self.class_count,
            image_shape=self.image_shape,
            preprocessing=self.preprocessing,
            class_names=class_names,
        )
        recorded = checkpoint.positive_class
        chosen = resolve_positive_class(checkpoint.class_names, self.positive_class, recorded)
        if recorded not in (None, chosen):
            note(f"positive class {chosen!r} instead of {recorded!r}, which {path} names")
        checkpoint.positive_class = chosen
        if checkpoint.finished is False:
            of = (checkpoint.options or {}).get("maximum number of epochs", "?")
            note(f"{path}: training was stopped, this is epoch {checkpoint.epoch} of at most {of}; --resume goes on")
        return Classifier.from_checkpoint(checkpoint, path, device)


def predict_partition(choice, project, partition, fold, device, *, batch_size, sample_count, command_line):
    """Predict a partition of a project with the model that a ModelChoice means.

    Returns the Classifier, the partition's ImageSet and the Predictions. Raises UserError where the partition is test
    and the model has seen one of the images in training, unless the split was made with --keep_leaks.
    """
    classifier = choice.load(device, fold, split_files.read_class_names(project, fold))
    split = split_files.read_split(project, partition, fold)
    with memory_shortage_named(batch_size, classifier.preprocessing.image_shape):
        images = image_sets.load_image_set(project, split, classifier.preprocessing, device)
        if partition == "test":
            record = split_files.read_split_record(project.csv / "split.json")
            leaks_kept = bool(record and record.leaks_kept)
            checkpoints.require_unseen(classifier.checkpoint, classifier.path, split, images.content_hashes, leaks_kept)
        batches = images.pixels_in_order(batch_size)
        torch.manual_seed(inference.SAMPLING_SEED)
        outputs = inference.predict(classifier.model, batches, images.preprocessing, sample_count)
    predictions = Predictions(
        labels=images.labels.numpy(),
        predictions=outputs.probabilities.argmax(axis=1),
        probabilities=outputs.probabilities,
        class_names=classifier.class_names,
        positive_class=classifier.checkpoint.positive_class,
        file_names=split.file_names,
        groups=_groups(project, split.file_names),
        split=partition,
        fold=fold,
        checkpoint=classifier.path.name,
        command_line=command_line,
        sample_count=sample_count,
        predictive_entropy=outputs.predictive_entropy,
        mutual_information=outputs.mutual_information,
    )
    return classifier, images, predictions


def _groups(project, file_names):
    """Return the group of each image; None for split files without an images.csv, which do not say."""
    known = (project.csv / "images.csv").exists()
    return image_table.groups_of(project, file_names) if known else None


def predictions_path(project, predictions, json_name=None):
    """Return where the predictions JSON goes: under the name that the user gave, or under the model's.

    Raises UserError where a file of another origin is there, or in the place of its gallery.
    """
    if json_name:
        stem = fold_name(json_name.removesuffix(".json"), predictions.fold)
    else:
        suffix = "" if predictions.split == "test" else f"_{predictions.split}"
        stem = f"{predictions.checkpoint.removesuffix(MODEL_SUFFIX)}{suffix}_preds"
    path = project.root / f"{stem}.json"
    require_ours(path, are_predictions_in)
    require_ours(gallery_path(path), files.has_mark)
    return path


def gallery_path(predictions_path):
    """Return where the picture that explains some of the predictions goes."""
    return predictions_path.with_name(f"{predictions_path.stem}_explained.png")


def require_ours(path, is_ours):
    """Raise UserError where a file is in the way that no script of ours has written; `is_ours` tells by its path."""
    if path.is_file() and not is_ours(path):
        raise UserError(f"{path}: was not written by test_torchvision.py; rename it, or give another name")


def write_predictions(path, predictions):
    """Write the predictions JSON; print how many are correct."""
    correct = int((predictions.labels == predictions.predictions).sum())
    print(f"{predictions.split}: {correct} of {len(predictions.labels)} images classified correctly")
    if predictions.gallery:
        print(f"where the model looks: {path.with_name(predictions.gallery)}")
    verb = "replaced" if path.exists() else "wrote"
    predictions.write(path)
    print(f"{verb} {path}")


def results_path(predictions_paths):
    """Return where the results of predictions files are to go: one beside them, for all folds together."""
    first = predictions_paths[0]
    name = first.stem.removesuffix("_preds")
    if len(predictions_paths) > 1:
        name = name.rpartition("_fold_")[0]
    return first.with_name(f"{name}_results.json")
