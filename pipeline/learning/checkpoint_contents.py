"""What the entries of a checkpoint file must hold, since anyone may have written it."""

import torch

from pipeline.learning.history import history_is_sound
from pipeline.learning.preprocessing import LONGEST_SIDE, preprocessing_is_sound


def content_faults(entries):
    """Return what is wrong inside of a dict of entries that are of the right type, or None for what is not said."""
    faults = [
        f"{name} {fault}" for name, (is_sound, fault) in CHECKS.items() if entries[name] and not is_sound(entries[name])
    ]
    if not faults and entries["image_shape"] and entries["preprocessing"] and not _fit_together(entries):
        faults.append("preprocessing has more channels than image_shape")
    return faults


def is_plain_tensor(value):
    """Tell whether something is a tensor of numbers in memory, and not sparse, quantized or without content."""
    return (
        torch.is_tensor(value)
        and value.layout == torch.strided
        and not value.is_quantized
        and value.device.type == "cpu"
    )


def _fit_together(entries):
    preprocessing = entries["preprocessing"]
    in_color = preprocessing.get("keep_color") or len(preprocessing.get("mean") or [0]) > 1
    return entries["image_shape"][0] == 3 or not in_color


def _holds_named_tensors(state_dict):
    return _are_texts(state_dict) and all(map(is_plain_tensor, state_dict.values()))


def _are_class_names(names):
    return _are_texts(names) and all(names) and len(set(names)) == len(names)


def _is_image_shape(shape):
    return (
        [type(length) for length in shape] == [int] * 3
        and shape[0] in (1, 3)
        and all(1 <= length <= LONGEST_SIDE for length in shape)
    )


def _are_settings(options):
    fresh = options.get("fresh weights")
    fresh_is_sound = fresh is None or (isinstance(fresh, list) and _are_texts(fresh))
    return _are_texts(options) and _is_plain(options) and fresh_is_sound


def _is_plain(value):
    if isinstance(value, dict):
        return all(map(_is_plain, [*value.keys(), *value.values()]))
    return all(map(_is_plain, value)) if isinstance(value, list) else isinstance(value, (str, int, float, type(None)))


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
    "dropout": (lambda rate: 0 <= rate < 1, "is no share from 0 to below 1"),
    "history": (history_is_sound, "does not hold the numbers of every epoch"),
    "options": (_are_settings, "holds something else than named settings"),
    "seen_images": (_are_content_hashes, "holds something else than lists of content hashes"),
}
