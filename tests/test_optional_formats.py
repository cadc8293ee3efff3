"""DICOM files, those that the pydicom package ships and made-up ones, and HEIC files."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_files import dicom_bytes
from PIL import Image

from pipeline import image_files
from pipeline.image_files import UnreadableImage

SCRIPT = "partition_datasets.py"


@pytest.fixture
def pydicom():
    return pytest.importorskip("pydicom", reason="pydicom is not installed")


@pytest.fixture
def shipped(pydicom):
    """Return read(name): the bytes of a file of the pydicom package."""
    return lambda name: (Path(pydicom.__file__).parent / "data" / "test_files" / name).read_bytes()


def values(data):
    with image_files.decoded(data) as image:
        return np.asarray(image).tolist()


PIXELS = np.array([[0, 100, 200, 300, 4095]], dtype=np.uint16)


def test_a_window_is_applied_and_monochrome1_inverted():
    window = {"WindowCenter": 200, "WindowWidth": 201}  # from 100 to 300, DICOM PS3.3 C.11.2.1.2
    assert values(dicom_bytes(PIXELS, **window)) == [[0, 1, 128, 255, 255]]
    assert values(dicom_bytes(PIXELS, **window, PhotometricInterpretation="MONOCHROME1")) == [[255, 254, 127, 0, 0]]
    several = {"WindowCenter": [200, 0], "WindowWidth": [201, 1]}
    assert values(dicom_bytes(PIXELS, **several)) == [[0, 1, 128, 255, 255]]


def test_a_window_is_in_rescaled_values():
    rescaled = {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": -600, "WindowWidth": 401}
    assert values(dicom_bytes(PIXELS, **rescaled)) == [[0, 0, 128, 255, 255]]


def test_without_a_window_values_are_kept_and_rescaled():
    assert values(dicom_bytes(PIXELS)) == PIXELS.tolist()
    assert values(dicom_bytes(np.array([[-2048, -5, 2047]], dtype=np.int16))) == [[-2048, -5, 2047]]
    assert values(dicom_bytes(PIXELS, PhotometricInterpretation="MONOCHROME1")) == [[4095, 3995, 3895, 3795, 0]]
    assert values(dicom_bytes(PIXELS, RescaleSlope=0.5, RescaleIntercept=10)) == [[10, 60, 110, 160, 2057.5]]


def test_a_voi_lut_is_applied(pydicom):
    table = pydicom.Dataset()
    table.add_new("LUTDescriptor", "US", [4, 0, 8])
    table.add_new("LUTData", "US", [0, 50, 250, 255])
    pixels = np.array([[0, 1, 2, 3, 9]], dtype=np.uint16)
    assert values(dicom_bytes(pixels, VOILUTSequence=[table])) == [[0, 50, 250, 255, 255]]


def test_the_first_frame_of_several_counts():
    data = dicom_bytes(np.stack([PIXELS, PIXELS * 0]), NumberOfFrames=2)
    assert values(data) == PIXELS.tolist()
    assert image_files.page_count(data) == 2 and image_files.page_count(dicom_bytes(PIXELS)) == 1


@pytest.mark.parametrize(
    ("name", "mode", "size", "patient"),
    [
        ("CT_small.dcm", "F", (128, 128), "1CT1"),
        ("MR_small.dcm", "L", (64, 64), "4MR1"),
        ("MR_small_bigendian.dcm", "L", (64, 64), "4MR1"),
        ("MR_small_RLE.dcm", "L", (64, 64), "4MR1"),
        ("SC_rgb_rle_16bit.dcm", "RGB", (100, 100), "ID1"),
        ("examples_palette.dcm", "RGB", (800, 350), "11-05-25-142825"),
        ("liver_1frame.dcm", "L", (512, 512), "99000"),
        ("rtdose_1frame.dcm", "F", (10, 10), "id11111"),
    ],
)
def test_files_of_many_kinds_are_read(shipped, name, mode, size, patient):
    data = shipped(name)
    with image_files.decoded(data) as image:
        assert (image.mode, image.size, image_files.patient(image)) == (mode, size, patient)
    assert image_files.header(data) == (*size, len(mode) if mode == "RGB" else 1, "DICOM")


def test_the_byte_order_and_lossless_compression_change_nothing(shipped):
    expected = values(shipped("MR_small.dcm"))
    for name in ("MR_small_bigendian.dcm", "MR_small_implicit.dcm", "MR_small_RLE.dcm"):
        assert values(shipped(name)) == expected


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rtplan.dcm", "without pixels"),
        ("image_dfl.dcm", "deflated"),
        ("JPEGLSNearLossless_16.dcm", r"JPEG-LS.*pylibjpeg"),
        ("MR_truncated.dcm", "DICOM"),
        ("badVR.dcm", "DICOM"),
    ],
)
def test_files_that_cannot_be_read_say_why(shipped, name, reason):
    if "JPEGLS" in name:
        from pydicom.pixels import get_decoder
        from pydicom.uid import JPEGLSNearLossless

        if get_decoder(JPEGLSNearLossless).is_available:
            pytest.skip("a decoder of JPEG-LS is installed")
    with pytest.raises(UnreadableImage, match=reason):
        image_files.decode(shipped(name))


def test_more_pixels_than_allowed_are_not_decoded(shipped, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableImage, match="-max_pixels"):
        image_files.decode(shipped("MR_small.dcm"))


@pytest.mark.parametrize(
    ("data", "module", "package"),
    [
        (bytes(128) + b"DICM" + bytes(9), "pydicom", "pydicom"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "pillow_heif", "pillow-heif"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, data, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnreadableImage, match=f"pip install {package}"):
        image_files.decode(data)


def test_a_missing_package_is_told_in_one_line(tmp_path, call_script, class_folders, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    class_folders(tmp_path, {"no": 10, "yes": 10})
    for number in range(30):
        (tmp_path / "no" / f"{number}.dcm").write_bytes(bytes(128) + b"DICM" + bytes(9))
    result = call_script(SCRIPT, "-dir", tmp_path)
    assert result.returncode == 0
    (note,) = result.stderr.splitlines()
    assert "29 more" in note and note.endswith("pip install pydicom")


def test_a_damaged_picture_of_a_phone_is_called_what_it_is():
    pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    with pytest.raises(UnreadableImage, match="HEIC"):
        image_files.decode(b"\0\0\0\x18ftypheic\0\0\0\0")


def test_a_picture_of_a_phone_is_read():
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    pixels = np.zeros((64, 32, 3), dtype=np.uint8)
    pixels[:32] = 200
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(file)
    data = file.getvalue()
    decoded = np.asarray(image_files.decode(data))
    assert decoded.shape == (64, 32, 3) and abs(decoded.astype(int) - pixels).mean() < 5
    assert image_files.header(data) == (32, 64, 3, "HEIF")


def test_a_patients_images_stay_together_unless_told_otherwise(tmp_path, call_script):
    random = np.random.default_rng(0)
    for number in range(60):
        folder = tmp_path / ("no", "yes")[number % 2]
        folder.mkdir(exist_ok=True)
        pixels = random.integers(0, 4096, (8, 8), dtype=np.uint16)
        (folder / f"{number}.dcm").write_bytes(dicom_bytes(pixels, PatientID=f"patient {number // 3}"))
    result = call_script(SCRIPT, "-dir", tmp_path)
    assert (result.returncode, result.stderr.count("error")) == (0, 0)
    assert "60 images in 20 DICOM patients, kept together" in result.stdout
    parts = {int(line.partition(".")[0]) // 3: part for part in ("train", "val", "test")
             for line in (tmp_path / f"{part}.csv").read_text().splitlines()}  # fmt: skip
    for part in ("train", "val", "test"):
        assert {
            parts[int(line.partition(".")[0]) // 3] for line in (tmp_path / f"{part}.csv").read_text().splitlines()
        } == {part}
    assert "patients, kept" not in call_script(SCRIPT, "-dir", tmp_path, "-patients", "ungrouped").stdout
