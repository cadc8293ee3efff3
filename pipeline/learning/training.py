"""Training with early stopping: the loop over the epochs, and what one epoch does."""

import math
import time
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional

from pipeline import files, processes
from pipeline.classes import resolve_positive_class
from pipeline.errors import UserError
from pipeline.learning import checkpoints, devices, distributed, familiarity, optimization, transfer
from pipeline.learning.augmentation import AUGMENTATIONS, draw_augmented
from pipeline.learning.config import TrainingConfig
from pipeline.learning.history import Epoch, best_epoch, patience_ran_out
from pipeline.learning.inference import predict_logits
from pipeline.learning.state import start_or_resume
from pipeline.messages import counted, format_table, in_words, note
from pipeline.progress import print_line, progress_bar

# Seconds between two drawings of the curves while training runs; drawing takes about half a second.
REDRAW_EVERY = 15


def train(run, data, command_line, resume, overwrite, store):
    """Train the model of a Run on TrainingData, or resume it, and write the records; return the hyperparameters.

    Args:
        run, data: a Run, and the TrainingData.
        command_line: for the record.
        resume, overwrite: with `overwrite`, an earlier training of this name is replaced; with `resume` too, only if it
            cannot be continued. Processes that train together read the same files, and come to the same conclusion.
        store: a FeatureStore, which keeps the features that a last layer is fitted to, for other runs.
    """
    positive_class = resolve_positive_class(data.class_names, run.config.positive_class)
    run = replace(run, config=replace(run.config, positive_class=positive_class))
    with distributed.main_process_first():
        try:
            finished, training = begin(run, data, overwrite and not resume)
        except UserError as error:
            if not (overwrite and resume):
                raise
            note(f"{run.name}: starts again, since it cannot be continued ({error.faults[0].partition(';')[0]})")
            finished, training = begin(run, data, overwrite)
    if finished:
        epochs = "" if run.config.freeze_backbone else f", after {counted(finished['number of epochs'], 'epoch')}"
        way_out = "; without --resume, --overwrite trains it again" if overwrite else ""
        print(f"{run.model}: finished already{epochs}; nothing to do{way_out}")
        return finished
    print_plan(run, training)
    record = training.record(run.name, command_line)
    if run.config.freeze_backbone:
        fit_only(run, training, record, store)
    else:
        if run.config.fit_head and not training.history:
            transfer.fit_last_layer(training, store)
        train_epochs(run, training, record)
    if not processes.is_main():
        return record
    kept = checkpoints.complete(checkpoints.load(run.model), run.model, class_names=data.class_names)
    kept.load_weights(training.model, run.model)
    kept.reference = familiarity.reference_of(training, store)
    hyperparameters = run.finish(kept, record, training.history)
    print_hyperparameters(run, hyperparameters)
    return hyperparameters


def begin(run, data, overwrite):
    """Return the recorded hyperparameters if a Run is finished, otherwise None; and if not, its Training."""
    finished = None if overwrite else run.read_finished(data)
    return finished, None if finished else start_or_resume(run, data, overwrite)


def fit_only(run, training, record, store):
    """Fit the last layer and train no other; the result is recorded as a single epoch."""
    started = time.perf_counter()
    head, trained, validated = transfer.fit_last_layer(training, store)
    record["last layer"] = f"logistic regression, C = {head.strength:g}"
    record["remark"] = "fitted at once: the one epoch is its result; there are no curves, and no state to resume from"
    seconds = time.perf_counter() - started
    training.history.append(Epoch(1, None, *trained.values(), *validated.values(), seconds))
    if processes.is_main():
        run.save_epoch(training.checkpoint(record))


def train_epochs(run, training, record):
    """Train until epochs or patience run out, and save every epoch.

    The random choices of an epoch follow from the seed and its number, so that a resumed training continues as if it
    had never stopped (in float16, except for the scale of the gradients). Raises UserError if a loss is not finite.
    """
    print("\nepoch      loss  accuracy  val loss  val accuracy  best", flush=True)
    config, data, history = training.config, training.data, training.history
    device, image_count, drawn = data.train.device, len(data.train), time.monotonic()
    if device.type == "cpu" and config.precision == "bfloat16":
        devices.keep_freed_memory(training.model)  # in float32 it would take some 500 MB more
    network = distributed.wrap(training.model)
    loss = optimization.make_loss(config, data.train.labels, len(data.class_names), device)
    steps_per_epoch = len(batches(torch.arange(image_count), config.batch_size, processes.count()))
    stepper = optimization.Stepper(training.optimizer, config, steps_per_epoch, len(history), device)
    images = {"total": config.num_epochs * image_count, "initial": len(history) * image_count, "unit": "image"}
    with progress_bar(**images, desc=f"epoch {len(history) + 1} of {config.num_epochs}", leave=False) as bar:
        for epoch in range(len(history) + 1, config.num_epochs + 1):
            if patience_ran_out(history, config.patience):
                break
            bar.set_description(f"epoch {epoch} of {config.num_epochs}")
            torch.manual_seed(config.seed * 1_000_003 + epoch)
            started = time.perf_counter()
            trained = train_one_epoch(network, data.train, stepper, loss, config, bar)
            distributed.average_running_statistics(training.model)
            validated = evaluate(training.model, data.val, config)
            seconds = time.perf_counter() - started
            require_finite(epoch, trained["loss"], validated["loss"])
            history.append(Epoch(epoch, stepper.learning_rate, *trained.values(), *validated.values(), seconds))
            if processes.is_main():
                run.save_epoch(training.checkpoint(record))
                if time.monotonic() - drawn > REDRAW_EVERY:
                    run.draw_curves(history)
                    drawn = time.monotonic()
            print_epoch(history)


def train_one_epoch(network, images, stepper, loss, config, bar):
    """Take one optimizer step per batch, over all images of an ImageSet in random order.

    Args:
        network: the model, or what distributes it over processes.
        images: ImageSet; each process takes its part of every batch.
        stepper, loss: an optimization.Stepper, and what optimization.make_loss returns.
        config: TrainingConfig.
        bar: progress bar, which counts images.

    Returns {"loss": ..., "accuracy": ...}, means over the images; the loss is not finite if a step's is not.
    """
    set_training_mode(network, config)
    augment = AUGMENTATIONS[config.augment]
    parts = batches(torch.randperm(len(images)), config.batch_size, processes.count())
    if not processes.is_main():
        # Each process makes its own random choices (dropout), since it sees other images.
        torch.manual_seed(torch.initial_seed() + processes.rank() * 2**32)
    losses, correct = [], torch.zeros((), dtype=torch.int64, device=images.device)
    own_parts = [distributed.part_of(indices) for indices in parts]
    for (pixels, labels), indices in zip(images.batches(own_parts), parts, strict=True):
        model_input = images.preprocessing.model_input(augment(pixels))
        with devices.autocast(images.device, config.precision):
            logits = network(model_input)
        batch_loss = loss(logits, labels)
        # The mean over the whole batch: the losses of the processes add up, but their gradients are averaged.
        stepper.step(batch_loss / len(indices) * processes.count())
        # Read only after the epoch; reading it at every step would wait for the GPU.
        losses.append(batch_loss.detach())
        correct += (logits.detach().argmax(dim=1) == labels).sum()
        bar.update(len(indices))
    sums = torch.stack([torch.stack(losses).cpu().double().sum(), correct.cpu().double()])
    loss_sum, correct_count = distributed.total(sums, images.device).tolist()
    return {"loss": loss_sum / len(images), "accuracy": correct_count / len(images)}


def set_training_mode(network, config):
    """Set a model to training mode.

    If the last layer was fitted first, batch normalization keeps the averages that the layer was fitted with: those of
    a batch differ from them, and a few hundred images are too few for new ones.
    """
    network.train()
    if config.fit_head:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def evaluate(model, images, config):
    """Return {"loss": ..., "accuracy": ...} of a model in evaluation mode; each image of the ImageSet counts once."""
    own_part = distributed.part_of(torch.arange(len(images)))
    sums = torch.zeros(2, dtype=torch.float64)
    if len(own_part):
        pixels = (pixels for pixels, _ in images.batches(list(own_part.split(config.batch_size))))
        with devices.autocast(images.device, config.precision):
            logits = predict_logits(model, pixels, images.preprocessing)
        labels = images.labels[own_part]
        sums[0] = functional.cross_entropy(logits, labels, reduction="sum")
        sums[1] = (logits.argmax(dim=1) == labels).sum()
    loss, correct = distributed.total(sums, images.device).tolist()
    return {"loss": loss / len(images), "accuracy": correct / len(images)}


def require_finite(epoch, loss, val_loss):
    """Raise UserError if one of the losses of an epoch is not finite."""
    for name, value in (("training", loss), ("validation", val_loss)):
        if not math.isfinite(value):
            raise UserError(f"epoch {epoch}: the {name} loss is {value}; try a smaller -learning_rate")


def batches(indices, batch_size, process_count=1):
    """Split indices into batches of `batch_size`, the last one smaller.

    If the last one would leave a process with a single image, which batch normalization cannot take, it joins the one
    before it.
    """
    parts = list(indices.split(batch_size))
    if len(parts) > 1 and len(parts[-1]) < min(2 * process_count, batch_size):
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def print_plan(run, training):
    """Print what is trained on what, and how it differs from the published training; draw the augmented images."""
    config, data = training.config, training.data
    together = f", {processes.count()} processes" if processes.count() > 1 else ""
    print(
        f"training {config.architecture} on {data.train.device}{together}, {config.precision}: "
        f"{len(data.train)} training images, {len(data.val)} validation images"
    )
    # These depend on the user's data and machine and are not part of a recipe.
    own = ("image_shape", "positive_class", "architecture", "precision")
    published = replace(TrainingConfig(), **{name: getattr(config, name) for name in own}).record()
    differing = [
        f"{name} {in_words(value)}" for name, value in config.record().items() if value not in (None, published[name])
    ]
    if differing:
        print(f"unlike the published training: {', '.join(differing)}")
    if not processes.is_main():
        return
    if config.augment == "none":
        files.remove_drawn(run.augmented)  # of an earlier training of this name
    else:
        draw_augmented(run.augmented, data.train, AUGMENTATIONS[config.augment])
        print(f"augmented training images: {run.augmented}")


def print_epoch(history):
    """Print one line for the newest epoch."""
    newest = history[-1]
    print_line(
        f"{newest.epoch:5}  {newest.loss:8.4f}  {newest.accuracy:8.4f}  {newest.val_loss:8.4f}  "
        f"{newest.val_accuracy:12.4f}  {best_epoch(history).epoch:4}"
    )


def print_hyperparameters(run, hyperparameters):
    """Print the published table of hyperparameters (without epochs for a fitted last layer) and the files written."""
    names = ["batch size", "learning rate", "number of epochs", "optimizer", "loss", "patience", "last layer"]
    best, kept = (f"best epoch: {hyperparameters['best epoch']}, ", f" epoch {hyperparameters['kept epoch']}")
    if run.config.freeze_backbone:
        names.remove("number of epochs")
        best = kept = ""
    shown = [(name, in_words(hyperparameters[name])) for name in names if hyperparameters.get(name) is not None]
    print(f"\nHyperparameters of {run.name} ({run.config.architecture})\n")
    print(format_table(["hyperparameter", "value"], shown))
    print(
        f"\n{best}validation loss {hyperparameters['minimum validation loss']:.4f}\nsaved{kept} as {run.model}\nwrote:"
    )
    for path in run.files[1:]:
        print(f"  {path}")
