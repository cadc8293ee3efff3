import pytest

from pipeline import processes

VARIABLES = ("TORCHELASTIC_RUN_ID", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@pytest.fixture(autouse=True)
def not_launched(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def said():
    return (
        processes.count(),
        processes.rank(),
        processes.count_here(),
        processes.local_rank(),
        processes.is_main(),
    )


def test_a_command_by_itself_is_one_process_and_the_main_one():
    assert said() == (1, 0, 1, 0, True)


@pytest.mark.parametrize(
    ("number", "expected"), [(0, (4, 0, 2, 0, True)), (1, (4, 1, 2, 1, False)), (2, (4, 2, 2, 0, False))]
)
def test_torchrun_says_which_process_of_how_many_this_is(launched, number, expected):
    # Four processes on two machines: the first one of the second machine is not the main one.
    launched(number, 4, count_here=2)
    assert said() == expected


def test_what_another_launcher_says_does_not_count(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    assert said() == (1, 0, 1, 0, True)
    for name in VARIABLES[1:]:
        monkeypatch.setenv(name, "3")
    assert said() == (1, 0, 1, 0, True)
