"""The epochs of a training: what is recorded of each, their CSV file, and what follows from them."""

import math
from dataclasses import astuple, dataclass, fields

from pipeline import files


@dataclass(frozen=True)
class Epoch:
    """One epoch; losses and accuracies are means over images, those of training measured during the epoch."""

    epoch: int  # from 1
    learning_rate: float  # at its end, of the weights that learn fastest; None: no optimizer steps
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float

    @classmethod
    def from_plain(cls, entry):
        """Return the Epoch that `asdict` turned into a dict; ValueError for anything else that a file may hold."""
        if isinstance(entry, dict):
            epoch, learning_rate, *measured = (entry.get(field.name) for field in fields(cls))
            numbers = measured if learning_rate is None else [learning_rate, *measured]
            sound = type(epoch) is int and all(type(number) is float and math.isfinite(number) for number in numbers)
            if sound and abs(measured[-1]) <= 1e12:  # seconds
                return cls(epoch, learning_rate, *measured)
        raise ValueError("not the numbers of an epoch")


def write_epochs(path, history):
    """Write the epochs as CSV: a header, then one row for each epoch."""
    files.write_csv(path, [[field.name for field in fields(Epoch)], *map(astuple, history)])


def best_epoch(history):
    """Return the epoch with the lowest validation loss, the first one if several have it."""
    return min(history, key=lambda epoch: epoch.val_loss)


def kept_epoch(history, keep):
    """Return the epoch whose weights are the model: the best one for `keep` "best", the last one for "last"."""
    return best_epoch(history) if keep == "best" else history[-1]


def patience_ran_out(history, patience):
    """Tell whether the last `patience` epochs brought no strictly lower validation loss; never for 0."""
    return bool(history and patience) and len(history) - best_epoch(history).epoch >= patience
