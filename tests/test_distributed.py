"""Training in two processes on the CPU, as torchrun starts them."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from conftest import ROOT, SMALL_TRAINING
from torch import nn
from two_processes import train

from pipeline.learning import distributed

CPU = torch.device("cpu")


def torchrun(folder, *command):
    """Run a Python file in two processes, from another folder; return what they print."""
    if not torch.distributed.is_available():
        pytest.skip("this PyTorch cannot train in several processes")
    # The address is given, since a machine's name may lead nowhere where there is no network.
    two = ["torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", "--nproc_per_node=2"]
    result = subprocess.run(
        [sys.executable, "-m", *two, *map(str, command)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    # What torch 2.8 itself prints of every connection, the processes' words mixed up.
    return re.sub(r"^.*connected peer ranks is.*\n|^\[Gloo\].*\n", "", result.stdout, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What each of two processes saw, see two_processes.py, by the number of the process."""
    folder = tmp_path_factory.mktemp("two processes")
    torchrun(folder, ROOT / "tests" / "two_processes.py", folder)
    return [json.loads((folder / f"{number}.json").read_text(encoding="utf-8")) for number in range(2)]


def test_the_parts_hold_every_index_once(seen):
    assert [process["part"] for process in seen] == [[0, 2, 4, 6], [1, 3, 5]]


def test_totals_are_those_of_all_processes_and_leave_each_ones_numbers_alone(seen):
    assert [process["total"] for process in seen] == [[11, pytest.approx(0.3, abs=1e-15)]] * 2
    assert [process["summed"] for process in seen] == [[1, 0.1], [10, 0.2]]


def test_processes_start_from_the_same_weights_and_average_their_gradients(seen):
    assert seen[0]["shared weights"] == seen[1]["shared weights"]
    assert [process["gradient"] for process in seen] == [[[2, 2]]] * 2  # of 1 and 3


def test_running_statistics_are_each_processs_own_until_they_are_averaged(seen):
    # Two steps with momentum 0.1 from mean 0 and variance 1; the images have mean 6 and variance 8, and twice the
    # mean and four times the variance.
    own = [
        {"running_mean": 0.19 * mean, "running_var": 0.81 + 0.19 * variance, "num_batches_tracked": steps}
        for mean, variance, steps in [(6, 8, 2), (12, 32, 7)]
    ]
    assert [process["statistics before"] for process in seen] == [pytest.approx(values, rel=1e-6) for values in own]
    mean = {name: (own[0][name] + own[1][name]) / 2 for name in ("running_mean", "running_var")}
    assert [process["statistics after"] for process in seen] == [
        pytest.approx({**values, **mean}, rel=1e-6) for values in own
    ]


@pytest.mark.parametrize("how", ["ends", "raises", "returns"])
def test_the_other_process_waits_for_the_main_one_however_it_leaves_the_block(seen, how):
    assert [process[f"main one {how} first"] for process in seen] == [True, True]


def test_the_processes_are_in_step_to_the_end_and_connected_no_longer(seen):
    assert [process["processes at the end"] for process in seen] == [2, 2]
    assert [process["connected"] for process in seen] == [True, True]
    assert [process["connected afterwards"] for process in seen] == [False, False]


def test_no_thread_of_the_connection_is_left_to_abort_a_process_that_ends(seen):
    assert [process["threads afterwards"] for process in seen] == [[], []]


def test_one_process_has_nothing_to_divide_or_to_average():
    model = nn.BatchNorm1d(2)
    model(torch.rand(3, 2))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    numbers = torch.rand(3, dtype=torch.float64)
    with distributed.process_group(CPU), distributed.main_process_first():
        assert not (torch.distributed.is_available() and torch.distributed.is_initialized())
        assert distributed.wrap(model) is model
        assert distributed.part_of(torch.arange(5)).tolist() == [0, 1, 2, 3, 4]
        assert torch.equal(distributed.total(numbers, CPU), numbers)
        distributed.average_running_statistics(model)
    assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())


def test_two_processes_train_as_one_does(seen):
    expected_epochs, expected_weights = train()
    for epochs, weights in (process["training"] for process in seen):
        assert len(epochs) == 4
        for epoch, expected in zip(epochs, expected_epochs, strict=True):
            assert epoch == pytest.approx(expected, abs=1e-5)
        for values, expected in zip(weights, expected_weights, strict=True):
            assert values == pytest.approx(expected, abs=1e-5)


def test_the_command_under_torchrun_prints_and_writes_once(draw_project, call_script, tmp_path):
    project = draw_project(tmp_path / "project", counts=(10, 5, 4))
    command = ("-dir", project, *SMALL_TRAINING, "-num_epochs", 2, "-save", "two.pth.tar", "-recipe", "strong")
    lines = torchrun(tmp_path, ROOT / "train_torchvision.py", *command).splitlines()
    assert lines[0] == (
        "training shufflenet_v2_x0_5 on cpu, 2 processes, float32: 10 training images, 5 validation images"
    )
    assert [line.split()[0] for line in lines if line[:5].strip().isdigit()] == ["1", "2"]
    assert sorted(path.name for path in (project / "models").iterdir()) == ["two.last.pth.tar", "two.pth.tar"]
    recorded = json.loads((project / "results" / "two_hyperparameters.json").read_text())
    assert (recorded["processes"], recorded["number of epochs"]) == (2, 2)

    told, following = torchrun(tmp_path, ROOT / "train_torchvision.py", *command, "--resume").splitlines()
    assert told == f"{project / 'models' / 'two.pth.tar'}: finished already, after 2 epochs; nothing to do"
    assert following.startswith("next: python ")
    assert call_script("test_torchvision.py", "-dir", project, "-save", "two.pth.tar").returncode == 0
