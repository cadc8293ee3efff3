"""Writing files whole or not at all, CSV, and JSON as the standard has it."""

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import shutil
import threading
from pathlib import Path

from pipeline.errors import UserError


@contextlib.contextmanager
def whole_file(path):
    """Give a temporary path beside `path`, and rename it to `path` once the block has succeeded.

    A reader sees the old file or the new one, never a part, also after a power cut or with two writers.
    """
    path = Path(path)
    # Of a long name the beginning only: no system takes more than 255 bytes. Threads have numbers of their own.
    temporary = path.with_name(f".{path.name[:40]}.{threading.get_native_id()}.part")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        names = (error.filename, error.filename2)
        if error.errno is not None and (names == (None, None) or str(temporary) in names):
            # A disk that is full does not say for what, or names what was copied first.
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def copy_file(source, target):
    """Copy a file's content to `target`, whole or not at all."""
    with whole_file(target) as temporary:
        shutil.copyfile(source, temporary)


@contextlib.contextmanager
def whole_text_file(path):
    """Give a file to write UTF-8 text to, whole or not at all, with `\\n` line ends on every platform.

    Undecodable file names survive the round trip.
    """
    settings = {"encoding": "utf-8", "errors": "surrogateescape", "newline": "\n"}
    with whole_file(path) as temporary, open(temporary, "w", **settings) as file:
        yield file


def write_text(path, text):
    """Write text as a `whole_text_file`."""
    with whole_text_file(path) as file:
        file.write(text)


def write_csv(path, rows):
    """Write rows of cells as CSV, quoted where needed only."""
    write_text(path, "".join(",".join(map(_csv_cell, row)) + "\n" for row in rows))


def read_csv(path):
    """Return [(line number, [cells])] of a CSV file, blank lines left out; UserError where it cannot be read as CSV."""
    # newline="" keeps a line break inside a quoted file name; universal newlines would change it.
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    try:
        return [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}; write the file again") from None


def write_json(path, content):
    """Write strict JSON (no NaN, no Infinity), one top-level key a line."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in content.items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_json_object(path):
    """Read a file that holds one JSON object.

    Raises UserError where the file is missing, not UTF-8, not JSON, or something else than an object.
    """
    try:
        content = json.loads(read_text(path), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); write it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, not a JSON object; is it the right file?")
    return content


def read_text(path):
    """Read a UTF-8 text file, with or without a byte-order mark; UserError where it is missing or unreadable."""
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return file.read()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; check the file and its permissions") from None


def content_hash(data):
    """Return the SHA-256 of bytes as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _csv_cell(value):
    # The csv module leaves a carriage return (macOS puts one in the name "Icon\r") unquoted, and then cannot read it.
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text


def _refuse_constant(name):
    raise ValueError(f"{name} is not a JSON number")
