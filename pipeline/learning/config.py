"""Every choice of a training, in one place: its option, its name in the records, its defaults in the recipes.

To add a choice, add a field to TrainingConfig and use it. Its option in train_torchvision.py, its entry in the training
records and the check on `--resume` follow from the field. Trainings that were recorded without it count as having its
default. If it only matters to some trainings, has_effect has to tell which, and `grid`, which refuses the option for
the others, why.
"""

import itertools
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

from pipeline import options
from pipeline.errors import UserError, require_none
from pipeline.learning.architectures import resolve_architecture
from pipeline.messages import in_words
from pipeline.options import Option, unmet_needs
from pipeline.readers import number, whole_number

# The groups of options in --help, in their order.
GROUPS = DATA, MODEL, STOP, RUN, PARTS = (
    "data",
    "model and training (several values: a sweep over all combinations)",
    "when to stop",
    "run",
    "single parts of a recipe (--no-NAME turns one of the switches off)",
)

IMAGENET = "imagenet"  # the value of -weights for torchvision's weights
LONGEST_SIDE = 100_000  # pixels
UNDECIDED = "auto"  # the value of -precision until the device is known
SWEPT = "+"  # the count of values of an option whose values can be swept

# What the recipes change in the defaults below; docs/recipe.md has the evidence.
PRETRAINED = {
    "keep_color": True,
    "architecture": "efficientnet_lite0",
    "weights": IMAGENET,
    "normalize": None,
    "pooling": "average+max",
}
ALL_LAYERS = {
    "patience": 0,
    "optimizer": "AdamW",
    "weight_decay": 0.05,
    "schedule": "one-cycle",
    "label_smoothing": 0.1,
    "augment": "strong",
    "keep": "last",
}
RECIPES = {
    "published": {},
    "strong": {**ALL_LAYERS, "learning_rate": 0.002, "num_epochs": 160, "normalize": True, "average_flips": True},
    "transfer": {**PRETRAINED, "image_shape": (3, 260, 260), "freeze_backbone": True, "average_flips": True},
    "fine-tune": {
        **PRETRAINED,
        **ALL_LAYERS,
        "image_shape": (3, 160, 160),
        "fit_head": True,
        "learning_rate": 0.0005,
        "num_epochs": 26,
        "clip_gradient": 1.0,
        "average_flips": True,
    },
}


@dataclass(frozen=True)
class TrainingOption(Option):
    """An Option, and how the training records and `--resume` treat the choice."""

    group: str = PARTS
    record: str = None  # the name in the records; None: the field's, with spaces
    may_change: bool = False  # on --resume
    of_steps: bool = False  # about optimizer steps: no effect if only the last layer is fitted


choice = partial(options.choice, kind=TrainingOption)


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained. The defaults are the published recipe."""

    # fmt: off
    image_shape: tuple = choice((3, 224, 224), "-img_shape", "channels (1 or 3), height, width",
                                DATA, whole_number(), metavar=("C", "H", "W"), other_names=("-img_size",))
    keep_color: bool = choice(False, "--keep_color", "train on the images' colours, not on their grey values", DATA)
    positive_class: str | None = choice(None, "-positive_class", "the class that counts as positive (default: the last "
                                        "of two)", DATA, metavar="CLASS", may_change=True)

    recipe: str = choice("published", "-recipe", "published: as in the published work; strong: learns most from random "
                         "weights; transfer: ImageNet weights and a fitted last layer, in seconds; fine-tune: "
                         "transfer, then all layers, in minutes; the options for single parts change a recipe", MODEL,
                         values=(*RECIPES,), count=SWEPT, may_change=True)
    architecture: str = choice("resnet18", "-architecture", "any torchvision classification model; vgg is vgg11_bn, "
                               "densenet is densenet121", MODEL, metavar="NAME", count=SWEPT)
    weights: str | None = choice(None, "-weights", "start from torchvision's ImageNet weights (downloaded once) or "
                                 "from those in a file, except for the last layer (default: random weights)", MODEL,
                                 metavar="imagenet|FILE", may_change=True)
    freeze_backbone: bool = choice(False, "--freeze_backbone", "with -weights, only fit the last layer, by logistic "
                                   "regression; otherwise all layers are trained, the pretrained ones at a tenth of "
                                   "the learning rate", MODEL,
                                   needs=("weights", "random weights would stay random; give -weights too"))
    fit_head: bool = choice(False, "--fit_head", "with -weights, fit the last layer by logistic regression first, then "
                            "train all layers", MODEL, of_steps=True,
                            needs=("weights", "features of random weights are not worth fitting; give -weights too"))
    batch_size: int = choice(25, "-batch_size", "total batch size", MODEL, whole_number(), count=SWEPT, of_steps=True)
    learning_rate: float = choice(0.001, "-learning_rate", "learning rate; with a schedule, the peak learning rate",
                                  MODEL, number(above=0), count=SWEPT, of_steps=True)

    num_epochs: int = choice(256, "-num_epochs", "maximum number of epochs", STOP, whole_number(),
                             record="maximum number of epochs", may_change=True, of_steps=True)
    patience: int = choice(5, "-patience", "stop after this many epochs in a row without a lower validation loss; "
                           "0: never", STOP, whole_number(0), may_change=True, of_steps=True)

    seed: int = choice(0, "-seed", "random seed of the initial weights and the order of the images",
                       RUN, whole_number(0, 2**32 - 1))
    precision: str = choice(UNDECIDED, "-precision", "number format of the computations; auto: bfloat16 if the "
                            "processor or GPU is faster with it", RUN, values=(UNDECIDED, "float32", "bfloat16"))

    normalize: bool | None = choice(False, "--normalize", "scale images so that the training images have mean 0 and "
                                    "standard deviation 1; without it, -weights scales them as its own images were")
    augment: str = choice("none", "-augment", "random changes of training images; NAME_augmented.png shows them",
                          values=("none", "strong"), of_steps=True)
    optimizer: str = choice("Adam", "-optimizer", "optimizer", values=("Adam", "AdamW", "SGD"), of_steps=True)
    schedule: str = choice("constant", "-schedule", "learning rate schedule; one-cycle: up to the peak, then down to "
                           "almost 0", values=("constant", "one-cycle"), of_steps=True)
    weight_decay: float = choice(0.0, "-weight_decay", "weight decay (L2 penalty)", PARTS, number(at_least=0),
                                 of_steps=True)
    clip_gradient: float = choice(0.0, "-clip_gradient", "scale a step's gradient down to this norm if it is larger; "
                                  "0: never", PARTS, number(at_least=0), of_steps=True)
    label_smoothing: float = choice(0.0, "-label_smoothing", "fraction of each label that is spread over all classes",
                                    PARTS, number(at_least=0, below=1), of_steps=True)
    dropout: float | None = choice(None, "-dropout", "dropout probability, at the architecture's dropout layers or, if "
                                   "it has none, before its last layer (default: the architecture's)", PARTS,
                                   number(at_least=0, below=1), metavar="X")
    pooling: str = choice("average", "-pooling", "what the last layer sees of each channel of the last feature map",
                          values=("average", "average+max"))
    class_weights: str = choice("none", "-class_weights", "balanced: images of rare classes count more in the loss",
                                values=("none", "balanced"))
    average_flips: bool = choice(False, "--average_flips", "predict from both an image and its mirror image")
    keep: str = choice("best", "-keep", "keep the weights of the epoch with the lowest validation loss, or of the last "
                       "epoch", values=("best", "last"), record="weights kept", of_steps=True)
    # fmt: on

    def __post_init__(self):
        require_shape(self.image_shape, self.keep_color)
        require_none(unmet_needs(self))

    def has_effect(self, entry):
        """Tell whether the choice of a field matters to this training."""
        return not (self.freeze_backbone and entry.metadata["option"].of_steps)

    def record(self):
        """Return all choices under their names in the training records, as plain types; None for any without effect."""
        return self._recorded({entry.name: getattr(self, entry.name) for entry in fields(self)})

    def completed(self, recorded):
        """Return a training record, completed with the defaults of choices that did not exist when it was written."""
        return self._recorded({entry.name: entry.default for entry in fields(self)}) | recorded

    def _recorded(self, values):
        """Return {field: value} as a training record."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return {record_name(entry): plain[entry.name] if self.has_effect(entry) else None for entry in fields(self)}

    @property
    def length_is_fixed(self):
        """Whether the number of epochs cannot change, because a learning rate schedule spans all of them."""
        return self.schedule != "constant"

    def contradictions(self, recorded):
        """Return (option, value, name in the record, recorded value) for each choice that must not differ, but does."""
        ours, recorded = self.record(), self.completed(recorded)
        fixed = {"num_epochs"} if self.length_is_fixed else set()
        return [
            (entry.metadata["option"].name, ours[name], name, recorded[name])
            for entry in fields(self)
            for name in [record_name(entry)]
            if (entry.name in fixed or not entry.metadata["option"].may_change)
            and self.has_effect(entry)
            and ours[name] != UNDECIDED
            and ours[name] != recorded[name]
        ]


def differences(recorded, other):
    """Return {name: (value, other value)} of the choices in which two training records differ."""
    names = [record_name(entry) for entry in fields(TrainingConfig)]
    return {
        name: (recorded[name], other[name])
        for name in names
        if name in recorded and name in other and recorded[name] != other[name]
    }


def grid(chosen):
    """Return the configurations for `chosen`, {field: value}: every combination of several values, once.

    The value of a field that can be swept is a list. What is not chosen is the recipe's, except that with the weights
    of another training, images are by default scaled as that training's images were (normalize None). Names of
    architectures and paths are resolved. Raises UserError for names and files that do not exist, and for a choice that
    has no effect on any configuration.
    """
    several = [entry.name for entry in fields(TrainingConfig) if entry.metadata["option"].count == SWEPT]
    if chosen.get("weights"):
        chosen = {"normalize": None} | chosen
    if "image_shape" in chosen:
        chosen = chosen | {"image_shape": tuple(chosen["image_shape"])}
    swept = {"recipe": ["published"]} | {name: values for name, values in chosen.items() if name in several}
    combinations = itertools.product(*swept.values())
    configs = [configuration(chosen | dict(zip(swept, values, strict=True))) for values in combinations]
    freezing = "--freeze_backbone" if chosen.get("freeze_backbone") else f"-recipe {in_words(swept['recipe'])}"
    require_none(
        f"{entry.metadata['option'].name}: has no effect with {freezing}, which fits the last layer by logistic "
        "regression, without optimizer steps; leave the option out, or train all layers (-recipe fine-tune)"
        for entry in fields(TrainingConfig)
        if entry.name in chosen and not any(config.has_effect(entry) for config in configs)
    )
    return list(dict.fromkeys(map(_resolved, configs)))


def _resolved(config):
    weights = config.weights
    if weights not in (None, IMAGENET):
        weights = str(Path(weights).absolute())
        if not Path(weights).exists():
            raise UserError(f"-weights {weights}: no such file; check the name")
    return replace(config, architecture=resolve_architecture(config.architecture), weights=weights)


def require_shape(image_shape, keep_color):
    """Raise UserError if `-img_shape` and `--keep_color` are impossible or contradict each other."""
    shape = " ".join(map(str, image_shape))
    if image_shape[0] not in (1, 3):
        raise UserError(f"-img_shape {shape}: {image_shape[0]} channels; give 1 or 3 channels, height and width")
    if max(image_shape) > LONGEST_SIDE:
        raise UserError(f"-img_shape {shape}: more than {LONGEST_SIDE} pixels high or wide; give a smaller one")
    if keep_color and image_shape[0] == 1:
        raise UserError(
            f"--keep_color, -img_shape {shape}: colour needs 3 channels; give -img_shape 3 ..., or train with "
            "--no-keep_color"
        )


def configuration(chosen):
    """Return the TrainingConfig for {field: value}; what is not chosen is the recipe's.

    Fields without effect have their defaults, so that choices that only differ in these give equal configurations.
    """
    values = RECIPES[chosen["recipe"]] | chosen
    config = TrainingConfig(**values)
    useless = [entry.name for entry in fields(config) if not config.has_effect(entry)]
    return TrainingConfig(**{name: value for name, value in values.items() if name not in useless})


def default_text(entry):
    """Return a field's defaults in the recipes, in words; "" if its help gives them."""
    if entry.default is None:
        return ""
    values = {recipe: changes.get(entry.name, entry.default) for recipe, changes in RECIPES.items()}
    published = in_words(values.pop("published"))
    others = [
        f"; {recipe}: {in_words(value)}"
        for recipe, value in values.items()
        if value is not None and in_words(value) != published
    ]
    return f" (default: {published}{''.join(others)})"


def record_name(entry):
    """Return a field's name in the training records."""
    return entry.metadata["option"].record or entry.name.replace("_", " ")
