"""What the entries of a checkpoint file must hold, since anyone may have written it."""

import torch

from pipeline.learning.history import history_is_sound
from pipeline.learning.preprocessing import preprocessing_is_sound

LONGEST_SIDE = 100_000  # pixels of an image


def content_faults(entries):
    """Return what is wrong inside of a dict of entries that are of the right type, or None for what is not said."""
    return [
        f"{name} {fault}" for name, (is_sound, fault) in CHECKS.items() if entries[name] and not is_sound(entries[name])
    ]


def _holds_named_tensors(state_dict):
    # Sparse or quantized ones fit no model of torchvision.
    return _are_texts(state_dict) and all(
        torch.is_tensor(weights) and weights.layout == torch.strided and not weights.is_quantized
        for weights in state_dict.values()
    )


def _are_class_names(names):
    return _are_texts(names) and all(names) and len(set(names)) == len(names)


def _is_image_shape(shape):
    return (
        [type(length) for length in shape] == [int] * 3
        and shape[0] in (1, 3)
        and all(1 <= length <= LONGEST_SIDE for length in shape)
    )


def _are_settings(options):
    return _are_texts(options) and _are_texts(options.get("fresh weights") or [])


def _are_content_hashes(seen_images):
    return _are_texts(seen_images) and all(
        hashes is None or (isinstance(hashes, list) and _are_texts(hashes)) for hashes in seen_images.values()
    )


def _are_texts(values):
    return isinstance(values, (list, dict)) and all(isinstance(value, str) for value in values)


CHECKS = {
    "state_dict": (_holds_named_tensors, "holds something else than named tensors"),
    "class_names": (_are_class_names, "is not a list of different names"),
    "image_shape": (_is_image_shape, f"is not 1 or 3 channels, height and width up to {LONGEST_SIDE}"),
    "preprocessing": (preprocessing_is_sound, "holds something else than keep_color, mean, std and average_flips"),
    "history": (history_is_sound, "does not hold the numbers of every epoch"),
    "options": (_are_settings, "holds something else than named settings"),
    "seen_images": (_are_content_hashes, "holds something else than lists of content hashes"),
}
