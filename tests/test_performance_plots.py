import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from made_predictions import multiclass, random_two_class, two_class
from PIL import Image

from pipeline.performance import folds, plots
from pipeline.performance.summary import summarize


def draw(folder, made):
    results = summarize(made)
    drawings = plots.drawings(results, folder / "r.json")
    for draw_one, picture in drawings:
        plots.save(draw_one, results, picture.path)
    paths = [picture.path for _, picture in drawings]
    names = ("confusion_matrix", "roc", "precision_recall", "reliability")
    assert paths == [folder / f"r_{name}.png" for name in names]
    sizes = []
    for path in paths:
        with Image.open(path) as picture:
            sizes.append(picture.size)
    return sizes


def random_multiclass(class_count, names=None):
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(class_count), 3 * class_count)
    return multiclass(np.arange(3 * class_count) % class_count, probabilities, names)


@pytest.mark.parametrize(
    "made",
    [
        two_class([0, 0, 0], [0.1, 0.2, 0.6]),
        two_class([0, 1], [0.0, 1.0]),
        multiclass([0, 0], [[0.2, 0.3, 0.5]] * 2),
        random_multiclass(4, ["$x^$", "_b", "日本", "a|b\nc\udcff and more than fits beside an axis"]),
        random_multiclass(30, [str(number) for number in range(30)]),
    ],
    ids=["gap", "perfect", "gaps of three", "odd names", "thirty classes"],
)
def test_every_picture_is_drawn_without_a_word(tmp_path, made):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sizes = draw(tmp_path, made)
    assert all(min(size) > 400 and max(size) < 2200 for size in sizes)


def test_the_letters_of_curves_of_many_classes_are_as_large_on_a_page(tmp_path):
    """A picture is scaled to the width of its place: a legend beside the curves would halve them."""
    names = [f"class {number} with a long name" for number in range(10)]
    two, ten = (draw(tmp_path, made) for made in (random_two_class(0), random_multiclass(10, names)))
    for (width, _), (other, _) in zip(two[1:], ten[1:], strict=True):
        assert other < 1.1 * width


def test_a_confusion_matrix_of_many_classes_has_a_row_of_a_page_of_its_own():
    for class_count in (6, 7):
        results = summarize(random_multiclass(class_count))
        matrix, *others = [picture.wide for _, picture in plots.drawings(results, Path("r.json"), for_report=True)]
        assert matrix == (class_count == 7) and not any(others)


@pytest.mark.parametrize(
    ("probabilities", "shown"),
    [([0.1, 0.6, 0.5, 0.9], "0.750 (0.227 to 0.967)"), ([0.1, 0.2, 0.8, 0.9], "1.000 (0.386 to 1.000)")],
)
def test_the_roc_names_the_area_and_its_interval(probabilities, shown):
    figure = plots.draw_roc(summarize(two_class([0, 0, 1, 1], probabilities)))
    assert figure.axes[0].get_legend_handles_labels()[1][0] == f"AUC of yes: {shown}"


def test_the_settings_of_other_pictures_stay(tmp_path):
    before = dict(matplotlib.rcParams)
    draw(tmp_path, random_two_class(0))
    assert dict(matplotlib.rcParams) == before


def test_the_mean_precision_of_folds_has_the_mean_area():
    parts = [random_two_class(number, prefix=f"{number}_", fold=number) for number in range(3)]
    results = summarize(folds.pool(parts))
    mean, *of_folds = plots.draw_precision_recall(results).axes[0].get_lines()
    assert [line.get_label() for line in of_folds][:1] == ["each of 3 folds"]
    recall, precision = mean.get_data()
    area = float((-np.diff(recall) * precision[:-1]).sum())
    assert area == pytest.approx(results.classes[1].average_precision.value)


def test_the_roc_marks_the_operating_point():
    figure = plots.draw_roc(summarize(two_class([0, 0, 0, 1, 1], [0.1, 0.2, 0.6, 0.4, 0.9])))
    (point,) = (line for line in figure.axes[0].get_lines() if line.get_marker() == "o")
    assert point.get_xydata().tolist() == [[pytest.approx(1 / 3), 0.5]]
    assert point.get_label() == "as predicted: sensitivity 50.0%, specificity 66.7%"


def test_the_reliability_has_no_line_through_single_images_and_says_what_it_shows():
    made = two_class([0, 0, 1, 0, 1, 1], [0.05, 0.06, 0.35, 0.55, 0.95, 0.96])
    axes, below = plots.draw_reliability(summarize(made)).axes
    (line,) = (line for line in axes.get_lines() if line.get_linestyle() == "-" and line.get_marker() == "None")
    assert line.get_xdata().tolist() == pytest.approx([0.055, 0.955])
    assert (axes.get_ylabel(), below.get_xlabel()) == ("fraction that is yes", "predicted probability of yes")
    axes, below = plots.draw_reliability(summarize(random_multiclass(3))).axes
    assert axes.get_ylabel() == "fraction predicted correctly"
    assert below.get_xlabel() == "predicted probability of the most probable class"


@pytest.mark.parametrize("made", [random_two_class(0), random_multiclass(4)], ids=["two", "four"])
def test_every_picture_has_a_title(made):
    results = summarize(made)
    drawings = plots.drawings(results, Path("r.json"))
    for draw_one, _ in drawings:
        axes = draw_one(results).axes[0]
        legend = axes.get_legend()
        assert axes.get_title(loc="left") or legend.get_title().get_text()
    assert len(drawings) == 4
