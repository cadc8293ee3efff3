import csv
import errno
import io
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import error_places
from PIL import Image

from pipeline import image_files
from pipeline.learning import new_images

SCRIPT = "test_torchvision.py"
UNLIKE = ["distance_percentile", "unlike_training", "nearest_training_image"]
COLUMNS = ["file_name", "predicted_class", "probability_no", "probability_yes", "error", "seen_in_training", *UNLIKE]
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def model(telling, tmp_path):
    """A checkpoint that lies by itself, far from the project that it was trained on."""
    return shutil.copy(telling / "models" / "small.pth.tar", tmp_path / "model é.pth.tar")


@pytest.fixture
def predict(call_script, model, tmp_path):
    """Return predict(images, *options): result, and the rows of the CSV file."""

    def run(images, *options):
        path = tmp_path / "new.csv"
        result = call_script(SCRIPT, "-save", model, "-images", images, "-out", path, *options)
        assert result.returncode == 0, result.stderr
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
        assert reader.fieldnames == COLUMNS
        return result, rows

    return run


@pytest.fixture
def images(trained_once, tmp_path):
    """A folder with five images, one of them in a folder below."""
    folder = tmp_path / "new images é"
    (folder / "below" / "deeper").mkdir(parents=True)
    for number in range(4):
        shutil.copy(trained_once / "bin" / f"test é{number}.png", folder)
    shutil.copy(trained_once / "bin" / "val é0.png", folder / "below" / "deeper" / "val.PNG")
    return folder


def test_an_image_gets_the_same_probabilities_as_in_a_labelled_partition(call_script, predict, telling):
    call_script(SCRIPT, "-dir", telling)
    labelled = json.loads((telling / "small_preds.json").read_text(encoding="utf-8"))
    _, rows = predict(telling / "bin", "-batch_size", 5)
    rows = {row["file_name"]: row for row in rows}
    assert len(rows) == 18
    assert np.ptp(labelled["predictive probabilities"], axis=0).min() > 1e-3  # far more than the tolerance
    for name, probabilities, predicted in zip(
        labelled["filenames"], labelled["predictive probabilities"], labelled["predictions"], strict=True
    ):
        row = rows[name]
        assert [float(row["probability_no"]), float(row["probability_yes"])] == pytest.approx(probabilities, abs=1e-6)
        assert row["predicted_class"] == ["no", "yes"][predicted]
        assert row["error"] == ""


@pytest.mark.skipif(os.name == "nt", reason="this system has no such names")
def test_a_name_with_a_carriage_return_is_one_row(predict, images):
    (images / "test é0.png").rename(images / "Icon\r.png")
    _, rows = predict(images)
    assert [row["file_name"] for row in rows if not row["predicted_class"]] == []
    assert "Icon\r.png" in [row["file_name"] for row in rows] and len(rows) == 5


@pytest.mark.parametrize("linked", [False, True])
def test_the_table_itself_is_not_one_of_the_images_when_they_are_predicted_again(
    call_script, model, images, monkeypatch, make_link, tmp_path, linked
):
    monkeypatch.chdir(images)
    if linked:
        make_link(tmp_path / "link", images)
    place = tmp_path / "link" if linked else "."
    for _ in range(2):
        assert call_script(SCRIPT, "-save", model, "-images", place, "-out", "below/new.csv").returncode == 0
        with open("below/new.csv", newline="", encoding="utf-8") as file:
            names = [row["file_name"] for row in csv.DictReader(file)]
        assert names == ["below/deeper/val.PNG", *(f"test é{number}.png" for number in range(4))]


def test_every_file_below_a_folder_gets_a_row_and_stays_as_it_is(predict, images, contents, tmp_path):
    (images / ".hidden.png").write_bytes(b"")
    (images / "Thumbs.db").write_bytes(b"what Windows puts there")
    (images / ".folder").mkdir()
    (images / ".folder" / "a.png").write_bytes(b"")
    before = contents(images)
    result, rows = predict(images)
    assert contents(images) == before
    expected = ["below/deeper/val.PNG", *(f"test é{number}.png" for number in range(4))]
    assert [row["file_name"] for row in rows] == expected
    assert result.stderr.startswith("note: unlike_training ") and result.stderr.count("\n") == 1
    assert result.stdout == f"5 images predicted; wrote {tmp_path / 'new.csv'}\n"
    for row in rows:
        probabilities = {name: float(row[f"probability_{name}"]) for name in ("no", "yes")}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-9)
        assert row["predicted_class"] == max(probabilities, key=probabilities.get)


def test_a_file_that_cannot_be_read_gets_a_row_with_the_reason(predict, images):
    unreadable = ["a, b.txt", "empty.png", "half.png"]
    for name in unreadable:
        (images / name).write_bytes((images / "test é0.png").read_bytes()[:200] if name == "half.png" else b"")
    for batch_size in (1, 2, 100):
        result, rows = predict(images, "-batch_size", batch_size)
        assert [row["file_name"] for row in rows if row["error"]] == unreadable
        assert [[row[column] for column in COLUMNS[1:4]] for row in rows if row["error"]] == [["", "", ""]] * 3
        assert [float(row["probability_no"]) > 0 for row in rows if not row["error"]] == [True] * 5
        assert result.stderr.startswith("note: 3 of 8 files cannot be read; ")
        assert result.stdout.startswith("5 images predicted; ")


def test_what_is_odd_about_readable_images_is_told_in_a_line_each(predict, images):
    for number in range(7):
        Image.fromarray(np.random.default_rng(number).integers(0, 5000, (9, 9), dtype=np.uint16)).save(
            images / f"deep{number}.png"
        )
    Image.new("L", (9, 9), 4).save(images / "even.png")
    result, rows = predict(images, "-batch_size", 3)
    assert [row["error"] for row in rows] == [""] * 13
    bits, even, _ = result.stderr.splitlines()
    assert "7 of 13" in bits and "deep0.png" in bits and "and 3 more" in bits
    assert "1 of 13" in even and "even.png" in even


@pytest.mark.parametrize("failing", ["_open_at_once", "upright"])
def test_a_file_that_memory_does_not_hold_is_a_row_and_does_not_end_the_others(predict, images, monkeypatch, failing):
    work, failed = getattr(image_files, failing), []

    def fail_once(*arguments):
        if not failed:
            failed.append(1)
            raise MemoryError
        return work(*arguments)

    monkeypatch.setattr(image_files, failing, fail_once)
    _, rows = predict(images)
    assert sorted("memory" in row["error"] for row in rows) == [False] * 4 + [True]


def test_linked_folders_are_followed_but_not_in_circles(images, class_folders, make_link, tmp_path):
    expected = new_images.find_files(images).keys()
    make_link(images / "circle", images)
    make_link(images / "linked", class_folders(tmp_path, {"elsewhere": 2}) / "elsewhere")
    found = new_images.find_files(images)
    assert found.keys() == expected | {"linked/elsewhere0.png", "linked/elsewhere1.png"}


def test_a_folder_that_vanishes_meanwhile_has_a_row(images, monkeypatch):
    look = os.stat

    def stat(path, **options):
        if str(path).endswith("deeper"):
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        return look(path, **options)

    monkeypatch.setattr(new_images.os, "stat", stat)
    found = new_images.find_files(images)
    assert "No such file" in found["below/deeper"] and len(found) == 5


def test_a_folder_without_a_readable_image_is_an_error_and_a_table_of_reasons(call_script, model, tmp_path):
    folder, out = tmp_path / "folder", tmp_path / "new.csv"
    folder.mkdir()
    (folder / "a.txt").write_text("notes")
    result = call_script(SCRIPT, "-save", model, "-images", folder, "-out", out)
    assert result.returncode == 2
    assert f"-images {folder}: " in result.stderr.splitlines()[-1]
    with open(out, newline="", encoding="utf-8") as file:
        assert [bool(row["error"]) for row in csv.DictReader(file)] == [True]


def test_a_single_file_will_do(predict, images):
    result, rows = predict(images / "below" / "deeper" / "val.PNG")
    assert result.stdout.startswith("1 image predicted; ")
    assert [row["file_name"] for row in rows] == ["val.PNG"]


def test_without_out_the_table_goes_to_standard_output(call_script, predict, model, images):
    _, rows = predict(images)
    result = call_script(SCRIPT, "-save", model, "-images", images)
    assert result.returncode == 0
    assert list(csv.DictReader(io.StringIO(result.stdout))) == rows


def test_an_earlier_table_is_replaced_and_that_is_told(predict, images, tmp_path):
    predict(images)
    result, _ = predict(images)
    assert result.stdout == f"5 images predicted; replaced {tmp_path / 'new.csv'}\n"


def test_a_folder_without_files_is_an_error(call_script, model, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert error_places(call_script(SCRIPT, "-save", model, "-images", empty)) == [f"-images {empty}"]


@pytest.fixture
def results(call_script, telling, model):
    """Results JSON of the project's test images, with a threshold and a temperature, of the model's file name."""
    for split in ("val", "test"):
        assert call_script(SCRIPT, "-dir", telling, "-save", model, "-split", split).returncode == 0
    path, name = telling / "model_results.json", model.name.removesuffix(".pth.tar")
    predictions = [telling / f"{name}{of}_preds.json" for of in ("", "_val")]
    made = call_script("calc_model_performance.py", predictions[0], path, "-threshold_from", predictions[1])
    assert made.returncode == 0, made.stderr
    content = json.loads(path.read_text(encoding="utf-8"))
    content["Operating Point"]["temperature"] = 2.5  # nine images are too few to fit one
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_operating_point_travels_to_new_images(call_script, predict, model, images, results, tmp_path):
    _, plain = predict(images)
    (images / "notes.txt").write_text("notes")
    out = tmp_path / "new.csv"
    arguments = ("-save", model, "-images", images, "-out", out)
    result = call_script(SCRIPT, *arguments, "-operating_point", results)
    assert result.returncode == 0, result.stderr
    point = json.loads(results.read_text(encoding="utf-8"))["Operating Point"]
    beside = json.loads((tmp_path / "new_operating_point.json").read_text(encoding="utf-8"))
    assert beside == {"Operating Point": point}
    table = pd.read_csv(out)
    error = COLUMNS.index("error")
    assert list(table)[: error + 3] == [*COLUMNS[:error], "finding", "threshold", "error"]
    read = table[table["error"].isna()]
    odds = np.array([float(row["probability_yes"]) / float(row["probability_no"]) for row in plain]) ** (1 / 2.5)
    assert read["probability_yes"].to_numpy() == pytest.approx(odds / (1 + odds), abs=1e-6)
    assert read["threshold"].to_numpy() == pytest.approx(point["threshold"], abs=1e-12)
    expected = np.where(read["probability_yes"] >= point["threshold"], "yes", "no")
    assert read["finding"].tolist() == expected.tolist()
    assert table[table["error"].notna()][["finding", "threshold"]].isna().all(axis=None)
    # The next table without it is not one of this operating point.
    call_script(SCRIPT, *arguments)
    assert not (tmp_path / "new_operating_point.json").exists()


def test_results_in_the_place_of_what_is_known_of_the_point_stay(call_script, model, images, results, tmp_path):
    mine = results.rename(tmp_path / "new_operating_point.json")
    before = mine.read_bytes()
    for given in ((), ("-operating_point", mine)):
        result = call_script(SCRIPT, "-save", model, "-images", images, "-out", tmp_path / "new.csv", *given)
        assert error_places(result) == [str(mine)]
        assert mine.read_bytes() == before and not (tmp_path / "new.csv").exists()


def test_an_operating_point_of_another_model_or_of_none_is_refused(call_script, model, images, results, tmp_path):
    content, out = json.loads(results.read_text(encoding="utf-8")), tmp_path / "new.csv"
    point = content.pop("Operating Point")
    others = (
        {"checkpoints": ["other.pth.tar"]}, {"weights": ["of another model of this name"]},
        {"class names": ["yes", "no"]}, {"positive class": "no"}, {"monte carlo samples": 9},
        {"threshold": "half"}, {"temperature": 0}, {"another": 1},
    )  # fmt: skip
    for wrong in ({}, *({"Operating Point": point | changes} for changes in others)):
        results.write_text(json.dumps(content | wrong), encoding="utf-8")
        result = call_script(SCRIPT, "-save", model, "-images", images, "-out", out, "-operating_point", results)
        assert error_places(result) == [f"-operating_point {results}"], wrong
        assert not out.exists()
