"""Telling the user which images show the same thing, and drawing them to be checked by eye."""

from collections import Counter, defaultdict

from pipeline import image_files, tiles
from pipeline.messages import MOST_NAMES, counted, listed, note, note_each
from pipeline.partitioning import catalogue, duplicates

MOST_ROWS, MOST_COLUMNS = 60, 8


def tell(images, found, distance):
    """Print the Duplicates that find_duplicates has `found` in the table `images` with this `distance`."""
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
        f"near-duplicates in different classes: {listed([row.source for row in rows[group]], MOST_NAMES)}; check their "
        f"labels, or give -near_duplicates less than {distance} (0: none)"
        for group in sorted(across)
    )


def draw(project, images, found):
    """Draw near_duplicates.png beside the split files; if there are none, remove that of an earlier split.

    It shows the groups whose images are not all identical: only these need to be checked.
    """
    path = project.tables / "near_duplicates.png"
    near = sorted(set(found.near[duplicates.spread_over(found.near, found.identical)]))
    if not near:
        path.unlink(missing_ok=True)
        return
    rows = _rows_of_groups(images, found)
    identical_only = sum(len(group) > 1 for group in rows.values()) - len(near)
    remark = f"not shown: {counted(identical_only, 'group')} of identical images only" if identical_only else ""
    groups = [[(catalogue.location(project, row), row.source) for row in rows[group]] for group in near]
    draw_contact_sheet(path, "Near-duplicates", groups, remark)
    print(f"near-duplicates, to be checked by eye: {path} ({counted(len(near), 'group')}{remark and f'; {remark}'})")
    print("if a group shows different things, split again with a smaller -near_duplicates")


def draw_contact_sheet(path, title, groups, remark=""):
    """Draw the images of each group in a row.

    `groups` is a list of lists of (image path, caption). At most 60 groups are drawn, and 8 images of each; if there
    are more, a line at the bottom says so.
    """
    shown = groups[:MOST_ROWS]
    rows = [
        tiles.Row(
            f"group {number}: {len(group)} images",
            [tiles.Tile(_thumbnail(image_path, path), caption) for image_path, caption in group[:MOST_COLUMNS]],
        )
        for number, group in enumerate(shown, 1)
    ]
    if len(groups) > len(shown) or any(len(group) > MOST_COLUMNS for group in groups):
        cut = f"the first {MOST_ROWS} groups are shown, {MOST_COLUMNS} images of each"
        remark = f"{cut}; {remark}" if remark else cut
    tiles.draw_sheet(path, f"{title}: {counted(len(groups), 'group')}", rows, remark)


def _thumbnail(image_path, sheet_path):
    """Return an image in the size of a tile; None, with a note, if it can no longer be read."""
    try:
        return tiles.fitted(image_files.decode(image_files.read_bytes(image_path)), tiles.TILE)
    except image_files.UnreadableImage as reason:
        note(f"{image_path}: {reason}; it is not in {sheet_path.name}")
        return None


def _counts(groups):
    sizes = [size for size in Counter(groups.tolist()).values() if size > 1]
    if not sizes:
        return "none"
    return f"{sum(sizes)} images in {counted(len(sizes), 'group')}, {max(sizes)} in the largest"


def _rows_of_groups(images, found):
    rows = defaultdict(list)
    for row, group in zip(images.itertuples(), found.near, strict=True):
        rows[group].append(row)
    return rows
