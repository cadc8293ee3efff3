"""Validation on labelled images from elsewhere: their classes matched, images that the models know left out."""

import numpy as np

from pipeline import thumbnails, user_table
from pipeline.classes import find_class
from pipeline.defaults import NEAR_DUPLICATE_BITS
from pipeline.errors import UserError, require_none
from pipeline.learning import inference
from pipeline.learning.devices import memory_shortage_named
from pipeline.learning.image_sets import load_image
from pipeline.learning.new_images import predicted_batches
from pipeline.learning.seen import WORDS, seen_in_training, tell_unknown
from pipeline.learning.testing import labelled_predictions
from pipeline.messages import listed, note


def predict_external(ensemble, images, task, command_line):
    """Return the Predictions of an Ensemble for labelled images from elsewhere.

    Args:
        ensemble: Ensemble.
        images: their table: source, path, class_name, content_hash, group and thumbnail (its bytes, uint8 (16, 17)).
        task: Task, with their folder `external`; `class_map`, the path of a CSV for `read_class_map`, or None; and
            `keep_leaks`, whether to predict images that the models were trained or tuned on, too.
        command_line: what the predictions name as the command.

    Raises UserError for classes that the models do not have, and if no image is left.
    """
    place = task.external
    labels = class_indices(images["class_name"], ensemble.class_names, place, task.class_map)
    images, labels = images[labels >= 0], labels[labels >= 0]
    if not len(images):
        raise UserError(
            f"-class_map {task.class_map}: leaves out every class of {place}; assign one to a class of the model"
        )
    known = known_to(ensemble, images)
    if known.any():
        twins = listed(list(images["source"][known])[:3]) + (", ..." if known.sum() > 3 else "")
        done = "predicted nevertheless" if task.keep_leaks else "left out; --keep_leaks predicts them too"
        note(
            f"{place}: {known.sum()} of {len(known)} images look like ones that the model has trained on ({twins}): "
            f"{done}"
        )
        if not task.keep_leaks:
            images, labels = images[~known], labels[~known]
    if not len(images):
        raise UserError(f"-external {place}: no image is left to predict; give images that the model has not seen")
    return labelled_predictions(
        ensemble,
        _outputs(ensemble, list(images["path"]), task),
        labels,
        task.mc_samples,
        file_names=list(images["source"]),
        groups=[f"group {number}" for number in images["group"]],
        split="external",
        command_line=command_line,
    )


def _outputs(ensemble, paths, task):
    """Return the inference.Outputs of an Ensemble for image files; UserError for those that cannot be read any more."""

    def load(path):
        return load_image(path, *ensemble.views)

    batches = []
    with memory_shortage_named(task.images_at_once, ensemble.views[0].image_shape):
        for images, _, outputs in predicted_batches(ensemble, paths, load, task):
            require_none(f"{path}: {image.unreadable}" for path, image in images.items() if image.unreadable)
            batches.append(outputs)
    return inference.joined(batches)


def class_indices(names, class_names, place, class_map):
    """Return the models' class index for each class name from elsewhere, an int array; -1 for what is left out.

    Case does not matter. Raises UserError for each name that is not a class; notes which classes have no image.
    """
    found = {name: find_class(name, class_names) for name in dict.fromkeys(names)}
    index_of = {name: None if known is None else class_names.index(known) for name, known in found.items()}
    if class_map is not None:
        index_of |= read_class_map(class_map, class_names, index_of)
    require_none(
        f"{place}: class {name!r} is not a class of the model ({', '.join(class_names)}); rename it, or give -class_map"
        for name, index in sorted(index_of.items())
        if index is None
    )
    without = [name for index, name in enumerate(class_names) if index not in index_of.values()]
    if without:
        note(f"{place}: no image of class {', '.join(without)}")
    return np.array([index_of[name] for name in names])


def read_class_map(path, class_names, names):
    """Read a CSV with the columns external,class: {external name: class index, -1 if the class is empty}.

    Case does not matter in either column. Raises UserError for other lines, unknown names, and a name in two lines.
    """
    (_, header), *rows = user_table.read_rows(path) or [(1, [])]
    if header != ["external", "class"]:
        raise UserError(f"{path}: does not begin with the line external,class; add it")
    indices, faults, line_of = {}, [], {}
    for line, row in rows:
        name, known = find_class(row[0], names), find_class(row[-1], class_names)
        if len(row) != 2 or (row[1] and known is None):
            classes = ", ".join(class_names)
            faults.append(
                f"{path}, line {line}: {','.join(row)!r}: not a class of the model ({classes}); correct the line"
            )
        elif name is None:
            faults.append(f"{path}, line {line}: {row[0]!r} is not a class of the images; correct the name")
        elif line_of.setdefault(name, line) != line:
            faults.append(f"{path}, line {line}: {row[0]!r} is already in line {line_of[name]}; remove one")
        else:
            indices[name] = class_names.index(known) if row[1] else -1
    require_none(faults)
    return indices


def known_to(ensemble, images):
    """Return for each image of a table whether a model was trained or tuned on it or a near-duplicate, boolean (n,)."""
    checkpoints = [member.checkpoint for member in ensemble.members]
    known = np.isin(seen_in_training(checkpoints, images["content_hash"]), list(WORDS))
    shape = (len(images), thumbnails.HEIGHT, thumbnails.WIDTH)
    hashes = thumbnails.packed(np.frombuffer(b"".join(images["thumbnail"]), dtype=np.uint8).reshape(shape))
    for member in ensemble.members:
        tell_unknown(member)
        if member.checkpoint.seen_hashes is None:
            note(f"{member.path} does not say what its training images look like: near-duplicates are not found")
        for seen in (member.checkpoint.seen_hashes or {}).values():
            known |= thumbnails.any_near(hashes, seen.numpy(), NEAR_DUPLICATE_BITS)
    return known
