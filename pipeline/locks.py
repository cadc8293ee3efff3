"""Locks: one process at a time if two would spoil each other's work."""

import contextlib
import os
import platform

from filelock import FileLock, Timeout

from pipeline import processes
from pipeline.errors import UserError


@contextlib.contextmanager
def only_one(path, what):
    """Hold the lock `path`, a hidden file, for as long as the block lasts.

    Raises UserError, naming process and host, if another process works on `what`, and for a read-only folder. The
    system releases the lock of a process that dies. Of several processes that work together, the main one holds it.
    """
    if not processes.is_main():
        yield
        return
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = path.read_text(encoding="utf-8") or "another process"
        raise UserError(f"{what}: {holder} is at work on it; wait until it has finished, or stop it") from None
    except OSError as error:
        raise UserError(
            f"{path.parent}: {error.strerror}; fix this and run the same command again (if the images may not be "
            "changed, create links to them in a folder of your own)"
        ) from None
    try:
        with contextlib.suppress(OSError):  # on a full disk, the second process is not told who holds it
            path.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        yield
    finally:
        path.unlink(missing_ok=True)
        lock.release()
