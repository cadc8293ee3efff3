"""Which images must share a partition: duplicates, and those that the user knows to be of one patient, say."""

from collections import defaultdict
from pathlib import PurePath

from pipeline import files
from pipeline.errors import UserError
from pipeline.file_names import as_cp1252, composed
from pipeline.messages import note_each
from pipeline.partitioning import catalogue, duplicates


def group_images(images, found, known, keep_label_conflicts):
    """Return the table with the groups of each usable image, and with those that lie in two classes left out.

    Args:
        images: the table of all images.
        found: duplicates.Duplicates among the usable ones.
        known: the user's groups of the usable ones, as `known_groups` returns them.
        keep_label_conflicts: keep the images that lie in two classes.

    Raises UserError for each class of which no image is left.
    """
    usable = catalogue.usable(images).index
    keys = [f"group {group}" if group else f"image {number}" for number, group in enumerate(known)]
    images = images.copy()
    images.loc[usable, "known_group"] = known
    images.loc[usable, "group"] = [str(group) for group in duplicates.group_equal(found.near, keys)]
    if not keep_label_conflicts:
        images.loc[usable, "left_out"] = found.label_conflicts
    _require_every_class(images.loc[usable])
    return images


def known_groups(images, path=None, forget=False):
    """Return the group that the user has given each image, "" for none, and print where it comes from.

    Args:
        images: the table of usable images; it remembers the groups of earlier runs.
        path: a CSV as `read_group_csv` takes it. It goes before what is remembered.
        forget: leave out what is remembered.
    """
    groups = [""] * len(images) if forget else list(images["known_group"])
    if any(groups):
        print(f"groups of an earlier -group_csv: {_counts(groups)} (--forget_groups drops them)")
    if path is not None:
        read = read_group_csv(path, images)
        print(f"groups in {path}: {_counts(read)}")
        groups = [new or earlier for new, earlier in zip(read, groups, strict=True)]
    return groups


def read_group_csv(path, images):
    """Read which images belong together from a CSV of `file name,group`; a header is passed over.

    A file name is that in the class folder, with the class folder in front (`yes/Y1.jpg`) where two classes have the
    same, or that in bin/; longer paths, backslashes and names without suffix will do. Images may be left out.

    Returns the group of each image of the table, "" for none. Raises UserError, with a line a fault, for lines that
    are not so, for a name of several images, for an image in two groups, and where no line names an image.
    """
    rows_of = _rows_by_spelling(images)
    classes = set(images["class_name"])
    groups, unknown, faults = [""] * len(images), [], []
    for line, row in files.read_csv(path):
        if len(row) != 2 or not row[1].strip():
            faults.append(f"{path}, line {line}: {','.join(row)!r} is not 'file name,group'; correct the line")
            continue
        name, group = row[0].strip(), row[1].strip()
        found = next((rows_of[spelling] for spelling in _spellings(name, classes) if spelling in rows_of), ())
        if len(found) > 1:
            sources = " and ".join(images["source"].iloc[found[:2]])
            faults.append(f"{path}, line {line}: {name!r} can be {sources}; write the class folder and the whole name")
        elif not found:
            unknown.append((line, name))
        elif groups[found[0]] not in ("", group):
            source = images["source"].iloc[found[0]]
            faults.append(f"{path}, line {line}: {source!r} is in the group {groups[found[0]]!r} already; correct it")
        else:
            groups[found[0]] = group
    if not any(groups) and not faults:
        example = images["source"].iloc[0]
        faults.append(f"{path}: names none of the images; a line is 'file name,group', such as '{example},7'")
    if faults:
        raise UserError(*faults)
    note_each(f"{path}, line {line}: {name!r} is none of the images" for line, name in unknown if line > 1)
    return groups


def _rows_by_spelling(images):
    """Return {spelling: rows of the table}; a name without suffix counts where no image has it as its whole name."""
    whole, stems = defaultdict(list), defaultdict(list)
    for row, (source, file_name) in enumerate(zip(images["source"], images["file_name"], strict=True)):
        for name in {composed(source), composed(source).partition("/")[2], composed(file_name)}:
            whole[name].append(row)
            stems[name.removesuffix(PurePath(name).suffix)].append(row)
    return {**stems, **whole}


def _spellings(name, classes):
    """Yield how the table may have a name: as it is, with `/` for backslashes, and with fewer folders in front."""
    for text in (name, as_cp1252(name)):
        text = composed(text)
        yield text
        *folders, last = text.replace("\\", "/").split("/")
        yield "/".join([*folders[-1:], last])
        if not set(folders[-1:]) & classes:
            yield last


def _counts(groups):
    named = [group for group in groups if group]
    left_out = f"; {len(groups) - len(named)} images have none" if len(named) < len(groups) else ""
    return f"{len(named)} images in {len(set(named))} groups{left_out}"


def _require_every_class(images):
    left = set(catalogue.usable(images)["class_name"])
    faults = [
        f"class {row.class_name!r}: each of its images lies in another class too ({row.source}: {row.left_out}); "
        "remove the copies, or give --keep_label_conflicts"
        for row in images[~images["class_name"].isin(left)].drop_duplicates("class_name").itertuples()
    ]
    if faults:
        raise UserError(*faults)
