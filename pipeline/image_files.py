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

# The formats that are read, of Pillow's (JPEG with MPO). Left out: EPS, which Pillow hands to Ghostscript, WMF, PSD and
# other containers, stubs for other programs (HDF5, GRIB), and what is recognized by too little to be sure (SPIDER, IM).
FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "PPM", "AVIF", "QOI", "PCX", "TGA")

# The spread between the largest and the smallest of red, green and blue, out of 255, from which people see
# colour. JPEG noise in grey scans stays below 25 in almost all of the brain MRI set.
VISIBLE_COLOR_SPREAD = 48

# The grey value, out of 255, below which all that is opaque in an image is ink, to be seen on white only. A scan with
# its surroundings cut out has brighter parts.
BRIGHTEST_INK = 96

# The pixels from which on images are decoded one at a time: several hundred MB while that lasts.
LARGE = 40_000_000
_large_one = threading.Lock()

# A progressive JPEG is decoded as often as it has scans: programs write about 10 of them, a small file holds thousands.
MOST_SCANS = 20  # of an image of as many pixels as are allowed


def limit_pixels(count):
    """Let no image of more pixels be decoded: a small file can hold an image that no memory does."""
    Image.MAX_IMAGE_PIXELS = count


@contextlib.contextmanager
def _memory_named():
    """Within it, running out of memory is an UnreadableImage."""
    try:
        yield
    except MemoryError:
        raise UnreadableImage("too large for this machine's memory") from None


@_memory_named()
def read_bytes(path):
    """Return the content of a regular file (or of the file that a link points to).

    Raises UnreadableImage for a folder, a pipe, a broken link, a file that is empty, too large or may not be read.
    """
    most = max(2**26, 8 * Image.MAX_IMAGE_PIXELS)  # bytes; more than any image of so many pixels takes
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
    """Decode an image file's bytes to an upright 8-bit Pillow image; one of more bits from its own range."""
    return to_8_bits(decode_values(data))


def decode_values(data):
    """Decode an image file's bytes to an upright Pillow image with its own values, see `upright`.

    The first frame of an animation or a multi-page file counts. Raises UnreadableImage where the bytes are damaged,
    of another format than FORMATS, or of too many pixels.
    """
    with decoded(data) as image:
        return image


@contextlib.contextmanager
def decoded(data):
    """Give the image that `decode_values` returns; while it is a large one, no other thread is given a large one.

    Within it, running out of memory is an UnreadableImage, too.
    """
    with _memory_named(), _reasons_named(data):
        image = _opened(data)
        pixels = image.width * image.height
        if pixels > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        if image.format in ("JPEG", "MPO") and pixels * _scan_count(data) > MOST_SCANS * Image.MAX_IMAGE_PIXELS:
            raise UnreadableImage(f"a JPEG of {_scan_count(data)} scans, which take too long; save it as PNG")
    with _large_one if pixels > LARGE else contextlib.nullcontext(), _memory_named():
        with _reasons_named(data):
            image = upright(image)
        yield image


@contextlib.contextmanager
def _reasons_named(data):
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
        raise UnreadableImage(f"a file that the package {package} reads; run: pip install {package}") from None
    except Exception as error:  # decoders raise anything on damaged data: OSError, ValueError, struct.error, ...
        kind = "DICOM file" if is_dicom(data) else "HEIC file" if is_heic(data) else "image"
        raise UnreadableImage(f"damaged or unsupported {kind} ({error})") from None


def upright(image):
    """Return a Pillow image of any mode as an upright one: of 8 bits, L if it is grey and RGB if not, or as it is.

    The latter are images of more bits: I;16 and I, integers, and F, floating-point numbers (UnreadableImage where they
    are not finite). EXIF orientation is applied. Transparent parts become black, which means no signal, or white where
    all that is opaque is dark. The image itself stays as it is, and is what is returned where nothing is to be done.
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
        image = _on_ground(image if image.mode == "RGBA" else image.convert("RGBA"))
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
    """Return the Pillow image of a file's bytes, of which only DICOM pixels are decoded by now."""
    if is_dicom(data):
        return optional_formats.read_dicom(data)
    if is_heic(data):
        return optional_formats.open_heic(data)
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _open_at_once(path, flags):
    # A pipe that has come into the place of a file is not waited for.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _scan_count(data):
    return data.count(b"\xff\xda\0")  # a marker and the first byte of its length


def _on_ground(image):
    """Put an RGBA image on black; on white where all of its opaque part is dark: ink would be lost on black."""
    small = image.resize((32, 32), Image.Resampling.BOX)  # each colour the mean of what is opaque
    grey, alpha = np.asarray(small.convert("RGB").convert("L")), np.asarray(small.getchannel("A"))
    opaque = grey[alpha >= 8]  # below that, colours are too coarse
    is_ink = opaque.size > 0 and opaque.max() < BRIGHTEST_INK
    ground = Image.new("RGB", image.size, "white" if is_ink else "black")
    ground.paste(image, mask=image.getchannel("A"))
    return ground
