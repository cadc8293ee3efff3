"""Which of several processes this one is, if torchrun started it."""

import os


def count():
    """Return how many processes work on this command together."""
    return int(os.environ["WORLD_SIZE"]) if _launched() else 1


def rank():
    """Return the number of this process among all of them, from 0."""
    return int(os.environ["RANK"]) if _launched() else 0


def local_rank():
    """Return the number of this process among those on its machine, from 0."""
    return int(os.environ["LOCAL_RANK"]) if _launched() else 0


def count_here():
    """Return how many of these processes run on this machine."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if _launched() else 1


def is_main():
    """Tell whether this is the one process that prints and writes."""
    return rank() == 0


def _launched():
    # Other launchers set RANK too; only torchrun sets this.
    return "TORCHELASTIC_RUN_ID" in os.environ
