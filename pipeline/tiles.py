"""Labelled sheets of images: rows of tiles with a title, a label above each row and a caption below each tile.

Drawn with Pillow: scripts that need no curves need no matplotlib, and threads may draw.
"""

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from pipeline import files
from pipeline.messages import printable

TILE = 128  # pixels, the side that an image is fitted into
GAP = 8
SIZE = 12  # pixels, of the letters
LINE = 18
BACKGROUND, INK = "white", "#111111"


@dataclass(frozen=True)
class Tile:
    """A Pillow image, None if it is missing, and its caption."""

    image: Image.Image | None
    caption: str


@dataclass(frozen=True)
class Row:
    """Tiles that belong together, and what they are."""

    label: str
    tiles: list


@functools.cache
def font(size=SIZE, bold=False):
    """Return the font of all pictures, DejaVu Sans from matplotlib's folder, without importing matplotlib."""
    folder = Path(importlib.util.find_spec("matplotlib").origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), size)


def fitting(text, letters, width):
    """Return a name on one line, cut to fit a width in pixels; its end is kept, which tells most."""
    text = printable(text)
    if letters.getlength(text) <= width:
        return text
    start = next((n for n in range(1, len(text)) if letters.getlength("…" + text[n:]) <= width), len(text))
    return "…" + text[start:]


def fitted(image, side):
    """Return a Pillow image in RGB, no side longer than `side`; a small one enlarged by a whole number."""
    image = image.convert("RGB")
    longest = max(image.size)
    if longest > side:
        image.thumbnail((side, side))
    elif longest * 2 <= side:
        image = image.resize([length * (side // longest) for length in image.size], Image.Resampling.NEAREST)
    return image


def draw_sheet(path, title, rows, remark="", side=TILE):
    """Draw Rows of Tiles as a PNG file, whole or not at all, under a title and above a remark."""
    columns = max(len(row.tiles) for row in rows)
    height_of_row = LINE + side + LINE + GAP
    width = max(columns * (side + GAP) + GAP, *(_needed(text) for text in (title, remark)))
    top = GAP + LINE + GAP
    sheet = Image.new("RGB", (width, top + len(rows) * height_of_row + (LINE + GAP if remark else 0)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), title, fill=INK, font=font(SIZE + 2, bold=True))
    for number, row in enumerate(rows):
        above = top + number * height_of_row
        draw.text((GAP, above), fitting(row.label, font(bold=True), width - 2 * GAP), fill=INK, font=font(bold=True))
        for column, tile in enumerate(row.tiles):
            corner = GAP + column * (side + GAP), above + LINE
            if tile.image is not None:
                sheet.paste(fitted(tile.image, side), corner)
            caption = fitting(tile.caption, font(SIZE - 1), side)
            draw.text((corner[0], corner[1] + side + 2), caption, fill=INK, font=font(SIZE - 1))
    if remark:
        draw.text((GAP, sheet.height - LINE - GAP), remark, fill=INK, font=font())
    save(sheet, path)


def save(sheet, path):
    """Write a Pillow image as a PNG file with the project's mark, whole or not at all."""
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Software", files.MARK)
    with files.whole_file(path) as temporary:
        sheet.save(temporary, format="PNG", pnginfo=mark)


def _needed(text):
    return round(font(SIZE + 2, bold=True).getlength(text)) + 2 * GAP
