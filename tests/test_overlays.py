import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.learning import overlays
from pipeline.learning.preprocessing import Preprocessing
from pipeline.predictions import Predictions

SCRIPT = "test_torchvision.py"


def predictions_of(labels, yes, **more):
    """Predictions of two classes with these probabilities of the second one."""
    yes = np.array(yes)
    probabilities = np.stack([1 - yes, yes], axis=1)
    names = [f"{number}.png" for number in range(len(yes))]
    return Predictions(
        np.array(labels), probabilities.argmax(axis=1), probabilities, ["no", "yes"], file_names=names, **more
    )


def test_where_there_is_no_heat_the_image_is_as_it_was():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    laid = overlays.overlay(Image.fromarray(pixels), np.zeros((7, 7)))
    assert (laid.mode, laid.size) == ("RGB", (30, 20))
    assert (np.asarray(laid) == pixels[..., None]).all()


def test_the_heat_lies_at_its_place_at_the_images_own_size():
    heat = np.zeros((7, 7))
    heat[5, 1] = 1  # below, left
    image = Image.new("L", (210, 140))
    laid = np.asarray(overlays.overlay(image, heat)).sum(axis=2)
    row, column = np.unravel_index(laid.argmax(), laid.shape)
    assert (row // 20, column // 30) == (5, 1)
    assert laid[:80].max() == laid[:, 90:].max() == 0
    # The colour of the greatest heat, as opaque as it gets, over black.
    expected = np.array(overlays.COLOR_MAP(1.0)[:3]) * 255 * overlays.OPACITY
    assert np.asarray(overlays.overlay(image, np.ones((7, 7))))[70, 100] == pytest.approx(expected, abs=1)


def test_a_colour_image_keeps_its_colours_beside_the_heat():
    heat = np.zeros((2, 2))
    laid = overlays.overlay(Image.new("RGB", (8, 8), (10, 200, 30)), heat)
    assert np.asarray(laid).reshape(-1, 3).tolist() == [[10, 200, 30]] * 64


def test_the_images_that_tell_most_are_chosen():
    labels = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    yes = [0.9, 0.1, 0.6, 0.45, 0.05, 0.99, 0.98, 0.2, 0.52, 0.97, 0.95, 0.7]
    chosen = overlays.choose(predictions_of(labels, yes), count=2)
    assert {kind: indices.tolist() for kind, indices in chosen.items()} == {
        "most confident errors": [0, 7],  # wrong with 0.9 and 0.8; the third is wrong with 0.6
        "least certain": [8, 3],  # 0.52 and 0.55, the third error being less uncertain than these
        "correct, and certain": [5, 4],  # yes with 0.99, then no with 0.95
    }


def test_the_least_certain_are_those_of_the_largest_predictive_entropy():
    entropy = np.array([0.1, 0.3, 0.2])
    found = predictions_of(
        [1, 1, 1], [0.9, 0.8, 0.6], sample_count=3, predictive_entropy=entropy, mutual_information=entropy
    )
    assert overlays.choose(found, count=1)["least certain"].tolist() == [1]
    assert overlays.choose(predictions_of([1, 1, 1], [0.9, 0.8, 0.6]), count=1)["least certain"].tolist() == [2]


def test_near_duplicates_are_chosen_once_of_each_kind():
    groups = ["a", "a", "b", "c", "c", "d", "e", "e", "f"]
    found = predictions_of(
        [0, 0, 0, 1, 1, 1, 1, 1, 1], [0.9, 0.89, 0.7, 0.99, 0.98, 0.97, 0.55, 0.56, 0.6], groups=groups
    )
    chosen = {kind: indices.tolist() for kind, indices in overlays.choose(found, count=2).items()}
    assert chosen == {"most confident errors": [0, 2], "least certain": [6, 8], "correct, and certain": [3, 5]}


def test_no_image_is_chosen_twice_and_kinds_may_be_empty():
    chosen = overlays.choose(predictions_of([0, 1], [0.9, 0.8]))
    assert [indices.tolist() for indices in chosen.values()] == [[0], [1], []]


def test_a_project_gets_a_gallery_beside_its_predictions(call_script, telling):
    name, table = "$x^{$.png", telling / "csv" / "test.csv"  # which is not to be read as a formula
    (telling / "bin" / "test é0.png").rename(telling / "bin" / name)
    table.write_text(table.read_text(encoding="utf-8").replace("test é0.png", name), encoding="utf-8")
    result = call_script(SCRIPT, "-dir", telling, "--explain")
    gallery, predictions = telling / "small_preds_explained.png", telling / "small_preds.json"
    assert result.returncode == 0, result.stderr
    assert f"where the model looks: {gallery}\nwrote {predictions}\n" in result.stdout
    content = json.loads(predictions.read_text(encoding="utf-8"))
    assert content["gallery"] == gallery.name
    with Image.open(gallery) as image:
        assert image.format == "PNG" and min(image.size) > 500
        assert len(np.unique(np.asarray(image.convert("L")))) > 100  # not a blank page
    # Without the option the predictions name no gallery, and there is none.
    result = call_script(SCRIPT, "-dir", telling)
    assert "gallery" not in json.loads(predictions.read_text(encoding="utf-8")) and not gallery.exists()
    assert f"replaced {predictions}\nremoved {gallery}, of earlier predictions\n" in result.stdout


def test_a_caption_says_which_image_and_what_it_is_and_was_taken_for():
    found = predictions_of([0, 1], [0.9, 0.834])
    found.class_names = ["a|b", "$x^{"]
    assert overlays._caption(found, 0) == "0.png\ntrue: a|b\npredicted: $x^{ (0.90)"
    found.file_names = ["x\n.png", "0123456789" * 4 + "|.png"]
    assert overlays._caption(found, 1) == "…01234567890123456789|.png\ntrue: $x^{\npredicted: $x^{ (0.83)"
    assert overlays._caption(found, 0).startswith("x\\n.png\n")


@pytest.mark.parametrize("size", [(16, 9), (300, 500), (1400, 900)])
def test_a_picture_of_one_image_has_it_beside_the_heat_with_caption_and_scale(monkeypatch, size):
    written = []
    monkeypatch.setattr(overlays.ImageDraw.ImageDraw, "text", lambda _, place, text, *more: written.append(text))
    image, laid = Image.new("L", size, 50), Image.new("RGB", size, (250, 0, 0))
    picture = overlays.explained(image, laid, f"{'far/' * 200}scan.png", "predicted: yes (0.90)", "what it means")
    name, *texts = written
    assert name.startswith("…") and name.endswith("/scan.png")
    assert texts == ["predicted: yes (0.90)", "0", "0.5", "1", "what it means"]
    colors = dict(map(reversed, picture.getcolors(picture.width * picture.height)))
    assert colors[50, 50, 50] == colors[250, 0, 0] >= size[0] * size[1]
    assert picture.width > 2 * size[0] and picture.height < 2.2 * max(size[1], 320)
    # The scale goes through the colours of the heat.
    assert len(set(colors) - {(50, 50, 50), (250, 0, 0), (255, 255, 255)}) > 200


def test_files_whose_names_begin_alike_are_drawn_apart(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    prefix = "1.2.840.113619.2.55.3.604688119.868.1234567890."
    names = [f"{prefix}{number:03}.png" for number in range(30)]
    for number, name in enumerate(names):
        Image.new("L", (16, 16), 8 * number).save(tmp_path / name)
    pixels = torch.zeros(30, 1, 8, 8, dtype=torch.uint8)
    # Nothing speaks for the class, so that each overlay is the image.
    nn.init.zeros_(model[0].weight), nn.init.zeros_(model[0].bias)
    classifier = SimpleNamespace(model=model, preprocessing=Preprocessing(3, 8, 8), class_names=["no", "yes"])
    overlays.write_overlays(tmp_path / "out", classifier, tmp_path, names, pixels, np.array([[0.6, 0.4]] * 30))
    for number, name in enumerate(names):
        with Image.open(tmp_path / "out" / f"{name}.png") as image:
            # The image of 16 pixels, twenty times as large, and the one with heat: here none.
            assert np.asarray(image.crop((20, 60, 320, 320))).flatten().tolist() == [8 * number] * 300 * 260 * 3
            assert image.getpixel((image.width - 40, 200)) == (8 * number,) * 3
    assert len(list((tmp_path / "out").iterdir())) == 30


def test_an_overlay_that_cannot_be_written_is_told_and_the_others_are(call_script, telling, tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    long_name = "n" * 251 + ".png"
    for name in ("a.png", long_name):
        Image.effect_noise((20, 20), 60).save(folder / name)
    out = tmp_path / "predictions.csv"
    result = call_script(
        SCRIPT, "-save", telling / "models" / "small.pth.tar", "-images", folder, "-out", out, "--explain"
    )
    assert result.returncode == 0
    assert result.stderr.startswith(f"note: {tmp_path / 'predictions_explained' / long_name}")
    assert [path.name for path in (tmp_path / "predictions_explained").iterdir()] == ["a.png.png"]
    assert len(out.read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("no image")])
@pytest.mark.parametrize("broken", [1, 4])
def test_a_gallery_shows_what_can_be_decoded_and_tells_of_the_rest(call_script, telling, monkeypatch, damage, broken):
    draw = overlays.draw_gallery

    def damage_first(path, classifier, images, predictions):
        for path_of_image in images.paths[:broken]:
            damage(path_of_image)
        draw(path, classifier, images, predictions)

    monkeypatch.setattr(overlays, "draw_gallery", damage_first)
    result = call_script(SCRIPT, "-dir", telling, "--explain")
    assert result.returncode == 0
    notes = result.stderr.splitlines()
    assert len(notes) == broken and all(note.endswith("; it is not in the gallery") for note in notes)
    assert (telling / "small_preds_explained.png").exists() and (telling / "small_preds.json").exists()


def test_an_overlay_of_a_file_that_broke_meanwhile_is_told_and_the_others_are(tmp_path, capsys):
    model = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for name in ("a.png", "b.png"):
        Image.effect_noise((16, 16), 60).save(tmp_path / name)
    (tmp_path / "c.png").write_text("no image")
    classifier = SimpleNamespace(model=model, preprocessing=Preprocessing(3, 8, 8), class_names=["no", "yes"])
    pixels, names = torch.zeros(3, 1, 8, 8, dtype=torch.uint8), ["a.png", "b.png", "c.png"]
    overlays.write_overlays(tmp_path / "out", classifier, tmp_path, names, pixels, np.array([[0.6, 0.4]] * 3))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png.png", "b.png.png"]
    (note,) = capsys.readouterr().err.splitlines()
    assert "c.png" in note


def test_an_overlay_is_on_the_models_scale(tmp_path):
    Image.fromarray(np.full((9, 9), 2048, dtype=np.uint16)).save(tmp_path / "a.png")
    preprocessing = Preprocessing(1, 9, 9, value_ranges={"integers": [0.0, 4095.0]})
    assert np.unique(overlays.decode(tmp_path / "a.png", preprocessing)).tolist() == [128]


def test_new_images_get_an_overlay_each(call_script, telling, tmp_path):
    folder = tmp_path / "new é"
    (folder / "below").mkdir(parents=True)
    sizes = {"a.png": (40, 20), "a.jpg": (25, 50), "below/c.png": (32, 32)}
    for name, size in sizes.items():
        Image.effect_noise(size, 60).save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    out = tmp_path / "predictions.csv"
    command = (SCRIPT, "-save", telling / "models" / "small.pth.tar", "-images", folder, "-out", out, "-batch_size", 2)
    result = call_script(*command, "--explain")
    explained = tmp_path / "predictions_explained"
    assert result.returncode == 0 and "earlier" not in result.stderr, result.stderr
    assert f"where the model looks: {explained}\n" in result.stdout
    written = sorted(path.relative_to(explained).as_posix() for path in explained.rglob("*") if path.is_file())
    assert written == ["a.jpg.png", "a.png.png", "below/c.png.png"]
    for name, (width, height) in sizes.items():
        with Image.open(explained / f"{name}.png") as image:
            factor = round(320 / max(width, height))
            assert image.width > 2 * factor * width and image.height > factor * height
    # One of them is the user's now, and one image is gone.
    (explained / "a.jpg.png").write_text("mine")
    (folder / "below" / "c.png").unlink()
    result = call_script(*command, "--explain")
    assert f"note: {explained}: 1 picture of an earlier table there; delete what is old\n" in result.stderr
    assert f"note: {explained / 'a.jpg.png'}: was not written by test_torchvision.py; " in result.stderr
    assert (result.returncode, (explained / "a.jpg.png").read_text()) == (0, "mine")
    result = call_script(*command)
    assert f"note: {explained}: 3 pictures of an earlier table there; delete what is old\n" in result.stderr
