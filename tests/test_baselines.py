import io
import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, roc_auc_score

from pipeline.errors import UserError
from pipeline.partitioning import splitting
from pipeline.performance import baselines

GOOD = {
    "name": "file facts",
    "accuracy": 0.73,
    "accuracy interval": [0.67, 0.79],
    "roc auc": 0.81,
    "roc auc interval": [0.75, 0.86],
    "n": 253,
}


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
    monkeypatch.setattr(baselines, "TREES", 20)


@pytest.fixture
def shortcut(tmp_path):
    """Images of noise that differ between the classes in only in their file's size."""
    random = np.random.default_rng(0)
    paths, labels = [], []
    for number in range(40):
        label = number % 2
        image = Image.fromarray(random.integers(0, 256, (24 + 8 * label, 24), dtype=np.uint8))
        paths.append(tmp_path / f"{number}.png")
        image.save(paths[-1])
        labels.append(label)
    return paths, np.array(labels)


def test_file_facts_are_those_of_the_file():
    data = io.BytesIO()
    Image.new("RGB", (40, 20)).save(data, format="PNG")
    size = len(data.getvalue())
    facts = baselines.file_facts(data.getvalue())
    assert facts == [40, 20, 2.0, size, size / 800, 3, *(name == "PNG" for name in baselines.FORMATS)]


def test_brightness_facts_are_those_of_the_pixels():
    pixels = np.full((4, 5), 100, dtype=np.uint8)
    pixels[0] = 10
    facts = baselines.brightness_facts(Image.fromarray(pixels))
    assert facts == pytest.approx([77.5, 90 * (0.25 * 0.75) ** 0.5, 0.25, 10, 100, 77.5, 77.5])


def test_a_shortcut_in_the_files_is_found_and_noise_is_not(shortcut):
    paths, labels = shortcut
    parts = splitting.test_parts(labels, np.arange(40), 5, 0)
    found = baselines.cross_validate(paths, labels, parts, 0)
    assert accuracy_score(labels, found["file facts"].argmax(axis=1)) == 1
    assert roc_auc_score(labels, found["16x16 thumbnail"][:, 1]) < 0.8
    assert accuracy_score(labels, found["always the larger class"].argmax(axis=1)) == 0.5
    for probabilities in found.values():
        assert probabilities.sum(axis=1) == pytest.approx(np.ones(40))


def test_an_image_that_cannot_be_read_any_more_is_named(shortcut):
    paths, labels = shortcut
    paths[3].write_text("no image")
    parts = [np.arange(0, 40, 2), np.arange(1, 40, 2)]
    with pytest.raises(UserError) as error:
        baselines.cross_validate(paths, labels, parts, 0)
    assert error.value.faults[0].startswith(f"{paths[3]}: ")


def test_no_image_is_predicted_by_a_model_that_was_fitted_on_it(shortcut, monkeypatch):
    paths, labels = shortcut
    fitted = []

    class Spy:
        def fit(self, features, labels):
            fitted.append(len(labels))
            self.classes_ = np.unique(labels)

        def predict_proba(self, features):
            return np.full((len(features), 2), 0.5)

    monkeypatch.setattr("sklearn.ensemble.RandomForestClassifier", lambda **_: Spy())
    parts = splitting.test_parts(labels, np.arange(40) // 4, 5, 0)
    baselines.cross_validate(paths, labels, parts, 0)
    assert fitted == [40 - len(part) for part in parts] * 3


def test_partition_prints_them_and_writes_them_beside_the_split_files(tmp_path, class_folders, call_script):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 12})
    result = call_script("partition_datasets.py", "-proj_dir", data, "--baselines")
    assert result.returncode == 0, result.stderr
    assert "5-fold cross-validation over 22 images" in result.stdout
    assert "| always the larger class   | 54.5%; 32.2% to 75.6%  | 0.500                 |" in result.stdout
    content = json.loads((data / "baselines.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in content["baselines"]] == [
        "always the larger class", "file facts", "brightness", "file facts and brightness", "16x16 thumbnail"
    ]  # fmt: skip
    assert content["baselines"][0]["accuracy"] == 12 / 22
    call_script("organize_files.py", data)
    assert (data / "csv" / "baselines.json").exists()


@pytest.mark.parametrize("options", [("-seed", 4), ("-folds", 3, "-seed", 4)], ids=["one split", "folds"])
@pytest.mark.parametrize("organized", [False, True])
def test_they_are_measured_on_the_split_that_is_there(
    tmp_path, class_folders, call_script, contents, options, organized
):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 12})
    expected = class_folders(tmp_path / "expected", {"no": 10, "yes": 12}) / "baselines.json"
    call_script("partition_datasets.py", "-proj_dir", expected.parent, *options, "--baselines")
    call_script("partition_datasets.py", "-proj_dir", data, *options)
    if organized:
        call_script("organize_files.py", data)
    before = contents(data)
    result = call_script("partition_datasets.py", "-dir", data, "-classes", 2, "--baselines")
    assert result.returncode == 0, result.stderr
    (path,) = data.rglob("baselines.json")
    assert path.read_text() == expected.read_text()
    path.unlink()
    assert contents(data) == before


def test_with_an_option_of_the_split_it_is_drawn_again(tmp_path, class_folders, call_script):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 12})
    call_script("partition_datasets.py", "-proj_dir", data, "-folds", 3)
    result = call_script("partition_datasets.py", "-proj_dir", data, "-val_test_prop", 0.1, "--baselines")
    assert result.returncode == 0 and (data / "test.csv").exists() and not list(data.glob("csv/fold_*"))


def test_those_of_an_earlier_split_go_with_it(tmp_path, class_folders, call_script):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 12})
    call_script("partition_datasets.py", "-proj_dir", data, "--baselines")
    call_script("organize_files.py", data)
    path = data / "csv" / "baselines.json"
    assert path.exists()
    result = call_script("partition_datasets.py", "-proj_dir", data, "-seed", 1)
    assert (result.returncode, path.exists()) == (0, False)
    assert f"removed {path}, which was measured on the earlier split; " in result.stdout


def test_folds_that_do_not_test_every_image_once_are_an_error(tmp_path, class_folders, call_script):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 12})
    call_script("partition_datasets.py", "-proj_dir", data, "-folds", 3)
    table = data / "csv" / "fold_1" / "test.csv"
    table.write_text("".join(table.read_text().splitlines(True)[1:]))
    result = call_script("partition_datasets.py", "-proj_dir", data, "--baselines")
    assert result.returncode == 2 and result.stderr.startswith(f"partition_datasets.py: error: {data / 'csv'}: ")
    assert "-folds 3" in result.stderr and not (data / "baselines.json").exists()


def test_images_that_are_gone_are_all_named_and_a_new_split_is_without_them(tmp_path, class_folders, call_script):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 12})
    call_script("partition_datasets.py", "-proj_dir", data)
    gone = [data / "no" / "no3.png", data / "yes" / "yes5.png"]
    for path in gone:
        path.unlink()
    result = call_script("partition_datasets.py", "-proj_dir", data, "--baselines")
    assert result.returncode == 2 and not (data / "baselines.json").exists()
    told = [line.split(": ")[2] for line in result.stderr.splitlines()]
    assert told == [str(path) for path in gone]
    assert call_script("partition_datasets.py", "-proj_dir", data).returncode == 0
    for verb in ("wrote", "replaced"):
        result = call_script("partition_datasets.py", "-proj_dir", data, "--baselines")
        assert f"{verb} {data / 'baselines.json'}" in result.stdout and "over 20 images" in result.stdout


@pytest.fixture
def read(tmp_path):
    def read(content):
        path = tmp_path / "baselines.json"
        path.write_text(json.dumps(content))
        return [baseline.as_json() for baseline in baselines.read(path, ["no", "yes"])]

    return read


def test_baselines_are_read_and_other_keys_left_out(read):
    plain = GOOD | {"name": "always the larger class", "roc auc": None, "roc auc interval": None}
    assert read({"baselines": [GOOD | {"folds": 5}, plain], "seed": 0}) == [GOOD, plain]


@pytest.mark.parametrize("content", [{}, {"baselines": {}}, {"baselines": []}])
def test_a_file_without_baselines_is_an_error(read, content):
    with pytest.raises(UserError, match=r"baselines\.json: 'baselines' is missing"):
        read(content)


def test_every_fault_is_named(read, tmp_path):
    wrong = {
        "name": 1,
        "accuracy": "1",
        "accuracy interval": [0.9, 0.1],
        "roc auc": 2,
        "roc auc interval": [0.5],
        "n": 0,
    }
    with pytest.raises(UserError) as error:
        read({"baselines": [GOOD, wrong, 3, {**GOOD, "roc auc": None}]})
    assert [fault.removeprefix(f"{tmp_path / 'baselines.json'}: ") for fault in error.value.faults] == [
        "baseline 1: 'name' is not a string",
        "baseline 1: 'accuracy' is not a number from 0 to 1",
        "baseline 1: 'accuracy interval' is not two ascending numbers from 0 to 1",
        "baseline 1: 'roc auc' is not null or a number from 0 to 1",
        "baseline 1: 'roc auc interval' is not null or, of a number, two ascending numbers from 0 to 1",
        "baseline 1: 'n' is not a whole number above 0",
        "baseline 2: is not an object",
        "baseline 3: 'roc auc interval' is not null or, of a number, two ascending numbers from 0 to 1",
    ]


def test_baselines_of_other_classes_are_an_error(read):
    with pytest.raises(UserError, match="its classes are a, b, but those of the predictions are no, yes"):
        read({"baselines": [GOOD], "class names": ["a", "b"]})
    assert read({"baselines": [GOOD], "class names": ["no", "yes"]}) == [GOOD]


def test_what_is_written_is_read_and_areas_are_means_over_folds(shortcut, tmp_path):
    paths, labels = shortcut
    path, parts = tmp_path / "baselines.json", splitting.test_parts(labels, np.arange(40), 5, 0)
    baselines.report(path, paths, np.array(["no", "yes"])[labels], np.arange(40), parts, 0)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (content["folds"], content["seed"], content["class names"]) == (5, 0, ["no", "yes"])
    found = baselines.read(path, ["no", "yes"])
    assert [baseline.as_json() for baseline in found] == content["baselines"]
    constant, _, brightness, *_ = found
    assert (constant.auc.value, constant.auc.interval) == (0.5, None)
    probabilities = baselines.cross_validate(paths, labels, parts, 0)["brightness"][:, 1]
    areas = [roc_auc_score(labels[part], probabilities[part]) for part in parts]
    assert brightness.auc.value == pytest.approx(np.mean(areas))
