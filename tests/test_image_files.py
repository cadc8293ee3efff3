import errno
import io
import os
import subprocess
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFile

from pipeline import image_files, image_values
from pipeline.image_files import UnreadableImage


def encoded(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def decoded(image, file_format="PNG", **options):
    return np.asarray(image_files.decode(encoded(image, file_format, **options)))


def noise(shape=(16, 16), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def tiff(pixels):
    return encoded(Image.fromarray(pixels), "TIFF")


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_values_of_more_than_8_bits_are_kept(kind):
    values = np.array([[0, 255, 4096], [7, 60000, 1]], dtype=kind)
    image = image_files.decode_values(tiff(values))
    assert image_values.is_deep(image)
    assert image_values.value_range(image) == (0, 60000)
    assert np.concatenate([rows for _, rows in image_values.bands(image)]).tolist() == values.tolist()


def test_sixteen_bits_in_big_endian_order_are_the_same_image():
    pixels = np.array([[0, 1000, 60000]], dtype=">u2")
    big_endian = encoded(Image.frombytes("I;16B", (3, 1), pixels.tobytes()), "TIFF")
    assert np.asarray(image_files.decode_values(big_endian)).tolist() == [[0, 1000, 60000]]


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((0, 4095), [0, 0, 64, 255, 255]),
        ((0, 65535), [0, 0, 4, 16, 16]),
        ((1024, 4096), [0, 0, 0, 255, 255]),
        (None, [0, 0, 64, 255, 255]),
        ((5, 5), [0, 0, 255, 255, 255]),  # all training images were of one value
    ],
)
def test_values_are_scaled_between_limits_and_clipped(kind, limits, expected):
    image = image_files.decode_values(tiff(np.array([[0, 5, 1024, 4095, 4096]], dtype=kind)))
    assert np.asarray(image_values.to_8_bits(image, limits)).tolist() == [expected]


def test_negative_values_and_even_images_have_a_scale_too():
    assert decoded(Image.fromarray(np.float32([[-1.0, 0.0, 1.0]])), "TIFF").tolist() == [[0, 128, 255]]
    assert decoded(Image.fromarray(np.int32([[-1000, 0, 4000]])), "TIFF").tolist() == [[0, 51, 255]]
    assert decoded(Image.fromarray(np.float32([[1000.0, 1000.0]])), "TIFF").tolist() == [[0, 0]]


@pytest.mark.parametrize(("kind", "peaks"), [(np.uint16, (4095, 4096)), (np.float32, (1.0, 1.0003))])
def test_a_single_value_does_not_change_the_scale_of_an_image_by_much(kind, peaks):
    pixels = (np.random.default_rng(0).random((32, 32)) * peaks[0] * 0.7).astype(kind)
    means = []
    for pixels[0, 0] in peaks:
        means.append(decoded(Image.fromarray(pixels), "TIFF").mean())
    assert means[0] == pytest.approx(means[1], abs=0.5)


def test_8_bits_are_left_as_they_are():
    for pixels in (noise() // 2, noise((16, 16, 3)) // 2):
        image = image_files.decode_values(encoded(Image.fromarray(pixels), "PNG"))
        assert np.array_equal(image_values.to_8_bits(image, (0, 127)), pixels)


def test_large_images_are_scaled_a_few_rows_at_a_time():
    pixels = np.random.default_rng(0).integers(0, 4096, (700, 2000), dtype=np.uint16)
    image = image_files.decode_values(encoded(Image.fromarray(pixels), "PNG"))
    assert len(list(image_values.bands(image))) == 2
    assert np.array_equal(image_values.to_8_bits(image, (0, 4095)), np.rint(pixels * (255 / 4095)))


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
    image.putpalette([200, 100, 50, 210, 220, 230])
    image.putdata([0, 1])
    assert decoded(image, transparency=0).tolist() == [[[0, 0, 0], [210, 220, 230]]]


def drawing(color, width=2):
    image = Image.new("RGBA", (200, 200))
    ImageDraw.Draw(image).line([20, 30, 180, 170], fill=color, width=width)
    return image


@pytest.mark.parametrize("color", [(0, 0, 0), (0, 0, 150), (60, 40, 30)], ids=["black", "blue", "brown"])
@pytest.mark.parametrize("width", [1, 30])
def test_dark_ink_on_transparent_ground_is_seen_on_white(color, width):
    pixels = decoded(drawing(color, width))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert (pixels == color).all(axis=2).any()


@pytest.mark.parametrize("width", [1, 30])
def test_light_ink_and_scans_that_were_cut_out_stay_on_black(width):
    assert decoded(drawing("white", width))[0, 0].tolist() == [0, 0, 0]
    scan = drawing((30, 30, 30), 40)
    ImageDraw.Draw(scan).ellipse([90, 90, 110, 110], fill=(220, 220, 220))
    assert decoded(scan)[0, 0].tolist() == [0, 0, 0]
    assert not decoded(Image.new("RGBA", (9, 9))).any()


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


def test_an_image_of_any_mode_becomes_an_upright_one_and_stays_itself():
    image = Image.fromarray(np.uint16([[0, 4095], [2048, 0]]))
    image.getexif()[0x0112] = 3  # to be turned by half
    assert np.asarray(image_files.upright(image)).tolist() == [[0, 2048], [4095, 0]]
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
        (bytes(344) + b"n+1\0" + bytes(9), "NIfTI"),
        (b"\x93NUMPY\x01\0", "NumPy"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "video"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'\xef\xbb\xbf\n<?xml version="1.0"?><svg/>', "SVG"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\x01" + bytes(30), "Photoshop"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_pictures_that_cannot_be_read_are_called_what_they_are(data, kind):
    with pytest.raises(UnreadableImage, match=f"{kind}.*; |; .*{kind}"):
        image_files.decode(data)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def test_no_program_is_started(monkeypatch):
    def start(*arguments, **options):
        raise AssertionError(f"started {arguments}")

    for name in ("call", "check_call", "check_output", "run", "Popen"):
        monkeypatch.setattr(subprocess, name, start)
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    for data in (EPS, b"\xd7\xcd\xc6\x9a\0\0" + bytes(60)):  # the second is WMF
        with pytest.raises(UnreadableImage) as reason:
            image_files.decode(data)
        assert "started" not in str(reason.value)


@pytest.mark.parametrize("file_format", sorted(set(image_files.FORMATS) - {"AVIF", "JPEG2000", "WEBP", "QOI"}))
def test_the_formats_that_are_read_are_decoded(file_format):
    image = Image.new("RGB", (16, 16), (200, 100, 50))
    assert decoded(image, file_format)[8, 8] == pytest.approx([200, 100, 50], abs=4)


@pytest.mark.parametrize("count", [1, 3])
def test_pages_of_a_tiff_are_counted(count):
    pages = [Image.new("L", (4, 4), value) for value in range(count)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert image_files.page_count(data) == count
    assert image_files.page_count(encoded(pages[0], "PNG")) == 1


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded(monkeypatch):
    data = encoded(Image.new("L", (2000, 2000), 90), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda\0")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4_000_000)
    assert image_files.decode(data).size == (2000, 2000)
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    with pytest.raises(UnreadableImage, match="scans"):
        image_files.decode(data[:-2] + data[last:-2] * 1000 + data[-2:])


@pytest.mark.parametrize("large", [False, True])
def test_large_images_are_decoded_one_at_a_time(monkeypatch, large):
    data = encoded(Image.new("L", (30, 20)), "PNG")
    monkeypatch.setattr(image_files, "LARGE", 599 if large else 600)
    four_at_once = threading.Barrier(4)
    met = []

    def watched(image):
        try:
            four_at_once.wait(0.5 if large else 30)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)
        return image

    monkeypatch.setattr(image_files, "upright", watched)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(image_files.decode_values, [data] * 4))
    assert met == [not large] * 4


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
    monkeypatch.setattr(
        Image, "open", lambda *file, **formats: seen.append(list(warnings.filters)) or load(*file, **formats)
    )
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


@pytest.mark.parametrize(
    ("create", "reason"),
    [
        (lambda path, make_link: None, "No such file or directory"),
        (lambda path, make_link: path.mkdir(), "a folder, not an image"),
        (lambda path, make_link: path.touch(), "the file is empty"),
        (lambda path, make_link: make_link(path, path.with_name("nowhere")), "a link to a file that does not exist"),
        (lambda path, make_link: make_link(path, path), "a link to a file that does not exist"),
    ],
    ids=["nothing", "folder", "empty", "broken link", "link to itself"],
)
def test_what_holds_nothing_is_not_an_image(tmp_path, make_link, create, reason):
    create(tmp_path / "x.jpg", make_link)
    assert_unreadable(tmp_path / "x.jpg", reason)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("through_link", [False, True])
def test_a_pipe_is_not_an_image_and_is_not_waited_for(tmp_path, make_link, through_link):
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "pipe"
    if through_link:
        make_link(tmp_path / "x.jpg", path)
        path = tmp_path / "x.jpg"
    assert_unreadable(path, "not a regular file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_that_comes_into_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "x.jpg")
    status = os.stat(__file__)
    monkeypatch.setattr(os, "stat", lambda path: status)
    assert_unreadable(tmp_path / "x.jpg", "the file is empty")


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="this system has no such device")
def test_a_device_is_not_an_image():
    assert_unreadable("/dev/zero", "not a regular file")


def test_a_sparse_file_of_terabytes_is_not_read(tmp_path):
    with open(tmp_path / "x.jpg", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(UnreadableImage, match="MB; -max_pixels"):
        image_files.read_bytes(tmp_path / "x.jpg")


@pytest.mark.parametrize(("number", "is_its_fault"), [(errno.EIO, True), (errno.EMFILE, False)])
def test_an_error_while_reading_is_the_files_reason_unless_it_is_the_systems(
    tmp_path, monkeypatch, number, is_its_fault
):
    (tmp_path / "x.jpg").write_bytes(b"content")

    def fail(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(image_files, "_open_at_once", fail)
    with pytest.raises(UnreadableImage if is_its_fault else OSError, match=os.strerror(number)):
        image_files.read_bytes(tmp_path / "x.jpg")


def test_a_file_that_may_not_be_read_is_not_an_image(tmp_path, permissions):
    (tmp_path / "x.jpg").write_bytes(b"content")
    with permissions(tmp_path / "x.jpg", 0):
        assert_unreadable(tmp_path / "x.jpg", "Permission denied")


def assert_unreadable(path, reason):
    with pytest.raises(UnreadableImage) as error:
        image_files.read_bytes(path)
    assert str(error.value) == reason
