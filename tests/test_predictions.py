import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_predictions import random_two_class

from pipeline import predictions
from pipeline.errors import UserError

GOOD = {
    "labels": [0, 1, 1],
    "predictions": [0, 1, 0],
    "predictive probabilities": [[0.75, 0.25], [0.5, 0.5], [0.7, 0.3]],
    "label probabilities": [[1, 0], [0, 1], [0, 1]],
    "filenames": ["a.png", "b.png", "c.png"],
    "class names": ["no", "yes"],
    "positive class": "yes",
    "split": "test",
    "fold": None,
    "checkpoint": "m.pth.tar",
}
AGAIN = "is it a file of test_torchvision.py?"
HUGE = 10**400  # larger than any float


@pytest.fixture
def faults(tmp_path):
    """Return the faults found in GOOD with some entries replaced or, where None, removed; less the file's name."""

    def read(**changes):
        path = tmp_path / "preds.json"
        made = GOOD | {name.replace("_", " "): value for name, value in changes.items()}
        path.write_text(json.dumps({name: value for name, value in made.items() if value != "missing"}))
        with pytest.raises(UserError) as error:
            predictions.read(path)
        assert all(fault.startswith(f"{path}: ") for fault in error.value.faults)
        return [fault.removeprefix(f"{path}: ") for fault in error.value.faults]

    return read


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "preds.json"
    made = random_two_class(
        0, fold=0, checkpoint="m.pth.tar", weights=["1f"], groups=["a", "b"] * 13, sample_count=3, gallery="g.png",
        command_line="python test_torchvision.py", interrupted="stopped at epoch 9 of 256", path=path,
    )  # fmt: skip
    made.predictive_entropy, made.mutual_information = np.full(26, 0.5), np.full(26, 0.25)
    made.write(path)
    again = vars(predictions.read(path))
    assert [name for name, value in vars(made).items() if not np.array_equal(value, again[name])] == []


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(changes=st.dictionaries(st.sampled_from(list(GOOD)), VALUES, min_size=1, max_size=3))
def test_any_values_are_sound_predictions_or_named_faults(tmp_path, changes):
    path = tmp_path / "preds.json"
    path.write_text(json.dumps(GOOD | changes))
    try:
        made = predictions.read(path)
    except UserError as error:
        assert all(fault.startswith(f"{path}: ") for fault in error.faults)
        return
    assert len(made.labels) == len(made.predictions) == len(made.probabilities) > 0
    assert np.allclose(made.probabilities.sum(axis=1), 1, atol=1e-4)
    assert set(made.labels) | set(made.predictions) <= set(range(made.probabilities.shape[1]))


def test_the_four_lists_are_enough(tmp_path):
    path = tmp_path / "preds.json"
    path.write_text(json.dumps({name: GOOD[name] for name in list(GOOD)[:4]}))
    made = predictions.read(path)
    assert made.class_names == ["0", "1"]
    assert made.positive_class is made.file_names is made.split is made.fold is made.checkpoint is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"labels": "missing"}, [f"'labels' is missing or not a list; {AGAIN}"]),
        (
            {"labels": {}, "predictions": None},
            [f"'labels' is missing or not a list; {AGAIN}", f"'predictions' is missing or not a list; {AGAIN}"],
        ),
        (
            {"labels": [], "predictions": [], "predictive_probabilities": [], "label_probabilities": []},
            ["'labels' is empty; test at least one image"],
        ),
        (
            {"predictions": [0, 1], "label_probabilities": [[1, 0]]},
            [
                "'predictions' has 2 entries, 'labels' has 3; each needs one per image",
                "'label probabilities' has 1 entries, 'labels' has 3; each needs one per image",
            ],
        ),
        (
            {"labels": [0, 2, -1], "predictions": ["1", 1.0, True]},
            [
                "'labels', entry 1: 2 is not a class index from 0 to 1",
                "'labels', entry 2: -1 is not a class index from 0 to 1",
                "'predictions', entry 0: '1' is not a class index from 0 to 1",
                "'predictions', entry 1: 1.0 is not a class index from 0 to 1",
                "'predictions', entry 2: True is not a class index from 0 to 1",
            ],
        ),
        ({"labels": [HUGE, 1, 1]}, [f"'labels', entry 0: {HUGE} is not a class index from 0 to 1"]),
        (
            {"predictive_probabilities": [[0.75, 0.2], [0.5, 0.25, 0.25], 7]},
            [
                "'predictive probabilities', entry 0: sums to 0.95, not 1",
                "'predictive probabilities', entry 1: not a list of 2 numbers, one per class",
                "'predictive probabilities', entry 2: not a list of 2 numbers, one per class",
            ],
        ),
        (
            {"predictive_probabilities": [[1.5, -0.5], [0.5, "0.5"], [0.5, None]]},
            [
                "'predictive probabilities', entry 0: not all between 0 and 1",
                "'predictive probabilities', entry 1: not all numbers",
                "'predictive probabilities', entry 2: not all numbers",
            ],
        ),
        (
            {"predictive_probabilities": [[HUGE, 0], [0.5, 0.5], [0.5, 0.5]]},
            ["'predictive probabilities', entry 0: not all between 0 and 1"],
        ),
        (
            {"predictive_probabilities": [[1], [1], [1]]},
            [f"'predictive probabilities', entry {n}: not a list of 2 numbers, one per class" for n in range(3)],
        ),
        (
            {"label_probabilities": [[1, 0], [1, 0], [0.5, 0.5]]},
            [f"'label probabilities', entry {n}: not 1 for the label 1 and 0 elsewhere" for n in (1, 2)],
        ),
        (
            {"label_probabilities": [[1, 0, 0], [0, 1, 0], [0, 1, 0]]},
            ["'label probabilities' have 3 classes, 'predictive probabilities' 2"],
        ),
        (
            {"filenames": ["a.png", "b.png", "a.png"], "class_names": ["no"]},
            ["'class names' is not a list of 2 strings", "'filenames': 'a.png' is there 2 times"],
        ),
        ({"class_names": ["no", "no"]}, ["'class names': 'no' is there 2 times"]),
        ({"filenames": ["a.png", 2, "c.png"]}, ["'filenames' is not a list of 3 strings"]),
        ({"positive_class": "maybe"}, ["'positive class' is 'maybe'; the classes are no, yes"]),
        ({"positive_class": 1, "checkpoint": []}, ["'positive class' is not a string", "'checkpoint' is not a string"]),
        ({"split": "Test"}, ["'split' is 'Test', not train, val, test or external"]),
        ({"fold": "0"}, ["'fold' is '0', not null or a whole number from 0"]),
        ({"fold": True}, ["'fold' is True, not null or a whole number from 0"]),
        ({"fold": -1}, ["'fold' is -1, not null or a whole number from 0"]),
        (
            {"weights": "ab", "gallery": 1, "training": ["stopped"]},
            ["'gallery' is not a string", "'training' is not a string", "'weights' is not a list of strings"],
        ),
        ({"gallery": "../a.png"}, ["'gallery' is '../a.png', not the name of a file beside this one"]),
        (
            {"Monte_Carlo_samples": 0, "predictive_entropy": [0.5] * 2},
            [
                "'Monte Carlo samples' is 0, not a whole number from 1",
                "'predictive entropy' is not a list of 3 numbers from 0 up, one per image",
                "'mutual information' is not a list of 3 numbers from 0 up, one per image",
            ],
        ),
        (
            {"Monte_Carlo_samples": HUGE, "predictive_entropy": [0.5] * 3, "mutual_information": [HUGE, 0, 0]},
            [
                f"'Monte Carlo samples' is {HUGE}, not a whole number from 1",
                "'mutual information' is not a list of 3 numbers from 0 up, one per image",
            ],
        ),
    ],
)
def test_every_fault_is_named(faults, changes, expected):
    assert faults(**changes) == expected


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        ("NaN", "not valid JSON"),
        ("-Infinity", "not valid JSON"),
        ("1e999", "'predictive probabilities', entry 0: not all between 0 and 1"),  # too large for a float
    ],
)
def test_what_is_no_finite_number_is_refused(tmp_path, number, fault):
    path = tmp_path / "preds.json"
    path.write_text(json.dumps(GOOD).replace("0.75", number))
    with pytest.raises(UserError, match=fault):
        predictions.read(path)


def test_a_file_of_predictions_is_known_as_one(tmp_path):
    for name, text in (("good", json.dumps(GOOD)), ("other", '{"Accuracy": 1}'), ("broken", "{")):
        (tmp_path / name).write_text(text)
    assert predictions.are_in(tmp_path / "good")
    assert not any(predictions.are_in(tmp_path / name) for name in ("other", "broken", "none"))


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_probabilities_with_four_decimals_are_accepted(tmp_path, classes):
    probabilities = np.random.default_rng(0).dirichlet(np.ones(classes), size=20).round(4)
    labels = list(range(2)) * 10
    content = {
        "labels": labels, "predictions": labels, "predictive probabilities": probabilities.tolist(),
        "label probabilities": np.eye(classes)[labels].tolist(),
    }  # fmt: skip
    (tmp_path / "preds.json").write_text(json.dumps(content))
    assert len(predictions.read(tmp_path / "preds.json").labels) == 20


def test_what_is_given_in_place_of_predictions_is_said(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "table.csv").write_text("image,class\n")
    (tmp_path / "scan.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "results.json").write_text('{"Accuracy": 1}')
    said = {"folder": "is a folder", "table.csv": "is a CSV file", "scan.jpg": "is a JPG file"}
    for name, what in (said | {"results.json": "holds no predictions"}).items():
        with pytest.raises(UserError) as error:
            predictions.read(tmp_path / name)
        assert error.value.faults == (f"{tmp_path / name}: {what}; give {predictions.WANTED}",)
    (tmp_path / "folder" / "a_preds.json").touch()
    with pytest.raises(UserError, match="is a folder; give a file in it: a_preds"):
        predictions.read(tmp_path / "folder")
