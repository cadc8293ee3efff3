"""How runs are started, resumed and repaired. Models, losses and curves are made up: nothing is really trained."""

import csv
import json
import os
import shutil
from collections import OrderedDict

import pytest
import torch
from conftest import SMALL_TRAINING
from torch.nn import Linear

from pipeline.learning import familiarity, models, training

RECORDS = ("hyperparameters.json", "loss_values.json", "epochs.csv", "accuracy.png", "loss.png")
MODEL, LAST, HYPERPARAMETERS, LOSS_VALUES, EPOCHS = range(5)  # in `files`


@pytest.fixture
def project(draw_project, tmp_path):
    return draw_project(tmp_path / "project")


@pytest.fixture
def files(project):
    """The files of the run `small`, as the command line names them."""
    models = [project / "models" / name for name in ("small.pth.tar", "small.last.pth.tar")]
    return models + [project / "results" / f"small_{ending}" for ending in RECORDS]


@pytest.fixture
def train(monkeypatch, no_curves, call_script, project):
    """Return train(validation losses, *options): the script, with an epoch for each of the losses.

    A number in the model counts the epochs, by which the weights can be told. Stopped (Ctrl-C) where there
    are no more losses.
    """

    def run(losses, *options):
        values = iter(losses)

        def train_one_epoch(network, *arguments):
            network.fc.bias.data += 1
            return {"loss": 1.0, "accuracy": 0.5}

        def evaluate(*arguments):
            loss = next(values, None)
            if loss is None:
                raise KeyboardInterrupt
            return {"loss": loss, "accuracy": 0.5}

        def build_model(*arguments):
            model = torch.nn.Sequential(OrderedDict(fc=Linear(1, 2)))
            model.fc.bias.data.fill_(0)
            return model

        monkeypatch.setattr(models, "build_model", build_model)
        monkeypatch.setattr(familiarity, "reference_of", lambda *arguments: None)  # this model sees nothing
        monkeypatch.setattr(training, "train_one_epoch", train_one_epoch)
        monkeypatch.setattr(training, "evaluate", evaluate)
        name = ("-dir", project, "-save", "small.pth.tar")
        return call_script("train_torchvision.py", *name, *SMALL_TRAINING, "-patience", 2, *options)

    return run


def epoch_of_weights(path):
    return int(torch.load(path, weights_only=True)["state_dict"]["fc.bias"][0])


def is_finished(path):
    return torch.load(path, weights_only=True)["finished"]


def epochs_recorded(files):
    return [epoch for epoch, _ in json.loads(files[LOSS_VALUES].read_text())["val loss values"]]


def epochs_in_csv(files):
    """Return [(epoch, validation loss), ...] of the file of the epochs."""
    with open(files[EPOCHS], newline="") as file:
        return [(int(row["epoch"]), float(row["val_loss"])) for row in csv.DictReader(file)]


def assert_error(result, start):
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(f"train_torchvision.py: error: {start}")


def snapshot(files):
    """Return time and content of each file, None for one that is not there."""
    return [(path.stat().st_mtime_ns, path.read_bytes()) if path.exists() else None for path in files]


def test_a_run_leaves_seven_files_with_the_weights_of_the_best_epoch_and_of_the_last(train, project, files):
    result = train([0.5, 0.4, 0.6, 0.6])
    assert (result.returncode, result.stderr) == (0, "")
    found = [*(project / "models").iterdir(), *(project / "results").iterdir()]
    assert sorted(found) == sorted(files)
    assert epoch_of_weights(files[MODEL]) == 2
    assert epoch_of_weights(files[LAST]) == 4


def test_each_epoch_is_saved_when_it_ends(train, files):
    assert train([0.5, 0.4]).returncode == 130
    assert (epoch_of_weights(files[MODEL]), epoch_of_weights(files[LAST])) == (2, 2)
    assert train([0.6], "--resume").returncode == 130
    assert (epoch_of_weights(files[MODEL]), epoch_of_weights(files[LAST])) == (2, 3)
    assert epochs_in_csv(files) == [(1, 0.5), (2, 0.4), (3, 0.6)]
    assert [path for path in files if path.exists()] == [files[MODEL], files[LAST], files[EPOCHS]]


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_the_file_of_the_epochs_grows_as_training_runs_and_is_completed_on_resume(train, files, stop):
    losses = [0.5, 0.4, 0.6, 0.3, 0.7]
    train(losses, "-num_epochs", 5)
    whole = epochs_in_csv(files)
    assert whole == list(enumerate(losses, start=1))
    assert train(losses[:stop], "-num_epochs", 5, "--overwrite").returncode == 130
    assert epochs_in_csv(files) == whole[:stop]
    # Killed before the row of its last epoch was written.
    lines = files[EPOCHS].read_text().splitlines(keepends=True)
    files[EPOCHS].write_text("".join(lines[:-1]))
    assert train(losses[stop:], "-num_epochs", 5, "--resume").returncode == 0
    assert epochs_in_csv(files) == whole


def test_a_model_says_whether_its_training_has_finished(train, files):
    train([0.5, 0.4])  # stopped
    assert is_finished(files[MODEL]) is False
    train([0.6, 0.6], "--resume")
    assert is_finished(files[MODEL]) is True
    train([0.6], "--resume", "-patience", 4)  # stopped while it trains for longer
    assert is_finished(files[MODEL]) is False
    train([0.6], "--resume", "-patience", 4)
    assert is_finished(files[MODEL]) is True
    assert epoch_of_weights(files[MODEL]) == 2
    assert is_finished(files[LAST]) is False


@pytest.mark.parametrize("index", range(7))
def test_any_file_of_an_earlier_run_is_an_error_that_names_the_ways_out(train, files, index):
    files[index].touch()
    result = train([])
    assert_error(result, f"{files[index]}: ")
    assert all(option in result.stderr for option in ("--resume", "--overwrite", "-model_save_name"))
    assert files[index].read_bytes() == b""


def test_overwrite_starts_from_scratch_and_touches_no_other_run(train, project, files):
    train([0.5, 0.4, 0.3, 0.2, 0.6, 0.6])
    others = [project / "models" / "small2.pth.tar", project / "results" / "small_sweep.csv"]
    for path in others:
        path.write_text("another")
    result = train([0.5, 0.6, 0.6], "--overwrite")
    assert (result.returncode, result.stderr) == (0, "")
    assert epochs_recorded(files) == [1, 2, 3]
    assert epoch_of_weights(files[MODEL]) == 1
    assert [path.read_text() for path in others] == ["another"] * 2


def test_overwrite_that_is_stopped_in_its_first_epoch_leaves_the_earlier_run_as_it_was(train, files):
    train([0.5, 0.6, 0.6])
    before = snapshot(files)
    assert train([], "--overwrite").returncode == 130
    assert snapshot(files) == before


def test_overwrite_that_is_stopped_later_leaves_only_the_new_run(train, files):
    train([0.5, 0.6, 0.6])
    assert train([0.7], "--overwrite").returncode == 130
    assert [path for path in files if path.exists()] == [files[MODEL], files[LAST], files[EPOCHS]]
    assert epoch_of_weights(files[MODEL]) == 1


@pytest.mark.parametrize("epochs", [0, 1])
def test_overwrite_that_was_stopped_goes_on_with_resume_too_from_its_first_epoch_or_a_later_one(train, files, epochs):
    train([0.5, 0.6, 0.6])
    other = ("--overwrite", "-seed", 2)
    assert train([0.7] * epochs, *other).returncode == 130
    result = train([0.9, 0.4, 0.6, 0.6][epochs:], *other, "--resume")
    assert result.returncode == 0
    assert ("starts again, since it cannot be continued (-seed 2: " in result.stderr) == (not epochs)
    assert ("going on after epoch 1" in result.stdout) == bool(epochs)
    assert epochs_in_csv(files) == [(1, 0.7 if epochs else 0.9), (2, 0.4), (3, 0.6), (4, 0.6)]
    assert "finished already" in train([], *other, "--resume").stdout


@pytest.mark.parametrize("damaged", [LAST, MODEL])
def test_what_is_damaged_is_an_error_for_resume_and_replaced_with_overwrite_too(train, files, damaged):
    train([0.5, 0.6] if damaged == LAST else [0.5, 0.6, 0.6])
    files[damaged].write_bytes(b"damaged")
    assert_error(train([], "--resume"), f"{files[damaged]}: ")
    result = train([0.9, 0.4, 0.6, 0.6], "--overwrite", "--resume")
    assert result.returncode == 0 and f"cannot be continued ({files[damaged]}: " in result.stderr
    assert epochs_recorded(files) == [1, 2, 3, 4] and epoch_of_weights(files[MODEL]) == 2


def test_resume_without_an_earlier_run_starts_from_scratch(train, files):
    result = train([0.5, 0.6, 0.6], "--resume")
    assert result.returncode == 0 and result.stderr.startswith("note: --resume: ") and result.stderr.count("\n") == 1
    assert epochs_recorded(files) == [1, 2, 3]
    assert "going on" not in result.stdout


def test_resume_goes_on_after_the_last_whole_epoch(train, files):
    train([0.5, 0.4])
    result = train([0.3, 0.6, 0.6], "--resume")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"going on after epoch 2 of {files[LAST]}" in result.stdout
    assert epochs_recorded(files) == [1, 2, 3, 4, 5]
    assert epoch_of_weights(files[MODEL]) == 3


def without_choice(files, name):
    """Take a choice out of the records of a training, as if it was made before that choice was there."""
    for path in files[:2]:
        checkpoint = torch.load(path, weights_only=True)
        checkpoint["options"].pop(name, None)
        torch.save(checkpoint, path)
    if files[HYPERPARAMETERS].exists():
        recorded = json.loads(files[HYPERPARAMETERS].read_text())
        del recorded[name]
        files[HYPERPARAMETERS].write_text(json.dumps(recorded))


@pytest.mark.parametrize(
    ("name", "option"), [("average flips", ["--average_flips"]), ("clip gradient", ["-clip_gradient", 1])]
)
def test_a_choice_that_is_newer_than_the_record_had_its_default(train, files, name, option):
    train([0.5, 0.4])
    without_choice(files, name)
    assert_error(train([], "--resume", *option), option[0])
    result = train([0.6, 0.6], "--resume")
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    assert epochs_recorded(files) == [1, 2, 3, 4]
    without_choice(files, name)
    before = snapshot(files)
    assert "finished already" in train([], "--resume").stdout
    assert snapshot(files) == before


@pytest.mark.parametrize(("keep", "is_known"), [("best", True), ("last", False)])
def test_a_record_without_the_kept_loss_is_finished_if_the_minimum_is_that_and_else_completed(
    train, files, keep, is_known
):
    options = ("-num_epochs", 2, "-keep", keep, "-patience", 0)
    train([0.5, 0.6], *options)
    whole = json.loads(files[HYPERPARAMETERS].read_text())
    earlier = {name: value for name, value in whole.items() if name != "kept validation loss"}
    files[HYPERPARAMETERS].write_text(json.dumps(earlier))
    assert train([], *options, "--resume").returncode == 0
    recorded = json.loads(files[HYPERPARAMETERS].read_text()) | {"command line": whole["command line"]}
    assert recorded == (earlier if is_known else whole)


def test_resume_of_a_finished_run_does_nothing(train, files):
    train([0.5, 0.6, 0.6])
    before = snapshot(files)
    result = train([], "--resume")
    assert (result.returncode, result.stderr) == (0, "")
    told, following = result.stdout.splitlines()
    assert told == f"{files[MODEL]}: finished already, after 3 epochs; nothing to do"
    assert following.startswith("next: python ") and following.endswith(f" -save {files[MODEL].name}")
    assert snapshot(files) == before


def test_more_patience_goes_on_with_a_finished_run(train, files):
    train([0.5, 0.6, 0.6])
    result = train([0.4, 0.6, 0.6, 0.6], "--resume", "-patience", 3)
    assert result.returncode == 0
    assert epochs_recorded(files) == [1, 2, 3, 4, 5, 6, 7]
    assert epoch_of_weights(files[MODEL]) == 4
    assert json.loads(files[HYPERPARAMETERS].read_text())["patience"] == 3


def test_more_epochs_go_on_with_a_finished_run(train, files):
    train([0.5, 0.4], "-num_epochs", 2)
    assert epochs_recorded(files) == [1, 2]
    assert train([0.3], "--resume", "-num_epochs", 3).returncode == 0
    assert epochs_recorded(files) == [1, 2, 3]
    assert json.loads(files[HYPERPARAMETERS].read_text())["maximum number of epochs"] == 3


@pytest.mark.parametrize("finished", [False, True])
def test_fewer_epochs_than_are_trained_already_are_an_error(train, files, finished):
    train([0.5, 0.6, 0.6] if finished else [0.5, 0.4, 0.3])
    before = snapshot(files)
    assert_error(train([], "--resume", "-num_epochs", 2), f"-num_epochs 2: {files[LAST]} has 3 epochs already; ")
    assert snapshot(files) == before
    assert train([], "--resume", "-num_epochs", 3).returncode == 0  # which ends it there


def test_a_run_that_goes_on_does_not_pass_for_finished_when_it_is_stopped(train, files):
    train([0.5, 0.6, 0.6])
    assert train([0.4], "--resume", "-patience", 3).returncode == 130
    result = train([0.6, 0.6], "--resume")
    assert result.returncode == 0
    assert epochs_recorded(files) == [1, 2, 3, 4, 5, 6]
    assert json.loads(files[HYPERPARAMETERS].read_text())["best epoch"] == 4 == epoch_of_weights(files[MODEL])


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    ("options", "said", "recorded"),
    [
        (["-batch_size", 5], "-batch_size 5", "batch size 4"),
        (["-learning_rate", 0.00100000001], "-learning_rate 0.00100000001", "learning rate 0.001"),
        (["-img_shape", 3, 32, 40], "-img_shape 3 32 40", "image shape 3 32 32"),
        (["--keep_color"], "--keep_color yes", "keep color no"),
    ],
)
def test_resume_with_other_settings_is_an_error_that_names_both(train, files, finished, options, said, recorded):
    train([0.5, 0.6, 0.6] if finished else [0.5, 0.4])
    before = snapshot(files)
    result = train([], "--resume", *options)
    assert_error(result, f"{said}: {files[HYPERPARAMETERS if finished else LAST]} was trained with {recorded}; ")
    assert snapshot(files) == before


def test_every_other_setting_is_named(train):
    train([0.5, 0.4])
    result = train([], "--resume", "-batch_size", 3, "-seed", 2)
    assert [line.split(": ")[2] for line in result.stderr.splitlines()] == ["-batch_size 3", "-seed 2"]


def test_resume_in_another_number_of_processes_is_told(train, files):
    train([0.5, 0.4])
    content = torch.load(files[LAST], weights_only=True)
    assert content["options"]["processes"] == 1
    content["options"]["processes"] = 2
    torch.save(content, files[LAST])
    assert train([0.6, 0.6], "--resume").stderr.startswith("note: 2 processes trained it up to epoch 2, and now 1: ")


def test_resume_on_another_split_is_an_error(train, project):
    train([0.5, 0.4])
    lines = (project / "csv" / "train.csv").read_text().splitlines(keepends=True)
    (project / "csv" / "train.csv").write_text("".join(lines[:-1]))
    result = train([], "--resume")
    assert_error(result, "the split files: ")


@pytest.mark.parametrize("finished", [False, True])
def test_resume_on_images_that_were_changed_in_bin_is_an_error(train, project, files, finished):
    train([0.5, 0.4, 0.6, 0.6] if finished else [0.5, 0.4])
    shutil.copy(project / "bin" / "train é1.png", project / "bin" / "train é0.png")
    assert_error(train([], "--resume"), f"the images: changed since {files[HYPERPARAMETERS if finished else LAST]} was")


def test_a_training_that_was_recorded_without_what_the_images_hold_goes_on(train, files):
    train([0.5, 0.4])
    state = torch.load(files[LAST], weights_only=True)
    del state["options"]["images fingerprint"]
    torch.save(state, files[LAST])
    assert train([0.6, 0.6], "--resume").returncode == 0


@pytest.mark.parametrize("finished", [False, True])
def test_another_positive_class_replaces_the_recorded_one_and_is_told(train, files, finished):
    train([0.5, 0.4, 0.6, 0.6] if finished else [0.5, 0.4, 0.6])
    result = train([0.6], "--resume", "-positive_class", "no")
    assert result.returncode == 0
    assert result.stderr == f"note: positive class 'no' instead of 'yes', which {files[LAST]} names\n"
    for path in files[:2]:
        assert torch.load(path, weights_only=True)["positive_class"] == "no"
    assert json.loads(files[HYPERPARAMETERS].read_text())["positive class"] == "no"
    assert (epoch_of_weights(files[MODEL]), epoch_of_weights(files[LAST])) == (2, 4)


def test_a_run_killed_between_its_last_state_and_its_model_is_repaired(train, files):
    train([0.5, 0.6])
    older = files[MODEL].read_bytes()
    train([0.4], "--resume")
    files[MODEL].write_bytes(older)  # as if it had been killed before the third epoch was copied
    assert train([0.6, 0.6], "--resume").returncode == 0
    assert epoch_of_weights(files[MODEL]) == 3


def test_a_run_killed_before_its_first_model_is_repaired(train, files):
    train([0.5])
    files[MODEL].unlink()
    assert train([0.6, 0.6], "--resume").returncode == 0
    assert epoch_of_weights(files[MODEL]) == 1


def test_a_run_killed_before_its_records_gets_them(train, files):
    train([0.5, 0.6, 0.6])
    for path in files[HYPERPARAMETERS:]:
        path.unlink()
    assert train([], "--resume").returncode == 0
    assert all(path.exists() for path in files)
    assert epochs_recorded(files) == [1, 2, 3]


def test_a_lost_model_of_an_earlier_epoch_is_an_error(train, files):
    train([0.5, 0.6])
    files[MODEL].unlink()
    result = train([], "--resume")
    assert_error(result, f"{files[MODEL]}: ")
    assert "--overwrite" in result.stderr


@pytest.mark.parametrize(("entry", "value"), [("architecture", None), ("class_names", ["other", "names"])])
def test_a_damaged_model_of_an_earlier_epoch_is_an_error(train, files, entry, value):
    train([0.5, 0.6])
    torch.save({**torch.load(files[MODEL], weights_only=True), entry: value}, files[MODEL])
    assert_error(train([0.6], "--resume"), f"{files[MODEL]}: ")


def test_a_model_that_does_not_name_its_classes_is_finished_with_those_of_the_project(train, files):
    train([0.5, 0.6])
    torch.save({**torch.load(files[MODEL], weights_only=True), "class_names": None}, files[MODEL])
    result = train([0.6], "--resume")
    assert (result.returncode, result.stderr) == (0, "")


def test_a_lost_state_to_resume_from_is_an_error(train, files):
    train([0.5, 0.6])
    files[LAST].unlink()
    result = train([], "--resume")
    assert_error(result, f"{files[LAST]}: ")
    assert "--overwrite" in result.stderr


@pytest.mark.parametrize("lacking", ["history", "optimizer", "options", "preprocessing"])
def test_a_state_that_lacks_what_is_needed_to_go_on_is_an_error(train, files, lacking):
    train([0.5, 0.6])
    torch.save({**torch.load(files[LAST], weights_only=True), lacking: None}, files[LAST])
    assert_error(train([], "--resume"), f"{files[LAST]}: ")


def test_a_full_disk_is_one_line_and_loses_no_finished_epoch(train, files, monkeypatch):
    train([0.5, 0.4])
    before = [path.read_bytes() for path in files[:2]]

    def full_disk(content, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(target))

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        result = train([0.3], "--overwrite")
        assert result.stderr.endswith("; fix this and run the same command again with --resume\n")
        result = train([0.3], "--resume")
    assert result.returncode == 2
    assert "No space left on device" in result.stderr and result.stderr.count("\n") == 1
    assert result.stderr.endswith("; fix this and run the same command again\n")
    assert [path.read_bytes() for path in files[:2]] == before
    assert len(os.listdir(files[MODEL].parent)) == 2
    assert train([0.6, 0.6], "--resume").returncode == 0
    assert epochs_recorded(files) == [1, 2, 3, 4]
