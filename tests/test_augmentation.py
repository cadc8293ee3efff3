from pathlib import Path

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from pipeline.learning import augmentation
from pipeline.learning.image_sets import ImageSet
from pipeline.learning.preprocessing import Preprocessing


def shapes(count, channels=1, size=32):
    """Images of a bright square left of the middle."""
    images = torch.zeros(count, channels, size, size, dtype=torch.uint8)
    images[..., 10:22, 4:14] = 200
    return images


STRONG = augmentation.AUGMENTATIONS["strong"]


def test_no_augmentation_changes_nothing():
    images = shapes(3)
    assert augmentation.AUGMENTATIONS["none"](images) is images


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_changed_in_its_own_way_and_stays_an_image(channels):
    torch.manual_seed(0)
    images = shapes(8, channels)
    changed = STRONG(images)
    assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
    assert len({image.numpy().tobytes() for image in changed}) == 8
    assert torch.equal(images, shapes(8, channels))  # the originals stay
    # The square is still there, about as large and bright as it was.
    bright = (changed[:, 0] > 100).float().mean(dim=(1, 2))
    assert (bright > 0.05).all() and (bright < 0.25).all()
    assert (changed[:, :, 0, 0] < 20).all()  # black comes in from outside; less contrast brightens it a little


def test_about_half_of_the_images_are_mirrored():
    torch.manual_seed(0)
    changed = STRONG(shapes(200)).float()[:, 0]
    on_the_right = changed[..., 16:].sum(dim=(1, 2)) > changed[..., :16].sum(dim=(1, 2))
    assert 80 < on_the_right.sum() < 120


def test_brightness_changes_where_it_should_and_only_there():
    torch.manual_seed(0)
    brightest = STRONG(shapes(50)).amax(dim=(1, 2, 3))
    assert brightest.unique().numel() > 3 and brightest.max() <= 255
    mirrored = augmentation.Augmentation()(shapes(50)).amax(dim=(1, 2, 3))
    assert mirrored.unique().tolist() == [200]


def test_rectangles_are_blacked_out():
    white = torch.full((20, 3, 32, 32), 255, dtype=torch.uint8)
    erased = (augmentation.Augmentation(erased=1.0)(white) == 0).float().mean(dim=(1, 2, 3))
    assert erased.min() > 0 and erased.max() < 0.2


def test_the_seed_decides():
    torch.manual_seed(5)
    first = STRONG(shapes(4))
    torch.manual_seed(5)
    assert torch.equal(first, STRONG(shapes(4)))
    assert not torch.equal(first, STRONG(shapes(4)))


def noise(count, height, width):
    torch.manual_seed(3)
    return torch.randint(256, (count, 3, height, width), dtype=torch.uint8).float()


def test_images_are_moved_as_torchvision_moves_each_of_them():
    turns, shears, mirrors, zooms = [0.0, 10, -20, 15, 5], [0.0, 0, 12, -7, 3], [1, 1, 1, 1, -1], [1, 1, 0.8, 1.2, 1]
    images = noise(5, 40, 60)
    choices = (
        torch.tensor(turns).deg2rad(),
        torch.tensor(shears).deg2rad(),
        torch.tensor(mirrors),
        torch.tensor(zooms),
    )
    matrices = augmentation.affine_matrices(*choices, torch.zeros(5), torch.zeros(5), 60 / 40)
    moved = augmentation.move(images, matrices)
    for number, (turn, shear, mirror, zoom) in enumerate(zip(turns, shears, mirrors, zooms, strict=True)):
        image = images[number] if mirror == 1 else v2.horizontal_flip(images[number])
        expected = v2.affine(image, turn, [0, 0], zoom, [shear, 0.0], interpolation=InterpolationMode.BILINEAR)
        assert torch.allclose(moved[number], expected, atol=0.01)


def test_a_shift_is_a_fraction_of_width_and_height():
    images, (zero, one) = noise(1, 40, 60), torch.tensor([[0.0], [1.0]])
    matrices = augmentation.affine_matrices(zero, zero, one, one, torch.tensor([0.1]), torch.tensor([-0.1]), 60 / 40)
    moved = augmentation.move(images, matrices)
    assert torch.allclose(moved[..., 4:, :-6], images[..., :-4, 6:], atol=0.01)  # 6 of 60 pixels left, 4 of 40 down
    assert moved[..., :4, :].abs().max() < 0.01 and moved[..., -6:].abs().max() < 0.01


def test_brightness_and_contrast_change_as_torchvision_changes_them():
    images = noise(3, 20, 30)[:, :1]
    brightness, contrast = torch.tensor([0.7, 1.0, 1.3]), torch.tensor([1.3, 0.8, 1.0])
    changed = augmentation.change_tone(images, brightness, contrast) / 255
    for number in range(3):
        expected = v2.adjust_brightness(images[number] / 255, brightness[number].item())
        expected = v2.adjust_contrast(expected, contrast[number].item())
        assert torch.allclose(changed[number], expected, atol=1e-5)
    # In colour the mean is that of all channels.
    color = torch.tensor([0.0, 60.0, 240.0]).view(1, 3, 1, 1)
    changed = augmentation.change_tone(color, torch.ones(1), torch.tensor([0.5]))
    assert changed.flatten().tolist() == pytest.approx([50, 80, 170])


def test_as_many_rectangles_are_drawn_as_asked_for_of_the_size_and_shape_that_is_documented():
    torch.manual_seed(0)
    height, width = 80, 120
    mask = augmentation.draw_rectangles(0.25, 2000, height, width, torch.device("cpu"))[:, 0]
    rows, columns = mask.any(dim=2).sum(dim=1).double(), mask.any(dim=1).sum(dim=1).double()
    assert torch.equal(mask.sum(dim=(1, 2)).double(), rows * columns)  # rectangles
    drawn = rows > 0
    assert 0.22 < drawn.double().mean() < 0.28
    areas = (rows * columns)[drawn] / (height * width)
    assert areas.min() > 0.015 and areas.max() < 0.16  # cut to whole pixels
    assert areas.mean() == pytest.approx((0.02 + 0.15) / 2, abs=0.005)
    ratios = (rows[drawn] / height) / (columns[drawn] / width)
    assert ratios.max() < 3.32 * 1.2 and ratios.min() > 1 / 3.32 / 1.2
    assert ratios.log().mean() == pytest.approx(0, abs=0.1)
    assert mask.any(dim=0)[4:-4, 6:-6].all()  # everywhere, corners seldom


def test_no_choice_goes_further_than_its_bounds_and_all_of_them_are_drawn():
    torch.manual_seed(0)
    drawn = augmentation.around(1, 0.25, 10_000, torch.device("cpu"))
    assert 0.75 <= drawn.min() < 0.76 and 1.24 < drawn.max() <= 1.25
    assert drawn.mean() == pytest.approx(1, abs=0.01)
    assert augmentation.around(0, 0.0, 3, torch.device("cpu")).tolist() == [0.0, 0.0, 0.0]


def test_nothing_makes_the_device_wait():
    # On this device only shapes exist: whatever asked for a number would fail.
    images = torch.empty(5, 1, 20, 30, dtype=torch.uint8, device="meta")
    changed = STRONG(images)
    assert (changed.shape, changed.dtype, changed.device.type) == (images.shape, torch.uint8, "meta")


def image_set(count):
    return ImageSet(
        paths=[Path(f"{number}.png") for number in range(count)], labels=torch.zeros(count, dtype=torch.int64),
        preprocessing=Preprocessing(1, 32, 32), content_hashes=[], in_color=0, device=torch.device("cpu"),
        pixels=shapes(count),
    )  # fmt: skip


def test_the_picture_is_the_same_whatever_was_drawn_before(tmp_path):
    # As for a training that goes on.
    for seed in (1, 2):
        torch.manual_seed(seed)
        augmentation.draw_augmented(tmp_path / f"{seed}.png", image_set(2), STRONG)
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


@pytest.mark.parametrize("count", [2, 9])
def test_the_picture_has_a_row_for_each_of_the_first_images_and_the_image_itself_first(tmp_path, monkeypatch, count):
    images = image_set(count)
    drawn = []
    monkeypatch.setattr(augmentation.tiles, "draw_sheet", lambda path, title, rows, side: drawn.extend(rows))
    augmentation.draw_augmented(tmp_path / "augmented.png", images, STRONG)
    assert [row.label for row in drawn] == [f"{number}.png" for number in range(min(count, 4))]
    for row, pixels in zip(drawn, images.pixels, strict=False):
        assert [tile.caption for tile in row.tiles] == ["as it is"] + ["augmented"] * 5
        assert list(row.tiles[0].image.tobytes()) == pixels.flatten().tolist()
