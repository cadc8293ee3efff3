"""Reading the values of options from text. Each reader raises ValueError with a message for the user."""

import re
from pathlib import Path


def whole_number(low=1, high=999_999_999):
    """Return a function that reads a whole number from `low` to `high`, both included."""

    def read(text):
        if not re.fullmatch(r"\+?[0-9]{1,10}", text) or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return read


def number(*, above=None, at_least=None, at_most=None, below=None):
    """Return a function that reads a finite number within the bounds that are not None."""
    bounds = {"above": above, "at least": at_least, "at most": at_most, "below": below}
    described = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)

    def read(text):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        sound = (
            abs(value) < float("inf")
            and (above is None or value > above)
            and (at_least is None or value >= at_least)
            and (at_most is None or value <= at_most)
            and (below is None or value < below)
        )
        if not sound:
            raise ValueError(f"{text!r} is not a number {described}".rstrip())
        return value

    return read


def table_column(text):
    """Read TABLE.csv:COLUMN as (path, column); a colon after a drive, or in the column's name, does not divide them."""
    divided = [(Path(text[:place]), text[place + 1 :].strip()) for place, letter in enumerate(text) if letter == ":"]
    divided = [(path, column) for path, column in divided if path.name and column]
    if not divided:
        raise ValueError(f"{text!r} is not a table and one of its columns, such as patients.csv:hospital")
    return next((pair for pair in divided if pair[0].is_file()), divided[-1])


def fold_choice(text):
    """Read a fold's number from 0, or "all"."""
    if text == "all":
        return text
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ValueError(f"{text!r} is neither a fold's number, from 0, nor all")
    return int(text)


def folder_path(text):
    """Read a folder's path, without the trailing quote or separator that Windows shells leave of "C:\\data\\".

    If there is a folder whose name ends like this, nothing is removed.
    """
    path = file_path(text)
    return path if path.is_dir() else Path(text.rstrip("\"'").rstrip("/\\") or text)


def any_text(text):
    """Read a text that is not empty: an empty one, as from an unset variable, could pass for an option not given."""
    if not text.strip():
        raise ValueError("is empty; perhaps a variable is not set")
    return text


def file_path(text):
    """Read a path that is not empty: an empty one would be the current folder."""
    return Path(any_text(text))


def column_choice(*roles):
    """Return a function that reads ROLE=COLUMN, of one of the `roles`, as (role, column)."""

    def read(text):
        role, _, column = text.partition("=")
        if role not in roles or not column:
            raise ValueError(f"{text!r} is not {'=, '.join(roles[:-1])}= or {roles[-1]}= and a column's name")
        return role, column

    return read
