"""The files of test_torchvision.py: that its inputs exist, where its outputs go, and what these may not replace.

Imports no torch, so that faults are reported at once.
"""

import re

from pipeline import corrections, files, operating_point, predictions, split_files
from pipeline.classes import resolve_positive_class
from pipeline.errors import UserError
from pipeline.learning import model_files, tasks
from pipeline.learning.architectures import resolve_architecture
from pipeline.project import MODEL_SUFFIX, fold_name


def require(task):
    """Raise UserError if a Task's inputs do not exist, or if it would replace a file of another origin."""
    if task.architecture is not None:
        resolve_architecture(task.architecture)
    if task.name == tasks.PROJECT:
        _require_project(task)
    else:
        model_files.find_all(task.save, task.project, task.fold)
    for option in ("images", "external", "labels_csv", "class_map", "operating_point"):
        place = getattr(task, option)
        if place is not None and not (place.is_file() or place.is_dir()):
            raise UserError(f"-{option} {place}: no such file or folder; check the name")
    if task.name == tasks.NEW and task.out is not None:
        _require_ours(task.out, _is_table)
        _require_ours(point_path(task.out), operating_point.is_alone_in)
        if task.explain:
            _require_folder(pictures_folder(task.out))
    if task.name == tasks.EXTERNAL:
        _require_ours(task.out, predictions.are_in)
    if task.name == tasks.EXPORT:
        _require_ours(task.export, files.has_mark)


def _require_project(task):
    folds = split_files.chosen_folds(task.project, task.fold)
    resolve_positive_class(split_files.read_class_names(task.project, folds[0]), task.positive_class)
    if task.doubtful_labels:
        doubtful_label_paths(task.project, task.doubtful_labels)
    for fold in task.folds:
        predictions_path(task, fold)
    for fold in folds:
        split_files.read_split(task.project, task.partition, fold)


def predictions_path(task, fold):
    """Return the path of the predictions JSON of a fold's model or, for "all", of all models together.

    Raises UserError if there is no such model, or a file of another origin there or in the place of its gallery.
    """
    model = model_files.common_name(model_files.find_all(task.save, task.project, fold))
    if task.result_json_name:
        stem = fold_name(task.result_json_name.removesuffix(".json"), None if fold == "all" else fold)
    else:
        suffix = "" if task.partition == "test" else f"_{task.partition}"
        stem = f"{model.removesuffix(MODEL_SUFFIX)}{suffix}_preds"
    path = task.project.root / f"{stem}.json"
    _require_ours(path, predictions.are_in)
    _require_ours(gallery_path(path), files.has_mark)
    return path


def gallery_path(predictions_path):
    """Return the path of the picture that explains some of the predictions."""
    return predictions_path.with_name(f"{predictions_path.stem}_explained.png")


def pictures_folder(out):
    """Return the folder of the pictures that explain the predictions in a table."""
    return out.with_name(f"{out.stem}_explained")


def results_path(predictions_paths):
    """Return the path of the results of predictions files: one file beside them, for all folds together."""
    first = predictions_paths[0]
    name = first.stem.removesuffix("_preds")
    if len(predictions_paths) > 1:
        name = re.sub(r"_fold_\d+", "", name)  # the partition after it stays
    return first.with_name(f"{name}_results.json")


def doubtful_label_paths(project, name):
    """Return the paths of the page of doubtful labels and its table; UserError if they would replace something else."""
    page = project.root / name
    if page.suffix != ".html" or not page.parent.is_dir():
        raise UserError(f"-doubtful_labels {name}: give a name in {project.root} that ends in .html")
    _require_ours(page, _is_page)
    corrections.require_not_filled_in(page.with_suffix(".csv"))
    return page, page.with_suffix(".csv")


def point_path(out):
    """Return the path of the file with the operating point of a table."""
    return out.with_name(f"{out.stem}_operating_point.json")


def _require_ours(path, is_ours):
    """Raise UserError if a folder is in the way, or a file that is not ours, as `is_ours` tells from its path."""
    if path.is_dir() or (path.is_file() and not is_ours(path)):
        raise UserError(f"{path}: was not written by test_torchvision.py; rename it, or give another name")


def _require_folder(path):
    """Raise UserError if something else is in the place of a folder."""
    if path.exists() and not path.is_dir():
        raise UserError(
            f"{path}: is not a folder, and the pictures need one of this name; rename it, or give another name"
        )


def _is_page(path):
    return files.has_mark(path, "<title>Doubtful labels<")


def _is_table(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline(1000).startswith("file_name,predicted_class,")
