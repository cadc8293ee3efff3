import pytest
from PIL import Image

from pipeline import plots
from pipeline.learning.curves import draw_curves
from pipeline.learning.history import Epoch, write_epochs

# A warning would be a stray line on standard error.
pytestmark = pytest.mark.filterwarnings("error")


def history_of(val_losses):
    return [Epoch(number, 0.001, 0.5, 0.6, loss, 0.7 + number / 1000, 1.5) for number, loss in enumerate(val_losses, 1)]


@pytest.fixture
def written(tmp_path):
    """Return write(validation losses): a file of these epochs."""

    def write(val_losses):
        write_epochs(tmp_path / "é_epochs.csv", history_of(val_losses))
        return tmp_path / "é_epochs.csv"

    return write


@pytest.fixture
def drawn(monkeypatch, written):
    """Return draw(validation losses, quantity): the figure's one pair of axes, instead of a file."""
    figures = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: figures.append(figure))

    def draw(val_losses, quantity="loss"):
        draw_curves("unused.png", written(val_losses), quantity)
        (axes,) = figures[-1].axes
        return axes

    return draw


@pytest.mark.parametrize(
    ("val_losses", "quantity"), [([0.6], "accuracy"), ([0.5] * 256, "loss"), ([1e6, 0.5], "loss")], ids=str
)
def test_the_file_is_a_picture_of_a_size_to_read(tmp_path, written, val_losses, quantity):
    path = tmp_path / "é.png"
    draw_curves(path, written(val_losses), quantity)
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert 600 <= image.width <= 1600 and 500 <= image.height <= 1600
        assert len(image.convert("L").getcolors()) > 10  # more than an empty page


@pytest.mark.parametrize(("quantity", "label"), [("loss", "cross-entropy loss"), ("accuracy", "accuracy")])
def test_the_curves_show_both_sets_and_mark_the_best_epoch(drawn, quantity, label):
    losses = [0.6, 0.4, 0.3, 0.35, 0.3]
    history, axes = history_of(losses), drawn(losses, quantity)
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()}
    assert lines["training"] == [[epoch.epoch, getattr(epoch, quantity)] for epoch in history]
    assert lines["validation"] == [[epoch.epoch, getattr(epoch, f"val_{quantity}")] for epoch in history]
    best = getattr(history[2], f"val_{quantity}")
    assert lines[f"best epoch (3): {best:.3f}"] == [[3, best]]
    assert any(set(line.get_xdata()) == {3} and len(line.get_xdata()) == 2 for line in axes.get_lines())
    legend = {text.get_text() for text in axes.get_legend().get_texts()}
    assert legend == {"training", "validation", f"best epoch (3): {best:.3f}"}
    assert axes.get_xlabel() == "epoch" and axes.get_ylabel().startswith(label)
    assert all(tick == int(tick) for tick in axes.get_xticks())


def test_the_accuracy_is_drawn_from_0_to_1(drawn):
    assert drawn([0.5, 0.4], "accuracy").get_ylim() == pytest.approx((0, 1), abs=0.05)


@pytest.mark.parametrize(("worst", "scale"), [(1.5, "linear"), (40.0, "log")])
def test_one_wild_epoch_does_not_flatten_the_others(drawn, worst, scale):
    assert drawn([worst, 0.4, 0.3]).get_yscale() == scale
