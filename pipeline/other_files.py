"""Telling what a file among the images is if it cannot be read as an image."""


class UnreadableImage(Exception):
    """A file that cannot be used as an image; its text is the reason."""


TO_PNG = "convert it to PNG or TIFF"
# Where in the file, which bytes, what the file is and what to do.
OTHER_KINDS = (
    (344, (b"n+1\0", b"ni1\0"), "a NIfTI volume, which is not read; save its slices as PNG or TIFF"),
    (0, (b"\x1f\x8b",), "a gzip file (a NIfTI volume, .nii.gz?), which is not read; save its slices as PNG or TIFF"),
    (0, (b"\x93NUMPY",), "a NumPy array, which is not read; save each image in it as PNG or TIFF"),
    (4, (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1"), "a damaged HEIC file; save it again"),
    (4, (b"ftyp",), "a video, which is not read; save single pictures of it"),
    (
        0,
        (b"<svg", b"<?xml", b"<!DOCTYPE svg"),
        "an SVG drawing (or other XML), which is not read; save it as PNG",
    ),
    (0, (b"%PDF",), "a PDF file, which is not read; save its pages as PNG"),
    (0, (b"%!PS", b"\xc5\xd0\xd3\xc6"), "a PostScript (EPS) file, which is not run; save what it draws as PNG"),
    (0, (b"8BPS",), f"a Photoshop file, which is not read; {TO_PNG}"),
    (0, (b"SIMPLE  =",), f"a FITS file, which is not read; {TO_PNG}"),
    (0, (b"\x89HDF", b"MATLAB 5.0"), "an HDF5 or MATLAB file, which is not read; save each image in it as PNG or TIFF"),
    (0, (b"PK\3\4",), "a ZIP archive, which is not read; unpack it"),
    (0, (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"), "a web page; download the image itself"),
    (0, (b"version https://git-lfs",), "a Git LFS pointer in place of the image; run git lfs pull"),
)


def reason_of_other_kind(data):
    """Return why the bytes of a file cannot be read as an image: what they are, if that is known."""
    text = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")  # drawings and web pages may begin with a mark or blank lines
    for start, beginnings, reason in OTHER_KINDS:
        if (data if start else text).startswith(beginnings, start):
            return reason
    return "not an image that Pillow can read"
