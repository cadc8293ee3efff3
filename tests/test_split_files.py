import json
import os
import shutil
import unicodedata
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import files, split_files
from pipeline.errors import UserError
from pipeline.project import Project, script_command, split_tables

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


@pytest.fixture
def folds(project):
    """Return the project, split into the folds 0 and 1; beside them lies an empty fold_9."""
    for fold in (0, 1):
        (project.csv / f"fold_{fold}").mkdir()
        for table in split_tables(project.csv):
            shutil.copy(table, project.csv / f"fold_{fold}")
    for table in split_tables(project.csv):
        table.unlink()
    (project.csv / "fold_9").mkdir()
    return project


def fault_of_choice(project, choice):
    with pytest.raises(UserError) as error:
        split_files.chosen_folds(project, choice)
    return "\n".join(error.value.faults)


def test_an_empty_folder_is_not_a_fold(folds):
    assert split_files.chosen_folds(folds, "all") == [0, 1]
    assert split_files.chosen_folds(folds, 1) == [1]
    way_out = f"{folds.root} is split into folds 0, 1; give one of them or all"
    assert fault_of_choice(folds, None) == f"-fold: {way_out}"
    assert fault_of_choice(folds, 9) == f"-fold 9: {way_out.replace('is split into', 'has')}"
    split = ("partition_datasets.py", "-proj_dir", folds.root, "-folds", 2)
    assert split_files.command_to_split_again(folds) == script_command(*split)
    split_files.SplitRecord("", 3, options=["-near_duplicates", "4"]).write(folds.csv / "split.json")
    assert split_files.command_to_split_again(folds, "-labels_csv", "t.csv") == script_command(
        *split, "-seed", 3, "-near_duplicates", 4, "-labels_csv", "t.csv"
    )


def test_a_fold_that_lacks_a_split_file_is_told_where_it_is_chosen(folds):
    for name in ("train.csv", "test.csv"):
        (folds.csv / "fold_1" / name).unlink()
    assert split_files.chosen_folds(folds, 0) == [0]
    for choice in (1, "all"):
        assert fault_of_choice(folds, choice).splitlines() == [
            f"{folds.csv / 'fold_1' / name}: no such file, while others of fold 1 are there; put it back, or split "
            "again with partition_datasets.py -folds"
            for name in ("train.csv", "test.csv")
        ]


@pytest.mark.parametrize("choice", [None, "all", 1, 4])
def test_that_the_split_was_not_finished_is_told_before_what_it_lacks(folds, choice):
    (folds.csv / "fold_1" / "test.csv").unlink()
    split_files.SplitRecord("python partition_datasets.py", 0, finished=False).write(folds.csv / "split.json")
    assert fault_of_choice(folds, choice) == (
        f"{folds.csv / 'split.json'}: the split was not finished; run again: python partition_datasets.py"
    )


@pytest.mark.parametrize("choice", ["all", 0])
def test_without_folds_the_command_that_splits_into_them_is_named(project, choice):
    assert split_files.chosen_folds(project, None) == [None]
    command = script_command("partition_datasets.py", "-proj_dir", project.root, "-folds", 5)
    fault = f"-fold {choice}: {project.root} has no folds; leave it out, or split into folds: {command}"
    assert fault_of_choice(project, choice) == fault


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa.png,0\nb.png,1\n",
        b"a.png,0\r\nb.png,1\r\n",
        b"a.png,0\n\n\nb.png,1",
        b'"a.png","0"\n"b.png", 1\n',
        b"a.png;0\nb.png;1\n",
        b"a.png\t0\nb.png\t1\n",
        "a.png,0\nb.png,1\n".encode("utf-16"),
    ],
    ids=["byte-order mark", "Windows line ends", "blank lines", "quotes and spaces", "semicolons", "tabs", "UTF-16"],
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
    ("text", "line", "remark"),
    [
        ("file,label\na.png,0\n", 1, "has no header"),
        ("a.png,0\nb.png,yes\n", 2, "'yes' is not a class index"),
        ("a.png,0\nb.png,-1\n", 2, "'-1' is not a class index"),
        ("a.png,0\nb.png,1.0\n", 2, "'1.0' is not a class index"),
        ("a.png,0\nb.png,1000000\n", 2, "'1000000' is not a class index"),
        ("a.png\n", 1, "1 column,"),
        ("0,a.png,0\n", 1, "3 columns"),
        ("a.png,2\n", 1, "out of range"),
        ("a.png,0\nb.png,1\na.png,0\n", 3, "in line 1 already"),
        ("a.png,0\nd.png,1\n", 2, "csv/val.csv, line 1"),
        ("a.png,0\nx.png,1\n", 2, "'x.png' is not in bin"),
        *((f"{name},0\n", 1, "not a plain file name") for name in ("../a.png", "/etc/passwd", "C:a.png", "no/a.png")),
        *((f"{name},0\n", 1, "not a plain file name") for name in ("..", "")),
    ],
)
def test_a_faulty_line_is_named(faults, text, line, remark):
    (fault,) = faults("train", text)
    assert fault.startswith(f"csv/train.csv, line {line}: ") and remark in fault


def test_all_faults_of_a_file_are_found_at_once(faults):
    found = faults("train", "file,label\na.png,7\nx.png,0\n../y,1\na.png,0\nd.png,0\ne.png,1,\n")
    assert sorted(fault.split(",")[1].split(":")[0] for fault in found) == [f" line {n}" for n in (1, 2, 3, 4, 5, 6, 7)]


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_a_split_of_no_images_is_a_fault(faults, text):
    (fault,) = faults("train", text)
    assert fault.startswith("csv/train.csv: holds no images")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", ": holds no classes"),
        ("index,name\n", ", line 1: "),
        ("0,no\n2,yes\n", ", line 2: "),
        ("0,no\n1,\n", ", line 2: "),
        ("no\nyes\n", ", line 1: "),
        ("0,no\n1,no\n", ": two classes"),
    ],
)
def test_a_faulty_list_of_classes_is_named(faults, text, place):
    (fault,) = faults("classes", text)
    assert fault.startswith(f"csv/classes.csv{place}")


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
    with pytest.raises(UserError, match=r"val\.csv: no such file"):
        split_files.read_split(project, "val")


@pytest.mark.parametrize(
    ("classes", "fault"),
    [("0,no\n", "all images are of class 'no'"), ("0,no\n1,yes\n", "holds no image of class 'yes'")],
)
def test_a_class_without_training_images_and_a_single_class_cannot_be_trained_on(project, classes, fault):
    for name, text in (("classes", classes), ("train", "a.png,0\n"), ("val", "d.png,0\n")):
        (project.csv / f"{name}.csv").write_text(text)
    with pytest.raises(UserError) as error:
        split_files.read_training_splits(project, None)
    of_train, of_val = error.value.faults
    assert of_train.startswith(f"{project.csv / 'train.csv'}: {fault}")
    assert of_val.startswith(f"{project.csv / 'val.csv'}: all images are of one class")


def test_the_record_of_a_split_is_read_back(tmp_path):
    path = tmp_path / "split.json"
    assert split_files.read_split_record(path) is None
    chosen = {"choices": {"files": ["*.jpg"]}, "leaks_kept": {"test": 2}}
    record = split_files.SplitRecord("python partition_datasets.py -dir 'a b'", 3, **chosen)
    record.write(path)
    assert split_files.read_split_record(path) == record
    assert json.loads(path.read_text())["leaks kept"] == {"test": 2}
    assert datetime.fromisoformat(record.date).utcoffset() == timedelta(0)


def test_a_split_that_was_not_finished_is_not_read(project):
    record = split_files.SplitRecord("python partition_datasets.py -dir p", 0, "", finished=False)
    record.write(project.csv / "split.json")
    with pytest.raises(UserError, match=r"split\.json: .*python partition_datasets.py -dir p"):
        split_files.read_split(project, "train")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize(("listed", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_with_decomposed_letters_or_in_cp1252_is_the_same_name(project, listed, on_disk, encoding):
    name = unicodedata.normalize(on_disk, "é.png")
    (project.bin / name).touch()
    listed = "NFC" if encoding == "cp1252" else listed
    (project.csv / "train.csv").write_text(unicodedata.normalize(listed, "a.png,0\né.png,1\n"), encoding=encoding)
    split = split_files.read_split(project, "train")
    assert split.file_names == ["a.png", name]
    (project.csv / "val.csv").write_text(unicodedata.normalize(on_disk, "é.png,1\n"), encoding="utf-8")
    if encoding == "utf-8":
        with pytest.raises(UserError, match="one partition"):
            split_files.read_split(project, "train")


def test_a_record_of_before_choices_were_remembered_is_read(tmp_path):
    path = tmp_path / "split.json"
    files.write_json(path, {"command line": "x", "seed": 0, "date": "", "finished": True})
    assert split_files.read_split_record(path) == split_files.SplitRecord("x", 0, "")


@pytest.mark.parametrize("content", [{}, {"command line": "x", "seed": "0", "date": ""}])
def test_a_file_that_is_not_the_record_of_a_split_is_named(tmp_path, content):
    files.write_json(tmp_path / "split.json", content)
    with pytest.raises(UserError, match=r"split\.json: "):
        split_files.read_split_record(tmp_path / "split.json")


def test_a_fingerprint_tells_splits_apart(project):
    train, val = (split_files.read_split(project, partition) for partition in ("train", "val"))
    again = split_files.read_split(project, "train")
    (project.csv / "train.csv").write_text("a.png,0\nb.png,1\nc.png,1\n")
    relabelled = split_files.read_split(project, "train")
    renamed = replace(train, class_names=["yes", "no"])
    splits = [(train, val), (val, train), (relabelled, val), (renamed, val)]
    assert split_files.fingerprint(train, val) == split_files.fingerprint(again, val)
    assert len({split_files.fingerprint(*each) for each in splits}) == 4
    composed, decomposed = (
        replace(train, file_names=[unicodedata.normalize(form, "é.png")], labels=[0]) for form in ("NFC", "NFD")
    )
    assert split_files.fingerprint(composed) == split_files.fingerprint(decomposed)
