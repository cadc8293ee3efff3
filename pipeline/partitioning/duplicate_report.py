"""Telling the person which images show the same thing, and drawing them to be checked by eye. Imports no torch."""

from collections import Counter, defaultdict

from pipeline.messages import note
from pipeline.partitioning import catalogue, duplicates
from pipeline.partitioning.contact_sheet import draw_contact_sheet

MOST_LISTED = 20


def report(project, images, found, distance):
    """Print what was found, and draw near_duplicates.png beside the split files where there are near-duplicates.

    `images` is the table that `found`, a duplicates.Duplicates, was found in with `distance`.
    """
    print(f"\nidentical images: {_counts(found.identical)}")
    if distance:
        print(f"with near-duplicates (at most {distance} of 256 bits differ): {_counts(found.near)}")
    print("a group's images stay in one partition")
    _note_each(
        f"{source}: {conflict}"
        for source, conflict in zip(images["source"], found.label_conflicts, strict=True)
        if conflict
    )

    rows = defaultdict(list)
    for row, group in zip(images.itertuples(), found.near, strict=True):
        rows[group].append(row)
    across = set(found.near[duplicates.spread_over(found.near, images["class_name"])])
    across -= set(found.near[duplicates.spread_over(found.identical, images["class_name"])])
    _note_each(
        f"near-duplicates in different classes: {', '.join(row.source for row in rows[group])}; check their labels"
        for group in sorted(across)
    )
    path = project.tables / "near_duplicates.png"
    near = sorted(set(found.near[duplicates.spread_over(found.near, found.identical)]))
    if not near:
        path.unlink(missing_ok=True)
        return
    draw_contact_sheet(
        path, [[(catalogue.location(project, row), row.source) for row in rows[group]] for group in near]
    )
    print(f"near-duplicates, to be checked by eye: {path}")


def _counts(groups):
    sizes = [size for size in Counter(groups.tolist()).values() if size > 1]
    if not sizes:
        return "none"
    return f"{sum(sizes)} images in {len(sizes)} groups, {max(sizes)} in the largest"


def _note_each(messages):
    messages = list(messages)
    for message in messages[:MOST_LISTED]:
        note(message)
    if len(messages) > MOST_LISTED:
        note(f"... {len(messages)} in all; images.csv has every one")
