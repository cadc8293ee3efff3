"""The flow of images in a report, against a count of what was put into the folders."""

import csv
import re
import shutil

import numpy as np
import pytest
from made_predictions import random_two_class, two_class
from test_provenance import Page

from pipeline.performance import flow

pytestmark = pytest.mark.usefixtures("empty_pictures")

SCRIPT = "calc_model_performance.py"


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def predict(root, fold=None, **more):
    """Write made-up predictions of the test images, as test_torchvision.py would; return the path."""
    rows = rows_of((root / "csv" if fold is None else root / "csv" / f"fold_{fold}") / "test.csv")
    labels = [int(label) for _, label in rows]
    made = two_class(
        labels, np.linspace(0.1, 0.9, len(rows)), file_names=[name for name, _ in rows],
        **{"split": "test", "fold": fold, **more},
    )  # fmt: skip
    path = root / f"m{'' if fold is None else f'_fold_{fold}'}_preds.json"
    made.write(path)
    return path


@pytest.fixture
def split(call_script):
    """Return split(root, *options): the class folders below `root`, split and organized."""

    def split(root, *options):
        for script, arguments in (("partition_datasets.py", ["-dir", root, *options]), ("organize_files.py", [root])):
            assert call_script(script, *arguments).returncode == 0
        return root

    return split


@pytest.fixture
def report(call_script):
    """Return report(root, *predictions): the Page of the report."""

    def report(root, *paths):
        result = call_script(SCRIPT, *paths, root / "m_results.json", "--report")
        assert (result.returncode, result.stderr) == (0, "")
        return Page(root / "m_report.html")

    return report


def test_each_file_that_was_found_is_in_a_box_once(tmp_path, class_folders, split, report):
    root = tmp_path / "data"
    class_folders(root / "Training", {"no": 20, "yes": 30})
    class_folders(root / "Testing", {"no": 6, "yes": 8}, seed=1)
    shutil.copy(root / "Testing" / "no" / "no0.png", root / "Training" / "no" / "twin.png")  # leaves training
    for name in ("no/a.png", "yes/b.png"):  # one image in two classes
        shutil.copy(root / "Training" / "no" / "no1.png", root / "Training" / name)
    for number in range(3):
        (root / "Training" / "yes" / f"broken{number}.jpg").write_bytes(b"no image")
    split(root)
    text = " ".join(report(root, predict(root)).text.split())
    assert "Found: 70 files in the folders" in text  # 64 images, a twin, two copies and three that are broken
    assert (
        "Left out: 7 3 unreadable as an image 3 conflicting: the same image in two classes "
        "1 with a duplicate, or an image of the same group, in another partition"
    ) in text
    assert "In the split: 63 images in 63 groups no: 25 images in 25 groups yes: 38 images in 38 groups" in text
    assert "Test: 14 images in 14 groups no: 6 images in 6 groups yes: 8 images in 8 groups" in text
    for title, partition in (("Training", "train"), ("Validation", "val")):
        labels = [label for _, label in rows_of(root / "csv" / f"{partition}.csv")]
        counts = f"no: {labels.count('0')} images in {labels.count('0')} groups"
        assert f"{title}: {len(labels)} images in {len(labels)} groups {counts}" in text
    assert "The test images of these predictions are not those" not in text


def test_leaks_that_were_kept_are_told(tmp_path, class_folders, split, report):
    root = tmp_path / "data"
    class_folders(root / "Training", {"no": 10, "yes": 10})
    class_folders(root / "Testing", {"no": 4, "yes": 4}, seed=1)
    shutil.copy(root / "Testing" / "no" / "no0.png", root / "Training" / "no" / "twin.png")
    text = report(root, predict(split(root, "--keep_leaks"))).text
    assert "--keep_leaks: 1 image with a duplicate" in text and "are in one partition" not in text


def test_folds_have_a_row_for_each_partition_and_groups_are_counted(tmp_path, class_folders, split, report):
    root = class_folders(tmp_path / "data", {"no": 12, "yes": 18})
    for number in range(6):
        shutil.copy(root / "yes" / f"yes{number}.png", root / "yes" / f"twin{number}.png")
    split(root, "-folds", 3)
    page = report(root, *(predict(root, fold) for fold in range(3)))
    text = " ".join(page.text.split())
    assert "In the split: 36 images in 30 groups no: 12 images in 12 groups yes: 24 images in 18 groups" in text
    assert "Test: 36 images in 3 folds, each image once no: 4 a fold yes: 8 a fold" in text
    assert "Images of a group (duplicates, or known to belong together) are in one partition." in text
    group_of = {row[1]: row[4] for row in rows_of(root / "csv" / "images.csv")}
    start = page.cells.index("partition") + 4
    for fold in range(3):
        for name, partition in (("training", "train"), ("validation", "val"), ("test", "test")):
            rows = rows_of(root / "csv" / f"fold_{fold}" / f"{partition}.csv")
            counts = [
                f"{len(chosen)} ({len({group_of[name] for name, _ in chosen})})"
                for chosen in (rows, [row for row in rows if row[1] == "0"], [row for row in rows if row[1] == "1"])
            ]
            assert page.cells[start : start + 5] == [str(fold), name, *counts]
            start += 5


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"file_names": [f"other{number}.png" for number in range(8)]}, "are not those of the split in this folder"),
        ({"split": "external"}, "The images that were tested here come from elsewhere"),
    ],
)
def test_predictions_of_other_images_are_told(tmp_path, class_folders, split, report, more, sentence):
    root = split(class_folders(tmp_path / "data", {"no": 20, "yes": 20}), "-val_test_prop", 0.2)
    made = two_class([0, 1] * 4, np.linspace(0.1, 0.9, 8), **{"split": "test", **more})
    made.write(root / "m_preds.json")
    text = report(root, root / "m_preds.json").text
    assert sentence in text
    # Of another split, the diagram would show partitions that these images were not in.
    assert ("Found: 40" in text) == (more == {"split": "external"})


def test_groups_that_are_counted_are_of_the_images_of_the_split(tmp_path, class_folders, split, report):
    root = split(class_folders(tmp_path / "data", {"no": 20, "yes": 20}), "-val_test_prop", 0.2)
    groups = [f"group {number // 2}" for number in range(8)]
    text = report(root, predict(root, groups=groups), "-per", "group").text
    assert "4 test groups" in text and "Test: 8 images" in text
    assert "are not those of the split" not in text


def test_without_a_table_of_the_images_one_sentence_says_so(tmp_path, report, draw_project):
    root = draw_project(tmp_path / "project")  # with split files only
    text = report(root, predict(root)).text
    assert "csv/images.csv, or the split files beside it, were not found" in text and "Found: " not in text


def test_a_damaged_table_is_an_error_before_anything_is_written(tmp_path, call_script):
    (tmp_path / "csv").mkdir()
    for name in ("train", "val", "test"):
        (tmp_path / "csv" / f"{name}.csv").write_text("a.png,0\n")
    (tmp_path / "csv" / "images.csv").write_text("no header\n")
    random_two_class(0).write(tmp_path / "preds.json")
    result = call_script(SCRIPT, tmp_path / "preds.json", tmp_path / "r_results.json", "--report")
    assert result.returncode == 2
    assert result.stderr.startswith(f"{SCRIPT}: error: {tmp_path / 'csv' / 'images.csv'}: ")
    assert {path.name for path in tmp_path.iterdir()} == {"csv", "preds.json"}


def test_many_classes_are_a_range():
    part = flow.Part.of([str(n) for n in range(78)], [f"c{n % 12}" for n in range(72)] + ["c0"] * 6, list(range(78)))
    partitions = {None: dict.fromkeys(("train", "val", "test"), part)}
    training, *_ = flow.diagram(flow.Flow(78, {}, part, partitions)).branches
    assert training.lines == ("12 classes of 6 to 12 images",)


def seed_told(root):
    """Return the random seed of the split that the printed page names, and its warnings."""
    page = (root / "m_results.md").read_text(encoding="utf-8")
    return re.findall(r"random seed (\d+)", page), page.partition("## Warnings")[2].partition("## ")[0]


@pytest.mark.parametrize("folds", [None, 2])
@pytest.mark.parametrize("again", [("-seed", 1), ("-folds", 3)])
def test_a_split_of_later_is_not_told_as_that_of_the_predictions(
    tmp_path, class_folders, split, report, call_script, folds, again
):
    root = split(class_folders(tmp_path / "data", {"no": 20, "yes": 20}), *(["-folds", folds] if folds else []))
    paths = [predict(root, fold) for fold in (range(folds) if folds else [None])]
    text = report(root, *paths).text
    assert seed_told(root)[0] == ["0"] and "test.csv" in text
    assert call_script("partition_datasets.py", "-dir", root, *again).returncode == 0
    text = report(root, *paths).text
    seeds, warnings = seed_told(root)
    assert seeds == [] and "m_preds.json: the split" in text.replace("m_fold_0_preds.json, m_fold_1_", "m_")
    assert "test.csv" not in text and "is missing" not in warnings


def test_leaks_that_another_split_keeps_are_not_those_of_the_predictions(
    tmp_path, class_folders, split, report, call_script
):
    root = tmp_path / "data"
    class_folders(root / "train", {"no": 10, "yes": 10})
    class_folders(root / "test", {"no": 4, "yes": 4}, seed=1)
    shutil.copy(root / "test" / "no" / "no0.png", root / "train" / "no" / "twin.png")
    path = predict(split(root, "--keep_leaks", "-val_test_prop", 0.2))
    report(root, path)
    assert "- 1 of these images has a twin" in seed_told(root)[1]
    path = predict(split(root, "-partitions", "redrawn"))
    assert call_script("partition_datasets.py", "-dir", root, "--keep_leaks", "-partitions", "kept").returncode == 0
    report(root, path)
    assert "twin" not in seed_told(root)[1]
