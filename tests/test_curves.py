import pytest
from PIL import Image

from pipeline import plots
from pipeline.learning.curves import draw_curves
from pipeline.learning.history import Epoch

# A warning would be a stray line on standard error.
pytestmark = pytest.mark.filterwarnings("error")


def history_of(val_losses):
    return [Epoch(number, 0.001, 0.5, 0.6, loss, 0.7 + number / 1000, 1.5) for number, loss in enumerate(val_losses, 1)]


@pytest.fixture
def drawn(monkeypatch):
    """Return draw(validation losses, quantity): the figure's one pair of axes, instead of a file."""
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))

    def draw(val_losses, quantity="loss", keep="best"):
        draw_curves("unused.png", history_of(val_losses), quantity, keep)
        (axes,) = figures[-1].axes
        return axes

    return draw


@pytest.mark.parametrize(
    ("val_losses", "quantity"), [([0.6], "accuracy"), ([0.5] * 256, "loss"), ([1e6, 0.5], "loss")], ids=str
)
def test_the_file_is_a_picture_of_a_size_to_read(tmp_path, val_losses, quantity):
    path = tmp_path / "é.png"
    draw_curves(path, history_of(val_losses), quantity)
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert 600 <= image.width <= 1600 and 500 <= image.height <= 1600
        assert len(image.convert("L").getcolors()) > 10  # more than an empty page


@pytest.mark.parametrize(("quantity", "label"), [("loss", "cross-entropy loss"), ("accuracy", "accuracy")])
@pytest.mark.parametrize(("keep", "kept"), [("best", 3), ("last", 5)])
def test_the_curves_show_both_sets_and_mark_the_epoch_that_is_kept(drawn, quantity, label, keep, kept):
    losses = [0.6, 0.4, 0.3, 0.35, 0.3]
    history, axes = history_of(losses), drawn(losses, quantity, keep)
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert lines["training"] == [[epoch.epoch, getattr(epoch, quantity)] for epoch in history]
    assert lines["validation"] == [[epoch.epoch, getattr(epoch, f"val_{quantity}")] for epoch in history]
    value = getattr(history[kept - 1], f"val_{quantity}")
    assert lines[f"kept: epoch {kept}, {value:.3f}"] == [[kept, value]]
    assert any(set(line.get_xdata()) == {kept} and len(line.get_xdata()) == 2 for line in axes.get_lines())
    legend = {text.get_text() for text in axes.get_legend().get_texts()}
    assert legend == {"training", "validation", f"kept: epoch {kept}, {value:.3f}"}
    assert axes.get_legend().get_title().get_text() == f"{quantity.capitalize()} while training"
    assert axes.get_xlabel() == "epoch" and axes.get_ylabel().startswith(label)


@pytest.mark.parametrize("count", [1, 2, 13, 256])
def test_epochs_are_whole_numbers(drawn, count):
    ticks = drawn([0.5] * count).get_xticks()
    assert len(ticks) and all(tick == int(tick) for tick in ticks)


def test_the_accuracy_is_drawn_from_0_to_1(drawn):
    assert drawn([0.5, 0.4], "accuracy").get_ylim() == pytest.approx((0, 1), abs=0.05)


@pytest.mark.parametrize(("worst", "scale"), [(1.5, "linear"), (40.0, "log")])
def test_one_wild_epoch_does_not_flatten_the_others(drawn, worst, scale):
    assert drawn([worst, 0.4, 0.3]).get_yscale() == scale
