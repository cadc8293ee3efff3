"""Telling the user which images show the same thing, and drawing them to be checked by eye."""

from collections import Counter, defaultdict

from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from pipeline import files, image_files
from pipeline.messages import note, note_each
from pipeline.partitioning import catalogue, duplicates

TILE = 128  # pixels, the side that an image is fitted into
CAPTION = 28  # pixels below it
GAP = 8
MOST_ROWS, MOST_COLUMNS = 60, 8
MOST_NAMES = 4  # in one note


def tell(images, found, distance):
    """Print what was found; `images` is the table that `found`, a Duplicates, was found in with `distance`."""
    print(f"\nidentical images: {_counts(found.identical)}")
    if distance:
        print(f"with near-duplicates (at most {distance} of 256 bits differ): {_counts(found.near)}")
    print("a group's images stay in one partition")
    conflicts = zip(images["source"], found.label_conflicts, strict=True)
    note_each((f"{source}: {conflict}" for source, conflict in conflicts if conflict), "images.csv has every one")

    across = set(found.near[duplicates.spread_over(found.near, images["class_name"])])
    across -= set(found.near[duplicates.spread_over(found.identical, images["class_name"])])
    rows = _rows_of_groups(images, found)
    note_each(
        f"near-duplicates in different classes: {_first_names(rows[group])}; check their labels, or give "
        f"-near_duplicates less than {distance} (0: none)"
        for group in sorted(across)
    )


def draw(project, images, found):
    """Draw near_duplicates.png beside the split files; where there are none, remove that of an earlier split."""
    path = project.tables / "near_duplicates.png"
    near = sorted(set(found.near[duplicates.spread_over(found.near, found.identical)]))
    if not near:
        path.unlink(missing_ok=True)
        return
    rows = _rows_of_groups(images, found)
    draw_contact_sheet(
        path, [[(catalogue.location(project, row), row.source) for row in rows[group]] for group in near]
    )
    print(f"near-duplicates, to be checked by eye: {path}")


def draw_contact_sheet(path, groups):
    """Draw the images of each group in a row.

    `groups` is a list of lists of (image path, caption). At most 60 groups are drawn and 8 images of each; a line at
    the bottom says so where there are more.
    """
    shown = [group[:MOST_COLUMNS] for group in groups[:MOST_ROWS]]
    width = max(map(len, shown)) * (TILE + GAP) + GAP
    sheet = Image.new("RGB", (width, len(shown) * (TILE + CAPTION + GAP) + CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=11)
    for row, group in enumerate(shown):
        for column, (image_path, caption) in enumerate(group):
            left, top = GAP + column * (TILE + GAP), GAP + row * (TILE + CAPTION + GAP)
            try:
                image = image_files.decode(image_files.read_bytes(image_path)).convert("RGB")
            except image_files.UnreadableImage as reason:
                note(f"{image_path}: {reason}; it is not in {path.name}")
                continue
            image.thumbnail((TILE, TILE))
            sheet.paste(image, (left, top))
            text = caption.encode("ascii", "replace").decode()[:22]
            draw.text((left, top + TILE + 2), text, fill="black", font=font)
    if len(groups) > len(shown) or any(len(group) > MOST_COLUMNS for group in groups):
        remark = f"{len(groups)} groups in all; the first {MOST_ROWS} are shown, {MOST_COLUMNS} images of each"
        draw.text((GAP, sheet.height - 20), remark, fill="black", font=font)
    mark = PngImagePlugin.PngInfo()
    mark.add_text("Software", files.MARK)
    with files.whole_file(path) as temporary:
        sheet.save(temporary, format="PNG", pnginfo=mark)


def _counts(groups):
    sizes = [size for size in Counter(groups.tolist()).values() if size > 1]
    if not sizes:
        return "none"
    return f"{sum(sizes)} images in {len(sizes)} groups, {max(sizes)} in the largest"


def _first_names(rows):
    more = f" and {len(rows) - MOST_NAMES} more" if len(rows) > MOST_NAMES else ""
    return ", ".join(row.source for row in rows[:MOST_NAMES]) + more


def _rows_of_groups(images, found):
    rows = defaultdict(list)
    for row, group in zip(images.itertuples(), found.near, strict=True):
        rows[group].append(row)
    return rows
