"""A model's outputs for images."""

import torch

from pipeline.errors import UserError


@torch.inference_mode()
def predict_logits(model, batches, preprocessing):
    """Return the outputs of a model in evaluation mode, in the order of the images.

    Args:
        model: nn.Module; put into evaluation mode and left there.
        batches: iterable of uint8 tensors (m, 1 or 3, height, width) on the model's device, as Preprocessing.pixels
            makes the images; no result depends, but for rounding, on how many are in one.
        preprocessing: the model's Preprocessing.

    Returns float64 logits (n, classes) on the CPU; means over the image and its mirror image where the preprocessing
    says so.
    """
    model.eval()
    logits = []
    for pixels in batches:
        images = preprocessing.model_input(pixels)
        logits.append(model(images).float())
        if preprocessing.average_flips:
            logits[-1] = (logits[-1] + model(images.flip(-1)).float()) / 2
    return torch.cat(logits).cpu().double()


def predict_probabilities(model, batches, preprocessing):
    """Return softmax probabilities, a float64 NumPy array (n, classes); arguments as for `predict_logits`.

    Raises UserError where the model's outputs are not finite.
    """
    return require_finite(predict_logits(model, batches, preprocessing)).softmax(dim=1).numpy()


def require_finite(logits):
    """Return a model's outputs; UserError where they are not finite."""
    if not logits.isfinite().all():
        raise UserError("the model's outputs are not finite numbers; its weights are damaged or training diverged")
    return logits
