import json
import math
import shlex
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from conftest import ROOT, SMALL_TRAINING, error_places
from PIL import Image

from pipeline import predictions

SCRIPT = "test_torchvision.py"
pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.usefixtures("no_curves")]


def read_strictly(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def split_of(project, partition):
    lines = (project / "csv" / f"{partition}.csv").read_text(encoding="utf-8").splitlines()
    names, labels = zip(*(line.split(",") for line in lines), strict=True)
    return list(names), [int(label) for label in labels]


def probabilities_by_hand(project, names):
    """Return what the model `small` of a project gives for images, without any of the project's code."""
    model = torchvision.models.shufflenet_v2_x0_5(num_classes=2)
    model.load_state_dict(torch.load(project / "models" / "small.pth.tar", weights_only=True)["state_dict"])
    model.eval()
    rows = []
    for name in names:
        with Image.open(project / "bin" / name) as image:
            grey = image.convert("L").resize((32, 32), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(grey, dtype=np.float32) / 255)
        with torch.no_grad():
            rows.append(model(pixels.expand(1, 3, 32, 32)).softmax(dim=1)[0].tolist())
    return rows


@pytest.mark.parametrize("partition", ["train", "val", "test"])
def test_the_predictions_are_those_of_a_forward_pass_done_by_hand(call_script, telling, partition, monkeypatch):
    monkeypatch.chdir(ROOT)
    result = call_script(SCRIPT, "-dir", telling, "-split", partition, "-batch_size", 3)
    assert (result.returncode, result.stderr) == (0, "")
    names, labels = split_of(telling, partition)
    path = telling / ("small_preds.json" if partition == "test" else f"small_{partition}_preds.json")
    content = read_strictly(path)
    expected = np.array(probabilities_by_hand(telling, names))
    assert np.ptp(expected[:, 0]) > 1e-3  # the images differ by more than the tolerance
    assert np.array(content["predictive probabilities"]) == pytest.approx(expected, abs=1e-5)
    assert content["predictions"] == expected.argmax(axis=1).tolist()
    assert content["labels"] == labels
    assert content["label probabilities"] == [[1.0, 0.0] if label == 0 else [0.0, 1.0] for label in labels]
    assert all(math.isclose(sum(row), 1, abs_tol=1e-9) for row in content["predictive probabilities"])
    others = ("filenames", "class names", "positive class", "split", "fold", "checkpoint")
    assert [content[name] for name in others] == [names, ["no", "yes"], "yes", partition, None, "small.pth.tar"]
    correct = sum(label == predicted for label, predicted in zip(labels, content["predictions"], strict=True))
    lines = result.stdout.splitlines()
    assert f"{partition}: {correct} of {len(labels)} images classified correctly" in lines
    assert f"wrote {path}" in lines
    command = ["python", "calc_model_performance.py", path, str(path).replace("_preds.json", "_results.json")]
    assert f"next: {shlex.join(map(str, command))}" in lines


def test_the_published_long_form_works(call_script, trained):
    options = (
        "-dir", trained, "-classes", 2, "-batch_size", 100, "-save", "small.pth.tar", "-architecture",
        "shufflenet_v2_x0_5", "-result_json_name", "é preds.json", "-img_size", 3, 32, 32,
    )  # fmt: skip
    result = call_script(SCRIPT, *options)
    assert (result.returncode, result.stderr) == (0, "")
    assert read_strictly(trained / "é preds.json")["split"] == "test"


def test_predictions_and_the_training_record_name_the_same_weights(call_script, trained):
    assert call_script(SCRIPT, "-dir", trained).returncode == 0
    record = json.loads((trained / "results" / "small_hyperparameters.json").read_text())
    assert json.loads((trained / "small_preds.json").read_text())["weights"] == [record["weights hash"]]


def test_predictions_are_replaced_and_that_is_told(call_script, trained):
    path = trained / "small_preds.json"
    assert f"wrote {path}" in call_script(SCRIPT, "-dir", trained).stdout.splitlines()
    assert f"replaced {path}" in call_script(SCRIPT, "-dir", trained).stdout.splitlines()
    assert read_strictly(path)["checkpoint"] == "small.pth.tar"


def test_the_model_may_be_named_where_there_are_several_and_must_be(call_script, trained):
    models = trained / "models"
    (models / "another.pth.tar").write_bytes((models / "small.pth.tar").read_bytes())
    result = call_script(SCRIPT, "-dir", trained)
    assert result.returncode == 2
    assert result.stderr.startswith(f"{SCRIPT}: error: -save: {models} has 2 models: another.pth.tar, small.pth.tar; ")
    for name in ("another.pth.tar", models / "another.pth.tar"):
        assert call_script(SCRIPT, "-dir", trained, "-save", name).returncode == 0
    assert read_strictly(trained / "another_preds.json")["checkpoint"] == "another.pth.tar"


def test_the_positive_class_can_be_chosen_and_that_is_told(call_script, trained):
    result = call_script(SCRIPT, "-dir", trained, "-positive_class", "no")
    path = trained / "models" / "small.pth.tar"
    assert result.returncode == 0
    assert result.stderr == f"note: positive class 'no' instead of 'yes', which {path} names\n"
    assert read_strictly(trained / "small_preds.json")["positive class"] == "no"
    assert call_script(SCRIPT, "-dir", trained, "-positive_class", "yes").stderr == ""


def test_a_model_for_one_channel_of_many_classes_is_tested_with_its_own_settings(call_script, draw_project, tmp_path):
    project = draw_project(tmp_path / "project", class_names=("a", "b", "c"), mode="RGB")
    small = (*SMALL_TRAINING, "-num_epochs", 1)
    call_script("train_torchvision.py", "-dir", project, *small, "-img_shape", 1, 40, 36)
    assert call_script(SCRIPT, "-dir", project).returncode == 0
    content = read_strictly(project / "shufflenet_v2_x0_5_preds.json")
    assert content["class names"] == ["a", "b", "c"]
    assert content["positive class"] is None
    assert {len(row) for row in content["predictive probabilities"]} == {3}


def test_colour_is_kept_for_a_model_that_was_trained_with_it(call_script, telling):
    path = telling / "models" / "small.pth.tar"
    torch.save({**torch.load(path, weights_only=True), "preprocessing": {"keep_color": True}}, path)
    name = split_of(telling, "test")[0][0]
    found = []
    for color in ("red", "blue"):
        Image.new("RGB", (20, 20), color).save(telling / "bin" / name)
        assert call_script(SCRIPT, "-dir", telling).returncode == 0
        found.append(read_strictly(telling / "small_preds.json")["predictive probabilities"][0][0])
    assert abs(found[0] - found[1]) > 1e-3


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (["-architecture", "densenet"], "-architecture densenet121"),
        (["-classes", 3], "-classes 3"),
        (["-img_size", 3, 224, 224], "-img_size 3 224 224"),
        (["-mc_samples", 30], "-mc_samples"),  # without dropout
        (["-mc_samples", 1], "-mc_samples"),
        (["-mc_samples", 10_001], "-mc_samples"),
        (["-split", "all"], "-split"),
        (["-result_json_name", ""], "-result_json_name"),
    ],
)
def test_an_option_that_contradicts_the_model_or_cannot_be_is_named(call_script, trained, options, place):
    assert error_places(call_script(SCRIPT, "-dir", trained, *options)) == [place]
    assert not list(trained.glob("*.json"))


def test_other_class_names_than_the_models_are_an_error(call_script, trained):
    (trained / "csv" / "classes.csv").write_text("0,yes\n1,no\n")
    assert error_places(call_script(SCRIPT, "-dir", trained)) == [str(trained / "models" / "small.pth.tar")]


def test_a_bare_checkpoint_is_tested_as_the_options_say(call_script, trained):
    path = trained / "models" / "small.pth.tar"
    assert call_script(SCRIPT, "-dir", trained).returncode == 0
    expected = read_strictly(trained / "small_preds.json")
    weights = torch.load(path, weights_only=True)["state_dict"]
    torch.save({"state_dict": weights, "optimizer": {}}, path)
    said = ("-architecture", "shufflenet_v2_x0_5", "-classes", 2, "-img_size", 3, 32, 32)
    assert call_script(SCRIPT, "-dir", trained, *said).returncode == 0
    found = read_strictly(trained / "small_preds.json")
    assert found.pop("command line") != expected.pop("command line")
    assert found == expected


def test_weights_that_are_not_finite_are_an_error(call_script, trained):
    path = trained / "models" / "small.pth.tar"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["fc.bias"][0] = float("nan")
    torch.save(content, path)
    result = call_script(SCRIPT, "-dir", trained)
    fault = f"{path}: its weights are not all finite numbers (fc.bias): the file is damaged or training diverged"
    assert (result.returncode, result.stderr) == (2, f"{SCRIPT}: error: {fault}; train it again\n")
    assert not list(trained.glob("*.json"))


def test_a_missing_project_is_named(call_script):
    assert error_places(call_script(SCRIPT, "-dir", "nowhere")) == ["nowhere"]


def test_no_function_of_the_script_is_taken_for_a_test():
    assert "def test_" not in (ROOT / SCRIPT).read_text(encoding="utf-8")


@pytest.fixture
def with_dropout(call_script, trained):
    """A trained project with the model `new`, which has dropout."""
    result = call_script(
        "train_torchvision.py", "-dir", trained, *SMALL_TRAINING, "-num_epochs", 1, "-save", "new.pth.tar",
        "-dropout", 0.3,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return trained


def test_predictions_say_how_uncertain_they_are(call_script, with_dropout):
    command = (SCRIPT, "-dir", with_dropout, "-save", "new.pth.tar", "-mc_samples", 30)
    assert call_script(*command).returncode == 0
    content = read_strictly(with_dropout / "new_preds.json")
    assert content["Monte Carlo samples"] == 30
    found = predictions.read(with_dropout / "new_preds.json")
    expected = -(found.probabilities * np.log(found.probabilities)).sum(axis=1)
    assert found.predictive_entropy == pytest.approx(expected)
    assert (found.mutual_information >= 0).all() and found.mutual_information.max() > 0
    assert (found.mutual_information <= found.predictive_entropy).all()
    assert found.predictions.tolist() == found.probabilities.argmax(axis=1).tolist()
    # The same command gives the same numbers.
    call_script(*command)
    assert read_strictly(with_dropout / "new_preds.json") == content
    # And they are used where the performance is calculated.
    files = [with_dropout / f"new_{name}.json" for name in ("preds", "results")]
    assert call_script("calc_model_performance.py", *files).returncode == 0
    referral = read_strictly(files[1])["Referral"]
    assert (referral["Monte Carlo samples"], referral["referred"]) == (30, 1)
    assert set(referral["by"]) == {"predictive entropy", "mutual information"}


def test_new_images_are_sampled_as_those_of_a_partition_are(call_script, with_dropout, tmp_path):
    call_script(SCRIPT, "-dir", with_dropout, "-save", "new.pth.tar", "-mc_samples", 4)
    found = predictions.read(with_dropout / "new_preds.json")
    (tmp_path / "images").mkdir()
    for name in found.file_names:
        shutil.copy(with_dropout / "bin" / name, tmp_path / "images")
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    model, out = with_dropout / "models" / "new.pth.tar", tmp_path / "new.csv"
    command = (SCRIPT, "-save", model, "-images", tmp_path / "images", "-out", out, "-mc_samples", 4, "-batch_size", 2)
    assert call_script(*command).returncode == 0
    table = pd.read_csv(out)
    uncertainty = ["predictive_entropy", "mutual_information"]
    columns = ["file_name", "predicted_class", "probability_no", "probability_yes", *uncertainty, "error"]
    columns += ["seen_in_training", "distance_percentile", "unlike_training", "nearest_training_image"]
    assert list(table) == columns
    (unreadable,) = table[table["error"].notna()].to_dict("records")
    assert unreadable["file_name"] == "notes.txt"
    assert all(np.isnan(unreadable[column]) for column in columns[2:6])
    table = table.set_index("file_name").loc[found.file_names]
    assert table["probability_yes"].to_numpy() == pytest.approx(found.probabilities[:, 1], abs=1e-6)
    assert table["predictive_entropy"].to_numpy() == pytest.approx(found.predictive_entropy, abs=1e-6)
    assert table["mutual_information"].to_numpy() == pytest.approx(found.mutual_information, abs=1e-6)


def test_what_is_in_the_place_of_a_file_or_a_folder_is_told_before_anything_is_predicted(
    call_script, trained, tmp_path
):
    for folder in (trained / "a.json", tmp_path / "a.csv", tmp_path / "a.json", tmp_path / "a.safetensors"):
        folder.mkdir()
    mine = [trained / "mine.json", trained / "x_explained.png"]
    mine += [tmp_path / name for name in ("mine.csv", "mine.onnx", "b_explained")]
    for path in mine:
        path.write_text('{"mine": 1}')
    model = ("-save", trained / "models" / "small.pth.tar")
    new = (*model, "-images", trained / "bin", "-out")
    for place, arguments in (
        (trained / "a.json", ("-dir", trained, "-result_json_name", "a.json")),
        (trained / "mine.json", ("-dir", trained, "-result_json_name", "mine.json")),
        (trained / "x_explained.png", ("-dir", trained, "-result_json_name", "x.json")),
        (tmp_path / "a.csv", (*new, tmp_path / "a.csv")),
        (tmp_path / "mine.csv", (*new, tmp_path / "mine.csv")),
        (tmp_path / "b_explained", (*new, tmp_path / "b.csv", "--explain")),
        (tmp_path / "a.json", (*model, "-external", trained, "-out", tmp_path / "a.json")),
        (tmp_path / "a.safetensors", (*model, "-export", tmp_path / "a.safetensors")),
        (tmp_path / "mine.onnx", (*model, "-export", tmp_path / "mine.onnx")),
    ):
        result = call_script(SCRIPT, *arguments)
        assert (error_places(result), result.stdout) == ([str(place)], "")
    assert {path.read_text() for path in mine} == {'{"mine": 1}'}


def test_a_model_whose_training_was_stopped_says_so(call_script, trained):
    path, last = (trained / "models" / f"small{suffix}" for suffix in (".pth.tar", ".last.pth.tar"))
    result = call_script(SCRIPT, "-dir", trained, "-save", last.name)  # of which the model says that it is finished
    assert (result.returncode, result.stderr) == (0, "")
    options = {"maximum number of epochs": 256}
    torch.save({**torch.load(path, weights_only=True), "finished": False, "epoch": 1, "options": options}, path)
    result = call_script(SCRIPT, "-dir", trained)
    assert result.returncode == 0
    # The last epoch is that of the state to resume from.
    assert result.stderr.startswith(f"note: {path}: the training was not finished, stopped at epoch 2 of 256; ")
    result = call_script(SCRIPT, "-dir", trained, "-save", last.name)
    assert result.stderr.startswith(f"note: {last}: the training was not finished, stopped at epoch 2 of 256; ")
    preds, results = (trained / f"small_{name}.json" for name in ("preds", "results"))
    assert read_strictly(preds)["training"] == "stopped at epoch 2 of 256"
    result = call_script("calc_model_performance.py", preds, results)
    assert result.returncode == 0 and "stopped at epoch 2 of 256" in result.stdout + result.stderr
    path.write_bytes(b"damaged")
    result = call_script(SCRIPT, "-dir", trained, "-save", last.name)
    assert result.returncode == 0 and f"{last}: the training was not finished" in result.stderr


def test_a_bare_checkpoint_is_told_what_is_assumed_and_takes_what_is_given(call_script, trained):
    path = trained / "models" / "small.pth.tar"
    torch.save(torch.load(path, weights_only=True)["state_dict"], trained / "bare.pth")
    said = ("-architecture", "shufflenet_v2_x0_5", "-img_size", 3, 32, 32)
    bare = ("-dir", trained, "-save", trained / "bare.pth", *said)
    result = call_script(SCRIPT, *bare)
    assert result.returncode == 0 and "does not say how images are prepared" in result.stderr
    plain = read_strictly(trained / "bare.pth_preds.json")["predictive probabilities"]
    result = call_script(SCRIPT, *bare, "-mean", 0.5, "-std", 0.25)
    assert result.returncode == 0 and "how images are prepared" not in result.stderr
    assert read_strictly(trained / "bare.pth_preds.json")["predictive probabilities"] != plain
    for wrong in (("-mean", 0.5), ("-mean", 0.5, 0.5, 0.5, "-std", 1, 1, 1)):  # of a model that sees grey values
        assert error_places(call_script(SCRIPT, *bare, *wrong)) == ["-mean, -std"]
    result = call_script(SCRIPT, "-dir", trained, "-mean", 0.5, "-std", 0.25)
    assert result.returncode == 2 and f"-mean: {path} says none" in result.stderr


@pytest.fixture
def two_folds(trained):
    for fold in (0, 1):
        shutil.copytree(trained / "csv", trained / "csv" / f"fold_{fold}", ignore=shutil.ignore_patterns("fold_*"))
        shutil.copy(trained / "models" / "small.pth.tar", trained / "models" / f"small_fold_{fold}.pth.tar")
    return trained


def test_after_all_folds_the_next_command_pools_them(call_script, two_folds):
    result = call_script(SCRIPT, "-dir", two_folds, "-fold", "all", "-save", "small")
    assert result.returncode == 0, result.stderr
    names = [Path(word.strip("'")).name for word in shlex.split(result.stdout.splitlines()[-1])[2:]]
    assert names == [
        "calc_model_performance.py",
        "small_fold_0_preds.json",
        "small_fold_1_preds.json",
        "small_results.json",
    ]


def test_what_is_wrong_with_the_split_of_any_fold_is_told_before_the_first_is_predicted(call_script, two_folds):
    table = two_folds / "csv" / "fold_1" / "test.csv"
    lines = table.read_text(encoding="utf-8")
    table.write_text(lines + "gone.png,0\n", encoding="utf-8")
    result = call_script(SCRIPT, "-dir", two_folds, "-fold", "all", "-save", "small")
    assert error_places(result) == [f"{table}, line 5"] and "run organize_files.py if" in result.stderr
    assert not list(two_folds.glob("*_preds.json"))
