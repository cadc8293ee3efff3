"""A user's table about images: a CSV with a header, whose lines name the images as the user does."""

import re
from dataclasses import dataclass

from pipeline import files
from pipeline.errors import UserError
from pipeline.file_names import as_cp1252
from pipeline.messages import counted, note
from pipeline.name_index import NameIndex

# Headers of the column that names the image, as `columns_called` compares them.
IMAGE_HEADERS = ("filename", "file", "image", "imageid", "imagename", "imagepath", "path", "filepath")


@dataclass(frozen=True)
class UserTable:
    """A table as it stands in the file."""

    path: object
    header: list
    rows: list  # [(line number, [cells])] of the lines below the header

    def columns_called(self, names):
        """Return the numbers of the columns whose header is one of `names`, without case, spaces, _ and -."""
        plain = [re.sub(r"[\s_-]", "", cell.casefold()) for cell in self.header]
        return [number for number, cell in enumerate(plain) if cell in names]

    def lines(self, image_column, names_of, faults):
        """Yield the Lines; lines of another width than the header, or with a name of several images, are `faults`.

        `names_of` holds the names of each image, of which messages use the first.
        """
        index = NameIndex(names_of)
        for number, row in self.rows:
            where = f"{self.path}, line {number}"
            if len(row) != len(self.header):
                faults.append(f"{where}: {counted(len(row), 'column')} instead of {len(self.header)}; correct the line")
                continue
            name = row[image_column].strip()
            found = index.find(name) if name else []
            if len(found) > 1:
                listed = " and ".join(names_of[image][0] for image in found[:2])
                faults.append(f"{where}: {name!r} can be {listed}; write the folder too")
            else:
                yield Line(number, where, [cell.strip() for cell in row], name, found[0] if found else None)


@dataclass(frozen=True)
class Line:
    """A line of a table, and the image that it names."""

    number: int
    where: str  # for messages
    cells: list
    name: str
    image: int | None  # its index in `names_of`; None if the name is not that of an image


def read(path):
    """Read a UserTable; raise UserError if there is no line below the header."""
    rows = read_rows(path)
    if len(rows) < 2:
        raise UserError(f"{path}: has no lines below its header; is it the right file?")
    return UserTable(path, [cell.strip() for cell in rows[0][1]], rows[1:])


def read_rows(path):
    """Return what `files.read_csv` does, with cells that are not UTF-8 read as cp1252, in which Excel saves them.

    A note says so, since letters of yet another encoding would be wrong.
    """
    found = files.read_csv(path)
    rows = [(line, [as_cp1252(cell) for cell in row]) for line, row in found]
    if rows != found:
        note(f"{path}: not in UTF-8, so read as cp1252 (Western Windows); if letters are wrong, save it as UTF-8")
    return rows
