import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from pipeline import plots
from pipeline.learning.curves import draw_curves
from pipeline.learning.sweep import draw_sweep

# A warning would be a stray line on standard error.
pytestmark = pytest.mark.filterwarnings("error")


def history_of(val_losses):
    return [
        {"epoch": number, "loss": 0.5, "accuracy": 0.6, "val_loss": loss, "val_accuracy": 0.7 + number / 100}
        for number, loss in enumerate(val_losses, start=1)
    ]


def sweep_of(*combinations):
    names = ("architecture", "batch size", "learning rate", "minimum validation loss")
    return [dict(zip(names, combination, strict=True)) for combination in combinations]


RUNS = sweep_of(
    ("resnet18", 8, 0.001, 0.4),
    ("resnet18", 25, 0.001, 0.3),
    ("resnet18", 25, 1e-5, 0.6),
    ("vgg11_bn", 8, 0.001, 0.5),
    ("vgg11_bn", 25, 1e-5, 0.7),
)


@pytest.fixture
def drawn(monkeypatch):
    """Return draw(function, *arguments): the figure's one pair of axes, instead of a file."""
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))

    def draw(function, *arguments):
        function("unused.png", *arguments)
        (axes,) = figures[-1].axes
        return axes

    return draw


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (draw_curves, (history_of([0.6, 0.5, 0.55]), "loss", "cross-entropy loss")),
        (draw_curves, (history_of([0.6]), "accuracy", "accuracy")),
        (draw_curves, (history_of([0.5] * 256), "loss", "cross-entropy loss")),
        (draw_curves, (history_of([1e6, 0.5]), "loss", "cross-entropy loss")),
        (draw_sweep, (RUNS,)),
        (draw_sweep, (RUNS[:1],)),
        (draw_sweep, (sweep_of(*((f"net{number}", 8, 0.1, 0.5) for number in range(10))),)),
    ],
)
def test_the_file_is_a_picture_of_a_size_to_read(tmp_path, function, arguments):
    path = tmp_path / "é.png"
    function(path, *arguments)
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert 600 <= image.width <= 1600 and 500 <= image.height <= 1600
        assert len(image.convert("L").getcolors()) > 10  # more than an empty page
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("quantity", ["loss", "accuracy"])
def test_the_curves_show_both_sets_and_mark_the_best_epoch(drawn, quantity):
    history = history_of([0.6, 0.4, 0.3, 0.35, 0.3])
    axes = drawn(draw_curves, history, quantity, "some label")
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert lines["training"] == [[epoch["epoch"], epoch[quantity]] for epoch in history]
    assert lines["validation"] == [[epoch["epoch"], epoch[f"val_{quantity}"]] for epoch in history]
    (label,) = [label for label in lines if label.startswith("best epoch (3): ")]
    assert lines[label] == [[3, history[2][f"val_{quantity}"]]]
    assert label.endswith(f": {history[2][f'val_{quantity}']:.3f}")
    assert any(set(line.get_xdata()) == {3} and len(line.get_xdata()) == 2 for line in axes.get_lines())
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"training", "validation", label}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "some label")


def test_the_accuracy_is_drawn_from_0_to_1(drawn):
    axes = drawn(draw_curves, history_of([0.5, 0.4]), "accuracy", "accuracy")
    assert axes.get_ylim() == pytest.approx((0, 1), abs=0.05)


@pytest.mark.parametrize(("worst", "scale"), [(1.5, "linear"), (40.0, "log")])
def test_one_wild_epoch_does_not_flatten_the_others(drawn, worst, scale):
    axes = drawn(draw_curves, history_of([worst, 0.4, 0.3]), "loss", "loss")
    assert axes.get_yscale() == scale


def test_the_epochs_are_whole_numbers_on_the_axis(drawn):
    axes = drawn(draw_curves, history_of([0.5, 0.4]), "loss", "loss")
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_the_sweep_has_batch_size_learning_rate_and_loss_with_one_colour_an_architecture(drawn):
    axes = drawn(draw_sweep, RUNS)
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


def test_the_sweep_names_each_batch_size_and_learning_rate_that_was_tried(drawn):
    axes = drawn(draw_sweep, RUNS)
    assert axes.get_xticks().tolist() == [8, 25]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["1e-05", "0.001"]
    assert axes.get_yticks().tolist() == pytest.approx([-5, -3])
    assert axes.get_zlim()[0] == 0
