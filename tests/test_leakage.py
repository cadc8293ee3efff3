"""Nothing that a model was trained on is what it is tested on: duplicates, known groups, folds, and the proof."""

import json
import shutil

import pandas as pd
import pytest
from conftest import SMALL_TRAINING, error_places
from PIL import Image

PARTITIONS = ("train", "val", "test")
TRAIN = (*SMALL_TRAINING, "-num_epochs", 1)
pytestmark = pytest.mark.usefixtures("no_curves")


def partition_of(folder):
    """Return {file name: partition} of a folder's split files."""
    return {
        name: partition
        for partition in PARTITIONS
        for name in pd.read_csv(folder / f"{partition}.csv", header=None, dtype=str)[0]
    }


def images(folder):
    return pd.read_csv(folder / "images.csv", keep_default_na=False).set_index("source")


@pytest.fixture
def data(tmp_path, class_folders):
    """12 + 14 different images; each of the first three of `no` again, brighter and as JPEG, under another name."""
    folder = class_folders(tmp_path / "data", {"no": 12, "yes": 14})
    for number in range(3):
        image = Image.open(folder / "no" / f"no{number}.png").resize((60, 60), Image.Resampling.BICUBIC)
        image.save(folder / "no" / f"no{number}.png")
        image.resize((80, 80)).point(lambda grey: grey * 0.9 + 20).save(folder / "no" / f"again{number}.jpg")
    return folder


def test_near_duplicates_are_told_drawn_and_kept_together_for_every_seed(data, call_script):
    for seed in range(8):
        result = call_script("partition_datasets.py", "-proj_dir", data, "-seed", seed)
        assert (result.returncode, result.stderr) == (0, "")
        assert "identical images: none\n" in result.stdout
        assert "with near-duplicates (at most 10 of 256 bits differ): 6 images in 3 groups, 2 in" in result.stdout
        assert "-near_duplicates" in result.stdout
        partition = partition_of(data)
        for number in range(3):
            assert partition[f"no{number}.png"] == partition[f"again{number}.jpg"]
    groups = images(data)["group"]
    assert groups["no/no0.png"] == groups["no/again0.jpg"] != groups["no/no1.png"]
    assert Image.open(data / "near_duplicates.png").size == (2 * 136 + 8, 3 * 164 + 58)


def test_without_near_duplicates_only_identical_images_are_kept_together(data, call_script):
    result = call_script("partition_datasets.py", "-proj_dir", data, "-near_duplicates", 0)
    assert "near-duplicates" not in result.stdout
    assert not (data / "near_duplicates.png").exists()
    assert images(data)["group"].is_unique


def test_conflicting_images_are_organized_and_can_be_split_later(data, call_script):
    shutil.copy(data / "no" / "no5.png", data / "yes" / "twin.png")
    call_script("partition_datasets.py", "-proj_dir", data)
    call_script("organize_files.py", data)
    assert (data / "bin" / "no5.png").exists() and (data / "bin" / "twin.png").exists()
    (data / "bin" / "twin.png").unlink()
    call_script("partition_datasets.py", "-proj_dir", data)
    assert "no5.png" in partition_of(data / "csv")


def test_known_groups_are_kept_together_and_join_duplicates(data, call_script):
    # Patient A has no0 and no4; no0 has a near-duplicate that is said to be of patient B with no6.
    lines = [f"{path.name},{path.stem}" for path in sorted(data.rglob("*.*"))]
    patients = {"no0.png": "A", "no4.png": "A", "again0.jpg": "B", "no6.png": "B"}
    lines = [f"{line.split(',')[0]},{patients.get(line.split(',')[0], line.split(',')[1])}" for line in lines]
    (data.parent / "patients.csv").write_text("\n".join(lines) + "\n")
    for seed in range(5):
        result = call_script("partition_datasets.py", "-proj_dir", data, "-seed", seed, "-group_csv",
                             data.parent / "patients.csv")  # fmt: skip
        assert (result.returncode, result.stderr) == (0, "")
        partition = partition_of(data)
        assert len({partition[name] for name in patients}) == 1


def test_folds_test_every_image_once_and_replace_the_single_split(data, call_script):
    call_script("partition_datasets.py", "-proj_dir", data)
    result = call_script("partition_datasets.py", "-proj_dir", data, "-folds", 3)
    assert (result.returncode, result.stderr) == (0, "")
    assert not (data / "train.csv").exists()
    call_script("organize_files.py", data)
    partitions = [partition_of(data / "csv" / f"fold_{fold}") for fold in range(3)]
    assert all(set(partition) == set(partitions[0]) for partition in partitions)
    for name in partitions[0]:
        assert sorted(partition[name] == "test" for partition in partitions) == [False, False, True]
    for partition in partitions:
        assert partition["no0.png"] == partition["again0.jpg"]
        assert {"train", "val", "test"} == set(partition.values())

    call_script("partition_datasets.py", "-proj_dir", data)
    assert not list((data / "csv").glob("fold_*")) and (data / "csv" / "train.csv").exists()


def test_cross_validation_trains_tests_and_pools_all_folds(data, call_script):
    call_script("partition_datasets.py", "-proj_dir", data, "-folds", 2)
    call_script("organize_files.py", data)
    without = call_script("train_torchvision.py", "-dir", data, *TRAIN)
    assert without.returncode == 2 and without.stderr.startswith("train_torchvision.py: error: -fold: ")
    assert call_script("train_torchvision.py", "-dir", data, *TRAIN, "-fold", 2).returncode == 2

    assert (
        call_script("train_torchvision.py", "-dir", data, *TRAIN, "-fold", "all", "-save", "m.pth.tar").returncode == 0
    )
    assert {path.name for path in (data / "models").iterdir()} == {
        f"m_fold_{fold}{ending}" for fold in (0, 1) for ending in (".pth.tar", ".last.pth.tar")
    }
    again = call_script("train_torchvision.py", "-dir", data, *TRAIN, "-fold", "all", "-save", "m.pth.tar")
    assert again.stdout.count("finished already") == 2

    result = call_script("test_torchvision.py", "-dir", data, "-fold", "all", "-save", "m.pth.tar")
    assert (result.returncode, result.stderr) == (0, "")
    paths = [data / f"m_fold_{fold}_preds.json" for fold in (0, 1)]
    contents = [json.loads(path.read_text()) for path in paths]
    assert [content["fold"] for content in contents] == [0, 1]
    tested = [name for content in contents for name in content["filenames"]]
    assert sorted(tested) == sorted(path.name for path in (data / "bin").iterdir())

    result = call_script("calc_model_performance.py", *paths, data / "m_results.json")
    assert result.returncode == 0, result.stderr
    assert json.loads((data / "m_results.json").read_text())["n"] == 29


def test_a_model_is_not_tested_on_what_it_has_seen(trained, call_script):
    """One test image is put in place of a training image: same bytes, another name and split file."""
    train = pd.read_csv(trained / "csv" / "train.csv", header=None)
    test = pd.read_csv(trained / "csv" / "test.csv", header=None)
    shutil.copy(trained / "bin" / train[0][0], trained / "bin" / test[0][0])
    result = call_script("test_torchvision.py", "-dir", trained)
    model = trained / "models" / "small.pth.tar"
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"test_torchvision.py: error: {trained / 'csv' / 'test.csv'}: the model {model} ")
    assert f"has seen 1 of its {len(test)} images in training ({test[0][0]})" in result.stderr
    assert not (trained / "small_preds.json").exists()
    assert call_script("test_torchvision.py", "-dir", trained, "-split", "train").returncode == 0
    assert json.loads((trained / "small_train_preds.json").read_text())["split"] == "train"


def test_validation_images_of_another_split_that_the_model_has_trained_on_are_refused(trained, call_script):
    """They would choose a threshold by probabilities that the model has fitted."""
    assert call_script("test_torchvision.py", "-dir", trained, "-split", "val").returncode == 0
    tables = [trained / "csv" / f"{partition}.csv" for partition in ("train", "val")]
    train, val = (path.read_text(encoding="utf-8").splitlines(keepends=True) for path in tables)
    for path, lines in zip(tables, ([*train[1:], val[0]], [*val[1:], train[0]]), strict=True):
        path.write_text("".join(lines), encoding="utf-8")
    result = call_script("test_torchvision.py", "-dir", trained, "-split", "val")
    assert error_places(result) == [str(tables[1])]
    assert "has seen 1 of its 5 images in training" in result.stderr and "-split train" in result.stderr
    assert call_script("test_torchvision.py", "-dir", trained).returncode == 0  # the test images are the same
    tables[0].write_text("".join([*train[2:], val[0]]), encoding="utf-8")
    with open(trained / "csv" / "test.csv", "a", encoding="utf-8") as test:
        test.write(train[1])
    result = call_script("test_torchvision.py", "-dir", trained)
    assert result.returncode == 2 and result.stderr.endswith(", or -split train\n")  # val is refused too
