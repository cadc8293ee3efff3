"""Training with early stopping: one epoch, one evaluation, and the loop around them."""

import math
import time

import torch
from torch.nn import functional

from pipeline.errors import UserError
from pipeline.learning.history import patience_ran_out
from pipeline.learning.inference import predict_logits
from pipeline.progress import progress_bar


def epochs(model, optimizer, train_set, val_set, history, *, batch_size, max_epochs, patience, seed):
    """Train until patience or epochs run out; a generator that yields after every epoch, for saving and printing.

    Args:
        model, optimizer: as they are after the epochs in `history`.
        train_set, val_set: ImageSets on the model's device.
        history: the epochs so far, see pipeline.learning.history; grows by one dict an epoch.
        batch_size: images a step; a last batch of one image joins the batch before it.
        max_epochs: stop once `history` has this many epochs.
        patience: stop after so many consecutive epochs without a strictly lower validation loss.
        seed: every random choice of an epoch follows from the seed and the epoch's number, so that training
            resumed after any epoch goes on as if it had never stopped.

    Raises UserError, naming epoch and step, for a loss that is not finite.
    """
    while len(history) < max_epochs and not patience_ran_out(history, patience):
        epoch = len(history) + 1
        started = time.perf_counter()
        torch.manual_seed(seed * 1_000_003 + epoch)
        trained = train_one_epoch(model, optimizer, train_set, batch_size, epoch)
        validated = evaluate(model, val_set, batch_size)
        if not math.isfinite(validated["loss"]):
            raise UserError(f"epoch {epoch}: the validation loss is {validated['loss']}; try a smaller -learning_rate")
        history.append(
            {
                "epoch": epoch,
                **trained,
                **{f"val_{key}": value for key, value in validated.items()},
                "seconds": time.perf_counter() - started,
            }
        )
        yield


def train_one_epoch(model, optimizer, image_set, batch_size, epoch):
    """Take one optimizer step per batch, over all images in random order; return mean loss and accuracy."""
    model.train()
    losses, weights, correct = [], [], 0
    with progress_bar(total=len(image_set), desc=f"epoch {epoch}", unit="image", leave=False) as bar:
        for indices in batches(torch.randperm(len(image_set)), batch_size):
            images, labels = image_set.batch(indices.to(image_set.labels.device))
            logits = model(images)
            loss = functional.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
            weights.append(len(indices))
            correct += (logits.detach().argmax(dim=1) == labels).sum()
            bar.update(len(indices))
    # Looked at once an epoch and not at every step, for which a GPU would have to be waited for.
    losses = torch.stack(losses).double().cpu()
    if not losses.isfinite().all():
        step = int((~losses.isfinite()).nonzero()[0]) + 1
        raise UserError(
            f"epoch {epoch}, step {step}: the training loss is {losses[step - 1].item()}; try a smaller -learning_rate"
        )
    mean_loss = (losses * torch.tensor(weights)).sum().item() / len(image_set)
    return {"loss": mean_loss, "accuracy": int(correct) / len(image_set)}


def evaluate(model, image_set, batch_size):
    """Return mean loss and accuracy over a set, in evaluation mode."""
    logits = predict_logits(model, image_set.pixels, image_set.preprocessing, batch_size)
    labels = image_set.labels.cpu()
    return {
        "loss": functional.cross_entropy(logits, labels).item(),
        "accuracy": (logits.argmax(dim=1) == labels).sum().item() / len(labels),
    }


def batches(indices, batch_size):
    """Split indices into batches; where the last one would be a single image, which batch normalization cannot
    take, it joins the one before it."""
    parts = list(indices.split(batch_size))
    if batch_size > 1 and len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
