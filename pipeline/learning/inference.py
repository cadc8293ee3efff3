"""A model's outputs for images: logits, probabilities, and with Monte Carlo dropout how certain they are."""

import contextlib
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from pipeline.errors import UserError
from pipeline.learning.models import dropout_layers

# Random seed of Monte Carlo dropout, set once before the first image, so that predicting again gives the same results.
SAMPLING_SEED = 0

# The last layers see at most this many samples at once; each takes as much memory as an image.
LARGEST_PASS = 1000


@torch.inference_mode()
def predict_logits(model, batches, preprocessing):
    """Return the outputs of a model in evaluation mode, in the order of the images.

    Args:
        model: nn.Module; put into evaluation mode and left there.
        batches: iterable of uint8 tensors (m, 1 or 3, height, width) on the model's device, from
            Preprocessing.pixels; except for rounding, no result depends on how many images are in one.
        preprocessing: the model's Preprocessing.

    Returns float64 logits (n, classes) on the CPU; means over the image and its mirror image if the preprocessing says
    so.
    """
    model.eval()
    logits = []
    for pixels in batches:
        logits.append(logits_of(model, preprocessing.model_input(pixels), preprocessing.average_flips))
    return torch.cat(logits).cpu().double()


def logits_of(model, images, average_flips):
    """Return a model's float32 outputs (n, classes); with `average_flips`, means over image and mirror image."""
    logits = model(images).float()
    return (logits + model(images.flip(-1)).float()) / 2 if average_flips else logits


def predict_probabilities(model, batches, preprocessing):
    """Return softmax probabilities, a float64 NumPy array (n, classes); arguments as for `predict_logits`.

    Raises UserError if the model's outputs are not finite.
    """
    return require_finite(predict_logits(model, batches, preprocessing)).softmax(dim=1).numpy()


def require_finite(logits):
    """Return a model's outputs; UserError if they are not finite."""
    if not logits.isfinite().all():
        raise UserError("the model's outputs are not finite numbers; its weights are damaged or training diverged")
    return logits


@dataclass(frozen=True)
class Outputs:
    """The predictions for n images of one model or several together, and how certain they are."""

    probabilities: np.ndarray  # float64 (n, classes), means over the samples of Monte Carlo dropout or the models
    predictive_entropy: np.ndarray = None  # float64 (n,), in nats: of these means, the total uncertainty
    mutual_information: np.ndarray = None  # float64 (n,), in nats: the part of it that is disagreement
    deviation: np.ndarray = None  # float64 (n,): standard deviation between models of the predicted class's probability
    percentile: np.ndarray = None  # float64 (n,), 0 to 100: of the distance from the training images, see familiarity
    nearest: np.ndarray = None  # names (n,) of the nearest training images


def predict(model, pixels, preprocessing, sample_count=None):
    """Return the Outputs of a model for a batch of images, with Monte Carlo dropout if there is a `sample_count`."""
    if sample_count is None:
        return Outputs(predict_probabilities(model, [pixels], preprocessing))
    return predict_samples(model, pixels, preprocessing, sample_count)


def combine(found):
    """Return the Outputs of several models together for the same images, given a list of each one's Outputs.

    The probabilities are means (deep ensembles: Lakshminarayanan et al. 2017). The standard deviation, with n - 1, is
    that of the models' probabilities for the class that the mean predicts. The mutual information is the entropy of
    the mean minus the mean of the entropies.
    """
    each = np.stack([outputs.probabilities for outputs in found])
    mean = each.mean(axis=0)
    answered = np.take_along_axis(each, mean.argmax(axis=1)[None, :, None], axis=2)[:, :, 0]
    entropy, entropies = (_entropy(torch.from_numpy(values)).numpy() for values in (mean, each))
    disagreement = np.maximum(entropy - entropies.mean(axis=0), 0)
    together = Outputs(mean, entropy, disagreement, answered.std(axis=0, ddof=1))
    if any(outputs.percentile is None for outputs in found):
        return together
    ranks = np.stack([outputs.percentile for outputs in found])
    names = np.stack([outputs.nearest for outputs in found])
    nearest = names[ranks.argmin(axis=0), np.arange(len(mean))]
    return replace(together, percentile=ranks.mean(axis=0), nearest=nearest)


def joined(batches):
    """Return the Outputs of several batches of images as one."""
    names = [entry.name for entry in fields(Outputs) if getattr(batches[0], entry.name) is not None]
    return Outputs(**{name: np.concatenate([getattr(batch, name) for batch in batches]) for name in names})


@torch.inference_mode()
def predict_samples(model, pixels, preprocessing, sample_count):
    """Predict images `sample_count` times each with random dropout: Monte Carlo dropout (Gal and Ghahramani 2016).

    Args:
        model: nn.Module with dropout; put into evaluation mode and left there.
        pixels: uint8 tensor (n, 1 or 3, height, width) on the model's device.
        preprocessing: the model's Preprocessing.
        sample_count: how many.

    Returns Outputs. The mutual information is the entropy of the mean minus the mean of the entropies
    (Houlsby et al. 2011). What is dropped follows from torch's global random state, so for an image it depends on those
    before it. Raises UserError if the model has no dropout or its outputs are not finite.
    """
    if not dropout_layers(model):
        raise UserError("-mc_samples: this model has no dropout to sample from; train one with -dropout, such as 0.2")
    model.eval()
    means, spread = [], []
    for part in pixels.split(max(1, LARGEST_PASS // sample_count)):
        images = preprocessing.model_input(part)
        with _sampling(model, len(images), sample_count):
            logits = logits_of(model, images, preprocessing.average_flips)
        samples = require_finite(logits.cpu().double()).softmax(dim=1).view(len(images), sample_count, -1)
        means.append(samples.mean(dim=1))
        spread.append(_entropy(means[-1]) - _entropy(samples).mean(dim=1))
    probabilities = torch.cat(means)
    return Outputs(
        probabilities.numpy(),
        _entropy(probabilities).numpy(),
        # The difference of equal entropies may come out slightly below 0.
        torch.cat(spread).clamp(min=0).numpy(),
    )


@contextlib.contextmanager
def _sampling(model, image_count, sample_count):
    """Turn dropout on, and repeat each image only at the first dropout layer: what comes before is computed once."""

    def repeat(module, inputs):
        return inputs[0].repeat_interleave(sample_count, dim=0) if len(inputs[0]) == image_count else None

    with contextlib.ExitStack() as hooks:
        for layer in dropout_layers(model):
            hooks.callback(layer.eval)
            hooks.enter_context(layer.train().register_forward_pre_hook(repeat))
        yield


def _entropy(probabilities):
    return torch.special.entr(probabilities).sum(dim=-1)
