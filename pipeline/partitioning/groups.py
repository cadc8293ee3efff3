"""Which images must share a partition: duplicates, and those that the user knows to be of one patient, say."""

from collections import Counter
from pathlib import PurePath

import numpy as np

from pipeline import user_table
from pipeline.errors import require_none
from pipeline.image_table import GROUP_COLUMNS, usable
from pipeline.messages import counted, note_each
from pipeline.name_index import NameIndex
from pipeline.partitioning import duplicates

# What R, pandas, databases and people write if the group is unknown.
MISSING = {"na", "n/a", "nan", "none", "null", "unknown", "?", "-"}


def group_images(images, found, known, keep_label_conflicts):
    """Return the table with the group of each usable image; images in two classes are left out.

    Images belong together if they are near-duplicates, if the user has put them into one group, or if they are in one
    subfolder or of one patient. An image in two classes stays in a ready-made test partition.

    Args:
        images: the table of all images.
        found: duplicates.Duplicates among the usable ones.
        known: the user's groups of the usable ones, as `known_groups` returns them.
        keep_label_conflicts: keep the images that are in two classes.

    Raises UserError for each class that has no image left.
    """
    readable = usable(images).index
    images = images.copy()
    images.loc[readable, "known_group"] = known
    groups = found.near
    for column in GROUP_COLUMNS:
        keys = enumerate(images.loc[readable, column])
        groups = duplicates.group_equal(groups, [f"group {name}" if name else f"image {row}" for row, name in keys])
    images.loc[readable, "group"] = [str(group) for group in groups]
    if not keep_label_conflicts:
        is_published = images.loc[readable, "given_partition"] == "test"
        images.loc[readable, "left_out"] = np.where(is_published, "", found.label_conflicts)
    _require_every_class(images.loc[readable])
    return images


def tell_found(images):
    """Print how many of the usable images are kept together by their subfolders or DICOM files."""
    for column, kind in (("subfolder", ""), ("patient", "DICOM")):
        found = images[column][images[column] != ""]
        if len(found):
            places = counted(found.nunique(), column, kind)
            print(f"{counted(len(found))} in {places}, kept together (-{column}s ungrouped splits them)")


def known_groups(images, path):
    """Return the group that the user has given each image, "" for none, and print where they come from.

    Args:
        images: the table of usable images, with the groups of a table of labels and those of earlier splits.
        path: a CSV as `read_group_csv` takes it, or None. Its groups take precedence.
    """
    groups = list(images["known_group"])
    if any(groups):
        print(f"known groups: {_counts(groups)} (--forget_groups drops those of earlier splits)")
    if path is not None:
        read = read_group_csv(path, images)
        print(f"groups in {path}: {_counts(read)}")
        groups = [new or earlier for new, earlier in zip(read, groups, strict=True)]
    note_each(
        f"{counted(count)} are in the group {name!r}, and stay together; if that means unknown, take them out of the "
        "table and give --forget_groups"
        for name, count in Counter(groups).items()
        if count > 1 and name.casefold() in MISSING
    )
    return groups


def read_group_csv(path, images):
    """Read which images belong together from a CSV of `file name,group`; the first line may be a header.

    A file name is that in the class folder, with the class folder in front (`yes/Y1.jpg`) if two classes have it, or
    that in bin/; longer paths, backslashes and names without suffix are accepted. Not all images have to be listed.

    Returns the group of each image of the table, "" for none. Raises UserError, with one line per fault, for lines of
    another form, for a name of several images, for an image in two groups, and if no line names an image.
    """
    index = NameIndex(list(zip(images["source"], images["file_name"], strict=True)))
    groups, unknown, faults = [""] * len(images), [], []
    for line, row in user_table.read_rows(path):
        if len(row) != 2 or not row[1].strip():
            faults.append(f"{path}, line {line}: {','.join(row)!r} is not 'file name,group'; correct the line")
            continue
        name, group = row[0].strip(), row[1].strip()
        found = index.find(name)
        if len(found) > 1:
            sources = " and ".join(images["source"].iloc[found[:2]])
            faults.append(f"{path}, line {line}: {name!r} can be {sources}; write the class folder and the whole name")
        elif not found:
            unknown.append((line, name))
        elif groups[found[0]] not in ("", group):
            source = images["source"].iloc[found[0]]
            faults.append(f"{path}, line {line}: {source!r} is already in the group {groups[found[0]]!r}; correct it")
        else:
            groups[found[0]] = group
    if not any(groups) and not faults:
        example = images["source"].iloc[0]
        faults.append(f"{path}: names none of the images; a line is 'file name,group', such as '{example},7'")
    require_none(faults)
    suffixes = {PurePath(source).suffix.lower() for source in images["source"]} - {""}
    note_each(
        f"{path}, line {line}: {name!r} is not one of the images"
        for line, name in unknown
        if line > 1 or PurePath(name).suffix.lower() in suffixes  # otherwise it is the header
    )
    return groups


def _counts(groups):
    named = [group for group in groups if group]
    left_out = f"; {counted(len(groups) - len(named))} without one" if len(named) < len(groups) else ""
    return f"{counted(len(named))} in {counted(len(set(named)), 'group')}{left_out}"


def _require_every_class(images):
    left = set(usable(images)["class_name"])
    require_none(
        f"class {row.class_name!r}: each of its images is in another class too ({row.source}: {row.left_out}); "
        "remove the copies, or give --keep_label_conflicts"
        for row in images[~images["class_name"].isin(left)].drop_duplicates("class_name").itertuples()
    )
