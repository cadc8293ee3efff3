"""The models of a cross-validation's folds as one: each image is read once, and the probabilities are averaged."""

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from pipeline.errors import require_none
from pipeline.learning import familiarity, inference, model_files
from pipeline.learning.classifier import Classifier, as_list
from pipeline.learning.config import differences
from pipeline.messages import in_words, note


@dataclass(frozen=True)
class Ensemble:
    """The Classifiers of several folds, which predict together; or a single one.

    >>> ensemble = Ensemble.load("brain_mri/models/resnet_1.pth.tar")  # of resnet_1_fold_0.pth.tar and so on
    >>> outputs = ensemble.predict(["scan_1.jpg", "scan_2.png"])
    >>> outputs.probabilities[0], outputs.deviation[0]
    """

    members: tuple  # of Classifier

    @classmethod
    def load(cls, path, device="cpu"):
        """Load the models of all folds, NAME_fold_0.pth.tar and so on, for the `path` NAME.pth.tar."""
        return cls.of([Classifier.load(place, device) for place in model_files.find_all(path, None, "all")])

    @classmethod
    def of(cls, classifiers):
        """Return the Ensemble of Classifiers; UserError if their classes or positive classes differ."""
        first, *others = classifiers
        require_none(
            f"{other.path}: has the classes {', '.join(other.class_names)}, {first.path} has "
            f"{', '.join(first.class_names)}; only models of the same classes predict together"
            for other in others
            if other.class_names != first.class_names
        )
        require_none(
            f"{other.path}: has the positive class {other.positive_class!r}, {first.path} has "
            f"{first.positive_class!r}; choose one for all with -positive_class; for -images, do so in "
            "train_torchvision.py with --resume"
            for other in others
            if other.positive_class != first.positive_class
        )
        tell_other_settings(classifiers)
        tell_other_split(classifiers)
        return cls(tuple(classifiers))

    @property
    def class_names(self):
        return self.members[0].class_names

    @property
    def positive_class(self):
        return self.members[0].positive_class

    @property
    def device(self):
        return self.members[0].device

    @property
    def several(self):
        return len(self.members) > 1

    @property
    def has_reference(self):
        """Whether new images can be compared with the training images of every member."""
        return all(member.checkpoint.reference is not None for member in self.members)

    @property
    def can_tell_unlike(self):
        """Whether an image can count as unlike the training images; with few validation images, none can."""
        highest = [familiarity.farthest(member.checkpoint.reference["distances"]) for member in self.members]
        return np.mean(highest) >= familiarity.UNLIKE_FROM

    @property
    def name(self):
        """The model's file name; NAME_ensemble.pth.tar, which is not a file, for all folds' models together."""
        return model_files.common_name([member.path for member in self.members])

    @cached_property
    def views(self):
        """The different Preprocessings that give the members their pixels, as a list; usually only one."""
        found = []
        for member in self.members:
            view = _view(member)
            if view not in found:
                found.append(view)
        return found

    def batch(self, pixels):
        """Stack images, each a tuple with the pixels for each view, into a list of one tensor per view, on the device.

        Without images the list is empty.
        """
        return [torch.from_numpy(np.stack(view)).to(self.device) for view in zip(*pixels, strict=True)]

    def outputs(self, pixels, sample_count=None):
        """Return the inference.Outputs for images, one uint8 tensor (n, 1 or 3, height, width) for each view."""
        found = [
            familiarity.predict_and_compare(member, pixels[self.views.index(_view(member))], sample_count)
            for member in self.members
        ]
        return inference.combine(found) if self.several else found[0]

    def predict(self, images, batch_size=100):
        """Return the inference.Outputs for images, given as `Classifier.predict` takes them."""
        images, found = as_list(images), []
        for start in range(0, len(images), batch_size):
            pixels = [Classifier.pixels(image, *self.views) for image in images[start : start + batch_size]]
            found.append(self.outputs(self.batch(pixels)))
        return inference.joined(found) if found else inference.Outputs(np.empty((0, len(self.class_names))))


def tell_other_settings(members):
    """Print a note for each Classifier of a fold that was trained with other settings than the first one."""
    first, *others = members
    for other in others:
        records = [member.checkpoint.options or {} for member in (other, first)]
        differing = [
            f"{name} {in_words(value)} instead of {in_words(usual)}"
            for name, (value, usual) in differences(*records).items()
        ]
        if differing:
            note(f"{other.path}: trained with other settings than {first.path.name}: {', '.join(differing)}")


def tell_other_split(members):
    """Print a note if Classifiers of folds do not seem to be of one split, in which all but one have seen each image.

    Of two folds this cannot be told.
    """
    seen_of = {
        member.path: {*(seen.get("train") or ()), *(seen.get("val") or ())}
        for member in members
        if "train" in (seen := member.checkpoint.seen_images or {})
    }
    times_seen = Counter(itertools.chain(*seen_of.values()))
    of_several = [image for image, times in times_seen.items() if times < len(seen_of) - 1]
    if of_several:
        one, other, *_ = [path for path, seen in seen_of.items() if of_several[0] not in seen]
        note(
            f"{one} and {other.name}: have both not seen images that others were trained on, as if they were of "
            "different splits; if a model is left of an earlier split, move it elsewhere"
        )


def _view(member):
    """Return the part of a Classifier's Preprocessing that an image's pixels depend on."""
    return replace(member.preprocessing, mean=None, std=None, average_flips=False)
