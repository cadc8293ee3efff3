"""Doubtful labels: what test_torchvision.py lists of them, and how partition_datasets.py takes corrections."""

import base64
import html
import json
import re
import shlex
import shutil
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import SMALL_TRAINING, error_places
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from pipeline import files
from pipeline.learning.doubtful_labels import label_quality

PARTITION, TEST = "partition_datasets.py", "test_torchvision.py"
SPLIT = ["-folds", 2, "-seed", 3, "-near_duplicates", 4, "-val_test_prop", 0.15, "--keep_label_conflicts"]


def read(path):
    return pd.read_csv(path, keep_default_na=False, dtype=str)


@pytest.fixture(scope="module")
def examined_once(tmp_path_factory):
    """A project of two folds, its models, and the page and the table of doubtful labels."""
    import organize_files
    import partition_datasets
    import test_torchvision
    import train_torchvision

    root = tmp_path_factory.mktemp("doubt") / "data"
    random = np.random.default_rng(0)
    for name in ("no", "a<b"):
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{name[0]}{number}.png")
    partition_datasets.main(["-dir", root, *SPLIT])
    organize_files.main([root])
    train_torchvision.main(["-dir", root, "-fold", "all", *SMALL_TRAINING, "-num_epochs", 1, "-save", "small.pth.tar"])
    test_torchvision.main(["-dir", root, "-fold", "all", "-doubtful_labels", "doubt.html"])
    return root


@pytest.fixture
def examined(examined_once, tmp_path):
    return shutil.copytree(examined_once, tmp_path / "data")


def test_quality_is_the_normalized_margin():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0, 0, 1]])
    assert label_quality(np.array([0, 2, 0]), probabilities) == pytest.approx([0.75, 0.2, 0])


def test_the_table_lists_what_other_folds_predict_otherwise_and_the_nearest_of_both_classes(examined):
    expected = {}
    for fold in range(2):
        found = json.loads((examined / f"small_fold_{fold}_preds.json").read_text(encoding="utf-8"))
        for name, label, probabilities in zip(
            found["filenames"], found["labels"], found["predictive probabilities"], strict=True
        ):
            if probabilities[1 - label] > probabilities[label]:
                expected[name] = (fold, label, probabilities[label], found["class names"])
    table = read(examined / "doubt.csv")
    assert len(expected) > 0 and set(table["image"]) == set(expected)
    assert set(table["class"]) == {""}
    assert table["label_quality"].astype(float).is_monotonic_increasing
    for row in table.itertuples():
        fold, label, quality, names = expected[row.image]
        assert (row.given_class, row.suggested_class) == (names[label], names[1 - label])
        assert float(row.label_quality) == pytest.approx(quality, abs=1e-4)
        training = pd.read_csv(examined / "csv" / f"fold_{fold}" / "train.csv", header=None, index_col=0)[1]
        assert (training[row.nearest_of_given_class], training[row.nearest_of_suggested_class]) == (label, 1 - label)


def test_the_nearest_image_is_that_of_an_independent_search(examined):
    from pipeline.learning.classifier import Classifier

    row = read(examined / "doubt.csv").iloc[0]
    for fold in range(2):
        if row["image"] in set(pd.read_csv(examined / "csv" / f"fold_{fold}" / "test.csv", header=None)[0]):
            break
    classifier = Classifier.load(examined / "models" / f"small_fold_{fold}.pth.tar")
    taken = []
    classifier.last_layer.register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    classifier.predict([examined / "bin" / row["image"]])
    training = pd.read_csv(examined / "csv" / f"fold_{fold}" / "train.csv", header=None, index_col=0)[1]
    reference = classifier.checkpoint.reference
    label = classifier.class_names.index(row["given_class"])
    own = [index for index, name in enumerate(reference["names"]) if training[name] == label]
    features = torch.nn.functional.normalize(taken[0].flatten(1), dim=1).numpy()
    search = NearestNeighbors(n_neighbors=1).fit(reference["features"][own].float())
    indices = search.kneighbors(features, return_distance=False)
    assert reference["names"][own[indices[0, 0]]] == row["nearest_of_given_class"]


def test_the_page_holds_its_pictures_and_escapes_names(examined):
    page = (examined / "doubt.html").read_text(encoding="utf-8")
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == 3 * len(read(examined / "doubt.csv"))
    assert Image.open(BytesIO(base64.b64decode(pictures[0]))).size == (8, 8)
    assert "a&lt;b" in page and "a<b" not in page and "http" not in page


def test_corrections_go_back_in_and_stay(examined, call_script):
    table, before = read(examined / "doubt.csv"), read(examined / "csv" / "images.csv").set_index("file_name")
    assert set(before["corrected_from"]) == {""}
    wrong, right = table["image"][0], table["image"][1]
    table.loc[0, "class"], table.loc[1, "class"] = table["suggested_class"][0].upper(), table["given_class"][1]
    # As some spreadsheets save it, and with a header in another case.
    table.rename(columns=str.title).to_csv(examined / "doubt.csv", index=False, sep=";")
    result = call_script(TEST, "-dir", examined, "-fold", "all", "-doubtful_labels", "doubt.html")
    assert result.returncode == 2 and "doubt.csv: is filled in" in result.stderr
    result = call_script(PARTITION, "-dir", examined, "-folds", 2, "-labels_csv", examined / "doubt.csv")
    assert result.returncode == 0 and "1 label corrected, 1 confirmed" in result.stdout
    assert call_script(PARTITION, "-dir", examined, "-folds", 2).returncode == 0  # labels come from folders as before
    after = read(examined / "csv" / "images.csv").set_index("file_name")
    assert (after["class_name"] != before["class_name"]).sum() == 1
    assert after.loc[wrong, "class_name"] == table["suggested_class"][0]
    assert after.loc[wrong, "corrected_from"] == before.loc[wrong, "class_name"]
    assert after.loc[right, "corrected_from"] == ""
    classes = pd.read_csv(examined / "csv" / "classes.csv", header=None)[1]
    tested = pd.concat(pd.read_csv(examined / "csv" / f"fold_{k}" / "test.csv", header=None) for k in range(2))
    assert classes[tested.set_index(0)[1][wrong]] == table["suggested_class"][0]


def test_the_command_that_page_and_note_give_splits_as_before(examined, call_script):
    """With the options that are not remembered; only the table is added."""
    before = {path: path.read_bytes() for path in (examined / "csv").glob("fold_*/*.csv")}
    result = call_script(TEST, "-dir", examined, "-fold", "all", "-doubtful_labels", "again.html")
    assert result.returncode == 0, result.stderr
    command = result.stderr.rpartition("split again: ")[2].strip()
    page = html.unescape((examined / "again.html").read_text(encoding="utf-8"))
    assert f"<pre>{command}</pre>" in re.sub("</?span>", "", page)
    assert len(re.findall('<img src="[^"]+" alt="[^"]+">', page)) == page.count("<img") > 0
    script, *words = shlex.split(command)[1:]
    assert script.endswith(PARTITION) and words[-2:] == ["-labels_csv", str(examined / "again.csv")]
    table = read(examined / "again.csv")
    table.loc[0, "class"] = table["given_class"][0]  # a confirmation: the split stays the same
    table.to_csv(examined / "again.csv", index=False)
    assert call_script(PARTITION, *words).returncode == 0
    assert len(before) == 6 and before == {path: path.read_bytes() for path in (examined / "csv").glob("fold_*/*.csv")}


@pytest.mark.parametrize(
    ("class_name", "image", "fault"),
    [
        ("maybe", None, "line 2: 'maybe' is not a class (a<b, no)"),
        ("no", "x.png", "line 2: 'x.png'"),
        ("", None, "empty"),
    ],
)
def test_what_is_no_correction_is_named_and_changes_nothing(examined, call_script, contents, class_name, image, fault):
    table = read(examined / "doubt.csv")
    table.loc[0, "class"], table.loc[0, "image"] = class_name, image or table["image"][0]
    table.to_csv(examined / "doubt.csv", index=False)
    before = contents(examined)
    result = call_script(PARTITION, "-dir", examined, "-folds", 2, "-labels_csv", examined / "doubt.csv")
    assert result.returncode == 2 and fault in result.stderr and "doubt.csv" in result.stderr
    assert contents(examined) == before


def test_a_report_is_not_replaced_by_the_page_but_an_earlier_page_is_and_that_is_told(examined, call_script):
    report = examined / "five_folds_report.html"
    report.write_text(f'<meta content="{files.MARK}"><title>Performance of small</title>')
    command = (TEST, "-dir", examined, "-fold", "all", "-doubtful_labels")
    assert error_places(call_script(*command, report.name)) == [str(report)]
    assert not report.with_suffix(".csv").exists()
    assert f"replaced {examined / 'doubt.html'} and " in call_script(*command, "doubt.html").stdout
