"""A page as data, and its two renderings: Markdown for the terminal, HTML for the browser."""

import base64
from dataclasses import dataclass
from pathlib import Path

import jinja2

from pipeline.messages import format_table, is_number, printable


@dataclass(frozen=True)
class Table:
    """Rows of cells; the last cell of a short row stands for all further columns."""

    header: list
    rows: list
    caption: str = ""

    @property
    def numeric(self):
        """Whether each column holds numbers only."""
        whole = [row for row in self.rows if len(row) == len(self.header)]
        return [all(is_number(row[column]) for row in whole) for column in range(len(self.header))]

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

    @property
    def data(self):
        """The file in base64."""
        return base64.b64encode(self.path.read_bytes()).decode("ascii")


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
    style: str = ""  # "warning"; "small" or "large" for its pictures


@dataclass(frozen=True)
class Page:
    """What is rendered."""

    title: str
    sentences: tuple
    sections: list


def markdown(page):
    """Return the page as text for the terminal that is Markdown too."""
    return _render("page.md.jinja", page)


def html(page):
    """Return the page as one HTML file that holds everything and needs no network."""
    return _render("page.html.jinja", page)


def _render(template, page):
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates"), encoding="utf-8"),
        autoescape=jinja2.select_autoescape(["html.jinja"]),
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: printable(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(page=page)
