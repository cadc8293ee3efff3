"""Finding the image that a user's table means: by its path, its name, or its name without suffix."""

from collections import defaultdict
from pathlib import PurePath

from pipeline.file_names import as_cp1252, caseless, composed


class NameIndex:
    """Finds images by the names that a table may use for them.

    `names_of` holds the names of each image: its path below the project folder, its name in bin/. The end of a path is
    a name too. A name without suffix, or in another case, is found if no image has exactly this name. Bytes that are
    not UTF-8 are read as cp1252, as in a user's table.
    """

    def __init__(self, names_of):
        self.names_of = [[as_cp1252(name) for name in names] for names in names_of]
        self._numbers = [defaultdict(dict) for _ in _SPELLINGS]  # {spelling: {number of an image: None}}
        self._folders = set()
        for number, names in enumerate(self.names_of):
            for parts in (name.split("/") for name in names):
                self._folders.update(map(caseless, parts[:-1]))
                for start in range(len(parts)):
                    name = "/".join(parts[start:])
                    for numbers, spelling in zip(self._numbers, _SPELLINGS, strict=True):
                        numbers[spelling(name)][number] = None

    def find(self, name):
        """Return the numbers of the images that a name can mean: none, one or several."""
        names = list(self._shortened(name))
        for numbers, spelling in zip(self._numbers, (composed, composed, caseless, caseless), strict=True):
            for text in names:
                found = list(numbers.get(spelling(text), ()))
                whole = [number for number in found if text in self.names_of[number]]
                if found:
                    return whole if len(whole) == 1 else found
        return []

    def _shortened(self, name):
        """Yield a name as it is, with `/` for backslashes, and without leading folders that do not exist here."""
        yield name
        parts = name.replace("\\", "/").split("/")
        yield "/".join(parts)
        while len(parts) > 1 and caseless(parts[0]) not in self._folders:
            parts = parts[1:]
            yield "/".join(parts)


def _without_suffix(name):
    return name.removesuffix(PurePath(name).suffix)


# How images are found, in this order; the name to be found keeps its suffix, if it has one.
_SPELLINGS = (
    composed,
    lambda name: _without_suffix(composed(name)),
    caseless,
    lambda name: _without_suffix(caseless(name)),
)
