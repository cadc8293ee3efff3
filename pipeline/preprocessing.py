"""From an image file to the numbers a model sees: the same code in training, in testing and for new images."""

from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from pipeline import image_files


@dataclass(frozen=True)
class Preprocessing:
    """How images become model input. The checkpoint carries it, so that testing cannot differ from training."""

    channels: int  # of the model's input, 1 or 3
    height: int  # pixels
    width: int  # pixels
    keep_color: bool = False  # False: grey values, repeated in every channel

    @property
    def image_shape(self):
        return [self.channels, self.height, self.width]

    def load(self, path):
        """Decode and resize one image file.

        Returns a uint8 array (1, height, width), or (3, height, width) with `keep_color`: compact, so that a
        whole data set fits in memory. Resizing is bilinear with antialiasing and does not keep the aspect ratio.
        Raises image_files.UnreadableImage.
        """
        image = image_files.decode(image_files.read_bytes(path), self.keep_color)
        pixels = np.asarray(image.resize((self.width, self.height), Image.Resampling.BILINEAR))
        return pixels.transpose(2, 0, 1) if self.keep_color else pixels[np.newaxis]

    def model_input(self, pixels):
        """Turn a uint8 tensor (n, 1 or 3, height, width) into floats (n, channels, height, width) in [0, 1]."""
        return pixels.float().div_(255).expand(-1, self.channels, -1, -1)

    def to_dict(self):
        """Return plain types for a checkpoint or JSON; `Preprocessing(**content)` reads them back."""
        return asdict(self)
