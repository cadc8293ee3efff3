"""The images of a partition in memory, decoded once, as tensors."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from pipeline import files, image_files
from pipeline.errors import UserError
from pipeline.learning.preprocessing import Preprocessing
from pipeline.progress import map_in_threads


@dataclass(frozen=True)
class ImageSet:
    """Labelled images, as bytes of pixels until a batch of them is needed."""

    pixels: torch.Tensor  # uint8 (n, 1 or 3, height, width)
    labels: torch.Tensor  # int64 (n,)
    preprocessing: Preprocessing
    content_hashes: list  # of the files, parallel to the labels
    in_color: int  # how many of the files show colour

    def __len__(self):
        return len(self.labels)

    def to(self, device):
        """Return the set with its tensors on a device."""
        return replace(self, pixels=self.pixels.to(device), labels=self.labels.to(device))

    def batch(self, indices):
        """Return model input, floats (n, channels, height, width), and labels (n,) of the images at `indices`."""
        return self.preprocessing.model_input(self.pixels[indices]), self.labels[indices]


def load_image_set(project, split, preprocessing):
    """Decode and resize all images of a Split, on all cores.

    Returns an ImageSet. Raises UserError naming each image that cannot be read.
    """
    paths = [project.bin / name for name in split.file_names]
    images = map_in_threads(lambda path: load_image(path, preprocessing), paths, f"reading {split.partition} images")
    faults = [
        f"{path}: {image.unreadable}; replace it, or remove its line from {split.path}"
        for path, image in zip(paths, images, strict=True)
        if image.unreadable
    ]
    if faults:
        raise UserError(*faults)
    return ImageSet(
        pixels=torch.from_numpy(np.stack([image.pixels for image in images])),
        labels=torch.tensor(split.labels),
        preprocessing=preprocessing,
        content_hashes=[image.content_hash for image in images],
        in_color=sum(image.shows_color for image in images),
    )


@dataclass(frozen=True)
class LoadedImage:
    """One image file as the model's preprocessing needs it, or why it cannot be read."""

    pixels: np.ndarray = None  # uint8 (1 or 3, height, width)
    content_hash: str = ""
    shows_color: bool = False
    unreadable: str = ""  # the reason


def load_image(path, preprocessing):
    """Decode and resize one image file; return a LoadedImage."""
    try:
        data = image_files.read_bytes(path)
        image = image_files.decode(data)
    except image_files.UnreadableImage as reason:
        return LoadedImage(unreadable=str(reason))
    return LoadedImage(preprocessing.pixels(image), files.content_hash(data), image_files.shows_color(image))
