"""Starting from weights that were trained on other images, and training only the last layer."""

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torchvision.models import get_model, get_model_weights

from pipeline import files
from pipeline.errors import UserError
from pipeline.learning import checkpoints, models
from pipeline.learning.devices import autocast
from pipeline.learning.preprocessing import Preprocessing

IMAGENET = "imagenet"
EARLIER = "earlier training"


@dataclass(frozen=True)
class Start:
    """What a training starts from."""

    preprocessing: Preprocessing  # that the weights are used to
    fresh: frozenset = None  # names of the weights that are random; None: all of them
    seen_images: dict = field(default_factory=dict)  # as in a Checkpoint, of the training that the others come from


@dataclass(frozen=True)
class Pretrained:
    """What is known of weights that were trained on other images."""

    state_dict: dict
    seen_images: dict  # as in a Checkpoint
    scaling: tuple = None  # (mean, standard deviation) of their images, each None where they were left as they are


def start_from(model, config, class_count, preprocessing, channel_statistics):
    """Load the weights that `-weights` means into a model, all but the last layer's, and return the Start.

    Args:
        model: nn.Module, as models.build_model returns it.
        config: TrainingConfig; its `weights` are "imagenet", for torchvision's, downloaded once and kept by torch, or
            the path of a checkpoint or of a plain state dict.
        class_count: of the model.
        preprocessing: of the images, not scaled.
        channel_statistics: function that returns the mean and standard deviation of the training images.

    Raises UserError for weights that do not exist, cannot be downloaded or read, or are another architecture's.
    """
    source = config.weights
    head = models.head_names(config.architecture, class_count, preprocessing.image_shape)
    pretrained = (_imagenet_weights if source == IMAGENET else _weights_of_file)(source, model, config.architecture)
    fresh = _copy_all_weights(model, pretrained.state_dict, head, source)
    if config.normalize is False:
        mean = std = None
    elif config.normalize or pretrained.scaling is None:
        mean, std = channel_statistics()
    else:
        mean, std = pretrained.scaling
        if mean is not None and len(mean) > preprocessing.channels:
            # A model of one channel sees the mean of three.
            mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]
    shown = "not scaled" if mean is None else f"scaled by mean {_shown(mean)}, standard deviation {_shown(std)}"
    print(f"images are {shown}")
    return Start(replace(preprocessing, mean=mean, std=std), fresh, pretrained.seen_images)


def weights_fingerprint(source):
    """Return a hash of the file that `-weights` means, which may move; for imagenet and None, that itself."""
    if source in (None, IMAGENET):
        return source
    try:
        return files.content_hash(Path(source).read_bytes())
    except OSError as error:
        raise UserError(f"-weights {source}: {error.strerror}; check the name") from None


def start_of(checkpoint):
    """Return the Start of a training that goes on with the state in a checkpoint."""
    fresh = checkpoint.fresh_weights
    seen = {key: value for key, value in (checkpoint.seen_images or {}).items() if key == EARLIER}
    return Start(checkpoint.build_preprocessing(), None if fresh is None else frozenset(fresh), seen)


def freeze_backbone(model, head, fresh):
    """Let training change only the weights named in `head`, those of the last layer.

    Raises UserError where others are random, and would stay so.
    """
    if fresh - head:
        raise UserError(f"--freeze_backbone: {', '.join(sorted(fresh - head))} would stay random; leave the option out")
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name in head


@dataclass(frozen=True)
class Features(Preprocessing):
    """For sets that hold the inputs of a model's last layer instead of pixels: they are model input already."""

    def model_input(self, pixels):
        return pixels


def on_features(model, head, image_sets, precision):
    """Return what trains only the last layer, on features that are computed once.

    Args:
        model: nn.Module whose weights but for the `head` are frozen.
        head: names of the last layer's weights.
        image_sets: ImageSets.
        precision: number format to compute the features in.

    Returns the last layer, and sets with its inputs as their pixels; the model and the sets themselves where the
    model does more to the layer's outputs than to return them.
    """
    layer = models.layer_of(model, head)
    found = [_features(model, layer, image_set, precision) for image_set in image_sets]
    return (model, image_sets) if None in found else (layer, found)


@torch.no_grad()
def _features(model, layer, image_set, precision):
    taken, given, features = [], [], []

    def keep(_, inputs, output):
        taken.append(inputs[0])
        given.append(output)

    hook = layer.register_forward_hook(keep)
    model.eval()
    with hook, autocast(image_set.device, precision):
        for pixels in image_set.pixels_in_order(100):
            if not torch.equal(model(image_set.preprocessing.model_input(pixels)), given.pop()):
                return None
            features.append(taken.pop().float())
    preprocessing = Features(**vars(image_set.preprocessing))
    return replace(image_set, pixels=torch.cat(features), preprocessing=preprocessing)


@torch.no_grad()
def _copy_all_weights(model, state_dict, head, source):
    own = model.state_dict()
    fresh = frozenset(name for name in own if not _copy_weights(own[name], state_dict.get(name), name in head))
    if len(fresh) == len(own):
        raise UserError(f"-weights {source}: none of its weights fits this architecture; give weights of the same one")
    print(f"weights of {source}: {len(own) - len(fresh)} of {len(own)} loaded; random: {', '.join(sorted(fresh))}")
    return fresh


def _copy_weights(own, weights, is_head):
    if is_head or not torch.is_tensor(weights):
        return False
    if weights.ndim == own.ndim == 4 and weights.shape[1] == 3 and own.shape[1] == 1:
        # One grey channel seen through the sum of the weights gives what three equal ones do.
        weights = weights.sum(dim=1, keepdim=True)
    if weights.shape != own.shape:
        return False
    own.copy_(weights)
    return True


def _weights_of_file(path, model, architecture):
    checkpoint = checkpoints.load(path)
    if checkpoint.architecture not in (None, architecture):
        raise UserError(f"-weights {path}: holds a {checkpoint.architecture}, not a {architecture}; give the same")
    scaling = None
    if checkpoint.preprocessing is not None:
        scaling = checkpoint.preprocessing.get("mean"), checkpoint.preprocessing.get("std")
    # A file that does not say what it has seen makes a model that does not either.
    seen = checkpoint.seen_images or {EARLIER: None}
    known = None not in seen.values()
    seen = {EARLIER: list(itertools.chain(*seen.values())) if known else None}
    return Pretrained(checkpoint.state_dict, seen, scaling)


def _imagenet_weights(source, model, architecture):
    weights = getattr(get_model_weights(architecture), "DEFAULT", None)
    if weights is None:
        raise UserError(f"-weights imagenet: torchvision has none for {architecture}; choose another architecture")
    try:
        # Through torchvision's own model, which knows the older names of some weights in the file.
        state_dict = get_model(architecture, weights=weights).state_dict()
    except (OSError, RuntimeError) as error:  # no network, and a file that is not what it should be
        raise UserError(
            f"-weights imagenet: cannot fetch {weights.url} ({error}); without a network, fetch it elsewhere and put "
            f"it into {Path(torch.hub.get_dir(), 'checkpoints')}"
        ) from None
    transforms = weights.transforms()
    scaling = transforms.mean, transforms.std
    if hasattr(model, "transform_input"):
        # googlenet and inception_v3 were trained with these, which torchvision applies inside of the model.
        scaling = [0.5] * 3, [0.5] * 3
    return Pretrained(state_dict, {}, tuple(map(list, scaling)))


def _shown(numbers):
    return ", ".join(f"{number:.3f}" for number in numbers)
