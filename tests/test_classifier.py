import csv

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.learning.classifier import Classifier
from pipeline.learning.ensemble import Ensemble

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def model(telling):
    return telling / "models" / "small.pth.tar"


@pytest.fixture
def images(tmp_path):
    """Paths of images: grey of 8 and of 16 bits, colour, partly transparent, and one to be turned upright."""
    folder = tmp_path / "images é"
    folder.mkdir()
    random = np.random.default_rng(0)
    grey = random.integers(0, 256, (30, 26), dtype=np.uint8)
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(random.integers(500, 40_000, (30, 26), dtype=np.uint16)).save(folder / "sixteen bits.png")
    Image.fromarray(random.integers(0, 256, (40, 26, 3), dtype=np.uint8)).save(folder / "colour.png")
    Image.fromarray(random.integers(0, 256, (30, 26, 4), dtype=np.uint8)).save(folder / "transparent.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(grey).save(folder / "turned.png", exif=exif)
    return sorted(folder.iterdir())


def test_paths_and_pillow_images_get_what_the_script_writes_for_the_same_files(call_script, model, images, tmp_path):
    out = tmp_path / "out.csv"
    result = call_script("test_torchvision.py", "-save", model, "-images", images[0].parent, "-out", out)
    assert result.returncode == 0, result.stderr
    with open(out, newline="", encoding="utf-8") as file:
        rows = {row["file_name"]: row for row in csv.DictReader(file)}
    expected = [[float(rows[path.name][f"probability_{name}"]) for name in ("no", "yes")] for path in images]
    assert np.ptp(expected, axis=0).min() > 1e-3  # far more than the tolerance

    classifier = Classifier.load(model)
    assert classifier.class_names == ["no", "yes"]
    opened = [Image.open(path) for path in images]
    for given in (images, list(map(str, images)), opened, iter(images)):
        probabilities = classifier.predict(given)
        assert (probabilities.shape, probabilities.dtype) == ((5, 2), np.float64)
        assert probabilities == pytest.approx(np.array(expected), abs=1e-6)
    names = [classifier.class_names[index] for index in classifier.predict(images).argmax(axis=1)]
    assert names == [rows[path.name]["predicted_class"] for path in images]


def test_the_batch_size_does_not_matter_and_may_be_larger_than_the_number_of_images(model, images):
    classifier = Classifier.load(str(model))
    at_once = classifier.predict(images)
    for batch_size in (1, 2, 3):
        assert classifier.predict(images, batch_size) == pytest.approx(at_once, abs=1e-6)
    assert classifier.predict([]).shape == (0, 2)


def test_an_image_that_cannot_be_read_is_an_error_that_names_it(model, images):
    damaged = images[0].with_name("damaged.png")
    damaged.write_bytes(images[0].read_bytes()[:100])
    classifier = Classifier.load(model)
    for path in (damaged, damaged.with_name("nowhere.png")):
        with pytest.raises(UserError) as error:
            classifier.predict([*images, path])
        (fault,) = error.value.faults
        assert fault.startswith(f"{path}: ")
    with pytest.raises(UserError) as error, Image.open(damaged) as image:
        classifier.predict([image])
    assert error.value.faults[0].startswith(f"{damaged}: ")
    with pytest.raises(UserError, match=r"image: .*not finite"):
        classifier.predict([Image.fromarray(np.full((8, 8), np.nan, np.float32))])


def test_a_single_image_instead_of_a_list_is_an_error(model, images):
    for classifier in (Classifier.load(model), Ensemble.of([Classifier.load(model)])):
        for single in (images[0], str(images[0]), Image.new("L", (30, 26))):
            with pytest.raises(TypeError, match="give a list"):
                classifier.predict(single)
