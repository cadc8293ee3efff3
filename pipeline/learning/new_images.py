"""Predictions for image files without labels, of a folder of any size."""

import contextlib
import itertools
import os

import numpy as np
import pandas as pd
import torch

from pipeline.errors import UserError
from pipeline.learning import dropout, image_sets
from pipeline.learning.inference import predict_probabilities
from pipeline.progress import progress_bar, stream_in_threads


def predict_files(place, checkpoint, model, device, batch_size, sample_count=None, overlay_folder=None):
    """Predict every file below a folder, or one file, with the checkpoint's own preprocessing.

    Images are read a batch ahead of the model, so that memory does not grow with their number (but for their names).

    Yields a table for each batch, with a row for each file: file_name (below the folder), predicted_class,
    probability_CLASS for each class, and error, the reason for a file that cannot be read. With `sample_count`, of
    dropout.predict_samples, also predictive_entropy and mutual_information. With `overlay_folder` it writes there, for
    each image, where the model looks. Raises UserError where there is no file.
    """
    preprocessing = checkpoint.build_preprocessing()
    names = find_files(place)
    folder = place.parent if place.is_file() else place
    stream = stream_in_threads(lambda name: image_sets.load_image(folder / name, preprocessing), names, batch_size)
    with contextlib.closing(stream), progress_bar(total=len(names), desc="predicting", unit="image") as bar:
        for start in range(0, len(names), batch_size):
            batch = names[start : start + batch_size]
            images = list(itertools.islice(stream, len(batch)))
            table = pd.DataFrame({"file_name": batch, "error": [image.unreadable for image in images]})
            readable = [image.pixels for image in images if not image.unreadable]
            pixels = torch.from_numpy(np.stack(readable)).to(device) if readable else None
            figures = _figures(model, pixels, preprocessing, checkpoint.class_names, sample_count)
            for position, (column, values) in enumerate(figures.items(), start=1):
                table.insert(position, column, None)
                table.loc[table["error"] == "", column] = values
            if overlay_folder and readable:
                from pipeline.learning import overlays  # not for everyone: it takes a second to import

                chosen = table[table["error"] == ""]
                classes = chosen["predicted_class"].map(checkpoint.class_names.index).tolist()
                overlays.write_overlays(
                    overlay_folder, folder, chosen["file_name"], model, pixels, preprocessing, classes
                )
            yield table
            bar.update(len(batch))


def find_files(place):
    """Return the names of the files below a folder, hidden ones passed over, sorted; or of the one that was given."""
    if place.is_file():
        return [place.name]
    if not place.is_dir():
        raise UserError(f"-images {place}: no such file or folder; check the name")
    names = []
    for folder, below, files in os.walk(place):
        below[:] = [name for name in below if not name.startswith(".")]
        inside = os.path.relpath(folder, place)
        names += [os.path.normpath(os.path.join(inside, name)) for name in files if not name.startswith(".")]
    if not names:
        raise UserError(f"-images {place}: no files in it; give a folder with images")
    return sorted((name.replace(os.sep, "/") for name in names), key=lambda name: name.split("/"))


def _figures(model, pixels, preprocessing, class_names, sample_count):
    """Return {column: values} of the readable images; no values where there are none (`pixels` is None)."""
    more = {}
    if pixels is None:
        probabilities = np.empty((0, len(class_names)))
    elif sample_count is None:
        probabilities = predict_probabilities(model, [pixels], preprocessing)
    else:
        sampled = dropout.predict_samples(model, [pixels], preprocessing, sample_count)
        probabilities = sampled.probabilities
    if sample_count is not None:
        for column in ("predictive_entropy", "mutual_information"):
            more[column] = getattr(sampled, column) if pixels is not None else []
    return {
        "predicted_class": [class_names[index] for index in probabilities.argmax(axis=1)],
        **{f"probability_{name}": values for name, values in zip(class_names, probabilities.T, strict=True)},
        **more,
    }
