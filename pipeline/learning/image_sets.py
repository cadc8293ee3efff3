"""The images of a partition as tensors: held in memory if they fit, otherwise read again for every batch."""

import contextlib
import itertools
import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from pipeline import files, image_files, image_table, image_values, split_files
from pipeline.errors import UserError, require_none
from pipeline.learning import devices
from pipeline.learning.preprocessing import Preprocessing, common_ranges, kind_of_values
from pipeline.messages import note
from pipeline.progress import progress_bar, stream_in_threads
from pipeline.remarks import NO_CONTRAST, SEVERAL_PAGES, Remarks
from pipeline.thumbnails import packed, thumbnail

# The fraction of a device's free memory that images may take. The rest is for the model, whose intermediate results
# take far more than a batch of images does.
FRACTION_OF_FREE_MEMORY = 0.5

# How many images may be decoded ahead of the one that is needed.
READ_AHEAD = 64


@dataclass(frozen=True)
class ImageSet:
    """Labelled images, as bytes of pixels until a batch of them is needed."""

    paths: list  # of the files
    labels: torch.Tensor  # int64 (n,)
    preprocessing: Preprocessing
    content_hashes: list  # of the files, parallel to the labels
    in_color: int  # how many of the files show colour
    device: torch.device  # the model's, where batches go
    difference_hashes: torch.Tensor = None  # uint8 (n, 32), see thumbnails.packed
    pixels: torch.Tensor = None  # uint8 (n, 1 or 3, height, width), on `device` if they fit; None: read for every batch

    def __len__(self):
        return len(self.labels)

    def channel_statistics(self):
        """Return the mean and the standard deviation of the pixels' values in [0, 1], each a list, one per channel."""
        sums = squares = 0
        for pixels in self.pixels_in_order(100):
            # In float64 on the CPU, so that both ways of holding images, and all devices, agree.
            values = pixels.cpu().double() / 255
            sums, squares = sums + values.sum(dim=(0, 2, 3)), squares + values.square().sum(dim=(0, 2, 3))
        count = len(self) * self.preprocessing.height * self.preprocessing.width
        mean = sums / count
        # Images without any contrast are not divided by 0.
        std = (squares / count - mean.square()).clamp(min=0).sqrt()
        return mean.tolist(), torch.where(std < 1 / 255, 1.0, std).tolist()

    def batches(self, parts):
        """Yield (pixels, labels) on the device, uint8 (m, 1 or 3, height, width) and int64 (m,), for each part.

        `parts` is a list of index tensors on the CPU. Raises UserError for a file that can no longer be read.
        """
        if not parts:
            return
        pixels = self._batches_in_memory(parts) if self.pixels is not None else self._batches_from_files(parts)
        # All indices and labels at once, since small copies to a GPU wait for it.
        labels = self.labels[torch.cat(parts)].to(self.device).split([len(part) for part in parts])
        yield from zip(pixels, labels, strict=True)

    def pixels_in_order(self, batch_size):
        """Yield the pixels of all images, in order, `batch_size` at a time."""
        for pixels, _ in self.batches(list(torch.arange(len(self)).split(batch_size))):
            yield pixels

    def _batches_in_memory(self, parts):
        indices = torch.cat(parts).to(self.pixels.device)
        for part in indices.split([len(part) for part in parts]):
            # Apple's GPUs may read memory that was freed meanwhile (pytorch/pytorch#189690), so they wait for the copy.
            yield self.pixels[part].to(self.device, non_blocking=self.device.type == "cuda")

    def _batches_from_files(self, parts):
        paths = (self.paths[index] for index in torch.cat(parts).tolist())
        # The cores read one batch ahead, while the model works on the one before.
        stream = stream_in_threads(
            lambda path: (path, load_image(path, self.preprocessing)), paths, max(len(part) for part in parts)
        )
        with contextlib.closing(stream):
            for part in parts:
                pixels = np.empty((len(part), *self.preprocessing.pixels_shape), dtype=np.uint8)
                for number, (path, image) in enumerate(itertools.islice(stream, len(part))):
                    if image.unreadable:
                        raise UserError(
                            f"{path}: {image.unreadable}; it could be read a moment ago; put it back as it was"
                        )
                    (pixels[number],) = image.pixels
                yield torch.from_numpy(pixels).to(self.device)


@dataclass(frozen=True)
class TrainingData:
    """The training and the validation images of a project, or of one fold of it."""

    train: ImageSet
    val: ImageSet
    class_names: list  # by class index
    fold: int  # None for a split without folds
    split_fingerprint: str  # see split_files.fingerprint
    train_groups: list = None  # of the training images, parallel to them: texts, see image_table.groups_in

    @property
    def images_fingerprint(self):
        """A hash of the images' contents, which may change while the split files stay the same."""
        return files.content_hash(" ".join(self.train.content_hashes + self.val.content_hashes).encode())


def load_training_data(project, fold, preprocessing, device):
    """Read the training and the validation images of a project; see `load_image_set`."""
    splits = split_files.read_training_splits(project, fold)
    train = load_image_set(project, splits[0], preprocessing, device, find_scale=True)
    val = load_image_set(project, splits[1], train.preprocessing, device)
    if train.in_color and not preprocessing.keep_color:
        note(
            f"{train.in_color} of {len(train)} training images show colour, but the model only sees grey values; "
            "--keep_color keeps the colour"
        )
    groups = image_table.groups_of(project, splits[0].file_names) or splits[0].file_names
    return TrainingData(train, val, splits[0].class_names, fold, split_files.fingerprint(*splits), groups)


def load_image_set(project, split, preprocessing, device, find_scale=False):
    """Decode and resize all images of a Split, on all cores, for a model on the device.

    Returns an ImageSet. With `find_scale`, its preprocessing gets one scale for all its images of more than 8 bits.
    Raises UserError naming each image that cannot be read.
    """
    paths = [project.bin / name for name in split.file_names]
    shape = (len(paths), *preprocessing.pixels_shape)
    place = _place_for(math.prod(shape), device)
    pixels = None if place is None else torch.empty(shape, dtype=torch.uint8, device=place)
    reading = f"reading {split.partition} images"
    images = _load(dict(enumerate(paths)), preprocessing, pixels, reading)
    require_none(
        f"{path}: {image.unreadable}; replace it, or remove its line from {split.path}"
        for path, image in zip(paths, images.values(), strict=True)
        if image.unreadable
    )
    deep = {number: paths[number] for number, image in images.items() if image.values}
    if find_scale and deep:
        ranges = common_ranges([images[number].values for number in deep])
        _tell_scale(ranges, len(deep), len(paths))
        preprocessing = replace(preprocessing, value_ranges=ranges)
        images |= _load(deep, preprocessing, pixels, f"{reading} of more than 8 bits")
    remarks = Remarks()
    for name, image in zip(split.file_names, images.values(), strict=True):
        remarks.add(name, image.remarks)
    remarks.tell(f"images of {split.path.name}")
    return ImageSet(
        paths=paths,
        labels=torch.tensor(split.labels),
        preprocessing=preprocessing,
        content_hashes=[image.content_hash for image in images.values()],
        in_color=sum(image.shows_color for image in images.values()),
        device=device,
        difference_hashes=torch.from_numpy(np.concatenate([image.difference_hash for image in images.values()])),
        pixels=pixels,
    )


def _tell_scale(ranges, deep_count, count):
    shown = ", ".join(f"{kind} from {black:g} to {white:g}" for kind, (black, white) in ranges.items())
    note(
        f"{deep_count} of {count} training images have more than 8 bits: {shown} become grey values from 0 to 255, in "
        "every image that the model sees"
    )


def _load(paths, preprocessing, pixels, description):
    """Load image files, {number: path}, and put their pixels into `pixels` at these numbers, unless it is None.

    Returns {number: LoadedImage without its pixels}.
    """
    images = {}
    stream = stream_in_threads(lambda path: load_image(path, preprocessing, hashed=True), paths.values(), READ_AHEAD)
    with contextlib.closing(stream):
        bar = progress_bar(stream, total=len(paths), desc=description, unit="image")
        for number, image in zip(paths, bar, strict=True):
            if pixels is not None and not image.unreadable:
                pixels[number] = torch.tensor(image.pixels[0])
            images[number] = replace(image, pixels=())
    return images


def _place_for(size, device):
    """Return the device to hold images of this many bytes on, preferably the model's; None if none has the room."""
    for place in (device, torch.device("cpu")):
        if size <= FRACTION_OF_FREE_MEMORY * devices.free_memory(place):
            return place
    return None


@dataclass(frozen=True)
class LoadedImage:
    """One image file as the models' preprocessing needs it, or why it cannot be read."""

    pixels: tuple = ()  # uint8 (1 or 3, height, width), for each Preprocessing
    content_hash: str = ""
    difference_hash: np.ndarray = None  # uint8 (1, 32), if it was asked for
    shows_color: bool = False
    values: tuple = None  # of a file of more than 8 bits: their kind, smallest and largest
    remarks: tuple = ()  # what to tell the user about the image
    unreadable: str = ""  # the reason


def load_image(path, *views, hashed=False):
    """Decode one image file and resize it for each of the `views`, Preprocessings; return a LoadedImage.

    The remarks are those on the first of them. `hashed` asks for the difference hash.
    """
    try:
        data = image_files.read_bytes(path)
        with image_files.decoded(data) as image:
            pixels = tuple(view.pixels(image) for view in views)
            values = (kind_of_values(image), *image_values.value_range(image)) if image_values.is_deep(image) else None
            remarks = views[0].remarks_on(values) if values else []
            remarks += [NO_CONTRAST] if pixels[0].min() == pixels[0].max() else []
            remarks += [SEVERAL_PAGES] if image_files.page_count(data) > 1 else []
            difference_hash = packed(thumbnail(image)[np.newaxis]) if hashed else None
            in_color = image_files.shows_color(image)
            return LoadedImage(pixels, files.content_hash(data), difference_hash, in_color, values, tuple(remarks))
    except image_files.UnreadableImage as reason:
        return LoadedImage(unreadable=str(reason))
