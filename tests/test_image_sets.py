import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.errors import UserError
from pipeline.learning import devices, image_sets
from pipeline.learning.preprocessing import Preprocessing
from pipeline.project import Project
from pipeline.split_files import read_split

RED, GREY = (255, 0, 0), (90, 90, 90)
CPU, ELSEWHERE = torch.device("cpu"), torch.device("meta")  # a device that every PyTorch has, without numbers
SIZE = 6 * 20 * 24  # bytes of the images of `project` in grey, 20 x 24 pixels


@pytest.fixture
def project(draw_project, tmp_path):
    return Project(draw_project(tmp_path / "project", counts=(6, 2, 2)))


@pytest.fixture(params=[0.5, 0], ids=["in memory", "read again"])
def wherever(request, monkeypatch):
    """Run the test with images held in memory, and with images read again for every batch."""
    monkeypatch.setattr(image_sets, "FRACTION_OF_FREE_MEMORY", request.param)


@pytest.fixture
def free(monkeypatch):
    """Return pretend(**bytes): how much memory is free on each type of device."""

    def pretend(**bytes_free):
        monkeypatch.setattr(devices, "free_memory", lambda device: bytes_free[device.type])

    return pretend


def load(project, *preprocessing, device=CPU):
    split = read_split(project, "train")
    return image_sets.load_image_set(project, split, Preprocessing(*preprocessing), device)


def in_order(images, batch_size=4):
    return torch.cat(list(images.pixels_in_order(batch_size)))


def parts(*indices):
    return [torch.tensor(part, dtype=torch.int64) for part in indices]


def test_a_set_holds_the_resized_grey_values_and_labels_in_the_order_of_the_split_file(project, wherever):
    images = load(project, 3, 20, 24)
    pixels = in_order(images)
    assert (pixels.shape, pixels.dtype) == ((6, 1, 20, 24), torch.uint8)
    assert images.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert images.paths == [project.bin / f"train é{number}.png" for number in range(6)]
    assert len(images) == 6
    for path, plane in zip(images.paths, pixels[:, 0], strict=True):
        assert np.array_equal(plane, Image.open(path).resize((24, 20), Image.Resampling.BILINEAR))


def test_a_batch_has_the_pixels_and_labels_of_the_images_asked_for(project, wherever):
    images = load(project, 3, 20, 24)
    pixels = in_order(images)
    wanted = [[4, 1, 1], [0], [], [5, 4, 3, 2, 1, 0]]
    found = list(images.batches(parts(*wanted)))
    assert len(found) == 4
    for indices, (batch, labels) in zip(wanted, found, strict=True):
        assert (batch.dtype, labels.dtype) == (torch.uint8, torch.int64)
        assert torch.equal(batch, pixels[indices])
        assert torch.equal(labels, images.labels[indices])
    assert list(images.batches([])) == []


def test_all_pixels_come_in_order_in_batches_of_the_size_asked_for(project, wherever):
    images = load(project, 3, 8, 8)
    expected = torch.cat([pixels for pixels, _ in images.batches([torch.arange(6)])])
    for batch_size, sizes in [(1, [1] * 6), (4, [4, 2]), (6, [6]), (100, [6])]:
        batches = list(images.pixels_in_order(batch_size))
        assert [len(pixels) for pixels in batches] == sizes
        assert torch.equal(torch.cat(batches), expected)


def test_colour_is_counted_and_kept_where_asked_for(project, wherever):
    for number, color in enumerate([RED, GREY, RED]):
        Image.new("RGB", (9, 9), color).save(project.bin / f"train é{number}.png")
    grey, colored = load(project, 3, 8, 8), load(project, 3, 8, 8, True)
    assert grey.in_color == colored.in_color == 2
    assert in_order(grey).shape == (6, 1, 8, 8)
    assert in_order(colored).shape == (6, 3, 8, 8)
    assert in_order(colored)[0, :, 0, 0].tolist() == list(RED)


def test_an_image_is_turned_upright(project, wherever):
    image = Image.new("L", (8, 8))
    image.paste(255, (0, 0, 4, 8))  # the left half is white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned right by a quarter, after which the upper half is
    image.save(project.bin / "train é0.png", exif=exif)
    pixels = in_order(load(project, 1, 8, 8))[0, 0]
    assert (pixels[:4] == 255).all() and (pixels[4:] == 0).all()


def test_every_image_that_cannot_be_read_is_named_with_the_way_out(project, wherever):
    names = ["train é1.png", "train é4.png"]
    for name in names:
        (project.bin / name).write_text("not an image")
    with pytest.raises(UserError) as error:
        load(project, 3, 8, 8)
    for fault, name in zip(error.value.faults, names, strict=True):
        assert fault.startswith(f"{project.bin / name}: ") and str(project.csv / "train.csv") in fault


@pytest.mark.parametrize(("missing", "held"), [(0, True), (1, False)])
@pytest.mark.parametrize(("keep_color", "size"), [(False, SIZE), (True, 3 * SIZE)])
def test_images_are_held_where_half_of_the_free_memory_takes_them(project, free, keep_color, size, missing, held):
    free(cpu=2 * size - missing)
    images = load(project, 3, 20, 24, keep_color)
    assert (images.pixels is not None) == held
    assert in_order(images).shape == (6, 3 if keep_color else 1, 20, 24)


@pytest.mark.parametrize(
    ("there", "here", "place"),
    [(2 * SIZE, 0, ELSEWHERE), (2 * SIZE, 9 * SIZE, ELSEWHERE), (2 * SIZE - 1, 2 * SIZE, CPU)],
)
def test_a_gpu_holds_the_images_where_they_fit_there(project, free, there, here, place):
    free(meta=there, cpu=here)
    assert load(project, 3, 20, 24, device=ELSEWHERE).pixels.device == place


def test_images_that_fit_nowhere_are_read_again(project, free):
    free(meta=2 * SIZE - 1, cpu=2 * SIZE - 1)
    assert load(project, 3, 20, 24, device=ELSEWHERE).pixels is None


@pytest.mark.parametrize(
    "bytes_free", [{"cpu": 10**9, "meta": 10**9}, {"cpu": 10**9, "meta": 0}, {"cpu": 0, "meta": 10**9}], ids=str
)
def test_batches_are_on_the_models_device_wherever_the_images_are(project, free, bytes_free):
    free(**bytes_free)
    images = load(project, 3, 20, 24, device=ELSEWHERE)
    found = list(images.batches(parts([4, 1], [0])))
    assert [(pixels.device, labels.device) for pixels, labels in found] == [(ELSEWHERE, ELSEWHERE)] * 2
    assert [tuple(pixels.shape) for pixels, _ in found] == [(2, 1, 20, 24), (1, 1, 20, 24)]
    assert [tuple(labels.shape) for _, labels in found] == [(2,), (1,)]
    assert images.labels.device == CPU


def test_copies_to_apples_gpus_are_waited_for(project, monkeypatch):
    images = load(project, 3, 8, 8)
    copies = []

    def copy(tensor, device, non_blocking=False):
        copies.append((device.type, tensor.dtype, non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "to", copy)
    for device in ("cuda", "mps"):
        list(replace(images, device=torch.device(device)).pixels_in_order(6))
    assert ("cuda", torch.uint8, True) in copies
    assert ("mps", torch.uint8, False) in copies


def test_images_that_are_read_again_are_read_a_batch_at_a_time(project, free, monkeypatch):
    free(cpu=0)
    images = load(project, 3, 8, 8)
    read = []
    monkeypatch.setattr(image_sets, "load_image", lambda path, preprocessing: read.append(path) or loaded)
    loaded = image_sets.LoadedImage(pixels=(np.zeros((1, 8, 8), dtype=np.uint8),))
    batches = images.batches(list(torch.arange(6).split(2)))
    next(batches)
    assert len(read) <= 4  # this batch and the next one
    assert len(list(batches)) == 2
    assert sorted(read) == images.paths


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"")])
def test_a_file_that_cannot_be_read_any_more_is_named(project, free, damage):
    free(cpu=0)
    images = load(project, 3, 8, 8)
    path = project.bin / "train é3.png"
    damage(path)
    before = threading.active_count()
    batches = images.batches(parts([0, 5], [2, 3, 4]))
    assert torch.equal(next(batches)[1], torch.tensor([0, 1]))
    with pytest.raises(UserError) as error:
        next(batches)
    assert error.value.faults[0].startswith(f"{path}: ")
    assert threading.active_count() == before


def test_images_held_in_memory_are_not_read_again(project):
    images = load(project, 3, 8, 8)
    expected = in_order(images)
    for path in images.paths:
        path.unlink()
    assert torch.equal(in_order(images), expected)


@pytest.mark.parametrize("keep_color", [False, True])
def test_the_channel_statistics_are_those_of_all_pixels(draw_project, tmp_path, keep_color):
    project = Project(draw_project(tmp_path / "colored", counts=(6, 2, 2), mode="RGB"))
    images = load(project, 3, 20, 24, keep_color)
    mean, std = images.channel_statistics()
    values = images.pixels.numpy() / 255
    assert len(mean) == len(std) == (3 if keep_color else 1)
    assert mean == pytest.approx(values.mean(axis=(0, 2, 3)))
    assert std == pytest.approx(values.std(axis=(0, 2, 3)))


def test_images_without_contrast_are_not_scaled(project):
    images = load(project, 3, 8, 8)
    images.pixels[:] = 51
    assert images.channel_statistics() == ([pytest.approx(0.2)], [1.0])


def draw_deep(project, partition, kind, values):
    """Replace a partition's images by ones of this kind of numbers, one pixel of each of these values."""
    for number, value in enumerate(values):
        pixels = np.full((20, 20), 100, dtype=kind)
        pixels[0, 0] = value
        path = project.bin / f"{partition} é{number}.png"
        Image.fromarray(pixels).save(path, "TIFF" if kind != np.uint16 else "PNG")


@pytest.mark.parametrize(("kind", "other"), [(np.uint16, 4096), (np.int32, -5), (np.float32, 1.0003)])
def test_one_scale_is_found_in_the_training_images_and_told(project, wherever, capsys, kind, other):
    draw_deep(project, "train", kind, [200, 250, 90])
    draw_deep(project, "val", kind, [200, other])
    data = image_sets.load_training_data(project, None, Preprocessing(1, 20, 20), CPU)
    ranges = data.train.preprocessing.value_ranges
    assert len(ranges) == 1 and data.val.preprocessing == data.train.preprocessing
    pixels = [in_order(images)[:, 0, 10, 10].tolist() for images in (data.train, data.val)]
    assert len(set(pixels[0][:3] + pixels[1])) == 1  # 100 is the same everywhere
    notes = capsys.readouterr().err.splitlines()
    assert "3 of 6 training images" in notes[0]
    assert len(notes) == 2 and "val é1.png" in notes[1]


def test_8_bits_have_no_scale_and_cost_nothing(project, monkeypatch, capsys):
    monkeypatch.setattr(image_sets.image_values, "value_range", None)
    data = image_sets.load_training_data(project, None, Preprocessing(1, 20, 20), CPU)
    assert data.train.preprocessing.value_ranges is None
    assert capsys.readouterr().err == ""


def test_images_without_contrast_and_with_several_pages_are_told_of_in_a_line_each(project, capsys):
    for number in range(6):
        pages = [Image.new("L", (9, 9), 7), Image.new("L", (9, 9), 8)]
        pages[0].save(project.bin / f"train é{number}.png", "TIFF", save_all=True, append_images=pages[1:])
    load(project, 1, 8, 8)
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 2 and all("6 of 6" in line and "and 2 more" in line for line in notes)


def test_an_image_that_memory_does_not_hold_is_unreadable(project, monkeypatch):
    def fail(*arguments):
        raise MemoryError

    preprocessing = Preprocessing(1, 8, 8)
    monkeypatch.setattr(Preprocessing, "pixels", fail)
    assert "memory" in image_sets.load_image(project.bin / "train é0.png", preprocessing).unreadable
