"""Optimizer, learning rate schedule and loss of a training configuration."""

import functools

import torch
from torch import nn
from torch.nn import functional

from pipeline.learning.checkpoint_checks import is_plain_tensor

# Pretrained weights are changed more carefully than random ones.
PRETRAINED_RATE = 0.1
# A last layer that was fitted first hardly needs to change, and it has many features: at the full rate, each of Adam's
# steps would move the logits by more than the fit did.
FITTED_RATE = 0.01

# What the optimizers remember about each tensor of weights.
STATES = {
    "Adam": {"step", "exp_avg", "exp_avg_sq"},
    "AdamW": {"step", "exp_avg", "exp_avg_sq"},
    "SGD": {"momentum_buffer"},
}


class Stepper:
    """Takes the optimizer steps: gradients, weights, learning rate; in float16 it scales the gradients too."""

    def __init__(self, optimizer, config, steps_per_epoch, epochs_done, device):
        self.optimizer = optimizer
        self.largest_norm = config.clip_gradient
        self.schedule = make_schedule(optimizer, config, steps_per_epoch, epochs_done)
        # Only needed in float16, where small gradients would vanish.
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "float16")

    @property
    def learning_rate(self):
        return self.optimizer.param_groups[0]["lr"]

    def step(self, loss):
        """Take one step down the gradient of a loss, a scalar tensor."""
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        if self.largest_norm:
            self.scaler.unscale_(self.optimizer)
            weights = [tensor for group in self.optimizer.param_groups for tensor in group["params"]]
            nn.utils.clip_grad_norm_(weights, self.largest_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()


def make_optimizer(model, config, fresh=None):
    """Return the optimizer of a TrainingConfig; biases and normalization weights, all of them vectors, do not decay.

    If `fresh` names the weights that are random, the others are pretrained and learn at a tenth of the learning rate.
    With `fit_head`, these learn at the full rate, and the weights in `fresh`, which are fitted by then, at a hundredth
    of it. The first group learns at the full rate.
    """
    rates = {True: FITTED_RATE, False: 1.0} if config.fit_head else {True: 1.0, False: PRETRAINED_RATE}
    groups = [
        {
            "params": [
                weights
                for name, weights in model.named_parameters()
                if weights.requires_grad and (weights.ndim > 1) == decays and (fresh is None or name in fresh) == random
            ],
            "lr": config.learning_rate * rates[random],
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for random in sorted(rates, key=rates.get, reverse=True)
        for decays in (True, False)
    ]
    groups = [group for group in groups if group["params"]]
    # The one-cycle schedule changes the momentum, see make_schedule.
    settings = {"momentum": 0.9, "nesterov": True} if config.optimizer == "SGD" else {}
    return getattr(torch.optim, config.optimizer)(groups, lr=config.learning_rate, fused=True, **settings)


def restore(optimizer, saved):
    """Give a new optimizer the state of its weights from the `state_dict` of an earlier one.

    Everything else follows from the configuration. Raises ValueError for what cannot be such a state: anyone may have
    written the file, torch checks little, and a fused step would read beyond the end of a tensor that is too small.
    """
    groups = optimizer.state_dict()["param_groups"]
    weights = dict(enumerate(tensor for group in optimizer.param_groups for tensor in group["params"]))
    states = saved.get("state")
    sound = isinstance(states, dict) and all(
        number in weights
        and isinstance(state, dict)
        and state.keys() == STATES[type(optimizer).__name__]
        and all(map(is_plain_tensor, state.values()))
        and all(value.shape == (() if name == "step" else weights[number].shape) for name, value in state.items())
        for number, state in states.items()
    )
    if not sound:
        raise ValueError("the state of another optimizer")
    optimizer.load_state_dict({"state": states, "param_groups": groups})
    for tensor, state in optimizer.state.items():
        for name, value in state.items():
            if value.shape == tensor.shape:
                # Fused optimizers ignore the memory layout, so it must be that of the weights.
                state[name] = torch.empty_like(tensor).copy_(value)


def make_schedule(optimizer, config, steps_per_epoch, epochs_done):
    """Return the learning rate schedule, to be stepped after every optimizer step.

    `optimizer` is new, or restored after `epochs_done` epochs, after which the schedule continues. Its learning rates
    are the peak ones either way. One-cycle is that of Smith and Topin (arXiv 1708.07120), as torch has it: the rate
    rises to its peak in the first 30% of the training and falls to almost 0 at its end, while momentum (Adam's beta 1)
    falls from 0.95 to 0.85 and rises again.
    """
    if config.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    one_cycle = functools.partial(
        torch.optim.lr_scheduler.OneCycleLR,
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=config.num_epochs * steps_per_epoch + 1,
    )
    schedule = one_cycle()
    # To continue, it needs what it writes into the optimizer's groups when it begins.
    return one_cycle(last_epoch=epochs_done * steps_per_epoch - 1) if epochs_done else schedule


def make_loss(config, labels, class_count, device):
    """Return the function that training minimizes: from logits and labels to the summed cross-entropy of the images.

    `labels` are those of all training images, for `-class_weights balanced`.
    """
    weights = class_weights(labels, class_count).to(device) if config.class_weights == "balanced" else None

    def loss(logits, labels):
        return functional.cross_entropy(
            logits.float(), labels, weight=weights, label_smoothing=config.label_smoothing, reduction="sum"
        )

    return loss


def class_weights(labels, class_count):
    """Return a weight for each class, inverse to its frequency, with mean 1 over the images; 0 for a class without any.

    This is scikit-learn's class_weight="balanced": images / (classes * images of the class).
    """
    counts = torch.bincount(labels, minlength=class_count)
    return torch.where(counts > 0, len(labels) / ((counts > 0).sum() * counts), 0.0)
