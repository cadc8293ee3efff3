import csv
import os
import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import error_places
from PIL import Image

from pipeline import image_table, split_files
from pipeline.messages import command_text
from pipeline.performance import baselines, small_test_part
from pipeline.project import script_command

SCRIPT = "partition_datasets.py"
# split.json is written too; it names the date and is another at every run.
TABLES = {"train.csv", "val.csv", "test.csv", "classes.csv", "images.csv"}


@pytest.fixture
def data(tmp_path, class_folders):
    """Two class folders of 10 and 12 images in a folder whose name needs care."""
    return class_folders(tmp_path / "brain mri é", {"no": 10, "yes": 12})


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [tuple(row) for row in csv.reader(file)]


def split_rows(folder):
    """Return [(file name, class index)] of all partitions."""
    return [row for partition in ("train", "val", "test") for row in rows(folder / f"{partition}.csv")]


def tables(folder):
    return {name: (folder / name).read_bytes() for name in TABLES}


def test_the_published_command_splits_a_folder_as_a_user_runs_it(data, run_script, contents):
    before = contents(data)
    result = run_script(SCRIPT, "-proj_dir", f'{data}/"', "-val_test_prop", "0.1", "-num_classes", "2")
    assert (result.returncode, result.stderr) == (0, "")
    after = contents(data)
    assert set(after) - set(before) == {*TABLES, "split.json"}
    assert {path: after[path] for path in before} == before
    assert after["classes.csv"] == b"0,no\n1,yes\n"
    names = [
        (f"{name}{i}.png", label) for name, count, label in [("no", 10, "0"), ("yes", 12, "1")] for i in range(count)
    ]
    assert sorted(split_rows(data)) == sorted(names)
    assert Counter(label for _, label in rows(data / "val.csv")) == {"0": 1, "1": 1}
    assert Counter(label for _, label in rows(data / "test.csv")) == {"0": 1, "1": 1}


def test_the_sizes_are_printed(data, call_script):
    assert call_script(SCRIPT, "-dir", data).stdout.endswith(
        "\nImages per partition\n\n"
        "| partition | images |\n"
        "| --------- | -----: |\n"
        "| train     |     18 |\n"
        "| val       |      2 |\n"
        "| test      |      2 |\n"
        "| total     |     22 |\n"
        "\nImages per partition and class\n\n"
        "| partition | no | yes |\n"
        "| --------- | -: | --: |\n"
        "| train     |  8 |  10 |\n"
        "| val       |  1 |   1 |\n"
        "| test      |  1 |   1 |\n\n"
        f"{small_test_part.outlook(['no'] * 10 + ['yes'] * 12, range(22), ['train'] * 20 + ['test'] * 2)}\n\n"
        f"wrote train.csv, val.csv, test.csv, classes.csv, images.csv and split.json in {data}\n"
        f"next: {script_command('organize_files.py', data)}\n"
    )


def test_how_the_images_were_split_is_recorded(data, call_script):
    call_script(SCRIPT, "-dir", data, "-seed", 5)
    record = split_files.read_split_record(data / "split.json")
    assert (record.seed, record.command_line) == (5, command_text("python", SCRIPT, "-dir", data, "-seed", 5))
    call_script("organize_files.py", data)
    assert split_files.read_split_record(data / "csv" / "split.json") == record
    call_script(SCRIPT, "-dir", data)
    assert split_files.read_split_record(data / "csv" / "split.json").seed == 0


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_split(data, call_script):
    results = {}
    for seed in (0, 0, 1):
        result = call_script(SCRIPT, "-dir", data, "-seed", seed)
        assert results.setdefault(seed, tables(data)) == tables(data)
    assert results[0]["train.csv"] != results[1]["train.csv"]
    assert f"replaced train.csv, val.csv, test.csv, classes.csv, images.csv and split.json in {data}\n" in result.stdout
    call_script(SCRIPT, "-dir", data)
    assert tables(data) == results[0]  # the seed is 0 unless told otherwise


def test_any_number_of_classes_with_any_names(tmp_path, call_script, class_folders):
    data = class_folders(tmp_path / "data", {"a,b": 8, "été": 8, "10": 8, "9": 8}, suffix=".JPG")
    assert call_script(SCRIPT, "-dir", data, "-num_classes", 4).returncode == 0
    assert rows(data / "classes.csv") == [("0", "10"), ("1", "9"), ("2", "a,b"), ("3", "été")]
    assert set(split_rows(data)) == {
        (f"{name}{i}.JPG", label) for label, name in rows(data / "classes.csv") for i in range(8)
    }


def test_folders_without_an_image_are_not_classes(data, call_script):
    (data / "empty").mkdir()
    (data / "notes").mkdir()
    (data / "notes" / "readme.txt").write_text("text")
    result = call_script(SCRIPT, "-dir", data, "-num_classes", 2)
    assert result.returncode == 0
    readme = data / "notes" / "readme.txt"
    first, *others = result.stderr.splitlines()
    assert first.startswith(f"note: left out: {readme}: ")
    assert [line.partition(": no image in it")[0] for line in others] == [
        f"note: {data / name}" for name in ("empty", "notes")
    ]
    assert rows(data / "classes.csv") == [("0", "no"), ("1", "yes")]


def test_a_class_folder_without_images_is_told_of_in_a_ready_made_partition_and_not_once_it_is_emptied(
    tmp_path, call_script, class_folders
):
    class_folders(tmp_path / "data" / "train", {"no": 20, "yes": 20})
    maybe = tmp_path / "data" / "train" / "maybe"
    maybe.mkdir()
    result = call_script(SCRIPT, "-dir", tmp_path / "data")
    assert result.returncode == 0
    assert re.findall("note: (.*): no image in it", result.stderr) == [str(maybe)]
    plain = class_folders(tmp_path / "plain", {"no": 8, "yes": 8})
    assert call_script(SCRIPT, "-dir", plain).returncode == 0
    assert call_script("organize_files.py", plain).returncode == 0
    (plain / "no").mkdir(exist_ok=True)
    assert "no image in it" not in call_script(SCRIPT, "-dir", plain).stderr


def test_identical_images_stay_together_and_the_difference_is_told(tmp_path, call_script, class_folders):
    data = class_folders(tmp_path / "data", {"no": 12, "yes": 12})
    for number in range(6):
        shutil.copyfile(data / "no" / f"no{number}.png", data / "no" / f"no{number + 6}.png")
    result = call_script(SCRIPT, "-dir", data, "-val_test_prop", 0.25)
    assert result.returncode == 0
    assert result.stderr.startswith("note: class 'no': 2 validation and 2 test images instead of 3 and 3")
    partition_of = {
        name: partition for partition in ("train", "val", "test") for name, _ in rows(data / f"{partition}.csv")
    }
    groups = {source: group for source, _, _, _, group, *_ in rows(data / "images.csv")[1:]}
    for number in range(6):
        assert partition_of[f"no{number}.png"] == partition_of[f"no{number + 6}.png"]
        assert groups[f"no/no{number}.png"] == groups[f"no/no{number + 6}.png"]
    assert len(set(groups.values())) == 18


def test_an_image_of_two_classes_is_in_no_partition_unless_asked_for(data, call_script):
    Image.open(data / "no" / "no0.png").convert("RGB").save(data / "yes" / "twin.bmp")
    conflicts = {"no/no0.png": "the same image as yes/twin.bmp", "yes/twin.bmp": "the same image as no/no0.png"}
    for _ in range(2):  # in the class folders, and in bin
        result = call_script(SCRIPT, "-dir", data)
        assert result.returncode == 0
        assert result.stderr.splitlines() == [f"note: {one}: label conflict: {what}" for one, what in conflicts.items()]
        call_script("organize_files.py", data)
        assert not {"no0.png", "twin.bmp"} & {name for name, _ in split_rows(data / "csv")}
        table = image_table.read(data / "csv" / "images.csv")
        assert {row.source: row.left_out for row in table if row.left_out} == {
            source: f"label conflict: {what}" for source, what in conflicts.items()
        }
    kept = call_script(SCRIPT, "-dir", data, "--keep_label_conflicts")
    assert kept.stderr.count("label conflict") == 2
    partitions = [set(rows(data / "csv" / f"{partition}.csv")) for partition in ("train", "val", "test")]
    assert [{("no0.png", "0"), ("twin.bmp", "1")} <= found for found in partitions].count(True) == 1


def test_an_image_that_was_damaged_in_bin_is_named_where_it_lies(data, call_script):
    call_script(SCRIPT, "-dir", data)
    call_script("organize_files.py", data)
    (data / "bin" / "no0.png").write_bytes(b"")
    result = call_script(SCRIPT, "-dir", data)
    assert result.returncode == 0
    assert result.stderr.startswith(f"note: left out: {data / 'bin' / 'no0.png'}: ")
    assert "no0.png" not in {name for name, _ in split_rows(data / "csv")}


def test_names_that_are_not_text_survive(data, call_script):
    try:
        os.rename(data / "no" / "no0.png", os.fsencode(data / "no") + b"/\xff.png")
        os.rename(data / "yes", os.fsencode(data) + b"/yes\xff")
    except OSError:
        pytest.skip("this file system allows no such names")
    result = call_script(SCRIPT, "-dir", data)
    assert (result.returncode, result.stderr) == (0, "")
    assert (data / "classes.csv").read_bytes() == b"0,no\n1,yes\xff\n"
    assert b"\xff.png,0\n" in b"".join(tables(data).values())


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        (["-classes", "3"], ["-num_classes 3"]),
        (["-val_test_prop", "0.05"], ["class 'no'", "class 'yes'"]),
        (["-val_test_prop", "0.5"], ["-val_test_prop"]),
    ],
)
def test_an_impossible_request_is_an_error_and_writes_nothing(data, call_script, contents, arguments, places):
    before = contents(data)
    assert error_places(call_script(SCRIPT, "-dir", data, *arguments)) == places
    assert contents(data) == before


@pytest.mark.parametrize("counts", [{}, {"no": 10}, {"bin": 10, "no": 10}])
def test_fewer_than_two_classes_are_an_error(tmp_path, call_script, class_folders, counts):
    class_folders(tmp_path, counts)
    result = call_script(SCRIPT, "-dir", tmp_path)
    assert error_places(result) == [str(tmp_path)]
    assert result.stderr.count("note: ") == ("bin" in counts)


def test_of_classes_without_a_readable_image_it_is_said_how_many_files_were_left_out(data, call_script):
    files = list((data / "no").iterdir())
    for path in files:
        path.write_text("not an image")
    result = call_script(SCRIPT, "-dir", data)
    assert error_places(result) == [str(data)] and f"({len(files)} files left out, see above)" in result.stderr


@pytest.mark.parametrize("option", ["-proj_dir", "-group_csv"])
def test_an_empty_path_is_an_error(data, call_script, option, monkeypatch, contents):
    monkeypatch.chdir(data)
    before = contents(data)
    assert error_places(call_script(SCRIPT, "-proj_dir", ".", option, "")) == [option]
    assert contents(data) == before


def test_the_next_command_can_be_run_from_where_it_is_printed(data, run_script):
    command = shlex.split(run_script(SCRIPT, "-dir", data).stdout.splitlines()[-1])
    assert command[:2] == ["next:", "python"] and Path(command[2]).is_file() and command[3:] == [str(data)]


def test_a_missing_folder_is_an_error(call_script):
    result = call_script(SCRIPT, "-dir", "missing")
    assert (error_places(result), result.stdout) == (["missing"], "")


def test_a_folder_that_may_not_be_written_is_an_error(data, call_script, permissions):
    with permissions(data, 0o555):
        result = call_script(SCRIPT, "-dir", data)
    assert str(data) in error_places(result)[0]


def test_no_torch_is_imported(data, slow_imports):
    assert "torch" not in slow_imports(SCRIPT, "-dir", data)
    assert (data / "images.csv").exists()


def test_baselines_of_tiny_classes_take_as_many_folds_as_there_can_be(
    tmp_path, call_script, class_folders, monkeypatch
):
    monkeypatch.setattr(baselines, "TREES", 3)
    class_folders(tmp_path, {"no": 3, "yes": 4})
    for options in (["-val_test_prop", 0.25], []):  # with a new split, and on that one
        result = call_script(SCRIPT, "-dir", tmp_path, *options, "--baselines")
        assert (result.returncode, result.stderr) == (0, "")
        assert "Simple baselines: 4-fold cross-validation over 7 images\n" in result.stdout


def test_images_without_contrast_and_further_pages_are_told_of(data, call_script):
    for number in range(9):
        Image.new("L", (8, 8), number).save(data / "no" / f"even{number}.png")
    pages = [Image.effect_noise((8, 8), 50) for _ in range(3)]
    pages[0].save(data / "yes" / "stack.tif", save_all=True, append_images=pages[1:])
    result = call_script(SCRIPT, "-dir", data)
    assert result.returncode == 0
    even, stack = result.stderr.splitlines()
    assert "9 of " in even and "no/even0.png" in even and "and 5 more" in even
    assert "1 of " in stack and "yes/stack.tif" in stack


def test_small_things_on_even_ground_are_not_near_duplicates(tmp_path, call_script):
    random = np.random.default_rng(0)
    for class_name in ("good", "scratch"):
        (tmp_path / class_name).mkdir()
        for number in range(100):
            pixels = np.zeros((64, 64), dtype=np.uint8)
            row, column, side = (*random.integers(0, 52, 2), random.integers(4, 12))
            pixels[row : row + side, column : column + side] = random.integers(90, 256)
            Image.fromarray(pixels).save(tmp_path / class_name / f"{class_name}{number}.png")
    result = call_script(SCRIPT, "-dir", tmp_path)
    assert result.returncode == 0
    (largest,) = re.findall("with near-duplicates.* groups, ([0-9]+) in the largest", result.stdout)
    assert int(largest) <= 4
    for line in result.stderr.splitlines():
        assert "-near_duplicates" in line and len(line) < 250
