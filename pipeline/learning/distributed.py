"""Training one model in several processes, as torchrun starts them: each takes its part of every batch.

Without torchrun there is one process, and everything here does nothing.
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
    # If a group is connected when this module is imported, it is kept as a default argument. Gloo's threads then
    # outlive the group, and one that is still at work when Python exits aborts the whole process.
    import torch.distributed.nn  # noqa: F401

    on_gpu = device.type == "cuda"
    distributed.init_process_group("nccl" if on_gpu else "gloo", device_id=device if on_gpu else None)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextlib.contextmanager
def main_process_first():
    """Let the main process run the block before the others, so that they find what it writes."""
    if processes.count() > 1 and not processes.is_main():
        distributed.barrier()
    try:
        yield
    finally:
        if processes.count() > 1 and processes.is_main():
            distributed.barrier()


def wrap(model):
    """Return what to call in training instead of the model, to average the gradients of all processes."""
    if processes.count() == 1:
        return model
    with warnings.catch_warnings():
        # Newer versions of torch have another name for the argument, which the oldest supported one does not know.
        warnings.filterwarnings("ignore", ".*broadcast_buffers.*", FutureWarning)
        # Running statistics are averaged once an epoch, not sent with every step.
        return DistributedDataParallel(model, broadcast_buffers=False)


def average_running_statistics(model):
    """Give every process's model the mean of all processes' running statistics (of batch normalization)."""
    if processes.count() > 1:
        for buffer in model.buffers():
            if buffer.is_floating_point():
                distributed.all_reduce(buffer)
                buffer /= processes.count()


def part_of(indices):
    """Return this process's part of the indices; the parts differ in length by at most one."""
    return indices[processes.rank() :: processes.count()]


def total(values, device):
    """Return the sums of `values`, a float64 tensor on the CPU, over all processes; `device` is the model's."""
    if processes.count() == 1:
        return values
    values = values.to(device, copy=True)
    distributed.all_reduce(values)
    return values.cpu()
