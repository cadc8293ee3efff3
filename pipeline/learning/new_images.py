"""Predictions for image files without labels, in a folder of any size."""

import contextlib
import itertools
import os
import sys

import numpy as np
import pandas as pd
import torch

from pipeline import files, operating_point
from pipeline.errors import UserError
from pipeline.file_names import is_hidden
from pipeline.learning import image_sets, inference
from pipeline.learning.devices import memory_shortage_named
from pipeline.learning.familiarity import FEWEST_VALIDATED, UNLIKE_FROM
from pipeline.learning.seen import seen_in_training
from pipeline.learning.task_files import pictures_folder, point_path
from pipeline.messages import counted, note
from pipeline.progress import progress_bar, stream_in_threads
from pipeline.remarks import Remarks


def predict_new_images(ensemble, task, explain, point):
    """Predict the folder or the file of a Task, and write the table as CSV: to its `out`, or standard output if None.

    The OperatingPoint `point`, if there is one, is written beside `out`; that of an earlier table is removed, and a
    note says where pictures of an earlier one are. See `predict_files` for the columns and the other arguments. Raises
    UserError, after the table is written, if no file is an image.
    """
    out = task.out
    count, unreadable, explained, remarks = 0, 0, set(), Remarks()
    replaced = out is not None and out.exists()
    with contextlib.ExitStack() as stack:
        stack.enter_context(memory_shortage_named(task.images_at_once, ensemble.views[0].image_shape))
        file = sys.stdout if out is None else stack.enter_context(files.whole_text_file(out))
        for table in predict_files(ensemble, task, remarks, explain, point):
            if count == 0:
                file.write(files.csv_text([table.columns]))
            # pandas, like the csv module, would leave a carriage return in a name unquoted.
            cells = table.astype(object).where(table.notna(), None)
            file.write(files.csv_text(cells.itertuples(index=False, name=None)))
            count, unreadable = count + len(table), unreadable + int((table["error"] != "").sum())
            explained.update(table["file_name"][table["error"] == ""] if explain else [])
        if point is not None and out is not None:
            files.write_json(point_path(out), {operating_point.KEY: point.as_json()})
        elif out is not None:
            point_path(out).unlink(missing_ok=True)
    remarks.tell("images")
    if unreadable:
        note(f"{unreadable} of {counted(count, 'file')} cannot be read; the column error says why")
    if ensemble.has_reference and not ensemble.can_tell_unlike:
        note(
            f"unlike_training stays empty: with fewer than {FEWEST_VALIDATED} validation images to compare with, no "
            "image can be called unlike the training images"
        )
    if point is not None:
        note(point.sentence())
    if out is not None:
        by = f" by {len(ensemble.members)} models" if ensemble.several else ""
        print(f"{counted(count - unreadable)} predicted{by}; {'replaced' if replaced else 'wrote'} {out}")
        _tell_earlier_pictures(pictures_folder(out), explained)
    if unreadable == count:
        raise UserError(
            f"-images {task.images}: nothing there can be read as an image; give an image, or a folder of them"
        )


def _tell_earlier_pictures(folder, explained):
    """Print a note about pictures in a folder that are not of the files `explained`, named in the table beside it."""
    drawn = {folder / f"{name}.png" for name in explained}
    earlier = [path for path in folder.rglob("*.png") if path not in drawn]
    if earlier:
        note(f"{folder}: {counted(len(earlier), 'picture')} of an earlier table there; delete what is old")


def predict_files(ensemble, task, remarks, explain, point):
    """Predict every file below the folder of a Task, or its one file, with an Ensemble.

    Yields a table for each batch, with a row for each file: file_name (below the folder), predicted_class,
    probability_CLASS for each class, and error, the reason why a file cannot be read. With Monte Carlo dropout also
    predictive_entropy and mutual_information. Then follow seen_in_training (see `seen.seen_in_training`); for several
    models, fold_deviation and fold_mutual_information (see `inference.combine`); and for models with a reference,
    distance_percentile, unlike_training and nearest_training_image (see `familiarity`).

    `explain` is called for each batch, see `overlays.beside`. `remarks`, a Remarks, collects those on the images. An
    OperatingPoint `point` calibrates the probabilities and, if it has a threshold, adds the columns finding (the class
    that the threshold gives) and threshold. Raises UserError if there is no file.
    """
    found = find_files(task.images, [] if task.out is None else [task.out, point_path(task.out)])
    folder = task.images.parent if task.images.is_file() else task.images

    def load(name):
        if found[name]:
            return image_sets.LoadedImage(unreadable=found[name])
        return image_sets.load_image(folder / name, *ensemble.views)

    for images, pixels, outputs in predicted_batches(ensemble, list(found), load, task):
        for name, image in images.items():
            if not image.unreadable:
                remarks.add(name, image.remarks)
        table = _table(ensemble, images, outputs, task.mc_samples, point)
        if explain and pixels:
            chosen = table[table["error"] == ""]
            shown = chosen[[f"probability_{name}" for name in ensemble.class_names]].to_numpy(dtype=np.float64)
            explain(ensemble.members[0], folder, chosen["file_name"], pixels[0], shown)
        yield table


def predicted_batches(ensemble, names, load, task):
    """Predict image files with an Ensemble, in batches of a Task's size; `load(name)` returns a LoadedImage.

    Only one batch is read ahead of the model, so that memory does not grow with the number of images (except for their
    names).

    Yields for each batch {name: LoadedImage} and, for those that could be read, the pixels from `Ensemble.batch` and
    the inference.Outputs.
    """
    size = task.images_at_once
    # A progress bar would be drawn into a table that is printed on the terminal.
    silent = task.out is None and sys.stdout.isatty()
    torch.manual_seed(inference.SAMPLING_SEED)
    stream = stream_in_threads(load, names, size)
    bar = progress_bar(total=len(names), silent=silent, desc="predicting", unit="image")
    with contextlib.closing(stream), bar:
        for start in range(0, len(names), size):
            images = dict(zip(names[start : start + size], stream, strict=False))
            pixels = ensemble.batch(image.pixels for image in images.values() if not image.unreadable)
            none = inference.Outputs(np.empty((0, len(ensemble.class_names))), [], [], [], np.empty(0), [])
            yield images, pixels, ensemble.outputs(pixels, task.mc_samples) if pixels else none
            bar.update(len(images))


def find_files(place, written=()):
    """Return {name: why it cannot be read, or ""} of the files below a folder, or of the one that was given.

    Hidden files are skipped, and so are the paths `written`, which an earlier run may have left there. Linked folders
    are followed, each once. A folder that cannot be listed has an entry too.
    """
    if place.is_file():
        return {place.name: ""}
    found, visited, ours = {}, set(), {path.name: os.path.realpath(path) for path in written}

    def name_below(path):
        return os.path.relpath(path, place).replace(os.sep, "/")

    def closed(error):
        found[name_below(error.filename)] = f"the folder cannot be read: {error.strerror}"

    for folder, below, file_names in os.walk(place, followlinks=True, onerror=closed):
        try:
            status = os.stat(folder)
        except OSError as error:  # it has disappeared meanwhile
            closed(error)
            below.clear()
            continue
        if (status.st_dev, status.st_ino) in visited:
            below.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        below[:] = sorted(name for name in below if not is_hidden(name))
        for name in itertools.filterfalse(is_hidden, file_names):
            path = os.path.join(folder, name)
            if name not in ours or os.path.realpath(path) != ours[name]:
                found[name_below(path)] = ""
    if not found:
        raise UserError(f"-images {place}: no files in it; give a folder with images")
    return dict(sorted(found.items(), key=lambda entry: entry[0].split("/")))


def _table(ensemble, images, outputs, sample_count, point):
    """Return the table of a batch, {name: LoadedImage}; files that cannot be read have empty cells."""
    names, probabilities, decided = ensemble.class_names, outputs.probabilities, {}
    if point is not None:
        probabilities = point.calibrated(probabilities)
        if point.threshold is not None:
            decided = {"finding": point.findings(probabilities), "threshold": point.threshold}
    columns = {
        "predicted_class": [names[index] for index in probabilities.argmax(axis=1)],
        **{f"probability_{name}": values for name, values in zip(names, probabilities.T, strict=True)},
    }
    if sample_count is not None:
        columns |= {name: getattr(outputs, name) for name in ("predictive_entropy", "mutual_information")}
    readable = {name: image.content_hash for name, image in images.items() if not image.unreadable}
    checkpoints = [member.checkpoint for member in ensemble.members]
    columns |= decided | {"error": "", "seen_in_training": seen_in_training(checkpoints, readable.values())}
    if ensemble.several:
        columns |= {"fold_deviation": outputs.deviation, "fold_mutual_information": outputs.mutual_information}
    if ensemble.has_reference:
        # Rounded down to one decimal, so that none below UNLIKE_FROM looks as if it had reached it.
        columns["distance_percentile"] = np.floor(np.round(outputs.percentile, 6) * 10) / 10
        unlike = np.where(outputs.percentile >= UNLIKE_FROM, "yes", "no")
        columns["unlike_training"] = unlike if ensemble.can_tell_unlike else ""
        columns["nearest_training_image"] = outputs.nearest
    table = pd.DataFrame(columns, pd.Index(readable, name="file_name")).reindex(images)
    return table.assign(error=[image.unreadable for image in images.values()]).reset_index()
