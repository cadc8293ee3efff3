"""Building any of torchvision's classification models for given classes and image shape."""

import warnings

import torch
from torch import nn
from torchvision import models

from pipeline.errors import UserError
from pipeline.learning import efficientnet_lite  # noqa: F401 - which registers its models
from pipeline.learning.devices import is_memory_shortage

AVERAGE_AND_MAX = "average+max"  # of -pooling

# The families whose image size is part of the architecture, and the argument that sets it.
SIZE_ARGUMENTS = {
    "vit": lambda height, width: {"image_size": height},
    "maxvit": lambda height, width: {"input_size": (height, width)},
}


def build_model(architecture, class_count, image_shape, dropout=None, pooling=None):
    """Build a model with fresh random weights, drawn from torch's global random state.

    Args:
        architecture: a name that architectures.resolve_architecture returns.
        class_count: size of the last layer.
        image_shape: (channels, height, width) of the images.
        dropout: probability, see set_dropout; None: the architecture's.
        pooling: "average+max", see pool_largest_too; otherwise the architecture's.

    Returns an nn.Module that turns floats (n, channels, height, width) into logits (n, class_count), without
    auxiliary heads. Raises UserError, naming a size that works, if the architecture cannot take such images.
    """
    try:
        model = _construct(architecture, class_count, image_shape)
        _forward_one_image(model, image_shape)
    except (AssertionError, RuntimeError, ValueError) as error:
        if is_memory_shortage(error):
            raise
        size = _nearest_working_size(architecture, image_shape)
        if size is None:
            raise
        channels, height, width = image_shape
        raise UserError(
            f"-img_shape {channels} {height} {width}: {architecture} cannot take images of this size; "
            f"{channels} {size} {size} works"
        ) from None
    if pooling == AVERAGE_AND_MAX:
        pool_largest_too(model, architecture, image_shape)
    if dropout is not None:
        head = layer_of(model, head_names(architecture, class_count, image_shape))
        set_dropout(model, head, dropout)
    # Laid out in memory as the images are, see Preprocessing.model_input.
    return model.to(memory_format=torch.channels_last)


def head_names(architecture, class_count, image_shape):
    """Return the names of the weights of the last layer: those whose shape depends on the number of classes.

    The architecture must be able to take such images, see build_model.
    """
    counts = (class_count, class_count + 1)
    try:
        with torch.device("meta"):  # shapes only, no computation
            one, other = (_construct(architecture, count, image_shape).state_dict() for count in counts)
    except NotImplementedError:  # regnet computes its widths with tensors
        with torch.random.fork_rng(devices=[]):
            one, other = (_construct(architecture, count, image_shape).state_dict() for count in counts)
    return {name for name, weights in one.items() if weights.shape != other[name].shape}


def layer_of(model, names):
    """Return the layer of a model that the weights of these names belong to."""
    (layer_name,) = {name.rpartition(".")[0] for name in names}
    return model.get_submodule(layer_name)


def set_dropout(model, head, probability):
    """Set the dropout probability of a model's dropout layers; if it has none, add one before `head`, its last layer.

    The names of the weights stay as they are.
    """
    layers = dropout_layers(model)
    if not layers:
        head.dropout = nn.Dropout()
        head.register_forward_pre_hook(lambda module, inputs: (module.dropout(inputs[0]),))
        layers = [head.dropout]
    for layer in layers:
        layer.p = probability


class AverageAndMax(nn.Module):
    """The average and the largest value of each channel of a map, one after the other."""

    def forward(self, maps):
        return torch.cat([maps.mean(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)], dim=1)


def pool_largest_too(model, architecture, image_shape):
    """Let a model's last layer also see the largest value of each channel; the layer is random again.

    Raises UserError if anything but the last layer follows the pooling.
    """
    names = head_names(architecture, 2, image_shape)
    layer = layer_of(model, names)
    pooling = getattr(model, "avgpool", None)
    if isinstance(pooling, nn.AdaptiveAvgPool2d) and isinstance(layer, nn.Linear):
        parent, _, name = next(iter(names)).rpartition(".")[0].rpartition(".")
        larger = nn.Linear(2 * layer.in_features, layer.out_features)
        setattr(model.get_submodule(parent), name, larger)
        model.avgpool = AverageAndMax()
        try:
            _forward_one_image(model, image_shape)
            return
        except RuntimeError:  # a layer in between
            pass
    raise UserError(
        f"-pooling {AVERAGE_AND_MAX}: in {architecture} the last layer does not follow the pooling; leave it out"
    )


def dropout_layers(model):
    """Return the dropout layers of a model, those of probability 0 left out."""
    return [module for module in model.modules() if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0]


def require_batch_size(model, batch_size, process_count):
    """Raise UserError if a process would get no image of a batch, or a single one to normalize over."""
    normalizes = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    smallest = 2 if normalizes else 1
    if batch_size < smallest * process_count:
        reason = (
            "this architecture normalizes over the images of a batch and cannot train on one image at a time"
            if normalizes
            else "every process takes a part of each batch"
        )
        shared = f" for each of the {process_count} processes" if process_count > 1 else ""
        raise UserError(f"-batch_size: {reason}; give at least {smallest}{shared}")


def _construct(architecture, class_count, image_shape):
    channels, height, width = image_shape
    size_argument = SIZE_ARGUMENTS.get(architecture.split("_")[0], lambda height, width: {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # googlenet and inception_v3 announce a new default
        model = models.get_model(architecture, weights=None, num_classes=class_count, **size_argument(height, width))
    if getattr(model, "aux_logits", False):
        model.aux_logits = False
        for head in ("aux1", "aux2", "AuxLogits"):
            if hasattr(model, head):
                setattr(model, head, None)
    if channels == 1:
        # One grey channel with the sum of the weights gives the same as the channel repeated three times.
        first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        first.weight = nn.Parameter(first.weight.detach().sum(dim=1, keepdim=True))
        first.in_channels = 1
    return model


@torch.no_grad()
def _forward_one_image(model, image_shape):
    model.eval()
    model(torch.zeros(1, *image_shape, device=next(model.parameters()).device))
    model.train()


def _nearest_working_size(architecture, image_shape):
    """Return the side of the square images nearest to `image_shape` that work; None if none up to 512 does."""
    channels, height, width = image_shape
    for size in sorted(range(32, 513, 32), key=lambda size: abs(size - max(height, width))):
        try:
            with torch.device("meta"):  # shapes only, no computation
                _forward_one_image(_construct(architecture, 2, (channels, size, size)), (channels, size, size))
            return size
        except (AssertionError, RuntimeError, ValueError):
            continue
    return None
