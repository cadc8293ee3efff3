import csv
import json
import math

import numpy as np
import pytest
import torch
from conftest import SMALL_TRAINING
from matplotlib.colors import to_hex
from PIL import Image

from pipeline import plots
from pipeline.learning import config, planning, sweep
from pipeline.learning.config import TrainingConfig
from pipeline.learning.runs import Run
from pipeline.project import Project

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.usefixtures("no_curves")]

COLUMNS = [
    "model name", "architecture", "batch size", "learning rate", "kept validation loss", "minimum validation loss",
    "best epoch", "number of epochs", "training seconds",
]  # fmt: skip
ENDINGS = {"hyperparameters.json", "loss_values.json", "epochs.csv", "accuracy.png", "loss.png"}


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def finished_run(name, loss, **others):
    values = dict(zip(COLUMNS, [name, "resnet18", 25, 0.001, loss, loss, 3, 8, 12.5], strict=True))
    return {**values, "recipe": "published", "fold": None, **others, "optimizer": "Adam"}


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
    [
        (0.001, "m_vgg11_b8_lr0.001"),
        (1e-5, "m_vgg11_b8_lr1e-05"),
        (0.1, "m_vgg11_b8_lr0.1"),
        (1.0, "m_vgg11_b8_lr1"),
        (0.00100000001, "m_vgg11_b8_lr0.00100000001"),
        (10.0, "m_vgg11_b8_lr10"),
    ],
)
def test_a_run_is_named_after_its_combination(rate, name):
    assert planning.run_name("m", TrainingConfig(architecture="vgg11", batch_size=8, learning_rate=rate)) == name


def test_what_options_mean_is_resolved_before_runs_are_named_and_compared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pth").touch()
    (one,) = config.grid({"architecture": ["vgg", "VGG11_bn"], "weights": "a.pth"})
    assert (one.architecture, one.weights) == ("vgg11_bn", str(tmp_path / "a.pth"))
    (imagenet,) = config.grid({"weights": "imagenet"})
    assert imagenet.weights == "imagenet"
    planned = planning.PlannedRun(Project(tmp_path), "m", imagenet)
    assert Run.on(planned, torch.device("cpu")).config.precision in ("float32", "bfloat16")


def test_a_run_is_planned_for_each_fold_and_configuration(project):
    one, other = TrainingConfig(), TrainingConfig(batch_size=8)

    def names(configs, folds, file_name=None):
        name, runs = planning.plan_runs(Project(project), configs, folds, file_name)
        return name, [(run.name, run.fold, run.config) for run in runs]

    assert names([one], [None]) == ("resnet18", [("resnet18", None, one)])
    assert names([one], [0, 1], "m.pth.tar") == ("m", [("m_fold_0", 0, one), ("m_fold_1", 1, one)])
    assert names([one, other], [0]) == (
        "sweep",
        [("sweep_resnet18_b25_lr0.001_fold_0", 0, one), ("sweep_resnet18_b8_lr0.001_fold_0", 0, other)],
    )


def test_values_that_differ_in_any_digit_are_runs_of_different_names(project):
    rates = [0.001, math.nextafter(0.001, 1), 0.00100000001, 0.001]
    _, runs = planning.plan_runs(Project(project), config.grid({"learning_rate": rates}), [None], "m")
    names = [f"m_resnet18_b25_lr{rate}" for rate in ("0.001", "0.0010000000000000002", "0.00100000001")]
    assert [(run.name, run.config.learning_rate) for run in runs] == list(zip(names, rates[:3], strict=True))


def test_the_report_is_sorted_by_validation_loss(tmp_path, capsys):
    runs = [finished_run("c", 0.5), finished_run("a", 0.25), finished_run("b", 0.3, **{"batch size": 8})]
    sweep.print_table(runs)
    sweep.write_report(tmp_path, "m", runs)
    with open(tmp_path / "m_sweep.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == COLUMNS
    assert rows == [
        ["a", "resnet18", "25", "0.001", "0.25", "0.25", "3", "8", "12.5"],
        ["b", "resnet18", "8", "0.001", "0.3", "0.3", "3", "8", "12.5"],
        ["c", "resnet18", "25", "0.001", "0.5", "0.5", "3", "8", "12.5"],
    ]
    with Image.open(tmp_path / "m_sweep.png") as picture:
        assert picture.format == "PNG"
    output = capsys.readouterr().out
    shown = [line.split("|")[1].strip() for line in output.splitlines() if line.startswith("|")]
    assert shown[2:] == ["a", "b", "c"]
    assert f"wrote {tmp_path / 'm_sweep.csv'} and {tmp_path / 'm_sweep.png'}" in output


def test_runs_are_ranked_by_the_loss_of_the_weights_that_are_kept(tmp_path, axes_of, capsys):
    """A recipe that keeps the last epoch of many is not ranked by the lowest loss that one of them had."""
    last = finished_run("last", 0.4, recipe="strong", **{"minimum validation loss": 0.2})
    runs = [last, finished_run("best", 0.3)]
    assert [setting["model name"] for setting in sweep.settings_of(runs)] == ["best", "last"]
    sweep.print_table(runs)
    header, rows = table_of(capsys.readouterr().out)
    shown = [[row[header.index(name)] for name in ("kept validation loss", "minimum validation loss")] for row in rows]
    assert shown == [["0.3000", "0.3000"], ["0.4000", "0.2000"]]
    axes, _ = axes_of(lambda _, runs: sweep.write_report(tmp_path, "m", runs), runs)
    assert axes.get_ylabel() == "kept validation loss" and axes.get_title(loc="left").endswith("0.3")
    assert [row["model name"] for row in read_rows(tmp_path / "m_sweep.csv")] == ["best", "last"]


def run_of_fold(setting, fold, loss, **others):
    return finished_run(f"{setting}_fold_{fold}", loss, fold=fold, **others)


SETTINGS = [
    run_of_fold("a", 0, 0.1),
    run_of_fold("a", 1, 0.8),
    run_of_fold("b", 0, 0.3, **{"learning rate": 0.01}),
    run_of_fold("b", 1, 0.5, **{"learning rate": 0.01}),
    run_of_fold("c", 0, 0.05, **{"batch size": None, "learning rate": None}),
]


def table_of(text):
    """Return the rows of the only table in a text as lists of cells."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return header, rows


def test_with_folds_settings_are_ranked_by_their_mean_and_those_that_lack_a_fold_last(tmp_path, capsys, axes_of):
    sweep.print_table(SETTINGS)
    output = capsys.readouterr().out
    header, rows = table_of(output)
    assert "mean over 2 folds" in output
    shown = [[row[header.index(name)] for name in ("model name", "minimum validation loss", "folds")] for row in rows]
    assert shown == [["b", "0.4000", "2"], ["a", "0.4500", "2"], ["c", "0.0500", "1"]]
    assert [row[header.index("learning rate")] for row in rows] == ["0.01", "0.001", ""]
    axes, _ = axes_of(lambda _, runs: sweep.write_report(tmp_path, "m", runs), SETTINGS)
    assert axes.get_ylabel().endswith("mean over 2 folds") and axes.get_title(loc="left").endswith("0.4")
    written = [(row["model name"], row["fold"], row["mean over folds"]) for row in read_rows(tmp_path / "m_sweep.csv")]
    assert written == [
        ("b_fold_0", "0", "0.4"), ("b_fold_1", "1", "0.4"), ("a_fold_0", "0", "0.45"), ("a_fold_1", "1", "0.45"),
        ("c_fold_0", "0", "0.05"),
    ]  # fmt: skip


def test_the_folds_of_one_setting_stand_in_their_order_and_without_columns_that_say_nothing(capsys):
    nothing = {"batch size": None, "learning rate": None}
    sweep.print_table([run_of_fold("t", fold, loss, **nothing) for fold, loss in ((0, 0.4), (1, 0.2))])
    output = capsys.readouterr().out
    header, rows = table_of(output)
    assert [row[0] for row in rows] == ["t_fold_0", "t_fold_1"]
    assert not {*nothing, "best epoch", "number of epochs"} & set(header) and "None" not in output


def test_a_sweep_of_which_one_run_is_finished_has_no_folds(capsys):
    sweep.print_table([run_of_fold("t", None, 0.4)])
    assert capsys.readouterr().out.startswith("\nRuns, lowest validation loss first\n")


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
    # Chosen on validation images, so that the test images are asked once.
    assert first.stdout.splitlines()[-1].endswith(f" -save {rows[0]['model name']}.pth.tar")
    for row in rows:
        recorded = json.loads((project / "results" / f"{row['model name']}_hyperparameters.json").read_text())
        assert row == {column: str(recorded[column]) for column in COLUMNS}

    # A record that was written before the option was added.
    record = project / "results" / f"{names[0]}_hyperparameters.json"
    recorded = json.loads(record.read_text())
    assert recorded.pop("recipe") == "published"
    record.write_text(json.dumps(recorded))
    picture = (project / "results" / "m_sweep.png").read_bytes()
    second = train(project, *several, "--sweep_3d")
    assert (second.returncode, second.stderr) == (0, "")
    assert [line for line in second.stdout.splitlines() if "finished already" in line] == [
        f"{project / 'models' / f'{name}.pth.tar'}: finished already, after 1 epoch; nothing to do" for name in names
    ]
    assert {path.name: path.stat().st_mtime_ns for path in (project / "models").iterdir()} == models
    assert read_rows(project / "results" / "m_sweep.csv") == rows
    assert (project / "results" / "m_sweep.png").read_bytes() != picture
    useless = train(project, "-architecture", "shufflenet_v2_x0_5", "-save", "other.pth.tar", "--sweep_3d")
    assert useless.returncode == 2 and useless.stderr.startswith("train_torchvision.py: error: --sweep_3d: ")
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
    names = ("series", "batch size", "learning rate", sweep.LOSS)
    runs = [dict(zip(names, combination, strict=True), folds=1) for combination in combinations]
    return [run | {sweep.LOWEST: run[sweep.LOSS]} for run in runs]


RUNS = runs_of(
    ("resnet18", 8, 0.001, 0.4),
    ("resnet18", 25, 0.001, 0.3),
    ("resnet18", 25, 1e-5, 0.6),
    ("vgg11_bn", 8, 0.001, 0.5),
    ("vgg11_bn", 25, 1e-5, 0.7),
)


(FITTED,) = runs_of(("net", None, None, 0.2))


@pytest.mark.parametrize("draw", [sweep.draw_sweep, sweep.draw_sweep_in_3d])
@pytest.mark.parametrize(
    "runs", [RUNS[:1], runs_of(*((f"net{number}", 8, 0.1, 0.5) for number in range(10))), [*RUNS, FITTED]]
)
def test_the_plot_is_a_picture_of_a_size_to_read(tmp_path, draw, runs):
    draw(tmp_path / "é.png", runs)
    with Image.open(tmp_path / "é.png") as image:
        assert 600 <= image.width <= 1600 and 500 <= image.height <= 1600
        assert len(image.convert("L").getcolors()) > 10  # more than an empty page


@pytest.fixture
def axes_of(monkeypatch):
    """Return draw(function, runs): the axes and the figure that it draws."""
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))

    def draw(function, runs):
        function("unused.png", runs)
        (axes,) = figures[-1].axes
        return axes, figures[-1]

    return draw


def test_the_plot_has_the_loss_over_the_rate_with_a_colour_an_architecture_and_a_marker_a_batch_size(axes_of):
    axes, figure = axes_of(sweep.draw_sweep, [*RUNS, FITTED])
    points = [line for line in axes.get_lines() if line.get_marker() != "None"]
    for run, point in zip(RUNS, points, strict=True):
        ((x, y),) = point.get_xydata()
        assert y == run[sweep.LOSS]
        assert abs(np.log(x / run["learning rate"])) < np.log(100) / 5  # beside its rate, far from the next one
    assert len({tuple(point.get_xydata()[0]) for point in points}) == len(RUNS)
    looks = {(run["series"], run["batch size"]): (to_hex(point.get_color()), point.get_marker())
             for run, point in zip(RUNS, points, strict=True)}  # fmt: skip
    colors = {architecture: color for (architecture, _), (color, _) in looks.items()}
    markers = {size: marker for (_, size), (_, marker) in looks.items()}
    assert looks == {(name, size): (colors[name], markers[size]) for name, size in looks}
    assert len(set(colors.values())) == len(set(markers.values())) == 2
    # Each rate that was tried is named, without an exponent.
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.00001", "0.001"]
    assert axes.get_title(loc="left") == "Sweep, lowest loss: net, 0.2"
    assert [text.get_text().split("\n")[0] for text in figure.legends[0].get_texts()] == [
        "resnet18", "vgg11_bn", "net", "batch size 8", "batch size 25", "last layer fitted,",
    ]  # fmt: skip


@pytest.mark.parametrize("in_3d", [False, True])
def test_each_of_several_recipes_has_a_colour_of_its_own(tmp_path, axes_of, in_3d):
    runs = [finished_run(recipe, 0.3, recipe=recipe) for recipe in ("strong", "published")]
    axes, figure = axes_of(lambda _, runs: sweep.write_report(tmp_path, "m", runs, in_3d), runs)
    shown = axes.get_legend() if in_3d else figure.legends[0]
    assert [text.get_text() for text in shown.get_texts()][:2] == ["strong, resnet18", "published, resnet18"]
    points = axes.collections if in_3d else [line for line in axes.get_lines() if line.get_marker() != "None"]
    colors = [to_hex(point.get_facecolor()[0] if in_3d else point.get_color()) for point in points]
    assert len(colors) == len(set(colors)) == 2
    if not in_3d:
        assert axes.get_title(loc="left") == "Sweep, lowest loss: strong, resnet18, 0.3"
        assert len({tuple(point.get_xydata()[0]) for point in points}) == 2


def test_in_three_dimensions_the_plot_is_the_published_one(axes_of):
    axes, _ = axes_of(sweep.draw_sweep_in_3d, RUNS)
    assert [axes.get_xlabel(), axes.get_zlabel()] == ["batch size", "minimum validation loss"]
    assert axes.get_ylabel().startswith("learning rate")
    shown = {}
    for points in axes.collections:
        shown[points.get_label()] = (np.column_stack(points._offsets3d).tolist(), to_hex(points.get_facecolor()[0]))
    expected = {
        name: [
            [run["batch size"], pytest.approx(np.log10(run["learning rate"])), run[sweep.LOSS]]
            for run in RUNS
            if run["series"] == name
        ]
        for name in ("resnet18", "vgg11_bn")
    }
    assert {name: points for name, (points, _) in shown.items()} == expected
    assert len({color for _, color in shown.values()}) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["resnet18", "vgg11_bn"]
    # Each batch size and learning rate that was tried is named.
    assert axes.get_xticks().tolist() == [8, 25]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.00001", "0.001"]
    assert axes.get_yticks().tolist() == pytest.approx([-5, -3])
    assert axes.get_zlim()[0] == 0
