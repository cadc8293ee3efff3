"""Which images show the same thing: identical files, identical pixels, near-duplicates.

Duplicates that straddle partitions let a model be tested on what it was trained on. So all images of a group go into
one partition.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline import image_table, image_values
from pipeline.thumbnails import BLOCK, HEIGHT, WIDTH, difference_hashes, signs, within

# The lowest correlation of the thumbnails of near-duplicates. All 58 pairs of the brain MRI set reach 0.9994; copies of
# photographs at half the brightness, at JPEG quality 10 or shifted by a pixel reach 0.99. A lower limit finds more
# copies with another gamma, but also confuses more small objects on a uniform background.
LEAST_CORRELATION = 0.98


def pixel_hash(image):
    """Return the SHA-256 of the size and values of an image as `image_files.decode_values` returns it.

    It does not depend on the file format and mode that they were stored in.
    """
    digest = hashlib.sha256(f"{image.size}".encode())
    if image_values.is_deep(image):
        for _, values in image_values.bands(image):
            digest.update(values.tobytes())
    else:
        for _, band in image_values.image_bands(image):
            digest.update(band.convert("RGB").tobytes())
    return digest.hexdigest()


def group_equal(groups, keys):
    """Join groups that share a key.

    `groups` and `keys` have one entry for each image. Returns the group of each image, numbered from 0.
    """
    _, first, code = np.unique(np.asarray(keys), return_index=True, return_inverse=True)
    return _join(np.asarray(groups), np.arange(len(code)), first[code])


def group_near(groups, thumbnails, distance):
    """Join groups that share near-duplicates; return the group of each image, numbered from 0.

    Near-duplicates are two images whose difference hashes differ in at most `distance` bits, and whose thumbnails,
    uint8 (n, 16, 17), correlate too: with a uniform background most values are equal, and so are most bits, whatever is
    in front of it. Every pair is compared, so nothing is missed.
    """
    hashes = signs(difference_hashes(thumbnails))
    near = np.arange(len(hashes))
    for start in range(0, len(hashes), BLOCK):
        for other in range(start, len(hashes), BLOCK):
            rows, columns = (slice(first, first + BLOCK) for first in (start, other))
            alike = within(hashes[rows], hashes[columns], distance)
            if start == other:
                np.fill_diagonal(alike, False)
            if alike.any():
                alike &= _standardized(thumbnails[rows]) @ _standardized(thumbnails[columns]).T >= LEAST_CORRELATION
                first, second = np.nonzero(alike)
                near = _join(near, start + first, other + second)
    return group_equal(groups, near)


def _standardized(thumbnails):
    """Return thumbnails as vectors whose inner products are their correlations; zeros if there is no contrast."""
    values = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-3)


@dataclass(frozen=True)
class Duplicates:
    """Which images show the same thing; the arrays hold the number of each image's group, from 0."""

    identical: np.ndarray  # same bytes or same pixels
    near: np.ndarray  # the same, or near-duplicates
    label_conflicts: list  # for each image, which image of another class it is identical to; "" if none


def find_duplicates(images, distance):
    """Find the duplicates of a table with source, class_name, content_hash, pixel_hash and thumbnail (its bytes).

    `distance` is how many bits of the difference hashes of near-duplicates may differ; 0 looks for none.
    """
    identical = group_equal(np.arange(len(images)), images["content_hash"])
    identical = group_equal(identical, images["pixel_hash"])
    near = identical
    if distance:
        thumbnails = np.frombuffer(b"".join(images["thumbnail"]), dtype=np.uint8)
        near = group_near(identical, thumbnails.reshape(-1, HEIGHT, WIDTH), distance)
    return Duplicates(identical, near, _label_conflicts(images, identical))


def _label_conflicts(images, identical):
    conflicts = [""] * len(images)
    rows = list(zip(images["source"], images["class_name"], strict=True))
    for index in np.flatnonzero(spread_over(identical, images["class_name"])):
        others = (rows[other] for other in np.flatnonzero(identical == identical[index]))
        other = next(source for source, class_name in others if class_name != rows[index][1])
        conflicts[index] = f"{image_table.LABEL_CONFLICT}the same image as {other}"
    return conflicts


def spread_over(groups, keys):
    """Return, for each image, whether its group holds images of more than one key (class, say)."""
    return pd.Series(np.asarray(keys), dtype=object).groupby(groups).transform("nunique").to_numpy() > 1


def _join(groups, first, second):
    """Return groups, numbered from 0, in which entries `first[i]` and `second[i]` are together for each i."""
    edges = coo_array((np.ones(len(first), dtype=bool), (groups[first], groups[second])), shape=(groups.max() + 1,) * 2)
    return connected_components(edges, directed=False)[1][groups]
