import warnings

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
        draw_one(picture.path, results)
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


def test_the_roc_names_the_area_and_its_interval(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: drawn.update({path: figure}))
    for name, made in (
        ("some", two_class([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.9])),
        ("separated", two_class([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])),
    ):
        plots.draw_roc(name, summarize(made))
    labels = {name: figure.axes[0].get_legend_handles_labels()[1][0] for name, figure in drawn.items()}
    assert labels["some"] == "AUC of yes: 0.750 (0.227 to 0.967)"
    assert labels["separated"] == "AUC of yes: 1.000 (0.386 to 1.000)"


def test_the_settings_of_other_pictures_stay(tmp_path):
    before = dict(matplotlib.rcParams)
    draw(tmp_path, random_two_class(0))
    assert dict(matplotlib.rcParams) == before


def test_the_mean_precision_of_folds_has_the_mean_area():
    parts = [random_two_class(number, prefix=f"{number}_", fold=number) for number in range(3)]
    results = summarize(folds.pool(parts, ["a", "b", "c"]))
    recall, precision = plots._mean_precision(plots._precisions(results.classes[1].against_rest))
    area = float((-np.diff(recall) * precision[:-1]).sum())
    assert area == pytest.approx(results.classes[1].average_precision.value)
