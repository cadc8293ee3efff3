import io
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageEnhance
from scipy.sparse.csgraph import connected_components

from pipeline import image_files
from pipeline import thumbnails as thumbnails_of
from pipeline.partitioning import duplicates


def photo(seed, size=(90, 70)):
    """Return a smooth random grey image: shrinking it keeps its shape, as with a photograph."""
    pixels = np.random.default_rng(seed).integers(0, 256, (5, 6), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def stored(image, kind, **settings):
    data = io.BytesIO()
    image.save(data, format=kind, **settings)
    return image_files.decode(data.getvalue())


def hash_of(image):
    return thumbnails_of.difference_hashes(thumbnails_of.thumbnail(image)[np.newaxis])[0]


def distance(first, second):
    return int((hash_of(first) != hash_of(second)).sum())


def groups_of(images, limit=10):
    thumbnails = np.array([thumbnails_of.thumbnail(image) for image in images])
    return duplicates.group_near(np.arange(len(images)), thumbnails, limit)


def same_groups(first, second):
    """Tell whether two numberings put the same images together."""
    return len(set(zip(first, second, strict=True))) == len(set(first)) == len(set(second))


def test_the_difference_hash_of_a_ramp_is_known():
    ramp = Image.fromarray(np.tile(np.arange(0, 170, 10, dtype=np.uint8), (16, 1)))
    assert hash_of(ramp).all()
    assert not hash_of(ramp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)).any()


def test_bits_go_row_by_row():
    pixels = np.zeros((16, 17), dtype=np.uint8)
    pixels[3, 5:] = 200
    assert np.argwhere(hash_of(Image.fromarray(pixels)).reshape(16, 16)).tolist() == [[3, 4]]


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
    assert same_groups(groups_of([image, photo(1), change(image)]), [0, 1, 0])


def test_the_pixel_hash_sees_pixels_and_size_but_not_the_file_format():
    image = photo(0)
    assert duplicates.pixel_hash(stored(image, "PNG")) == duplicates.pixel_hash(stored(image, "TIFF"))
    assert duplicates.pixel_hash(image) == duplicates.pixel_hash(image.convert("RGB"))
    changed = image.copy()
    changed.putpixel((3, 4), image.getpixel((3, 4)) ^ 1)
    assert duplicates.pixel_hash(changed) != duplicates.pixel_hash(image)
    flat = Image.new("L", (4, 6))
    assert duplicates.pixel_hash(flat) != duplicates.pixel_hash(flat.transpose(Image.Transpose.ROTATE_90))


def deep(values, kind, file_format="TIFF"):
    data = io.BytesIO()
    Image.fromarray(values.astype(kind)).save(data, file_format)
    return image_files.decode_values(data.getvalue())


def test_the_pixel_hash_sees_all_bits():
    values = np.arange(60).reshape(6, 10) * 1000
    first = duplicates.pixel_hash(deep(values, np.uint16))
    assert (
        first == duplicates.pixel_hash(deep(values, np.uint16, "PNG")) == duplicates.pixel_hash(deep(values, np.int32))
    )
    values[3, 3] += 1
    assert first != duplicates.pixel_hash(deep(values, np.uint16))


def test_near_duplicates_of_more_than_8_bits_are_near_whatever_the_scale_and_single_values():
    image = photo(0)
    values = np.asarray(image).astype(np.int32) * 16
    hot = values.copy()
    hot[20, 30] = 8160  # twice white
    copies = [deep(values, np.uint16), deep(values / 4080, np.float32), deep(hot, np.uint16)]
    assert same_groups(groups_of([image, photo(1), *copies]), [0, 1, 0, 0, 0])


def test_no_data_at_the_least_number_of_float32_is_not_warned_of_and_makes_no_images_near():
    images = []
    for seed in (0, 1):
        values = np.asarray(photo(seed)) / np.float32(255)
        values[:20] = np.finfo(np.float32).min
        images.append(deep(values, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same_groups(groups_of(images), [0, 1])


def test_groups_that_share_a_key_are_joined_through_chains():
    groups = np.array([0, 0, 1, 2, 3])
    joined = duplicates.group_equal(groups, ["a", "b", "b", "c", "c"])
    assert same_groups(joined, [0, 0, 0, 1, 1])


@given(st.data(), st.sampled_from([1, 3, 10, 64]))
def test_near_groups_are_those_of_comparing_every_pair(data, limit):
    # Few different thumbnails with few values changed: pairs on both sides of the limits, chains, equal ones.
    count = data.draw(st.integers(1, 30))
    centres = data.draw(arrays(np.uint8, (4, 16 * 17)))
    thumbnails = centres[data.draw(arrays(np.int64, count, elements=st.integers(0, 3)))]
    places = data.draw(arrays(np.int64, (count, limit), elements=st.integers(0, 16 * 17 - 1)))
    for values, changed in zip(thumbnails, places, strict=True):
        values[changed] ^= 64
    thumbnails = thumbnails.reshape(-1, 16, 17)
    bits = thumbnails_of.difference_hashes(thumbnails)
    near = (bits[:, None] != bits[None]).sum(axis=2) <= limit
    with np.errstate(invalid="ignore"):  # no correlation where all values are equal
        near &= np.atleast_2d(np.corrcoef(thumbnails.reshape(count, -1))) >= duplicates.LEAST_CORRELATION
    found = duplicates.group_near(np.arange(count), thumbnails, limit)
    assert same_groups(found, connected_components(near)[1])


def test_blocks_do_not_change_the_groups(monkeypatch):
    random = np.random.default_rng(0)
    thumbnails = np.repeat(random.integers(0, 256, (20, 16, 17), dtype=np.uint8), 5, axis=0)
    thumbnails[np.arange(100), random.integers(0, 16, 100), random.integers(0, 17, 100)] ^= 32
    thumbnails = thumbnails[random.permutation(100)]
    whole = duplicates.group_near(np.arange(100), thumbnails, 10)
    monkeypatch.setattr(duplicates, "BLOCK", 7)
    assert same_groups(whole, duplicates.group_near(np.arange(100), thumbnails, 10))
    assert len(set(whole)) == 20


@pytest.mark.parametrize("ground", ["black", "white", "uneven"])
def test_small_things_at_different_places_on_the_same_ground_are_not_near(ground):
    ramp = np.tile(np.linspace(60, 180, 128).astype(np.uint8), (128, 1))
    even = Image.new("L", (128, 128), ground if ground != "uneven" else "black")
    images = []
    for column, row in np.argwhere(np.ones((4, 4))) * 30 + 8:
        image = Image.fromarray(ramp) if ground == "uneven" else even.copy()
        side = 12 if ground == "uneven" else 6
        image.paste(255 if ground != "white" else 0, (column, row, column + side, row + side))
        images.append(image)
    assert len(set(groups_of(images))) == 16
    # A copy of each, compressed, is near to its own original only.
    copies = [stored(image, "JPEG", quality=60) for image in images]
    assert same_groups(groups_of(images + copies, limit=30), [*range(16), *range(16)])


def test_images_without_contrast_are_near_to_nothing():
    assert len(set(groups_of([Image.new("L", (40, 40), grey) for grey in (0, 0, 90, 255)]))) == 4


def table(rows):
    columns = ["source", "class_name", "content_hash", "pixel_hash", "thumbnail"]
    return pd.DataFrame(rows, columns=columns)


def test_identical_images_in_two_classes_are_label_conflicts_and_near_ones_are_not():
    first, second, flat = (
        thumbnails_of.thumbnail(image).tobytes() for image in (photo(0), photo(1), Image.new("L", (40, 40)))
    )
    found = duplicates.find_duplicates(
        table(
            [
                ("no/a", "no", "c1", "p1", first),
                ("no/b", "no", "c2", "p2", first),
                ("yes/c", "yes", "c3", "p1", first),
                ("yes/d", "yes", "c4", "p4", second),
                ("yes/e", "yes", "c5", "p5", flat),  # near to nothing, but the same as the next
                ("yes/f", "yes", "c6", "p5", flat),
            ]
        ),
        10,
    )
    assert same_groups(found.identical, [0, 1, 0, 2, 3, 3])
    assert same_groups(found.near, [0, 0, 0, 1, 2, 2])
    assert found.label_conflicts == [
        "label conflict: the same image as yes/c", "", "label conflict: the same image as no/a", "", "", ""
    ]  # fmt: skip


def test_a_distance_of_0_looks_for_identical_images_only():
    thumbnail = thumbnails_of.thumbnail(photo(0)).tobytes()
    rows = [("no/a", "no", "c1", "p1", thumbnail), ("no/b", "no", "c2", "p2", thumbnail)]
    assert len(set(duplicates.find_duplicates(table(rows), 0).near)) == 2
    assert len(set(duplicates.find_duplicates(table(rows), 1).near)) == 1
