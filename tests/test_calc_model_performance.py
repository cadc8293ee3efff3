import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import error_places
from made_predictions import GOLDEN, content, multiclass, random_two_class

from pipeline import files, operating_point
from pipeline.errors import UserError
from pipeline.operating_point import calibrated
from pipeline.performance.figures import exact_interval
from pipeline.predictions import read
from pipeline.split_files import SplitRecord

pytestmark = pytest.mark.usefixtures("empty_pictures")

SCRIPT = "calc_model_performance.py"
WRITTEN = {
    "results.json",
    "results.md",
    "results_confusion_matrix.png",
    "results_roc.png",
    "results_precision_recall.png",
    "results_reliability.png",
}


@pytest.fixture
def folder(tmp_path):
    """A folder with a space and a letter beyond ASCII in its name, holding the predictions of a model."""
    folder = tmp_path / "brain mri é"
    folder.mkdir()
    random_two_class(0, prefix="test", checkpoint="m.pth.tar").write(folder / "preds.json")
    random_two_class(1, prefix="val", split="val", checkpoint="m.pth.tar").write(folder / "val_preds.json")
    random_two_class(2, prefix="test", checkpoint="other.pth.tar").write(folder / "other_preds.json")
    for fold in range(3):
        name = folder / f"fold_{fold}_preds.json"
        random_two_class(fold, prefix=f"{fold}_", fold=fold, checkpoint=f"m_fold_{fold}.pth.tar").write(name)
        random_two_class(fold + 3, prefix=f"{fold}_", fold=fold).write(folder / f"other_fold_{fold}_preds.json")
    random = np.random.default_rng(0)
    multiclass(np.arange(30) % 3, random.dirichlet(np.ones(3), 30)).write(folder / "three.json")
    (folder / "baselines.json").write_text("{}")
    return folder


@pytest.fixture
def calculate(folder, call_script):
    """Return calculate(*predictions, options): the results JSON and the page, from files in the folder."""

    def calculate(*predictions, options=()):
        paths = [folder / name for name in (*predictions, "results.json")]
        result = call_script(SCRIPT, *paths, *options)
        assert result.returncode == 0, result.stderr
        page = (folder / "results.md").read_text(encoding="utf-8")
        assert result.stdout.startswith(page)
        return content(folder / "results.json"), page, result

    return calculate


@pytest.fixture
def refused(folder, call_script, contents, monkeypatch):
    """Return refused(arguments): what each error of the script, started in the folder, names; it writes nothing."""
    monkeypatch.chdir(folder)

    def refused(arguments):
        before = contents(folder)
        result = call_script(SCRIPT, *arguments.split())
        assert (result.stdout, contents(folder)) == ("", before)
        return error_places(result)

    return refused


def test_the_published_command(folder, call_script):
    shutil.copy(GOLDEN / "published_table4.json", folder / "resnet_1_preds.json")
    result = call_script(SCRIPT, folder / "resnet_1_preds.json", folder / "resnet_1_results.json")
    assert (result.returncode, result.stderr) == (0, "")
    assert {path.name for path in folder.glob("resnet_1_results*")} == {f"resnet_1_{name}" for name in WRITTEN}
    results = content(folder / "resnet_1_results.json")
    assert {name: results[name] for name in list(results)[:5]} == {
        "Sensitivity": 0.9375,
        "Specificity": 0.9,
        "ROC-AUC": pytest.approx(0.95),
        "Accuracy": pytest.approx(24 / 26),
        "Cohen's Kappa": pytest.approx(0.8375),
    }
    page = (folder / "resnet_1_results.md").read_text(encoding="utf-8")
    assert page.startswith("# Performance")
    assert result.stdout == page + "\n" + "".join(
        f"wrote {folder / f'resnet_1_results{suffix}'}\n"
        for suffix in (".md", "_confusion_matrix.png", "_roc.png", "_precision_recall.png", "_reliability.png", ".json")
    )


def test_torch_is_not_imported(folder, slow_imports):
    assert "torch" not in slow_imports(SCRIPT, folder / "preds.json", folder / "results.json")


def test_what_is_replaced_is_said(calculate):
    calculate("preds.json")
    _, _, result = calculate("preds.json")
    lines = result.stdout.splitlines()[-6:]
    assert all(line.startswith("replaced ") for line in lines)


def test_pictures_of_earlier_results_go_and_an_earlier_report_is_named(folder, call_script):
    command = (SCRIPT, folder / "preds.json", folder / "results.json")
    call_script(*command, "--decision_curve", "--report")
    optional = {"results_referral.png", "results_decision_curve.png"}
    assert {path.name for path in folder.glob("results*")} == WRITTEN | optional | {"results_report.html"}
    report = (folder / "results_report.html").read_bytes()
    result = call_script(*command)
    assert {path.name for path in folder.glob("results*")} == WRITTEN | {"results_report.html"}
    assert result.stdout.splitlines()[-3:] == [
        f"removed {folder / 'results_referral.png'}, of earlier results",
        f"removed {folder / 'results_decision_curve.png'}, of earlier results",
        f"kept {folder / 'results_report.html'}, of earlier results; --report replaces it",
    ]
    assert (folder / "results_report.html").read_bytes() == report


def test_earlier_pictures_are_gone_before_the_new_json_is_there(calculate, folder, call_script, monkeypatch):
    """A run that is stopped between the two leaves no new figures beside an old picture."""
    earlier, _, _ = calculate("preds.json", options=["--decision_curve"])

    def stop(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "write_json", stop)
    result = call_script(SCRIPT, folder / "other_preds.json", folder / "results.json")
    assert result.returncode == 2 and "results.json: No space left on device" in result.stderr
    assert content(folder / "results.json") == earlier
    assert not (folder / "results_decision_curve.png").exists()


def test_a_reader_of_the_page_who_has_seen_enough_leaves_the_files_whole(folder, call_script, monkeypatch):
    """They are there before anything is printed, which fails where the reader has closed the pipe."""
    there = []
    monkeypatch.setattr("builtins.print", lambda *lines, **_: there.append({path.name for path in folder.iterdir()}))
    call_script(SCRIPT, folder / "preds.json", folder / "results.json")
    assert there and there[0] >= WRITTEN


def test_another_positive_class_replaces_the_recorded_one_and_says_so(calculate, folder):
    yes, _, result = calculate("preds.json")
    assert result.stderr == ""
    no, page, result = calculate("preds.json", options=["-positive_class", "no"])
    assert result.stderr == f"note: positive class 'no' instead of 'yes', which {folder / 'preds.json'} names\n"
    assert no["Positive Class"] == "no" and "Positive class: no." in page
    assert (no["Sensitivity"], no["Specificity"]) == (yes["Specificity"], yes["Sensitivity"])


def test_three_classes_are_taken_in_turn(calculate, folder):
    made = multiclass([0, 1, 2, 2], [[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.3, 0.6], [0.5, 0.3, 0.2]])
    made.positive_class = "A"
    made.write(folder / "three.json")
    results, _, result = calculate("three.json")
    assert results["Positive Class"] is None and list(results["Per Class"]) == ["A", "B", "C"]
    assert result.stderr == f"note: each class in turn instead of 'A', which {folder / 'three.json'} names\n"


def test_a_threshold_chosen_on_validation_images_is_applied(calculate, folder):
    plain, _, _ = calculate("preds.json")
    options = ["-threshold_from", folder / "val_preds.json", "-min_sensitivity", "1"]
    results, page, _ = calculate("preds.json", options=options)
    point = results["Threshold"]
    assert point["Sensitivity"] == 1 and point["split"] == "val" and point["file"] == "val_preds.json"
    made = content(folder / "preds.json")
    found = [row[1] >= point["value"] for row in made["predictive probabilities"]]
    right = sum(finding == label for finding, label in zip(found, made["labels"], strict=True))
    assert results["Accuracy"] == right / 26 != plain["Accuracy"]
    assert results["ROC-AUC"] == plain["ROC-AUC"]
    assert "## Threshold" in page
    youden, _, _ = calculate("preds.json", options=options[:2])
    assert youden["Threshold"]["rule"] == "Youden's index"


def test_calibration_comes_before_the_threshold_and_both_are_the_operating_point(calculate, folder):
    for name, seed in (("sure", 3), ("sure_val", 4)):
        made = random_two_class(
            seed, counts=(150, 150), prefix=name, split="val" if "val" in name else "test", checkpoint="m.pth.tar"
        )
        made.probabilities = calibrated(made.probabilities, 0.3)  # too sure of itself
        made.write(folder / f"{name}_preds.json")
    plain, _, _ = calculate("sure_preds.json")
    options = ["-calibrate_from", folder / "sure_val_preds.json", "-threshold_from", folder / "sure_val_preds.json"]
    results, page, _ = calculate("sure_preds.json", options=[*options, "-min_sensitivity", "0.8", "--guaranteed"])
    calibration, point = results["Calibration"], results["Operating Point"]
    assert calibration["Log Loss Before"] == plain["Log Loss"] > results["Log Loss"] + 0.02
    assert calibration["Calibration Error Before"] == plain["Calibration Error"] > results["Calibration Error"]
    assert calibration["Log Loss Change"] == pytest.approx(results["Log Loss"] - plain["Log Loss"])
    assert results["ROC-AUC"] == plain["ROC-AUC"]
    assert point["temperature"] == calibration["temperature"] > 1.5
    assert point["threshold"] == results["Threshold"]["value"]
    made = content(folder / "sure_preds.json")
    probabilities = calibrated(np.array(made["predictive probabilities"]), point["temperature"])[:, 1]
    found, truth = probabilities >= point["threshold"], np.array(made["labels"]) == 1
    assert point["sensitivity"] == results["Sensitivity"] == found[truth].mean()
    assert point["specificity"] == results["Specificity"] == (~found[~truth]).mean()
    assert (point["checkpoints"], point["positive class"]) == (["m.pth.tar"], "yes")
    assert "by the temperature" in page and "| before |" in page


def test_two_models_and_baselines_stand_beside_another(calculate, folder):
    baseline = {"name": "file facts", "accuracy": 0.99, "accuracy interval": [0.9, 1], "roc auc": None, "n": 253}
    (folder / "baselines.json").write_text(json.dumps({"baselines": [baseline]}))
    options = ["--compare", folder / "other_preds.json", "--baselines", folder / "baselines.json"]
    results, page, _ = calculate("preds.json", options=options)
    assert results["Comparison"]["Checkpoint"] == "other.pth.tar"
    assert results["Comparison"]["Accuracy"] == results["Accuracy"]
    assert results["Baselines"] == [baseline | {"roc auc interval": None}]
    assert any("accuracy" in warning and "file facts" in warning for warning in results["Warnings"])
    assert "## Compared with other.pth.tar" in page and "| file facts |" in page


@pytest.fixture
def patients(folder):
    """Predictions of three folds, of patients with two images each; those of the next fold validate."""
    for fold in range(3):
        for split, name in (("test", "fold_{}.json"), ("val", "fold_{}_val.json")):
            made = random_two_class(10 + fold, prefix=f"{split}{fold}_", split=split, fold=fold, checkpoint="m.pth.tar")
            group = (fold + (split == "val")) % 3
            made.groups = [f"patient {group}-{number // 2}" for number in range(26)]
            made.write(folder / name.format(fold))
    return [f"fold_{fold}.json" for fold in range(3)]


def test_patients_are_counted_in_place_of_their_images(calculate, patients, folder):
    for fold in range(3):
        made = read(folder / f"fold_{fold}.json")
        replace(made, probabilities=calibrated(made.probabilities, 0.5)).write(folder / f"other_{fold}.json")
    others = ["-compare", folder / "other_?.json", "-threshold_from", folder / "fold_?_val.json"]
    results, page, _ = calculate(*patients, options=["-per", "group", *others])
    parts = [content(folder / name) for name in patients]
    means = [np.reshape(part["predictive probabilities"], (13, 2, 2)).mean(axis=1)[:, 1] for part in parts]
    thresholds = [point["value"] for point in results["Thresholds"]]
    findings = np.concatenate([mean >= value for mean, value in zip(means, thresholds, strict=True)])
    labels = np.tile(np.repeat([0, 1], [5, 8]), 3)
    assert (results["Unit"], results["n"], results["Images"], results["Groups"]) == ("group", 39, 78, 39)
    assert results["Accuracy"] == (findings == labels).mean()
    assert results["Accuracy 95% Interval"] == exact_interval((findings == labels).sum(), 39)
    assert all(point["n"] == 26 for point in results["Thresholds"])  # of the 39, less the fold's own
    assert results["Comparison"]["n"] == 39
    assert page.startswith("# Performance on 39 test groups of 3 folds\n")
    assert "39 groups of 78 images" in page and "| groups " in page and "| group " in page
    with pytest.raises(UserError, match="-per group"):
        operating_point.read(folder / "results.json")


def test_predictive_values_and_subgroups_are_on_the_page_and_in_the_json(calculate, patients, folder):
    lines = [f"test{fold}_{number}.png,{'east' if fold else 'west'}" for fold in range(3) for number in range(25)]
    (folder / "t.csv").write_text("\n".join(["image,hospital", *lines]))
    options = ["-prevalence", "0.01", "0.1", "-by", f"{folder / 't.csv'}:hospital"]
    results, page, _ = calculate(*patients, options=options)
    values, subgroups = results["Predictive Values"], results["Subgroups"]
    assert values["LR+"] == pytest.approx(results["Sensitivity"] / (1 - results["Specificity"]))
    assert [at["prevalence"] for at in values["at"]] == [0.01, 0.1]
    assert values["at"][0]["Pos Pred Value"] < values["at"][1]["Pos Pred Value"] < results["Pos Pred Value"]
    assert sorted((each["value"], each["n"], each["Groups"]) for each in subgroups["by value"]) == [
        ("east", 50, 26),
        ("west", 25, 13),
    ]
    assert subgroups["by value"][0]["Accuracy"] <= subgroups["by value"][1]["Accuracy"]
    assert subgroups["without a value"] == 3
    assert "| LR+ (yes) |" in page and "|       1.0% |" in page
    assert "## By hospital of t.csv" in page and "in none of these rows: 3 images." in page


def test_folds_are_pooled(calculate):
    results, page, _ = calculate("fold_2_preds.json", "fold_0_preds.json", "fold_1_preds.json")
    assert results["n"] == 78 and [fold["fold"] for fold in results["Folds"]] == [0, 1, 2]
    accuracies = [fold["Accuracy"] for fold in results["Folds"]]
    assert results["Accuracy"] == pytest.approx(sum(accuracies) / 3)
    assert results["Between Folds"]["Accuracy"]["minimum"] == min(accuracies)
    assert page.startswith("# Performance on 78 test images of 3 folds\n")


def test_pooled_folds_are_compared_with_pooled_folds(calculate, folder):
    folds = [f"fold_{number}_preds.json" for number in range(3)]
    options = [word for name in folds for word in ("-compare", folder / f"other_{name}")]
    results, _, _ = calculate(*folds, options=options)
    found = results["Comparison"]
    assert found["n"] == 78 and found["Accuracy"] == results["Accuracy"]
    assert found["Accuracy Difference"] == pytest.approx(results["Accuracy"] - found["Other Accuracy"])


def test_a_fold_of_the_split_that_is_missing_is_told(calculate, folder):
    for fold in (0, 1, 2, 9):
        (folder / "csv" / f"fold_{fold}").mkdir(parents=True)
    for fold in range(3):
        tested = content(folder / f"fold_{fold}_preds.json")
        lines = [f"{name},{label}\n" for name, label in zip(tested["filenames"], tested["labels"], strict=True)]
        (folder / "csv" / f"fold_{fold}" / "test.csv").write_text("".join(lines))
    assert not any("missing" in warning for warning in calculate("fold_?_preds.json")[0]["Warnings"])
    results, _, _ = calculate("fold_[01]_preds.json")
    assert "Fold 2 is missing: its images are in none of the figures." in results["Warnings"]


def test_a_model_is_not_compared_with_itself(folder, refused):
    """Whatever is done to its own probabilities and predictions, and in whatever order the images are."""
    names = ("labels", "predictions", "predictive probabilities", "label probabilities", "filenames", "groups")
    made = {**content(folder / "preds.json"), "groups": [f"g{index // 3}" for index in range(26)]}
    made["labels"] = made["predictions"] = [index // 3 % 2 for index in range(26)]
    made["label probabilities"] = [[1 - label, label] for label in made["labels"]]
    order = np.random.default_rng(0).permutation(26)
    for name, values in (("own", made), ("copy", made | {each: [made[each][at] for at in order] for each in names})):
        (folder / f"{name}_preds.json").write_text(json.dumps(values))
    random_two_class(5, counts=(200, 200), prefix="val", split="val").write(folder / "many_val_preds.json")
    for more in ("", "-per group", "-threshold_from many_val_preds.json", "-calibrate_from many_val_preds.json"):
        arguments = f"own_preds.json results.json -compare copy_preds.json {more}"
        assert refused(arguments) == ["-compare copy_preds.json"], more
    assert refused("fold_?_preds.json results.json -compare fold_?_preds.json") == ["-compare fold_0_preds.json"]


def test_a_pattern_that_the_shell_has_left_is_expanded(calculate, folder):
    shutil.copy(folder / "fold_0_preds.json", folder / "fold_[0]_preds.json")  # not a pattern: a file's name
    results, _, _ = calculate("fold_?_preds.json", options=["-compare", folder / "other_fold_?_preds.json"])
    assert results["n"] == results["Comparison"]["n"] == 78
    results, _, _ = calculate("fold_[0]_preds.json")
    assert results["n"] == 26


def test_the_page_says_how_the_images_were_split(calculate, folder):
    (folder / "csv").mkdir()
    record = SplitRecord(f"python partition_datasets.py -proj_dir {folder} -seed 3", 3, "2026-01-31T10:00:00+00:00")
    record.write(folder / "csv" / "split.json")
    _, page, _ = calculate("preds.json")
    assert page.endswith(
        "The images were split on 2026-01-31 (UTC) with the random seed 3.\n\n"
        "    python partition_datasets.py -proj_dir brain mri é -seed 3\n"
    )


def test_options_may_stand_between_the_files(folder, call_script):
    first, second = (folder / f"fold_{number}_preds.json" for number in range(2))
    result = call_script(SCRIPT, first, "-positive_class", "yes", second, folder / "results.json")
    assert result.returncode == 0 and content(folder / "results.json")["n"] == 52


ONE, FOLDS = "preds.json results.json", "fold_0_preds.json fold_1_preds.json results.json"


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        ("", ["the following arguments are required"]),
        ("preds.json nothing_*.json results.json", ["PREDS nothing_*.json"]),
        ("preds.json val_preds.json results.json", ["val_preds.json"]),
        # Predictions are never replaced, nor anything else that is read.
        ("preds.json preds.json", ["preds.json"]),
        ("preds.json other_preds.json", ["other_preds.json"]),
        ("preds.json baselines.json -baselines baselines.json", ["baselines.json"]),
        ("preds.json results.txt", ["results.txt"]),
        ("preds.json none/results.json", ["none"]),
        (f"{ONE} -positive_class tumour", ["-positive_class tumour"]),
        (f"{ONE} -per group", ["-per group"]),
        (f"{ONE} -per group -baselines baselines.json", ["-baselines"]),
        (f"{ONE} -prevalence 10", ["-prevalence"]),
        (f"{ONE} -by hospital", ["-by"]),
        (f"{ONE} -by none.csv:hospital", ["none.csv"]),
        (f"{ONE} -ordered no yes", ["-ordered"]),
        ("three.json results.json -ordered B A", ["-ordered B A"]),
        ("three.json results.json --decision_curve", ["--decision_curve"]),
        (f"{ONE} -compare nothing_*.json", ["-compare nothing_*.json"]),
        # Of test images, of those that are measured, and of another model.
        (f"{ONE} -threshold_from other_preds.json", ["-threshold_from other_preds.json"] * 3),
        (f"{FOLDS} -threshold_from val_preds.json", ["-threshold_from"] * 2),
        (f"{ONE} -min_sensitivity 0.9", ["-min_sensitivity"]),
        (f"{ONE} -threshold_from val_preds.json -min_sensitivity 0", ["-min_sensitivity"]),
        (f"{ONE} -threshold_from val_preds.json --guaranteed", ["--guaranteed"]),
        # Too few images for it.
        (f"{ONE} -calibrate_from val_preds.json", ["-calibrate_from val_preds.json"]),
        (
            f"{ONE} -threshold_from val_preds.json -min_sensitivity 0.95 --guaranteed",
            ["-min_sensitivity 0.95 --guaranteed"],
        ),
    ],
)
def test_what_is_impossible_is_refused_with_the_option_or_the_file(refused, arguments, places):
    assert refused(arguments) == places


def test_results_in_the_place_of_what_is_read_or_of_predictions_are_told_as_that(folder, call_script):
    preds = folder / "preds.json"
    assert f"{preds}: would replace what is read" in call_script(SCRIPT, preds, preds).stderr
    other = folder / "other_preds.json"
    assert f"{other}: holds predictions" in call_script(SCRIPT, preds, other).stderr


def test_faults_of_several_files_come_together(folder, refused):
    (folder / "broken.json").write_text("{")
    made = content(folder / "preds.json")
    made["labels"][3] = 7
    made["predictive probabilities"][5] = [0.5, 0.4]
    (folder / "wrong.json").write_text(json.dumps(made))
    found = refused("broken.json wrong.json none.json results.json")
    assert found == ["broken.json", "wrong.json", "wrong.json", "none.json"]


def test_what_calc_has_not_written_is_not_replaced(folder, refused):
    for name in ("results.json", "results_roc.png"):
        (folder / name).write_text('{"mine": 1}')
    (folder / "results_reliability.png").mkdir()
    (folder / "results.md").write_text("# Notes")
    page = f'<meta content="{files.MARK}"><title>Doubtful labels</title>'
    (folder / "results_report.html").write_text(page)
    assert sorted(refused(ONE)) == [
        "results.json", "results.md", "results_reliability.png", "results_report.html", "results_roc.png"
    ]  # fmt: skip


def test_a_picture_of_the_user_whose_name_begins_like_those_of_calc_is_no_obstacle(calculate, folder):
    (folder / "results_annotated.png").write_text("mine")
    calculate("preds.json")
    assert (folder / "results_annotated.png").read_text() == "mine"


@pytest.mark.parametrize(("pattern", "begins"), [("0", "The threshold's sensitivity"), ("?", "The thresholds' sens")])
def test_thresholds_that_do_not_carry_over_are_told(calculate, folder, pattern, begins):
    """Of one model, and of folds: the images that chose are all easy, those measured are not."""
    for fold in range(3):
        others = {"prefix": f"val{fold}_", "split": "val", "fold": fold, "checkpoint": f"m_fold_{fold}.pth.tar"}
        random_two_class(fold, counts=(60, 60), signal=4.0, **others).write(folder / f"easy_{fold}.json")
    options = ["-threshold_from", folder / f"easy_{pattern}.json"]
    results, page, _ = calculate(f"fold_{pattern}_preds.json", options=options)
    (told,) = [warning for warning in results["Warnings"] if warning.startswith(begins)]
    assert " was 100.0% where " in told and told in page
    assert f"% ({results['Sensitivity 95% Interval'][0]:.1%} to " in told


def test_ordered_classes_are_compared_by_rank(calculate):
    results, page, _ = calculate("three.json", options=["-ordered", "B", "A", "C"])
    assert results["Ordered Classes"]["classes"] == ["B", "A", "C"]
    assert 0 < results["Hand and Till's M"] < 1 and "| Hand and Till's M " in page
    assert "## Ordered classes" in page


def test_a_decision_curve_is_on_the_page_in_the_json_and_in_a_picture(calculate, folder):
    results, page, _ = calculate("preds.json", options=["--decision_curve"])
    curve = results["Decision Curve"]
    assert {len(values) for values in curve.values()} == {99} and "## Decision curve" in page
    (lower, upper), difference = curve["difference 95% interval"][0], curve["difference"][0]
    assert difference == 0 and lower < 0 < upper  # all are treated, which one more image might not be
    assert (folder / "results_decision_curve.png").exists()
    assert results["Calibration Slope 95% Interval"][0] < results["Calibration Slope"]
    assert "| Calibration Intercept (yes) |" in page
