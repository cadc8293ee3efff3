"""Recipes: every choice of how a model is trained, by one word or one by one."""

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True)
class Recipe:
    """How a model is trained. The defaults are the published recipe."""

    batch_size: int = 25
    learning_rate: float = 0.001  # the highest, where a schedule changes it
    max_epochs: int = 256
    patience: int | None = 5  # epochs without a lower validation loss; None: train to the last epoch
    optimizer: str = "Adam"  # one of OPTIMIZERS
    weight_decay: float = 0.0
    schedule: str = "constant"  # of the learning rate, one of SCHEDULES
    label_smoothing: float = 0.0
    dropout: float | None = None  # share of the last layer's inputs to leave out; None: as the architecture does
    class_weights: str = "none"  # one of CLASS_WEIGHTS; balanced: rare classes count more in the loss
    normalize: bool = False  # to mean 0 and standard deviation 1 of the training images
    augment: str = "none"  # one of AUGMENTATIONS
    average_flips: bool = False  # predict from an image and its mirror image
    keep: str = "best"  # which weights become the model, one of KEPT_EPOCHS; best: of the lowest validation loss

    def settings(self):
        """Return all choices under the names of the training records."""
        return {
            RECORDED_NAMES.get(entry.name, entry.name.replace("_", " ")): getattr(self, entry.name)
            for entry in fields(self)
        }


# Where the training records name a choice otherwise than the code does.
RECORDED_NAMES = {"max_epochs": "maximum number of epochs", "keep": "weights kept"}

OPTIMIZERS = ("Adam", "AdamW", "SGD")
SCHEDULES = ("constant", "one-cycle")
AUGMENTATIONS = ("none", "light", "strong")
CLASS_WEIGHTS = ("none", "balanced")
KEPT_EPOCHS = ("best", "last")

RECIPES = {
    "published": Recipe(),
    # What the experiments in docs/recipe.md liked best for a few hundred images.
    "strong": Recipe(
        learning_rate=0.002,
        max_epochs=160,
        patience=None,
        optimizer="AdamW",
        weight_decay=0.05,
        schedule="one-cycle",
        label_smoothing=0.1,
        normalize=True,
        augment="strong",
        average_flips=True,
        keep="last",
    ),
}


def resolve(name, **chosen):
    """Return the recipe of this name with what was chosen otherwise; None is no choice."""
    return replace(RECIPES[name], **{key: value for key, value in chosen.items() if value is not None})
