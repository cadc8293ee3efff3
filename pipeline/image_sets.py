"""The images of a partition in memory, decoded once, as tensors."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from pipeline import image_files
from pipeline.errors import UserError
from pipeline.preprocessing import Preprocessing
from pipeline.progress import map_in_threads


@dataclass(frozen=True)
class ImageSet:
    """Labelled images, as bytes of pixels until a batch of them is needed."""

    pixels: torch.Tensor  # uint8 (n, 1 or 3, height, width)
    labels: torch.Tensor  # int64 (n,)
    preprocessing: Preprocessing
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
    loaded = map_in_threads(lambda path: load_image(path, preprocessing), paths, f"reading {split.partition} images")
    faults = [
        f"{path}: {reason}; replace it, or remove its line from {project.csv / (split.partition + '.csv')}"
        for path, (_, _, reason) in zip(paths, loaded, strict=True)
        if reason
    ]
    if faults:
        raise UserError(*faults)
    pixels = torch.from_numpy(np.stack([pixels for pixels, _, _ in loaded]))
    return ImageSet(pixels, torch.tensor(split.labels), preprocessing, sum(color for _, color, _ in loaded))


def load_image(path, preprocessing):
    """Decode and resize one image file.

    Returns (pixels, shows colour, reason): a uint8 array (1 or 3, height, width), or None and the reason why the
    file cannot be read.
    """
    try:
        image = image_files.decode(image_files.read_bytes(path))
    except image_files.UnreadableImage as reason:
        return None, False, str(reason)
    return preprocessing.pixels(image), image_files.shows_color(image), ""
