"""A page as data, and its two renderings: Markdown for the terminal, HTML for the browser."""

import base64
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.messages import format_table, is_number, printable
from pipeline.templates import rendered

TEMPLATES = Path(__file__).with_name("templates")
LONGEST_WORD = 20  # characters in a cell of a table in HTML; longer words may be broken
MOST_COLUMNS, MOST_LEVEL_HEADINGS = 5, 13  # of a table; more columns are printed smaller, more headings upright
PHONE_WIDTH = 52  # characters of a table
FIGURES = re.compile(r"(< )?[-+]?\d[\d.]*%?(;? (\(?[-+]?\d[\d.]*%?\)?|to|of|and|points))*")


@dataclass(frozen=True)
class Table:
    """Rows of cells; the last cell of a short row spans all further columns."""

    header: list
    rows: list
    caption: str = ""

    @property
    def numeric(self):
        """Whether each column holds nothing but numbers."""
        whole = [row for row in self.rows if len(row) == len(self.header)]
        return [all(is_number(row[column]) for row in whole) for column in range(len(self.header))]

    @property
    def style(self):
        """How HTML shows it: small if it has "many" or "crowded" columns, on a phone as a "list" if it is too wide."""
        count = len(self.header)
        size = ["many"] * (count > MOST_COLUMNS) + ["crowded"] * (count > MOST_LEVEL_HEADINGS)
        if size and all(self.numeric[1:]):
            return " ".join([*size, "matrix"])
        return " ".join([*size, "list"] if size or self._least_width > PHONE_WIDTH else size)

    @property
    def _least_width(self):
        """How many characters wide it is at least, with what may not be broken on one line."""
        columns = zip(*(row for row in [self.header, *self.rows] if len(row) == len(self.header)), strict=True)
        return sum(1 + max(len(part) for cell in column for part in self._unbroken(cell)) for column in columns)

    def _unbroken(self, cell):
        parts = self.parts(cell) or str(cell).split() or [""]
        return ["" if self.is_long(part) else part for part in parts]

    @staticmethod
    def is_long(cell):
        """Tell whether a cell has a word, such as a fingerprint, that may be broken so that the table fits."""
        return any(len(word) > LONGEST_WORD for word in str(cell).split())

    @staticmethod
    def parts(cell):
        """Return the figures in a cell, "93.8% (15 of 16);" and "69.8% to 99.8%", each for one line; [] for text."""
        return re.split("(?<=;) ", str(cell)) if FIGURES.fullmatch(str(cell)) else []

    @property
    def lines(self):
        """The lines of the table in Markdown."""
        rows = [[printable(str(cell)).replace("|", "\\|") for cell in row] for row in [self.header, *self.rows]]
        filled = [row + [""] * (len(self.header) - len(row)) for row in rows]
        return format_table(filled[0], filled[1:]).split("\n")


@dataclass(frozen=True)
class Picture:
    """A PNG file and what it shows, in words for those who do not see it."""

    path: Path
    text: str
    wide: bool = False  # whether it takes the full width of a page

    @property
    def data(self):
        """The file in base64."""
        return base64.b64encode(self.path.read_bytes()).decode("ascii")


@dataclass(frozen=True)
class Box:
    """A box of a Diagram: a title in bold, and the lines below it."""

    title: str
    lines: tuple = ()


@dataclass(frozen=True)
class Diagram:
    """A flow from top to bottom, shown in HTML only."""

    text: str  # what it shows
    steps: tuple  # each a tuple: a Box and perhaps one beside it, of what leaves the flow there
    branches: tuple  # the Boxes that the flow ends in

    @property
    def rows(self):
        """[("step" or "branches", boxes)] of each row."""
        return [*(("step", boxes) for boxes in self.steps), ("branches", self.branches)]


@dataclass(frozen=True)
class Section:
    """A part of a page; names in it may hold any characters. Pictures are shown in HTML only."""

    title: str
    sentences: tuple = ()
    points: tuple = ()  # sentences of a list
    tables: tuple = ()
    notes: tuple = ()  # sentences below the tables
    commands: tuple = ()  # command lines
    pictures: tuple = ()
    diagram: Diagram | None = None
    style: str = ""  # "warning"; "small" or "large" for its pictures


@dataclass(frozen=True)
class Page:
    """A page to be rendered."""

    title: str
    sentences: tuple
    sections: list


def markdown(page):
    """Return the page as Markdown that reads well in a terminal."""
    return rendered(TEMPLATES / "page.md.jinja", page=page)


def html(page):
    """Return the page as one HTML file that holds everything and needs no network."""
    return rendered(TEMPLATES / "page.html.jinja", page=page)
