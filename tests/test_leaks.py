"""Ready-made partitions: what they share is told, leaves training, or is kept and recorded."""

import json
import shutil

import pandas as pd
import pytest
from conftest import SMALL_TRAINING, error_places
from PIL import Image

from pipeline import split_files, tiles

SCRIPT = "partition_datasets.py"
pytestmark = pytest.mark.usefixtures("no_curves")


@pytest.fixture
def data(tmp_path, class_folders):
    """Training and Testing of two classes, 20 and 6 images each; two test images lie in training too, one brighter."""
    root = tmp_path / "data"
    class_folders(root / "Training", {"no": 20, "yes": 20})
    class_folders(root / "Testing", {"no": 6, "yes": 6}, seed=1)
    shutil.copy(root / "Testing" / "no" / "no0.png", root / "Training" / "no" / "twin.png")
    image = Image.open(root / "Testing" / "yes" / "yes0.png").resize((60, 60), Image.Resampling.BICUBIC)
    image.save(root / "Testing" / "yes" / "yes0.png")
    image.point(lambda grey: grey * 0.9 + 20).save(root / "Training" / "yes" / "brighter.png")
    return root


def names(folder, partition):
    return set(pd.read_csv(folder / f"{partition}.csv", header=None, dtype=str)[0])


def table_of(folder):
    return pd.read_csv(folder / "images.csv", keep_default_na=False, dtype=str).set_index("source")


def test_the_test_part_stays_and_its_twins_leave_training(data, call_script):
    result = call_script(SCRIPT, "-dir", data)
    assert (result.returncode, result.stderr) == (0, "")
    assert "2 of 12 test images have a twin among the training images" in result.stdout
    images = table_of(data)
    test = images[images["given_partition"] == "test"]
    assert names(data, "test") == set(test["file_name"]) and len(test) == 12
    left_out = images[images["left_out"] != ""]
    assert list(left_out.index) == ["Training/no/twin.png", "Training/yes/brighter.png"]
    assert all(reason.startswith("leak: ") for reason in left_out["left_out"])
    assert len(names(data, "val")) == 4 and len(names(data, "train")) == 36  # drawn from the training part
    assert 2 * tiles.TILE < Image.open(data / "leaks.png").height < 3 * tiles.TILE  # two groups, a row each
    assert split_files.read_split_record(data / "split.json").leaks_kept == {}


@pytest.mark.parametrize("organized", [False, True])
def test_the_partitions_hold_in_later_splits(data, call_script, organized):
    call_script(SCRIPT, "-dir", data)
    before = names(data, "test")
    if organized:
        result = call_script("organize_files.py", data)
        assert result.returncode == 0 and "removed the emptied class folders: Testing, Training\n" in result.stdout
        assert not (data / "Training").exists() and not (data / "Testing").exists()
    folder = data / "csv" if organized else data
    validation = names(folder, "val")
    assert call_script(SCRIPT, "-dir", data, "-seed", 1).returncode == 0
    assert names(folder, "test") == before and names(folder, "val") != validation
    folds = call_script(SCRIPT, "-dir", data, "-folds", 3)
    assert folds.returncode == 2 and "-partitions redrawn" in folds.stderr
    assert call_script(SCRIPT, "-dir", data, "-folds", 3, "-partitions", "redrawn").returncode == 0
    assert call_script(SCRIPT, "-dir", data, "-seed", 1).returncode == 0  # remembered
    assert names(folder, "test") != before
    assert call_script(SCRIPT, "-dir", data, "-partitions", "kept").returncode == 0
    assert names(folder, "test") == before


def test_leaks_that_are_kept_are_recorded_and_can_be_tested(data, call_script):
    call_script(SCRIPT, "-dir", data)
    result = call_script(SCRIPT, "-dir", data, "--keep_leaks")
    assert result.returncode == 0
    assert "twin.png" in names(data, "train") and len(names(data, "train")) == 38
    assert json.loads((data / "split.json").read_text())["leaks kept"] == {"test": 2}
    call_script("organize_files.py", data)
    assert call_script("train_torchvision.py", "-dir", data, *SMALL_TRAINING, "-num_epochs", 1).returncode == 0
    tested = call_script("test_torchvision.py", "-dir", data)
    assert tested.returncode == 0 and "has seen 1 of its 12 images" in tested.stderr


def test_a_split_that_keeps_leaks_does_not_excuse_a_model_of_another_split(data, call_script):
    call_script(SCRIPT, "-dir", data, "-partitions", "redrawn")
    call_script("organize_files.py", data)
    assert call_script("train_torchvision.py", "-dir", data, *SMALL_TRAINING, "-num_epochs", 1).returncode == 0
    assert call_script(SCRIPT, "-dir", data, "-partitions", "kept", "--keep_leaks").returncode == 0
    result = call_script("test_torchvision.py", "-dir", data)
    assert error_places(result) == [str(data / "csv" / "test.csv")] and "the split has changed" in result.stderr


def test_a_validation_part_that_is_given_gives_way_to_test_and_not_to_training(data, call_script, class_folders):
    class_folders(data / "valid", {"no": 4, "yes": 4}, seed=2)
    shutil.copy(data / "Testing" / "no" / "no1.png", data / "valid" / "no" / "in_test.png")
    shutil.copy(data / "Training" / "no" / "no1.png", data / "valid" / "no" / "in_train.png")
    result = call_script(SCRIPT, "-dir", data)
    assert result.returncode == 0
    assert "1 of 12 test images has a twin among the validation images" in result.stdout
    assert "1 of 10 validation images has a twin among the training images" in result.stdout
    images = table_of(data)
    assert set(images.index[images["left_out"] != ""]) == {
        *("Training/no/no1.png", "Training/no/twin.png", "Training/yes/brighter.png", "valid/no/in_test.png"),
    }
    assert names(data, "val") == set(images["file_name"][[f"valid/{name}/{name}{i}.png" for name in ("no", "yes")
                                                          for i in range(4)] + ["valid/no/in_train.png"]])  # fmt: skip


def test_a_subfolder_in_two_partitions_is_a_leak(tmp_path, call_script, class_folders):
    for seed, (part, patients) in enumerate({"train": range(12), "test": range(11, 15)}.items()):
        for patient in patients:
            for name in ("no", "yes"):
                class_folders(
                    tmp_path / part / name, {f"patient {patient}": 2}, seed=100 * seed + patient * 2 + len(name)
                )
    result = call_script(SCRIPT, "-dir", tmp_path)
    assert result.returncode == 0, result.stderr
    images = table_of(tmp_path)
    assert "twin" not in result.stdout
    assert set(images[images["left_out"] != ""]["subfolder"]) == {"patient 11"}
    assert set(images[images["left_out"] != ""]["given_partition"]) == {"train"}
    assert call_script(SCRIPT, "-dir", tmp_path, "-subfolders", "ungrouped").returncode == 0
    assert set(table_of(tmp_path)["left_out"]) == {""}


def test_a_test_image_stays_whose_twin_has_another_label(data, call_script):
    shutil.copy(data / "Testing" / "no" / "no2.png", data / "Training" / "yes" / "other.png")
    shutil.copy(data / "Testing" / "no" / "no3.png", data / "Testing" / "yes" / "both.png")
    result = call_script(SCRIPT, "-dir", data)
    assert result.returncode == 0 and result.stderr.count("label conflict") == 4
    images = table_of(data)
    assert images["left_out"]["Training/yes/other.png"].startswith("label conflict")
    assert names(data, "test") == set(images[images["given_partition"] == "test"]["file_name"])


def test_classes_that_a_partition_lacks_or_spells_otherwise_are_told(data, call_script, class_folders, contents):
    class_folders(data / "Training", {"maybe": 20}, seed=3)
    result = call_script(SCRIPT, "-dir", data)
    assert result.returncode == 0 and "'maybe': has no test image" in result.stderr
    class_folders(data / "Testing", {"Maybe": 3}, seed=4)
    before = contents(data)
    result = call_script(SCRIPT, "-dir", data)
    assert result.returncode == 2 and "class 'Maybe': has no training image" in result.stderr
    assert "'Maybe' and 'maybe'" in result.stderr
    assert contents(data) == before


def test_a_single_leak_is_told_in_the_singular(data, call_script):
    (data / "Training" / "yes" / "brighter.png").unlink()
    lines = call_script(SCRIPT, "-dir", data).stdout.splitlines()
    assert "1 of 12 test images has a twin among the training images" in lines
    assert any(line.startswith("1 training image left out") for line in lines)


def test_a_missing_test_part_is_drawn_too(data, call_script):
    shutil.rmtree(data / "Testing")
    assert call_script(SCRIPT, "-dir", data).returncode == 0
    assert len(names(data, "val")) == len(names(data, "test")) == 4


def test_keeping_leaks_has_no_effect_without_ready_made_partitions_that_are_kept(
    tmp_path, data, call_script, class_folders
):
    class_folders(tmp_path / "plain", {"no": 10, "yes": 10})
    assert call_script(SCRIPT, "-dir", data, "-partitions", "redrawn").returncode == 0  # which is remembered
    for folder in (tmp_path / "plain", data):
        result = call_script(SCRIPT, "-dir", folder, "--keep_leaks")
        assert error_places(result) == ["--keep_leaks"] and "(-partitions)" in result.stderr


def test_options_of_drawing_have_no_effect_where_all_partitions_are_kept(data, call_script, class_folders, contents):
    class_folders(data / "val", {"no": 3, "yes": 3}, seed=5)
    before = contents(data)
    result = call_script(SCRIPT, "-dir", data, "-val_test_prop", 0.2, "-seed", 1)
    assert error_places(result) == ["-seed", "-val_test_prop"] and "-partitions redrawn" in result.stderr
    assert contents(data) == before
    # The published proportion, which is the default, and what else needs the seed.
    assert call_script(SCRIPT, "-dir", data, "-val_test_prop", 0.1).returncode == 0
    assert call_script(SCRIPT, "-dir", data, "-val_test_prop", 0.2, "-partitions", "redrawn").returncode == 0


def test_baselines_that_are_impossible_are_an_error_before_anything_is_written(
    data, call_script, class_folders, contents
):
    class_folders(data / "val", {"no": 3, "yes": 3}, seed=5)
    class_folders(data / "Training", {"rare": 1}, seed=6)
    before = contents(data)
    result = call_script(SCRIPT, "-dir", data, "--baselines")
    assert result.returncode == 2 and f"{SCRIPT}: error: class 'rare': " in result.stderr
    assert contents(data) == before
