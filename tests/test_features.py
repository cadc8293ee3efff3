import numpy as np
import pytest
import torch
from torch import nn

from pipeline.learning.features import FeatureStore
from pipeline.learning.image_sets import ImageSet
from pipeline.learning.preprocessing import Preprocessing


class CountingModel(nn.Module):
    """Counts the images that it sees; its last layer sees the means of maps, or like SqueezeNet's the maps."""

    def __init__(self, of_maps=False):
        super().__init__()
        self.features, self.last, self.seen = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1) if of_maps else nn.Linear(4, 2), 0

    def forward(self, images):
        self.seen += len(images)
        maps = self.features(images)
        return self.last(maps if isinstance(self.last, nn.Conv2d) else maps.mean(dim=(2, 3)))


def image_set(numbers, flips=False):
    pixels = torch.zeros((len(numbers), 1, 6, 5), dtype=torch.uint8)
    for image, number in zip(pixels, numbers, strict=True):
        image[:, :, 0] = number  # not the same mirrored
    labels, paths = torch.zeros(len(numbers), dtype=torch.int64), [f"{number}.png" for number in numbers]
    preprocessing = Preprocessing(3, 6, 5, average_flips=flips)
    return ImageSet(
        paths, labels, preprocessing, [f"hash {number}" for number in numbers], 0, torch.device("cpu"), pixels=pixels
    )


@pytest.mark.parametrize("of_maps", [False, True])
@pytest.mark.parametrize("flips", [False, True])
def test_features_are_the_inputs_of_the_last_layer_means_of_maps(flips, of_maps):
    model, images = CountingModel(of_maps), image_set(range(60), flips)
    features = FeatureStore().features(model, model.last, images, "float32", "weights")
    assert features.shape == (2 if flips else 1, 60, 4)
    with torch.no_grad():
        pixels = images.preprocessing.model_input(images.pixels)
        for found, view in zip(features, (pixels, pixels.flip(-1)), strict=False):
            assert np.allclose(found, model.features(view).mean(dim=(2, 3)).numpy(), atol=1e-5)


def test_each_image_is_seen_once_for_all_folds():
    model, store = CountingModel(), FeatureStore()
    first = store.features(model, model.last, image_set([1, 2, 3, 3]), "float32", "weights")
    second = store.features(model, model.last, image_set([3, 4, 1]), "float32", "weights")
    assert model.seen == 4
    assert np.array_equal(first[:, 0], second[:, 2]) and np.array_equal(first[:, 2], second[:, 0])


@pytest.mark.parametrize("other", ["source", "precision", "preprocessing"])
def test_another_model_or_preprocessing_has_features_of_its_own(other):
    model, store = CountingModel(), FeatureStore()
    store.features(model, model.last, image_set([1, 2]), "float32", "weights")
    store.features(
        model,
        model.last,
        image_set([1, 2], flips=other == "preprocessing"),
        "bfloat16" if other == "precision" else "float32",
        "other" if other == "source" else "weights",
    )
    assert model.seen == (6 if other == "preprocessing" else 4)
