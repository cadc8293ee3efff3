"""DICOM and HEIC files as Pillow images, if the packages that read them are installed.

Each function raises ModuleNotFoundError if its package is missing, see PACKAGES.
"""

import io

import numpy as np
from PIL import Image

from pipeline.other_files import UnreadableImage

PACKAGES = {"pydicom": "pydicom", "pillow_heif": "pillow-heif"}  # {module: what pip installs}
PATIENT = "DICOM PatientID"  # the key in the `info` of an image
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
# The transfer syntax of a file that is compressed as a whole: it can be small, and of any size in memory.
DEFLATED = b"1.2.840.10008.1.2.1.99"


def is_dicom(data):
    """Tell whether a file's bytes begin as those of a DICOM file."""
    return data.startswith(b"DICM", 128)


def is_heic(data):
    """Tell whether a file's bytes begin as those of an HEIC file."""
    return data.startswith(b"ftyp", 4) and data[8:12] in HEIC_BRANDS and b"avif" not in data[12:64]


def open_heic(data):
    """Return the Pillow image of an HEIC file's bytes, its pixels still to be decoded."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    return Image.open(io.BytesIO(data), formats=["HEIF"])


def read_dicom(data):
    """Return the first frame of a DICOM file as a Pillow image, with the PatientID in its `info`.

    Grey values are rescaled (modality LUT) and windowed (VOI LUT) as the file says. With a window, or with up to 8
    bits, the image has mode L, otherwise mode I or F and its own values. MONOCHROME1 is inverted, so that larger values
    are brighter. Colour images have mode RGB. Raises UnreadableImage for a file without pixels, or with a compression
    that is not read.
    """
    from pydicom.pixels import pixel_array

    dataset = _dataset(data)
    if not {"PixelData", "FloatPixelData", "DoubleFloatPixelData"} & set(dir(dataset)):
        raise UnreadableImage("a DICOM file without pixels")
    if dataset.Rows * dataset.Columns > Image.MAX_IMAGE_PIXELS:
        raise Image.DecompressionBombError
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        pixels = pixel_array(dataset, index=0)
    except RuntimeError:
        raise UnreadableImage(
            f"DICOM pixels compressed as {syntax.name}, which the installed decoders do not read; "
            "try: pip install pylibjpeg[all]"
        ) from None
    is_grey = dataset.PhotometricInterpretation.startswith("MONOCHROME")
    image = Image.fromarray(_grey(pixels, dataset) if is_grey else _colour(pixels, dataset))
    image.format = "DICOM"
    image.info[PATIENT] = str(dataset.get("PatientID") or "").strip()
    return image


def frame_count(data):
    """Return the number of frames of a DICOM file."""
    return int(_dataset(data, stop_before_pixels=True).get("NumberOfFrames") or 1)


def _dataset(data, **settings):
    import pydicom

    if DEFLATED in data[132:1024]:
        raise UnreadableImage(
            "a DICOM file that is compressed as a whole (deflated), which is not read; save it uncompressed"
        )
    return pydicom.dcmread(io.BytesIO(data), **settings)


def _grey(pixels, dataset):
    from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

    inverted = dataset.PhotometricInterpretation == "MONOCHROME1"
    values = apply_modality_lut(pixels, dataset)
    if dataset.get("VOILUTSequence"):
        most = 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
        shown = apply_voi(values.astype(np.int64), dataset) / most
    elif dataset.get("WindowWidth") is not None and dataset.get("WindowCenter") is not None:
        with np.errstate(over="ignore"):
            dark, bright = apply_windowing(np.array([-1e9, 1e9]), dataset)
            shown = (apply_windowing(values, dataset) - dark) / (bright - dark)
    elif values is pixels and pixels.dtype == np.uint8:
        shown = values / (2**dataset.BitsStored - 1)
    else:
        if inverted:
            values = sum(apply_modality_lut(np.array(_stored_range(dataset)), dataset)) - values
        return values.astype(np.int32 if values.dtype.kind in "iu" and pixels.itemsize <= 2 else np.float32)
    return _in_8_bits(1 - shown if inverted else shown)


def _colour(pixels, dataset):
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        pixels = apply_color_lut(pixels, dataset)[..., :3]
        return _in_8_bits(pixels / np.iinfo(pixels.dtype).max)
    return _in_8_bits(pixels / (2**dataset.BitsStored - 1))


def _stored_range(dataset):
    """Return the smallest and the largest value that the stored bits can hold."""
    if dataset.PixelRepresentation:
        return -(2 ** (dataset.BitsStored - 1)), 2 ** (dataset.BitsStored - 1) - 1
    return 0, 2**dataset.BitsStored - 1


def _in_8_bits(fractions):
    return np.rint(np.clip(fractions, 0, 1) * 255).astype(np.uint8)
