"""Which images show the same thing: identical files, identical pixels, near-duplicates.

Duplicates that straddle partitions let a model be tested on what it was trained on. All of a group goes into one
partition instead.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

HASH_SIDE = 16  # 16 x 16 comparisons: a hash of 256 bits
# Rows compared with each other at a time: 2048 x 2048 products are 16 MB.
BLOCK = 2048


def pixel_hash(image):
    """Return the SHA-256 of a decoded image's size and pixels, whatever file format and mode they were stored in."""
    return hashlib.sha256(f"{image.size}".encode() + image.convert("RGB").tobytes()).hexdigest()


def difference_hash(image):
    """Return the 256-bit difference hash of a decoded image, uint8 (32,).

    The image is shrunk to 17 x 16 grey values; a bit says whether a value is larger than its left neighbour. It
    survives scaling, compression and changes of brightness. N. Krawetz, "Kind of Like That", 2013.
    """
    small = image.convert("L").resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.LANCZOS)
    values = np.asarray(small)
    return np.packbits(values[:, 1:] > values[:, :-1])


def group_equal(groups, keys):
    """Join groups that share a key.

    `groups` and `keys` are parallel, an entry an image. Returns the group of each image, numbered from 0.
    """
    _, first, code = np.unique(np.asarray(keys), return_index=True, return_inverse=True)
    return _join(np.asarray(groups), np.arange(len(code)), first[code])


def group_near(groups, hashes, distance):
    """Join groups that hold two images whose difference hashes differ in at most `distance` bits.

    Every pair is compared, so nothing is missed. `hashes` is uint8 (n, 32). Returns the group of each image,
    numbered from 0.
    """
    hashes, inverse = np.unique(hashes, axis=0, return_inverse=True)
    inverse = inverse.ravel()  # only NumPy 2.0 gives it a second axis
    groups = group_equal(groups, inverse)
    # As vectors of +1 and -1, hashes that differ in d of 256 bits have the inner product 256 - 2 d: a matrix product,
    # which uses all cores, compares a block with a block.
    bits = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
    near = np.arange(len(bits))
    for start in range(0, len(bits), BLOCK):
        for other in range(start, len(bits), BLOCK):
            products = bits[start : start + BLOCK] @ bits[other : other + BLOCK].T
            rows, columns = np.nonzero(products >= bits.shape[1] - 2 * distance)
            apart = near[start + rows] != near[other + columns]
            if apart.any():
                near = _join(near, start + rows[apart], other + columns[apart])
    return group_equal(groups, near[inverse])


@dataclass(frozen=True)
class Duplicates:
    """What shows the same thing among images; arrays with a group number from 0 for each image."""

    identical: np.ndarray  # same bytes or same pixels
    near: np.ndarray  # these, and near-duplicates
    label_conflicts: list  # for an image that is identical with one of another class, which; else ""


def find_duplicates(images, distance):
    """Find the duplicates of a table with source, class_name, content_hash, pixel_hash and difference_hash.

    `distance` is how many bits of the difference hashes of near-duplicates may differ; 0 looks for none.
    """
    identical = group_equal(np.arange(len(images)), images["content_hash"])
    identical = group_equal(identical, images["pixel_hash"])
    near = identical
    if distance:
        hashes = np.frombuffer(bytes.fromhex("".join(images["difference_hash"])), dtype=np.uint8)
        near = group_near(identical, hashes.reshape(len(images), -1), distance)
    return Duplicates(identical, near, _label_conflicts(images, identical))


def _label_conflicts(images, identical):
    conflicts = [""] * len(images)
    rows = list(zip(images["source"], images["class_name"], strict=True))
    for index in np.flatnonzero(spread_over(identical, images["class_name"])):
        others = (rows[other] for other in np.flatnonzero(identical == identical[index]))
        other = next(source for source, class_name in others if class_name != rows[index][1])
        conflicts[index] = f"label conflict: the same image as {other}"
    return conflicts


def spread_over(groups, keys):
    """Return, for each image, whether its group holds images of more than one key (class, say)."""
    codes = np.unique(np.asarray(keys), return_inverse=True)[1]
    lowest = np.full(groups.max() + 1, codes.max() + 1)
    highest = np.full(groups.max() + 1, -1)
    np.minimum.at(lowest, groups, codes)
    np.maximum.at(highest, groups, codes)
    return (lowest != highest)[groups]


def _join(groups, first, second):
    """Return groups, numbered from 0, in which entries `first[i]` and `second[i]` are together for each i."""
    edges = coo_array((np.ones(len(first), dtype=bool), (groups[first], groups[second])), shape=(groups.max() + 1,) * 2)
    return connected_components(edges, directed=False)[1][groups]
