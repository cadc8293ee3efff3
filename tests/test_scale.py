"""One scale for the images of more than 8 bits of a project, from training to every prediction."""

import csv
import json

import numpy as np
import pytest
import torch
from conftest import SMALL_TRAINING
from PIL import Image

from pipeline.learning.classifier import Classifier

pytestmark = pytest.mark.usefixtures("no_curves")


@pytest.fixture(params=[np.uint16, np.float32], ids=["integers", "floats"])
def project(request, draw_project, tmp_path):
    """A project whose images have values up to 4095, or 1.0; a test image a single larger one."""
    root = draw_project(tmp_path / "project")
    kind, white = (np.uint16, 4095) if request.param == np.uint16 else (np.float32, 1.0)
    for path in sorted((root / "bin").iterdir()):
        pixels = np.asarray(Image.open(path)).astype(np.float64) / 255 * white
        pixels[0, 0] = white * 1.0003 if path.name == "test é1.png" else white
        Image.fromarray(np.ceil(pixels).astype(kind) if kind == np.uint16 else pixels.astype(kind)).save(path, "TIFF")
    return root


def test_training_finds_it_and_every_prediction_uses_it(project, call_script, tmp_path):
    trained = call_script(
        "train_torchvision.py", "-dir", project, *SMALL_TRAINING, "-num_epochs", 1, "-save", "m.pth.tar"
    )
    assert trained.returncode == 0, trained.stderr
    (told,) = trained.stderr.splitlines()
    assert "9 of 9 training images" in told
    ((kind, limits),) = torch.load(project / "models" / "m.pth.tar")["preprocessing"]["value_ranges"].items()
    assert limits == {"integers": [0, 4095], "floats": [0, 1]}[kind]

    tested = call_script("test_torchvision.py", "-dir", project)
    assert tested.returncode == 0
    assert "1 of 4" in tested.stderr and "test é1.png" in tested.stderr and len(tested.stderr.splitlines()) == 1
    content = json.loads((project / "m_preds.json").read_text(encoding="utf-8"))

    out = tmp_path / "new.csv"
    assert call_script("test_torchvision.py", "-dir", project, "-images", project / "bin", "-out", out).returncode == 0
    with open(out, newline="", encoding="utf-8") as file:
        rows = {row["file_name"]: float(row["probability_no"]) for row in csv.DictReader(file)}
    paths = [project / "bin" / name for name in content["filenames"]]
    classifier = Classifier.load(project / "models" / "m.pth.tar")
    expected = np.array(content["predictive probabilities"])
    assert [rows[path.name] for path in paths] == pytest.approx(expected[:, 0], abs=1e-6)
    assert classifier.predict(paths) == pytest.approx(expected, abs=1e-6)
    assert classifier.predict(map(Image.open, paths)) == pytest.approx(expected, abs=1e-6)


def test_resuming_keeps_it(project, call_script):
    arguments = ("-dir", project, *SMALL_TRAINING, "-save", "m.pth.tar")
    assert call_script("train_torchvision.py", *arguments, "-num_epochs", 1).returncode == 0
    assert call_script("train_torchvision.py", *arguments, "-num_epochs", 2, "--resume").returncode == 0
    checkpoint = torch.load(project / "models" / "m.pth.tar")
    assert checkpoint["preprocessing"]["value_ranges"] is not None
