"""Small copies of images and their difference hashes, by which near-duplicates are found."""

import numpy as np
from PIL import Image

from pipeline import image_values

# Of the thumbnail: 16 rows of 17 values give a hash of 16 x 16 comparisons, 256 bits.
WIDTH, HEIGHT = 17, 16
BLOCK = 2048  # hashes compared with each other at a time: 2048 x 2048 products are 16 MB


def thumbnail(image):
    """Return an image as `image_files.decode_values` returns it, shrunk to 16 rows of 17 grey values, uint8 (16, 17).

    If it has more than 8 bits, the shrunken values are scaled from their own range: no other file affects it, and a
    single pixel hardly does.
    """
    image = image.convert("F" if image_values.is_deep(image) else "L")
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    with np.errstate(invalid="ignore"):  # shrinking overflows if "no data" is the lowest float32 number
        return np.asarray(image_values.to_8_bits(small))


def difference_hashes(thumbnails):
    """Return the difference hashes of thumbnails (n, 16, 17), boolean (n, 256).

    A bit says whether a value is larger than its left neighbour. It survives scaling, compression and changes of
    brightness. N. Krawetz, "Kind of Like That", 2013.
    """
    return (thumbnails[:, :, 1:] > thumbnails[:, :, :-1]).reshape(len(thumbnails), -1)


def packed(thumbnails):
    """Return the difference hashes of thumbnails (n, 16, 17) in 32 bytes each, uint8 (n, 32)."""
    return np.packbits(difference_hashes(thumbnails), axis=1)


def any_near(hashes, others, distance):
    """Return for each of `hashes`, uint8 (n, 32), whether one of `others`, (m, 32), is within `distance` bits."""
    hashes, others = (signs(np.unpackbits(packed, axis=1)) for packed in (hashes, others))
    near = np.zeros(len(hashes), dtype=bool)
    for start in range(0, len(others), BLOCK):
        near |= within(hashes, others[start : start + BLOCK], distance).any(axis=1)
    return near


def signs(bits):
    """Return the bits of hashes (n, 256) as +1 and -1, float32, for `within`."""
    return bits.astype(np.float32) * 2 - 1


def within(hashes, others, distance):
    """Return which `hashes` (n, 256) and `others` (m, 256), both signs, differ in `distance` bits at most, bool (n, m).

    Signs that differ in d of 256 have the inner product 256 - 2 d: a matrix product, which uses all cores.
    """
    return hashes @ others.T >= hashes.shape[1] - 2 * distance
