"""Each way to bring in images, through all five scripts: nothing lost or changed, and a figure at the end."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import SMALL_TRAINING
from dicom_files import dicom_bytes
from PIL import Image
from test_organize_files import stop_at

pytestmark = pytest.mark.usefixtures("no_curves")

PARTITIONS = ("train", "val", "test")


def draw(path, random, label):
    """Draw an image of a class: the second is brighter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random.integers(0, 100 + 150 * label, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def subfolders(root, random):
    """Two visits of each of 12 patients and a loose image; a class has all of its images in one folder of odd name."""
    for number in range(12):
        for label, name in enumerate(("no", "yes/Imgs é")):
            for visit in (1, 2):
                draw(root / name / f"patient {number + label}" / f"{visit}.png", random, label)
    draw(root / "no" / "loose, 1.png", random, 0)
    return []


def ready_made(root, random):
    """Training and Testing, no validation part, and a twin in both."""
    for part, count in (("Training", 14), ("TESTING", 5)):
        for label, name in enumerate(("glioma é", "no")):
            for number in range(count):
                draw(root / part / name / f"{number}.png", random, label)
    shutil.copy(root / "TESTING" / "no" / "0.png", root / "Training" / "no" / "twin.png")
    return []


def table(root, random):
    """Images in two folders, labelled in a table with groups, and one that the table does not name."""
    lines = ["image_id;diagnosis;patient"]
    for number in range(30):
        draw(root / ("a", "b/c")[number % 3 == 0] / f"IMG {number}.png", random, number % 2)
        lines.append(f"IMG {number};{('001', 'NA')[number % 2]};{number // 2}")
    draw(root / "a" / "extra.png", random, 0)
    path = root.parent / "labels.csv"
    path.write_text("\ufeff" + "\n".join(lines), encoding="utf-8")
    return ["-labels_csv", path]


def masks(root, random):
    """A mask beside each image."""
    for label, name in enumerate(("no", "yes")):
        for number in range(12):
            draw(root / name / f"{number}.jpg", random, label)
            draw(root / name / f"{number}.png", random, label)
    return ["-files", "*.jpg"]


def dicom(root, random):
    """DICOM files of 24 patients."""
    for number in range(48):
        folder = root / ("no", "yes")[number // 2 % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 500 + 1500 * (number // 2 % 2), (64, 64), dtype=np.uint16)
        (folder / f"{number}.dcm").write_bytes(dicom_bytes(pixels, PatientID=f"patient {number // 2}"))
    return []


LAYOUTS = (subfolders, ready_made, table, masks, dicom)


@pytest.fixture(params=LAYOUTS, ids=lambda layout: layout.__name__)
def layout(request, tmp_path):
    """Return (folder, options that partition needs) of each layout."""
    root = tmp_path / "some data"
    return root, request.param(root, np.random.default_rng(0))


def images_of(root):
    table = pd.read_csv(root / "csv" / "images.csv", keep_default_na=False, dtype=str)
    return table[table["file_name"] != ""]


def test_every_layout_goes_through_all_scripts(layout, call_script, contents):
    root, options = layout
    before = contents(root)
    commands = [
        ["partition_datasets.py", "-dir", root, *options],
        ["organize_files.py", root],
        ["train_torchvision.py", "-dir", root, *SMALL_TRAINING, "-num_epochs", 1, "-save", "m.pth.tar"],
        ["test_torchvision.py", "-dir", root],
        ["calc_model_performance.py", root / "m_preds.json", root / "m_results.json"],
    ]
    for script, *arguments in commands:
        result = call_script(script, *arguments)
        assert result.returncode == 0, (script, result.stderr)

    images = images_of(root)
    assert {name: (root / "bin" / name).read_bytes() for name in images["file_name"]} == {
        row.file_name: before[row.source] for row in images.itertuples()
    }
    left = {path for path in contents(root) if path in before}
    assert left == set(before) - set(images["source"])
    splits = {part: pd.read_csv(root / "csv" / f"{part}.csv", header=None, dtype=str)[0] for part in PARTITIONS}
    group_of = dict(zip(images["file_name"], images["group"], strict=True))
    groups = {part: {group_of[name] for name in names} for part, names in splits.items()}
    assert not groups["train"] & groups["val"] and not (groups["train"] | groups["val"]) & groups["test"]
    assert json.loads((root / "m_results.json").read_text())["n"] == len(splits["test"])

    # The images of the layout are new images too, wherever they lie now.
    new = call_script("test_torchvision.py", "-dir", root, "-images", root / "bin", "-out", root / "new.csv")
    assert new.returncode == 0
    assert set(pd.read_csv(root / "new.csv", keep_default_na=False)["error"]) == {""}


@pytest.mark.parametrize("layout", LAYOUTS[:3], ids=lambda layout: layout.__name__, indirect=True)
def test_stopped_at_any_step_organizing_loses_nothing_and_completes(
    layout, tmp_path, call_script, contents, monkeypatch
):
    root, options = layout
    assert call_script("partition_datasets.py", "-dir", root, *options).returncode == 0
    whole = shutil.copytree(root, tmp_path / "whole")
    assert call_script("organize_files.py", whole).returncode == 0
    images, expected = images_of(whole), contents(whole)
    before = contents(root)
    for step in range(1, 400, 7):
        folder = shutil.copytree(root, tmp_path / f"{step}")
        with monkeypatch.context() as patch:
            stop_at(patch, step)
            status = call_script("organize_files.py", folder).returncode
        found = contents(folder)
        for row in images.itertuples():
            assert before[row.source] in (found.get(row.source), found.get(f"bin/{row.file_name}"))
        if status == 0:
            break
        assert call_script("organize_files.py", folder).returncode == 0
        assert contents(folder) == expected
        shutil.rmtree(folder)
    assert step > 15


@pytest.mark.parametrize("layout", LAYOUTS[:3], ids=lambda layout: layout.__name__, indirect=True)
def test_split_again_after_organizing_every_layout_is_the_same(layout, call_script, contents):
    root, options = layout
    assert call_script("partition_datasets.py", "-dir", root, *options).returncode == 0
    before = {path: content for path, content in contents(root).items() if path.endswith(".csv")}
    call_script("organize_files.py", root, "--copy")
    assert call_script("partition_datasets.py", "-dir", root).returncode == 0
    assert {path: content for path, content in contents(root / "csv").items() if path.endswith(".csv")} == before


def test_an_image_in_a_linked_folder_deep_down_is_copied(tmp_path, call_script, class_folders, make_link, contents):
    root = class_folders(tmp_path / "data", {"no": 10, "yes": 10})
    class_folders(tmp_path / "elsewhere", {"7": 3}, seed=1)
    make_link(root / "no" / "link", tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    assert call_script("partition_datasets.py", "-dir", root, "-subfolders", "ungrouped").returncode == 0
    assert call_script("organize_files.py", root).returncode == 0
    assert len(list((root / "bin").iterdir())) == 23
    assert contents(tmp_path / "elsewhere") == before and (root / "no" / "link").is_symlink()
