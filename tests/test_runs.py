"""How runs are started, resumed and repaired. Models, losses and curves are made up: nothing is really trained."""

import json
import os
from collections import OrderedDict

import pytest
import torch
from conftest import SMALL_TRAINING
from torch.nn import Linear

from pipeline import plots
from pipeline.learning import models, training

ENDINGS = ("hyperparameters.json", "loss_values.json", "accuracy.png", "loss.png")


@pytest.fixture
def project(draw_project, tmp_path):
    return draw_project(tmp_path / "project")


@pytest.fixture
def files(project):
    """The files of the run `small`, as the command line names them."""
    models = [project / "models" / name for name in ("small.pth.tar", "small.last.pth.tar")]
    return models + [project / "results" / f"small_{ending}" for ending in ENDINGS]


@pytest.fixture
def train(monkeypatch, call_script, project):
    """Return train(validation losses, *options): the script, with an epoch for each of the losses.

    Each epoch sets a number in the model to its own, by which the weights can be told. Stopped (Ctrl-C) where there
    are no more losses.
    """

    def run(losses, *options):
        values = iter(losses)

        def epoch_of_training(trainer, network, schedule, scaler, epoch):
            trainer.model.fc.bias.data.fill_(epoch)
            return {"loss": 1.0, "accuracy": 0.5}

        def evaluate(*arguments):
            loss = next(values, None)
            if loss is None:
                raise KeyboardInterrupt
            return {"loss": loss, "accuracy": 0.5}

        monkeypatch.setattr(models, "build_model", lambda *arguments: torch.nn.Sequential(OrderedDict(fc=Linear(1, 2))))
        monkeypatch.setattr(plots, "draw_curves", lambda path, *arguments: path.write_text("drawn"))
        monkeypatch.setattr(training.Trainer, "train_one_epoch", epoch_of_training)
        monkeypatch.setattr(training.Trainer, "evaluate", evaluate)
        name = ("-dir", project, "-save", "small.pth.tar")
        return call_script("train_torchvision.py", *name, *SMALL_TRAINING, "-patience", 2, *options)

    return run


def epoch_of_weights(path):
    return int(torch.load(path, weights_only=True)["state_dict"]["fc.bias"][0])


def epochs_recorded(files):
    return [epoch for epoch, _ in json.loads(files[3].read_text())["val loss values"]]


def snapshot(files):
    """Return time and content of each file, None for one that is not there."""
    return [(path.stat().st_mtime_ns, path.read_bytes()) if path.exists() else None for path in files]


def test_a_run_leaves_six_files_with_the_weights_of_the_best_epoch_and_of_the_last(train, project, files):
    result = train([0.5, 0.4, 0.6, 0.6])
    assert (result.returncode, result.stderr) == (0, "")
    found = [*(project / "models").iterdir(), *(project / "results").iterdir()]
    assert sorted(found) == sorted(files)
    assert epoch_of_weights(files[0]) == 2
    assert epoch_of_weights(files[1]) == 4


def test_each_epoch_is_saved_when_it_ends(train, files):
    assert train([0.5, 0.4]).returncode == 130
    assert (epoch_of_weights(files[0]), epoch_of_weights(files[1])) == (2, 2)
    assert train([0.6], "--resume").returncode == 130
    assert (epoch_of_weights(files[0]), epoch_of_weights(files[1])) == (2, 3)
    assert not any(path.exists() for path in files[2:])


@pytest.mark.parametrize("index", range(6))
def test_any_file_of_an_earlier_run_is_an_error_that_names_the_ways_out(train, files, index):
    files[index].touch()
    result = train([])
    assert result.returncode == 2
    assert result.stderr == (
        f"train_torchvision.py: error: {files[index]}: exists already; --resume goes on with that training, "
        "--overwrite starts anew, -model_save_name takes another name\n"
    )
    assert files[index].read_bytes() == b""


def test_overwrite_starts_anew_and_touches_no_other_run(train, project, files):
    train([0.5, 0.4, 0.3, 0.2, 0.6, 0.6])
    others = [project / "models" / "small2.pth.tar", project / "results" / "small_sweep.csv"]
    for path in others:
        path.write_text("another")
    result = train([0.5, 0.6, 0.6], "--overwrite")
    assert (result.returncode, result.stderr) == (0, "")
    assert epochs_recorded(files) == [1, 2, 3]
    assert epoch_of_weights(files[0]) == 1
    assert [path.read_text() for path in others] == ["another"] * 2


@pytest.mark.parametrize("impossible", [["-num_classes", 3], ["-img_shape", 2, 32, 32]])
def test_overwrite_with_an_impossible_request_leaves_the_earlier_run(train, files, impossible):
    train([0.5, 0.6, 0.6])
    before = snapshot(files)
    assert train([], "--overwrite", *impossible).returncode == 2
    assert snapshot(files) == before


def test_overwrite_that_is_stopped_leaves_nothing_of_the_earlier_run(train, files):
    train([0.5, 0.6, 0.6])
    assert train([], "--overwrite").returncode == 130
    assert not any(path.exists() for path in files)


def test_resume_without_an_earlier_run_starts_afresh(train, files):
    result = train([0.5, 0.6, 0.6], "--resume")
    assert (result.returncode, result.stderr) == (0, "")
    assert epochs_recorded(files) == [1, 2, 3]
    assert "going on" not in result.stdout


def test_resume_goes_on_after_the_last_whole_epoch(train, files):
    train([0.5, 0.4])
    result = train([0.3, 0.6, 0.6], "--resume")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"going on after epoch 2 of {files[1]}" in result.stdout
    assert epochs_recorded(files) == [1, 2, 3, 4, 5]
    assert epoch_of_weights(files[0]) == 3


def test_resume_of_a_finished_run_does_nothing(train, files):
    train([0.5, 0.6, 0.6])
    before = snapshot(files)
    result = train([], "--resume")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{files[0]}: finished already, after 3 epochs; nothing to do\n"
    assert snapshot(files) == before


def test_more_patience_goes_on_with_a_finished_run(train, files):
    train([0.5, 0.6, 0.6])
    result = train([0.4, 0.6, 0.6, 0.6], "--resume", "-patience", 3)
    assert result.returncode == 0
    assert epochs_recorded(files) == [1, 2, 3, 4, 5, 6, 7]
    assert epoch_of_weights(files[0]) == 4
    assert json.loads(files[2].read_text())["patience"] == 3


def test_more_epochs_go_on_with_a_finished_run(train, files):
    train([0.5, 0.4], "-num_epochs", 2)
    assert epochs_recorded(files) == [1, 2]
    assert train([0.3], "--resume", "-num_epochs", 3).returncode == 0
    assert epochs_recorded(files) == [1, 2, 3]
    assert json.loads(files[2].read_text())["maximum number of epochs"] == 3


def test_a_run_that_goes_on_does_not_pass_for_finished_when_it_is_stopped(train, files):
    train([0.5, 0.6, 0.6])
    assert train([0.4], "--resume", "-patience", 3).returncode == 130
    result = train([0.6, 0.6], "--resume")
    assert result.returncode == 0
    assert epochs_recorded(files) == [1, 2, 3, 4, 5, 6]
    assert json.loads(files[2].read_text())["best epoch"] == 4 == epoch_of_weights(files[0])


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    ("options", "said", "recorded"),
    [
        (["-batch_size", 5], "-batch_size 5", "batch size 4"),
        (["-learning_rate", 0.01], "-learning_rate 0.01", "learning rate 0.001"),
        (["-architecture", "squeezenet1_1"], "-architecture squeezenet1_1", "architecture shufflenet_v2_x0_5"),
        (["-img_shape", 3, 32, 40], "-img_shape [3, 32, 40]", "image shape [3, 32, 32]"),
        (["-seed", 1], "-seed 1", "seed 0"),
        (["--keep_color"], "--keep_color True", "keep color False"),
    ],
)
def test_resume_with_other_settings_is_an_error_that_names_both(train, files, finished, options, said, recorded):
    train([0.5, 0.6, 0.6] if finished else [0.5, 0.4])
    before = snapshot(files)
    result = train([], "--resume", *options)
    assert result.returncode == 2
    told_by = files[2 if finished else 1]
    assert result.stderr == (
        f"train_torchvision.py: error: {said}: {told_by} was trained with {recorded}; "
        "give the same, use --overwrite, or another -model_save_name\n"
    )
    assert snapshot(files) == before


def test_every_other_setting_is_named(train):
    train([0.5, 0.4])
    result = train([], "--resume", "-batch_size", 3, "-seed", 2)
    assert [line.split(": ")[2] for line in result.stderr.splitlines()] == ["-batch_size 3", "-seed 2"]


def test_resume_on_another_split_is_an_error(train, project):
    train([0.5, 0.4])
    lines = (project / "csv" / "train.csv").read_text().splitlines(keepends=True)
    (project / "csv" / "train.csv").write_text("".join(lines[:-1]))
    result = train([], "--resume")
    assert result.returncode == 2
    assert result.stderr.startswith("train_torchvision.py: error: split files ")


@pytest.mark.parametrize("finished", [False, True])
def test_another_positive_class_replaces_the_recorded_one_and_is_told(train, files, finished):
    train([0.5, 0.4, 0.6, 0.6] if finished else [0.5, 0.4, 0.6])
    result = train([0.6], "--resume", "-positive_class", "no")
    assert result.returncode == 0
    assert result.stderr == f"note: positive class 'no' instead of 'yes', which {files[1]} names\n"
    for path in files[:2]:
        assert torch.load(path, weights_only=True)["positive_class"] == "no"
    assert json.loads(files[2].read_text())["positive class"] == "no"
    assert (epoch_of_weights(files[0]), epoch_of_weights(files[1])) == (2, 4)


def test_a_run_killed_between_its_last_state_and_its_model_is_repaired(train, files):
    train([0.5, 0.6])
    older = files[0].read_bytes()
    train([0.4], "--resume")
    files[0].write_bytes(older)  # as if it had been killed before the third epoch was copied
    assert train([0.6, 0.6], "--resume").returncode == 0
    assert epoch_of_weights(files[0]) == 3


def test_a_run_killed_before_its_first_model_is_repaired(train, files):
    train([0.5])
    files[0].unlink()
    assert train([0.6, 0.6], "--resume").returncode == 0
    assert epoch_of_weights(files[0]) == 1


def test_a_run_killed_before_its_records_gets_them(train, files):
    train([0.5, 0.6, 0.6])
    for path in files[2:]:
        path.unlink()
    assert train([], "--resume").returncode == 0
    assert all(path.exists() for path in files)
    assert epochs_recorded(files) == [1, 2, 3]


def test_a_lost_model_of_an_earlier_epoch_is_an_error(train, files):
    train([0.5, 0.6])
    files[0].unlink()
    result = train([], "--resume")
    assert result.returncode == 2
    assert result.stderr == (
        f"train_torchvision.py: error: {files[0]}: the best epoch's weights are gone; start anew with --overwrite\n"
    )


def test_a_lost_state_to_resume_from_is_an_error(train, files):
    train([0.5, 0.6])
    files[1].unlink()
    result = train([], "--resume")
    assert result.returncode == 2
    assert result.stderr == (
        f"train_torchvision.py: error: {files[1]}: no such file to resume from; "
        "use --overwrite or another -model_save_name\n"
    )


def test_a_state_without_a_history_is_an_error(train, files):
    train([0.5, 0.6])
    content = torch.load(files[1], weights_only=True)
    torch.save({"state_dict": content["state_dict"], "optimizer": content["optimizer"]}, files[1])
    result = train([], "--resume")
    assert result.returncode == 2
    assert f"{files[1]}: holds no training to go on with" in result.stderr


def test_a_full_disk_is_one_line_and_loses_no_finished_epoch(train, files, monkeypatch):
    train([0.5, 0.4])
    before = [path.read_bytes() for path in files[:2]]

    def full_disk(content, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(target))

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        result = train([0.3], "--resume")
    assert result.returncode == 2
    assert result.stderr.endswith("No space left on device; mend this and run the same command again\n")
    assert [path.read_bytes() for path in files[:2]] == before
    assert len(os.listdir(files[0].parent)) == 2
    assert train([0.6, 0.6], "--resume").returncode == 0
    assert epochs_recorded(files) == [1, 2, 3, 4]
