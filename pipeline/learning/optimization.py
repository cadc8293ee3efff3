"""What a recipe's words mean in torch: optimizer, learning rate schedule and loss."""

import functools

import torch
from torch.nn import functional

from pipeline.learning.checkpoint_contents import is_plain_tensor

# What is already trained is changed more carefully than what is not.
PRETRAINED_RATE = 0.1

# What the optimizers remember of each tensor of weights.
STATES = {
    "Adam": {"step", "exp_avg", "exp_avg_sq"},
    "AdamW": {"step", "exp_avg", "exp_avg_sq"},
    "SGD": {"momentum_buffer"},
}


def make_optimizer(model, recipe, fresh=None):
    """Return the recipe's optimizer; biases and normalization weights, vectors all of them, do not decay.

    Where `fresh` names the weights that are random, the others are pretrained, and learn at a tenth of the rate.
    """
    groups = [
        {
            "params": [
                weights
                for name, weights in model.named_parameters()
                if weights.requires_grad and (weights.ndim > 1) == decays and (fresh is None or name in fresh) == random
            ],
            "lr": recipe.learning_rate * (1.0 if random else PRETRAINED_RATE),
            "weight_decay": recipe.weight_decay if decays else 0.0,
        }
        for random in (True, False)
        for decays in (True, False)
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimizer == "SGD":
        return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=0.9, nesterov=True, fused=True)
    optimizer = {"Adam": torch.optim.Adam, "AdamW": torch.optim.AdamW}[recipe.optimizer]
    return optimizer(groups, lr=recipe.learning_rate, fused=True)


def restore(optimizer, saved):
    """Give an optimizer, just made, the state of its weights that its `state_dict` once held.

    Everything else follows from the recipe. Raises ValueError for what cannot be such a state: the file that it comes
    from may be anyone's, torch checks little, and a fused step would read beyond the end of a tensor too small.
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
                # Fused optimizers go through memory, without a look at the layout, which must be the weights'.
                state[name] = torch.empty_like(tensor).copy_(value)


def make_schedule(optimizer, recipe, steps_per_epoch, epochs_done):
    """Return the schedule of the learning rate, to be stepped after every optimizer step.

    `optimizer` has just been made, or restored after `epochs_done` epochs. One-cycle is Smith and Topin's (arXiv
    1708.07120), as torch has it: the rate rises to the recipe's within 30 % of the training and falls to almost nothing
    at its end, while momentum (Adam's beta 1) falls from 0.95 to 0.85 and rises again.
    """
    if recipe.schedule == "constant":
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    one_cycle = functools.partial(
        torch.optim.lr_scheduler.OneCycleLR,
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=recipe.max_epochs * steps_per_epoch + 1,
    )
    schedule = one_cycle()
    # It goes on from what it has written into the optimizer's groups when it began.
    return one_cycle(last_epoch=epochs_done * steps_per_epoch - 1) if epochs_done else schedule


def class_weights(labels, class_count):
    """Return a weight for each class, inverse to its frequency, of mean 1 over the images; 0 for one without images.

    As scikit-learn's class_weight="balanced": images / (classes * images of the class).
    """
    counts = torch.bincount(labels, minlength=class_count)
    return torch.where(counts > 0, len(labels) / ((counts > 0).sum() * counts), 0.0)


def training_loss(logits, labels, recipe, weights=None):
    """Return the sum over images of the cross-entropy that the recipe trains on, smoothed and weighted."""
    return functional.cross_entropy(
        logits.float(), labels, weight=weights, label_smoothing=recipe.label_smoothing, reduction="sum"
    )
