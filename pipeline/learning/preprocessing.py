"""From an image file to the numbers a model sees: the same code in training, in testing and for new images."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from pipeline import image_values


@dataclass(frozen=True)
class Preprocessing:
    """How images become model input. The checkpoint carries it, so that testing cannot differ from training."""

    channels: int  # of the model's input, 1 or 3
    height: int  # pixels
    width: int  # pixels
    keep_color: bool = False  # False: grey values, repeated in every channel
    mean: list = None  # of the training images' values in [0, 1], a number per channel of `pixels`; None: not scaled
    std: list = None  # likewise, their standard deviation
    average_flips: bool = False  # predict from the image and its mirror image, and average
    value_ranges: dict = None  # {kind of values: [black, white]} of files of more than 8 bits, see `common_ranges`

    @property
    def image_shape(self):
        return [self.channels, self.height, self.width]

    @property
    def pixels_shape(self):
        """The shape of what `pixels` returns."""
        return [3 if self.keep_color else 1, self.height, self.width]

    def to_8_bits(self, image):
        """Return an image from `image_files.decode_values` in 8 bits, on the scale of the training images.

        Values beyond it become black or white, as in a viewer's window: such an image may only have a brighter
        exposure, and refusing it would lose it. If no training image has values of its kind, the image's own scale is
        used. `remarks_on` reports both.
        """
        return image_values.to_8_bits(image, (self.value_ranges or {}).get(kind_of_values(image)))

    def remarks_on(self, values):
        """Return remarks on an image of more than 8 bits, with the `values` of its LoadedImage."""
        kind, low, high = values
        if kind not in (self.value_ranges or {}):
            return ["more than 8 bits, unlike the training images: scaled by its own darkest and brightest value"]
        black, white = self.value_ranges[kind]
        if black <= low and high <= white:
            return []
        return [f"values beyond those of the training images, {black:g} to {white:g}, which become black or white"]

    def pixels(self, image):
        """Resize a decoded image.

        Takes an image as `image_files.decode_values` returns it. Returns a uint8 array (1, height, width), or
        (3, height, width) with `keep_color`: compact, so that a whole data set fits in memory. Resizing is bilinear
        with antialiasing and does not keep the aspect ratio.
        """
        image = self.to_8_bits(image).convert("RGB" if self.keep_color else "L")
        pixels = np.asarray(image.resize((self.width, self.height), Image.Resampling.BILINEAR))
        return pixels.transpose(2, 0, 1) if self.keep_color else pixels[np.newaxis]

    def model_input(self, pixels):
        """Turn a uint8 tensor (n, 1 or 3, height, width) into floats (n, channels, height, width) in [0, 1].

        With `mean` and `std` they are shifted and scaled by these. They are stored pixel by pixel (channels last), as
        the models' weights are, which makes convolutions faster.
        """
        numbers = pixels.float().div_(255)
        if self.mean is not None:
            mean, std = (_per_channel(tuple(values), pixels.device) for values in (self.mean, self.std))
            numbers = (numbers - mean) / std
        numbers = numbers.expand(-1, self.channels, -1, -1)
        return numbers.contiguous(memory_format=torch.channels_last)

    def settings(self):
        """Return all but the shape as plain types; `Preprocessing(*image_shape, **settings)` reads them back."""
        return {name: getattr(self, name) for name in SETTINGS}


SETTINGS = ("keep_color", "mean", "std", "average_flips", "value_ranges")  # all but the shape


def kind_of_values(image):
    """Return what an image of more than 8 bits stores: "integers" or "floats"."""
    return "floats" if image.mode == "F" else "integers"


def common_ranges(values):
    """Return {kind: [black, white]}: one scale for all images of a set that have more than 8 bits.

    `values` is a list of (kind, smallest, largest value) of each. For integers from 0 up, the scale is that of the
    number of bits that holds them all (scanners store 12 bits in 16-bit files); for floating-point numbers within 0 to
    1, it is 0 to 1; for anything else, such as Hounsfield units, it goes from the smallest to the largest value of all.
    """
    ranges = {}
    for kind in sorted({kind for kind, _, _ in values}):
        low = min(low for other, low, _ in values if other == kind)
        high = max(high for other, _, high in values if other == kind)
        if kind == "integers" and low >= 0:
            low, high = 0.0, 2.0 ** max(8, int(high).bit_length()) - 1
        elif kind == "floats" and low >= 0 and high <= 1:
            low, high = 0.0, 1.0
        ranges[kind] = [low, high]
    return ranges


@functools.lru_cache(maxsize=8)
def _per_channel(values, device):
    # Cached, since every small copy to a GPU would wait for it.
    return torch.tensor(values, device=device).view(-1, 1, 1)


def preprocessing_is_sound(settings):
    """Tell whether a dict is what `Preprocessing.settings` returns: anyone may have written the file."""

    def is_numbers(values, lengths=(1, 3)):
        return isinstance(values, list) and len(values) in lengths and all(type(value) is float for value in values)

    def is_range(limits):
        return is_numbers(limits, lengths=(2,)) and -math.inf < limits[0] <= limits[1] < math.inf

    ranges = settings.get("value_ranges")
    if ranges is not None and not (
        isinstance(ranges, dict) and ranges.keys() <= {"integers", "floats"} and all(map(is_range, ranges.values()))
    ):
        return False
    flags = [settings.get(name, False) for name in ("keep_color", "average_flips")]
    numbers = [settings.get(name) for name in ("mean", "std")]
    return (
        settings.keys() <= {*SETTINGS}
        and all(isinstance(flag, bool) for flag in flags)
        and (numbers == [None, None] or (all(map(is_numbers, numbers)) and len(numbers[0]) == len(numbers[1])))
    )
