"""How far an image is from the training images, in the inputs of the model's last layer: whether it is unlike them all.

The distance is that to the k-th nearest training image in normalized features, after Sun et al., "Out-of-Distribution
Detection with Deep Nearest Neighbors", 2022. Its rank among those of the validation images is a conformal p-value.
"""

from dataclasses import replace

import numpy as np
import torch

from pipeline.errors import UserError
from pipeline.learning import inference, models, transfer
from pipeline.learning.features import compute_features, inputs_of

MOST_REFERENCES = 2000  # training images
NEIGHBOURS = 5
UNLIKE_FROM = 95.0  # percentile; at most 5% of new images of the same kind are beyond it
FEWEST_VALIDATED = 19  # validation images; with fewer, no percentile reaches UNLIKE_FROM


def reference_of(training, store):
    """Return what the checkpoint of a finished Training needs to compare new images with its training images.

    It is a dict: the features (float16 (m, d), of length 1) and names of at most MOST_REFERENCES training images, and
    the distances of the validation images, ascending (float32 (n,)). If only the last layer was fitted, the
    FeatureStore `store` already has the features.
    """
    config, data, model = training.config, training.data, training.model
    train, val, count = data.train, data.val, len(data.train)
    layer = models.layer_of(model, models.head_names(config.architecture, len(data.class_names), config.image_shape))
    chosen = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:MOST_REFERENCES].sort().values

    def seen_in(images, indices):
        if not config.freeze_backbone:
            return _means(model, layer, images, indices)
        found = store.features(model, layer, images, config.precision, transfer.features_source(config))
        return torch.from_numpy(found).mean(dim=0)[indices]

    features = _normalized(seen_in(train, chosen)).half()
    validated = _normalized(seen_in(val, torch.arange(len(val))))
    distances, _ = _nearest(validated, features)
    names = [train.paths[index].name for index in chosen.tolist()]
    return {"features": features, "names": names, "distances": distances.sort().values}


def last_layer(model, checkpoint):
    """Return the last layer of a Checkpoint's model."""
    return models.layer_of(
        model, models.head_names(checkpoint.architecture, len(checkpoint.class_names), checkpoint.image_shape)
    )


def predict_and_compare(classifier, pixels, sample_count):
    """Return the inference.Outputs of a Classifier for images, with their distance from its training images.

    `pixels` is a uint8 tensor (n, 1 or 3, height, width). A checkpoint without a reference gives no distances.
    """
    model, preprocessing, reference = classifier.model, classifier.preprocessing, classifier.checkpoint.reference
    if reference is None:
        return inference.predict(model, pixels, preprocessing, sample_count)
    with inputs_of(classifier.last_layer) as taken:
        outputs = inference.predict(model, pixels, preprocessing)
    if sample_count is not None:
        outputs = inference.predict(model, pixels, preprocessing, sample_count)
    seen = torch.stack(taken).mean(dim=0)  # over the image and, if it was predicted too, its mirror image
    _require_same_width(classifier, seen)
    distances, nearest = _nearest(_normalized(seen.cpu()), reference["features"])
    names = np.array(reference["names"], dtype=object)[nearest.numpy()]
    return replace(outputs, percentile=percentiles(distances, reference["distances"]), nearest=names)


def nearest_of_classes(classifier, images, indices, class_of, wanted):
    """Return the names of the training images that are nearest to some images, one list for each list of classes.

    Args:
        classifier: a Classifier; without a reference every name is "".
        images: ImageSet.
        indices: int (m,), which of its images.
        class_of: {name: class index} of the training images.
        wanted: lists of class indices (m,), the class that each nearest image must have; its name is "" if none has it.
    """
    reference = classifier.checkpoint.reference
    if reference is None or not len(indices):
        return [[""] * len(indices) for _ in wanted]
    features = _means(classifier.model, classifier.last_layer, images, torch.as_tensor(indices))
    _require_same_width(classifier, features)
    distances = torch.cdist(_normalized(features), reference["features"].float()).numpy()
    classes = np.array([class_of.get(name, -1) for name in reference["names"]])
    found = []
    for of_class in wanted:
        masked = np.where(classes == np.asarray(of_class)[:, np.newaxis], distances, np.inf)
        nearest = [reference["names"][index] for index in masked.argmin(axis=1)]
        found.append([name if row.min() < np.inf else "" for name, row in zip(nearest, masked, strict=True)])
    return found


def percentiles(distances, of_validation):
    """Return how unusual distances are, from 0 to below 100.

    That is 100 (1 - p) with the conformal p-value p = (1 + number of validation images at least as far) / (n + 1);
    `of_validation` are the ascending distances of the n validation images.
    """
    at_least = len(of_validation) - torch.searchsorted(of_validation, distances)
    return (100 * (1 - (1 + at_least) / (len(of_validation) + 1))).double().numpy()


def farthest(of_validation):
    """Return the percentile of an image that is farther than all validation images: the highest possible."""
    return percentiles(torch.tensor([torch.inf]), of_validation).item()


def _require_same_width(classifier, features):
    if features.shape[1] != classifier.checkpoint.reference["features"].shape[1]:
        raise UserError(f"{classifier.path}: its reference features are those of another model; train it again")


def _means(model, layer, images, indices):
    return torch.from_numpy(compute_features(model, layer, images, indices, "float32")).mean(dim=1)


def _normalized(features):
    return torch.nn.functional.normalize(features, dim=1)


def _nearest(features, reference):
    """Return the distance to the k-th nearest of the reference features, and the index of the nearest."""
    distances = torch.cdist(features, reference.float())
    found = distances.topk(min(NEIGHBOURS, len(reference)), dim=1, largest=False)
    return found.values[:, -1].contiguous(), found.indices[:, 0]
