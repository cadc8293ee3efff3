import io
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import error_places

from pipeline.errors import UserError
from pipeline.learning import task_files
from pipeline.learning.classifier import Classifier
from pipeline.learning.ensemble import Ensemble

SCRIPT = "test_torchvision.py"
pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def folds(telling):
    """A project of three folds with the same test images; their models differ."""
    for fold in range(3):
        shutil.copytree(telling / "csv", telling / "csv" / f"fold_{fold}", ignore=shutil.ignore_patterns("fold_*"))
        content = torch.load(telling / "models" / "small.pth.tar", weights_only=True)
        content["state_dict"]["fc.bias"] += torch.tensor([0.0, 0.4 * fold])
        torch.save(content, telling / "models" / f"small_fold_{fold}.pth.tar")
    return telling


def entropy(probabilities):
    return -(probabilities * np.log(probabilities)).sum(axis=-1)


def test_new_images_get_the_mean_of_the_folds_and_how_far_they_disagree(call_script, folds, tmp_path):
    out = tmp_path / "new.csv"
    (folds / "bin" / "notes.txt").write_text("not an image")
    result = call_script(SCRIPT, "-dir", folds, "-save", "small", "-fold", "all", "-images", folds / "bin", "-out", out)
    assert (result.returncode, result.stderr.count("\n")) == (0, 2), result.stderr
    table = pd.read_csv(out, keep_default_na=False).set_index("file_name")
    ours = table.drop(index="notes.txt")
    assert list(table)[4:7] == ["seen_in_training", "fold_deviation", "fold_mutual_information"]
    paths = [folds / "bin" / name for name in ours.index]
    each = np.stack([Classifier.load(folds / f"models/small_fold_{fold}.pth.tar").predict(paths) for fold in range(3)])
    assert ours["probability_yes"].astype(float).to_numpy() == pytest.approx(each[..., 1].mean(axis=0), abs=1e-6)
    assert each[..., 1].std(axis=0, ddof=1).min() > 0.01
    assert ours["fold_deviation"].astype(float).to_numpy() == pytest.approx(each[..., 1].std(axis=0, ddof=1), abs=1e-6)
    expected = entropy(each.mean(axis=0)) - entropy(each).mean(axis=0)
    assert ours["fold_mutual_information"].astype(float).to_numpy() == pytest.approx(expected, abs=1e-6)
    for name, part in ours["seen_in_training"].items():
        assert part == {"train": "train", "val": "val", "test": "no"}[name.split()[0]]
    outputs = Ensemble.load(folds / "models" / "small.pth.tar").predict(paths, batch_size=5)
    assert outputs.probabilities == pytest.approx(each.mean(axis=0), abs=1e-6)


def test_an_image_that_one_fold_has_trained_on_and_the_last_one_tuned_on_was_trained_on(call_script, folds):
    path = folds / "models" / "small_fold_2.pth.tar"
    content = torch.load(path, weights_only=True)
    seen = content["seen_images"]
    content["seen_images"] = {"train": seen["val"], "val": seen["train"]}
    torch.save(content, path)
    result = call_script(SCRIPT, "-dir", folds, "-save", "small", "-fold", "all", "-images", folds / "bin")
    table = pd.read_csv(io.StringIO(result.stdout), keep_default_na=False)
    expected = ["no" if name.startswith("test") else "train" for name in table["file_name"]]
    assert table["seen_in_training"].tolist() == expected


def test_one_fold_is_that_model_and_a_missing_one_is_an_error(call_script, folds):
    images = ("-images", folds / "bin" / "test é0.png")
    model = folds / "models" / "small_fold_1.pth.tar"
    one = call_script(SCRIPT, "-save", folds / "models" / "small.pth.tar", "-fold", 1, *images)
    assert one.returncode == 0 and one.stdout == call_script(SCRIPT, "-save", model, *images).stdout
    model.unlink()
    result = call_script(SCRIPT, "-save", folds / "models" / "small.pth.tar", "-fold", "all", *images)
    assert result.returncode == 2 and f"{model}: no such checkpoint" in result.stderr


def test_a_labelled_partition_is_only_predicted_together_where_no_fold_has_trained_on_it(call_script, folds):
    command = (SCRIPT, "-dir", folds, "-save", "small", "-fold", "all", "--ensemble")
    result = call_script(*command)
    assert result.returncode == 0, result.stderr
    content = json.loads((folds / "small_ensemble_preds.json").read_text(encoding="utf-8"))
    paths = [folds / "bin" / name for name in content["filenames"]]
    expected = Ensemble.load(folds / "models" / "small").predict(paths).probabilities
    assert np.array(content["predictive probabilities"]) == pytest.approx(expected, abs=1e-6)
    test, train = ((folds / "csv" / "fold_2" / f"{name}.csv") for name in ("test", "train"))
    (first, *tests), (other, *trains) = (path.read_text("utf-8").splitlines() for path in (test, train))
    test.write_text("\n".join([other, *tests]), encoding="utf-8")
    train.write_text("\n".join([first, *trains]), encoding="utf-8")
    result = call_script(*command)
    assert result.returncode == 2 and result.stderr.startswith(f"{SCRIPT}: error: --ensemble: ")


def test_an_operating_point_that_was_measured_together_is_applied_together_and_not_to_one_fold(
    call_script, folds, tmp_path
):
    for split in ("test", "val"):
        result = call_script(SCRIPT, "-dir", folds, "-save", "small", "-fold", "all", "--ensemble", "-split", split)
        assert result.returncode == 0, result.stderr
    measured, chosen, results = (folds / f"small_ensemble_{name}.json" for name in ("preds", "val_preds", "results"))
    assert call_script("calc_model_performance.py", measured, results, "-threshold_from", chosen).returncode == 0
    point = json.loads(results.read_text(encoding="utf-8"))["Operating Point"]
    assert point["checkpoints"] == ["small_ensemble.pth.tar"] and len(set(point["weights"])) == 3

    command = (SCRIPT, "-dir", folds, "-save", "small", "-images", folds / "bin", "-operating_point", results)
    out = tmp_path / "new.csv"
    result = call_script(*command, "-fold", "all", "-out", out)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(out)
    expected = np.where(table["probability_yes"] >= point["threshold"], "yes", "no")
    assert table["finding"].tolist() == expected.tolist()
    start, end = f"{SCRIPT}: error: -operating_point {results}: is of", "; give the model's own results\n"
    fault = f"{start} small_ensemble.pth.tar, not of small_fold_0.pth.tar{end}"
    assert call_script(*command, "-fold", 0).stderr == fault
    path = folds / "models" / "small_fold_1.pth.tar"
    content = torch.load(path, weights_only=True)
    content["state_dict"]["fc.bias"] += 1
    torch.save(content, path)
    fault = f"{start} other weights of small_ensemble.pth.tar{end}"
    assert call_script(*command, "-fold", "all", "-out", out).stderr == fault


def test_external_images_get_the_mean_of_the_folds_without_twins_of_what_any_has_seen(
    call_script, folds, class_folders, tmp_path
):
    elsewhere, out = class_folders(tmp_path / "elsewhere", {"no": 3, "yes": 3}, seed=7), tmp_path / "out_preds.json"
    shutil.copy(folds / "bin" / "train é0.png", elsewhere / "no" / "copied.png")
    model = folds / "models" / "small.pth.tar"
    result = call_script(SCRIPT, "-save", model, "-fold", "all", "-external", elsewhere, "-out", out)
    assert result.returncode == 0 and "1 of 7 images look like ones that the model has trained on" in result.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    images = [elsewhere / name for name in found["filenames"]]
    of_folds = [Classifier.load(model.with_name(f"small_fold_{fold}.pth.tar")).predict(images) for fold in range(3)]
    assert len(images) == 6 and found["split"] == "external"
    assert np.array(found["predictive probabilities"]) == pytest.approx(np.mean(of_folds, axis=0), abs=1e-6)


def test_models_of_other_classes_or_another_positive_class_do_not_predict_together(call_script, folds, tmp_path):
    paths = [folds / "models" / f"small_fold_{fold}.pth.tar" for fold in range(3)]
    command = (SCRIPT, "-save", folds / "models" / "small.pth.tar", "-fold", "all")
    new = (*command, "-images", folds / "bin", "-out", tmp_path / "new.csv")
    external = (*command, "-external", folds / "bin", "-out", tmp_path / "new.json")
    together = (SCRIPT, "-dir", folds, "-save", "small", "-fold", "all", "--ensemble")

    def change(path, **entries):
        torch.save({**torch.load(path, weights_only=True), **entries}, path)

    change(paths[1], positive_class="no")
    positive = (
        f"{paths[1]}: has the positive class 'no', {paths[0]} has 'yes'; choose one for all with -positive_class; for "
        "-images, do so in train_torchvision.py with --resume"
    )
    (folds / "labels.csv").write_text("image,class\ntest é0.png,no\ntest é1.png,yes\n", encoding="utf-8")
    external += ("-labels_csv", folds / "labels.csv")
    for words in (new, external, together):
        result = call_script(*words)
        assert (result.returncode, result.stderr) == (2, f"{SCRIPT}: error: {positive}\n")
    with pytest.raises(UserError) as error:
        Ensemble.load(folds / "models" / "small.pth.tar")
    assert error.value.faults == (positive,)
    for words, out in ((external, tmp_path / "new.json"), (together, folds / "small_ensemble_preds.json")):
        result = call_script(*words, "-positive_class", "no")
        assert result.returncode == 0 and result.stderr.count("note: positive class 'no' instead of 'yes'") == 2
        assert json.loads(out.read_text(encoding="utf-8"))["positive class"] == "no"

    change(paths[2], class_names=["yes", "no"])
    result = call_script(*new)
    assert (result.returncode, result.stderr) == (
        2,
        f"{SCRIPT}: error: {paths[2]}: has the classes yes, no, {paths[0]} has no, yes; only models of the same "
        "classes predict together\n",
    )


def test_a_fold_that_was_trained_with_other_settings_is_named(call_script, folds, tmp_path):
    model = folds / "models" / "small_fold_2.pth.tar"
    content = torch.load(model, weights_only=True)
    usual = content["options"]["batch size"]
    content["options"] |= {"batch size": usual + 1, "seed": 3, "device": "another"}
    content["reference"] = None  # so that new images cannot be compared with its training images
    torch.save(content, model)
    told = f"{model}: trained with other settings than small_fold_0.pth.tar: batch size {usual + 1} instead of {usual}"
    all_folds = (SCRIPT, "-dir", folds, "-save", "small", "-fold", "all")
    for words in ([], ["--ensemble"], ["-images", folds / "bin", "-out", tmp_path / "new.csv"]):
        result = call_script(*all_folds, *words)
        assert (result.returncode, result.stderr.count(f"note: {told}, seed 3 instead of 0\n")) == (0, 1), result.stderr
        assert result.stderr.count("other settings") == 1


def test_a_fold_that_is_left_of_an_earlier_split_is_named(call_script, folds, tmp_path):
    models = [folds / "models" / f"small_fold_{fold}.pth.tar" for fold in range(3)]
    new_images = (SCRIPT, "-save", folds / "models" / "small.pth.tar", "-fold", "all", "-images", folds / "bin")
    contents = [torch.load(path, weights_only=True) for path in models]
    everything = contents[0]["seen_images"]["train"]
    for fold, tested in enumerate([everything[:1], everything[1:2], everything[1:3]]):
        contents[fold]["seen_images"] = {"train": [image for image in everything if image not in tested], "val": []}
        torch.save(contents[fold], models[fold])
    result = call_script(*new_images, "-out", tmp_path / "new.csv")
    assert result.returncode == 0 and " predicted by 3 models; wrote " in result.stdout
    assert f"note: {models[1]} and small_fold_2.pth.tar: have both not seen images" in result.stderr
    contents[2]["seen_images"] = {"train": [*everything[:2], *everything[3:]], "val": []}
    torch.save(contents[2], models[2])
    result = call_script(*new_images, "-out", tmp_path / "new.csv")
    assert result.returncode == 0 and "different splits" not in result.stderr


def test_labels_that_differ_between_the_folds_are_named(call_script, folds):
    paths = [folds / "csv" / f"fold_{fold}" / "test.csv" for fold in range(2)]
    first, *others = paths[1].read_text("utf-8").splitlines()
    assert first == "test é0.png,0"
    paths[1].write_text("\n".join([*others, "test é0.png,1"]), encoding="utf-8")
    result = call_script(SCRIPT, "-dir", folds, "-save", "small", "-fold", "all", "--ensemble")
    assert (result.returncode, result.stderr) == (
        2,
        f"{SCRIPT}: error: {paths[1]}: 'test é0.png' has the class index 1, in {paths[0]} 0; correct one of them\n",
    )


def test_models_of_an_earlier_split_into_more_folds_are_not_taken(call_script, folds, tmp_path):
    shutil.rmtree(folds / "csv" / "fold_2")
    model = folds / "models" / "small_fold_2.pth.tar"
    new = ("-images", folds / "bin", "-out", tmp_path / "new.csv")
    for name in ("small", folds / "models" / "small.pth.tar"):
        for words in (["--ensemble"], new):
            result = call_script(SCRIPT, "-dir", folds, "-save", name, "-fold", "all", *words)
            assert error_places(result) == ["-fold all"] and f" {model}: " in result.stderr


def test_the_results_of_all_folds_are_named_after_the_partition_too():
    def proposed(*names):
        return task_files.results_path([Path("project", name) for name in names])

    assert proposed("m_fold_0_preds.json", "m_fold_1_preds.json") == Path("project/m_results.json")
    assert proposed("m_fold_0_val_preds.json", "m_fold_1_val_preds.json") == Path("project/m_val_results.json")
    assert proposed("m_fold_0_val_preds.json") == Path("project/m_fold_0_val_results.json")
