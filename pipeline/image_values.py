"""Images of more than 8 bits: the values that they store, and how these become grey values from 0 to 255."""

import numpy as np
from PIL import Image


def is_deep(image):
    """Tell whether an image as `decode_values` returns it has more than 8 bits."""
    return image.mode not in ("L", "RGB")


def value_range(image):
    """Return the smallest and the largest value of a grey image; not finite if one of its values is not."""
    lows, highs = np.array([(values.min(), values.max()) for _, values in bands(image)]).T
    return float(lows.min()), float(highs.max())


def to_8_bits(image, limits=None):
    """Return an image as `decode_values` returns it in 8 bits; more bits are scaled from `limits`, or its own range.

    `limits` are the values that become 0 and 255; what is beyond is clipped.
    """
    if not is_deep(image):
        return image
    low, high = limits or value_range(image)
    scaled = Image.new("L", image.size)
    for top, values in bands(image):
        grey = ((values - low) * (255 / max(high - low, 1e-30))).clip(0, 255)
        scaled.paste(Image.fromarray(np.rint(grey).astype(np.uint8)), (0, top))
    return scaled


def bands(image):
    """Yield (top, float64 values) for a grey image a few rows at a time, so that large ones take little memory."""
    for top, band in image_bands(image):
        yield top, np.asarray(band).astype(np.float64)


def image_bands(image):
    """Yield (top, image) for an image a few rows at a time."""
    rows = max(1, 2**20 // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))
