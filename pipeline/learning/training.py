"""Training with early stopping: one epoch, one evaluation, and the loop around them."""

import math
import time

import torch
from torch.nn import functional

from pipeline import processes
from pipeline.errors import UserError
from pipeline.learning import distributed, optimization
from pipeline.learning.augmentation import make_augmentation
from pipeline.learning.devices import autocast
from pipeline.learning.dropout import dropout_layers
from pipeline.learning.history import patience_ran_out
from pipeline.learning.inference import predict_logits
from pipeline.progress import progress_bar


class Trainer:
    """A model on its way through training, with all that changes from epoch to epoch.

    Args:
        model: nn.Module with its first weights, on the sets' device.
        train_set, val_set: ImageSets.
        recipe: a Recipe; its batch size is that of all processes together.
        class_count: of the labels.
        fresh: names of the weights that are random, where the others are pretrained; None: all are random.
        whole: the model that `model` is the last layer of, where only that one is trained, on features.
        seen_before: images, as in a Checkpoint, that the pretrained weights have seen.
        seed: every random choice of an epoch follows from the seed and the epoch's number, so that training resumed
            after any epoch goes on as if it had never stopped (in float16, but for the scale of the gradients).
        precision: number format, as devices.pick_precision returns it.
    """

    def __init__(
        self,
        model,
        train_set,
        val_set,
        recipe,
        *,
        class_count,
        seed,
        precision,
        fresh=None,
        whole=None,
        seen_before=None,
    ):
        self.model, self.whole = model, whole or model
        self.train_set, self.val_set = train_set, val_set
        self.recipe, self.seed, self.precision = recipe, seed, precision
        self.device = train_set.device
        self.fresh = fresh
        self.optimizer = optimization.make_optimizer(self.whole, recipe, fresh)
        self.augment = make_augmentation(recipe.augment)
        self.class_weights = None
        if recipe.class_weights == "balanced":
            self.class_weights = optimization.class_weights(train_set.labels, class_count).to(self.device)
        self.seen_images = {"train": train_set.content_hashes, "val": val_set.content_hashes, **(seen_before or {})}
        self.history = []  # see pipeline.learning.history

    def settings(self):
        """Return what the training records say besides the options."""
        preprocessing = self.train_set.preprocessing
        return {
            "image mean": preprocessing.mean,
            "image standard deviation": preprocessing.std,
            "fresh weights": None if self.fresh is None else sorted(self.fresh),
        }

    def resume(self, optimizer, history):
        """Go on after the epochs of `history`, with the optimizer's state after the last of them.

        The model has the weights of that epoch already. Raises ValueError for a state of another optimizer.
        """
        optimization.restore(self.optimizer, optimizer)
        self.history = list(history)

    def epochs(self):
        """Train until patience or epochs run out; a generator that yields after every epoch, for saving and printing.

        Raises UserError, naming epoch and step, for a loss that is not finite.
        """
        network = distributed.wrap(self.model)
        steps = len(batches(torch.arange(len(self.train_set)), self.recipe.batch_size, processes.count()))
        schedule = optimization.make_schedule(self.optimizer, self.recipe, steps, len(self.history))
        # Of use for float16 only, whose small gradients would vanish.
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.precision == "float16")
        while not self._finished():
            epoch = len(self.history) + 1
            started = time.perf_counter()
            torch.manual_seed(self.seed * 1_000_003 + epoch)
            trained = self.train_one_epoch(network, schedule, scaler, epoch)
            distributed.average_running_statistics(self.model)
            validated = self.evaluate(self.val_set)
            if not math.isfinite(validated["loss"]):
                raise UserError(
                    f"epoch {epoch}: the validation loss is {validated['loss']}; try a smaller -learning_rate"
                )
            self.history.append(
                {
                    "epoch": epoch,
                    **trained,
                    **{f"val_{key}": value for key, value in validated.items()},
                    "seconds": time.perf_counter() - started,
                }
            )
            yield

    def train_one_epoch(self, network, schedule, scaler, epoch):
        """Take one optimizer step per batch, over all images in random order; return mean loss and accuracy.

        `network` is the model, or what distributes it over processes.
        """
        # Where a backbone is frozen, its running statistics stay as they are too.
        network.train(all(weights.requires_grad for weights in self.model.parameters()))
        if self.recipe.dropout:
            for layer in dropout_layers(network):
                layer.train()
        image_set = self.train_set
        steps = batches(torch.randperm(len(image_set)), self.recipe.batch_size, processes.count())
        if not processes.is_main():
            # Other random choices (dropout) than those of the other processes, which see other images.
            torch.manual_seed(torch.initial_seed() + processes.rank() * 2**32)
        sizes = torch.tensor([len(indices) for indices in steps])
        losses, correct = [], torch.zeros((), dtype=torch.int64, device=self.device)
        with progress_bar(total=len(image_set), desc=f"epoch {epoch}", unit="image", leave=False) as bar:
            shares = image_set.batches([distributed.share(indices) for indices in steps])
            for (pixels, labels), size in zip(shares, sizes.tolist(), strict=True):
                images = image_set.preprocessing.model_input(self.augment(pixels))
                with autocast(self.device, self.precision):
                    logits = network(images)
                # This process's share of the mean over the whole batch.
                loss = optimization.training_loss(logits, labels, self.recipe, self.class_weights) / size
                self.optimizer.zero_grad()
                # Gradients are averaged over the processes, whose losses add up.
                scaler.scale(loss * processes.count()).backward()
                scaler.step(self.optimizer)
                scaler.update()
                schedule.step()
                losses.append(loss.detach())
                correct += (logits.detach().argmax(dim=1) == labels).sum()
                bar.update(size)
        # Looked at once an epoch and not at every step, for which a GPU would have to be waited for.
        losses = distributed.total(torch.stack(losses).cpu().double(), self.device)
        if not losses.isfinite().all():
            step = int((~losses.isfinite()).nonzero()[0]) + 1
            raise UserError(
                f"epoch {epoch}, step {step}: the training loss is {losses[step - 1].item()}; "
                "try a smaller -learning_rate"
            )
        correct = distributed.total(correct.cpu().double(), self.device)
        return {
            "loss": (losses * sizes).sum().item() / len(image_set),
            "accuracy": correct.item() / len(image_set),
        }

    def evaluate(self, image_set):
        """Return mean cross-entropy and accuracy over a set, in evaluation mode; every image counts once."""
        mine = distributed.share(torch.arange(len(image_set)))
        sums = torch.zeros(2, dtype=torch.float64)
        if len(mine):
            pixels = (pixels for pixels, _ in image_set.batches(list(mine.split(self.recipe.batch_size))))
            with autocast(self.device, self.precision):
                logits = predict_logits(self.model, pixels, image_set.preprocessing)
            labels = image_set.labels[mine]
            sums[0] = functional.cross_entropy(logits, labels, reduction="sum")
            sums[1] = (logits.argmax(dim=1) == labels).sum()
        loss, correct = distributed.total(sums, self.device).tolist()
        return {"loss": loss / len(image_set), "accuracy": correct / len(image_set)}

    def _finished(self):
        return len(self.history) >= self.recipe.max_epochs or patience_ran_out(self.history, self.recipe.patience)


def batches(indices, batch_size, process_count=1):
    """Split indices into batches of `batch_size`, the last one smaller.

    Where the last one would leave a process a single image, which batch normalization cannot take, it joins the one
    before it.
    """
    parts = list(indices.split(batch_size))
    if len(parts) > 1 and len(parts[-1]) < min(2 * process_count, batch_size):
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
