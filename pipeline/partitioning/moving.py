"""Moving images into bin/ without ever losing, changing or overwriting one."""

import contextlib
import hashlib
import os
import shutil
from pathlib import PurePosixPath

from pipeline import files
from pipeline.errors import UserError, require_none
from pipeline.file_names import finder
from pipeline.progress import progress_bar

COPIED = ".copied"  # the file in csv/ that records that the images are copied


def gather_images(project, images, copy):
    """Move each image, an ImageRow, from its class folder into bin/, to its name there.

    With `copy` the class folders stay as they are. Links, images in linked folders and images in folders that may not
    be changed are always copied. Returns how many images were copied or moved, and how many were removed from a class
    folder because their copy was already in bin/.

    Raises UserError, before anything is moved, for each image that is in neither place, that has changed since
    partitioning, or whose name in bin/ is that of another file.
    """
    steps, faults, find = [], [], finder()
    for row in images:
        source, target = find(project.root, *row.source.split("/")), find(project.bin, row.file_name)
        if os.path.lexists(target) and (target.is_symlink() or _hash_of(target) != row.content_hash):
            faults.append(f"{target}: is not the image that images.csv lists under this name; move it elsewhere")
        elif not source.exists() and not target.exists():
            faults.append(f"{source}: no such file; put it back or run partition_datasets.py again")
        elif source.exists() and _hash_of(source) != row.content_hash:
            # With --copy the source may change later, and only the copy in bin/ counts.
            if not target.exists():
                faults.append(f"{source}: has changed since partitioning; run partition_datasets.py again")
        elif source.exists() and not (target.exists() and source.samefile(target)):
            # The same file under two names (a link, a file system that ignores case) is the only copy.
            steps.append((source, target))
    require_none(faults)

    gathered = removed = 0
    for source, target in progress_bar(steps, desc="organizing", unit="image"):
        keep_source = copy or _is_linked(source, project.root)
        if not target.exists():
            _move_or_copy(source, target, keep_source)
            gathered += 1
        elif not keep_source:
            # A copy that was interrupted before its source was removed, or one of an earlier --copy.
            removed += _remove(source)
    return gathered, removed


def was_copied(project):
    """Tell whether an earlier run has copied the images, so that the class folders stay."""
    return (project.csv / COPIED).exists()


def remember_copying(project, copy):
    """Record in csv/ whether the images are copied."""
    if copy:
        files.write_text(project.csv / COPIED, "organize_files.py --copy: the class folders stay\n")
    else:
        (project.csv / COPIED).unlink(missing_ok=True)


def remove_emptied_folders(project, images):
    """Remove the images' folders that are empty now, except links; return the names of the topmost ones."""
    emptied, find = [], finder()
    names = {row.source.rpartition("/")[0] for row in images}
    names |= {str(folder) for name in names for folder in PurePosixPath(name).parents}
    for name in sorted(names - {"", "."}, key=lambda name: (-name.count("/"), name)):
        folder = find(project.root, *name.split("/"))
        if folder.is_dir() and not _is_linked(folder, project.root) and not any(folder.iterdir()):
            with contextlib.suppress(OSError):  # it is a mount point, say, or in a folder that may not be changed
                folder.rmdir()
                emptied.append(name)
    return sorted(name for name in emptied if name.rpartition("/")[0] not in emptied)


def _is_linked(path, root):
    """Tell whether a file or folder below `root` is a link, or is in a folder that is one."""
    return path != root and (path.is_symlink() or _is_linked(path.parent, root))


def _move_or_copy(source, target, keep_source):
    if not keep_source:
        try:
            os.rename(source, target)
            return
        except OSError:
            pass  # on another file system, or without the right to remove it: copy, and then try to remove it
    with files.whole_file(target) as temporary:
        shutil.copyfile(source, temporary)
    if not keep_source:
        _remove(source)


def _remove(source):
    """Remove a file that has been copied, and return whether its folder allowed it."""
    try:
        source.unlink()
    except OSError:
        return False
    return True


def _hash_of(path):
    """Return the hash of a file of any size; None if it is not a regular file: a pipe would never end."""
    if not path.is_file():
        return None
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; fix this and run the same command again") from None
