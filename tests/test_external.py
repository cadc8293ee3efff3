import json
import shutil

import numpy as np
import pytest
from conftest import error_places
from PIL import Image

from pipeline import thumbnails
from pipeline.learning.classifier import Classifier

SCRIPT = "test_torchvision.py"


@pytest.fixture
def elsewhere(trained, class_folders, tmp_path):
    """Class folders of another hospital: six images of its own, a copy of a training image, and one saved again."""
    folder = class_folders(tmp_path / "elsewhere é", {"no": 3, "YES": 3}, seed=7)
    shutil.copy(trained / "bin" / "train é0.png", folder / "no" / "copied.png")
    with Image.open(trained / "bin" / "val é1.png") as image:
        image.save(folder / "YES" / "again.bmp")
    return folder


@pytest.fixture
def validate(call_script, trained, elsewhere, tmp_path):
    """Return validate(*options): the result, and the predictions of the model for the external images."""

    def run(*options):
        out = tmp_path / "elsewhere_preds.json"
        model = trained / "models" / "small.pth.tar"
        result = call_script(SCRIPT, "-save", model, "-external", elsewhere, "-out", out, *options)
        return result, json.loads(out.read_text(encoding="utf-8")) if out.exists() else None

    return run


def test_external_images_are_predicted_and_twins_of_training_images_left_out(
    call_script, validate, trained, elsewhere, contents, tmp_path
):
    before = contents(elsewhere)
    result, found = validate()
    assert result.returncode == 0, result.stderr
    assert (
        "2 of 8 images look like ones that the model has trained on (YES/again.bmp, no/copied.png): left out"
        in result.stderr
    )
    assert contents(elsewhere) == before
    assert found["split"] == "external" and found["labels"] == [1, 1, 1, 0, 0, 0]
    expected = Classifier.load(trained / "models" / "small.pth.tar").predict(
        [elsewhere / name for name in found["filenames"]]
    )
    assert np.array(found["predictive probabilities"]) == pytest.approx(expected, abs=1e-6)
    results = tmp_path / "elsewhere_results.json"
    assert call_script("calc_model_performance.py", tmp_path / "elsewhere_preds.json", results).returncode == 0
    assert json.loads(results.read_text(encoding="utf-8"))["Split"] == "external"
    result, found = validate("--keep_leaks")
    assert result.returncode == 0 and len(found["labels"]) == 8


def test_where_the_model_has_seen_every_image_none_is_left(validate, trained, elsewhere):
    for number, folder in enumerate(("no", "YES")):
        shutil.rmtree(elsewhere / folder)
        (elsewhere / folder).mkdir()
        shutil.copy(trained / "bin" / f"train é{number}.png", elsewhere / folder)
    result, found = validate()
    assert (error_places(result), found) == ([f"-external {elsewhere}"], None)


def test_subfolders_are_groups_and_no_option_is_named_that_only_partition_has(validate, elsewhere, class_folders):
    class_folders(elsewhere / "no", {"patient 7": 2}, seed=8)
    result, found = validate()
    assert result.returncode == 0 and "-subfolders" not in result.stdout
    of_patient = {name: group for name, group in zip(found["filenames"], found["groups"], strict=True) if "7" in name}
    assert len(of_patient) == 2 and len(set(of_patient.values())) == 1 < len(set(found["groups"]))


def test_classes_of_other_names_are_told_and_mapped(validate, elsewhere, tmp_path):
    (elsewhere / "YES").rename(elsewhere / "tumour")
    result, found = validate()
    assert (result.returncode, found) == (2, None)
    assert f"{elsewhere}: class 'tumour' is not a class of the model (no, yes)" in result.stderr
    table = tmp_path / "map.csv"
    table.write_text("external,class\nTumour,YES\n,\n")
    result, found = validate("-class_map", table)
    assert result.returncode == 0 and sorted(found["labels"]) == [0, 0, 0, 1, 1, 1]
    table.write_text("external,class\ntumour,maybe\nodd,yes\ntumour,yes\ntumour,no\n")
    result, _ = validate("-class_map", table)
    assert error_places(result) == [f"{table}, line {line}" for line in (2, 3, 5)]


def test_a_class_that_is_mapped_twice_is_an_error(validate, tmp_path):
    table = tmp_path / "map.csv"
    table.write_text("external,class\nno,no\nYES,yes\nno,yes\n")
    result, found = validate("-class_map", table)
    assert (error_places(result), found) == ([f"{table}, line 4"], None)


def test_a_map_that_leaves_out_every_class_is_an_error(validate, tmp_path):
    table = tmp_path / "map.csv"
    table.write_text("external,class\nno,\nYES,\n")
    result, found = validate("-class_map", table)
    assert (error_places(result), found) == ([f"-class_map {table}"], None)


def test_the_columns_of_a_table_of_labels_can_be_named(validate, elsewhere, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("scan,finding\n" + "".join(f"no/no{n}.png,yes\nYES/YES{n}.png,no\n" for n in range(3)))
    result, _ = validate("-labels_csv", table)
    assert result.returncode == 2 and "give -columns image=..." in result.stderr
    result, found = validate("-labels_csv", table, "-columns", "image=scan", "class=finding")
    assert result.returncode == 0, result.stderr
    assert dict(zip(found["filenames"], found["labels"], strict=True)) == {
        f"{folder}/{folder}{n}.png": label for folder, label in (("no", 1), ("YES", 0)) for n in range(3)
    }


def test_what_a_table_says_of_partitions_does_not_matter(validate, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("image,class,split,partition\nno/no0.png,no,holdout,1\nYES/YES0.png,yes,,2\n")
    result, found = validate("-labels_csv", table)
    assert result.returncode == 0 and found["labels"] == [1, 0], result.stderr
    result, _ = validate("-labels_csv", table, "-columns", "split=split")
    assert error_places(result) == ["-columns"]


def test_hashes_are_near_up_to_the_distance():
    bits = np.zeros((3, 256), dtype=np.uint8)
    bits[1, :10], bits[2, :11] = 1, 1
    near = thumbnails.any_near(np.packbits(bits, axis=1), np.packbits(bits[:1], axis=1), 10)
    assert near.tolist() == [True, True, False]
