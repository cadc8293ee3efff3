"""One training run on disk: its files, what may be resumed, and its records."""

from dataclasses import dataclass, replace

from pipeline import files, processes
from pipeline.classes import tell_other_positive_class
from pipeline.errors import UserError, require_none
from pipeline.learning import checkpoints, curves, devices
from pipeline.learning.history import best_epoch, kept_epoch, write_epochs
from pipeline.learning.planning import WAYS_OUT, PlannedRun
from pipeline.learning.transfer import weights_fingerprint
from pipeline.messages import counted
from pipeline.plain_values import is_plain_number

# The results in a finished training's record, as functions of its Epochs and `keep`.
RESULTS = {
    "number of epochs": lambda history, keep: len(history),
    "best epoch": lambda history, keep: best_epoch(history).epoch,
    "kept epoch": lambda history, keep: kept_epoch(history, keep).epoch,
    "kept validation loss": lambda history, keep: kept_epoch(history, keep).val_loss,
    "minimum validation loss": lambda history, keep: best_epoch(history).val_loss,
    "training seconds": lambda history, keep: round(sum(epoch.seconds for epoch in history), 3),
}


@dataclass
class Run(PlannedRun):
    """A training run of a project on a device; its configuration names the precision to compute in."""

    @classmethod
    def on(cls, planned, device):
        """Return the Run of a PlannedRun; UserError if the device cannot compute in its precision."""
        precision = devices.pick_precision(planned.config.precision, device)
        return cls(planned.project, planned.name, replace(planned.config, precision=precision), planned.fold)

    def read_finished(self, data):
        """Return the recorded hyperparameters if exactly this training on TrainingData is finished, otherwise None.

        Raises UserError if it was trained on other data, or if the model is damaged.
        """
        recorded = self.recorded()
        if recorded is not None and recorded.get("kept epoch") == recorded.get("best epoch"):
            # Earlier versions only wrote the minimum. If another epoch is kept, the last state has its loss.
            recorded = {"kept validation loss": recorded.get("minimum validation loss")} | recorded
        if recorded is None or not all(is_plain_number(recorded.get(name)) for name in RESULTS):
            return None
        self._require_same(data, recorded, self.hyperparameters)
        known = self.config.completed(recorded)
        if any(known[name] != value for name, value in self.config.record().items()):
            return None
        checkpoints.load(self.model)  # which may be damaged
        return known

    def load_last(self, data):
        """Return the checkpoint of the last complete epoch; None if no epoch was completed.

        Completes what an interruption left behind. Raises UserError if it was trained with another configuration, on
        other data or for more epochs than are asked for, or if the best epoch's weights are missing.
        """
        if not self.resumable.exists():
            if self.model.exists():
                raise UserError(f"{self.resumable}: no such file to resume from; {WAYS_OUT}")
            return None
        checkpoint = checkpoints.load(self.resumable)
        if checkpoint.options:
            self._require_same(data, checkpoint.options, self.resumable)
        trained, asked = len(checkpoint.history or ()), self.config.num_epochs
        if trained > asked:
            raise UserError(
                f"-num_epochs {asked}: {self.resumable} has {counted(trained, 'epoch')} already; give at least as many"
            )
        if not self._can_be_resumed(checkpoint):
            raise UserError(f"{self.resumable}: holds no training that can be resumed; {WAYS_OUT}")
        self._complete(checkpoint)
        return checkpoint

    def save_epoch(self, checkpoint):
        """Save the Checkpoint after an epoch, also as the model if its weights are the ones to keep so far."""
        if len(checkpoint.history) == 1:
            # Remove the records of an earlier run of this name; its model stays until there is a new one.
            for path in self.possible_files:
                if path not in (self.model, self.resumable):
                    path.unlink(missing_ok=True)
        if self.resumable != self.model:
            checkpoint.save(self.resumable)
        if kept_epoch(checkpoint.history, self.config.keep) is checkpoint.history[-1]:
            replace(checkpoint, optimizer=None).save(self.model)
        write_epochs(self.epochs, checkpoint.history)

    def draw_curves(self, history):
        """Draw the curves of loss and accuracy."""
        for quantity in ("loss", "accuracy"):
            curves.draw_curves(self._result(f"{quantity}.png"), history, quantity, self.config.keep)

    def finish(self, kept, record, history):
        """Save the model, the Checkpoint `kept`, as finished, write the records and draw the curves.

        Returns the hyperparameters.
        """
        replace(kept, finished=True).save(self.model)
        series = {
            "loss values": "loss",
            "accuracy values": "accuracy",
            "val loss values": "val_loss",
            "val accuracy values": "val_accuracy",
        }
        values = {name: [[epoch.epoch, getattr(epoch, key)] for epoch in history] for name, key in series.items()}
        hyperparameters = record | {name: result(history, self.config.keep) for name, result in RESULTS.items()}
        hyperparameters["weights hash"] = checkpoints.weights_hash(kept.state_dict)
        files.write_json(self.losses, values)
        if not self.config.freeze_backbone:
            self.draw_curves(history)
        # Last, since it says that the run is finished.
        files.write_json(self.hyperparameters, hyperparameters)
        return hyperparameters

    def _require_same(self, data, recorded, path):
        """Raise UserError if the record in `path` is that of a training with other choices or on other data."""
        ours = (
            ("the class names", "class names", data.class_names),
            ("the split files", "split fingerprint", data.split_fingerprint),
            ("the images", "images fingerprint", data.images_fingerprint),
            ("-weights", "weights fingerprint", weights_fingerprint(self.config.weights)),
        )
        if "images fingerprint" not in recorded or recorded.get("split fingerprint") != data.split_fingerprint:
            # Earlier versions wrote none; and if the split files differ, so do the images.
            recorded = recorded | {"images fingerprint": data.images_fingerprint}
        faults = self.choice_faults(recorded, path) + [
            f"{what}: changed since {path} was trained; give the same, {WAYS_OUT}"
            for what, name, value in ours
            if recorded.get(name) != value
        ]
        require_none(faults)

    def _can_be_resumed(self, checkpoint):
        """Tell whether a checkpoint has all that resuming needs: anyone may have written the file."""
        optimizer = checkpoint.optimizer or self.config.freeze_backbone
        needed = (checkpoint.history, checkpoint.options, optimizer, checkpoint.preprocessing)
        return all(needed) and checkpoint.image_shape == list(self.config.image_shape)

    def _complete(self, checkpoint):
        """Bring the run's other files to the state of its last epoch, and mark none of them as finished.

        Of several processes the main one writes, but each raises UserError if the best epoch's weights are missing.
        """
        is_kept = kept_epoch(checkpoint.history, self.config.keep).epoch == checkpoint.epoch
        if not is_kept and not self.model.exists():
            raise UserError(f"{self.model}: the best epoch's weights are missing; start again with --overwrite")
        model = replace(checkpoint, optimizer=None) if is_kept else checkpoints.load(self.model)
        if not processes.is_main():
            return
        self.hyperparameters.unlink(missing_ok=True)
        chosen = self.config.positive_class
        if checkpoint.positive_class != chosen:
            # Training does not depend on it: the last choice holds for the whole run.
            tell_other_positive_class(chosen, checkpoint.positive_class, self.resumable)
            replace(checkpoint, positive_class=chosen).save(self.resumable)
        # Training may have been killed before the model got the weights of the last epoch.
        if is_kept or model.finished or model.positive_class != chosen:
            replace(model, positive_class=chosen, finished=False).save(self.model)
        write_epochs(self.epochs, checkpoint.history)
