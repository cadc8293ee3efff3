import csv
import hashlib
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import files
from pipeline.errors import UserError


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / ("é" * 127)  # of 254 bytes, one less than systems take
    with files.whole_file(path) as temporary:
        temporary.write_bytes(b"content")
        assert not path.exists()
        assert temporary.parent == tmp_path
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


def test_only_pictures_of_the_project_are_removed(tmp_path):
    ours, mine = tmp_path / "ours.png", tmp_path / "mine.png"
    ours.write_bytes(b"\x89PNG Software basic-image-classification")
    mine.write_bytes(b"\x89PNG Software another")
    assert [files.remove_drawn(path) for path in (ours, mine, tmp_path / "none.png", tmp_path)] == [True, *[False] * 3]
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), files.whole_file(path) as temporary:
        temporary.write_bytes(b"half of the n")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_named_by_the_file_that_was_to_be(tmp_path):
    for details in ((28, "No space left on device"), (28, "No space", "source", None, str(tmp_path / "named below"))):
        with pytest.raises(OSError) as error, files.whole_file(tmp_path / "file") as temporary:
            temporary.touch()
            raise OSError(*details[:4], *([str(temporary)] if len(details) == 5 else []))
        assert (error.value.errno, error.value.filename) == (28, str(tmp_path / "file"))
    with pytest.raises(OSError) as error, files.whole_file(tmp_path / "file"):
        raise OSError(2, "No such file or directory", "source")
    assert error.value.filename == "source"


def test_temporary_names_cannot_be_guessed_and_links_are_not_followed(tmp_path, make_link, monkeypatch):
    names = set()
    for _ in range(2):
        with files.whole_file(tmp_path / "file") as temporary:
            names.add(temporary.name)
    assert len(names) == 2
    digits = iter(["0" * 16, "1" * 16])
    monkeypatch.setattr(files.secrets, "token_hex", lambda _: next(digits))
    make_link(tmp_path / f".file.{'0' * 16}.part", tmp_path / "far")
    with pytest.raises(FileExistsError):
        files.write_text(tmp_path / "file", "text")
    assert not (tmp_path / "far").exists()


def test_a_file_gets_the_permissions_that_the_user_wants(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_text(tmp_path / "file", "text")
    finally:
        os.umask(before)
    assert os.name == "nt" or (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_process_has_left_is_removed_and_what_is_being_written_stays(tmp_path, run_python):
    pytest.importorskip("fcntl", reason="this system has no such locks")
    killed = "from pipeline import files; import os\nwith files.whole_file('file') as path: path.touch(); os._exit(9)"
    assert run_python(killed).returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    with files.whole_file(tmp_path / "file") as temporary:
        temporary.write_text("whole")
        assert run_python("from pipeline import files; files.write_text('other', 'text')").returncode == 0
        assert {path.name for path in tmp_path.iterdir()} == {"other", temporary.name}
    assert (tmp_path / "file").read_text() == "whole"


def test_a_user_s_own_part_files_stay(tmp_path):
    for name in ("scan.part", ".hidden.part", ".file.1234.part"):
        (tmp_path / name).touch()
    files.remove_unfinished(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(os.name == "nt", reason="this system has no device files")
def test_a_device_is_written_to_and_never_replaced(tmp_path, make_link):
    make_link(tmp_path / "null", Path(os.devnull))
    for path in (Path(os.devnull), tmp_path / "null"):
        files.write_text(path, "text")
        assert path.is_char_device()
    assert (tmp_path / "null").is_symlink()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_to_where_someone_reads_it_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: not a regular file"):
        files.write_text(tmp_path / "pipe", "text")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.write_text(tmp_path / "pipe", "text")
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)


def test_the_folder_is_synced_after_the_file_and_its_renaming(tmp_path, monkeypatch):
    if os.name == "nt":
        pytest.skip("Windows syncs no folders")
    synced, fsync = [], os.fsync

    def watch(descriptor):
        synced.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        assert (synced[-1] == "folder") == (tmp_path / "file").exists()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    files.write_text(tmp_path / "file", "text")
    assert synced == ["file", "folder"]


def test_text_has_the_same_bytes_on_every_platform(tmp_path):
    files.write_text(tmp_path / "file", "é\n\udcff\n")
    assert (tmp_path / "file").read_bytes() == b"\xc3\xa9\n\xff\n"
    assert files.read_text(tmp_path / "file") == "é\n\udcff\n"
    (tmp_path / "file").write_bytes("é".encode("utf-16") + b"a")  # cut in the middle of a letter
    assert files.read_text(tmp_path / "file") == "é\ufffd"


def test_csv_is_quoted_where_needed_only(tmp_path):
    files.write_csv(tmp_path / "file.csv", [("Y 1.jpg", 1), ("a,b", 0), ('"', 2), ("Icon\r", 0)])
    assert (tmp_path / "file.csv").read_bytes() == b'Y 1.jpg,1\n"a,b",0\n"""",2\n"Icon\r",0\n'


# A name has no half of a surrogate pair but those that stand for its undecodable bytes.
LETTERS = st.sampled_from(',;"\n\r\t é\udcff') | st.characters(codec="utf-8", exclude_characters="\0")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.text(LETTERS), st.integers(0, 9))))
def test_csv_gives_back_any_name(tmp_path, rows):
    path = tmp_path / "file.csv"
    files.write_csv(path, rows)
    assert [tuple(row) for _, row in files.read_csv(path)] == [(name, str(index)) for name, index in rows]
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert [tuple(row) for row in csv.reader(file)] == [(name, str(index)) for name, index in rows]


@pytest.mark.parametrize(
    "content",
    [
        b"a;b,c\nd;1\n",
        b"a\tb,c\nd\t1\n",
        b'a,"b,c"\nd,1\n',
        *('\ufeffa,"b,c"\nd,1\n'.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-16-be")),
    ],
)
def test_csv_of_other_programs_is_read(tmp_path, content):
    (tmp_path / "file.csv").write_bytes(content)
    assert files.read_csv(tmp_path / "file.csv") == [(1, ["a", "b,c"]), (2, ["d", "1"])]


def test_where_nothing_gives_a_table_what_divides_the_first_line_most_is_taken(tmp_path):
    (tmp_path / "file.csv").write_text("a;b;c\nd,1\n")
    assert files.read_csv(tmp_path / "file.csv") == [(1, ["a", "b", "c"]), (2, ["d,1"])]


@pytest.mark.parametrize("blank", [",", " , ", "", "  ", '"",""'])
def test_lines_of_blank_cells_are_left_out(tmp_path, blank):
    (tmp_path / "file.csv").write_text(f"a,b\n{blank}\nd,1\n{blank}\n{blank}")
    assert files.read_csv(tmp_path / "file.csv") == [(1, ["a", "b"]), (3, ["d", "1"])]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('a,b\nc,"d\ne,f\ng,h\n', 2),
        ('a;b\n"c\nd";e\nf;"g\nh;i', 4),
        ('"', 1),
    ],
)
def test_a_quote_that_is_not_closed_is_named_and_swallows_no_lines(tmp_path, text, line):
    (tmp_path / "file.csv").write_text(text)
    with pytest.raises(UserError, match=f"file.csv, line {line}: a quote"):
        files.read_csv(tmp_path / "file.csv")


def test_a_spreadsheet_in_place_of_a_table_is_told_with_what_to_do(tmp_path):
    with zipfile.ZipFile(tmp_path / "labels.xlsx", "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
    (tmp_path / "labels.xls").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(100))
    for name in ("labels.xlsx", "labels.xls"):
        with pytest.raises(UserError, match=f"{name}: .*CSV"):
            files.read_csv(tmp_path / name)


def test_a_quote_inside_a_cell_is_a_letter(tmp_path):
    (tmp_path / "file.csv").write_text('12" tv,1\n7;"a,2\n')
    assert files.read_csv(tmp_path / "file.csv") == [(1, ['12" tv', "1"]), (2, ['7;"a', "2"])]


def test_json_is_one_key_a_line_and_read_back(tmp_path):
    content = {"labels": [0, 1], "class names": ["non", "été"], "nothing": None}
    files.write_json(tmp_path / "file.json", content)
    text = (tmp_path / "file.json").read_text(encoding="ascii")
    assert text == '{\n"labels": [0, 1],\n"class names": ["non", "\\u00e9t\\u00e9"],\n"nothing": null\n}\n'
    assert files.read_json_object(tmp_path / "file.json") == content


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_what_json_has_no_word_for_is_never_written(tmp_path, value):
    with pytest.raises(ValueError):
        files.write_json(tmp_path / "file.json", {"value": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b'{"a": 1', "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON (NaN is not a JSON number)"),
        (b'{"a": -Infinity}', "not valid JSON (-Infinity is not a JSON number)"),
        ('{"a": 1}'.encode("utf-16-le"), "not a text file in UTF-8"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[1]", "holds a list, not a JSON object; is it the right file?"),
    ],
)
def test_what_is_not_a_json_object_is_named(tmp_path, content, fault):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        files.read_json_object(path)
    assert str(error.value).startswith(f"{path}: {fault}")


def test_json_with_a_byte_order_mark_is_read(tmp_path):
    (tmp_path / "file.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert files.read_json_object(tmp_path / "file.json") == {"a": 1}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="no such file; check the name"):
        files.read_text(tmp_path / "missing")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_not_a_regular_file_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(UserError, match=f"^{path}: not a regular file"):
            files.read_text(path)
    with pytest.raises(UserError, match=f"^{tmp_path}: is a folder"):
        files.read_text(tmp_path)


def test_a_file_that_may_not_be_read_is_named(tmp_path, permissions):
    path = tmp_path / "file"
    path.touch()
    with permissions(path, 0), pytest.raises(UserError, match="Permission denied; check the file and its permissions"):
        files.read_text(path)


def test_the_content_hash_is_sha_256():
    assert files.content_hash(b"abc") == hashlib.sha256(b"abc").hexdigest()
