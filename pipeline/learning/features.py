"""What a pretrained model sees in images: the inputs of its last layer, computed once for all folds and runs."""

import contextlib

import numpy as np
import torch

from pipeline.learning.devices import autocast
from pipeline.progress import progress_bar

# Fewer images use the cores less, more do not fit into their caches.
BATCH_SIZE = 25


class FeatureStore:
    """Features of images, kept by what they depend on: the model and the image's content."""

    def __init__(self):
        self._kept = {}

    def features(self, model, layer, image_set, precision, source):
        """Return the features of an ImageSet, float32 (views, n, features); missing ones are computed and kept.

        The views are the image and, if the preprocessing averages them, its mirror image.

        Args:
            model: nn.Module.
            layer: its last layer, whose inputs are the features.
            image_set: ImageSet.
            precision: number format to compute in.
            source: what identifies the weights of the model's other layers.
        """
        preprocessing = image_set.preprocessing
        kept = self._kept.setdefault(repr((source, precision, preprocessing)), {})
        missing = {content: index for index, content in enumerate(image_set.content_hashes) if content not in kept}
        indices = torch.tensor(list(missing.values()), dtype=torch.int64)
        if missing:
            kept.update(zip(missing, compute_features(model, layer, image_set, indices, precision), strict=True))
        return np.stack([kept[content] for content in image_set.content_hashes], axis=1)


@torch.inference_mode()
def compute_features(model, layer, image_set, indices, precision):
    """Return the features of some images of an ImageSet, float32 (len(indices), views, features)."""
    preprocessing, found = image_set.preprocessing, []
    model.eval()
    with inputs_of(layer) as taken, progress_bar(total=len(indices), desc="features", unit="image") as bar:
        for pixels, _ in image_set.batches(list(indices.split(BATCH_SIZE))):
            images = preprocessing.model_input(pixels)
            with autocast(image_set.device, precision):
                for view in [images, images.flip(-1)] if preprocessing.average_flips else [images]:
                    model(view)
            found.append(torch.stack(taken, dim=1))
            taken.clear()
            bar.update(len(pixels))
    return torch.cat(found).cpu().numpy()


@contextlib.contextmanager
def inputs_of(layer):
    """Yield a list that collects the layer's inputs (of feature maps, the means) whenever its model sees images."""
    taken = []

    def take(_, inputs, output):
        features = inputs[0].float()
        taken.append(features.flatten(2).mean(dim=2) if features.ndim > 2 else features)

    with layer.register_forward_hook(take):
        yield taken
