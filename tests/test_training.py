import copy
import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn import functional

from pipeline.errors import UserError
from pipeline.learning import devices, models, optimization, training
from pipeline.learning.history import best_epoch
from pipeline.learning.image_sets import ImageSet
from pipeline.learning.preprocessing import Preprocessing
from pipeline.learning.recipes import Recipe

# Every choice of a recipe that takes part in training, other than the published one.
STRONG = {
    "optimizer": "AdamW", "weight_decay": 0.05, "schedule": "one-cycle", "label_smoothing": 0.1,
    "class_weights": "balanced", "augment": "strong", "patience": None,
}  # fmt: skip


def random_images(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 1, 6, 6), dtype=torch.uint8, generator=random)
    return ImageSet(
        paths=[], labels=torch.arange(count) % 2, preprocessing=Preprocessing(3, 6, 6), content_hashes=[""] * count,
        in_color=0, device=torch.device("cpu"), pixels=pixels,
    )  # fmt: skip


def small_model(normalization=True):
    torch.manual_seed(7)
    normalize = nn.BatchNorm2d(4) if normalization else nn.Identity()
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), normalize, nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(64, 2)
    )  # fmt: skip


def make_trainer(model=None, train_set=None, val_set=None, seed=0, precision="float32", **choices):
    recipe = Recipe(**{"batch_size": 4, "learning_rate": 0.01, "max_epochs": 4, "patience": 100, **choices})
    return training.Trainer(
        model or small_model(), train_set or random_images(13), val_set or random_images(5, seed=1), recipe,
        class_count=2, seed=seed, precision=precision,
    )  # fmt: skip


def train(trainer, count=None):
    """Train to the end, or for `count` more epochs."""
    for _ in itertools.islice(trainer.epochs(), count):
        pass
    return trainer


def losses(trainer):
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in trainer.history]


def one_epoch(trainer):
    """Train the first epoch, with a learning rate that nothing changes."""
    schedule = optimization.make_schedule(trainer.optimizer, trainer.recipe, 1, 0)
    return trainer.train_one_epoch(trainer.model, schedule, torch.amp.GradScaler("cpu", enabled=False), 1)


@pytest.fixture
def made_up(monkeypatch):
    """Return train(validation losses, patience, ...): the history of a training with these losses and no training."""

    def train(losses, patience, max_epochs=1000, history=()):
        values = iter(losses)
        monkeypatch.setattr(training.Trainer, "train_one_epoch", lambda *arguments: {"loss": 1.0, "accuracy": 0.5})
        monkeypatch.setattr(training.Trainer, "evaluate", lambda *arguments: {"loss": next(values), "accuracy": 0.5})
        trainer = make_trainer(patience=patience, max_epochs=max_epochs)
        trainer.history = list(history)
        for number, _ in enumerate(trainer.epochs(), len(history) + 1):
            # It yields after every epoch.
            assert trainer.history[-1]["epoch"] == len(trainer.history) == number
        return trainer.history

    return train


FALLING_TO_EPOCH_8 = [0.69, 0.66, 0.61, 0.57, 0.58, 0.5, 0.49, 0.4, 0.45, 0.42, 0.41, 0.43, 0.44, 0.1, 0.1]


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        (FALLING_TO_EPOCH_8, 5, 13, 8),  # as published
        (FALLING_TO_EPOCH_8, 1, 5, 4),
        ([0.5] * 20, 3, 4, 1),  # ties are no improvements
        ([3, 2, 9, 9, 1, 9, 9, 9, 0], 3, 8, 5),  # an improvement at the last moment
    ],
)
def test_training_stops_once_patience_has_run_out(made_up, losses, patience, epochs, best):
    history = made_up(losses, patience)
    assert len(history) == epochs
    assert best_epoch(history)["epoch"] == best


def test_training_stops_at_the_maximum_number_of_epochs(made_up):
    assert len(made_up([0.5, 0.4, 0.3, 0.2, 0.1], patience=5, max_epochs=3)) == 3


def test_a_finished_training_goes_on_with_more_patience_only(made_up):
    finished = made_up([0.5, 0.6, 0.6, 0.6], patience=3)
    assert made_up([], patience=3, history=finished) == finished
    assert len(made_up([0.6, 0.6], patience=5, history=finished)) == 6


def test_without_patience_training_goes_to_the_last_epoch(made_up):
    assert len(made_up([0.1, *[0.5] * 19], patience=None, max_epochs=20)) == 20


def test_an_epoch_records_both_losses_and_both_accuracies():
    (epoch,) = train(make_trainer(max_epochs=1)).history
    assert list(epoch) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    assert losses(train(make_trainer())) == losses(train(make_trainer()))
    assert losses(train(make_trainer())) != losses(train(make_trainer(seed=1)))


@pytest.mark.parametrize("choices", [{}, STRONG], ids=["published", "strong"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_training_resumed_after_any_epoch_equals_an_unbroken_one(stop, choices):
    unbroken = train(make_trainer(**choices))
    first = train(make_trainer(**choices), count=stop)
    assert len(first.history) == stop
    torch.rand(10)  # what happens in between has no influence
    second = make_trainer(**choices)
    second.model.load_state_dict(first.model.state_dict())
    second.resume(*copy.deepcopy((first.optimizer.state_dict(), first.history)))
    train(second)
    assert losses(second) == losses(unbroken)
    for name, weights in unbroken.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], weights)
    for key, state in unbroken.optimizer.state_dict()["state"].items():
        for name, value in state.items():
            assert torch.equal(second.optimizer.state_dict()["state"][key][name], value)


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_it_does_not_matter_how_the_optimizers_state_lay_in_memory(optimizer):
    def trainer():
        model = small_model().to(memory_format=torch.channels_last)
        return make_trainer(model, optimizer=optimizer, learning_rate=0.1)

    unbroken, first, second = train(trainer()), train(trainer(), count=2), trainer()
    states = copy.deepcopy(first.optimizer.state_dict())
    for state in states["state"].values():
        state.update({name: value.contiguous() for name, value in state.items()})
    second.model.load_state_dict(first.model.state_dict())
    second.resume(states, first.history)
    assert losses(train(second)) == losses(unbroken)


@pytest.mark.parametrize("batch_size", [2, 3, 5, 7, 8, 100])
def test_means_are_over_images_and_not_over_batches(batch_size):
    # With a learning rate of 0 and no dropout the loss is the same in every batch.
    images = random_images(13)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
    pixels, labels = next(images.batches([torch.arange(13)]))
    with torch.no_grad():
        logits = model(images.preprocessing.model_input(pixels))
    each = functional.cross_entropy(logits, labels, reduction="none")
    expected = {
        "loss": pytest.approx(each.mean().item(), abs=1e-6),
        "accuracy": pytest.approx((logits.argmax(dim=1) == labels).float().mean().item(), abs=1e-6),
    }
    trainer = make_trainer(model, images, learning_rate=0.0, batch_size=batch_size)
    assert one_epoch(trainer) == expected
    assert trainer.evaluate(images) == expected


def test_float32_gives_the_losses_of_a_plain_loop():
    trainer = train(make_trainer(max_epochs=3))
    model, images = small_model(), random_images(13)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for epoch in (1, 2, 3):
        torch.manual_seed(epoch)
        model.train()
        order = torch.randperm(13)
        total = 0.0
        for batch in (order[:4], order[4:8], order[8:]):
            loss = functional.cross_entropy(
                model((images.pixels[batch] / 255).repeat(1, 3, 1, 1)), images.labels[batch]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        assert trainer.history[epoch - 1]["loss"] == pytest.approx(total / 13, abs=1e-4)


def test_bfloat16_gives_nearly_the_same_losses():
    exact, rounded = train(make_trainer()), train(make_trainer(precision="bfloat16"))
    assert losses(exact) != losses(rounded)
    for ours, other in zip(exact.history, rounded.history, strict=True):
        assert ours["loss"] == pytest.approx(other["loss"], rel=0.05)
        assert ours["val_loss"] == pytest.approx(other["val_loss"], rel=0.05)
    assert {weights.dtype for weights in rounded.model.parameters()} == {torch.float32}


def test_training_does_not_depend_on_whether_the_images_are_held_in_memory(tmp_path):
    held = random_images(13)
    paths = [tmp_path / f"{number}.png" for number in range(13)]
    for path, pixels in zip(paths, held.pixels, strict=True):
        Image.fromarray(pixels[0].numpy()).save(path)
    read_anew = dataclasses.replace(held, paths=paths, pixels=None)
    assert losses(train(make_trainer(train_set=held, **STRONG))) == losses(
        train(make_trainer(train_set=read_anew, **STRONG))
    )


def test_an_epoch_takes_one_step_per_batch_over_every_image_once():
    seen = []

    class Recorder(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2))

        def forward(self, images):
            seen.append(images[:, 0, 0, 0])
            return self.weight.expand(len(images), 2)

    images = random_images(13)
    images.pixels[:, 0, 0, 0] = torch.arange(13)
    torch.manual_seed(0)
    one_epoch(make_trainer(Recorder(), images))
    assert [len(batch) for batch in seen] == [4, 4, 5]
    order = (torch.cat(seen) * 255).round().long().tolist()
    assert sorted(order) == list(range(13))
    assert order != list(range(13))


def test_evaluation_is_in_evaluation_mode_and_changes_nothing():
    trainer = make_trainer()
    before = copy.deepcopy(trainer.model.state_dict())
    images = random_images(5)
    assert trainer.evaluate(images) == trainer.evaluate(images)  # dropout would differ
    assert not trainer.model.training
    assert all(torch.equal(before[name], weights) for name, weights in trainer.model.state_dict().items())


def test_an_epoch_trains_in_training_mode():
    trainer = make_trainer(small_model().eval(), random_images(4))
    one_epoch(trainer)
    assert trainer.model.training
    assert trainer.model[1].num_batches_tracked == 1


@given(count=st.integers(1, 60), batch_size=st.integers(1, 20))
def test_batches_hold_every_index_once_and_none_is_a_single_image(count, batch_size):
    parts = training.batches(torch.arange(count), batch_size)
    assert torch.cat(parts).tolist() == list(range(count))
    *whole, last = [len(part) for part in parts]
    assert all(size == batch_size for size in whole)
    assert last <= batch_size + 1
    assert last > 1 or batch_size == 1 or count == 1


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(10, 5, [5, 5]), (11, 5, [5, 6]), (12, 5, [5, 5, 2]), (3, 5, [3]), (1, 5, [1]), (3, 2, [3]), (3, 1, [1, 1, 1])],
)
def test_a_last_batch_of_one_image_joins_the_batch_before_it(count, batch_size, sizes):
    assert [len(part) for part in training.batches(torch.arange(count), batch_size)] == sizes


def test_batches_of_one_image_train_a_model_without_batch_normalization():
    assert len(train(make_trainer(small_model(normalization=False), max_epochs=2, batch_size=1)).history) == 2


class Breaking(nn.Module):
    """Gives outputs that are not finite from the given call on, counted in the given mode only."""

    def __init__(self, call, value, training_mode):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.call, self.value, self.training_mode, self.calls = call, value, training_mode, 0

    def forward(self, images):
        self.calls += self.training == self.training_mode
        broken = self.training == self.training_mode and self.calls >= self.call
        return self.weight.expand(len(images), 2) + (self.value if broken else 0.0)


@pytest.mark.parametrize(
    ("model", "message", "epochs"),
    [
        (Breaking(2, float("nan"), True), "epoch 1, step 2: the training loss is nan; try a smaller -learning_rate", 0),
        (Breaking(4, float("inf"), True), "epoch 2, step 1: the training loss is nan; try a smaller -learning_rate", 1),
        (Breaking(5, float("nan"), False), "epoch 3: the validation loss is nan; try a smaller -learning_rate", 2),
    ],
)
def test_a_loss_that_is_not_finite_is_an_error_that_names_epoch_and_step(model, message, epochs):
    trainer = make_trainer(model, max_epochs=5)  # three steps an epoch, and two batches of validation images
    with pytest.raises(UserError) as error:
        train(trainer)
    assert error.value.faults == (message,)
    assert len(trainer.history) == epochs


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny", "swin_t", "vit_b_32"])
def test_the_modern_families_take_a_step(name):
    torch.manual_seed(0)
    images = random_images(4)
    pixels = images.pixels.repeat_interleave(6, -1).repeat_interleave(6, -2)[..., :32, :32]
    images = dataclasses.replace(images, pixels=pixels, preprocessing=Preprocessing(3, 32, 32))
    model = models.build_model(name, 2, (3, 32, 32))
    before = copy.deepcopy(model.state_dict())
    precision = devices.pick_precision("auto", torch.device("cpu"))
    trainer = train(make_trainer(model, images, images, max_epochs=1, precision=precision, **STRONG))
    assert math.isfinite(trainer.history[0]["loss"])
    assert any(not torch.equal(before[key], weights) for key, weights in model.named_parameters())
