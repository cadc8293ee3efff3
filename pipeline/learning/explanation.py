"""Where in an image the evidence for the predicted class lies: Grad-CAM, and attention rollout for transformers."""

import contextlib

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import SwinTransformer, VisionTransformer

# The feature map that is explained has at least this many cells along its shorter side, if the model has such a map.
# The last maps of the usual models have 6 or 7 for 224 x 224 pixels, and for smaller images only a few.
CELLS = 6


def explain(model, pixels, preprocessing, classes):
    """Return how much evidence for a class a model sees at each place in the images.

    Args:
        model: nn.Module; put into evaluation mode and left there.
        pixels: uint8 tensor (n, 1 or 3, height, width) on the model's device, from Preprocessing.pixels.
        preprocessing: the model's Preprocessing.
        classes: int64 tensor (n,), the class to explain for each image.

    Returns float32 (n, rows, columns) on the CPU. The largest value for an image is 1; if there is no evidence for the
    class, all are 0. The cells are coarse and have to be resized to the image. If the model's predictions are means
    over the image and its mirror image, so are the values.
    """
    model.eval()
    heat_maps = _attention_rollout if isinstance(model, VisionTransformer) else _grad_cam
    images = preprocessing.model_input(pixels)
    heat = heat_maps(model, images, classes)
    if preprocessing.average_flips:
        heat = (heat + heat_maps(model, images.flip(-1), classes).flip(-1)) / 2
    largest = heat.amax(dim=(1, 2), keepdim=True)
    return torch.where(largest > 0, heat / largest, 0).float().cpu()


def scale_label(model, preprocessing):
    """Return in words what the values from `explain` mean for a model."""
    if isinstance(model, VisionTransformer):
        return "attention, relative to the image's maximum (attention rollout)"
    blank = torch.zeros(1, *preprocessing.image_shape, device=next(model.parameters()).device)
    _, is_last = target_layer(model.eval(), blank)
    method = "Grad-CAM" if is_last else "HiResCAM"
    return f"evidence for the predicted class, relative to the image's maximum ({method})"


def _grad_cam(model, images, classes):
    """Return Grad-CAM maps (n, rows, columns), from 0 up (Selvaraju et al. 2017, equations 1 and 2).

    Before the last layer, the mean gradient over all places says little about any one of them. There, each place has
    its own gradient (HiResCAM, Draelos and Carin 2020; benchmarks/README.md measures the gain), as a mean over 3 x 3
    cells, because a layer with a stride of two leaves every second cell without any.
    """
    layer, is_last = target_layer(model, images[:1])
    features = None

    def start_here(module, inputs, output):
        nonlocal features
        # Earlier layers need no gradients, and no memory for them.
        features = output.detach().requires_grad_()
        torch.set_grad_enabled(True)
        return features.clone()  # some models change it in place

    with torch.no_grad(), layer.register_forward_hook(start_here):
        scores = model(images).gather(1, classes[:, None])
    (gradients,) = torch.autograd.grad(scores.sum(), features)
    if is_last:
        weights = gradients.mean(dim=(2, 3), keepdim=True)
    else:
        weights = functional.avg_pool2d(gradients, 3, stride=1, padding=1, count_include_pad=False)
    return (weights * features.detach()).sum(dim=1).relu()


def target_layer(model, image, cells=CELLS):
    """Return the last layer whose feature map has at least `cells` cells a side, or the most that any layer's has.

    Also returns whether that map has the shape of the model's last one.
    """
    if isinstance(model, SwinTransformer):
        # Its earlier layers have the channels last.
        return model.permute, True
    found = []

    def look(module, inputs, output):
        if torch.is_tensor(output) and output.ndim == 4 and not isinstance(module, nn.AdaptiveAvgPool2d):
            found.append((min(cells, *output.shape[2:]), output.shape, module))

    with contextlib.ExitStack() as hooks, torch.no_grad():
        for module in _trunk(model):
            hooks.enter_context(module.register_forward_hook(look))
        model(image)
    # A map of a single cell comes after the features were averaged, unless there is no other map.
    found = [entry for entry in found if entry[0] > 1] or found
    most = max(side for side, _, _ in found)
    *_, (_, shape, layer) = (entry for entry in found if entry[0] == most)
    return layer, shape == found[-1][1]


def _trunk(module):
    """Yield the modules of a model that run one after the other, without the insides of its blocks."""
    for child in module.children():
        yield child
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            yield from _trunk(child)


def _attention_rollout(model, images, classes):
    """Return how much of each patch reaches the class token (n, rows, columns), whatever the class.

    Attention is averaged over heads, each layer's input counts as half of its output (Abnar and Zuidema 2020), and the
    layers are multiplied.
    """
    attentions = []

    def ask_for_attention(module, inputs, keywords):
        return inputs, {**keywords, "need_weights": True, "average_attn_weights": True}

    def keep(module, inputs, output):
        attentions.append(output[1])

    with contextlib.ExitStack() as hooks, torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.MultiheadAttention):
                hooks.enter_context(module.register_forward_pre_hook(ask_for_attention, with_kwargs=True))
                hooks.enter_context(module.register_forward_hook(keep))
        model(images)
    unit = torch.eye(attentions[0].shape[-1], device=images.device)
    flow = unit
    for attention in attentions:
        flow = (attention + unit) / 2 @ flow
    side = model.image_size // model.patch_size
    return flow[:, 0, 1:].unflatten(1, (side, side))
