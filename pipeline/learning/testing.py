"""Predicting a labelled partition of a project: the model that a Task means, its predictions and their files."""

from dataclasses import replace

import torch

from pipeline import files, image_table, operating_point, split_files
from pipeline.errors import UserError, require_none
from pipeline.learning import checkpoints, image_sets, inference, model_files
from pipeline.learning.architectures import resolve_architecture
from pipeline.learning.classifier import Classifier
from pipeline.learning.devices import memory_shortage_named
from pipeline.learning.ensemble import Ensemble, tell_other_settings
from pipeline.learning.seen import require_unseen
from pipeline.learning.task_files import gallery_path, predictions_path
from pipeline.messages import note
from pipeline.predictions import Predictions


def load_ensemble(task, device, fold, class_names=None):
    """Return the Ensemble that a Task means: of all folds' models for the fold "all", otherwise of one model.

    Raises UserError if the options, or the `class_names` of a project, contradict a file.
    """
    classifiers = []
    for path in model_files.find_all(task.save, task.project, fold):
        checkpoint = checkpoints.complete(
            checkpoints.load(path),
            path,
            architecture=task.architecture and resolve_architecture(task.architecture),
            class_count=task.classes,
            image_shape=task.img_size,
            preprocessing=task.preprocessing,
            class_names=class_names,
            positive_class=task.positive_class,
        )
        classifier = Classifier.from_checkpoint(checkpoint, path, device)
        if classifier.interruption:
            note(f"{path}: the training was not finished, {classifier.interruption}; --resume continues it")
        classifiers.append(classifier)
    return Ensemble.of(classifiers)


def operating_point_of(task, ensemble):
    """Return the OperatingPoint that a Task gives, or None; UserError if it is not of this Ensemble."""
    if task.operating_point is None:
        return None
    point = operating_point.read(task.operating_point)
    together = ensemble.name in point.checkpoints  # measured by all folds' models together, as they predict now
    checkpoints = [
        (ensemble.name if together else member.path.name, member.weights_hash) for member in ensemble.members
    ]
    point.require_model(
        task.operating_point, ensemble.class_names, ensemble.positive_class, checkpoints, task.mc_samples
    )
    return point


def predict_folds(task, device, command_line, explain, doubtful):
    """Predict a Task's partition, for each of its folds, and write the predictions; return the paths.

    `explain` is overlays.draw_gallery, or None; `doubtful` is the DoubtfulLabels to add to, or None.
    """
    paths, members = [], []
    for fold in task.folds:
        ensemble, images, predictions = predict_partition(task, fold, device, command_line)
        path = predictions_path(task, fold)
        if explain:
            predictions.gallery = gallery_path(path).name
            explain(gallery_path(path), ensemble.members[0], images, predictions)
        write_predictions(path, predictions)
        paths.append(path)
        members.append(replace(ensemble.members[0], model=None))
        if doubtful:
            doubtful.add(ensemble.members[0], images, predictions)
    tell_other_settings(members)
    if doubtful:
        doubtful.write()
    return paths


def predict_partition(task, fold, device, command_line):
    """Predict a Task's partition with the model of a fold or, for the fold "all", with all folds' models.

    Returns the Ensemble, the partition's ImageSet and the Predictions. Raises UserError if a model has seen test or
    validation images in training that it must not have seen, see seen.require_unseen.
    """
    project, partition = task.project, task.partition
    folds = split_files.chosen_folds(project, fold)
    ensemble = load_ensemble(task, device, fold, split_files.read_class_names(project, folds[0]))
    split = common_split(project, partition, folds)
    batch_size, sample_count = task.images_at_once, task.mc_samples
    with memory_shortage_named(batch_size, ensemble.views[0].image_shape):
        sets = [image_sets.load_image_set(project, split, view, device) for view in ensemble.views]
        if partition != "train":
            for member, its_fold in zip(ensemble.members, folds, strict=True):
                require_unseen(member, project, split, its_fold, sets[0].content_hashes)
        torch.manual_seed(inference.SAMPLING_SEED)
        batches = zip(*(images.pixels_in_order(batch_size) for images in sets), strict=True)
        outputs = inference.joined([ensemble.outputs(pixels, sample_count) for pixels in batches])
    images = replace(sets[0], preprocessing=ensemble.members[0].preprocessing)
    predictions = labelled_predictions(
        ensemble,
        outputs,
        images.labels.numpy(),
        sample_count,
        file_names=split.file_names,
        groups=image_table.groups_of(project, split.file_names),
        split=partition,
        fold=None if fold == "all" else fold,
        command_line=command_line,
    )
    return ensemble, images, predictions


def common_split(project, partition, folds):
    """Return the Split of a partition; UserError if its images or their labels are not the same in all folds.

    In a usual cross-validation the test images of each fold are training images of the others.
    """
    first, *others = [split_files.read_split(project, partition, fold) for fold in folds]
    if any(sorted(other.file_names) != sorted(first.file_names) for other in others):
        raise UserError(
            f"--ensemble: the {partition} images of each fold are training images of other folds, which proves "
            "nothing; leave it out (each image is then predicted by the fold that has not seen it), or give new images"
        )
    label_of = dict(zip(first.file_names, first.labels, strict=True))
    require_none(
        f"{other.path}: {name!r} has the class index {label}, in {first.path} {label_of[name]}; correct one of them"
        for other in others
        for name, label in zip(other.file_names, other.labels, strict=True)
        if label != label_of[name]
    )
    return first


def labelled_predictions(ensemble, outputs, labels, sample_count, **known):
    """Return the Predictions of an Ensemble for images with known class indices; `known` are further fields."""
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
        positive_class=ensemble.positive_class,
        checkpoint=ensemble.name,
        weights=[member.weights_hash for member in ensemble.members],
        sample_count=sample_count,
        predictive_entropy=outputs.predictive_entropy if of_dropout else None,
        mutual_information=outputs.mutual_information if of_dropout else None,
        interrupted="; ".join(interruptions) or None,
        **known,
    )


def write_predictions(path, predictions):
    """Write the predictions JSON and print how many are correct; remove a gallery of earlier predictions."""
    correct = int((predictions.labels == predictions.predictions).sum())
    print(f"{predictions.split}: {correct} of {len(predictions.labels)} images classified correctly")
    if predictions.gallery:
        print(f"where the model looks: {path.with_name(predictions.gallery)}")
    verb = "replaced" if path.exists() else "wrote"
    predictions.write(path)
    print(f"{verb} {path}")
    # Only now, since the earlier predictions named it.
    if not predictions.gallery and files.remove_drawn(gallery_path(path)):
        print(f"removed {gallery_path(path)}, of earlier predictions")
