import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import files, split_files
from pipeline.errors import UserError
from pipeline.project import Project

ROWS = {"train": "a.png,0\nb.png,1\nc.png,0\n", "val": "d.png,1\n", "test": "e.png,0\n", "classes": "0,no\n1,yes\n"}


@pytest.fixture
def project(tmp_path):
    """An organized project: bin/ with a.png to e.png, three partitions of two classes."""
    for folder in ("bin", "csv"):
        (tmp_path / folder).mkdir()
    for letter in "abcde":
        (tmp_path / "bin" / f"{letter}.png").touch()
    for name, text in ROWS.items():
        (tmp_path / "csv" / f"{name}.csv").write_text(text, encoding="utf-8")
    return Project(tmp_path)


@pytest.fixture
def faults(project):
    """Return find(name, text): what reading train.csv finds wrong with this text in a CSV file, the folder left out."""

    def find(name, text):
        (project.csv / f"{name}.csv").write_text(text, encoding="utf-8")
        with pytest.raises(UserError) as error:
            split_files.read_split(project, "train")
        return [fault.replace(f"{project.root}{os.sep}", "").replace(os.sep, "/") for fault in error.value.faults]

    return find


CELLS = st.sampled_from(["a.png", "b.png", "e.png", "x.png", "0", "1", "2", "-1", "no", "../a.png", "/a.png", "", "é"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(CELLS | st.text(max_size=3), max_size=3), max_size=5))
def test_any_rows_are_a_sound_split_or_named_faults(project, rows):
    files.write_csv(project.csv / "train.csv", rows)
    try:
        split = split_files.read_split(project, "train")
    except UserError as error:
        assert all(fault.startswith(str(project.root)) for fault in error.faults)
        return
    assert split.file_names == [row[0] for row in rows if row]
    assert len(set(split.file_names)) == len(split.file_names) > 0
    assert set(split.file_names) <= {"a.png", "b.png", "c.png"}  # those of the other partitions are taken
    assert set(split.labels) <= {0, 1}


def test_a_split_is_read_in_file_order(project):
    path = project.csv / "train.csv"
    split = split_files.read_split(project, "train")
    assert split == split_files.Split("train", path, ["a.png", "b.png", "c.png"], [0, 1, 0], ["no", "yes"])


def test_a_split_of_one_fold_is_read_from_its_folder(project):
    (project.csv / "fold_3").mkdir()
    for name in ("train", "val", "test"):
        (project.csv / f"{name}.csv").rename(project.csv / "fold_3" / f"{name}.csv")
    assert split_files.read_split(project, "val", fold=3).file_names == ["d.png"]
    (project.csv / "fold_3" / "val.csv").write_text("a.png,0\n")
    with pytest.raises(UserError, match="an image belongs to one partition"):
        split_files.read_split(project, "val", fold=3)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa.png,0\nb.png,1\n",
        b"a.png,0\r\nb.png,1\r\n",
        b"a.png,0\n\n\nb.png,1",
        b'"a.png","0"\n"b.png", 1\n',
    ],
    ids=["byte-order mark", "Windows line ends", "blank lines, none at the end", "quotes and spaces"],
)
def test_what_other_programs_write_is_read_the_same(project, content):
    (project.csv / "train.csv").write_bytes(content)
    split = split_files.read_split(project, "train")
    assert (split.file_names, split.labels) == (["a.png", "b.png"], [0, 1])


def test_a_written_split_is_plain_and_is_read_back(project):
    names = ["a.png", "b c.png", "é,.png"]
    for name in names:
        (project.bin / name).touch()
    split_files.write_split(project.csv / "train.csv", names, [1, 0, 1])
    split_files.write_classes(project.csv / "classes.csv", ["a,b", "c d"])
    assert (project.csv / "train.csv").read_bytes() == 'a.png,1\nb c.png,0\n"é,.png",1\n'.encode()
    assert (project.csv / "classes.csv").read_bytes() == b'0,"a,b"\n1,c d\n'
    split = split_files.read_split(project, "train")
    assert (split.file_names, split.labels, split.class_names) == (names, [1, 0, 1], ["a,b", "c d"])


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
@pytest.mark.parametrize("name", ['"quoted".png', "two\nlines.png", "Icon\r.png", "\r\n.png"])
def test_a_name_that_needs_quotes_is_read_back(project, name):
    (project.bin / name).touch()
    split_files.write_split(project.csv / "train.csv", [name], [0])
    assert split_files.read_split(project, "train").file_names == [name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file,label\na.png,0\n", "line 1: 'label' is not a class index; a split file has no header"),
        ("a.png,0\nb.png,yes\n", "line 2: 'yes' is not a class index; class indices are whole numbers from 0"),
        ("a.png,0\nb.png,-1\n", "line 2: '-1' is not a class index; class indices are whole numbers from 0"),
        ("a.png,0\nb.png,1.0\n", "line 2: '1.0' is not a class index; class indices are whole numbers from 0"),
        ("a.png;0\n", "line 1: 1 columns instead of 'file name,class index'; mend the line"),
        ("0,a.png,0\n", "line 1: 3 columns instead of 'file name,class index'; mend the line"),
        ("a.png,2\n", "line 1: class index 2 is out of range; csv/classes.csv has 2 classes, 0 to 1"),
        ("a.png,0\nb.png,1\na.png,0\n", "line 3: 'a.png' stands in line 1 already; remove one"),
        ("a.png,0\nd.png,1\n", "line 2: 'd.png' is in csv/val.csv, line 1, too; an image belongs to one partition"),
        ("a.png,0\nx.png,1\n", "line 2: 'x.png' is not in bin; put it back or remove the line"),
        ("../a.png,0\n", "line 1: '../a.png' is not a plain file name; images lie in bin itself"),
        ("/etc/passwd,0\n", "line 1: '/etc/passwd' is not a plain file name; images lie in bin itself"),
        ("C:a.png,0\n", "line 1: 'C:a.png' is not a plain file name; images lie in bin itself"),
        ("no/a.png,0\n", "line 1: 'no/a.png' is not a plain file name; images lie in bin itself"),
        ("..,0\n", "line 1: '..' is not a plain file name; images lie in bin itself"),
        (",0\n", "line 1: '' is not a plain file name; images lie in bin itself"),
    ],
)
def test_a_faulty_line_is_named(faults, text, expected):
    assert faults("train", text) == [f"csv/train.csv, {expected}"]


def test_all_faults_of_a_file_are_found_at_once(faults):
    found = faults("train", "file,label\na.png,7\nx.png,0\n../y,1\na.png,0\nd.png,0\ne.png,1,\n")
    assert sorted(fault.split(",")[1].split(":")[0] for fault in found) == [f" line {n}" for n in (1, 2, 3, 4, 5, 6, 7)]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_split_of_no_images_is_a_fault(faults, text):
    assert faults("train", text) == ["csv/train.csv: holds no images; run partition_datasets.py again"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "csv/classes.csv: holds no classes; run partition_datasets.py again"),
        ("index,name\n", "csv/classes.csv, line 1: 'index,name' is not '0,class name'; class indices count up from 0"),
        ("0,no\n2,yes\n", "csv/classes.csv, line 2: '2,yes' is not '1,class name'; class indices count up from 0"),
        ("0,no\n1,\n", "csv/classes.csv, line 2: '1,' is not '1,class name'; class indices count up from 0"),
        ("no\nyes\n", "csv/classes.csv, line 1: 'no' is not '0,class name'; class indices count up from 0"),
        ("0,no\n1,no\n", "csv/classes.csv: two classes have the same name; give each its own"),
    ],
)
def test_a_faulty_list_of_classes_is_named(faults, text, expected):
    assert faults("classes", text) == [expected]


def test_without_a_list_of_classes_they_are_named_by_their_index(project):
    (project.csv / "classes.csv").unlink()
    (project.csv / "test.csv").write_text("e.png,2\n")
    assert split_files.read_split(project, "train").class_names == ["0", "1", "2"]


def test_a_split_needs_no_other_file_beside_it(project):
    for name in ("classes", "val", "test"):
        (project.csv / f"{name}.csv").unlink()
    assert split_files.read_split(project, "train").class_names == ["0", "1"]


def test_a_missing_split_is_named(project):
    (project.csv / "val.csv").unlink()
    with pytest.raises(UserError) as error:
        split_files.read_split(project, "val")
    path = project.csv / "val.csv"
    assert str(error.value) == f"{path}: no such file; run partition_datasets.py and organize_files.py first"


def test_the_number_of_classes_is_checked_where_it_is_given():
    split_files.require_class_count(["no", "yes"], None, "-classes")
    split_files.require_class_count(["no", "yes"], 2, "-classes")
    with pytest.raises(UserError) as error:
        split_files.require_class_count(["no", "yes"], 3, "-classes")
    assert str(error.value) == "-classes 3: the folder has 2 classes (no, yes); give -classes 2 or mend the folder"


def test_a_fingerprint_tells_splits_apart(project):
    train, val = (split_files.read_split(project, partition) for partition in ("train", "val"))
    again = split_files.read_split(project, "train")
    (project.csv / "train.csv").write_text("a.png,0\nb.png,1\nc.png,1\n")
    relabelled = split_files.read_split(project, "train")
    assert split_files.fingerprint(train, val) == split_files.fingerprint(again, val)
    assert len({split_files.fingerprint(*splits) for splits in [(train, val), (val, train), (relabelled, val)]}) == 3
