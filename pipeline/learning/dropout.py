"""Monte Carlo dropout: how sure a model is, from many predictions that each leave out other parts of it.

After Gal and Ghahramani, Dropout as a Bayesian approximation (2016).
"""

import contextlib
import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.learning.inference import require_finite

# Of the random choices when predicting, so that predicting again gives the same.
SEED = 0

# So many samples at once at most, which are as many images to the last layers.
LARGEST_PASS = 1000


def set_rate(model, head, rate):
    """Make a model leave out a share `rate` at its dropout layers, or at the input of `head` if it has none.

    `head` is its last layer. The names of its weights stay as they are.
    """
    layers = dropout_layers(model)
    if not layers:
        head.dropout = nn.Dropout()
        head.register_forward_pre_hook(lambda module, inputs: (module.dropout(inputs[0]),))
        layers = [head.dropout]
    for layer in layers:
        layer.p = rate


def dropout_layers(model):
    """Return the layers of a model that leave out anything in training."""
    return [module for module in model.modules() if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0]


def require_dropout(model, path):
    """Raise UserError unless the model of the checkpoint at `path` has dropout."""
    if not dropout_layers(model):
        raise UserError(
            f"-mc_samples: the model of {path} has no dropout to sample from; train one with -dropout 0.2, say"
        )


@dataclass(frozen=True)
class SampledPredictions:
    """What many predictions with dropout say of n images."""

    probabilities: np.ndarray  # float64 (n, classes), means over the samples
    predictive_entropy: np.ndarray  # float64 (n,), in nats: of these means; how unsure the model is, for any reason
    mutual_information: np.ndarray  # float64 (n,), in nats: how much of it comes from the samples' disagreement


@torch.inference_mode()
def predict_samples(model, batches, preprocessing, sample_count):
    """Predict images `sample_count` times each, only dropout being random; return SampledPredictions.

    Args:
        model: nn.Module with dropout; put into evaluation mode and left there.
        batches: iterable of uint8 tensors (m, 1 or 3, height, width) on the model's device.
        preprocessing: the model's Preprocessing.
        sample_count: how many.

    What is left out comes from torch's global random state: for an image it depends on those before it.

    The mutual information is the entropy of the mean less the mean of the entropies (Houlsby et al. 2011). Raises
    UserError where the model's outputs are not finite.
    """
    model.eval()
    means, spread = [], []
    for pixels in itertools.chain.from_iterable(batch.split(max(1, LARGEST_PASS // sample_count)) for batch in batches):
        images = preprocessing.model_input(pixels)
        with _sampling(model, len(images), sample_count):
            logits = model(images).float()
            if preprocessing.average_flips:
                logits = (logits + model(images.flip(-1)).float()) / 2
        samples = require_finite(logits.cpu().double()).softmax(dim=1).view(len(images), sample_count, -1)
        means.append(samples.mean(dim=1))
        spread.append(_entropy(means[-1]) - _entropy(samples).mean(dim=1))
    probabilities = torch.cat(means)
    return SampledPredictions(
        probabilities.numpy(),
        _entropy(probabilities).numpy(),
        # A difference of equal entropies may come out a little below 0.
        torch.cat(spread).clamp(min=0).numpy(),
    )


@contextlib.contextmanager
def _sampling(model, image_count, sample_count):
    """Let the dropout layers drop, and the first of them repeat each image: what comes before is computed once."""

    def repeat(module, inputs):
        return inputs[0].repeat_interleave(sample_count, dim=0) if len(inputs[0]) == image_count else None

    with contextlib.ExitStack() as hooks:
        for layer in dropout_layers(model):
            hooks.callback(layer.eval)
            hooks.enter_context(layer.train().register_forward_pre_hook(repeat))
        yield


def _entropy(probabilities):
    return torch.special.entr(probabilities).sum(dim=-1)
