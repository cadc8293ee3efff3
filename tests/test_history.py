import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.learning.history import best_epoch, patience_ran_out


def history_of(losses):
    return [{"epoch": number, "val_loss": loss} for number, loss in enumerate(losses, start=1)]


# Best epoch 8, as in the published run, where patience 5 ended training after epoch 13.
PUBLISHED = [0.69, 0.66, 0.61, 0.57, 0.58, 0.5, 0.49, 0.4, 0.45, 0.42, 0.41, 0.43, 0.44]


@pytest.mark.parametrize(
    ("losses", "best"),
    [([0.5], 1), ([0.5, 0.4, 0.3], 3), ([0.3, 0.4, 0.5], 1), ([0.5, 0.3, 0.4, 0.3], 2), (PUBLISHED, 8)],
)
def test_the_best_epoch_is_the_first_of_lowest_validation_loss(losses, best):
    assert best_epoch(history_of(losses))["epoch"] == best


@pytest.mark.parametrize(
    ("losses", "patience", "ran_out"),
    [
        ([], 1, False),
        ([0.5], 1, False),
        ([0.5, 0.6], 1, True),
        ([0.5, 0.5], 1, True),  # an equal loss is no improvement
        ([0.5, 0.6], 2, False),
        ([0.5, 0.6, 0.4], 2, False),
        ([0.5, 0.6, 0.4, 0.4, 0.4], 2, True),
        (PUBLISHED[:12], 5, False),
        (PUBLISHED, 5, True),
        (PUBLISHED, 6, False),
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
