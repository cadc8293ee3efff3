"""Writing files completely or not at all; CSV, and JSON as the standard has it."""

import codecs
import contextlib
import csv
import functools
import hashlib
import io
import itertools
import json
import os
import re
import secrets
import stat
from pathlib import Path

from pipeline.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# Written into pictures, pages and exported models to recognize them: files of another origin are never replaced.
MARK = "basic-image-classification"
BEGINNING = 1024  # bytes; in images and other files that are not text, one of these is 0
SPREADSHEETS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")  # how .xlsx and .ods, which are ZIP files, and .xls begin
UNFINISHED = re.compile(r"\..*\.[0-9a-f]{16}\.part")


@contextlib.contextmanager
def whole_file(path):
    """Give a temporary path beside `path`, and rename the file to `path` if the block succeeds.

    A reader sees the old file or the new one, never a part, even after a power cut or with two writers. A device
    (/dev/null, a terminal) or a pipe that someone reads is written to directly and stays what it is.
    """
    path = Path(path)
    if _is_special(path):
        yield path
        return
    _remove_unfinished_once(os.path.abspath(path.parent))
    try:
        with _unfinished_beside(path) as temporary:
            yield temporary
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
            _sync_folder(path.parent)
    except OSError as error:
        names = [os.path.basename(name) for name in (error.filename, error.filename2) if isinstance(name, str)]
        if error.errno is not None and (not names or any(map(UNFINISHED.fullmatch, names))):
            # If the disk is full, the error names no file, or the temporary one and the source of a copy.
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def remove_unfinished(folder):
    """Remove the temporary files that killed processes have left in a folder; those still being written stay."""
    if fcntl is None:
        return  # without locks nobody knows which are still being written
    with contextlib.suppress(OSError):
        for path in [entry.path for entry in os.scandir(folder) if UNFINISHED.fullmatch(entry.name)]:
            with contextlib.suppress(OSError), open(path, "rb+", opener=_open_itself) as file:
                if _hold(file.fileno()):
                    os.unlink(path)


def has_mark(path, title=""):
    """Tell whether a file has the project's mark near its beginning, as its pictures and pages do, and a title."""
    with open(path, "rb") as file:
        beginning = file.read(65_536)
    return MARK.encode() in beginning and title.encode() in beginning


def remove_drawn(path):
    """Remove a picture that the project has drawn, and return whether there was one; other files stay."""
    found = path.is_file() and has_mark(path)
    if found:
        path.unlink()
    return found


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
    """Write rows of cells as CSV, quoted only if needed."""
    write_text(path, csv_text(rows))


def csv_text(rows):
    """Return rows of cells as CSV; None is an empty cell."""
    return "".join(",".join(map(_csv_cell, row)) + "\n" for row in rows)


def read_csv(path):
    """Return [(line number, [cells])] of a CSV file, without lines that are blank or only hold blank cells.

    Cells are separated by commas or, if that gives no table, by semicolons or tabs, as spreadsheets do. If none of them
    gives a table, the one that divides the first line most is used. Raises UserError if the file cannot be read as CSV.
    """
    text = read_text(path)
    parsed = {delimiter: _parse_csv(path, text, delimiter) for delimiter in ",;\t"}
    tables = [delimiter for delimiter, rows in parsed.items() if _is_table(rows)]
    chosen = tables[0] if tables else max(parsed, key=lambda delimiter: _width(parsed[delimiter]))
    _require_closed_quotes(path, text, chosen)
    return parsed[chosen]


def write_json(path, content):
    """Write strict JSON (no NaN, no Infinity), one top-level key per line."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in content.items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read_json_object(path):
    """Read a file that holds one JSON object.

    Raises UserError if the file is missing, not UTF-8, not JSON, or not an object.
    """
    try:
        content = json.loads(read_text(path), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error}); write it again") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a {type(content).__name__}, not a JSON object; is it the right file?")
    return content


def has_keys(path, *keys):
    """Tell whether a file holds a JSON object with these keys, whatever their values."""
    try:
        return read_json_object(path).keys() >= {*keys}
    except UserError:
        return False


def read_text(path):
    """Read a text file in UTF-8, with or without a byte-order mark, or in UTF-16 with one.

    Raises UserError if it is missing, may not be read, is not text, or not a regular file: a pipe would never end.
    """
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise UserError(f"{path}: {'is a folder' if stat.S_ISDIR(mode) else 'not a regular file'}; give a file")
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; check the file and its permissions") from None
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    if b"\0" in data[:BEGINNING]:
        what_to_do = "save a spreadsheet as CSV" if data.startswith(SPREADSHEETS) else "is it the right file?"
        raise UserError(f"{path}: not a text file in UTF-8; {what_to_do}")
    return data.decode("utf-8-sig", errors="surrogateescape")


def content_hash(data):
    """Return the SHA-256 of bytes as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _is_special(path):
    """Tell whether `path` is a device or a pipe; UserError for a pipe that nobody reads, which would block for ever."""
    if not path.exists() or path.is_file() or path.is_dir():
        return False
    if path.is_fifo():
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            raise UserError(f"{path}: not a regular file but a pipe that nobody reads; give a file") from None
    return True


@contextlib.contextmanager
def _unfinished_beside(path):
    """Create an empty file beside `path` under a name that nobody can guess; remove it at the end if it is still there.

    It is locked meanwhile, so that no other process takes it for the leftover of a dead one.
    """
    descriptor = None
    while descriptor is None:
        # Only the beginning of a long name: no system allows more than 255 bytes.
        temporary = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}.part")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        if not (_hold(descriptor, without_locks=True) and temporary.exists()):  # another process took it for a leftover
            os.close(descriptor)
            descriptor = None
    if fcntl is None:
        os.close(descriptor)  # Windows cannot rename an open file
    try:
        yield temporary
    finally:
        if fcntl:
            os.close(descriptor)
        temporary.unlink(missing_ok=True)


@functools.cache
def _remove_unfinished_once(folder):
    # Once per process: listing a folder of 100,000 images for each of them would take hours.
    remove_unfinished(folder)


def _open_itself(path, flags):
    # Not what a link points to, and not a pipe, which would block.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def _hold(descriptor, without_locks=False):
    """Lock a file for as long as it is open; return whether that worked, `without_locks` if there are no locks."""
    try:
        if fcntl is None:
            return without_locks
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that has none
        return without_locks
    return True


def _sync_folder(folder):
    # Without this a power cut can undo the renaming. Windows cannot open folders, some file systems cannot sync them.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _parse_csv(path, text, delimiter):
    # newline="" keeps a line break inside a quoted file name; universal newlines would change it.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [(reader.line_num, row) for row in reader if any(map(str.strip, row))]
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}; write the file again") from None


def _width(rows):
    return len(rows[0][1]) if rows else 0


def _is_table(rows):
    widths = {len(row) for _, row in rows}
    return len(widths) == 1 and widths != {1}


def _require_closed_quotes(path, text, delimiter):
    """Raise UserError if a quoted cell never ends: it would silently take in all lines below."""
    # The added line is an empty row of its own, unless a quote is open.
    reader = csv.reader(itertools.chain(io.StringIO(text, newline=""), [""]), delimiter=delimiter)
    rows = [(0, []), *((reader.line_num, row) for row in reader)]
    if rows[-1][1]:
        raise UserError(
            f'{path}, line {rows[-2][0] + 1}: a quote (") is not closed; close it, or double it inside a cell'
        )


def _csv_cell(value):
    # The csv module leaves a carriage return (macOS puts one in the name "Icon\r") unquoted, and then cannot read it.
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if re.search(r'[",\r\n]', text) else text


def _refuse_constant(name):
    raise ValueError(f"{name} is not a JSON number")
