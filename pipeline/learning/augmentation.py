"""Random changes to training images that leave their class as it is."""

from dataclasses import dataclass

import torch
from torch.nn import functional
from torchvision.transforms.functional import to_pil_image

from pipeline import tiles

SIDE, ROWS, COLUMNS = 160, 4, 6  # of the picture of augmented images; SIDE in pixels
SHEET_SEED = 0  # for that picture; each epoch of a training has its own seed


@dataclass(frozen=True)
class Augmentation:
    """The ranges from which the changes to each image are drawn at random."""

    mirrored: float = 0.5  # probability of mirroring left to right
    turn: float = 0.0  # degrees, in either direction
    shear: float = 0.0  # degrees, in either direction
    zoom: float = 0.0  # fraction of the size, larger or smaller
    shift: float = 0.0  # fraction of width and of height, in all four directions
    brightness: float = 0.0  # fraction, more or less
    contrast: float = 0.0  # fraction, more or less
    erased: float = 0.0  # probability of blacking out a rectangle, see `draw_rectangles`

    def __call__(self, images):
        """Return changed copies of uint8 images (n, 1 or 3, height, width).

        Areas from outside an image are black. All images are changed at once, on their device and without making it
        wait; torchvision's transforms would change all images of a batch in the same way.
        """
        count, _, height, width = images.shape
        values = images.float()
        values = move(values, self._draw_matrices(count, width / height, images.device))
        factors = [around(1, most, count, images.device) for most in (self.brightness, self.contrast)]
        values = change_tone(values, *factors)
        values *= ~draw_rectangles(self.erased, count, height, width, images.device)
        return values.round_().to(torch.uint8)

    def _draw_matrices(self, count, aspect, device):
        turn, shear = (torch.deg2rad(around(0, most, count, device)) for most in (self.turn, self.shear))
        mirror = torch.where(torch.rand(count, device=device) < self.mirrored, -1.0, 1.0)
        zoom = around(1, self.zoom, count, device)
        shift_x, shift_y = (around(0, self.shift, count, device) for _ in "xy")
        return affine_matrices(turn, shear, mirror, zoom, shift_x, shift_y, aspect)


AUGMENTATIONS = {
    "none": lambda images: images,
    "strong": Augmentation(turn=20, shear=12, zoom=0.25, shift=0.1, brightness=0.3, contrast=0.3, erased=0.25),
}


def around(middle, most, count, device):
    """Return `count` numbers, drawn uniformly between middle - most and middle + most."""
    return torch.empty(count, device=device).uniform_(middle - most, middle + most)


def affine_matrices(turn, shear, mirror, zoom, shift_x, shift_y, aspect):
    """Return matrices (n, 2, 3) for `move`, which map points of the changed images to points of the originals.

    Images are mirrored (-1; 1: not), sheared and turned clockwise (both in radians) and enlarged (zoom, above 1) around
    their centre, as torchvision.transforms.v2.functional.affine does it, and the view of them is shifted (fractions of
    width and height). `aspect` is width / height; all other arguments are tensors (n,).
    """
    # Each change is undone: (turn, then shear) transposed and inverted, then mirrored, then shrunk.
    cosine, sine, slope = turn.cos(), turn.sin(), shear.tan()
    matrices = [
        [mirror * (cosine - slope * sine), mirror * (sine + slope * cosine) / aspect],
        [-sine * aspect, cosine],
    ]
    # affine_grid measures shifts in halves of an image.
    rows = [
        torch.stack([x / zoom, y / zoom, 2 * shift], dim=1)
        for (x, y), shift in zip(matrices, (shift_x, shift_y), strict=True)
    ]
    return torch.stack(rows, dim=1)


def move(images, matrices):
    """Resample float images (n, channels, height, width) as the matrices (n, 2, 3) of `affine_matrices` say."""
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def change_tone(images, brightness, contrast):
    """Multiply the brightness of images (values from 0 to 255), then their contrast, by factors (n,)."""
    brightness, contrast = (factors.view(-1, 1, 1, 1) for factors in (brightness, contrast))
    images = (images * brightness).clamp_(max=255)
    means = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - means) * contrast + means).clamp_(0, 255)


def draw_rectangles(probability, count, height, width, device):
    """Return a mask (n, 1, height, width): each image has, with this probability, a random rectangle that is true.

    A rectangle covers 2% to 15% of the image, and its sides have a ratio of up to about 3, after Random Erasing (Zhong
    et al., arXiv 1708.04896).
    """
    area = torch.empty(count, device=device).uniform_(0.02, 0.15)
    area *= torch.rand(count, device=device) < probability
    ratio = around(0, 1.2, count, device).exp()
    bands = []  # of rows and of columns, (n, height) and (n, width)
    for length, part in ((height, (area * ratio).sqrt()), (width, (area / ratio).sqrt())):
        size = part * length
        start = torch.rand(count, device=device) * (length - size)
        middles = torch.arange(length, device=device) + 0.5  # of the pixels
        bands.append((middles > start[:, None]) & (middles < (start + size)[:, None]))
    return (bands[0][:, :, None] & bands[1][:, None, :])[:, None]


def draw_augmented(path, image_set, augment):
    """Draw the first images of an ImageSet, one row each: as they are, then augmented several times.

    Resuming a training draws the same picture again.
    """
    torch.manual_seed(SHEET_SEED)
    ((pixels, _),) = image_set.batches([torch.arange(min(ROWS, len(image_set)))])
    drawn = []
    for number, image in enumerate(pixels):
        augmented = augment(image.expand(COLUMNS - 1, -1, -1, -1))
        captioned = [(image, "as it is"), *((one, "augmented") for one in augmented)]
        row = [tiles.Tile(to_pil_image(one.cpu()), caption) for one, caption in captioned]
        drawn.append(tiles.Row(image_set.paths[number].name, row))
    tiles.draw_sheet(path, "Training images as they are, and augmented", drawn, side=SIDE)
