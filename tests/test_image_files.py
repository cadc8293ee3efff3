import io
import os
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from pipeline import image_files
from pipeline.image_files import UnreadableImage


def encoded(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def decoded(image, file_format="PNG", **options):
    return np.asarray(image_files.decode(encoded(image, file_format, **options)))


def noise(shape=(16, 16), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(
    ("values", "full_scale"),
    [
        ([0, 255, 7, 128], 255),
        ([0, 4095, 256, 2048], 4095),
        ([0, 300, 17, 5], 4095),
        ([0, 65535, 4096, 30000], 65535),
    ],
)
def test_integers_are_scaled_from_the_smallest_of_8_12_and_16_bits(values, full_scale):
    expected = [round(value * 255 / full_scale) for value in values]
    for array in (np.uint16([values]), np.int32([values])):
        assert decoded(Image.fromarray(array), "TIFF").tolist() == [expected]
    assert decoded(Image.fromarray(np.uint16([values])), "PNG").tolist() == [expected]


def test_sixteen_bits_in_big_endian_order_are_the_same_image():
    pixels = np.array([[0, 1000, 60000]], dtype=">u2")
    big_endian = Image.frombytes("I;16B", (3, 1), pixels.tobytes())
    assert decoded(big_endian, "TIFF").tolist() == [[0, 4, 233]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.2, 1.0], [0, 51, 255]),
        ([0.0, 51.0, 255.0], [0, 51, 255]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([1000.0, 2000.0, 6000.0], [0, 51, 255]),
        ([1000.0, 1000.0, 1000.0], [0, 0, 0]),
        ([0.0, 0.0, 0.0], [0, 0, 0]),
    ],
)
def test_floating_point_numbers_are_scaled_and_not_clipped(values, expected):
    assert decoded(Image.fromarray(np.float32([values])), "TIFF").tolist() == [expected]


@pytest.mark.parametrize("values", [[-100, 0, 155], [0, 65536, 131072]])
def test_other_integers_are_scaled_from_their_own_range(values):
    low, high = min(values), max(values)
    expected = [round((value - low) * 255 / (high - low)) for value in values]
    assert decoded(Image.fromarray(np.int32([values])), "TIFF").tolist() == [expected]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_finite_are_refused(value):
    data = encoded(Image.fromarray(np.float32([[0, value]])), "TIFF")
    with pytest.raises(UnreadableImage, match="not finite"):
        image_files.decode(data)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_a_grey_file_stays_grey(mode):
    image = Image.fromarray(noise()).convert(mode)
    result = image_files.decode(encoded(image, "PNG"))
    assert result.mode == "L"
    assert np.array_equal(result, image.convert("L"))


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK"])
def test_any_other_file_becomes_red_green_and_blue(mode):
    image = Image.fromarray(noise((16, 16, 3))).convert(mode)
    result = image_files.decode(encoded(image, "TIFF"))
    assert result.mode == "RGB"
    assert np.array_equal(result, image.convert("RGB"))


def test_no_ink_is_white():
    assert decoded(Image.new("CMYK", (1, 1), (0, 0, 0, 0)), "TIFF").tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize(
    ("mode", "pixels", "expected"),
    [
        ("RGBA", [(200, 100, 50, 255), (200, 100, 50, 51), (200, 100, 50, 0)], [[200, 100, 50], [40, 20, 10], [0] * 3]),
        ("LA", [(200, 255), (200, 51), (200, 0)], [[200] * 3, [40] * 3, [0] * 3]),
    ],
)
def test_transparent_parts_become_black(mode, pixels, expected):
    image = Image.new(mode, (3, 1))
    image.putdata(pixels)
    assert decoded(image).tolist() == [expected]


def test_a_transparent_colour_of_a_palette_becomes_black():
    image = Image.new("P", (2, 1))
    image.putpalette([200, 100, 50, 10, 20, 30])
    image.putdata([0, 1])
    assert decoded(image, transparency=0).tolist() == [[[0, 0, 0], [10, 20, 30]]]


def test_a_photo_is_turned_as_its_exif_orientation_says():
    lower_half_white = np.zeros((16, 32), dtype=np.uint8)
    lower_half_white[8:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    result = decoded(Image.fromarray(lower_half_white), "JPEG", exif=exif)
    assert result.shape == (32, 16)
    assert result[:, :8].min() > 250 and result[:, 8:].max() < 5


@pytest.mark.parametrize("file_format", ["GIF", "TIFF"])
def test_the_first_frame_of_several_counts(file_format):
    frames = [Image.new("L", (4, 4), value) for value in (10, 100, 200)]
    data = encoded(frames[0], file_format, save_all=True, append_images=frames[1:])
    assert np.unique(image_files.decode(data)).tolist() == [10]


def test_an_image_of_any_mode_becomes_an_upright_one_of_8_bits_and_stays_itself():
    image = Image.fromarray(np.uint16([[0, 4095], [2048, 0]]))
    image.getexif()[0x0112] = 3  # to be turned by half
    assert np.asarray(image_files.upright_8_bit(image)).tolist() == [[0, 128], [255, 0]]
    assert np.asarray(image).tolist() == [[0, 4095], [2048, 0]]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image that Pillow can read"),
        (b"just text\n", "not an image that Pillow can read"),
        (encoded(Image.fromarray(noise()), "PNG")[:100], "damaged or unsupported image"),
        (encoded(Image.fromarray(noise((64, 64))), "JPEG")[:1000], "damaged or unsupported image"),
        (encoded(Image.fromarray(noise()), "BMP")[:200], "damaged or unsupported image"),
    ],
)
def test_what_is_not_a_whole_image_is_refused(data, reason):
    with pytest.raises(UnreadableImage, match=reason):
        image_files.decode(data)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (bytes(128) + b"DICM" + bytes(9), "DICOM"),
        (bytes(344) + b"n+1\0" + bytes(9), "NIfTI"),
        (b"\x93NUMPY\x01\0", "NumPy"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
    ],
)
def test_pictures_that_cannot_be_read_are_called_what_they_are(data, kind):
    with pytest.raises(UnreadableImage, match=kind):
        image_files.decode(data)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("limit", [99, 10])
def test_an_image_of_too_many_pixels_is_refused(monkeypatch, limit):
    data = encoded(Image.new("L", (10, 10)), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(UnreadableImage, match=f"more than {limit} pixels"):
        image_files.decode(data)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    image_files.decode(data)


def test_decoding_in_one_thread_changes_no_warnings_in_another(monkeypatch):
    data = encoded(Image.new("L", (10, 10)), "PNG")
    filters, seen = list(warnings.filters), []
    load = Image.open
    monkeypatch.setattr(Image, "open", lambda file: (seen.append(list(warnings.filters)), load(file))[1])
    thread = threading.Thread(target=image_files.decode, args=(data,))
    thread.start()
    thread.join()
    assert seen == [filters]


def test_what_pillow_warns_of_stays_off_the_terminal(run_script, class_folders, tmp_path):
    class_folders(tmp_path / "data", {"no": 8, "yes": 8})
    (tmp_path / "data" / "no" / "image.png").write_bytes(encoded(Image.new("L", (10, 10)), "PNG"))
    result = run_script("partition_datasets.py", "-dir", tmp_path / "data", "-max_pixels", 99)
    assert (result.returncode, len(result.stderr.splitlines())) == (0, 1)
    assert "-max_pixels" in result.stderr


@pytest.mark.parametrize(
    ("image", "color"),
    [
        (Image.fromarray(noise()), False),
        (Image.fromarray(np.dstack([noise()] * 3)), False),
        (Image.new("RGB", (32, 32), (147, 100, 100)), False),
        (Image.new("RGB", (32, 32), (148, 100, 100)), True),
        (Image.fromarray(noise((320, 320, 3))), False),  # noise of single pixels, which no one sees as colour
    ],
)
def test_colour_is_what_people_would_see(image, color):
    assert image_files.shows_color(image) is color


def test_a_small_patch_of_colour_counts():
    image = Image.new("RGB", (320, 320), (90, 90, 90))
    image.paste((200, 30, 30), (150, 150, 170, 170))
    assert image_files.shows_color(image)


def test_bytes_are_read_from_a_file_and_through_a_link(tmp_path, make_link):
    (tmp_path / "file").write_bytes(b"content")
    assert image_files.read_bytes(tmp_path / "file") == b"content"
    make_link(tmp_path / "link", tmp_path / "file")
    assert image_files.read_bytes(tmp_path / "link") == b"content"


def test_a_folder_is_not_an_image(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    assert_unreadable(tmp_path / "x.jpg", "a folder, not an image")


def test_an_empty_file_is_not_an_image(tmp_path):
    (tmp_path / "x.jpg").touch()
    assert_unreadable(tmp_path / "x.jpg", "the file is empty")


def test_a_missing_file_is_not_an_image(tmp_path):
    assert_unreadable(tmp_path / "x.jpg", "No such file or directory")


def test_a_broken_link_is_not_an_image(tmp_path, make_link):
    make_link(tmp_path / "x.jpg", tmp_path / "nowhere")
    assert_unreadable(tmp_path / "x.jpg", "a link to a file that does not exist")


def test_a_link_to_itself_is_not_an_image(tmp_path, make_link):
    make_link(tmp_path / "x.jpg", tmp_path / "x.jpg")
    assert_unreadable(tmp_path / "x.jpg", "a link to a file that does not exist")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_an_image_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    assert_unreadable(tmp_path / "x.jpg", "not a regular file")


def test_a_file_that_may_not_be_read_is_not_an_image(tmp_path, permissions):
    (tmp_path / "x.jpg").write_bytes(b"content")
    with permissions(tmp_path / "x.jpg", 0):
        assert_unreadable(tmp_path / "x.jpg", "Permission denied")


def assert_unreadable(path, reason):
    with pytest.raises(UnreadableImage) as error:
        image_files.read_bytes(path)
    assert str(error.value) == reason
