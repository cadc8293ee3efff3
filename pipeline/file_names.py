"""Which spellings of a file name mean the same name, and which names are hidden from users."""

import functools
import os
import unicodedata

OF_WINDOWS = ("thumbs.db", "desktop.ini")  # files that it puts into folders of images


def composed(name):
    """Return a name with its letters composed (NFC): macOS and some copies decompose them (NFD)."""
    return unicodedata.normalize("NFC", name)


def caseless(name):
    """Return a name in the form that file systems that ignore case (Windows, macOS) compare."""
    return composed(name).casefold()


def as_cp1252(name):
    """Return a name, read as cp1252, the encoding of older Windows programs, if its bytes are not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return name


def is_hidden(name):
    """Tell from its name whether a file or folder is hidden."""
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
    """Return find(folder, *names): the path of a file, even if a copy spells its names differently (NFC, NFD)."""
    listed = functools.cache(lambda folder: FileNames(os.listdir(folder) if folder.is_dir() else ()))

    def find(folder, *names):
        for name in names:
            folder = folder / (listed(folder).find(name) or name)
        return folder

    return find
