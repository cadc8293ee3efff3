import hashlib
import os
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import image_table
from pipeline.errors import UserError
from pipeline.file_names import composed
from pipeline.partitioning import catalogue, folders
from pipeline.partitioning.intake import Choices
from pipeline.project import Project, is_plain_file_name

HEADER = "source,file_name,class_name,content_hash,group,left_out\n"  # as before groups were remembered


def scan(root, known=()):
    """Return the rows of what lies in the class folders below `root`."""
    walked = catalogue.without_copies(folders.walk(Project(root)), known)
    labels = {composed(source): label for source, label in folders.read_labels(walked).items()}
    return catalogue.inspect_files(walked, labels, {})


def images(*sources, **columns):
    """Return rows of images as a scan finds them, with the values of some columns."""
    rows = [catalogue.Row(source, class_name=source.split("/")[0]) for source in sources]
    for name, values in columns.items():
        rows = [row._replace(**{name: value}) for row, value in zip(rows, values, strict=True)]
    return rows


def bin_names(known, found):
    return {row.source: row.file_name for row in catalogue.assign_bin_names(known, found)}


def sources_of(rows):
    return [row.source for row in rows]


@pytest.fixture
def faults(tmp_path):
    """Return find(text): what reading an images.csv with this text finds wrong, the path left out."""

    def find(text):
        path = tmp_path / "images.csv"
        path.write_text(text, encoding="utf-8", newline="")
        with pytest.raises(UserError) as error:
            image_table.read(path)
        return [fault.removeprefix(str(path)).lstrip(",: ") for fault in error.value.faults]

    return find


def test_a_table_is_read_back_as_it_was_written(tmp_path):
    sources = ["no/a,b.png", 'no/"c".png', "yes/two\nlines", "yes/Icon\r", "été/\udcff.png", "no/NA"]
    rows = images(*sources, file_name=["1.png", "2.png", "", "", "\udcff.png", "NA"], group="012345")
    image_table.write(tmp_path / "images.csv", pd.DataFrame(rows, dtype=object))
    assert (
        (tmp_path / "images.csv")
        .read_bytes()
        .startswith(
            HEADER.strip().encode() + b",known_group,subfolder,patient,given_partition,corrected_from\n"
            b'"no/a,b.png",1.png,no,,0,,,,,,\n'
        )
    )
    assert image_table.read(tmp_path / "images.csv") == [row[: len(image_table.COLUMNS)] for row in rows]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("no/a.png,a.png,no,,0", "5 columns"),
        ("no/a.png,a.png,no,,0,,", "7 columns"),
        ("no/a.png,../a.png,no,,0,", "'../a.png' is not a plain file name"),
        ("no/a.png,/a.png,no,,0,", "'/a.png' is not a plain file name"),
        ("no/a.png,C:a.png,no,,0,", "'C:a.png' is not a plain file name"),
        *((f"{source},a.png,no,,0,", f"{source!r} is not a path inside the project folder")
          for source in ("../a.png", "no/..", "no/../../a.png", "/etc/passwd", "no//a.png", "no/./a.png", "")),
        ("no/a.png,X.PNG,no,,0,", "'X.PNG'"),
        ("bin/a.png,a.png,bin,,0,", "'bin'"),
        ("Models/a.png,a.png,Models,,0,", "'Models'"),
    ],
)  # fmt: skip
def test_a_faulty_line_is_named(faults, row, fault):
    (found,) = faults(f"{HEADER}no/x.png,x.png,no,,0,\n{row}\nyes/y.png,,yes,,0,\n")
    assert found.startswith("line 3: ") and fault in found


def test_a_source_may_be_any_path_in_the_project_folder_and_a_class_any_text(tmp_path):
    rows = "a.png,a.png,no,,0,\nno/7/8/b.png,b.png,no/yes,,0,\n"
    (tmp_path / "images.csv").write_text(HEADER + rows)
    assert [row.class_name for row in image_table.read(tmp_path / "images.csv")] == ["no", "no/yes"]


def test_a_given_partition_is_one(faults):
    header = ",".join(image_table.COLUMNS)
    (found,) = faults(f"{header}\nno/a.png,a.png,no,,0,,,,,train,\nno/b.png,b.png,no,,0,,,,,Testing,\n")
    assert found.startswith("line 3: ") and "'Testing'" in found


def test_all_faults_of_a_table_are_found_at_once(faults):
    assert len(faults(HEADER + "a,b,c\n../x,../x,no,,0,\n")) == 3


@pytest.mark.parametrize("text", ["", "no/a.png,a.png,no,,0,\n", HEADER.replace("group", "set")])
def test_a_file_that_is_not_such_a_table_is_named(faults, text):
    (fault,) = faults(text)
    assert HEADER.strip() in fault
    (fault,) = faults("\0")
    assert "not a text file in UTF-8" in fault


def test_images_are_found_in_the_order_of_class_and_name(tmp_path, class_folders):
    class_folders(tmp_path, {"yes": 2, "no": 2, "maybe": 1})
    rows = scan(tmp_path)
    assert sources_of(rows) == ["maybe/maybe0.png", "no/no0.png", "no/no1.png", "yes/yes0.png", "yes/yes1.png"]
    assert [(row.class_name, row.left_out) for row in rows] == [
        (name, "") for name in ("maybe", "no", "no", "yes", "yes")
    ]
    data = (tmp_path / "no" / "no1.png").read_bytes()
    assert rows[2].content_hash == hashlib.sha256(data).hexdigest()


def test_reserved_and_hidden_folders_and_hidden_and_loose_files_are_passed_over(tmp_path, class_folders, capsys):
    folders = ["bin", "csv", "models", "results", ".git", "no"]
    class_folders(tmp_path, dict.fromkeys(folders, 1))
    (tmp_path / "loose.png").touch()
    assert sources_of(scan(tmp_path)) == ["no/no0.png"]
    notes = capsys.readouterr().err.splitlines()
    assert [note.split(": ")[1] for note in notes] == [str(tmp_path / name) for name in folders[:4]]


def test_the_folders_of_an_earlier_run_are_passed_over_in_silence(tmp_path, class_folders, capsys):
    class_folders(tmp_path, {"bin": 1, "no": 1})
    (tmp_path / "images.csv").write_text("")
    scan(tmp_path)
    assert capsys.readouterr().err == ""


def test_what_is_not_an_image_is_found_with_a_reason_and_takes_no_name(tmp_path, class_folders):
    class_folders(tmp_path, {"no": 1})
    (tmp_path / "no" / "notes.jpg").write_text("text")
    (tmp_path / "no" / "empty.jpg").mkdir()
    rows = catalogue.assign_bin_names([], scan(tmp_path))
    assert [(row.source, row.file_name, bool(row.left_out)) for row in rows] == [
        ("no/no0.png", "no0.png", False),
        ("no/notes.jpg", "", True),
    ]


def test_a_file_of_known_source_and_content_is_not_found_again(tmp_path, class_folders):
    class_folders(tmp_path, {"no": 3})
    known = scan(tmp_path)
    (tmp_path / "no" / "no1.png").write_bytes((tmp_path / "no" / "no0.png").read_bytes())
    (tmp_path / "no" / "new.png").write_bytes((tmp_path / "no" / "no0.png").read_bytes())
    assert sources_of(scan(tmp_path, known)) == ["no/new.png", "no/no1.png"]


def test_known_images_are_those_that_lie_in_bin_and_others_are_told(tmp_path, capsys):
    rows = images("no/a.png", "no/é.png", "no/c.txt", file_name=["a.png", "é.png", ""], known_group=["", "7", ""])
    assert catalogue.images_in_bin(Project(tmp_path), rows, set()) == []
    assert str(tmp_path / "no" / "a.png") in capsys.readouterr().err
    in_bin = {unicodedata.normalize("NFD", "é.png"), "stranger.png"}
    (known,) = catalogue.images_in_bin(Project(tmp_path), rows, in_bin)
    assert (known.source, known.known_group) == ("no/é.png", "7") and known.file_name in in_bin
    gone, stranger = capsys.readouterr().err.splitlines()
    assert gone.startswith(f"note: {tmp_path / 'no' / 'a.png'}: ")
    assert stranger.startswith(f"note: {tmp_path / 'bin' / 'stranger.png'}: ")


def test_what_lies_in_bin_already_keeps_its_name_to_itself():
    rows = catalogue.assign_bin_names([], images("no/1.png", "no/2.png"), {"1.PNG"})
    assert [row.file_name for row in rows] == ["no_1.png", "2.png"]


@pytest.mark.parametrize("name", ["Bin", "CSV", "Models", "RESULTS"])
def test_reserved_names_are_compared_without_case_and_told(tmp_path, class_folders, capsys, name):
    class_folders(tmp_path, {name: 1, "no": 1})
    (tmp_path / "images.csv").touch()
    assert sources_of(scan(tmp_path)) == ["no/no0.png"]
    assert capsys.readouterr().err.startswith(f"note: {tmp_path / name}: ")


def test_classes_that_differ_in_case_only_are_told(tmp_path, class_folders, capsys):
    try:
        class_folders(tmp_path, {"Yes": 1, "no": 1, "yes": 1}).joinpath("YES").mkdir()
    except FileExistsError:
        pytest.skip("this file system ignores case")
    assert set(catalogue.find_images(Project(tmp_path), Choices())["class_name"]) == {"Yes", "no", "yes"}
    assert "'Yes' and 'yes'" in capsys.readouterr().err


def test_a_folder_that_cannot_be_read_is_passed_over_with_a_note(tmp_path, class_folders, capsys, monkeypatch):
    class_folders(tmp_path, {"no": 1, "lost+found": 1})
    iterdir = Path.iterdir

    def refuse(folder):
        if folder.name == "lost+found":
            raise PermissionError(13, "Permission denied", str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert sources_of(scan(tmp_path)) == ["no/no0.png"]
    assert capsys.readouterr().err.startswith(f"note: {tmp_path / 'lost+found'}: ")


@pytest.mark.parametrize("name", ["Thumbs.db", "desktop.ini", ".DS_Store"])
def test_what_systems_put_into_folders_of_images_is_passed_over(tmp_path, class_folders, name):
    class_folders(tmp_path, {"no": 1})
    (tmp_path / "no" / name).touch()
    assert len(scan(tmp_path)) == 1


@pytest.mark.parametrize("letter", ["a", "é", "日"])
def test_names_in_bin_are_no_longer_than_systems_take(letter):
    name = letter * (240 // len(letter.encode())) + ".png"
    names = list(bin_names([], images(f"class of images/{name}", f"class of scans/{name}", f"class/{name}")).values())
    assert len({name.casefold() for name in names}) == 3
    assert all(len(name.encode()) <= 255 and name.endswith(".png") for name in names)


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["no/1.png", "yes/2.png"], ["1.png", "2.png"]),
        (["no/1.png", "yes/1.png"], ["no_1.png", "yes_1.png"]),
        (["no/1.png", "yes/1.PNG"], ["no_1.png", "yes_1.PNG"]),
        (["no/é.png", unicodedata.normalize("NFD", "yes/é.png")], ["no_é.png", "yes_é.png"]),
        (["no/1.png", "no/yes_1.png", "yes/1.png"], ["no_1.png", "yes_1.png", "yes_1_2.png"]),
        (["a/b_1.png", "a_b/1.png", "b/b_1.png", "c/1.png"], ["a_b_1.png", "a_b_1_2.png", "b_b_1.png", "c_1.png"]),
        (["no/1", "yes/1"], ["no_1", "yes_1"]),
    ],
)
def test_names_in_bin_stay_as_they_are_or_get_their_class_in_front(sources, expected):
    names = bin_names([], images(*sources))
    assert [unicodedata.normalize("NFC", names[source]) for source in sources] == expected


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
def test_a_name_that_another_system_takes_for_a_path_becomes_a_plain_one():
    sources = ["no/a\\b.png", "no/C:.png", "x\\y/1.png", "z/1.png"]
    assert list(bin_names([], images(*sources)).values()) == ["C_.png", "a_b.png", "x_y_1.png", "z_1.png"]


def test_known_images_keep_their_names_and_new_ones_make_way():
    known = images("no/1.png", "yes/1.png", file_name=["no_1.png", "yes_1.png"])
    found = images("maybe/1.png", "maybe/no_1.png", "no/1.png")
    assert [(row.source, row.file_name) for row in catalogue.assign_bin_names(known, found)] == [
        ("maybe/1.png", "maybe_1.png"),
        ("maybe/no_1.png", "maybe_no_1.png"),
        ("no/1.png", "no_1.png"),
        ("no/1.png", "no_1_2.png"),
        ("yes/1.png", "yes_1.png"),
    ]


def test_files_that_are_not_images_take_no_name():
    found = images("no/1.png", "yes/1.png", left_out=["", "the file is empty"])
    assert bin_names([], found) == {"no/1.png": "1.png", "yes/1.png": ""}


parts = st.text(st.sampled_from("aAßé_2.:\\-"), min_size=1, max_size=4).filter(lambda part: part.strip("."))


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
@given(
    known=st.lists(st.tuples(parts, parts).map("/".join), max_size=4, unique=True),
    found=st.lists(st.tuples(parts, parts).map("/".join), min_size=1, max_size=8, unique=True),
)
def test_no_two_images_ever_have_the_same_name(known, found):
    known = catalogue.assign_bin_names([], images(*known))
    names = [row.file_name for row in catalogue.assign_bin_names(known, images(*found))]
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(names)
    assert all(map(is_plain_file_name, names))
    assert {row.file_name for row in known} <= set(names)


def test_of_a_folder_above_the_class_folders_the_right_one_is_named(tmp_path, class_folders, call_script):
    class_folders(tmp_path / "download" / "scans", {"no": 3, "yes": 3})
    result = call_script("partition_datasets.py", "-proj_dir", tmp_path / "download")
    assert result.returncode == 2
    assert f"did you mean {tmp_path / 'download' / 'scans'}?" in result.stderr


def test_where_copied_class_folders_are_no_longer_as_bin_it_is_told(tmp_path, class_folders, call_script):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 10})
    call_script("partition_datasets.py", "-dir", data)
    call_script("organize_files.py", data, "--copy")
    assert call_script("partition_datasets.py", "-dir", data).stderr == ""
    (data / "no" / "no0.png").unlink()
    (data / "bin" / "yes3.png").write_bytes((data / "yes" / "yes3.png").read_bytes() + b"\0")  # the same image
    result = call_script("partition_datasets.py", "-dir", data)
    gone, changed = result.stderr.splitlines()
    assert gone.startswith(f"note: {data / 'no' / 'no0.png'}: is gone, ") and str(data / "bin" / "no0.png") in gone
    assert changed.startswith(f"note: {data / 'yes' / 'yes3.png'}: ") and str(data / "bin" / "yes3.png") in changed
    (data / "bin" / "no0.png").unlink()
    (data / "bin" / "yes3.png").unlink()
    result = call_script("partition_datasets.py", "-dir", data)
    assert [line for line in result.stderr.splitlines() if "yes3" in line] == []
