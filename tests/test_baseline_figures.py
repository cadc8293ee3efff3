import json

import pytest

from pipeline.errors import UserError
from pipeline.performance import baseline_figures

GOOD = {
    "name": "file facts",
    "accuracy": 0.73,
    "accuracy interval": [0.67, 0.79],
    "roc auc": 0.81,
    "roc auc interval": [0.75, 0.86],
    "n": 253,
}


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "baselines.json"
        path.write_text(json.dumps(content))
        return baseline_figures.read(path)

    return read


def test_baselines_are_read_and_other_keys_left_out(read):
    plain = GOOD | {"name": "always the larger class", "roc auc": None, "roc auc interval": None}
    assert read({"baselines": [GOOD | {"folds": 5}, plain], "seed": 0}) == [GOOD, plain]


@pytest.mark.parametrize("content", [{}, {"baselines": {}}, {"baselines": []}])
def test_a_file_without_baselines_is_an_error(read, content):
    with pytest.raises(UserError, match="'baselines' is missing or no list; is it a file of"):
        read(content)


def test_every_fault_is_named(read, tmp_path):
    wrong = {
        "name": 1,
        "accuracy": "1",
        "accuracy interval": [0.9, 0.1],
        "roc auc": 2,
        "roc auc interval": [0.5],
        "n": 0,
    }
    with pytest.raises(UserError) as error:
        read({"baselines": [GOOD, wrong, 3]})
    assert [fault.removeprefix(f"{tmp_path / 'baselines.json'}: ") for fault in error.value.faults] == [
        "baseline 1: 'name' is not a string",
        "baseline 1: 'accuracy' is not a number from 0 to 1",
        "baseline 1: 'accuracy interval' is not two ascending numbers from 0 to 1",
        "baseline 1: 'roc auc' is not null or a number from 0 to 1",
        "baseline 1: 'roc auc interval' is not null or two ascending numbers from 0 to 1",
        "baseline 1: 'n' is not a whole number above 0",
        "baseline 2: is no object",
    ]
