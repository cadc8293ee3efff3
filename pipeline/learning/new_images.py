"""Predictions for image files without labels, of a folder of any size."""

import numpy as np
import pandas as pd
import torch

from pipeline.errors import UserError
from pipeline.learning import image_sets
from pipeline.learning.inference import predict_probabilities
from pipeline.progress import map_in_threads, progress_bar


def predict_files(place, checkpoint, model, device, batch_size):
    """Predict every file below a folder, or one file, with the checkpoint's own preprocessing.

    Images are read a batch at a time, so that memory does not grow with their number.

    Returns a table with a row for each file: file_name (below the folder), predicted_class, probability_CLASS for each
    class, and error, the reason for a file that cannot be read. Raises UserError where there is no file.
    """
    preprocessing = checkpoint.build_preprocessing()
    paths = find_files(place)
    rows = []
    with progress_bar(total=len(paths), desc="predicting", unit="image") as bar:
        for start in range(0, len(paths), batch_size):
            batch = paths[start : start + batch_size]
            loaded = map_in_threads(lambda path: image_sets.load_image(path, preprocessing), batch)
            pixels = [image.pixels for image in loaded if not image.unreadable]
            if pixels:
                stacked = torch.from_numpy(np.stack(pixels)).to(device)
                probabilities = iter(predict_probabilities(model, [stacked], preprocessing))
            for path, image in zip(batch, loaded, strict=True):
                name = path.relative_to(place).as_posix() if path != place else path.name
                values = None if image.unreadable else next(probabilities)
                rows.append([name, *_outcome(checkpoint.class_names, image.unreadable, values)])
            bar.update(len(batch))
    columns = ["file_name", "predicted_class", *(f"probability_{name}" for name in checkpoint.class_names), "error"]
    return pd.DataFrame(rows, columns=columns)


def find_files(place):
    """Return the files below a folder, hidden ones passed over, sorted; or the one file that was given."""
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise UserError(f"-images {place}: no such file or folder; check the name")
    paths = [path for path in sorted(place.rglob("*")) if not path.is_dir()]
    paths = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(place).parts)]
    if not paths:
        raise UserError(f"-images {place}: no files in it; give a folder with images")
    return paths


def _outcome(class_names, reason, probabilities):
    if reason:
        return ["", *[None] * len(class_names), reason]
    return [class_names[probabilities.argmax()], *probabilities, ""]
