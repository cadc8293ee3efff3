import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.learning.preprocessing import Preprocessing, common_ranges, preprocessing_is_sound

GREY = Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 4), dtype=np.uint8))
COLOR = Image.fromarray(np.random.default_rng(1).integers(0, 256, (6, 4, 3), dtype=np.uint8))


@pytest.mark.parametrize("image", [GREY, COLOR], ids=["grey", "colour"])
@pytest.mark.parametrize(("keep_color", "planes"), [(False, 1), (True, 3)])
def test_pixels_are_bytes_in_planes_of_the_height_and_width_asked_for(image, keep_color, planes):
    preprocessing = Preprocessing(3, height=5, width=9, keep_color=keep_color)
    pixels = preprocessing.pixels(image)
    assert (pixels.shape, pixels.dtype) == ((planes, 5, 9), np.uint8)
    assert preprocessing.pixels_shape == list(pixels.shape)


def test_an_image_of_the_right_size_keeps_its_pixels():
    assert np.array_equal(Preprocessing(1, 6, 4).pixels(GREY)[0], GREY)
    assert np.array_equal(Preprocessing(3, 6, 4, keep_color=True).pixels(COLOR), np.asarray(COLOR).transpose(2, 0, 1))
    assert np.array_equal(Preprocessing(3, 6, 4, keep_color=True).pixels(GREY), [GREY] * 3)


@pytest.mark.parametrize(("color", "grey"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)])
def test_colour_becomes_grey_by_the_weights_of_itu_r_601(color, grey):
    assert Preprocessing(3, 1, 1).pixels(Image.new("RGB", (1, 1), color)).item() == grey


def test_making_an_image_smaller_averages():
    checkerboard = np.indices((64, 64)).sum(axis=0) % 2 * 255
    pixels = Preprocessing(1, 8, 8).pixels(Image.fromarray(checkerboard.astype(np.uint8)))
    assert np.abs(pixels.astype(int) - 127).max() <= 3


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_model_input_is_the_fraction_of_white_in_every_channel(channels):
    pixels = torch.arange(2 * 3 * 4, dtype=torch.uint8).reshape(2, 1, 3, 4) * 11
    before = pixels.clone()
    numbers = Preprocessing(channels, 3, 4).model_input(pixels)
    expected = np.repeat(before.numpy() / np.float32(255), channels, axis=1)
    assert numbers.dtype == torch.float32
    assert np.array_equal(numbers, expected)
    assert torch.equal(pixels, before)


def test_colour_model_input_keeps_the_channels_apart():
    pixels = torch.tensor([255, 0, 51], dtype=torch.uint8).reshape(1, 3, 1, 1)
    numbers = Preprocessing(3, 1, 1, keep_color=True).model_input(pixels)
    assert numbers.flatten().tolist() == pytest.approx([1, 0, 0.2])


@pytest.mark.parametrize(("channels", "planes", "keep_color"), [(1, 1, False), (3, 1, False), (3, 3, True)])
def test_model_input_lies_in_memory_channels_last(channels, planes, keep_color):
    pixels = torch.randint(0, 256, (2, planes, 4, 5), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    numbers = Preprocessing(channels, 4, 5, keep_color).model_input(pixels)
    assert numbers.is_contiguous(memory_format=torch.channels_last)
    assert numbers.shape == (2, channels, 4, 5)
    assert torch.equal(numbers, (pixels / 255).expand(-1, channels, -1, -1))


@pytest.mark.parametrize("keep_color", [False, True])
def test_shape_and_settings_read_back_the_same_preprocessing(keep_color):
    preprocessing = Preprocessing(3, 224, 192, keep_color)
    assert preprocessing.image_shape == [3, 224, 192]
    assert Preprocessing(*preprocessing.image_shape, **preprocessing.settings()) == preprocessing
    ranges = {"integers": [0.0, 4095.0], "floats": [-1.5, 3.0]}
    numbers = {"mean": [0.1] * 3, "std": [0.2] * 3} if keep_color else {"mean": [0.1], "std": [0.2]}
    normalized = replace(preprocessing, **numbers, average_flips=True, value_ranges=ranges)
    assert preprocessing_is_sound(normalized.settings())
    assert Preprocessing(*normalized.image_shape, **normalized.settings()) == normalized


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_values_are_shifted_and_scaled(channels):
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    numbers = Preprocessing(channels, 16, 16, mean=[0.25], std=[0.5]).model_input(pixels)
    expected = (np.arange(256, dtype=np.float32) / 255 - 0.25) / 0.5
    for channel in range(channels):
        assert numbers[0, channel].flatten().numpy() == pytest.approx(expected, abs=1e-6)


def test_each_colour_is_shifted_and_scaled_by_its_own_numbers():
    pixels = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    preprocessing = Preprocessing(3, 4, 4, keep_color=True, mean=[0.0, 0.5, 1.0], std=[1.0, 0.5, 0.25])
    assert preprocessing.model_input(pixels)[1, :, 2, 3].tolist() == [1.0, 1.0, 0.0]


DEEP = Image.fromarray(np.uint16([[0, 1000], [4095, 5000]]))
FLOATS = Image.fromarray(np.float32([[0, 0.5], [1, 2]]))


@pytest.mark.parametrize(
    ("values", "ranges"),
    [
        ([("integers", 3, 1000), ("integers", 9, 3071)], {"integers": [0, 4095]}),
        ([("integers", 3, 4096)], {"integers": [0, 8191]}),
        ([("integers", 0, 100)], {"integers": [0, 255]}),
        ([("integers", 5, 65535)], {"integers": [0, 65535]}),
        ([("integers", -1024, 3071), ("integers", 0, 4000)], {"integers": [-1024, 4000]}),
        ([("floats", 0.1, 0.9)], {"floats": [0, 1]}),
        ([("floats", 0, 1), ("floats", 0, 1.0003)], {"floats": [0, 1.0003]}),
        ([("floats", -1, 1), ("integers", 0, 255)], {"floats": [-1, 1], "integers": [0, 255]}),
    ],
)
def test_one_scale_holds_for_all_images_of_a_set(values, ranges):
    assert common_ranges(values) == ranges


def test_the_scale_of_a_set_is_that_of_each_image():
    preprocessing = Preprocessing(1, 2, 2, value_ranges={"integers": [0.0, 5100.0]})
    assert preprocessing.pixels(DEEP).tolist() == [[[0, 50], [205, 250]]]
    assert preprocessing.to_8_bits(GREY) is GREY
    assert preprocessing.pixels(FLOATS).tolist() == [[[0, 64], [128, 255]]]  # no scale of its kind: its own


def test_files_that_need_another_scale_are_told_of():
    preprocessing = Preprocessing(1, 2, 2, value_ranges={"integers": [0.0, 4095.0]})
    assert preprocessing.remarks_on(("integers", 0, 4095)) == []
    for low, high in ((0, 4096), (-1, 7)):
        (beyond,) = preprocessing.remarks_on(("integers", low, high))
        assert "4095" in beyond
    (unknown,) = preprocessing.remarks_on(("floats", 0, 1))
    assert "8 bits" in unknown


@pytest.mark.parametrize(
    "ranges",
    [[0.0, 1.0], {"words": [0.0, 1.0]}, {"integers": [0.0, 1.0], "floats": [1.0, 0.0]}]
    + [{"integers": limits} for limits in (None, [0.0], [0, 1], [1.0, 0.0], [0.0, math.inf], [0.0, math.nan])],
)
def test_a_damaged_scale_is_not_sound(ranges):
    settings = Preprocessing(1, 8, 8, value_ranges={"integers": [0.0, 4095.0]}).settings()
    assert preprocessing_is_sound(settings)
    assert not preprocessing_is_sound(settings | {"value_ranges": ranges})
