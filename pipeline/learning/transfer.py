"""Starting from weights that were trained on other images, and training the last layer alone."""

from dataclasses import dataclass, replace

import torch
from torchvision.models import get_model_weights

from pipeline.errors import UserError
from pipeline.learning import checkpoints, models
from pipeline.learning.devices import autocast
from pipeline.learning.preprocessing import Preprocessing

IMAGENET = "imagenet"


def head_names(architecture, class_count, image_shape):
    """Return the names of the weights of the last layer: those whose shape depends on the number of classes."""
    counts = (class_count, class_count + 1)
    with torch.device("meta"):  # shapes only, no computation
        one, other = (models.build_model(architecture, count, image_shape).state_dict() for count in counts)
    return {name for name, weights in one.items() if weights.shape != other[name].shape}


def start_from(model, source, architecture, class_count, preprocessing):
    """Load the weights that `-weights` means into a model, all but the last layer's.

    Args:
        model: nn.Module, as models.build_model returns it.
        source: "imagenet", for torchvision's weights, fetched once and kept by torch; or the path of a checkpoint or
            of a plain state dict.
        architecture: torchvision's name.
        class_count: of the model.
        preprocessing: of the images; what the weights say of theirs (mean and standard deviation) replaces a part.

    Returns the names of the last layer's weights, and the preprocessing. Raises UserError for weights that do not
    exist, cannot be fetched or read, or are another architecture's.
    """
    head = head_names(architecture, class_count, preprocessing.image_shape)
    if source == IMAGENET:
        state_dict, preprocessing = _imagenet_weights(model, architecture, preprocessing)
    else:
        state_dict, preprocessing = _weights_of_file(source, architecture, preprocessing)
    _take_over(model, state_dict, head, source)
    return head, preprocessing


def freeze_backbone(model, head):
    """Let training change the weights called `head` only."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name in head


@dataclass(frozen=True)
class Features(Preprocessing):
    """For sets that hold the inputs of a model's last layer instead of pixels: they are model input already."""

    def model_input(self, pixels):
        return pixels


def on_features(model, head, image_sets, precision):
    """Return what trains the last layer alone on features that are computed once, where nothing changes them.

    Args:
        model: nn.Module whose weights but for the `head` are frozen.
        head: names of the last layer's weights.
        image_sets: ImageSets.
        precision: number format to compute the features in.

    Returns the last layer, and sets with its inputs as their pixels; the model and the sets themselves where the
    model does more to the layer's outputs than to return them.
    """
    (layer_name,) = {name.rpartition(".")[0] for name in head}
    layer = model.get_submodule(layer_name)
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


def _take_over(model, state_dict, head, source):
    own = model.state_dict()
    taken = {}
    for name, weights in state_dict.items():
        if name in own and name not in head:
            if weights.ndim == 4 and weights.shape[1] == 3 and own[name].shape[1] == 1:
                # One grey channel seen through the sum of the weights gives what three equal ones do.
                weights = weights.sum(dim=1, keepdim=True)
            if weights.shape == own[name].shape:
                taken[name] = weights
    if not taken:
        raise UserError(f"-weights {source}: none of its weights fits this architecture; give weights of the same one")
    model.load_state_dict(taken, strict=False)
    left = [name for name in own if name not in taken]
    print(f"weights of {source}: {len(taken)} of {len(own)} taken over; fresh: {', '.join(left)}")


def _weights_of_file(path, architecture, preprocessing):
    checkpoint = checkpoints.load(path, plain_weights=True)
    if checkpoint.architecture not in (None, architecture):
        raise UserError(f"-weights {path}: holds a {checkpoint.architecture}, not a {architecture}; give the same")
    own = checkpoint.preprocessing or {}
    return checkpoint.state_dict, replace(
        preprocessing, mean=own.get("mean", preprocessing.mean), std=own.get("std", preprocessing.std)
    )


def _imagenet_weights(model, architecture, preprocessing):
    weights = getattr(get_model_weights(architecture), "DEFAULT", None)
    if weights is None:
        raise UserError(f"-weights imagenet: torchvision has none for {architecture}; choose another architecture")
    try:
        state_dict = weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:  # no network, and a file that is not what it should be
        raise UserError(
            f"-weights imagenet: cannot fetch {weights.url} ({error}); without a network, fetch it elsewhere and give "
            "-weights FILE"
        ) from None
    transforms = weights.transforms()
    mean, std = transforms.mean, transforms.std
    if hasattr(model, "transform_input"):
        # googlenet and inception_v3 were trained with these, which torchvision applies inside of the model.
        mean = std = [0.5] * 3
    if preprocessing.channels == 1:
        mean, std = [sum(mean) / 3], [sum(std) / 3]
    return state_dict, replace(preprocessing, mean=list(mean), std=list(std))
