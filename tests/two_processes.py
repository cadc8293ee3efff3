"""What test_distributed.py has torchrun start: one of the processes, which writes what it saw to FOLDER/RANK.json."""

import faulthandler
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from pipeline import processes
from pipeline.learning import distributed

CPU = torch.device("cpu")


def main(folder):
    # Processes that wait for one another in vain end, and say where they waited.
    faulthandler.dump_traceback_later(120, exit=True)
    seen = {}
    with distributed.process_group(CPU):
        seen["part"] = distributed.part_of(torch.arange(7)).tolist()
        seen["total"], seen["summed"] = totals()
        seen["shared weights"], seen["gradient"] = gradient()
        seen["statistics before"], seen["statistics after"] = running_statistics()
        seen["training"] = train()
        for name, leave in (("ends", ends), ("raises", raises), ("returns", returns)):
            seen[f"main one {name} first"] = leave(folder / name)
        # A barrier too many or too few would end here, or never.
        seen["processes at the end"] = distributed.total(torch.ones(1, dtype=torch.float64), CPU).item()
        seen["connected"] = torch.distributed.is_initialized()
    seen["connected afterwards"] = torch.distributed.is_initialized()
    seen["threads afterwards"] = threads_left()
    (folder / f"{processes.rank()}.json").write_text(json.dumps(seen), encoding="utf-8")


def totals():
    """Return the sums over all processes of 1 and 0.1, and 10 and 0.2, and this process's own numbers afterwards."""
    mine = torch.tensor([10.0, 0.2] if processes.rank() else [1.0, 0.1], dtype=torch.float64)
    return distributed.total(mine, CPU).tolist(), mine.tolist()


def gradient():
    """Return the weights of a wrapped layer and the gradient of their sum, times 1 here and times 3 there."""
    torch.manual_seed(processes.rank())
    model = nn.Linear(2, 1)
    network = distributed.wrap(model)
    (network(torch.ones(1, 2)).sum() * (1 + 2 * processes.rank())).backward()
    return model.weight.tolist(), model.weight.grad.tolist()


def running_statistics():
    """Return the buffers of batch normalization, before and after averaging, with other images in each process."""
    model = nn.BatchNorm1d(1)
    network = distributed.wrap(model)
    for _ in range(2):
        network(torch.tensor([[4.0], [8.0]]) * (1 + processes.rank()))
    model.num_batches_tracked += 5 * processes.rank()
    before = buffers(model)
    distributed.average_running_statistics(model)
    return before, buffers(model)


def buffers(model):
    return {name: buffer.item() for name, buffer in model.named_buffers()}


def train():
    """Train a model without batch normalization, which would see other batches; return its losses and its weights."""
    # Only now: what these import is to be imported while the processes are connected, see process_group.
    from pipeline.learning import state
    from pipeline.learning.config import TrainingConfig
    from pipeline.learning.image_sets import ImageSet, TrainingData
    from pipeline.learning.preprocessing import Preprocessing
    from pipeline.learning.training import train_epochs
    from pipeline.learning.transfer import Start

    def images(count, seed):
        random = torch.Generator().manual_seed(seed)
        pixels = torch.randint(0, 256, (count, 1, 6, 6), dtype=torch.uint8, generator=random)
        return ImageSet(
            paths=[], labels=torch.arange(count) % 3, preprocessing=Preprocessing(3, 6, 6), content_hashes=[],
            in_color=0, device=CPU, pixels=pixels,
        )  # fmt: skip

    torch.manual_seed(7)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    config = TrainingConfig(
        batch_size=5, learning_rate=0.01, num_epochs=4, class_weights="balanced", label_smoothing=0.1,
        precision="float32", image_shape=(3, 6, 6),
    )  # fmt: skip
    data = TrainingData(images(24, 0), images(7, 1), ["a", "b", "c"], None, "")
    training = state.make_training(config, data, model, Start(Preprocessing(3, 6, 6)))
    train_epochs(SimpleNamespace(save_epoch=lambda checkpoint: None), training, {})
    epochs = [asdict(replace(epoch, seconds=0.0)) for epoch in training.history]
    return epochs, [weights.flatten().tolist() for weights in model.parameters()]


def threads_left():
    """Return the names of Gloo's threads, where the system tells (Linux), after a while in which they may end."""
    for _ in range(100):
        names = [name.strip() for path in Path("/proc/self/task").glob("*/comm") for name in text_of(path)]
        left = [name for name in names if "gloo" in name]
        if not left:
            break
        time.sleep(0.1)
    return left


def text_of(path):
    """Return [the file's text], or [] where a thread that has ended took it along."""
    try:
        return [path.read_text()]
    except OSError:
        return []


def ends(path):
    with distributed.main_process_first():
        seen = found(path)
    return seen


def raises(path):
    seen = None
    try:
        with distributed.main_process_first():
            seen = found(path)
            raise ValueError
    except ValueError:
        return seen


def returns(path):
    with distributed.main_process_first():
        return found(path)


def found(path):
    """Tell whether the file is there; the main process creates it, after a while."""
    if processes.is_main():
        time.sleep(0.3)
        path.touch()
    return path.exists()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
