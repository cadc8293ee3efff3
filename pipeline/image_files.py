"""Image files of any kind as upright images, in 8 bits or with the values that they store.

Nothing in a file is run, no file takes unlimited memory or time, and a file that cannot be used gets a reason.
"""

import contextlib
import errno
import io
import os
import stat
import threading

import numpy as np
from PIL import ExifTags, Image, ImageOps

from pipeline import optional_formats
from pipeline.image_values import to_8_bits, value_range
from pipeline.optional_formats import is_dicom, is_heic
from pipeline.other_files import UnreadableImage, reason_of_other_kind

# The formats of Pillow that are read (JPEG includes MPO). Left out: EPS, which Pillow passes to Ghostscript, WMF, PSD
# and other containers, stubs for other programs (HDF5, GRIB), and what cannot be recognized reliably (SPIDER, IM).
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM", "AVIF", "QOI", "PCX", "TGA")

# People see colour if the largest and the smallest of red, green and blue, out of 255, differ by this much. JPEG noise
# in grey scans stays below 25 in almost all of the brain MRI set.
VISIBLE_COLOR_SPREAD = 48

# If all opaque parts of an image have grey values, out of 255, below this, they are ink, which only shows on white. A
# scan with its surroundings cut out has brighter parts.
BRIGHTEST_INK = 96

# Images with more pixels are decoded one at a time: each takes several hundred MB meanwhile.
LARGE = 40_000_000
_large_one = threading.Lock()

# A progressive JPEG is decoded once for each scan: programs write about 10, but a small file can hold thousands.
MOST_SCANS = 20  # of an image with the largest number of pixels; smaller images may have more


def limit_pixels(count):
    """Refuse to decode images of more pixels: a small file can hold an image too large for any memory."""
    Image.MAX_IMAGE_PIXELS = count


@contextlib.contextmanager
def _translating_memory_errors():
    """Within it, running out of memory is an UnreadableImage."""
    try:
        yield
    except MemoryError:
        raise UnreadableImage("too large for this machine's memory") from None


@_translating_memory_errors()
def read_bytes(path):
    """Return the content of a regular file (or of the file that a link points to).

    Raises UnreadableImage for a folder, a pipe, a broken link, a file that is empty, too large or may not be read.
    """
    most = max(2**26, 8 * Image.MAX_IMAGE_PIXELS)  # bytes, more than any allowed image takes
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableImage("a folder, not an image")
        if not stat.S_ISREG(mode):
            raise UnreadableImage("not a regular file")
        with open(path, "rb", opener=_open_at_once) as file:
            too_large = os.fstat(file.fileno()).st_size > most
            data = b"" if too_large else file.read(most + 1)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise  # not this file's fault
        is_broken_link = error.errno in (errno.ENOENT, errno.ELOOP) and os.path.islink(path)
        raise UnreadableImage("a link to a file that does not exist" if is_broken_link else error.strerror) from None
    if too_large or len(data) > most:
        raise UnreadableImage(f"more than {most // 2**20} MB; -max_pixels sets the limit")
    if not data:
        raise UnreadableImage("the file is empty")
    return data


def decode(data):
    """Decode an image file's bytes to an upright 8-bit Pillow image; more bits are scaled from the image's range."""
    return to_8_bits(decode_values(data))


def decode_values(data):
    """Decode an image file's bytes to an upright Pillow image with its own values, see `upright`.

    Of an animation or a multi-page file it is the first frame. Raises UnreadableImage if the bytes are damaged, of a
    format that is not read, or of too many pixels.
    """
    with decoded(data) as image:
        return image


@contextlib.contextmanager
def decoded(data):
    """Give the image that `decode_values` returns; a large one to only one thread at a time.

    In the block too, running out of memory is an UnreadableImage.
    """
    with _translating_memory_errors(), _translating_errors(data):
        image = _opened(data)
        pixels = image.width * image.height
        if pixels > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        if image.format in ("JPEG", "MPO") and pixels * _scan_count(data) > MOST_SCANS * Image.MAX_IMAGE_PIXELS:
            raise UnreadableImage(f"a JPEG of {_scan_count(data)} scans, which take too long; save it as PNG")
    with _large_one if pixels > LARGE else contextlib.nullcontext(), _translating_memory_errors():
        with _translating_errors(data):
            image = upright(image)
        yield image


@contextlib.contextmanager
def _translating_errors(data):
    """Within it, whatever Pillow raises is an UnreadableImage with the reason."""
    try:
        yield
    except (UnreadableImage, MemoryError):
        raise
    except Image.UnidentifiedImageError:
        raise UnreadableImage(reason_of_other_kind(data)) from None
    except Image.DecompressionBombError:
        raise UnreadableImage(f"more than {Image.MAX_IMAGE_PIXELS} pixels; -max_pixels sets the limit") from None
    except ModuleNotFoundError as error:
        module = error.name.partition(".")[0]
        package = optional_formats.PACKAGES.get(module, module)
        raise UnreadableImage(f"a file that needs the package {package}; run: pip install {package}") from None
    except Exception as error:  # decoders raise anything on damaged data: OSError, ValueError, struct.error, ...
        kind = "DICOM file" if is_dicom(data) else "HEIC file" if is_heic(data) else "image"
        raise UnreadableImage(f"damaged or unsupported {kind} ({error})") from None


def upright(image):
    """Return a Pillow image of any mode as an upright one, of 8 bits or with its own values.

    An image of up to 8 bits gets the mode L if it is L or 1, otherwise RGB. One of more bits keeps its values, in mode
    I;16 or I (integers) or F (floating-point numbers; UnreadableImage if one is not finite). EXIF orientation is
    applied. Transparent parts become black, which means no signal, or white if all opaque parts are dark. `image` is
    not changed, and is returned if there is nothing to do.
    """
    image.load()
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = image if image.mode in ("I", "I;16", "F") else image.convert("I")  # the other byte orders
        if not np.isfinite(value_range(image)).all():
            raise UnreadableImage("pixels that are not finite numbers")
        return image
    if image.has_transparency_data:
        image = _on_background(image if image.mode == "RGBA" else image.convert("RGBA"))
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def header(data):
    """Return (width, height, channels, format) as an image file's header says, for bytes that `decode` accepts."""
    image = _opened(data)
    return *image.size, len(image.getbands()), image.format


def page_count(data):
    """Return the number of pages of a TIFF or DICOM file, as far as they can be counted; 1 for any other file."""
    if is_dicom(data):
        return optional_formats.frame_count(data)
    if not data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return 1
    try:
        return Image.open(io.BytesIO(data), formats=["TIFF"]).n_frames
    except Exception:  # the first page has been decoded, the others may be damaged
        return 1


def patient(image):
    """Return the PatientID of an image as `decoded` gives it; "" unless it comes from a DICOM file."""
    return image.info.get(optional_formats.PATIENT, "")


def shows_color(image):
    """Tell whether people would see colour in an image as `decode` returns it."""
    if image.mode != "RGB":
        return False
    pixels = np.asarray(image.resize((32, 32), Image.Resampling.BOX), dtype=np.int16)
    return bool((pixels.max(axis=2) - pixels.min(axis=2)).max() >= VISIBLE_COLOR_SPREAD)


def _opened(data):
    """Return the Pillow image of a file's bytes, with its pixels still to be decoded unless it is a DICOM file."""
    if is_dicom(data):
        return optional_formats.read_dicom(data)
    if is_heic(data):
        return optional_formats.open_heic(data)
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _open_at_once(path, flags):
    # If a pipe has taken the place of the file, it is not waited for.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _scan_count(data):
    return data.count(b"\xff\xda\0")  # a marker and the first byte of its length


def _on_background(image):
    """Put an RGBA image on black, or on white if all its opaque parts are dark: ink would be lost on black."""
    small = image.resize((32, 32), Image.Resampling.BOX)  # each colour is the mean of the opaque pixels
    grey, alpha = np.asarray(small.convert("RGB").convert("L")), np.asarray(small.getchannel("A"))
    opaque = grey[alpha >= 8]  # below that, colours are too coarse
    is_ink = opaque.size > 0 and opaque.max() < BRIGHTEST_INK
    background = Image.new("RGB", image.size, "white" if is_ink else "black")
    background.paste(image, mask=image.getchannel("A"))
    return background
