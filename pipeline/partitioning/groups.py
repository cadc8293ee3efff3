"""Which images must share a partition: duplicates, and those that the user knows to be of one patient, say."""

import numpy as np

from pipeline import files
from pipeline.errors import UserError
from pipeline.partitioning import catalogue, duplicates


def group_images(images, found, known, keep_label_conflicts):
    """Return the table with the group of each usable image, and with those that lie in two classes left out.

    Args:
        images: the table of all images.
        found: duplicates.Duplicates among the usable ones.
        known: the user's groups, as `read_known_groups` returns them, or None.
        keep_label_conflicts: keep the images that lie in two classes.
    """
    usable = catalogue.usable(images).index
    groups = found.near if known is None else duplicates.group_equal(found.near, known)
    images = images.copy()
    images.loc[usable, "group"] = [str(group) for group in groups]
    if not keep_label_conflicts:
        images.loc[usable, "left_out"] = found.label_conflicts
    return images


def read_known_groups(path, images):
    """Read which images belong together from a CSV of `file name,group`; a header is passed over.

    Args:
        path: the CSV. A file name is that in the class folder, with the class folder in front (`yes/Y1.jpg`) where
            two classes have the same; or the name in bin/.
        images: table with source and file_name.

    Returns the group's text for each image. Raises UserError, with a line a fault, for lines that are not so, for an
    image in two groups, and for every image without one: it could be the same patient's as any other.
    """
    group_of, faults = {}, []
    for line, row in files.read_csv(path):
        if len(row) != 2 or not row[1].strip():
            faults.append(f"{path}, line {line}: {','.join(row)!r} is not 'file name,group'; correct the line")
        elif group_of.setdefault(row[0], row[1].strip()) != row[1].strip():
            faults.append(
                f"{path}, line {line}: {row[0]!r} is in the group {group_of[row[0]]!r} already; correct the line"
            )
    plain_names = images["source"].map(lambda source: source.partition("/")[2])
    ambiguous = set(plain_names[plain_names.duplicated()])
    groups = []
    for source, plain_name, file_name in zip(images["source"], plain_names, images["file_name"], strict=True):
        names = [source, file_name, *([] if plain_name in ambiguous else [plain_name])]
        found = {group_of[name] for name in names if name in group_of}
        if len(found) != 1:
            problem = "is in two groups" if found else "has no line in it"
            faults.append(f"{path}: {source} {problem}; give each image one group")
        groups.append(min(found, default=""))
    if faults:
        raise UserError(*faults)
    return np.array(groups)
