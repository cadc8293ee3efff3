"""Image files of any kind as upright 8-bit grey or colour images."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

# The spread between the largest and the smallest of red, green and blue, out of 255, from which people see
# colour. JPEG noise in grey scans stays below 25 in almost all of the brain MRI set.
VISIBLE_COLOR_SPREAD = 48


# What begins like this, and what to call it: files of pictures that Pillow cannot read.
OTHER_KINDS = (
    (128, b"DICM", "a DICOM file"),
    (344, b"n+1\0", "a NIfTI file"),
    (344, b"ni1\0", "a NIfTI file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x1f\x8b", "a gzip file (.nii.gz?)"),
    (4, b"ftyphei", "an HEIC file"),
    (4, b"ftypmif1", "an HEIC file"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML file (an SVG drawing?)"),
)


class UnreadableImage(Exception):
    """A file that cannot be used as an image; its text is the reason."""


def limit_pixels(count):
    """Let `decode` refuse images of more pixels: a small file can hold an image that no memory does."""
    Image.MAX_IMAGE_PIXELS = count


def read_bytes(path):
    """Return the content of a regular file (or of the file that a link points to).

    Raises UnreadableImage for a folder, a pipe, a broken link, an empty file or one that may not be read.
    """
    path = Path(path)
    if path.is_dir():
        raise UnreadableImage("a folder, not an image")
    if path.is_symlink() and not path.exists():
        raise UnreadableImage("a link to a file that does not exist")
    if path.exists() and not path.is_file():
        raise UnreadableImage("not a regular file")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableImage(error.strerror) from None
    if not data:
        raise UnreadableImage("the file is empty")
    return data


def decode(data):
    """Decode an image file's bytes to an upright 8-bit Pillow image, see `upright_8_bit`.

    The first frame of an animation or a multi-page file counts. Raises UnreadableImage where Pillow cannot decode
    the bytes or the pixels are not finite.
    """
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > Image.MAX_IMAGE_PIXELS:
            raise Image.DecompressionBombError
        return upright_8_bit(image)
    except UnreadableImage:
        raise
    except Image.UnidentifiedImageError:
        raise UnreadableImage(_what_else(data)) from None
    except Image.DecompressionBombError:
        raise UnreadableImage(f"more than {Image.MAX_IMAGE_PIXELS} pixels; -max_pixels sets the limit") from None
    except MemoryError:
        raise UnreadableImage("too large for this machine's memory") from None
    except Exception as error:  # decoders raise anything on damaged data: OSError, ValueError, struct.error, ...
        raise UnreadableImage(f"damaged or unsupported image ({error})") from None


def upright_8_bit(image):
    """Return a Pillow image of any mode as an upright 8-bit one, of mode L if it is grey and RGB if not.

    EXIF orientation is applied. Transparent parts become black, that is no signal. Pixels of more than 8 bits are
    scaled, see `_scale_to_8_bits`; UnreadableImage where they are not finite. The image itself stays as it is.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _scale_to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def header(data):
    """Return (width, height, channels, format) as an image file's header says, for bytes that `decode` accepts."""
    image = Image.open(io.BytesIO(data))
    return *image.size, len(image.getbands()), image.format


def shows_color(image):
    """Tell whether people would see colour in an image as `decode` returns it."""
    if image.mode == "L":
        return False
    pixels = np.asarray(image.resize((32, 32), Image.Resampling.BOX), dtype=np.int16)
    return bool((pixels.max(axis=2) - pixels.min(axis=2)).max() >= VISIBLE_COLOR_SPREAD)


def _what_else(data):
    """Return why bytes that Pillow does not recognize are not an image; where possible, what they are."""
    kinds = [kind for start, magic, kind in OTHER_KINDS if data.startswith(magic, start)]
    return f"{kinds[0]}, which cannot be read; convert it to PNG" if kinds else "not an image that Pillow can read"


def _scale_to_8_bits(image):
    """Scale a 16-bit, 32-bit or floating-point image to 0..255 without clipping.

    Integers are scaled from the smallest of 8, 12 and 16 bits that holds them (scanners store 12 bits in 16-bit
    files), floating-point numbers from 0..1 or 0..255 where they lie in such a range. Anything else is scaled
    from its own minimum and maximum.
    """
    pixels = np.asarray(image).astype(np.float64)
    if not np.isfinite(pixels).all():
        raise UnreadableImage("pixels that are not finite numbers")
    low, high = pixels.min(), pixels.max()
    full_scales = (1, 255) if image.mode == "F" else (255, 4095, 65535)
    full_scale = next((scale for scale in full_scales if low >= 0 and high <= scale), None)
    if full_scale is None:
        pixels, full_scale = pixels - low, max(high - low, 1e-300)
    return Image.fromarray(np.rint(pixels * (255 / full_scale)).astype(np.uint8))
