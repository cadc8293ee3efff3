"""A picture of groups of images, a row a group, for a person to check by eye. Imports no torch."""

from PIL import Image, ImageDraw, ImageFont

from pipeline import files, image_files

TILE = 128  # pixels, the side that an image is fitted into
CAPTION = 28  # pixels below it
MOST_ROWS, MOST_COLUMNS = 60, 8


def draw_contact_sheet(path, groups):
    """Draw the images of each group in a row.

    `groups` is a list of lists of (image path, caption). At most 60 groups are drawn and 8 images of each; a line at
    the bottom says so where there are more.
    """
    shown = [group[:MOST_COLUMNS] for group in groups[:MOST_ROWS]]
    width = max(map(len, shown)) * (TILE + 8) + 8
    sheet = Image.new("RGB", (width, len(shown) * (TILE + CAPTION + 8) + 28), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=11)
    for row, group in enumerate(shown):
        for column, (image_path, caption) in enumerate(group):
            left, top = 8 + column * (TILE + 8), 8 + row * (TILE + CAPTION + 8)
            image = image_files.decode(image_files.read_bytes(image_path)).convert("RGB")
            image.thumbnail((TILE, TILE))
            sheet.paste(image, (left, top))
            for line, text in enumerate(caption.split("\n")[:2]):
                text = text.encode("ascii", "replace").decode()
                draw.text((left, top + TILE + 2 + 12 * line), text[:22], fill="black", font=font)
    if len(groups) > len(shown) or any(len(group) > MOST_COLUMNS for group in groups):
        note = f"{len(groups)} groups in all; the first {MOST_ROWS} are shown, {MOST_COLUMNS} images of each"
        draw.text((8, sheet.height - 20), note, fill="black", font=font)
    with files.whole_file(path) as temporary:
        sheet.save(temporary, format="PNG")
