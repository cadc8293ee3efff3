import os

import pytest
from conftest import error_places
from PIL import Image

from pipeline import split_files
from pipeline.errors import UserError
from pipeline.performance import baselines
from pipeline.project import Project

SCRIPT = "partition_datasets.py"
# What a user keeps under the names of our tables.
FOREIGN = {
    "train.csv": b"image_id,label\nno0.png,cat\n",
    "val.csv": b"no0.png,1\nelsewhere.png,0\n",
    "test.csv": b"id\n1\n",
    "classes.csv": b"0,cat\n1,dog\n",
    "images.csv": b"image,patient\nno0.png,1\n",
    "split.json": b'{"seed": 3}\n',
    "baselines.json": b'{"mean": 0.5}\n',
    "near_duplicates.png": b"not a picture of ours",
}


@pytest.fixture
def data(tmp_path, class_folders):
    return class_folders(tmp_path / "data", {"no": 10, "yes": 12})


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("split_before", [False, True])
@pytest.mark.parametrize("folder", ["", "csv"])
def test_what_no_script_has_written_stays_and_an_error_names_it(
    data, call_script, contents, name, split_before, folder
):
    if split_before:
        assert call_script(SCRIPT, "-dir", data).returncode == 0
        if folder:
            call_script("organize_files.py", data)
    (data / folder).mkdir(exist_ok=True)
    (data / folder / name).write_bytes(FOREIGN[name])
    before = contents(data)
    for options in ([], ["-folds", 2]):
        assert str(data / folder / name) in error_places(call_script(SCRIPT, "-dir", data, *options))
        assert contents(data) == before


def test_a_picture_of_another_origin_stays(data, call_script):
    Image.new("L", (8, 8)).save(data / "near_duplicates.png")
    before = (data / "near_duplicates.png").read_bytes()
    assert error_places(call_script(SCRIPT, "-dir", data)) == [str(data / "near_duplicates.png")]
    assert (data / "near_duplicates.png").read_bytes() == before


@pytest.mark.parametrize("name", ["train.csv", "images.csv"])
def test_organize_replaces_nothing_of_another_origin(data, call_script, contents, name):
    call_script(SCRIPT, "-dir", data)
    (data / "csv").mkdir()
    (data / "csv" / name).write_bytes(FOREIGN[name])
    before = contents(data)
    assert error_places(call_script("organize_files.py", data)) == [str(data / "csv" / name)]
    assert contents(data) == before


def test_a_table_that_is_a_link_is_not_written_through(data, call_script, tmp_path, make_link):
    (tmp_path / "far").write_text("")
    make_link(data / "train.csv", tmp_path / "far")
    assert error_places(call_script(SCRIPT, "-dir", data)) == [str(data / "train.csv")]
    assert (tmp_path / "far").read_text() == ""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["images.csv", "train.csv", "split.json"])
def test_a_pipe_in_the_place_of_a_table_is_named_and_not_waited_for(data, call_script, name):
    os.mkfifo(data / name)
    assert error_places(call_script(SCRIPT, "-dir", data)) == [str(data / name)]


def test_what_the_scripts_have_written_is_replaced_also_where_a_line_was_removed(data, call_script, monkeypatch):
    monkeypatch.setattr(baselines, "TREES", 3)
    Image.open(data / "no" / "no0.png").resize((99, 99)).save(data / "no" / "near.png")
    for options in (["--baselines"], ["-folds", 3], [], ["-seed", 1]):
        result = call_script(SCRIPT, "-dir", data, *options)
        assert result.returncode == 0, result.stderr
    lines = (data / "train.csv").read_text().splitlines(keepends=True)
    (data / "train.csv").write_text("".join(lines[1:]))
    assert call_script(SCRIPT, "-dir", data, "-seed", 1).returncode == 0
    assert (data / "train.csv").read_text().splitlines(keepends=True) == lines


def test_a_damaged_line_of_images_csv_is_named_and_nothing_is_replaced(data, call_script, contents):
    call_script(SCRIPT, "-dir", data)
    (data / "images.csv").write_text((data / "images.csv").read_text() + "damaged\n")
    before = contents(data)
    assert error_places(call_script(SCRIPT, "-dir", data)) == [f"{data / 'images.csv'}, line 24"]
    assert contents(data) == before


def test_folds_and_a_plain_split_say_what_they_remove_of_each_other(data, call_script):
    call_script(SCRIPT, "-dir", data)
    assert (
        f"removed train.csv, val.csv and test.csv of the earlier split in {data}\n"
        in call_script(SCRIPT, "-dir", data, "-folds", 2).stdout
    )
    assert not (data / "train.csv").exists()
    assert "\nreplaced train.csv, val.csv and test.csv in " in call_script(SCRIPT, "-dir", data, "-folds", 2).stdout
    printed = call_script(SCRIPT, "-dir", data).stdout
    assert str(data / "csv" / "fold_0") in printed and str(data / "csv" / "fold_1") in printed
    assert not list((data / "csv").glob("fold_*"))


def test_what_the_user_keeps_among_the_folds_stays_and_does_not_count_as_a_fold(data, call_script):
    call_script(SCRIPT, "-dir", data, "-folds", 2)
    csv = data / "csv"
    (csv / "fold_notes").mkdir()
    (csv / "fold_notes" / "train.csv").write_text("mine")
    (csv / "fold_0" / "notes.txt").write_text("mine")
    (csv / "fold_1" / ".DS_Store").write_text("")
    (csv / "fold_1" / ".train.csv.0123456789abcdef.part").write_text("left by a killed process")
    (csv / "fold_9").mkdir()
    assert [*Project(data).fold_folders()] == [0, 1]
    assert call_script(SCRIPT, "-dir", data).returncode == 0
    assert not Project(data).fold_folders() and not (csv / "fold_9").exists()
    assert (csv / "fold_notes" / "train.csv").read_text() == (csv / "fold_0" / "notes.txt").read_text() == "mine"
    assert [path.name for path in (csv / "fold_1").iterdir()] == [".DS_Store"]


@pytest.mark.parametrize("organized", [False, True])
def test_a_split_that_was_stopped_in_the_middle_says_so_and_the_same_command_completes_it(
    data, call_script, monkeypatch, organized
):
    if organized:
        call_script(SCRIPT, "-dir", data)
        call_script("organize_files.py", data)
    tables = data / "csv" if organized else data

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(split_files, "write_classes", stop)
        assert call_script(SCRIPT, "-dir", data, "-seed", 1).returncode == 130
    assert not split_files.read_split_record(tables / "split.json").finished
    assert call_script("organize_files.py", data).returncode == 2
    if organized:
        with pytest.raises(UserError, match=r"split\.json"):
            split_files.read_split(Project(data), "train")
    assert call_script(SCRIPT, "-dir", data, "-seed", 1).returncode == 0
    assert split_files.read_split_record(tables / "split.json").finished
    assert call_script("organize_files.py", data).returncode == 0
