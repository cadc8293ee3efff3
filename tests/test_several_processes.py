"""Training in two processes on the CPU, as torchrun starts them."""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT, SMALL_TRAINING
from torch import nn

from pipeline.learning import state
from pipeline.learning.config import TrainingConfig
from pipeline.learning.image_sets import ImageSet, TrainingData
from pipeline.learning.preprocessing import Preprocessing
from pipeline.learning.training import train_epochs
from pipeline.learning.transfer import Start

# The address is given, since a machine's name may lead nowhere where there is no network.
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]

TRAINING = """
import json, sys
import torch
from pipeline import processes
from pipeline.learning.distributed import process_group
from test_several_processes import losses

with process_group(torch.device("cpu")):
    found = losses()
    open(f"{sys.argv[1]}/{processes.rank()}.json", "w").write(json.dumps(found))
"""


def losses():
    """Train a model without batch normalization, which would see other batches; return its losses, and its weights."""

    def images(count, seed):
        random = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (count, 1, 6, 6), dtype=torch.uint8, generator=random)
        return ImageSet(
            paths=[], labels=torch.arange(count) % 3, preprocessing=Preprocessing(3, 6, 6), content_hashes=[],
            in_color=0, device=torch.device("cpu"), pixels=pixels,
        )  # fmt: skip

    torch.manual_seed(7)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    config = TrainingConfig(
        batch_size=5, learning_rate=0.01, num_epochs=4, class_weights="balanced", label_smoothing=0.1,
        precision="float32", image_shape=(3, 6, 6),
    )  # fmt: skip
    data = TrainingData(images(24, 0), images(7, 1), ["a", "b", "c"], None, "")
    training = state.make_training(config, data, model, Start(Preprocessing(3, 6, 6)))
    train_epochs(SimpleNamespace(save_epoch=lambda checkpoint: None), training, {})
    epochs = [asdict(replace(epoch, seconds=0.0)) for epoch in training.history]
    return epochs, [weights.flatten().tolist() for weights in model.parameters()]


def torchrun(folder, *command):
    result = subprocess.run(
        [*TORCHRUN, "--nproc_per_node=2", *map(str, command)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    # What torch 2.8 itself prints of every connection, the processes' words mixed up.
    result.stdout = re.sub(r"^.*connected peer ranks is.*\n|^\[Gloo\].*\n", "", result.stdout, flags=re.MULTILINE)
    return result


def test_two_processes_train_as_one_does(tmp_path):
    (tmp_path / "training.py").write_text(TRAINING)
    result = torchrun(tmp_path, tmp_path / "training.py", tmp_path)
    assert result.returncode == 0, result.stderr
    one_epochs, one_weights = losses()
    for rank in (0, 1):
        epochs, weights = json.loads((tmp_path / f"{rank}.json").read_text())
        assert len(epochs) == 4
        for epoch, expected in zip(epochs, one_epochs, strict=True):
            assert epoch == pytest.approx(expected, abs=1e-5)
        for values, expected in zip(weights, one_weights, strict=True):
            assert values == pytest.approx(expected, abs=1e-5)


def test_the_command_under_torchrun_prints_and_writes_once(draw_project, call_script, tmp_path):
    project = draw_project(tmp_path / "project", counts=(10, 5, 4))
    command = ("-dir", project, *SMALL_TRAINING, "-num_epochs", 2, "-save", "two.pth.tar", "-recipe", "strong")
    result = torchrun(tmp_path, ROOT / "train_torchvision.py", *command)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == (
        "training shufflenet_v2_x0_5 on cpu, 2 processes, float32: 10 training images, 5 validation images"
    )
    assert [line.split()[0] for line in lines if line[:5].strip().isdigit()] == ["1", "2"]
    assert sorted(path.name for path in (project / "models").iterdir()) == ["two.last.pth.tar", "two.pth.tar"]
    recorded = json.loads((project / "results" / "two_hyperparameters.json").read_text())
    assert (recorded["processes"], recorded["number of epochs"]) == (2, 2)

    resumed = torchrun(tmp_path, ROOT / "train_torchvision.py", *command, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    told, following = resumed.stdout.splitlines()
    assert told == f"{project / 'models' / 'two.pth.tar'}: finished already, after 2 epochs; nothing to do"
    assert following.startswith("next: python ")
    assert call_script("test_torchvision.py", "-dir", project, "-save", "two.pth.tar").returncode == 0
