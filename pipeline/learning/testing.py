"""Predicting a labelled partition of a project: the model that is meant, its predictions, the files of them."""

from dataclasses import dataclass, replace

import torch

from pipeline import files, image_table, split_files
from pipeline.classes import resolve_positive_class
from pipeline.errors import UserError
from pipeline.learning import checkpoints, image_sets, inference, models
from pipeline.learning.classifier import Classifier
from pipeline.learning.devices import memory_shortage_named
from pipeline.learning.ensemble import Ensemble
from pipeline.learning.seen import require_unseen
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
        return self._load(checkpoints.find(self.name, self.project, fold), device, class_names)

    def load_ensemble(self, device, fold=None, class_names=None):
        """Return the Ensemble of all folds' models for the fold "all", else that of the one model which is meant."""
        if fold != "all":
            return Ensemble((self.load(device, fold, class_names),))
        paths = checkpoints.find_folds(self.name, self.project).values()
        return Ensemble.of([self._load(path, device, class_names) for path in paths])

    def _load(self, path, device, class_names):
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
        classifier = Classifier.from_checkpoint(checkpoint, path, device)
        if classifier.interruption:
            note(f"{path}: the training was not finished, {classifier.interruption}; --resume goes on")
        return classifier


def predict_partition(choice, project, partition, fold, device, *, batch_size, sample_count, command_line):
    """Predict a partition of a project with the model that a ModelChoice means, or for the fold "all" with all folds'.

    Returns the Ensemble, the partition's ImageSet and the Predictions. Raises UserError where the partition is test
    and a model has seen one of the images in training, unless the split was made with --keep_leaks.
    """
    folds = project.folds(fold) if fold == "all" else [fold]
    ensemble = choice.load_ensemble(device, fold, split_files.read_class_names(project, folds[0]))
    split = common_split(project, partition, folds)
    with memory_shortage_named(batch_size, ensemble.views[0].image_shape):
        sets = [image_sets.load_image_set(project, split, view, device) for view in ensemble.views]
        if partition == "test":
            for member, its_fold in zip(ensemble.members, folds, strict=True):
                require_unseen(member.checkpoint, member.path, project, split, its_fold, sets[0].content_hashes)
        torch.manual_seed(inference.SAMPLING_SEED)
        batches = zip(*(images.pixels_in_order(batch_size) for images in sets), strict=True)
        outputs = inference.joined([ensemble.outputs(pixels, sample_count) for pixels in batches])
    images = replace(sets[0], preprocessing=ensemble.members[0].preprocessing)
    predictions = replace(
        labelled_predictions(ensemble, outputs, images.labels.numpy(), sample_count),
        file_names=split.file_names,
        groups=_groups(project, split.file_names),
        split=partition,
        fold=None if ensemble.several else fold,
        command_line=command_line,
    )
    return ensemble, images, predictions


def common_split(project, partition, folds):
    """Return the Split of a partition; UserError where it is not the same in all the folds.

    In a usual cross-validation the test images of each fold are training images of the others.
    """
    first, *others = [split_files.read_split(project, partition, fold) for fold in folds]
    if any(sorted(other.file_names) != sorted(first.file_names) for other in others):
        raise UserError(
            f"--ensemble: the {partition} images of each fold are training images of other folds, which proves "
            "nothing; leave it out (each image is then predicted by the fold that has not seen it), or give new images"
        )
    return first


def labelled_predictions(ensemble, outputs, labels, sample_count=None):
    """Return the Predictions of an Ensemble for images whose class indices are known, without their names."""
    interruptions = [
        f"{member.path.name}: {member.interruption}" if ensemble.several else member.interruption
        for member in ensemble.members
        if member.interruption
    ]
    of_dropout = sample_count is not None
    return Predictions(
        labels=labels,
        predictions=outputs.probabilities.argmax(axis=1),
        probabilities=outputs.probabilities,
        class_names=ensemble.class_names,
        positive_class=ensemble.members[0].checkpoint.positive_class,
        checkpoint=ensemble.name,
        sample_count=sample_count,
        predictive_entropy=outputs.predictive_entropy if of_dropout else None,
        mutual_information=outputs.mutual_information if of_dropout else None,
        interrupted="; ".join(interruptions) or None,
    )


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
