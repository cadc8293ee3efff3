"""Pictures of what `explanation` finds: the heat laid over an image, and a gallery of some of a partition's images."""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from pipeline import files, image_files, plots
from pipeline.learning.explanation import explain, scale_label
from pipeline.messages import note, printable
from pipeline.progress import map_in_threads

COLOR_MAP = matplotlib.colormaps["inferno"]
OPACITY = 0.6  # where the heat is greatest; in proportion elsewhere, so that a place without heat is as it was

COLUMNS = 4  # of the gallery


def overlay(image, heat):
    """Lay heat (rows, columns), from 0 to 1, over a Pillow image; return an RGB image of the image's own size."""
    # All in 8 bits, since images may be large.
    heat = Image.fromarray(np.rint(heat * 255).astype(np.uint8)).resize(image.size, Image.Resampling.BILINEAR)
    mask = heat.point([round(OPACITY * value) for value in range(256)])
    colors = heat.copy()
    colors.putpalette(COLOR_MAP(np.arange(256), bytes=True)[:, :3].tobytes())
    return Image.composite(colors.convert("RGB"), image.convert("RGB"), mask)


def write_overlays(target, classifier, folder, names, pixels, classes):
    """Write TARGET/NAME.png for each of the files `names` in a folder: the image with what `explain` finds in it.

    `pixels` are those of the files, as for `explain`; `classes` the indices of their predicted classes. Where one
    cannot be read any more or written (a name too long, say) there is a note, and the others are.
    """
    classes = torch.tensor(classes, device=pixels.device)
    heat = explain(classifier.model, pixels, classifier.preprocessing, classes).numpy()

    def write(task):
        name, heat = task
        path = Path(target, f"{name}.png")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.whole_file(path) as temporary:
                image = decode(folder / name, classifier.preprocessing)
                overlay(image, heat).save(temporary, format="png")
        except (image_files.UnreadableImage, OSError) as error:
            note(f"{path}: {getattr(error, 'strerror', None) or error}; the file has no such picture")

    map_in_threads(write, list(zip(names, heat, strict=True)))


def choose(predictions, count=COLUMNS):
    """Return {what they show: indices} of the images that tell most about a model, up to `count` of each kind.

    The errors that it is most confident of; of the others those that it is least certain of (largest predictive
    entropy); and correct ones that it is certain of, the classes in turn.
    """
    confidence = predictions.probabilities.max(axis=1)
    wrong = predictions.predictions != predictions.labels
    by_confidence = np.argsort(-confidence, kind="stable")
    errors = by_confidence[wrong[by_confidence]][:count]
    by_entropy = np.argsort(-predictions.entropy(), kind="stable")
    unsure = by_entropy[~np.isin(by_entropy, errors)][:count]
    certain = by_confidence[~wrong[by_confidence] & ~np.isin(by_confidence, unsure)]
    # The most confident of each class, then the second of each, ...
    rank = np.zeros(len(wrong), dtype=int)
    for label in np.unique(predictions.labels):
        of_class = certain[predictions.labels[certain] == label]
        rank[of_class] = np.arange(len(of_class))
    right = certain[np.argsort(rank[certain], kind="stable")][:count]
    return {"most confident errors": errors, "least certain": unsure, "correct, and certain": right}


@plots.own_style()
def draw_gallery(path, classifier, images, predictions):
    """Draw the chosen images of an ImageSet, each as it is and below with what `explain` finds in it.

    One that cannot be read any more is left out, with a note.
    """
    decoded = _decode_all(images, np.concatenate(list(choose(predictions).values())))
    kinds = {kind: [index for index in indices if index in decoded] for kind, indices in choose(predictions).items()}
    chosen = np.array(list(decoded), dtype=np.int64)
    heat = _heat_of(classifier.model, images, chosen, predictions.predictions)
    heights = [*[5.2] * len(kinds), 0.7]  # inches, of the last the scale's
    figure = Figure(figsize=(2.4 * COLUMNS, sum(heights)), layout="constrained")
    *parts, last = figure.subfigures(len(heights), height_ratios=heights)
    for part, (kind, indices) in zip(parts, kinds.items(), strict=True):
        part.suptitle(kind if len(indices) else f"{kind}: none", fontweight="bold")
        tiles = part.subplots(2, COLUMNS)
        for axes in tiles.flat:
            axes.axis("off")
        for (above, below), index in zip(tiles.T, indices, strict=False):
            image = decoded[index]
            above.imshow(image.convert("RGB"))
            above.set_title(_caption(predictions, index), fontsize="small")
            below.imshow(overlay(image, heat[index]))
    label = scale_label(classifier.model, images.preprocessing)
    colors = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 1), COLOR_MAP)
    last.colorbar(colors, cax=last.add_axes((0.2, 0.6, 0.6, 0.2)), location="bottom").set_label(label)
    plots.save_figure(figure, path)


def _heat_of(model, images, chosen, classes):
    """Return {index: heat} of the chosen images of a set."""
    if len(chosen) == 0:
        return {}
    parts = list(torch.from_numpy(chosen).split(COLUMNS))
    heat = [
        explain(model, pixels, images.preprocessing, torch.from_numpy(classes[part.numpy()]).to(pixels.device))
        for part, (pixels, _) in zip(parts, images.batches(parts), strict=True)
    ]
    return dict(zip(chosen.tolist(), torch.cat(heat).numpy(), strict=True))


def _caption(predictions, index):
    true, predicted = (
        plots.shown_name(predictions.class_names[classes[index]])
        for classes in (predictions.labels, predictions.predictions)
    )
    name = printable(predictions.file_names[index])
    # The end of a long name tells it from others.
    name = name if len(name) <= 26 else f"…{name[-25:]}"
    probability = predictions.probabilities[index, predictions.predictions[index]]
    return f"{name}\ntrue: {true}\npredicted: {predicted} ({probability:.2f})"


def decode(path, preprocessing):
    """Decode an image file to 8 bits, on the model's scale and at the image's own size."""
    return preprocessing.to_8_bits(image_files.decode_values(image_files.read_bytes(path)))


def _decode_all(images, chosen):
    """Return {index: image} of those of the chosen images of a set that can be read; tell of the others."""
    decoded = {}
    for index in chosen.tolist():
        try:
            decoded[index] = decode(images.paths[index], images.preprocessing)
        except image_files.UnreadableImage as reason:
            note(f"{images.paths[index]}: {reason}; it is not in the gallery")
    return decoded
