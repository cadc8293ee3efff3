"""What the scripts print: notes, tables, names and command lines, each safe for any terminal."""

import os
import shlex
import subprocess
import sys

from pipeline import processes

# Longer lists are cut here, and end with the count.
MOST_LINES = 20
MOST_NAMES = 4  # of images, in one note
LONGEST_LINE = 1000  # characters


def note(message):
    """Print a remark for the user on standard error, beside the results."""
    if processes.is_main():
        print(f"note: {one_line(message)}", file=sys.stderr)


def note_each(messages, where_all=""):
    """Print the first notes of a list, then how many there are; `where_all` says where to find all of them."""
    messages = list(messages)
    for message in messages[:MOST_LINES]:
        note(message)
    if len(messages) > MOST_LINES:
        note(f"... {len(messages)} in all{where_all and '; ' + where_all}")


def listed(names, most=MOST_LINES):
    """Return the first names of a list, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def counted(count, unit="image", kind="", of=""):
    """Write how many there are: "1 image", "26 test images", "16 groups of class yes"."""
    return f"{count} {kind and f'{kind} '}{unit}{'' if count == 1 else 's'}{of and f' of {of}'}"


def shortened(text, length):
    """Return a text, without its middle if it has more than `length` characters."""
    half = (length - 1) // 2
    return text if len(text) <= length else f"{text[:half]}…{text[-half:]}"


def in_words(value, between=" "):
    """Return a value as the user reads it: yes, no or none; the entries of a list with `between` between them.

    Different numbers give different texts: all digits that distinguish a number from others are written.
    """
    if isinstance(value, dict):
        return between.join(f"{key} {in_words(entry, between)}" for key, entry in value.items())
    if isinstance(value, list | tuple):
        return between.join(in_words(entry, between) for entry in value)
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def printable(text):
    """Return a name on one line, with every character that a terminal would act on escaped."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def one_line(text):
    """Return a message on one line that standard error can print, cut if it is very long."""
    encoding = sys.stderr.encoding or "utf-8"
    return shortened(printable(text), LONGEST_LINE).encode(encoding, "backslashreplace").decode(encoding)


def command_text(*words):
    """Join words to a command line that can be copied into this system's shell."""
    words = [str(word) for word in words]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def format_table(headers, rows):
    """Return a plain-text table, one line per row, that Markdown renders too; columns of numbers are right-aligned.

    None is an empty cell.
    """
    rows = [["" if cell is None else cell for cell in row] for row in rows]
    columns = [[str(header), *(str(row[i]) for row in rows)] for i, header in enumerate(headers)]
    widths = [max(2, *map(len, column)) for column in columns]  # Markdown needs a rule of two characters or more
    numeric = [all(is_number(row[i]) for row in rows) for i in range(len(headers))]

    def line(cells):
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return "| " + " | ".join(aligned) + " |"

    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, numeric, strict=True)]
    header, *body = zip(*columns, strict=True)
    return "\n".join(line(cells) for cells in (header, rule, *body))


def is_number(cell):
    """Tell whether a table's cell is a number or a percentage."""
    return isinstance(cell, (int, float)) or str(cell).rstrip("%").replace(".", "", 1).lstrip("-+").isdigit()
