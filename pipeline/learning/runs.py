"""One training run on disk: its files, how it is started and resumed, and its records."""

from dataclasses import dataclass, replace

from pipeline import files, processes
from pipeline.errors import UserError
from pipeline.learning import checkpoints, curves, recipes
from pipeline.learning.history import best_epoch, kept_epoch
from pipeline.messages import note
from pipeline.project import LAST_SUFFIX, MODEL_SUFFIX, Project

# What must be the same for training to go on, and the option it comes from.
FIXED_SETTINGS = {
    "architecture": "-architecture",
    "batch size": "-batch_size",
    "learning rate": "-learning_rate",
    "image shape": "-img_shape",
    "keep color": "--keep_color",
    "normalize": "--normalize",
    "augment": "-augment",
    "optimizer": "-optimizer",
    "weight decay": "-weight_decay",
    "schedule": "-schedule",
    "label smoothing": "-label_smoothing",
    "dropout": "-dropout",
    "class weights": "-class_weights",
    "average flips": "--average_flips",
    "weights kept": "-keep",
    "weights": "-weights",
    "freeze backbone": "--freeze_backbone",
    "seed": "-seed",
    "precision": "-precision",
    "class names": "class names",
    "split fingerprint": "split files",
}
ADJUSTABLE_SETTINGS = ("maximum number of epochs", "patience", "positive class")
# What a record of before these choices existed means.
NOT_RECORDED = {**recipes.resolve("published").settings(), "weights": None, "freeze backbone": False}
# A schedule of the learning rate is laid out over the whole training.
FIXED_BY_A_SCHEDULE = {"maximum number of epochs": "-num_epochs"}


@dataclass(frozen=True)
class Run:
    """A training run of a project, by name."""

    project: Project
    name: str

    @property
    def model(self):
        return self.project.models / f"{self.name}{MODEL_SUFFIX}"

    @property
    def last(self):
        return self.project.models / f"{self.name}{LAST_SUFFIX}"

    @property
    def augmented(self):
        return self.record("augmented.png")

    def record(self, ending):
        return self.project.results / f"{self.name}_{ending}"

    @property
    def files(self):
        endings = ("hyperparameters.json", "loss_values.json", "accuracy.png", "loss.png")
        return [self.model, self.last, *map(self.record, endings)]

    def prepare(self, may_exist):
        """Make the folders; UserError where an earlier run of this name left something and that is not expected."""
        for folder in (self.project.models, self.project.results):
            folder.mkdir(exist_ok=True)
        existing = [path for path in self.files if path.exists()]
        if existing and not may_exist:
            raise UserError(
                f"{existing[0]}: exists already; --resume goes on with that training, --overwrite starts anew, "
                "-model_save_name takes another name"
            )

    def remove(self):
        """Remove what an earlier run of this name left."""
        for path in [*self.files, self.augmented]:
            path.unlink(missing_ok=True)

    def finished_hyperparameters(self, settings):
        """Return the recorded hyperparameters where this very training has been finished, else None."""
        path = self.record("hyperparameters.json")
        if not path.exists() or not self.model.exists():
            return None
        recorded = files.read_json_object(path)
        self._require_same(settings, recorded, path)
        same = all(recorded.get(name) == settings[name] for name in ADJUSTABLE_SETTINGS)
        return recorded if same else None

    def load_last(self, settings):
        """Return the checkpoint of the last whole epoch; None where no epoch was finished.

        What an interruption left behind is mended. Raises UserError where it was trained with other settings, or
        where the best epoch's weights are gone.
        """
        if not self.last.exists():
            if self.model.exists():
                raise UserError(
                    f"{self.last}: no such file to resume from; use --overwrite or another -model_save_name"
                )
            return None
        checkpoint = checkpoints.load(self.last)
        if checkpoint.options:
            self._require_same(settings, checkpoint.options, self.last)
        if not _can_go_on(checkpoint, settings):
            raise UserError(
                f"{self.last}: holds no training to go on with; use --overwrite or another -model_save_name"
            )
        if not processes.is_main():
            return checkpoint
        if kept_epoch(checkpoint.history, settings["weights kept"])["epoch"] == checkpoint.epoch:
            # Training may have been killed before the model got these weights.
            checkpoint.save(self.model)
        elif not self.model.exists():
            raise UserError(f"{self.model}: the best epoch's weights are gone; start anew with --overwrite")
        if checkpoint.positive_class != settings["positive class"]:
            self._replace_positive_class(checkpoint.positive_class, settings["positive class"])
        # While training goes on, nothing may say that it is finished.
        self.record("hyperparameters.json").unlink(missing_ok=True)
        return checkpoint

    def save_epoch(self, trainer, settings):
        """Save the state after an epoch of a Trainer, and as the model too if its weights are to be kept so far."""
        newest = trainer.history[-1]
        checkpoint = checkpoints.Checkpoint(
            state_dict=trainer.whole.state_dict(),
            optimizer=trainer.optimizer.state_dict(),
            architecture=settings["architecture"],
            class_names=settings["class names"],
            image_shape=trainer.train_set.preprocessing.image_shape,
            preprocessing=trainer.train_set.preprocessing.settings(),
            dropout=settings["dropout"],
            positive_class=settings["positive class"],
            epoch=newest["epoch"],
            validation_loss=newest["val_loss"],
            history=trainer.history,
            options=settings,
            seen_images=trainer.seen_images,
        )
        checkpoint.save(self.last)
        if kept_epoch(trainer.history, trainer.recipe.keep) is newest:
            # Not a copy of the other file, which a second run of the same name may have replaced meanwhile.
            checkpoint.save(self.model)

    def write_records(self, settings, history):
        """Write loss values, curves and hyperparameters of a finished run; return the hyperparameters."""
        best = best_epoch(history)
        series = {
            "loss values": "loss",
            "accuracy values": "accuracy",
            "val loss values": "val_loss",
            "val accuracy values": "val_accuracy",
        }
        values = {name: [[epoch["epoch"], epoch[key]] for epoch in history] for name, key in series.items()}
        hyperparameters = {
            **settings,
            "number of epochs": len(history),
            "best epoch": best["epoch"],
            "kept epoch": kept_epoch(history, settings["weights kept"])["epoch"],
            "minimum validation loss": best["val_loss"],
            "training seconds": round(sum(epoch["seconds"] for epoch in history), 3),
        }
        files.write_json(self.record("loss_values.json"), values)
        curves.draw_curves(self.record("loss.png"), history, "loss", "cross-entropy loss (mean over images)")
        curves.draw_curves(self.record("accuracy.png"), history, "accuracy", "accuracy")
        # Last, since it says that the run is finished.
        files.write_json(self.record("hyperparameters.json"), hyperparameters)
        return hyperparameters

    def _replace_positive_class(self, recorded, chosen):
        # No part of training: what was said last holds for the whole run.
        note(f"positive class {chosen!r} instead of {recorded!r}, which {self.last} names")
        for path in (self.model, self.last):
            replace(checkpoints.load(path), positive_class=chosen).save(path)

    def _require_same(self, settings, recorded, path):
        fixed = FIXED_SETTINGS if settings["schedule"] == "constant" else FIXED_SETTINGS | FIXED_BY_A_SCHEDULE
        faults = [
            f"{option} {settings[name]}: {path} was trained with {name} {recorded.get(name, NOT_RECORDED.get(name))}; "
            "give the same, use --overwrite, or another -model_save_name"
            for name, option in fixed.items()
            if recorded.get(name, NOT_RECORDED.get(name)) != settings[name]
        ]
        if faults:
            raise UserError(*faults)


def _can_go_on(checkpoint, settings):
    """Tell whether a checkpoint, of a file that anyone may have written, has all that training with settings needs."""
    if not (checkpoint.history and checkpoint.options and checkpoint.optimizer and checkpoint.preprocessing):
        return False
    return (
        checkpoint.image_shape == settings["image shape"]
        and (settings["schedule"] == "constant" or len(checkpoint.history) <= settings["maximum number of epochs"])
        and not (settings["freeze backbone"] and checkpoint.options.get("fresh weights") is None)
    )
