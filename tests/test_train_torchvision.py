import csv
import json
import shlex
import shutil
import signal
import sys

import numpy as np
import pytest
import torch
import torchvision
from conftest import SMALL_TRAINING, error_places
from PIL import Image
from torch.nn import functional

from pipeline.learning import checkpoints, models, training

SCRIPT = "train_torchvision.py"
# A warning would be a stray line on standard error. test_curves.py and test_whole_pipeline.py draw the curves.
pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.usefixtures("no_curves")]


@pytest.fixture
def project(draw_project, tmp_path):
    return draw_project(tmp_path / "project")


@pytest.fixture
def train(call_script):
    """Return train(project, *options): the script with small settings, of which later options replace earlier ones."""

    def run(root, *options):
        return call_script(SCRIPT, "-dir", root, *SMALL_TRAINING, "-num_epochs", 1, "-save", "new.pth.tar", *options)

    return run


def record(root, name, what):
    return json.loads((root / "results" / f"{name}_{what}.json").read_text(encoding="utf-8"))


def load(root, name):
    return torch.load(root / "models" / f"{name}.pth.tar", weights_only=True)


def assert_same_training(first, second):
    """Assert that two checkpoints hold the same weights, the same state of the optimizer and the same losses."""
    for name, weights in first["state_dict"].items():
        assert torch.equal(weights, second["state_dict"][name]), name
    if first["optimizer"]:
        for index, state in first["optimizer"]["state"].items():
            for name, value in state.items():
                assert torch.equal(value, second["optimizer"]["state"][index][name]), name
    assert [{**epoch, "seconds": 0} for epoch in first["history"]] == [
        {**epoch, "seconds": 0} for epoch in second["history"]
    ]


def test_a_run_prints_an_epoch_a_line_and_the_table_of_hyperparameters(train, project):
    result = train(project, "-num_epochs", 2)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "training shufflenet_v2_x0_5 on cpu, float32: 9 training images, 5 validation images"
    values = record(project, "new", "loss_values")
    header = lines.index("epoch      loss  accuracy  val loss  val accuracy  best")
    for epoch, line in enumerate(lines[header + 1 : header + 3], start=1):
        shown = [float(word) for word in line.split()]
        recorded = [values[name][epoch - 1][1] for name in values]
        assert shown[:-1] == pytest.approx([epoch, *(recorded[index] for index in (0, 1, 2, 3))], abs=6e-5)
        assert shown[-1] <= epoch
    rows = [tuple(cell.strip() for cell in line.strip("| ").split("|")) for line in lines if line.startswith("|")]
    assert [row for row in rows if row[0] != "hyperparameter" and not row[0].startswith("-")] == [
        ("batch size", "4"),
        ("learning rate", "0.001"),
        ("number of epochs", "2"),
        ("optimizer", "Adam"),
        ("loss", "cross-entropy"),
        ("patience", "5"),
    ]
    for ending in ("hyperparameters.json", "loss_values.json", "epochs.csv", "accuracy.png", "loss.png"):
        assert f"  {project / 'results' / f'new_{ending}'}" in lines


def test_the_records_hold_every_option_and_what_came_of_them(trained_once):
    recorded = record(trained_once, "small", "hyperparameters")
    history = load(trained_once, "small.last")["history"]
    assert recorded["training seconds"] == pytest.approx(sum(epoch["seconds"] for epoch in history), abs=1e-3)
    assert recorded["best epoch"] in (1, 2)
    assert recorded["kept epoch"] == recorded["best epoch"]
    assert recorded["minimum validation loss"] == min(epoch["val_loss"] for epoch in history)
    assert recorded["minimum validation loss"] == load(trained_once, "small")["validation_loss"]
    assert recorded["kept validation loss"] == recorded["minimum validation loss"]
    assert set(recorded["versions"]) == {"python", "torch", "torchvision"}
    expected = {
        "model name": "small",
        "architecture": "shufflenet_v2_x0_5",
        "batch size": 4,
        "learning rate": 0.001,
        "number of epochs": 2,
        "maximum number of epochs": 2,
        "optimizer": "Adam",
        "loss": "cross-entropy",
        "patience": 5,
        "image shape": [3, 32, 32],
        "keep color": False,
        "class names": ["no", "yes"],
        "positive class": "yes",
        "training images": 9,
        "validation images": 5,
        "seed": 0,
        "device": "cpu",
        "precision": "float32",
        "processes": 1,
        "weight decay": 0.0,
        "schedule": "constant",
        "label smoothing": 0.0,
        "dropout": None,
        "weights": None,
        "freeze backbone": False,
        "recipe": "published",
        "class weights": "none",
        "normalize": False,
        "augment": "none",
        "average flips": False,
        "weights kept": "best",
    }
    assert {name: recorded.get(name) for name in expected} == expected


def test_the_loss_values_are_four_lists_of_epoch_and_value_and_the_epochs_a_table(trained_once):
    values = record(trained_once, "small", "loss_values")
    history = load(trained_once, "small.last")["history"]
    keys = {
        "loss values": "loss",
        "accuracy values": "accuracy",
        "val loss values": "val_loss",
        "val accuracy values": "val_accuracy",
    }
    assert values == {name: [[1, history[0][key]], [2, history[1][key]]] for name, key in keys.items()}
    with open(trained_once / "results" / "small_epochs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: float(value) for name, value in row.items()} for row in rows] == history


def test_the_same_command_gives_the_same_numbers(train, trained):
    train(trained, "-num_epochs", 2)
    for ending in ("", ".last"):
        assert_same_training(load(trained, f"new{ending}"), load(trained, f"small{ending}"))
    train(trained, "-num_epochs", 2, "-seed", 1, "-save", "other.pth.tar")
    assert record(trained, "other", "loss_values") != record(trained, "small", "loss_values")


def test_the_first_epoch_is_that_of_a_plain_training_loop(trained_once):
    def read(partition):
        lines = (trained_once / "csv" / f"{partition}.csv").read_text(encoding="utf-8").splitlines()
        names, labels = zip(*(line.split(",") for line in lines), strict=True)
        images = [Image.open(trained_once / "bin" / name).resize((32, 32), Image.Resampling.BILINEAR) for name in names]
        pixels = torch.tensor(np.stack(images), dtype=torch.float32) / 255
        images = pixels[:, None].repeat(1, 3, 1, 1).contiguous(memory_format=torch.channels_last)
        return images, torch.tensor([int(label) for label in labels])

    # In the same memory layout: another one adds numbers up in another order, and Adam's first steps, which divide
    # gradients by their own size, make much of the last digit.
    images, labels = read("train")
    torch.manual_seed(0)
    model = torchvision.models.shufflenet_v2_x0_5(num_classes=2).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    torch.manual_seed(1)  # seed x 1000003 + epoch
    order = torch.randperm(9)
    total, correct = 0.0, 0
    for batch in (order[:4], order[4:]):  # the ninth image joins the second batch
        logits = model(images[batch])
        loss = functional.cross_entropy(logits, labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
        correct += (logits.argmax(dim=1) == labels[batch]).sum().item()
    model.eval()
    val_images, val_labels = read("val")
    with torch.no_grad():
        val_logits = model(val_images)

    values = record(trained_once, "small", "loss_values")
    assert {name: numbers[0][1] for name, numbers in values.items()} == {
        "loss values": pytest.approx(total / 9, abs=1e-5),
        "accuracy values": correct / 9,
        "val loss values": pytest.approx(functional.cross_entropy(val_logits, val_labels).item(), abs=1e-5),
        "val accuracy values": (val_logits.argmax(dim=1) == val_labels).sum().item() / 5,
    }


def test_the_strong_recipe_keeps_the_last_epoch_and_what_it_did_to_the_images(train, project):
    result = train(project, "-recipe", "strong", "-num_epochs", 3)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:3] == [
        "training shufflenet_v2_x0_5 on cpu, float32: 9 training images, 5 validation images",
        "unlike the published training: recipe strong, batch size 4, learning rate 0.002, maximum number of epochs 3, "
        "patience 0, normalize yes, augment strong, optimizer AdamW, schedule one-cycle, weight decay 0.05, "
        "label smoothing 0.1, average flips yes, weights kept last",
        f"augmented training images: {project / 'results' / 'new_augmented.png'}",
    ]
    model = load(project, "new")
    assert_same_training(model, load(project, "new.last"))
    assert model["epoch"] == 3
    recorded = record(project, "new", "hyperparameters")
    assert (recorded["kept epoch"], recorded["patience"]) == (3, 0)
    assert recorded["kept validation loss"] == load(project, "new.last")["history"][-1]["val_loss"]
    assert f"saved epoch 3 as {project / 'models' / 'new.pth.tar'}" in result.stdout
    pixels = [
        np.asarray(Image.open(path).resize((32, 32), Image.Resampling.BILINEAR)) / 255
        for path in sorted((project / "bin").glob("train*"))
    ]
    assert model["preprocessing"] == {
        "keep_color": False, "mean": [pytest.approx(np.mean(pixels))], "std": [pytest.approx(np.std(pixels))],
        "average_flips": True, "value_ranges": None,
    }  # fmt: skip
    with Image.open(project / "results" / "new_augmented.png") as picture:
        # Four labelled rows of six, the images of 32 pixels five times as large.
        assert picture.width > 6 * 160 and 4 * 160 < picture.height < 6 * 160


def test_training_in_bfloat16_saves_weights_in_float32(train, project):
    result = train(project, "-precision", "bfloat16")
    assert (result.returncode, result.stderr) == (0, "")
    assert record(project, "new", "hyperparameters")["precision"] == "bfloat16"
    assert {weights.dtype for weights in load(project, "new")["state_dict"].values()} == {torch.float32, torch.int64}


def test_grey_models_take_one_channel(train, project):
    assert train(project, "-img_shape", 1, 32, 32).stderr == ""
    checkpoint = load(project, "new")
    assert checkpoint["image_shape"] == [1, 32, 32]
    assert checkpoint["state_dict"]["conv1.0.weight"].shape[1] == 1


def test_colour_that_is_dropped_is_told_and_kept_where_asked_for(train, draw_project, tmp_path):
    project = draw_project(tmp_path / "project", mode="RGB")
    Image.new("L", (20, 20)).save(project / "bin" / "train é0.png")
    told = train(project).stderr
    assert "note: 8 of 9 training images show colour" in told and "--keep_color" in told
    assert train(project, "--keep_color", "-save", "color.pth.tar").stderr.count("colour") == 0
    assert load(project, "new")["preprocessing"]["keep_color"] is False
    assert load(project, "color")["preprocessing"]["keep_color"] is True
    assert record(project, "new", "loss_values") != record(project, "color", "loss_values")


def test_split_files_with_no_other_table_beside_them_suffice(train, project):
    (project / "csv" / "classes.csv").unlink()
    (project / "models").rmdir()
    (project / "results").rmdir()
    assert train(project).returncode == 0
    assert load(project, "new")["class_names"] == ["0", "1"]


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (["-img_shape", 3, 32], "-img_shape"),
        (["-batch_size", 0], "-batch_size"),
        (["-learning_rate", 1e30], "epoch 1"),
        (["-dropout", 1], "-dropout"),
        (["-augment", "light"], "-augment"),
        (["-save", "../model.pth.tar"], "-model_save_name ../model.pth.tar"),
    ],
)
def test_an_impossible_request_is_named(train, project, options, place):
    assert error_places(train(project, *options)) == [place]
    assert not any((project / "models").iterdir())


def test_overwrite_with_a_model_that_cannot_be_trained_leaves_the_earlier_one(train, trained, contents):
    before = contents(trained)
    too_small = ("-architecture", "vit_b_16", "-img_shape", 3, 40, 40)
    for impossible, place in ((("-batch_size", 1), "-batch_size"), (too_small, "-img_shape 3 40 40")):
        assert error_places(train(trained, "-save", "small.pth.tar", "--overwrite", *impossible)) == [place]
        assert contents(trained) == before


def test_batches_of_one_image_train_a_model_without_batch_normalization(train, project):
    result = train(project, "-architecture", "squeezenet1_1", "-batch_size", 1)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_folder_that_is_not_organized_yet_or_not_there_is_an_error(train, project):
    (project / "bin").rename(project / "scans")
    assert error_places(train(project)) == [str(project)]
    assert error_places(train(project / "nowhere")) == [str(project / "nowhere")]


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(train, project):
    assert error_places(train(project, "--use_GPU")) == ["--use_GPU"]


def test_training_that_is_stopped_by_a_signal_can_go_on(train, call_script, project, monkeypatch):
    whole_evaluation, calls = training.evaluate, []

    def stopped_evaluation(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGTERM)
        return whole_evaluation(*arguments)

    monkeypatch.setattr(sys, "argv", ["some folder/train_torchvision.py"])
    with monkeypatch.context() as patch:
        patch.setattr(training, "evaluate", stopped_evaluation)
        stopped = train(project, "-num_epochs", 4, "-save", "stopped.pth.tar", "--overwrite")
    assert stopped.returncode == 143
    assert stopped.stderr.startswith(f"\n{SCRIPT}: stopped; to go on: python 'some folder/train_torchvision.py' -dir ")
    command = shlex.split(stopped.stderr.partition("to go on: ")[2])
    assert command[-1] == "--resume"
    assert load(project, "stopped.last")["epoch"] == 2
    assert load(project, "stopped")["finished"] is False
    epochs = project / "results" / "stopped_epochs.csv"
    assert len(epochs.read_text().splitlines()) == 1 + 2  # written while training runs

    resumed = call_script(SCRIPT, *command[2:])
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert f"going on after epoch 2 of {project / 'models' / 'stopped.last.pth.tar'}" in resumed.stdout
    train(project, "-num_epochs", 4)
    assert_same_training(load(project, "stopped.last"), load(project, "new.last"))
    assert load(project, "stopped")["finished"] is True
    rows, unbroken = (
        [row.rpartition(",")[0] for row in path.read_text().splitlines()]  # all but the seconds
        for path in (epochs, epochs.with_name("new_epochs.csv"))
    )
    assert rows == unbroken


def test_a_checkpoint_says_its_dropout_and_is_rebuilt_with_it(train, trained):
    assert train(trained, "-dropout", 0.3).returncode == 0
    checkpoint = checkpoints.load(trained / "models" / "new.pth.tar")
    assert checkpoint.dropout == 0.3
    (layer,) = models.dropout_layers(checkpoint.build_model())
    assert layer.p == 0.3
    assert load(trained, "small")["dropout"] is None
    # It acts in training.
    with_dropout, without = (record(trained, name, "loss_values")["loss values"][0] for name in ("new", "small"))
    assert with_dropout != without


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("new_augmented.png", ("-augment", "strong")),
        ("new_sweep.png", ("-learning_rate", 0.01, 0.001)),
        ("new_sweep.csv", ("-learning_rate", 0.01, 0.001)),
        # Of a run of a sweep, whose model is gone.
        ("new_shufflenet_v2_x0_5_b4_lr0.01_loss_values.json", ("-learning_rate", 0.01, 0.001)),
    ],
)
def test_what_no_training_here_has_written_is_not_replaced_unasked(train, project, name, options):
    path = project / "results" / name
    path.write_text("the user's", encoding="utf-8")
    result = train(project, *options)
    assert result.returncode == 2 and result.stderr.startswith(f"{SCRIPT}: error: {path}: ")
    assert path.read_text(encoding="utf-8") == "the user's"
    assert not list((project / "models").iterdir())


def test_what_is_wrong_with_the_split_of_any_fold_is_told_before_the_first_is_trained(train, project):
    for fold in ("fold_0", "fold_1"):
        (project / "csv" / fold).mkdir()
        for table in ("train.csv", "val.csv", "test.csv"):
            shutil.copy(project / "csv" / table, project / "csv" / fold)
    (project / "csv" / "fold_1" / "val.csv").write_text("")
    result = train(project, "-fold", "all")
    assert result.returncode == 2 and f"{project / 'csv' / 'fold_1' / 'val.csv'}: holds no images" in result.stderr
    assert not list((project / "models").iterdir())
