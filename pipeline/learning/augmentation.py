"""Random changes of training images that leave their class as it is."""

import torch
from torchvision.transforms import v2
from torchvision.utils import make_grid, save_image

from pipeline import files

BILINEAR = v2.InterpolationMode.BILINEAR


def make_augmentation(strength):
    """Return a function from uint8 images (n, 1 or 3, height, width) to as many changed ones, each in its own way.

    light: mirrored, turned by up to 10 degrees. strong: turned by up to 20 degrees, moved, scaled and sheared, other
    brightness and contrast, a part blacked out. What comes in from outside the image is black.
    """
    if strength == "none":
        return lambda images: images
    if strength == "light":
        changes = [v2.RandomHorizontalFlip(), v2.RandomAffine(10, interpolation=BILINEAR)]
    else:
        changes = [
            v2.RandomHorizontalFlip(),
            v2.RandomAffine(20, translate=(0.1, 0.1), scale=(0.75, 1.25), shear=12, interpolation=BILINEAR),
            v2.ColorJitter(brightness=0.3, contrast=0.3),
            v2.RandomErasing(p=0.25, scale=(0.02, 0.15)),
        ]
    change = v2.Compose(changes)
    # One by one: given a batch, torchvision changes all its images in the same way.
    return lambda images: torch.stack([change(image) for image in images])


def draw_augmented(path, image_set, strength, rows=4, columns=6):
    """Draw the first images of an ImageSet, a row each: as they are, then changed in several ways."""
    augment = make_augmentation(strength)
    ((pixels, _),) = image_set.batches([torch.arange(min(rows, len(image_set)))])
    pixels = pixels.cpu()
    tiles = [torch.cat([image[None], augment(image.expand(columns - 1, -1, -1, -1))]) for image in pixels]
    grid = make_grid(torch.cat(tiles) / 255, nrow=columns, padding=4, pad_value=1.0)
    with files.whole_file(path) as temporary:
        save_image(grid, temporary, format="png")
