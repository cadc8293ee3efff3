"""Training one model in several processes, as torchrun starts them: each takes its part of every batch.

A command started without torchrun is one process, for which everything here does nothing.
"""

import contextlib
import warnings

from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from pipeline import processes


@contextlib.contextmanager
def process_group(device):
    """Connect the processes for as long as the context lasts: NCCL between GPUs, Gloo between CPUs."""
    if processes.count() == 1:
        yield
        return
    # torch takes the group that is connected as it imports this for a default value, and keeps it. Gloo's threads would
    # then outlive the group, and one that is still at work while Python ends aborts the whole process.
    import torch.distributed.nn  # noqa: F401

    on_gpu = device.type == "cuda"
    distributed.init_process_group("nccl" if on_gpu else "gloo", device_id=device if on_gpu else None)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextlib.contextmanager
def main_process_first():
    """Let the main process run the block before the others: what it writes there, they find."""
    if processes.count() > 1 and not processes.is_main():
        distributed.barrier()
    try:
        yield
    finally:
        if processes.count() > 1 and processes.is_main():
            distributed.barrier()


def wrap(model):
    """Return what to call in training instead of the model: it averages the gradients of all processes."""
    if processes.count() == 1:
        return model
    with warnings.catch_warnings():
        # Newer versions of torch call the argument otherwise, the oldest that will do does not know that name.
        warnings.filterwarnings("ignore", ".*broadcast_buffers.*", FutureWarning)
        # Running statistics are averaged once an epoch and not sent along with every step.
        return DistributedDataParallel(model, broadcast_buffers=False)


def average_running_statistics(model):
    """Give every process's model the mean of all processes' running statistics (of batch normalization)."""
    if processes.count() > 1:
        for buffer in model.buffers():
            if buffer.is_floating_point():
                distributed.all_reduce(buffer)
                buffer /= processes.count()


def part_of(indices):
    """Return this process's part of the indices; the parts differ in length by one at most."""
    return indices[processes.rank() :: processes.count()]


def total(values, device):
    """Return the sums of `values`, a float64 tensor on the CPU, over all processes; `device` is the model's."""
    if processes.count() == 1:
        return values
    values = values.to(device, copy=True)
    distributed.all_reduce(values)
    return values.cpu()
