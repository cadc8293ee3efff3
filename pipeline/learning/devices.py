"""Where the model runs, in which number format it trains, and how much memory is free there."""

import contextlib
import ctypes
import platform
from pathlib import Path

import psutil
import torch
from torch import nn

from pipeline import processes
from pipeline.errors import UserError
from pipeline.learning.config import UNDECIDED

# Bytes of weights; keeping the freed memory of larger models costs too much, see `keep_freed_memory`.
LARGE_MODEL = 200 * 2**20

# Parameters of mallopt, from glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4

# Where a Linux container states its memory limit, which the system's own figures leave out.
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def pick_device(use_gpu):
    """Return the torch device: the CPU, or with `use_gpu` the GPU. Raises UserError if PyTorch sees none."""
    if not use_gpu:
        return torch.device("cpu")
    if torch.cuda.is_available():
        if processes.count() == 1:
            return torch.device("cuda")
        return _gpu_of_this_process()
    if torch.backends.mps.is_available():
        if processes.count() > 1:
            raise UserError("--use_GPU: this machine's GPU takes one process only; start the command without torchrun")
        return torch.device("mps")
    raise UserError(
        f"--use_GPU: PyTorch {torch.__version__} sees no GPU on this machine; leave the option out to use the CPU, "
        "or install the driver and a PyTorch build for your GPU"
    )


def pick_precision(choice, device):
    """Return the number format to train in, by name.

    Args:
        choice: "float32", "bfloat16" or UNDECIDED: bfloat16 if the device is faster in it, float16 on older NVIDIA
            GPUs with tensor cores, otherwise float32.
        device: torch.device.

    Raises UserError for bfloat16 on a device that cannot train in it.
    """
    if choice == UNDECIDED:
        return _fastest_precision(device)
    if choice == "bfloat16" and not _trains_in_bfloat16(device):
        raise UserError("-precision bfloat16: this device cannot train in it; leave the option out, or give float32")
    return choice


def autocast(device, precision):
    """Return a context in which a model computes in the format of this name; its weights stay float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, getattr(torch, precision))


@contextlib.contextmanager
def memory_shortage_named(batch_size, image_shape):
    """Within this context, running out of memory is a UserError that says what was asked for and what to try."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_memory_shortage(error):
            raise
        raise UserError(
            f"not enough memory for images of {' x '.join(map(str, image_shape))}, {batch_size} at a time; "
            "try a smaller -batch_size or -img_shape, or a smaller architecture"
        ) from None


def is_memory_shortage(error):
    """Tell whether an exception of Python or PyTorch means that the machine or a GPU ran out of memory."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(
        words in str(error) for words in ("can't allocate memory", "out of memory", "not enough memory")
    )


def keep_freed_memory(model):
    """Let this process keep the memory of a step's tensors for the next step, if its C library is glibc.

    By default, glibc returns each large block to the system when it is freed, and the system clears its pages when it
    is taken again at once: a tenth of a training step in bfloat16 (benchmarks/README.md). Models with large weights get
    the settings that glibc arrives at by default, even after a small model in the same process: otherwise, the gaps
    between their gradients would take memory too (900 MB for vgg11_bn).
    """
    large = sum(weights.nbytes for weights in model.parameters()) > LARGE_MODEL
    if platform.libc_ver()[0] == "glibc":
        change_setting = ctypes.CDLL(None).mallopt
        # For a small model, large blocks come from the heap like small ones, and the heap never shrinks.
        change_setting(M_MMAP_MAX, 65_536 if large else 0)
        change_setting(M_MMAP_THRESHOLD, 32 * 2**20)
        change_setting(M_TRIM_THRESHOLD, 64 * 2**20 if large else -1)


def free_memory(device):
    """Return how many bytes are free for this process on the device; Apple's GPUs share the machine's memory."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    # The processes that train together on this machine share it.
    free = psutil.virtual_memory().available // processes.count_here()
    text = CONTAINER_LIMIT.read_text().strip() if CONTAINER_LIMIT.exists() else "max"
    if text == "max":
        return free
    return max(0, min(free, int(text) // processes.count_here() - psutil.Process().memory_info().rss))


def _gpu_of_this_process():
    number = processes.local_rank()
    if number >= torch.cuda.device_count():
        raise UserError(
            f"--use_GPU: process {number + 1} of this machine finds {torch.cuda.device_count()} GPUs only; "
            "start as many processes as there are GPUs"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def _fastest_precision(device):
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16"
        return "float16" if torch.cuda.get_device_capability(device) >= (7, 0) else "float32"
    if device.type == "cpu" and _is_faster_in_bfloat16() and _trains_in_bfloat16(device):
        return "bfloat16"
    return "float32"


def _is_faster_in_bfloat16():
    """Tell whether the processor has bfloat16 instructions that speed up training, as measured in benchmarks/README.md.

    Intel's AVX-512 multiplies half as many numbers a second in bfloat16 as in float32; only AMX is faster.
    """
    if not hasattr(torch.cpu, "get_capabilities"):  # PyTorch before 2.11 cannot tell
        return False
    processor = torch.cpu.get_capabilities()
    is_intel = processor.get("cpu_name", "").startswith("Intel")
    return bool(processor.get("amx_bf16") or (processor.get("avx512_bf16") and not is_intel))


def _trains_in_bfloat16(device):
    """Tell whether a step forward and backward through a small network works."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 6, 2))
    model.to(device, memory_format=torch.channels_last)
    try:
        with autocast(device, "bfloat16"):
            output = model(torch.rand(2, 3, 8, 8, device=device))
        output.float().sum().backward()
    except RuntimeError:
        return False
    return output.dtype == torch.bfloat16 and all(weight.grad.isfinite().all() for weight in model.parameters())
