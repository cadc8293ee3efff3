import copy
import math

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from pipeline.learning import optimization
from pipeline.learning.config import TrainingConfig


def small_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


@pytest.mark.parametrize("name", optimization.STATES)
def test_matrices_decay_and_vectors_do_not(name):
    optimizer = optimization.make_optimizer(
        small_model(), TrainingConfig(optimizer=name, weight_decay=0.3, learning_rate=0.1)
    )
    assert type(optimizer).__name__ == name
    assert [(group["lr"], group["weight_decay"], len(group["params"])) for group in optimizer.param_groups] == [
        (0.1, 0.3, 2),
        (0.1, 0.0, 4),
    ]
    if name == "SGD":
        assert optimizer.defaults["momentum"] == 0.9
        assert optimizer.defaults["nesterov"]


def test_pretrained_weights_learn_at_a_tenth_of_the_rate():
    model = small_model()
    optimizer = optimization.make_optimizer(model, TrainingConfig(learning_rate=0.1), fresh={"2.weight", "2.bias"})
    rates = {id(weights): group["lr"] for group in optimizer.param_groups for weights in group["params"]}
    assert {name: rates[id(weights)] for name, weights in model.named_parameters()} == {
        "0.weight": pytest.approx(0.01), "0.bias": pytest.approx(0.01),
        "1.weight": pytest.approx(0.01), "1.bias": pytest.approx(0.01),
        "2.weight": 0.1, "2.bias": 0.1,
    }  # fmt: skip


def test_a_last_layer_that_was_fitted_learns_at_a_hundredth_of_the_rate():
    model, config = small_model(), TrainingConfig(learning_rate=0.1, weights="imagenet", fit_head=True)
    optimizer = optimization.make_optimizer(model, config, fresh={"2.weight", "2.bias"})
    rates = {id(weights): group["lr"] for group in optimizer.param_groups for weights in group["params"]}
    assert {name: rates[id(weights)] for name, weights in model.named_parameters()} == {
        "0.weight": 0.1, "0.bias": 0.1, "1.weight": 0.1, "1.bias": 0.1,
        "2.weight": pytest.approx(0.001), "2.bias": pytest.approx(0.001),
    }  # fmt: skip
    assert optimizer.param_groups[0]["lr"] == 0.1  # which is the one that is recorded


def test_frozen_weights_are_left_out():
    model = small_model()
    model[0].requires_grad_(False)
    optimizer = optimization.make_optimizer(model, TrainingConfig())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 4


def rates(config, steps_per_epoch, fresh=None):
    """Return the learning rates of each group, step by step."""
    optimizer = optimization.make_optimizer(small_model(), config, fresh)
    schedule = optimization.make_schedule(optimizer, config, steps_per_epoch, 0)
    seen = []
    for _ in range(config.num_epochs * steps_per_epoch):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return seen


def test_a_constant_learning_rate_stays():
    assert rates(TrainingConfig(learning_rate=0.1, num_epochs=6), 4) == [[0.1, 0.1]] * 24


def test_one_cycle_rises_to_the_learning_rate_and_falls_to_nothing():
    seen = rates(
        TrainingConfig(schedule="one-cycle", learning_rate=0.1, num_epochs=10), 10, fresh={"2.weight", "2.bias"}
    )
    random, pretrained = [step[0] for step in seen], [step[-1] for step in seen]
    assert pretrained == pytest.approx([rate / 10 for rate in random])
    assert random[0] == pytest.approx(0.1 / 25)
    assert max(random) == random[30 - 1] or max(random) == random[30]
    assert max(random) == pytest.approx(0.1, rel=1e-2)
    # Cosine from the top at 30 % of the steps to the last.
    assert random[65] == pytest.approx(0.1 * (1 + math.cos(math.pi * 0.5)) / 2, rel=0.03)
    assert random[-1] < 1e-4


@pytest.mark.parametrize("done", [1, 2, 4])
def test_a_schedule_goes_on_where_it_was(done):
    config = TrainingConfig(schedule="one-cycle", learning_rate=0.1, num_epochs=5)
    expected = rates(config, 3)[done * 3 :]
    model = small_model()
    optimizer = optimization.make_optimizer(model, config)
    schedule = optimization.make_schedule(optimizer, config, 3, 0)
    for _ in range(done * 3):
        optimizer.step()
        schedule.step()
    second = optimization.make_optimizer(model, config)
    optimization.restore(second, copy.deepcopy(optimizer.state_dict()))
    schedule, seen = optimization.make_schedule(second, config, 3, done), []
    for _ in expected:
        seen.append([group["lr"] for group in second.param_groups])
        second.step()
        schedule.step()
    assert seen == expected


@pytest.mark.parametrize("name", optimization.STATES)
def test_a_state_that_is_not_this_optimizers_is_refused(name):
    def stepped():
        model = small_model()
        optimizer = optimization.make_optimizer(model, TrainingConfig(optimizer=name))
        model(torch.rand(5, 4)).sum().backward()
        optimizer.step()
        return optimizer

    state = stepped().state_dict()
    for damage in (
        lambda state: state.clear(),
        lambda state: state.update(state=3),
        lambda state: state["state"].update({99: {}}),
        lambda state: state["state"].update({0: None}),
        lambda state: state["state"][0].clear(),
        lambda state: state["state"][0].update(more=torch.zeros(3, 4)),
        lambda state: state["state"][0].update({list(state["state"][0])[-1]: torch.zeros(2, 4)}),
        lambda state: state["state"][0].update({list(state["state"][0])[-1]: 0.5}),
        lambda state: state["state"][0].update({list(state["state"][0])[-1]: torch.zeros(())}),
        lambda state: state["state"][0].update({list(state["state"][0])[-1]: torch.zeros(3, 4).to_sparse()}),
        lambda state: state["state"][0].update({list(state["state"][0])[-1]: torch.zeros(3, 4, device="meta")}),
        lambda state: state["state"][0].update(step=torch.zeros(3, 4)),
    ):
        damaged = copy.deepcopy(state)
        damage(damaged)
        with pytest.raises(ValueError, match="the state of another optimizer"):
            optimization.restore(stepped(), damaged)
    optimization.restore(stepped(), state)


def test_class_weights_are_scikit_learns():
    labels = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert optimization.class_weights(labels, 3).tolist() == pytest.approx(list(expected))


def test_a_class_without_images_weighs_nothing():
    assert optimization.class_weights(torch.tensor([0, 0, 2]), 3).tolist() == [0.75, 0, 1.5]


@pytest.mark.parametrize("balanced", [True, False])
def test_the_loss_is_the_sum_of_smoothed_and_weighted_cross_entropies(balanced):
    logits, labels = torch.tensor([[2.0, 0.0], [0.5, 1.0], [0.0, 3.0]]), torch.tensor([0, 0, 1])
    weights = [0.75, 1.5] if balanced else [1.0, 1.0]
    expected = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        targets = [0.05, 0.05]
        targets[label] += 0.9
        expected -= sum(
            weight * target * (value - log_sum) for weight, target, value in zip(weights, targets, row, strict=True)
        )
    config = TrainingConfig(label_smoothing=0.1, class_weights="balanced" if balanced else "none")
    loss = optimization.make_loss(config, labels, 2, torch.device("cpu"))
    assert loss(logits, labels).item() == pytest.approx(expected, rel=1e-6)


def test_a_step_changes_the_weights_along_the_schedule():
    model = small_model()
    config = TrainingConfig(schedule="one-cycle", learning_rate=0.1, num_epochs=2)
    stepper = optimization.Stepper(optimization.make_optimizer(model, config), config, 3, 0, torch.device("cpu"))
    expected = [step[0] for step in rates(config, 3)]
    for rate in expected:
        assert stepper.learning_rate == rate
        before = model[0].weight.detach().clone()
        stepper.step(model(torch.rand(5, 4)).square().sum())
        assert not torch.equal(model[0].weight, before)


def test_a_gradient_that_is_too_large_is_scaled_down():
    model = nn.Linear(2, 1, bias=False)
    config = TrainingConfig(optimizer="SGD", learning_rate=1.0, clip_gradient=0.5)
    optimizer = optimization.make_optimizer(model, config)
    stepper = optimization.Stepper(optimizer, config, 1, 0, torch.device("cpu"))
    stepper.step(model(torch.tensor([[30.0, 40.0]])).sum())
    assert torch.allclose(model.weight.grad, torch.tensor([[0.3, 0.4]]))
    stepper.step(model(torch.tensor([[0.03, 0.04]])).sum())
    assert torch.allclose(model.weight.grad, torch.tensor([[0.03, 0.04]]))
