import matplotlib
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pipeline import plots

# A warning would be a stray line on standard error.
pytestmark = pytest.mark.filterwarnings("error")


def save(path, title):
    figure = Figure(figsize=(3, 2))
    figure.subplots().set_title(title)
    plots.save_figure(figure, path)


def test_names_are_not_formulas_and_letters_without_a_font_are_not_warnings(tmp_path):
    with plots.own_style():
        save(tmp_path / "é.png", "$x^{ \U0001fae8 日本")
    with Image.open(tmp_path / "é.png") as image:
        assert image.format == "PNG"
        assert len(image.convert("L").getcolors()) > 10  # more than an empty page
    assert [path.name for path in tmp_path.iterdir()] == ["é.png"]


def test_the_users_own_style_does_not_matter_and_is_left_as_it_was(tmp_path):
    with plots.own_style():
        save(tmp_path / "plain.png", "title")
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 30}):
        with plots.own_style():
            save(tmp_path / "styled.png", "title")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_long_names_are_cut_and_shown_on_one_line():
    assert plots.shown_name("glioma é") == "glioma é"
    assert plots.shown_name("a" * 18) == "a" * 18
    assert plots.shown_name("a" * 19) == "a" * 17 + "…"
    assert "\n" not in plots.shown_name("a\nb")
