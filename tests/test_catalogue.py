import hashlib
import os
import unicodedata

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.partitioning import catalogue
from pipeline.project import Project, is_plain_file_name

HEADER = "source,file_name,class_name,content_hash,group,left_out\n"
NONE = pd.DataFrame(columns=catalogue.COLUMNS, dtype=object)


def images(*sources, **columns):
    """Return a table of images as a scan finds them."""
    rows = [{**dict.fromkeys(catalogue.COLUMNS, ""), "source": source} for source in sources]
    table = pd.DataFrame(rows, columns=catalogue.COLUMNS, dtype=object)
    return table.assign(class_name=[source.split("/")[0] for source in sources], **columns)


def bin_names(known, found):
    table = catalogue.assign_bin_names(known, found)
    return dict(zip(table["source"], table["file_name"], strict=True))


@pytest.fixture
def faults(tmp_path):
    """Return find(text): what reading an images.csv with this text finds wrong, the path left out."""

    def find(text):
        path = tmp_path / "images.csv"
        path.write_text(text, encoding="utf-8", newline="")
        with pytest.raises(UserError) as error:
            catalogue.read(path)
        return [fault.removeprefix(str(path)).lstrip(",: ") for fault in error.value.faults]

    return find


def test_a_table_is_read_back_as_it_was_written(tmp_path):
    sources = ["no/a,b.png", 'no/"c".png', "yes/two\nlines", "yes/Icon\r", "été/\udcff.png", "no/NA"]
    table = images(*sources, file_name=["1.png", "2.png", "", "", "\udcff.png", "NA"], group=range(6))
    catalogue.write(tmp_path / "images.csv", table)
    assert (tmp_path / "images.csv").read_bytes().startswith(HEADER.encode() + b'"no/a,b.png",1.png,no,,0,\n')
    assert catalogue.read(tmp_path / "images.csv").values.tolist() == table.assign(group=list("012345")).values.tolist()


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("no/a.png,a.png,no,,0", "5 columns"),
        ("no/a.png,a.png,no,,0,,", "7 columns"),
        ("no/a.png,../a.png,no,,0,", "'../a.png' is not a plain file name"),
        ("no/a.png,/a.png,no,,0,", "'/a.png' is not a plain file name"),
        ("no/a.png,C:a.png,no,,0,", "'C:a.png' is not a plain file name"),
        *((f"{source},a.png,no,,0,", f"{source!r} is not 'class name/file name'")
          for source in ("../a.png", "no/..", "no/../../a.png", "/etc/passwd", "a.png", "yes/a.png")),
        ("no/a.png,a.png,../..,,0,", "'no/a.png' is not 'class name/file name'"),
        ("no/a.png,X.PNG,no,,0,", "'X.PNG'"),
    ],
)  # fmt: skip
def test_a_faulty_line_is_named(faults, row, fault):
    (found,) = faults(f"{HEADER}no/x.png,x.png,no,,0,\n{row}\nyes/y.png,,yes,,0,\n")
    assert found.startswith("line 3: ") and fault in found


def test_all_faults_of_a_table_are_found_at_once(faults):
    assert len(faults(HEADER + "a,b,c\n../x,../x,no,,0,\n")) == 3


@pytest.mark.parametrize("text", ["", "no/a.png,a.png,no,,0,\n", HEADER.replace(",", ";"), "\x00"])
def test_a_file_that_is_not_such_a_table_is_named(faults, text):
    (fault,) = faults(text)
    assert HEADER.strip() in fault


def test_images_are_found_in_the_order_of_class_and_name(tmp_path, class_folders):
    class_folders(tmp_path, {"yes": 2, "no": 2, "maybe": 1})
    table = catalogue.scan_class_folders(Project(tmp_path), NONE)
    assert list(table["source"]) == ["maybe/maybe0.png", "no/no0.png", "no/no1.png", "yes/yes0.png", "yes/yes1.png"]
    assert list(table["class_name"]) == ["maybe", "no", "no", "yes", "yes"]
    assert list(table["left_out"]) == [""] * 5
    data = (tmp_path / "no" / "no1.png").read_bytes()
    assert table["content_hash"].iloc[2] == hashlib.sha256(data).hexdigest()


def test_reserved_and_hidden_folders_and_hidden_and_loose_files_are_passed_over(tmp_path, class_folders, capsys):
    folders = ["bin", "csv", "models", "results", ".git", "no"]
    class_folders(tmp_path, dict.fromkeys(folders, 1))
    (tmp_path / "no" / ".DS_Store").touch()
    (tmp_path / "loose.png").touch()
    assert list(catalogue.scan_class_folders(Project(tmp_path), NONE)["source"]) == ["no/no0.png"]
    notes = capsys.readouterr().err.splitlines()
    assert [note.split(": ")[1] for note in notes] == [str(tmp_path / name) for name in folders[:4]]


def test_the_folders_of_an_earlier_run_are_passed_over_in_silence(tmp_path, class_folders, capsys):
    class_folders(tmp_path, {"bin": 1, "no": 1})
    (tmp_path / "images.csv").write_text("")
    catalogue.scan_class_folders(Project(tmp_path), NONE)
    assert capsys.readouterr().err == ""


def test_what_is_not_an_image_is_found_with_the_reason(tmp_path, class_folders):
    class_folders(tmp_path, {"no": 1})
    (tmp_path / "no" / "notes.jpg").write_text("text")
    (tmp_path / "no" / "folder.jpg").mkdir()
    table = catalogue.assign_bin_names(NONE, catalogue.scan_class_folders(Project(tmp_path), NONE))
    assert dict(zip(table["source"], table["left_out"], strict=True)) == {
        "no/folder.jpg": "a folder, not an image",
        "no/no0.png": "",
        "no/notes.jpg": "not an image that Pillow can read",
    }
    assert list(table["file_name"]) == ["", "no0.png", ""]


def test_a_file_of_known_source_and_content_is_not_found_again(tmp_path, class_folders):
    class_folders(tmp_path, {"no": 3})
    known = catalogue.scan_class_folders(Project(tmp_path), NONE)
    (tmp_path / "no" / "no1.png").write_bytes((tmp_path / "no" / "no0.png").read_bytes())
    (tmp_path / "no" / "new.png").write_bytes((tmp_path / "no" / "no0.png").read_bytes())
    assert list(catalogue.scan_class_folders(Project(tmp_path), known)["source"]) == ["no/new.png", "no/no1.png"]


def test_known_images_are_those_that_lie_in_bin(tmp_path):
    table = images("no/a.png", "no/b.png", "no/c.txt", file_name=["a.png", "b.png", ""])
    catalogue.write(tmp_path / "images.csv", table)
    assert catalogue.images_in_bin(Project(tmp_path)).empty
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "b.png").touch()
    assert list(catalogue.images_in_bin(Project(tmp_path))["source"]) == ["no/b.png"]


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
    names = bin_names(NONE, images(*sources))
    assert [unicodedata.normalize("NFC", names[source]) for source in sources] == expected


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
def test_a_name_that_another_system_takes_for_a_path_becomes_a_plain_one():
    sources = ["no/a\\b.png", "no/C:.png", "x\\y/1.png", "z/1.png"]
    assert list(bin_names(NONE, images(*sources)).values()) == ["C_.png", "a_b.png", "x_y_1.png", "z_1.png"]


def test_known_images_keep_their_names_and_new_ones_make_way():
    known = images("no/1.png", "yes/1.png", file_name=["no_1.png", "yes_1.png"])
    found = images("maybe/1.png", "maybe/no_1.png", "no/1.png")
    table = catalogue.assign_bin_names(known, found)
    assert list(zip(table["source"], table["file_name"], strict=True)) == [
        ("maybe/1.png", "maybe_1.png"),
        ("maybe/no_1.png", "maybe_no_1.png"),
        ("no/1.png", "no_1.png"),
        ("no/1.png", "no_1_2.png"),
        ("yes/1.png", "yes_1.png"),
    ]


def test_files_that_are_not_images_take_no_name():
    found = images("no/1.png", "yes/1.png", left_out=["", "the file is empty"])
    assert bin_names(NONE, found) == {"no/1.png": "1.png", "yes/1.png": ""}


parts = st.text(st.sampled_from("aAßé_2.:\\-"), min_size=1, max_size=4).filter(lambda part: part.strip("."))


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
@given(
    known=st.lists(st.tuples(parts, parts).map("/".join), max_size=4, unique=True),
    found=st.lists(st.tuples(parts, parts).map("/".join), min_size=1, max_size=8, unique=True),
)
def test_no_two_images_ever_have_the_same_name(known, found):
    known = catalogue.assign_bin_names(NONE, images(*known))
    table = catalogue.assign_bin_names(known, images(*found))
    names = [unicodedata.normalize("NFC", name).casefold() for name in table["file_name"]]
    assert len(set(names)) == len(names)
    assert all(map(is_plain_file_name, table["file_name"]))
    assert set(known["file_name"]) <= set(table["file_name"])
