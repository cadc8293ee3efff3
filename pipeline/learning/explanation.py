"""Where in an image the evidence for the predicted class lies: Grad-CAM, and attention rollout for transformers."""

import contextlib

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import SwinTransformer, VisionTransformer

# Cells along the shorter side of the feature map that is explained, at least, if the model has such a one: the usual
# models have 6 or 7 at the end for 224 x 224 pixels. Of smaller images their last maps would be a few cells.
CELLS = 6


def explain(model, pixels, preprocessing, classes):
    """Return how much each place of the images speaks for a class, as a model sees it.

    Args:
        model: nn.Module; put into evaluation mode and left there.
        pixels: uint8 tensor (n, 1 or 3, height, width) on the model's device, as Preprocessing.pixels makes images.
        preprocessing: the model's Preprocessing.
        classes: int64 tensor (n,), the class of each image to explain.

    Returns float32 (n, rows, columns) on the CPU, the largest value of an image 1; all 0 where nothing speaks for the
    class. The cells are coarse: to be resized to the image. Means over the image and its mirror image, where the
    model's predictions are.
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
    """Return what the values that `explain` returns for a model mean, in words."""
    if isinstance(model, VisionTransformer):
        return "attention, relative to the image's maximum (attention rollout)"
    blank = torch.zeros(1, *preprocessing.image_shape, device=next(model.parameters()).device)
    _, is_last = target_layer(model.eval(), blank)
    method = "Grad-CAM" if is_last else "HiResCAM"
    return f"evidence for the predicted class, relative to the image's maximum ({method})"


def _grad_cam(model, images, classes):
    """Return Grad-CAM maps (n, rows, columns), from 0 up (Selvaraju et al. 2017, equations 1 and 2).

    Of an earlier layer than the last one, where the gradients' mean over all places says little of any one of them,
    the gradients are taken at their places (HiResCAM, Draelos and Carin 2020; benchmarks/README.md has what it brings),
    as means of 3 x 3 cells: a layer that takes steps of two leaves every second cell without any.
    """
    layer, is_last = target_layer(model, images[:1])
    features = None

    def start_here(module, inputs, output):
        nonlocal features
        # What comes before needs no gradients, and no memory for them.
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
    """Return the last layer that puts out a map of features of at least `cells` a side, or else of the most cells.

    And whether it is the last one that puts out a map of any size.
    """
    if isinstance(model, SwinTransformer):
        # The layers before it have the channels last.
        return model.permute, True
    found = []

    def look(module, inputs, output):
        if torch.is_tensor(output) and output.ndim == 4 and not isinstance(module, nn.AdaptiveAvgPool2d):
            found.append((min(cells, *output.shape[2:]), output.shape, module))

    with contextlib.ExitStack() as hooks, torch.no_grad():
        for module in _trunk(model):
            hooks.enter_context(module.register_forward_hook(look))
        model(image)
    # What is a single cell comes after the features have been averaged, unless there is nothing else.
    found = [entry for entry in found if entry[0] > 1] or found
    most = max(side for side, _, _ in found)
    *_, (_, shape, layer) = (entry for entry in found if entry[0] == most)
    return layer, shape == found[-1][1]


def _trunk(module):
    """Yield the modules that a model's layers run through one after the other, and none that is a branch of a block."""
    for child in module.children():
        yield child
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            yield from _trunk(child)


def _attention_rollout(model, images, classes):
    """Return how much of each patch reaches the class token (n, rows, columns), whatever the class.

    Attention is averaged over heads, half of each layer's output is its input (Abnar and Zuidema 2020), and the layers
    are multiplied.
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
