"""Predictions for image files without labels, of a folder of any size."""

import contextlib
import itertools
import os
import sys

import numpy as np
import pandas as pd
import torch

from pipeline import files
from pipeline.errors import UserError
from pipeline.learning import image_sets, inference
from pipeline.learning.devices import memory_shortage_named
from pipeline.messages import note
from pipeline.progress import progress_bar, stream_in_threads


def predict_new_images(classifier, place, out, *, batch_size, sample_count=None, explain=None):
    """Predict every file below a folder, or one file, and write the table as CSV: to `out`, or standard output if None.

    See `predict_files` for the columns and the other arguments.
    """
    count, unreadable = 0, 0
    replaced = out is not None and out.exists()
    with contextlib.ExitStack() as stack:
        stack.enter_context(memory_shortage_named(batch_size, classifier.preprocessing.image_shape))
        file = sys.stdout if out is None else stack.enter_context(files.whole_text_file(out))
        for table in predict_files(classifier, place, batch_size, sample_count, explain):
            table.to_csv(file, index=False, lineterminator="\n", header=count == 0)
            count, unreadable = count + len(table), unreadable + int((table["error"] != "").sum())
    if unreadable:
        note(f"{unreadable} of {count} files cannot be read; the column error says why")
    if out is not None:
        print(f"{count - unreadable} images predicted; {'replaced' if replaced else 'wrote'} {out}")


def predict_files(classifier, place, batch_size, sample_count=None, explain=None):
    """Predict every file below a folder, or one file, with a Classifier.

    Images are read a batch ahead of the model, so that memory does not grow with their number (except for their names).

    Yields a table for each batch, with a row for each file: file_name (below the folder), predicted_class,
    probability_CLASS for each class, and error, the reason for a file that cannot be read. With `sample_count`, of
    Monte Carlo dropout, also predictive_entropy and mutual_information. `explain` is called for each batch, as
    `overlays.write_overlays` with the folder to write to is. Raises UserError where there is no file.
    """
    names = find_files(place)
    folder = place.parent if place.is_file() else place
    preprocessing = classifier.preprocessing
    torch.manual_seed(inference.SAMPLING_SEED)
    stream = stream_in_threads(lambda name: image_sets.load_image(folder / name, preprocessing), names, batch_size)
    with contextlib.closing(stream), progress_bar(total=len(names), desc="predicting", unit="image") as bar:
        for start in range(0, len(names), batch_size):
            batch = names[start : start + batch_size]
            images = list(itertools.islice(stream, len(batch)))
            table = pd.DataFrame({"file_name": batch, "error": [image.unreadable for image in images]})
            readable = [image.pixels for image in images if not image.unreadable]
            pixels = torch.from_numpy(np.stack(readable)).to(classifier.device) if readable else None
            columns = _columns(classifier, pixels, sample_count)
            for position, (column, values) in enumerate(columns.items(), start=1):
                table.insert(position, column, None)
                table.loc[table["error"] == "", column] = values
            if explain and readable:
                chosen = table[table["error"] == ""]
                classes = chosen["predicted_class"].map(classifier.class_names.index).tolist()
                explain(classifier, folder, chosen["file_name"], pixels, classes)
            yield table
            bar.update(len(batch))


def find_files(place):
    """Return the names of the files below a folder, hidden ones passed over, sorted; or of the one that was given."""
    if place.is_file():
        return [place.name]
    if not place.is_dir():
        raise UserError(f"-images {place}: no such file or folder; check the name")
    names = []
    for folder, below, file_names in os.walk(place):
        below[:] = [name for name in below if not name.startswith(".")]
        inside = os.path.relpath(folder, place)
        names += [os.path.normpath(os.path.join(inside, name)) for name in file_names if not name.startswith(".")]
    if not names:
        raise UserError(f"-images {place}: no files in it; give a folder with images")
    return sorted((name.replace(os.sep, "/") for name in names), key=lambda name: name.split("/"))


def _columns(classifier, pixels, sample_count):
    """Return {column: values} of the readable images; no values where there are none (`pixels` is None)."""
    uncertainty = ("predictive_entropy", "mutual_information") if sample_count is not None else ()
    if pixels is None:
        outputs = inference.Outputs(np.empty((0, len(classifier.class_names))), [], [])
    else:
        outputs = inference.predict(classifier.model, [pixels], classifier.preprocessing, sample_count)
    probabilities = outputs.probabilities
    return {
        "predicted_class": [classifier.class_names[index] for index in probabilities.argmax(axis=1)],
        **{f"probability_{name}": values for name, values in zip(classifier.class_names, probabilities.T, strict=True)},
        **{name: getattr(outputs, name) for name in uncertainty},
    }
