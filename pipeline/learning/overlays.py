"""Pictures of what `explanation` finds: the heat laid over an image, and a gallery of some images of a partition."""

import errno
import functools
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from pipeline import files, image_files, plots, tiles
from pipeline.learning.explanation import explain, scale_label
from pipeline.learning.task_files import pictures_folder
from pipeline.messages import note, printable, shortened
from pipeline.progress import map_in_threads

COLOR_MAP = matplotlib.colormaps["inferno"]
OPACITY = 0.6  # where the heat is greatest; in proportion elsewhere, so that places without heat stay as they are

SMALLEST = 320  # pixels, the longer side of an image in a picture of its own; smaller ones are enlarged
COLUMNS = 4  # of the gallery


def overlay(image, heat):
    """Lay heat (rows, columns), from 0 to 1, over a Pillow image; return an RGB image of the image's own size."""
    # All in 8 bits, since images may be large.
    heat = Image.fromarray(np.rint(heat * 255).astype(np.uint8)).resize(image.size, Image.Resampling.BILINEAR)
    mask = heat.point([round(OPACITY * value) for value in range(256)])
    return Image.composite(_colored(heat), image.convert("RGB"), mask)


def _colored(heat):
    """Return heat, a Pillow image of mode L, in the colours of the scale."""
    colors = heat.copy()
    colors.putpalette(COLOR_MAP(np.arange(256), bytes=True)[:, :3].tobytes())
    return colors.convert("RGB")


def beside(out):
    """Return `write_overlays` for the folder beside a table of new images, and print where it is."""
    folder = pictures_folder(out)
    print(f"where the model looks: {folder}")
    return functools.partial(write_overlays, folder)


def write_overlays(target, classifier, folder, names, pixels, probabilities):
    """Write TARGET/NAME.png for each of the files `names` in a folder: the image and what `explain` finds in it.

    `pixels` are those of the files, as for `explain`; `probabilities`, float (n, classes), are the predicted ones. A
    picture that cannot be written (because its image can no longer be read, its name is too long, or a file of another
    origin is in its place) gets a note, and the others are written.
    """
    found = torch.from_numpy(probabilities.argmax(axis=1)).to(pixels.device)
    heat = explain(classifier.model, pixels, classifier.preprocessing, found).numpy()
    scale = scale_label(classifier.model, classifier.preprocessing)

    def write(task):
        name, heat, probabilities = task
        path = Path(target, f"{name}.png")
        try:
            if path.is_file() and not files.has_mark(path):
                raise FileExistsError(errno.EEXIST, "was not written by test_torchvision.py", str(path))
            path.parent.mkdir(parents=True, exist_ok=True)
            image = decode(folder / name, classifier.preprocessing)
            predicted = shortened(classifier.class_names[probabilities.argmax()], 40)
            caption = f"predicted: {predicted} ({probabilities.max():.2f})"
            tiles.save(explained(image, overlay(image, heat), name, caption, scale), path)
        except (image_files.UnreadableImage, OSError) as error:
            note(f"{path}: {getattr(error, 'strerror', None) or error}; there is no picture of this file")

    map_in_threads(write, list(zip(names, heat, probabilities, strict=True)))


def explained(image, overlaid, name, caption, scale):
    """Return a Pillow picture: an image and, beside it, the same with heat laid over it, both at the image's own size.

    Above them are its name and a caption, below them the scale of the heat and what it means. Small images are enlarged
    by a whole number, and letters grow with large ones.
    """
    factor = max(1, round(SMALLEST / max(image.size)))
    images = [one.convert("RGB").resize([side * factor for side in one.size], Image.Resampling.NEAREST)
              for one in (image, overlaid)]  # fmt: skip
    width, height = images[0].size
    size = max(tiles.SIZE, max(width, height) // 40)
    letters, line = tiles.font(size), round(1.5 * size)
    whole = max(2 * width + size, round(letters.getlength(scale)), round(letters.getlength(caption)))
    left = size + (whole - 2 * width - size) // 2
    picture = Image.new("RGB", (whole + 2 * size, height + 6 * line + 2 * size), tiles.BACKGROUND)
    draw = ImageDraw.Draw(picture)
    draw.text((size, size), tiles.fitting(name, tiles.font(size, True), whole), tiles.INK, tiles.font(size, True))
    draw.text((size, size + line), printable(caption), tiles.INK, letters)
    top = size + 5 * line // 2
    for number, one in enumerate(images):
        picture.paste(one, (left + number * (width + size), top))
    bar = Image.linear_gradient("L").rotate(90).resize((whole, line // 2))
    bar = _colored(bar)
    below = top + height + line // 2
    picture.paste(bar, (size, below))
    for text, place, anchor in (("0", 0, "la"), ("0.5", whole // 2, "ma"), ("1", whole, "ra")):
        draw.text((size + place, below + line // 2), text, tiles.INK, letters, anchor)
    draw.text((size, below + 3 * line // 2), scale, tiles.INK, letters)
    return picture


def choose(predictions, count=COLUMNS):
    """Return {kind: indices} of the images that say most about a model, up to `count` of each kind.

    The kinds are its most confident errors; of the other images, those it is least certain about (largest predictive
    entropy); and correct predictions that it is certain about, of the classes in turn. Each kind has at most one image
    of a group, since near-duplicates say the same.
    """
    groups = predictions.group_numbers()

    def first_of_groups(order):
        return order[np.sort(np.unique(groups[order], return_index=True)[1])]

    confidence = predictions.probabilities.max(axis=1)
    wrong = predictions.predictions != predictions.labels
    by_confidence = np.argsort(-confidence, kind="stable")
    errors = first_of_groups(by_confidence[wrong[by_confidence]])[:count]
    by_entropy = np.argsort(-predictions.entropy(), kind="stable")
    unsure = first_of_groups(by_entropy[~np.isin(by_entropy, errors)])[:count]
    certain = first_of_groups(by_confidence[~wrong[by_confidence] & ~np.isin(by_confidence, unsure)])
    # The most confident of each class, then the second of each, ...
    rank = np.zeros(len(wrong), dtype=int)
    for label in np.unique(predictions.labels):
        of_class = certain[predictions.labels[certain] == label]
        rank[of_class] = np.arange(len(of_class))
    right = certain[np.argsort(rank[certain], kind="stable")][:count]
    return {"most confident errors": errors, "least certain": unsure, "correct, and certain": right}


@plots.own_style()
def draw_gallery(path, classifier, images, predictions):
    """Draw the chosen images of an ImageSet, each as it is and, below, with what `explain` finds in it.

    An image that can no longer be read is left out, with a note.
    """
    kinds = choose(predictions)
    decoded = _decode_all(images, np.concatenate(list(kinds.values())))
    heat = _heat_of(classifier.model, images, list(decoded), predictions.predictions)
    heights = [0.4, *[5.2] * len(kinds), 0.7]  # inches, of the title, of each kind and of the scale
    figure = Figure(figsize=(2.4 * COLUMNS, sum(heights)), layout="constrained")
    first, *parts, last = figure.subfigures(len(heights), height_ratios=heights)
    model, tested = predictions.checkpoint or "the model", f"{len(predictions.labels)} {predictions.split or ''} images"
    first.suptitle(f"Where {model} looks: some of {tested}", fontweight="bold", fontsize="x-large")
    for part, (kind, indices) in zip(parts, kinds.items(), strict=True):
        shown = [index for index in indices if index in decoded]
        part.suptitle(kind if shown else f"{kind}: none", fontweight="bold")
        cells = part.subplots(2, COLUMNS)
        for axes in cells.flat:
            axes.axis("off")
        for (above, below), index in zip(cells.T, shown, strict=False):
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
    heat, parts = [], list(torch.tensor(chosen, dtype=torch.int64).split(COLUMNS)) if chosen else []
    for part, (pixels, _) in zip(parts, images.batches(parts), strict=True):
        found = torch.from_numpy(classes[part.numpy()]).to(pixels.device)
        heat.extend(explain(model, pixels, images.preprocessing, found).numpy())
    return dict(zip(chosen, heat, strict=True))


def _caption(predictions, index):
    true, predicted = (
        plots.shown_name(predictions.class_names[classes[index]])
        for classes in (predictions.labels, predictions.predictions)
    )
    name = printable(predictions.file_names[index])
    # The end of a long name distinguishes it from others.
    name = name if len(name) <= 26 else f"…{name[-25:]}"
    probability = predictions.probabilities[index, predictions.predictions[index]]
    return f"{name}\ntrue: {true}\npredicted: {predicted} ({probability:.2f})"


def decode(path, preprocessing):
    """Decode an image file to 8 bits, on the model's scale and at the image's own size."""
    return preprocessing.to_8_bits(image_files.decode_values(image_files.read_bytes(path)))


def _decode_all(images, chosen):
    """Return {index: image} of the chosen images that can be read; print a note for each of the others."""
    decoded = {}
    for index in chosen.tolist():
        try:
            decoded[index] = decode(images.paths[index], images.preprocessing)
        except image_files.UnreadableImage as reason:
            note(f"{images.paths[index]}: {reason}; it is not in the gallery")
    return decoded
