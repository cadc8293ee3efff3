"""Leaks of a ready-made split: images of one partition that are also in another, as the same or a similar file."""

from dataclasses import dataclass

import numpy as np

from pipeline import image_table
from pipeline.errors import UserError
from pipeline.messages import counted, format_table
from pipeline.partitioning import catalogue, duplicate_report
from pipeline.project import LONG_NAMES

# An image leaves its partition if it belongs together with one of a partition that comes earlier here.
ORDER = ("test", "val", "train")


@dataclass(frozen=True)
class Leaks:
    """What was found."""

    groups: list  # for each leaking group the labels of its rows in the table of images
    kept: dict  # {partition: number of images with others of their group later in ORDER}, if leaks are kept


def settle(images, given, found, keep):
    """Find what the ready-made partitions share, print it, and leave out what must not be trained on.

    Args:
        images: the table of all images, with their groups.
        given: the ready-made partition of each, "" if it is drawn.
        found: duplicates.Duplicates among those that could be read, even if they have been left out since.
        keep: leave all images in their partitions.

    Returns the table and the Leaks. Of images that belong together, only those of the first partition in ORDER stay in
    the split. Images without a given partition count as training images.
    """
    readable = images[images["group"] != ""]
    given = given[readable.index]
    if not any(given):
        if keep:
            raise UserError(
                "--keep_leaks: has no effect, since no ready-made partitions are kept (-partitions); leave it out"
            )
        return images, Leaks([], {})
    # NaN for what is left out, so that no comparison with it holds.
    rank = given.replace("", "train").map(ORDER.index).where(readable["left_out"] == "")
    levels = [found.identical, found.near, readable["group"].to_numpy(dtype=int)]
    rows = [
        (ORDER[first], ORDER[second], int((rank == first).sum()), *_shared(rank, first, second, levels))
        for first, second in ((0, 2), (0, 1), (1, 2))
        if (rank == first).any() and (rank == second).any()
    ]
    by_group = rank.groupby(levels[-1])
    lowest, highest = by_group.transform("min"), by_group.transform("max")
    leaking = rank > lowest
    groups = readable[np.isin(levels[-1], levels[-1][leaking])].groupby("group").groups.values()
    _tell(rows, {name: int((leaking & (rank == ORDER.index(name))).sum()) for name in ORDER[1:]}, keep)
    if not keep:
        images = images.copy()
        images.loc[readable.index[leaking], "left_out"] = [
            f"{image_table.LEAK}belongs together with an image of the {LONG_NAMES[ORDER[int(one)]]} partition"
            for one in lowest[leaking]
        ]
        return images, Leaks(list(groups), {})
    counts = {name: int(((rank == place) & (highest > rank)).sum()) for place, name in enumerate(ORDER)}
    return images, Leaks(list(groups), {name: count for name, count in counts.items() if count})


def draw(project, images, leaks):
    """Draw leaks.png beside the split files, one row per group; if there are none, remove that of an earlier split."""
    path = project.tables / "leaks.png"
    if not leaks.groups:
        path.unlink(missing_ok=True)
        return
    order = {name: place for place, name in enumerate((*ORDER, ""))}
    groups = [
        [
            (catalogue.location(project, row), f"{row.given_partition or 'train'}: {row.source.rpartition('/')[2]}")
            for row in sorted(images.loc[numbers].itertuples(), key=lambda row: order[row.given_partition])
        ]
        for numbers in leaks.groups
    ]
    duplicate_report.draw_contact_sheet(path, "Leaks between the ready-made partitions", groups)
    print(f"leaks, to be checked by eye: {path}")


def _shared(rank, first, second, levels):
    """Return how many images of one partition share a group with one of another, each counted at its first level.

    The groups of a level are those of the level before, some of them joined: what was shared there is shared here too.
    """
    shared = [((rank == first) & np.isin(groups, groups[rank == second])).sum() for groups in levels]
    return np.diff(shared, prepend=0).tolist()


def _tell(rows, leaving, keep):
    """Print a table of what each pair of partitions shares, and how many images are left out or kept all the same."""
    if not any(sum(row[3:]) for row in rows):
        print("\nleaks between the ready-made partitions: none")
        return
    header = ["images of", "also in", "images", "identical", "near-duplicates", "by group only"]
    print("\nLeaks between the ready-made partitions\n")
    print(format_table(header, [(LONG_NAMES[first], LONG_NAMES[second], *counts) for first, second, *counts in rows]))
    print()
    for first, second, count, *shared in rows:
        twins = sum(shared[:2])
        if twins:
            have = "has" if twins == 1 else "have"
            print(f"{twins} of {count} {LONG_NAMES[first]} images {have} a twin among the {LONG_NAMES[second]} images")
    left = " and ".join(counted(count, kind=LONG_NAMES[name]) for name, count in leaving.items() if count)
    print(f"{left} {'kept all the same (--keep_leaks)' if keep else 'left out of the split (--keep_leaks keeps all)'}")
