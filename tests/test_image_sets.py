import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import UserError
from pipeline.learning import image_sets
from pipeline.learning.preprocessing import Preprocessing
from pipeline.project import Project
from pipeline.split_files import read_split

RED, GREY = (255, 0, 0), (90, 90, 90)


@pytest.fixture
def project(draw_project, tmp_path):
    return Project(draw_project(tmp_path / "project", counts=(6, 2, 2)))


def load(project, *preprocessing):
    return image_sets.load_image_set(project, read_split(project, "train"), Preprocessing(*preprocessing))


def test_a_set_holds_the_resized_grey_values_and_labels_in_the_order_of_the_split_file(project):
    images = load(project, 3, 20, 24)
    assert images.pixels.shape == (6, 1, 20, 24)
    assert images.pixels.dtype == torch.uint8
    assert images.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert len(images) == 6
    for number, pixels in enumerate(images.pixels):
        expected = Image.open(project.bin / f"train é{number}.png").resize((24, 20), Image.Resampling.BILINEAR)
        assert np.array_equal(pixels[0], expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_is_model_input_from_0_to_1_with_the_labels_of_the_same_images(project, channels):
    images = load(project, channels, 20, 24)
    inputs, labels = images.batch(torch.tensor([4, 1]))
    assert inputs.shape == (2, channels, 20, 24)
    assert inputs.dtype == torch.float32
    assert torch.equal(inputs, (images.pixels[[4, 1]] / 255).repeat(1, channels, 1, 1))
    assert labels.tolist() == [0, 1]


def test_colour_is_counted_and_kept_where_asked_for(project):
    for number, color in enumerate([RED, GREY, RED]):
        Image.new("RGB", (9, 9), color).save(project.bin / f"train é{number}.png")
    grey, colored = load(project, 3, 8, 8), load(project, 3, 8, 8, True)
    assert grey.in_color == colored.in_color == 2
    assert grey.pixels.shape == (6, 1, 8, 8)
    assert colored.pixels.shape == (6, 3, 8, 8)
    assert colored.pixels[0, :, 0, 0].tolist() == list(RED)
    inputs, _ = colored.batch(torch.tensor([0]))
    assert inputs[0, :, 0, 0].tolist() == [1, 0, 0]


def test_an_image_is_turned_upright(project):
    image = Image.new("L", (8, 8))
    image.paste(255, (0, 0, 4, 8))  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by a quarter, after which the upper half is
    image.save(project.bin / "train é0.png", exif=exif)
    pixels = load(project, 1, 8, 8).pixels[0, 0]
    assert (pixels[:4] == 255).all() and (pixels[4:] == 0).all()


def test_every_image_that_cannot_be_read_is_named_with_the_way_out(project):
    (project.bin / "train é1.png").write_bytes(b"")
    (project.bin / "train é4.png").write_text("no image")
    with pytest.raises(UserError) as error:
        load(project, 3, 8, 8)
    way_out = f"replace it, or remove its line from {project.csv / 'train.csv'}"
    assert error.value.faults == (
        f"{project.bin / 'train é1.png'}: the file is empty; {way_out}",
        f"{project.bin / 'train é4.png'}: not an image that Pillow can read; {way_out}",
    )
