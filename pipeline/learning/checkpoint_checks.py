"""Checks that a checkpoint file holds what training writes, since anyone may have written the file."""

import torch

from pipeline.learning.config import LONGEST_SIDE
from pipeline.learning.history import Epoch
from pipeline.learning.models import AVERAGE_AND_MAX
from pipeline.learning.preprocessing import preprocessing_is_sound
from pipeline.plain_values import are_texts

# Limits for a training record, which has three levels of dicts and lists, and a few names and numbers for each class.
# What is small in the file may be large when it is written out: a list can hold the same list many times.
MOST_LEVELS = 10
MOST_VALUES = 1_000_000


def content_faults(entries):
    """Return what is wrong inside the entries of a file; each has the right type, or is None if the file lacks it."""
    faults = [
        f"{name} {fault}"
        for name, (is_sound, fault) in _CHECKS.items()
        if entries[name] and not is_sound(entries[name])
    ]
    if not faults and entries["image_shape"] and entries["preprocessing"]:
        preprocessing = entries["preprocessing"]
        in_color = preprocessing.get("keep_color") or len(preprocessing.get("mean") or [0]) > 1
        if in_color and entries["image_shape"][0] == 1:
            faults.append("preprocessing has more channels than image_shape")
    return faults


def is_plain_tensor(value):
    """Tell whether a value is a dense tensor in memory: not sparse, quantized, on another device or expanded."""
    return (
        torch.is_tensor(value)
        and value.layout == torch.strided
        and not value.is_quantized
        and value.device.type == "cpu"
        and value.nbytes <= value.untyped_storage().nbytes()  # an expanded tensor claims more than it stores
    )


def _holds_named_tensors(state_dict):
    return are_texts([*state_dict]) and all(map(is_plain_tensor, state_dict.values()))


def _are_class_names(names):
    return are_texts(names) and all(names) and len(set(names)) == len(names)


def _is_image_shape(shape):
    return (
        [type(length) for length in shape] == [int] * 3
        and shape[0] in (1, 3)
        and all(1 <= length <= LONGEST_SIDE for length in shape)
    )


def _is_history(entries):
    try:
        epochs = [Epoch.from_plain(entry) for entry in entries]
    except ValueError:
        return False
    return [epoch.epoch for epoch in epochs] == list(range(1, len(epochs) + 1))


def _is_record(options):
    pending, count = [(options, MOST_LEVELS)], 0
    while pending:
        value, levels = pending.pop()
        if isinstance(value, dict | list):
            entries = [*value.keys(), *value.values()] if isinstance(value, dict) else value
            count += len(entries)
            if not levels or count > MOST_VALUES:
                return False
            pending += [(entry, levels - 1) for entry in entries]
        elif not isinstance(value, str | int | float | None):
            return False
    return are_texts([*options])


def _are_content_hashes(seen_images):
    return are_texts([*seen_images]) and all(hashes is None or are_texts(hashes) for hashes in seen_images.values())


def _are_difference_hashes(seen_hashes):
    return are_texts([*seen_hashes]) and all(
        is_plain_tensor(hashes) and hashes.dtype == torch.uint8 and hashes.ndim == 2 and hashes.shape[1] == 32
        for hashes in seen_hashes.values()
    )


def _is_reference(reference):
    features, names, distances = (reference.get(name) for name in ("features", "names", "distances"))
    return (
        is_plain_tensor(features)
        and is_plain_tensor(distances)
        and (features.dtype, distances.dtype) == (torch.float16, torch.float32)
        and (features.ndim, distances.ndim) == (2, 1)
        and are_texts(names)
        and 0 < len(features) == len(names)
    )


_CHECKS = {
    "state_dict": (_holds_named_tensors, "holds something other than named tensors"),
    "class_names": (_are_class_names, "is not a list of different names"),
    "image_shape": (_is_image_shape, f"is not 1 or 3 channels, height and width up to {LONGEST_SIDE}"),
    "preprocessing": (
        preprocessing_is_sound,
        "holds something other than keep_color, mean, std, average_flips and value_ranges",
    ),
    "pooling": (("average", AVERAGE_AND_MAX).__contains__, "is not average or average+max"),
    "dropout": (lambda probability: 0 <= probability < 1, "is not a probability from 0 to below 1"),
    "history": (_is_history, "does not hold the numbers of every epoch"),
    "options": (_is_record, "holds something other than named settings"),
    "fresh_weights": (are_texts, "is not a list of names"),
    "reference": (_is_reference, "holds something other than features, names and distances"),
    "seen_hashes": (_are_difference_hashes, "holds something other than difference hashes"),
    "seen_images": (_are_content_hashes, "holds something other than lists of content hashes"),
}
