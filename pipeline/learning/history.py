"""The epochs of a training run: a list with a dict an epoch, and what follows from it.

An epoch's dict has `epoch` (from 1), `loss`, `accuracy`, `val_loss`, `val_accuracy` (means over images; the first
two gathered during the epoch, in training mode) and `seconds`.
"""


def best_epoch(history):
    """Return the epoch (its dict) of the lowest validation loss, the first of equals."""
    return min(history, key=lambda epoch: epoch["val_loss"])


def patience_ran_out(history, patience):
    """Tell whether the last `patience` epochs brought no strictly lower validation loss."""
    return bool(history) and len(history) - best_epoch(history)["epoch"] >= patience
