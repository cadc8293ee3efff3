"""The benchmarks are run by hand; here only what their figures of accuracy rest on, and that none is left behind."""

import importlib
import json
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from made_predictions import random_two_class, two_class
from PIL import Image
from sklearn.metrics import accuracy_score, cohen_kappa_score, log_loss, roc_auc_score

from pipeline import split_files
from pipeline.project import Project

BENCHMARKS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.fixture(autouse=True)
def benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_all_that_a_benchmark_imports_is_there(name):
    assert importlib.import_module(name).__doc__


def test_every_step_of_the_pipeline_that_is_timed_is_a_function_there():
    steps = importlib.import_module("pipeline_speed").STEPS
    for place in {place for functions in steps.values() for place in functions.values()}:
        file, _, function = place.partition(":")
        (path,) = [*ROOT.glob(file), *(ROOT / "pipeline").rglob(file)]
        assert re.search(rf"^ *def {function}\(", path.read_text(encoding="utf-8"), re.MULTILINE), place


def test_a_row_pools_the_folds():
    accuracy = importlib.import_module("accuracy")
    folds = [random_two_class(seed, prefix=f"fold {seed} ", fold=seed) for seed in range(5)]
    labels, probabilities, predicted = [
        [value for fold in folds for value in values(fold)]
        for values in (lambda fold: fold.labels, lambda fold: fold.probabilities[:, 1], lambda fold: fold.predictions)
    ]
    accuracies = [accuracy_score(fold.labels, fold.predictions) for fold in folds]
    name, seed, correct, fraction, area, kappa, loss, spread, seconds = accuracy.row("strong", 3, folds, 12.4)
    assert (name, seed, seconds) == ("strong", 3, "12")
    assert correct == f"{accuracy_score(labels, predicted, normalize=False):.0f} of 130"
    expected = [
        accuracy_score(labels, predicted),
        np.mean([roc_auc_score(fold.labels, fold.probabilities[:, 1]) for fold in folds]),
        cohen_kappa_score(labels, predicted),
        log_loss(labels, probabilities),
    ]
    # Rounded to three places, and before their intervals.
    assert [float(text.split()[0]) for text in (fraction, area, kappa, loss)] == pytest.approx(expected, abs=6e-4)
    assert spread.startswith(f"{min(accuracies):.2f} to {max(accuracies):.2f}, ")


def test_images_that_every_seed_gets_wrong_are_named():
    accuracy = importlib.import_module("accuracy")
    first = [two_class([0, 1], [0.1, 0.2], file_names=["a", "b"]), two_class([1], [0.9], file_names=["c"])]
    second = [two_class([0, 1], [0.7, 0.3], file_names=["a", "b"]), two_class([1], [0.6], file_names=["c"])]
    assert accuracy.agreement([first, second]) == "With every seed 1 of 3 images are correct, and 1 wrong\n  b"
    assert accuracy.agreement([first[1:], second[1:]]) == "With every seed 1 of 1 images are correct, and 0 wrong"


def test_figures_can_leave_images_out():
    accuracy = importlib.import_module("accuracy")
    found = two_class([0, 1, 1], [0.1, 0.2, 0.9], file_names=["a", "b", "c"])
    kept = accuracy.without(found, ["b"])
    assert (kept.file_names, kept.labels.tolist(), kept.predictions.tolist()) == (["a", "c"], [0, 1], [0, 1])
    assert kept.probabilities.tolist() == [[0.9, 0.1], [pytest.approx(0.1), 0.9]]


def test_an_image_to_leave_out_must_be_there(class_folders, tmp_path):
    folder = class_folders(tmp_path / "data", {"no": 1, "yes": 1})
    (name,) = (path.name for path in (folder / "no").iterdir())
    command = [sys.executable, str(ROOT / "benchmarks" / "accuracy.py"), folder, tmp_path / "work", "x", "-leave_out"]
    result = subprocess.run([*command, name, "No.png"], capture_output=True, text=True)
    assert (result.returncode, (tmp_path / "work").exists()) == (2, False)
    assert result.stderr.endswith(f"error: -leave_out: no such image in {folder}: No.png\n")


def test_digits_come_as_class_folders(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "sets.py"), "digits", str(tmp_path / "digits"), "50"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"wrote 50 images to {tmp_path / 'digits'}\n"
    paths = sorted((tmp_path / "digits").glob("*/*.png"))
    assert [len(list((tmp_path / "digits" / str(digit)).iterdir())) for digit in range(10)] == [5] * 10
    assert {Image.open(path).size for path in paths} == {(8, 8)}


def test_what_was_measured_of_a_peer_is_pooled_over_the_folds(class_folders, tmp_path, monkeypatch, capsys):
    peers, accuracy = importlib.import_module("peers"), importlib.import_module("accuracy")
    folder, work = class_folders(tmp_path / "images", {"no": 15, "yes": 15}), tmp_path / "work"
    for root, fold in accuracy.outer_projects(folder, work):
        split = split_files.read_split(Project(root), "test", fold)
        kept = work / "peers" / f"fastai_0_{fold}" / "measured.json"
        kept.parent.mkdir(parents=True)
        right = {name: [1 - label, label] for name, label in zip(split.file_names, split.labels, strict=True)}
        kept.write_text(json.dumps({"probabilities": right, "seconds": 2.0, "memory": 5.0}))
    monkeypatch.setattr(sys, "argv", ["peers.py", str(folder), str(work), "fastai"])
    peers.main()
    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].strip("|").split("|")]
    assert cells[:3] == ["fastai", "0", "30 of 30"] and cells[8:10] == ["10", "5"]
