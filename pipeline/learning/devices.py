"""Where the model runs."""

import torch

from pipeline.errors import UserError


def pick_device(use_gpu):
    """Return the torch device: the CPU, or with `use_gpu` the GPU. Raises UserError where PyTorch sees none."""
    if not use_gpu:
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    raise UserError(
        f"--use_GPU: PyTorch {torch.__version__} sees no GPU on this machine; leave the option out to use the CPU, "
        "or install the driver and a PyTorch build for your GPU"
    )
