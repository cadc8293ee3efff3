import itertools

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
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
    assert plots.shown_name("a" * 19) == "a" * 8 + "…" + "a" * 8
    names = [f"Cherry_(including_sour)___{what}" for what in ("healthy", "Powdery_mildew")]
    assert len({*map(plots.shown_name, names)}) == 2
    assert "\n" not in plots.shown_name("a\nb")


def luminance(color):
    linear = linear_of(color)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def linear_of(color):
    parts = np.array(to_rgb(color))
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """The contrast of two colours: W3C, Web Content Accessibility Guidelines 2.1."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_text_can_be_read_on_every_colour_of_the_confusion_matrix():
    assert contrast("black", "white") == pytest.approx(21)
    assert contrast("white", "lightblue") < 2
    for background in matplotlib.colormaps["Blues"](np.linspace(0, 1, 256)):
        assert contrast(plots.text_color(background), background[:3]) >= 4.5


# From linear RGB to what a person without red, or green, receptors sees: Machado, Oliveira and Fernandes, IEEE
# Transactions on Visualization and Computer Graphics 15 (2009) 1291, table 1, severity 1.
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}
# From linear sRGB to CIE XYZ, white being 1.
TO_XYZ = np.array([[0.43394, 0.37625, 0.18983], [0.21267, 0.71515, 0.07217], [0.01776, 0.10947, 0.87277]])


def lab(linear):
    x, y, z = (np.cbrt(part) if part > 216 / 24389 else (24389 / 27 * part + 16) / 116 for part in TO_XYZ @ linear)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colour_blind_readers_can_tell_the_colours_apart(kind):
    seen = [lab(np.clip(np.array(BLINDNESS[kind]) @ linear_of(color), 0, 1)) for color in plots.COLORS]
    distances = [np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)]
    # 2.3 is just noticeable.
    assert min(distances) > 15


@pytest.mark.parametrize(("value", "text"), [(1e-5, "0.00001"), (0.001, "0.001"), (200.0, "200"), (0.1 + 0.2, "0.3")])
def test_numbers_are_written_without_exponents(value, text):
    assert plots.plain_number(value) == text


@pytest.mark.parametrize(("top", "labels"), [(0.9, ["0.3", "0.4", "0.5"]), (900, ["0.5", "1", "2", "5", "10"])])
def test_a_logarithmic_axis_has_plain_numbers_enough_to_read_it(top, labels):
    axes = Figure().subplots()
    axes.plot([1, 2], [0.3, top])
    plots.plain_log_scale(axes, "y")
    low, high = axes.get_ylim()
    shown = [label.get_text() for tick, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
             if low <= tick <= high]  # fmt: skip
    assert set(labels) <= set(shown) and len(shown) < 15
