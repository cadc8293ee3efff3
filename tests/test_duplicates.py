import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance
from scipy.sparse.csgraph import connected_components

from pipeline import image_files
from pipeline.partitioning import duplicates


def photo(seed, size=(90, 70)):
    """Return a smooth random grey image: shrinking it keeps its shape, as with a photograph."""
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def stored(image, kind, **settings):
    data = io.BytesIO()
    image.save(data, format=kind, **settings)
    return image_files.decode(data.getvalue())


def distance(first, second):
    bits = np.unpackbits(duplicates.difference_hash(first) ^ duplicates.difference_hash(second))
    return int(bits.sum())


def same_groups(first, second):
    """Tell whether two numberings put the same images together."""
    return len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))


def test_the_difference_hash_of_a_ramp_is_known():
    ramp = Image.fromarray(np.tile(np.arange(0, 170, 10, dtype=np.uint8), (16, 1)))
    assert np.unpackbits(duplicates.difference_hash(ramp)).all()
    assert not np.unpackbits(duplicates.difference_hash(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT))).any()


def test_bits_go_row_by_row():
    pixels = np.zeros((16, 17), dtype=np.uint8)
    pixels[3, 5:] = 200
    bits = np.unpackbits(duplicates.difference_hash(Image.fromarray(pixels))).reshape(16, 16)
    assert np.argwhere(bits).tolist() == [[3, 4]]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((300, 200)),
        lambda image: stored(image, "JPEG", quality=40),
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
        lambda image: image.convert("RGB"),
    ],
    ids=["resized", "compressed", "darker", "in colour mode"],
)
def test_near_duplicates_are_near_and_other_images_are_not(change):
    image = photo(0)
    assert distance(image, change(image)) <= 10
    assert distance(image, photo(1)) > 60


def test_the_pixel_hash_sees_pixels_and_size_but_not_the_file_format():
    image = photo(0)
    assert duplicates.pixel_hash(stored(image, "PNG")) == duplicates.pixel_hash(stored(image, "TIFF"))
    assert duplicates.pixel_hash(image) == duplicates.pixel_hash(image.convert("RGB"))
    changed = image.copy()
    changed.putpixel((3, 4), image.getpixel((3, 4)) ^ 1)
    assert duplicates.pixel_hash(changed) != duplicates.pixel_hash(image)
    flat = Image.new("L", (4, 6))
    assert duplicates.pixel_hash(flat) != duplicates.pixel_hash(flat.transpose(Image.Transpose.ROTATE_90))


def test_groups_that_share_a_key_are_joined_through_chains():
    groups = np.array([0, 0, 1, 2, 3])
    joined = duplicates.group_equal(groups, ["a", "b", "b", "c", "c"])
    assert same_groups(joined, [0, 0, 0, 1, 1])


@given(st.data(), st.sampled_from([1, 3, 10, 64]))
def test_near_groups_are_those_of_comparing_every_pair(data, limit):
    # Few different hashes with few bits flipped: pairs on both sides of the limit, chains, equal hashes.
    count = data.draw(st.integers(1, 30))
    centres = data.draw(arrays(np.uint8, (4, 32)))
    hashes = centres[data.draw(arrays(np.int64, count, elements=st.integers(0, 3)))]
    flips = data.draw(arrays(np.int64, (count, limit), elements=st.integers(0, 255)))
    bits = np.unpackbits(hashes, axis=1)
    for row, columns in zip(bits, flips, strict=True):
        row[columns] ^= 1
    expected = connected_components((bits[:, None] != bits[None]).sum(axis=2) <= limit)[1]
    found = duplicates.group_near(np.arange(count), np.packbits(bits, axis=1), limit)
    assert same_groups(found, expected)


def test_blocks_do_not_change_the_groups(monkeypatch):
    random = np.random.default_rng(0)
    bits = np.repeat(random.integers(0, 2, (20, 256), dtype=np.uint8), 5, axis=0)
    bits[np.arange(100), random.integers(0, 256, 100)] ^= 1
    hashes = np.packbits(bits, axis=1)[random.permutation(100)]
    whole = duplicates.group_near(np.arange(100), hashes, 10)
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    assert same_groups(whole, duplicates.group_near(np.arange(100), hashes, 10))
    assert len(set(whole)) == 20


def table(rows):
    columns = ["source", "class_name", "content_hash", "pixel_hash", "difference_hash"]
    return pd.DataFrame(rows, columns=columns)


def test_identical_images_in_two_classes_are_label_conflicts_and_near_ones_are_not():
    zero, one = "00" * 32, "01" + "00" * 31
    found = duplicates.find_duplicates(
        table(
            [
                ("no/a", "no", "c1", "p1", zero),
                ("no/b", "no", "c2", "p2", one),
                ("yes/c", "yes", "c3", "p1", zero),
                ("yes/d", "yes", "c4", "p4", "ff" * 32),
            ]
        ),
        10,
    )
    assert same_groups(found.identical, [0, 1, 0, 2])
    assert same_groups(found.near, [0, 0, 0, 1])
    assert found.label_conflicts == [
        "label conflict: the same image as yes/c", "", "label conflict: the same image as no/a", ""
    ]  # fmt: skip


def test_a_distance_of_0_looks_for_identical_images_only():
    rows = [("no/a", "no", "c1", "p1", "00" * 32), ("no/b", "no", "c2", "p2", "00" * 32)]
    assert len(set(duplicates.find_duplicates(table(rows), 0).near)) == 2
    assert len(set(duplicates.find_duplicates(table(rows), 1).near)) == 1
