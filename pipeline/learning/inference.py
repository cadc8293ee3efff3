"""A model's outputs for images."""

import torch

from pipeline.errors import UserError


@torch.inference_mode()
def predict_logits(model, pixels, preprocessing, batch_size):
    """Return the outputs of a model in evaluation mode, in the order of the images.

    Args:
        model: nn.Module; put into evaluation mode and left there.
        pixels: uint8 (n, 1 or 3, height, width) on the model's device, as Preprocessing.pixels makes them.
        preprocessing: the model's Preprocessing.
        batch_size: images at a time; no result depends on it but for rounding.

    Returns float64 logits (n, classes) on the CPU.
    """
    model.eval()
    return torch.cat([model(preprocessing.model_input(part)) for part in pixels.split(batch_size)]).double().cpu()


def predict_probabilities(model, pixels, preprocessing, batch_size):
    """Return softmax probabilities, a float64 NumPy array (n, classes); arguments as for `predict_logits`.

    Raises UserError where the model's outputs are not finite.
    """
    logits = predict_logits(model, pixels, preprocessing, batch_size)
    if not logits.isfinite().all():
        raise UserError("the model's outputs are not finite numbers; its weights are damaged or training diverged")
    return logits.softmax(dim=1).numpy()
