"""Groups that the person knows: which images are of one patient, say. Imports no torch."""

import numpy as np

from pipeline import files
from pipeline.errors import UserError


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
    rows = files.read_csv(path)
    for line, row in rows:
        if len(row) != 2 or not row[1].strip():
            faults.append(f"{path}, line {line}: {','.join(row)!r} is not 'file name,group'; mend the line")
        elif group_of.setdefault(row[0], row[1].strip()) != row[1].strip():
            faults.append(
                f"{path}, line {line}: {row[0]!r} is in the group {group_of[row[0]]!r} already; mend the line"
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
