"""A training: how it starts or continues, what belongs to it, and what is saved of it."""

from dataclasses import dataclass, field, replace

import torch
from torch import nn

from pipeline import processes
from pipeline.errors import UserError
from pipeline.learning import models, optimization, transfer
from pipeline.learning.checkpoints import Checkpoint, current_versions
from pipeline.learning.config import TrainingConfig
from pipeline.learning.image_sets import TrainingData
from pipeline.messages import note


@dataclass
class Training:
    """A model in training: how it learns, from what, and what changes from epoch to epoch."""

    config: TrainingConfig
    data: TrainingData  # as the model sees it
    model: nn.Module
    optimizer: torch.optim.Optimizer
    start: transfer.Start
    history: list = field(default_factory=list)  # of Epoch

    def checkpoint(self, record):
        """Return the Checkpoint after the newest epoch, with the result of `record`."""
        newest, fresh = self.history[-1], self.start.fresh
        seen_images = {"train": self.data.train.content_hashes, "val": self.data.val.content_hashes}
        return Checkpoint(
            state_dict=self.model.state_dict(),
            optimizer=None if self.config.freeze_backbone else self.optimizer.state_dict(),
            architecture=self.config.architecture,
            class_names=self.data.class_names,
            image_shape=self.start.preprocessing.image_shape,
            preprocessing=self.start.preprocessing.settings(),
            dropout=self.config.dropout,
            pooling=self.config.pooling,
            positive_class=self.config.positive_class,
            epoch=newest.epoch,
            validation_loss=newest.val_loss,
            history=self.history,
            options=record,
            seen_images=seen_images | self.start.seen_images,
            seen_hashes={"train": self.data.train.difference_hashes, "val": self.data.val.difference_hashes},
            fresh_weights=None if fresh is None else sorted(fresh),
            finished=False,
        )

    def record(self, name, command_line):
        """Return what the records say about a training before it runs, in plain types: choices, data and machine."""
        return {
            "model name": name,
            **self.config.record(),
            "loss": "cross-entropy",
            "class names": self.data.class_names,
            "fold": self.data.fold,
            "training images": len(self.data.train),
            "validation images": len(self.data.val),
            "split fingerprint": self.data.split_fingerprint,
            "images fingerprint": self.data.images_fingerprint,
            "weights fingerprint": transfer.weights_fingerprint(self.config.weights),
            "image mean": self.start.preprocessing.mean,
            "image standard deviation": self.start.preprocessing.std,
            "image value ranges": self.start.preprocessing.value_ranges,
            "command line": command_line,
            "device": str(self.data.train.device),
            "processes": processes.count(),
            "versions": current_versions(),
        }


def start_or_resume(run, data, overwrite):
    """Return the Training of a Run: a new one, or as it was after the last complete epoch."""
    config, class_count = run.config, len(data.class_names)
    torch.manual_seed(config.seed)
    model = models.build_model(config.architecture, class_count, config.image_shape, config.dropout, config.pooling)
    if not config.freeze_backbone:
        models.require_batch_size(model, min(config.batch_size, len(data.train)), processes.count())
    last = None if overwrite else run.load_last(data)
    if last is None or config.freeze_backbone:  # a fitted last layer is fitted again, in seconds
        return make_training(config, data, model, transfer.new_start(model, config, data))
    last.load_weights(model, run.last)
    training = make_training(config, data, model, transfer.start_of(last))
    try:
        optimization.restore(training.optimizer, last.optimizer)
    except ValueError as error:
        raise UserError(f"{run.last}: holds {error}; start again with --overwrite") from None
    training.history = last.history
    print(f"going on after epoch {last.epoch} of {run.last}")
    before, now = (last.options or {}).get("processes", processes.count()), processes.count()
    if before != now:
        until = f"{before} processes trained it up to epoch {last.epoch}, and now {now}"
        note(f"{until}: the result differs from that of either number")
    return training


def make_training(config, data, model, start):
    """Return a Training that has not begun."""
    model = model.to(data.train.device)
    train, val = (replace(images, preprocessing=start.preprocessing) for images in (data.train, data.val))
    optimizer = optimization.make_optimizer(model, config, start.fresh)
    return Training(config, replace(data, train=train, val=val), model, optimizer, start)
