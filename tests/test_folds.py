from dataclasses import replace

import numpy as np
import pytest
from made_predictions import multiclass, random_two_class, two_class

from pipeline.errors import UserError
from pipeline.performance import folds
from pipeline.performance.figures import Figure


@pytest.fixture
def parts():
    return [
        random_two_class(n, prefix=f"{n}_", fold=n, checkpoint=f"m_{n}.pth.tar", path=f"fold_{n}.json")
        for n in range(3)
    ]


def test_one_part_stays_as_it_is(parts):
    assert folds.pool(parts[:1]) is parts[0]


def test_all_images_are_measured_at_once(parts):
    for number, part in enumerate(parts):
        part.weights = [f"hash {number}"]
        part.sample_count, part.predictive_entropy = 7, np.full(26, number / 10)
        part.mutual_information = np.full(26, number / 100)
    parts[0].groups, parts[1].interrupted = ["one"] * 26, "stopped at epoch 9 of 256"
    pooled = folds.pool(parts)
    assert len(pooled.labels) == 78
    assert pooled.weights == ["hash 0", "hash 1", "hash 2"] and pooled.groups is None
    assert pooled.sample_count == 7
    assert pooled.predictive_entropy.tolist() == [0.0] * 26 + [0.1] * 26 + [0.2] * 26
    assert pooled.mutual_information.tolist() == [0.0] * 26 + [0.01] * 26 + [0.02] * 26
    assert pooled.interrupted == "fold 1: stopped at epoch 9 of 256"
    assert folds.pool(parts[::2]).interrupted is None
    assert pooled.file_names == [name for part in parts for name in part.file_names]
    assert np.array_equal(pooled.probabilities[26:52], parts[1].probabilities)
    assert (pooled.split, pooled.fold, pooled.checkpoint) == ("test", None, None)
    assert (pooled.class_names, pooled.positive_class) == (["no", "yes"], "yes")


@pytest.mark.parametrize(
    ("changes", "file", "what"),
    [
        ({"class_names": ["a", "b"]}, "fold_1.json: ", "class names ['a', 'b'], in fold_0.json ['no', 'yes']"),
        ({"positive_class": "no"}, "fold_1.json: ", "positive class 'no', in fold_0.json 'yes'; choose one"),
        ({"split": "val"}, "fold_1.json: ", "split 'val', in fold_0.json 'test'"),
        ({"sample_count": 8}, "fold_1.json: ", "number of Monte Carlo samples 8, in fold_0.json None"),
        ({"fold": None}, "fold_1.json: ", "fold"),
        ({"fold": 2}, "fold_1.json, fold_2.json: ", "fold 2 "),
        ({"file_names": None}, "fold_1.json: ", "filenames"),
        ({"file_names": ["0_3.png", "2_4.png"]}, "fold_0.json, fold_1.json: ", "image 0_3.png (and 1 more)"),
    ],
)
def test_what_are_no_folds_of_one_cross_validation_is_refused(parts, changes, file, what):
    for name, value in changes.items():
        setattr(parts[1], name, value)
    with pytest.raises(UserError) as error:
        folds.pool(parts)
    (fault,) = error.value.faults
    assert fault.startswith(file) and what in fault and ";" in fault


def test_of_several_kinds_of_faults_the_first_is_named_once_with_its_files(parts):
    """As the pattern NAME_fold_*_preds.json finds them after -split val of all folds."""
    others = [replace(part, split="val", path=f"val_{part.path}") for part in parts]
    with pytest.raises(UserError) as error:
        folds.pool([*parts, *others])
    (fault,) = error.value.faults
    assert fault.startswith("val_fold_0.json, val_fold_1.json, val_fold_2.json: split 'val'")
    assert "-threshold_from" in fault


def test_the_spread_by_hand():
    parts = [
        two_class([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], fold=1),
        two_class([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], fold=0, checkpoint="m_fold_0.pth.tar"),
    ]
    found = folds.cross_validation(parts)
    assert [(fold.number, fold.checkpoint) for fold in found.folds] == [(0, "m_fold_0.pth.tar"), (1, None)]
    assert [(fold.accuracy.counts, fold.auc.value) for fold in found.folds] == [("2 of 4", 0.75), ("4 of 4", 1.0)]
    assert list(found.accuracy.value.values()) == [0.5, 1.0, 0.75, pytest.approx(0.5 / 2**0.5)]
    assert found.auc.value["mean"] == 0.875


@pytest.mark.parametrize(("of_split", "missing"), [((), [1]), (range(5), [1, 3, 4])])
def test_missing_folds_are_those_before_the_last_one_and_those_of_the_split(of_split, missing):
    parts = [two_class([0, 1], [0.1, 0.9], fold=fold) for fold in (0, 2)]
    assert folds.cross_validation(parts, of_split).missing == missing


def test_the_area_of_more_classes_is_their_mean():
    rows = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]
    parts = [multiclass([0, 1, 2], rows, fold=0), multiclass([0, 1, 2], rows, fold=1)]
    assert [fold.auc.value for fold in folds.cross_validation(parts).folds] == [1, 1]


def test_a_fold_with_one_class_leaves_the_spread_undefined():
    parts = [two_class([0, 0], [0.1, 0.2], fold=0), two_class([0, 1], [0.1, 0.9], fold=1)]
    found = folds.cross_validation(parts)
    assert found.folds[0].auc.reason == "needs images of the class and of another one"
    assert found.auc == Figure(None, reason="undefined for a fold")
