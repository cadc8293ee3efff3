"""The epochs of a training run: a list with a dict an epoch, and what follows from it.

An epoch's dict has `epoch` (from 1), `loss`, `accuracy`, `val_loss`, `val_accuracy` (means over images; the first
two gathered during the epoch, in training mode) and `seconds`.
"""

import math

NUMBERS = {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}


def history_is_sound(history):
    """Tell whether a list, from a file that anyone may have written, is such a history."""
    return all(
        isinstance(epoch, dict)
        and type(epoch.get("epoch")) is int
        and epoch["epoch"] == number
        and all(isinstance(epoch.get(name), float) and math.isfinite(epoch[name]) for name in NUMBERS)
        and abs(epoch["seconds"]) < 1e12  # they are added up
        for number, epoch in enumerate(history, start=1)
    )


def best_epoch(history):
    """Return the epoch (its dict) of the lowest validation loss, the first of equals."""
    return min(history, key=lambda epoch: epoch["val_loss"])


def kept_epoch(history, keep):
    """Return the epoch whose weights are the model: for `keep` "best" the best one, for "last" the last one."""
    return best_epoch(history) if keep == "best" else history[-1]


def patience_ran_out(history, patience):
    """Tell whether the last `patience` epochs brought no strictly lower validation loss; for None, never."""
    return bool(history) and patience is not None and len(history) - best_epoch(history)["epoch"] >= patience
