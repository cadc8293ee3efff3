import csv
import json

import numpy as np
import pytest
import torch
from conftest import SMALL_TRAINING
from matplotlib.colors import to_hex
from PIL import Image

from pipeline import plots
from pipeline.learning import curves, sweep
from pipeline.learning.config import TrainingConfig
from pipeline.project import Project

pytestmark = pytest.mark.filterwarnings("error")

COLUMNS = [
    "model name", "architecture", "batch size", "learning rate", "minimum validation loss", "best epoch",
    "number of epochs", "training seconds",
]  # fmt: skip
ENDINGS = {"hyperparameters.json", "loss_values.json", "epochs.csv", "accuracy.png", "loss.png"}


@pytest.fixture(autouse=True)
def no_curves(monkeypatch):
    # Drawing takes longer than all else here; test_curves.py and test_whole_pipeline.py have the real ones.
    monkeypatch.setattr(curves, "draw_curves", lambda path, *arguments: path.write_text("drawn"))


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


@pytest.mark.parametrize(
    ("rate", "name"),
    [(0.001, "m_vgg11_b8_lr0.001"), (1e-5, "m_vgg11_b8_lr1e-05"), (0.1, "m_vgg11_b8_lr0.1"), (1.0, "m_vgg11_b8_lr1")],
)
def test_a_run_is_named_after_its_combination(rate, name):
    assert sweep.run_name("m", TrainingConfig(architecture="vgg11", batch_size=8, learning_rate=rate)) == name


def test_what_options_mean_is_resolved_before_runs_are_named_and_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chosen = {"architecture": ["vgg", "VGG11_bn"], "weights": "a.pth", "precision": "float32"}
    (config,) = sweep.configurations(chosen, torch.device("cpu"))
    assert (config.architecture, config.weights) == ("vgg11_bn", str(tmp_path / "a.pth"))
    (imagenet,) = sweep.configurations({"weights": "imagenet"}, torch.device("cpu"))
    assert imagenet.weights == "imagenet"
    assert imagenet.precision in ("float32", "bfloat16")


def test_a_run_is_planned_for_each_fold_and_configuration(project):
    one, other = TrainingConfig(), TrainingConfig(batch_size=8)

    def names(configs, folds, file_name=None):
        name, runs = sweep.plan_runs(Project(project), configs, folds, file_name)
        return name, [(run.name, run.fold, run.config) for run in runs]

    assert names([one], [None]) == ("resnet18", [("resnet18", None, one)])
    assert names([one], [0, 1], "m.pth.tar") == ("m", [("m_fold_0", 0, one), ("m_fold_1", 1, one)])
    assert names([one, other], [0]) == (
        "sweep",
        [("sweep_resnet18_b25_lr0.001_fold_0", 0, one), ("sweep_resnet18_b8_lr0.001_fold_0", 0, other)],
    )


def test_the_report_is_sorted_by_minimum_validation_loss(tmp_path, capsys):
    runs = [finished_run("c", 0.5), finished_run("a", 0.25), finished_run("b", 0.3, **{"batch size": 8})]
    sweep.print_table(runs)
    sweep.write_report(tmp_path, "m", runs)
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
        "-architecture", "vit_b_16", "shufflenet_v2_x0_5", "-learning_rate", 1e30, 0.001, "-img_shape", 3, 40, 40
    )  # fmt: skip
    result = train(project, *options)
    assert result.returncode == 2
    reasons = [
        ("sweep_vit_b_16_b4_lr1e+30", "-img_shape 3 40 40: "),
        ("sweep_vit_b_16_b4_lr0.001", "-img_shape 3 40 40: "),
        ("sweep_shufflenet_v2_x0_5_b4_lr1e+30", "epoch 1: "),
    ]
    for line, (name, reason) in zip(result.stderr.splitlines(), reasons, strict=True):
        assert line.startswith(f"train_torchvision.py: error: {name}: {reason}")
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


def runs_of(*combinations):
    names = ("architecture", "batch size", "learning rate", "minimum validation loss")
    return [dict(zip(names, combination, strict=True)) for combination in combinations]


RUNS = runs_of(
    ("resnet18", 8, 0.001, 0.4),
    ("resnet18", 25, 0.001, 0.3),
    ("resnet18", 25, 1e-5, 0.6),
    ("vgg11_bn", 8, 0.001, 0.5),
    ("vgg11_bn", 25, 1e-5, 0.7),
)


@pytest.mark.parametrize("runs", [RUNS[:1], runs_of(*((f"net{number}", 8, 0.1, 0.5) for number in range(10)))])
def test_the_plot_is_a_picture_of_a_size_to_read(tmp_path, runs):
    sweep.draw_sweep(tmp_path / "é.png", runs)
    with Image.open(tmp_path / "é.png") as image:
        assert 600 <= image.width <= 1600 and 500 <= image.height <= 1600
        assert len(image.convert("L").getcolors()) > 10  # more than an empty page


def test_the_plot_has_batch_size_learning_rate_and_loss_with_one_colour_an_architecture(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))
    sweep.draw_sweep("unused.png", RUNS)
    (axes,) = figures[0].axes
    assert [axes.get_xlabel(), axes.get_zlabel()] == ["batch size", "minimum validation loss"]
    assert axes.get_ylabel().startswith("learning rate")
    shown = {}
    for points in axes.collections:
        shown[points.get_label()] = (np.column_stack(points._offsets3d).tolist(), to_hex(points.get_facecolor()[0]))
    expected = {
        name: [
            [run["batch size"], pytest.approx(np.log10(run["learning rate"])), run["minimum validation loss"]]
            for run in RUNS
            if run["architecture"] == name
        ]
        for name in ("resnet18", "vgg11_bn")
    }
    assert {name: points for name, (points, _) in shown.items()} == expected
    assert len({color for _, color in shown.values()}) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["resnet18", "vgg11_bn"]
    # Each batch size and learning rate that was tried is named.
    assert axes.get_xticks().tolist() == [8, 25]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1e-05", "0.001"]
    assert axes.get_yticks().tolist() == pytest.approx([-5, -3])
    assert axes.get_zlim()[0] == 0
