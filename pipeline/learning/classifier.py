"""A trained model, ready to predict: for the scripts, and for Python programs."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from pipeline import image_files
from pipeline.errors import UserError
from pipeline.learning import checkpoints, familiarity, image_sets
from pipeline.learning.checkpoints import Checkpoint
from pipeline.learning.inference import predict_probabilities


@dataclass(frozen=True)
class Classifier:
    """A model with everything that it needs to predict images.

    >>> classifier = Classifier.load("brain_mri/models/resnet_1.pth.tar")
    >>> probabilities = classifier.predict(["scan_1.jpg", "scan_2.png"])
    >>> classifier.class_names[probabilities[0].argmax()]
    'yes'
    """

    model: nn.Module
    checkpoint: Checkpoint  # what its file says about it, without the weights
    path: Path  # of the file
    device: torch.device
    interruption: str = ""  # "stopped at epoch 9 of 256" if the training was not completed

    @classmethod
    def load(cls, path, device="cpu"):
        """Load a checkpoint of train_torchvision.py; UserError for a file that is not one."""
        return cls.from_checkpoint(checkpoints.complete(checkpoints.load(path), path), path, device)

    @classmethod
    def from_checkpoint(cls, checkpoint, path, device):
        """Build the model of a complete Checkpoint; UserError if its weights do not fit."""
        model = checkpoint.build_model(path).to(device)
        interruption = checkpoints.interruption(checkpoint, Path(path))
        checkpoint = replace(checkpoint, state_dict={}, optimizer=None)
        return cls(model, checkpoint, Path(path), torch.device(device), interruption)

    @property
    def class_names(self):
        """The names of the classes, in the order of the probabilities."""
        return self.checkpoint.class_names

    @property
    def positive_class(self):
        """The name of the positive class; None for more than two classes."""
        return self.checkpoint.positive_class

    @cached_property
    def weights_hash(self):
        """The checkpoints.weights_hash, which identifies the model whatever its file is called."""
        return checkpoints.weights_hash(self.model.state_dict())

    @cached_property
    def last_layer(self):
        """The last layer of the model, whose inputs are the features of an image."""
        return familiarity.last_layer(self.model, self.checkpoint)

    @property
    def preprocessing(self):
        """The Preprocessing that the model was trained with."""
        return self.checkpoint.build_preprocessing()

    def predict(self, images, batch_size=100):
        """Return the probability of each class for each image, float64 (n, classes), classes as in `class_names`.

        Args:
            images: paths of image files, or Pillow images of any mode (16-bit ones are scaled as in the scripts).
            batch_size: how many images the model sees at a time.

        Raises UserError for an image that cannot be read, TypeError for a single path or image.
        """
        images = as_list(images)
        if not images:
            return np.empty((0, len(self.class_names)))
        batches = (
            np.stack([self.pixels(image, self.preprocessing)[0] for image in images[start : start + batch_size]])
            for start in range(0, len(images), batch_size)
        )
        batches = (torch.from_numpy(pixels).to(self.device) for pixels in batches)
        return predict_probabilities(self.model, batches, self.preprocessing)

    @staticmethod
    def pixels(image, *views):
        """Return the pixels of an image, a path or a Pillow image, for each Preprocessing in `views`, as a tuple.

        Raises UserError if it cannot be read.
        """
        if isinstance(image, Image.Image):
            try:
                upright = image_files.upright(image)
                return tuple(view.pixels(upright) for view in views)
            except (image_files.UnreadableImage, OSError) as reason:  # Pillow may read the file only now
                raise UserError(f"{getattr(image, 'filename', '') or 'image'}: {reason}") from None
        loaded = image_sets.load_image(image, *views)
        if loaded.unreadable:
            raise UserError(f"{image}: {loaded.unreadable}")
        return loaded.pixels


def as_list(images):
    """Return images, as `Classifier.predict` takes them, in a list; TypeError for a single one."""
    if isinstance(images, str | Path | Image.Image):
        raise TypeError("images: give a list of paths or Pillow images, even for a single one")
    return list(images)
