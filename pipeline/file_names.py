"""Which spellings of a file name mean the same name, and which names are hidden from users."""

import functools
import os
import unicodedata

OF_WINDOWS = ("thumbs.db", "desktop.ini")  # what it puts into folders of images


def composed(name):
    """Return a name with its letters composed (NFC): macOS and some copies decompose them (NFD)."""
    return unicodedata.normalize("NFC", name)


def caseless(name):
    """Return what a file system that ignores case (Windows, macOS) compares of a name."""
    return composed(name).casefold()


def as_cp1252(name):
    """Return a name read as cp1252, the encoding of older Windows programs, where its bytes are not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return name


def is_hidden(name):
    """Tell whether a file or folder is not to be seen, as its name says."""
    return name.startswith(".") or name.lower() in OF_WINDOWS


class FileNames:
    """The names in a folder, found under any spelling that means the same."""

    def __init__(self, names):
        self._names = set(names)
        self._composed = {composed(name): name for name in self._names}

    def find(self, name):
        """Return the name as the folder has it, or None."""
        if name in self._names:
            return name
        return self._composed.get(composed(name)) or self._composed.get(composed(as_cp1252(name)))


def finder():
    """Return find(folder, *names): where a file is, whose names a copy may have spelled otherwise (NFC, NFD)."""
    listed = functools.cache(lambda folder: FileNames(os.listdir(folder) if folder.is_dir() else ()))

    def find(folder, *names):
        for name in names:
            folder = folder / (listed(folder).find(name) or name)
        return folder

    return find
