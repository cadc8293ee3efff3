import csv
import json

import pytest
from conftest import SMALL_TRAINING
from PIL import Image

from pipeline import plots
from pipeline.learning import sweep
from pipeline.learning.recipes import Recipe

pytestmark = pytest.mark.filterwarnings("error")

COLUMNS = [
    "model name", "architecture", "batch size", "learning rate", "minimum validation loss", "best epoch",
    "number of epochs", "training seconds",
]  # fmt: skip
ENDINGS = {"hyperparameters.json", "loss_values.json", "accuracy.png", "loss.png"}


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    # Drawing takes longer than all else here; test_plots.py and test_whole_pipeline.py have the real ones.
    monkeypatch.setattr(plots, "draw_curves", lambda path, *arguments: path.write_text("drawn"))


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def finished_run(name, loss, **others):
    values = dict(zip(COLUMNS, [name, "resnet18", 25, 0.001, loss, 3, 8, 12.5], strict=True))
    return {**values, **others, "optimizer": "Adam"}


@pytest.fixture
def train(call_script):
    def run(project, *options):
        return call_script("train_torchvision.py", "-dir", project, *SMALL_TRAINING, "-num_epochs", 1, *options)

    return run


@pytest.fixture
def project(draw_project, tmp_path):
    return draw_project(tmp_path / "project")


def test_the_grid_is_every_combination_once_in_the_order_given():
    assert sweep.grid(["b", "a"], [8, 4], [0.1]) == [("b", 8, 0.1), ("b", 4, 0.1), ("a", 8, 0.1), ("a", 4, 0.1)]
    assert sweep.grid(["a", "a"], [8], [0.1, 1e-1]) == [("a", 8, 0.1)]


@pytest.mark.parametrize(
    ("rate", "name"),
    [(0.001, "m_vgg11_b8_lr0.001"), (1e-5, "m_vgg11_b8_lr1e-05"), (0.1, "m_vgg11_b8_lr0.1"), (1.0, "m_vgg11_b8_lr1")],
)
def test_a_run_is_named_after_its_combination(rate, name):
    assert sweep.run_name("m", "vgg11", Recipe(batch_size=8, learning_rate=rate)) == name


def test_the_report_is_sorted_by_minimum_validation_loss(tmp_path, capsys):
    runs = [finished_run("c", 0.5), finished_run("a", 0.25), finished_run("b", 0.3, **{"batch size": 8})]
    sweep.report(tmp_path, "m", runs)
    with open(tmp_path / "m_sweep.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == COLUMNS
    assert rows == [
        ["a", "resnet18", "25", "0.001", "0.25", "3", "8", "12.5"],
        ["b", "resnet18", "8", "0.001", "0.3", "3", "8", "12.5"],
        ["c", "resnet18", "25", "0.001", "0.5", "3", "8", "12.5"],
    ]
    with Image.open(tmp_path / "m_sweep.png") as picture:
        assert picture.format == "PNG"
    output = capsys.readouterr().out
    shown = [line.split("|")[1].strip() for line in output.splitlines() if line.startswith("|")]
    assert shown[2:] == ["a", "b", "c"]
    assert f"wrote {tmp_path / 'm_sweep.csv'} and {tmp_path / 'm_sweep.png'}" in output


def test_a_sweep_trains_each_combination_under_its_own_name_and_skips_what_is_finished(train, project):
    several = ("-architecture", "shufflenet_v2_x0_5", "squeezenet1_1", "-batch_size", 4, 9, "-save", "m.pth.tar")
    names = [f"m_{net}_b{size}_lr0.001" for net in ("shufflenet_v2_x0_5", "squeezenet1_1") for size in (4, 9)]
    first = train(project, *several)
    assert (first.returncode, first.stderr) == (0, "")
    assert [line for line in first.stdout.splitlines() if line.startswith("run ")] == [
        f"run {number} of 4: {name}" for number, name in enumerate(names, start=1)
    ]
    models = {path.name: path.stat().st_mtime_ns for path in (project / "models").iterdir()}
    assert set(models) == {f"{name}{suffix}" for name in names for suffix in (".pth.tar", ".last.pth.tar")}
    records = {f"{name}_{ending}" for name in names for ending in ENDINGS}
    assert {path.name for path in (project / "results").iterdir()} == records | {"m_sweep.csv", "m_sweep.png"}

    rows = read_rows(project / "results" / "m_sweep.csv")
    assert list(rows[0]) == COLUMNS
    assert sorted(row["model name"] for row in rows) == sorted(names)
    losses = [float(row["minimum validation loss"]) for row in rows]
    assert losses == sorted(losses)
    for row in rows:
        recorded = json.loads((project / "results" / f"{row['model name']}_hyperparameters.json").read_text())
        assert row == {column: str(recorded[column]) for column in COLUMNS}

    second = train(project, *several)
    assert (second.returncode, second.stderr) == (0, "")
    assert [line for line in second.stdout.splitlines() if "finished already" in line] == [
        f"{project / 'models' / f'{name}.pth.tar'}: finished already, after 1 epochs; nothing to do" for name in names
    ]
    assert {path.name: path.stat().st_mtime_ns for path in (project / "models").iterdir()} == models
    assert read_rows(project / "results" / "m_sweep.csv") == rows
    assert f"replaced {project / 'results' / 'm_sweep.csv'} and " in second.stdout


def test_a_sweep_goes_on_after_a_run_that_fails_and_names_it_at_the_end(train, project):
    # At 40 x 40 pixels vit_b_16 cannot be built, and no model stands a learning rate of 1e30.
    options = (
        "-architecture",
        "vit_b_16",
        "shufflenet_v2_x0_5",
        "-learning_rate",
        1e30,
        0.001,
        "-img_shape",
        3,
        40,
        40,
    )
    result = train(project, *options)
    assert result.returncode == 2
    size = "-img_shape 3 40 40: vit_b_16 cannot take images of this size; 3 32 32 works"
    assert result.stderr.splitlines() == [
        f"train_torchvision.py: error: sweep_vit_b_16_b4_lr1e+30: {size}",
        f"train_torchvision.py: error: sweep_vit_b_16_b4_lr0.001: {size}",
        "train_torchvision.py: error: sweep_shufflenet_v2_x0_5_b4_lr1e+30: "
        "epoch 1, step 2: the training loss is nan; try a smaller -learning_rate",
    ]
    assert [row["model name"] for row in read_rows(project / "results" / "sweep_sweep.csv")] == [
        "sweep_shufflenet_v2_x0_5_b4_lr0.001"
    ]
    assert {path.name for path in (project / "models").iterdir()} == {
        "sweep_shufflenet_v2_x0_5_b4_lr0.001.pth.tar",
        "sweep_shufflenet_v2_x0_5_b4_lr0.001.last.pth.tar",
    }


def test_a_sweep_in_which_every_run_fails_writes_no_table(train, project):
    result = train(project, "-learning_rate", 1e30, 1e31)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 2
    assert not any((project / "results").iterdir())
