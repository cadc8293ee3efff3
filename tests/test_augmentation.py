import pytest
import torch
from PIL import Image

from pipeline.learning import augmentation
from pipeline.learning.image_sets import ImageSet
from pipeline.learning.preprocessing import Preprocessing


def shapes(count, channels=1, size=32):
    """Images of a bright square left of the middle."""
    images = torch.zeros(count, channels, size, size, dtype=torch.uint8)
    images[..., 10:22, 4:14] = 200
    return images


def test_no_augmentation_changes_nothing():
    images = shapes(3)
    assert augmentation.make_augmentation("none")(images) is images


@pytest.mark.parametrize("strength", ["light", "strong"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_changed_in_its_own_way_and_stays_an_image(strength, channels):
    torch.manual_seed(0)
    images = shapes(8, channels)
    changed = augmentation.make_augmentation(strength)(images)
    assert (changed.shape, changed.dtype) == (images.shape, torch.uint8)
    assert len({image.numpy().tobytes() for image in changed}) == 8
    assert torch.equal(images, shapes(8, channels))  # the originals stay
    # The square is still there, about as large and bright as it was.
    bright = (changed[:, 0] > 100).float().mean(dim=(1, 2))
    assert (bright > 0.05).all() and (bright < 0.25).all()
    assert (changed[:, :, 0, 0] < 20).all()  # black comes in from outside; less contrast brightens it a little


def test_about_half_of_the_images_are_mirrored():
    torch.manual_seed(0)
    changed = augmentation.make_augmentation("light")(shapes(200)).float()[:, 0]
    on_the_right = changed[..., 16:].sum(dim=(1, 2)) > changed[..., :16].sum(dim=(1, 2))
    assert 80 < on_the_right.sum() < 120


def test_light_leaves_brightness_alone_and_strong_does_not():
    torch.manual_seed(0)
    for strength, most in (("light", 200), ("strong", 255)):
        changed = augmentation.make_augmentation(strength)(shapes(50)).amax(dim=(1, 2, 3))
        assert changed.max() <= most
        assert (changed.unique().numel() > 3) == (strength == "strong")


def test_the_seed_decides():
    augment = augmentation.make_augmentation("strong")
    torch.manual_seed(5)
    first = augment(shapes(4))
    torch.manual_seed(5)
    assert torch.equal(first, augment(shapes(4)))
    assert not torch.equal(first, augment(shapes(4)))


@pytest.mark.parametrize("count", [2, 9])
def test_the_picture_has_a_row_for_each_of_the_first_images_and_the_image_itself_first(tmp_path, count):
    images = ImageSet(
        paths=[], labels=torch.zeros(count, dtype=torch.int64), preprocessing=Preprocessing(1, 32, 32),
        content_hashes=[], in_color=0, device=torch.device("cpu"), pixels=shapes(count),
    )  # fmt: skip
    augmentation.draw_augmented(tmp_path / "augmented.png", images, "strong")
    picture = Image.open(tmp_path / "augmented.png")
    assert picture.size == (6 * 36 + 4, min(count, 4) * 36 + 4)
    first = picture.crop((4, 4, 36, 36)).convert("L")
    assert list(first.tobytes()) == images.pixels[0].flatten().tolist()
