"""Starting from weights that were trained on other images, with a last layer fitted to the new ones."""

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torchvision.models import get_model, get_model_weights

from pipeline import files
from pipeline.errors import UserError
from pipeline.learning import checkpoints, models
from pipeline.learning.config import IMAGENET
from pipeline.learning.preprocessing import Preprocessing
from pipeline.messages import MOST_NAMES, listed, note
from pipeline.progress import print_line

EARLIER = "earlier training"


@dataclass(frozen=True)
class Start:
    """What a training starts from."""

    preprocessing: Preprocessing  # that goes with the weights
    fresh: frozenset = None  # names of the weights that are random; None: all of them
    seen_images: dict = field(default_factory=dict)  # as in a Checkpoint, of the training that the others come from


@dataclass(frozen=True)
class Pretrained:
    """What is known about weights that were trained on other images."""

    state_dict: dict
    seen_images: dict  # as in a Checkpoint
    scaling: tuple = None  # (mean, standard deviation) of their images, both None if these were not scaled


def new_start(model, config, data):
    """Give a model its initial weights, and return the Start with the preprocessing that goes with them.

    Args:
        model: nn.Module from models.build_model, with random weights, which it keeps without `-weights`.
        config: TrainingConfig; its `weights` are "imagenet" for torchvision's, which torch downloads once and keeps, or
            the path of a checkpoint or of a plain state dict. All but the last layer's are loaded.
        data: TrainingData.

    Raises UserError for weights that do not exist, cannot be downloaded or read, or are another architecture's.
    """
    source, channel_statistics = config.weights, data.train.channel_statistics
    preprocessing = replace(data.train.preprocessing, average_flips=config.average_flips)
    if source is None:
        mean, std = channel_statistics() if config.normalize else (None, None)
        return Start(replace(preprocessing, mean=mean, std=std))
    head_names = models.head_names(config.architecture, len(data.class_names), preprocessing.image_shape)
    if source == IMAGENET:
        pretrained = _imagenet_weights(model, config.architecture)
    else:
        pretrained = _weights_of_file(source, config.architecture)
    fresh = _copy_all_weights(model, pretrained.state_dict, head_names, source)
    if config.normalize is False:
        mean = std = None
    elif config.normalize or pretrained.scaling is None:
        mean, std = channel_statistics()
    else:
        mean, std = pretrained.scaling
        if mean is not None and len(mean) > preprocessing.channels:
            # A model with one channel sees the mean of the three.
            mean, std = [sum(mean) / len(mean)], [sum(std) / len(std)]
    shown = "not scaled" if mean is None else f"scaled by mean {_shown(mean)}, standard deviation {_shown(std)}"
    print(f"images are {shown}")
    return Start(replace(preprocessing, mean=mean, std=std), fresh, pretrained.seen_images)


def weights_fingerprint(source):
    """Return a hash of the file that `-weights` names, which may move; imagenet and None are returned as they are."""
    if source in (None, IMAGENET):
        return source
    try:
        return files.content_hash(Path(source).read_bytes())
    except OSError as error:
        raise UserError(f"-weights {source}: {error.strerror}; check the name") from None


def features_source(config):
    """Return what the features of images depend on besides precision and preprocessing, for a FeatureStore."""
    return config.architecture, config.pooling, weights_fingerprint(config.weights)


def start_of(checkpoint):
    """Return the Start of a training that resumes from a checkpoint."""
    fresh = checkpoint.fresh_weights
    seen = {key: value for key, value in (checkpoint.seen_images or {}).items() if key == EARLIER}
    return Start(checkpoint.build_preprocessing(), None if fresh is None else frozenset(fresh), seen)


def fit_last_layer(training, store):
    """Fit the last layer of a Training's model to the features of its images, which the other layers compute.

    A FeatureStore keeps the features. Returns the Head, whose weights the layer gets, and its loss and accuracy on the
    training and the validation images (`head.evaluate`). Raises UserError if other layers are random too: a head that
    fits their features is worth nothing.
    """
    from pipeline.learning import head  # only if needed: scikit-learn takes a second to import

    config, data, model, start = training.config, training.data, training.model, training.start
    names = models.head_names(config.architecture, len(data.class_names), config.image_shape)
    if start.fresh - names:
        option = "freeze_backbone" if config.freeze_backbone else "fit_head"
        raise UserError(
            f"-weights {config.weights}: {', '.join(sorted(start.fresh - names))} would stay random; give "
            f"weights that have them, or --no-{option}"
        )
    layer, source = models.layer_of(model, names), features_source(config)
    sets = (data.train, data.val)
    features = [store.features(model, layer, images, config.precision, source) for images in sets]
    labels = [images.labels.numpy() for images in sets]
    means = [views.mean(axis=0) for views in features]
    fitted = head.fit_head(
        means[0],
        labels[0],
        data.train_groups,
        views=features[0] if len(features[0]) > 1 else (),
        balanced=config.class_weights == "balanced",
        bias=layer.bias is not None,
        seed=config.seed,
    )
    head.put_into(layer, fitted, means[0])
    trained, validated = (head.evaluate(fitted, *of) for of in zip(means, labels, strict=True))
    print_line(f"last layer fitted: validation loss {validated['loss']:.4f}, accuracy {validated['accuracy']:.4f}")
    return fitted, trained, validated


@torch.no_grad()
def _copy_all_weights(model, state_dict, head_names, source):
    own = model.state_dict()
    fresh = frozenset(name for name in own if not _copy_weights(own[name], state_dict.get(name), name in head_names))
    if len(fresh) == len(own):
        raise UserError(f"-weights {source}: none of its weights fits this architecture; give weights of the same one")
    checkpoints.require_finite(own, f"-weights {source}")
    if fresh == head_names:
        print(f"weights of {source}: all loaded but those of the last layer, which learns from your images")
    else:
        print(f"weights of {source}: {len(own) - len(fresh)} of {len(own)} loaded; random: {', '.join(sorted(fresh))}")
    others = [name for name in state_dict if name not in own]
    if others and source != IMAGENET:  # torchvision's have auxiliary heads
        note(f"-weights {source}: {listed(others, MOST_NAMES)}: not in this architecture, and not loaded")
    return fresh


def _copy_weights(own, weights, is_head):
    if is_head or not torch.is_tensor(weights):
        return False
    if weights.ndim == own.ndim == 4 and weights.shape[1] == 3 and own.shape[1] == 1:
        # One grey channel with the sum of the weights gives the same as three equal channels.
        weights = weights.sum(dim=1, keepdim=True)
    if weights.shape != own.shape:
        return False
    own.copy_(weights)
    return True


def _weights_of_file(path, architecture):
    checkpoint = checkpoints.load(path)
    if checkpoint.architecture not in (None, architecture):
        raise UserError(f"-weights {path}: holds a {checkpoint.architecture}, not a {architecture}; give the same")
    scaling = None
    if checkpoint.preprocessing is not None:
        scaling = checkpoint.preprocessing.get("mean"), checkpoint.preprocessing.get("std")
    # If the file does not say what it has seen, the new model cannot either.
    seen = checkpoint.seen_images or {EARLIER: None}
    known = None not in seen.values()
    seen = {EARLIER: list(itertools.chain(*seen.values())) if known else None}
    return Pretrained(checkpoint.state_dict, seen, scaling)


def _imagenet_weights(model, architecture):
    weights = getattr(get_model_weights(architecture), "DEFAULT", None)
    if weights is None:
        raise UserError(f"-weights imagenet: torchvision has none for {architecture}; choose another architecture")
    try:
        # Through torchvision's own model, which knows the older names of some weights in the file.
        state_dict = get_model(architecture, weights=weights).state_dict()
    except (OSError, RuntimeError) as error:  # no network, or a file that is not what it should be
        raise UserError(
            f"-weights imagenet: cannot fetch {weights.url} ({error}); without a network, fetch it elsewhere and put "
            f"it into {Path(torch.hub.get_dir(), 'checkpoints')}"
        ) from None
    transforms = weights.transforms()
    scaling = transforms.mean, transforms.std
    if hasattr(model, "transform_input"):
        # googlenet and inception_v3 were trained with these, which torchvision applies inside the model.
        scaling = [0.5] * 3, [0.5] * 3
    return Pretrained(state_dict, {}, tuple(map(list, scaling)))


def _shown(numbers):
    return ", ".join(f"{number:.3f}" for number in numbers)
