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
from scipy import special, stats
from sklearn.metrics import accuracy_score, cohen_kappa_score, log_loss, roc_auc_score

from pipeline import split_files
from pipeline.performance.figures import Figure
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


def test_the_intervals_of_the_report_are_measured_on_these_draws():
    """Drawn otherwise, the tables in docs/statistics.md would be others."""
    coverage = importlib.import_module("coverage")
    drawn = coverage.draw(coverage.Setting(2, 5, 20, 5, 0.5), np.random.default_rng(0))
    assert (drawn.labels[::5].tolist(), drawn.folds[::5].tolist()) == ([1, 0, 0, 0], [0, 1, 2, 3])
    assert drawn.probabilities[:3, 1] == pytest.approx([0.14710316, 0.0778148, 0.16042158], abs=1e-8)


def test_coverage_counts_the_intervals_that_hold_the_truth():
    coverage = importlib.import_module("coverage")

    def measured(fewest):
        numbers = iter(range(4))

        def measure(setting, random):
            number = next(numbers)
            return {"all": Figure(0, [number, number + 1.5]), "few": Figure(0, [0, 9] if number == 2 else None)}

        return coverage.coverage(coverage.Kind((2,), None, measure, fewest), None, {"all": 2, "few": 2}, 4, 0)

    # Of 0 to 1.5, 1 to 2.5, 2 to 3.5 and 3 to 4.5 two hold 2.
    assert measured(fewest=0.25) == {"all": 0.5, "few": 1}
    assert measured(fewest=0.5) == {"all": 0.5}


def test_a_test_holds_no_difference_unless_it_rejects_it():
    coverage = importlib.import_module("coverage")
    kind = coverage.Kind((2,), None, lambda setting, random: {"p": coverage.not_rejected(next(p_values))})
    p_values = iter([0.049, 0.05, None, 1.0])
    assert coverage.coverage(kind, None, {"p": 0.0}, 4, 0) == {"p": pytest.approx(2 / 3)}


@pytest.mark.parametrize("folds", [1, 5])
def test_the_true_net_benefits_are_those_of_the_normal_distribution(folds):
    coverage = importlib.import_module("coverage")
    setting = coverage.Setting(2, folds, 40_000, 1, 0.0)
    found = coverage.true_values(coverage.KINDS["decision_curve"], setting)
    for threshold in (0.1, 0.3, 0.5, 0.7):
        odds, shifts = threshold / (1 - threshold), [-1, -0.5, 0, 0.5, 1] if folds == 5 else [0]
        lowest_score = np.log(odds) / 1.8
        of_class, of_others = (np.mean(stats.norm.sf(lowest_score - shifts - mean)) for mean in (0.9, -0.9))
        benefit = 0.6 * of_class - 0.4 * odds * of_others
        assert found[f"less None at {threshold:.0%}"] == pytest.approx(benefit, abs=0.025)
        assert found[f"less All at {threshold:.0%}"] == pytest.approx(benefit - 0.6 + 0.4 * odds, abs=0.025)


@pytest.mark.parametrize("other", [1.8, 1.2])
def test_the_true_differences_of_two_models_are_those_of_the_normal_distribution(other):
    coverage = importlib.import_module("coverage")
    found = coverage.true_values(coverage.KINDS["differences"], coverage.Pair(2, 1, 40_000, 1, 0.0, other))
    assert found["Accuracy"] == pytest.approx(stats.norm.cdf(0.9) - stats.norm.cdf(other / 2), abs=0.008)
    areas = [stats.norm.cdf(separation / np.sqrt(2)) for separation in (1.8, other)]
    assert found["ROC-AUC"] == pytest.approx(areas[0] - areas[1], abs=0.008)
    assert ("ROC-AUC p >= 0.05" in found) == (other == 1.8)


def test_two_models_are_drawn_for_the_same_images_which_both_find_difficult():
    coverage = importlib.import_module("coverage")
    first, second = coverage.draw_pair(coverage.Pair(2, 1, 4000, 4, 0.3, 1.8), np.random.default_rng(0))
    assert (first.labels.tolist(), first.groups) == (second.labels.tolist(), second.groups)
    noises = [special.logit(each.probabilities[:, 1]) / 1.8 - 1.8 * (each.labels - 0.5) for each in (first, second)]
    assert np.corrcoef(noises)[0, 1] == pytest.approx(0.5, abs=0.05)
    means = np.mean(np.reshape(noises, (2, 1000, 4)), axis=2)  # of groups, whose variance is 0.3 + 0.7 / 4
    assert means.var(axis=1) == pytest.approx([0.475, 0.475], abs=0.06)


def test_the_table_has_the_lowest_coverage_of_the_correlations(monkeypatch, capsys):
    coverage = importlib.import_module("coverage")
    monkeypatch.setattr(coverage, "ENDLESS", 1000)
    monkeypatch.setattr(coverage, "SMALL_SIZES", ((50, 1), (50, 5)))
    command = ["coverage.py", "-figures", "differences", "-simulations", "4", "-folds", "1"]
    monkeypatch.setattr(sys, "argv", command)
    coverage.main()
    *rows, _, title, _, header, _, first, second = capsys.readouterr().out.splitlines()
    # Two of single images, with the second model as good or not, and six of ten groups.
    found = [float(re.search(r"ROC-AUC (\S+)", row)[1]) for row in rows]
    assert title == "4 simulations a setting; the lowest of all correlations"
    assert [cell.strip() for cell in header.split("|")][4:8] == [
        "Accuracy",
        "ROC-AUC",
        "Accuracy p >= 0.05",
        "ROC-AUC p >= 0.05",
    ]
    assert [float(row.split("|")[5]) for row in (first, second)] == [min(found[:2]), min(found[2:])] and len(found) == 8
    monkeypatch.setattr(sys, "argv", [*command, "-classes", "4"])
    with pytest.raises(SystemExit, match="2"):
        coverage.main()
