import csv
from dataclasses import asdict, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.learning.history import Epoch, best_epoch, kept_epoch, patience_ran_out, write_epochs


def history_of(losses):
    return [Epoch(number, 0.001, 0.5, 0.75, loss, 0.8, 1.5) for number, loss in enumerate(losses, start=1)]


# Best epoch 8, as in the published run, where patience 5 ended training after epoch 13.
PUBLISHED = [0.69, 0.66, 0.61, 0.57, 0.58, 0.5, 0.49, 0.4, 0.45, 0.42, 0.41, 0.43, 0.44]


@pytest.mark.parametrize(
    ("losses", "best"),
    [([0.5], 1), ([0.5, 0.4, 0.3], 3), ([0.3, 0.4, 0.5], 1), ([0.5, 0.3, 0.4, 0.3], 2), (PUBLISHED, 8)],
)
def test_the_best_epoch_is_the_first_of_lowest_validation_loss(losses, best):
    history = history_of(losses)
    assert best_epoch(history).epoch == best == kept_epoch(history, "best").epoch
    assert kept_epoch(history, "last").epoch == len(losses)


@pytest.mark.parametrize(
    ("losses", "patience", "ran_out"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.6], 1, True),
        ([0.5, 0.5], 1, True),  # an equal loss is not an improvement
        ([0.5, 0.6], 2, False),
        ([0.5, 0.6, 0.4], 2, False),
        ([0.5, 0.6, 0.4, 0.4, 0.4], 2, True),
        (PUBLISHED[:12], 5, False),
        (PUBLISHED, 5, True),
        (PUBLISHED, 6, False),
        ([], 0, False),
        ([0.5, *[0.6] * 300], 0, False),  # never
    ],
)
def test_patience_runs_out_after_so_many_epochs_without_a_lower_loss(losses, patience, ran_out):
    assert patience_ran_out(history_of(losses), patience) is ran_out


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4]), min_size=1), st.integers(1, 5))
def test_patience_counts_as_a_counter_reset_by_each_improvement_does(losses, patience):
    lowest, waited = float("inf"), 0
    for loss in losses:
        lowest, waited = (loss, 0) if loss < lowest else (lowest, waited + 1)
    assert patience_ran_out(history_of(losses), patience) is (waited >= patience)


def test_the_file_of_the_epochs_has_a_header_and_a_row_for_each(tmp_path):
    history = history_of([0.1 + 0.2, 1e-9])
    write_epochs(tmp_path / "epochs.csv", history)
    with open(tmp_path / "epochs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "epoch", "learning_rate", "loss", "accuracy", "val_loss", "val_accuracy", "seconds",
    ] == [field.name for field in fields(Epoch)]  # fmt: skip
    # Every digit is there.
    assert [Epoch(int(row.pop("epoch")), *map(float, row.values())) for row in rows] == history
    assert [Epoch.from_plain(asdict(epoch)) for epoch in history] == history
