import copy
import dataclasses
import io
import math
import sys
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn import functional

from pipeline import files
from pipeline.errors import UserError
from pipeline.learning import devices, models, optimization, state, training
from pipeline.learning.config import RECIPES, TrainingConfig
from pipeline.learning.history import best_epoch
from pipeline.learning.image_sets import ImageSet, TrainingData
from pipeline.learning.preprocessing import Preprocessing
from pipeline.learning.transfer import Start

CPU = torch.device("cpu")
SMALL = {"batch_size": 4, "learning_rate": 0.01, "num_epochs": 4, "patience": 0, "precision": "float32"}
STRONG = {**RECIPES["strong"], "class_weights": "balanced", **SMALL}


class RunInMemory:
    """A run that keeps what is saved of each epoch, and is stopped (Ctrl-C) once there are so many epochs."""

    last = "the last state"

    def __init__(self, config, stop_after=None):
        self.config, self.stop_after = config, stop_after
        self.states, self.drawings = [], 0

    def save_epoch(self, checkpoint):
        self.states.append(copy.deepcopy(checkpoint))
        if len(self.states) == self.stop_after:
            raise KeyboardInterrupt

    def load_last(self, data):
        return copy.deepcopy(self.states[-1]) if self.states else None

    def draw_curves(self, history):
        self.drawings += 1


def random_images(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 1, 6, 6), dtype=torch.uint8, generator=random)
    return ImageSet(
        paths=[], labels=torch.arange(count) % 2, preprocessing=Preprocessing(3, 6, 6), content_hashes=[""] * count,
        in_color=0, device=CPU, pixels=pixels,
    )  # fmt: skip


def small_model(normalization=True):
    torch.manual_seed(7)
    normalize = nn.BatchNorm2d(4) if normalization else nn.Identity()
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), normalize, nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(64, 2)
    )  # fmt: skip


def configure(**choices):
    return TrainingConfig(**{**SMALL, "image_shape": (3, 6, 6), **choices})


def training_data(train_set=None, val_set=None):
    return TrainingData(train_set or random_images(13), val_set or random_images(5, seed=1), ["no", "yes"], None, "")


def make_training(model=None, train_set=None, val_set=None, **choices):
    data = training_data(train_set, val_set)
    return state.make_training(configure(**choices), data, model or small_model(), Start(data.train.preprocessing))


def train(begun=None, **choices):
    """Train a Training to its end, and return it."""
    begun = begun or make_training(**choices)
    training.train_epochs(RunInMemory(begun.config), begun, {})
    return begun


def epochs_of(begun):
    return [dataclasses.replace(epoch, seconds=0.0) for epoch in begun.history]


def train_one_epoch(begun):
    stepper = optimization.Stepper(begun.optimizer, begun.config, 4, 0, CPU)
    loss = optimization.make_loss(begun.config, begun.data.train.labels, 2, CPU)
    bar = SimpleNamespace(update=lambda count: None)
    return training.train_one_epoch(begun.model, begun.data.train, stepper, loss, begun.config, bar)


@pytest.fixture
def made_up(monkeypatch):
    """Return train(validation losses, ...): the history of a training with these losses and no training."""

    def run(losses, history=(), **choices):
        values = iter(losses)
        monkeypatch.setattr(training, "train_one_epoch", lambda *arguments: {"loss": 1.0, "accuracy": 0.5})
        monkeypatch.setattr(training, "evaluate", lambda *arguments: {"loss": next(values), "accuracy": 0.5})
        begun = make_training(**{"num_epochs": 1000, **choices})
        begun.history = list(history)
        run = RunInMemory(begun.config)
        training.train_epochs(run, begun, {})
        assert [saved.epoch for saved in run.states] == list(range(len(history) + 1, len(begun.history) + 1))
        return begun.history

    return run


FALLING_TO_EPOCH_8 = [0.69, 0.66, 0.61, 0.57, 0.58, 0.5, 0.49, 0.4, 0.45, 0.42, 0.41, 0.43, 0.44, 0.1, 0.1]


@pytest.mark.parametrize(
    ("losses", "choices", "epochs", "best"),
    [
        (FALLING_TO_EPOCH_8, {"patience": 5}, 13, 8),  # as published
        (FALLING_TO_EPOCH_8, {"patience": 1}, 5, 4),
        ([0.5] * 20, {"patience": 3}, 4, 1),  # equal losses are not improvements
        ([3, 2, 9, 9, 1, 9, 9, 9, 0], {"patience": 3}, 8, 5),  # an improvement at the last moment
        ([0.5, 0.4, 0.3, 0.2], {"patience": 5, "num_epochs": 3}, 3, 3),
        ([0.1, *[0.5] * 19], {"patience": 0, "num_epochs": 20}, 20, 1),
    ],
)
def test_training_stops_once_patience_or_epochs_have_run_out(made_up, losses, choices, epochs, best):
    history = made_up(losses, **choices)
    assert len(history) == epochs
    assert best_epoch(history).epoch == best


def test_a_finished_training_goes_on_with_more_patience_only(made_up):
    finished = made_up([0.5, 0.6, 0.6, 0.6], patience=3)
    assert made_up([], patience=3, history=finished) == finished
    assert len(made_up([0.6, 0.6], patience=5, history=finished)) == 6


@pytest.mark.parametrize("choices", [SMALL, STRONG], ids=["published", "strong"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_training_resumed_after_any_epoch_equals_an_unbroken_one(monkeypatch, stop, choices):
    monkeypatch.setattr(models, "build_model", lambda *arguments: small_model())
    config, data = configure(**choices), training_data()

    def run_to_the_end(run):
        begun = state.start_or_resume(run, data, overwrite=False)
        training.train_epochs(run, begun, {})
        return begun, run.states[-1]

    unbroken, expected = run_to_the_end(RunInMemory(config))
    stopped = RunInMemory(config, stop_after=stop)
    with pytest.raises(KeyboardInterrupt):
        run_to_the_end(stopped)
    torch.rand(10)  # what happens in between has no influence
    resumed, found = run_to_the_end(stopped)
    assert epochs_of(resumed) == epochs_of(unbroken)
    assert resumed.start.preprocessing == unbroken.start.preprocessing
    for name, weights in expected.state_dict.items():
        assert torch.equal(found.state_dict[name], weights)
    for key, values in expected.optimizer["state"].items():
        for name, value in values.items():
            assert torch.equal(found.optimizer["state"][key][name], value)


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_it_does_not_matter_how_the_optimizers_state_lay_in_memory(optimizer):
    def start():
        model = small_model().to(memory_format=torch.channels_last)
        return make_training(model, optimizer=optimizer, learning_rate=0.1)

    unbroken, run, second = train(start()), RunInMemory(None, stop_after=2), start()
    with pytest.raises(KeyboardInterrupt):
        training.train_epochs(run, start(), {})
    saved = run.states[-1]
    for values in saved.optimizer["state"].values():
        values.update({name: value.contiguous() for name, value in values.items()})
    saved.load_weights(second.model)
    optimization.restore(second.optimizer, saved.optimizer)
    second.history = saved.history
    assert epochs_of(train(second)) == epochs_of(unbroken)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 7, 8, 100])
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
    begun = make_training(model, images, learning_rate=0.0, batch_size=batch_size)
    assert train_one_epoch(begun) == expected
    assert training.evaluate(begun.model, images, begun.config) == expected


def test_float32_gives_the_losses_of_a_plain_loop():
    history = train(num_epochs=3).history
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
        assert history[epoch - 1].loss == pytest.approx(total / 13, abs=1e-4)
        assert history[epoch - 1].learning_rate == 0.01


def test_another_seed_is_another_order_of_the_images():
    assert epochs_of(train()) == epochs_of(train(seed=0)) != epochs_of(train(seed=1))


def test_bfloat16_gives_nearly_the_same_losses():
    exact, rounded = train(), train(precision="bfloat16")
    assert epochs_of(exact) != epochs_of(rounded)
    for ours, other in zip(exact.history, rounded.history, strict=True):
        assert ours.loss == pytest.approx(other.loss, rel=0.05)
        assert ours.val_loss == pytest.approx(other.val_loss, rel=0.05)
    assert {weights.dtype for weights in rounded.model.parameters()} == {torch.float32}


def test_training_does_not_depend_on_whether_the_images_are_held_in_memory(tmp_path):
    held = random_images(13)
    paths = [tmp_path / f"{number}.png" for number in range(13)]
    for path, pixels in zip(paths, held.pixels, strict=True):
        Image.fromarray(pixels[0].numpy()).save(path)
    read_again = dataclasses.replace(held, paths=paths, pixels=None)
    first, second = (train(train_set=images, **STRONG) for images in (held, read_again))
    assert epochs_of(first) == epochs_of(second)


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
    train_one_epoch(make_training(Recorder(), images))
    assert [len(batch) for batch in seen] == [4, 4, 5]
    order = (torch.cat(seen) * 255).round().long().tolist()
    assert sorted(order) == list(range(13))
    assert order != list(range(13))


def test_evaluation_is_in_evaluation_mode_and_changes_nothing():
    begun = make_training()
    before, images = copy.deepcopy(begun.model.state_dict()), random_images(5)
    first, again = (training.evaluate(begun.model, images, begun.config) for _ in range(2))
    assert first == again  # dropout would differ
    assert not begun.model.training
    assert all(torch.equal(before[name], weights) for name, weights in begun.model.state_dict().items())


def test_an_epoch_trains_in_training_mode():
    begun = make_training(small_model().eval(), random_images(4))
    train_one_epoch(begun)
    assert begun.model.training
    assert begun.model[1].num_batches_tracked == 1


@given(count=st.integers(1, 60), batch_size=st.integers(1, 20), process_count=st.integers(1, 4))
def test_batches_hold_every_index_once_and_leave_no_process_a_single_image(count, batch_size, process_count):
    parts = training.batches(torch.arange(count), batch_size, process_count)
    assert torch.cat(parts).tolist() == list(range(count))
    *whole, last = [len(part) for part in parts]
    assert all(size == batch_size for size in whole)
    smallest = min(2 * process_count, batch_size)
    assert smallest <= last < batch_size + smallest or not whole


def test_the_progress_bar_says_which_of_how_many_epochs_it_is(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    train(num_epochs=3)
    for epoch in (1, 2, 3):
        assert f"epoch {epoch} of 3: " in screen.getvalue()


def test_the_curves_are_drawn_while_training_runs_but_seldom(monkeypatch):
    def drawings():
        run = RunInMemory(configure())
        training.train_epochs(run, make_training(), {})
        return run.drawings

    assert drawings() == 0
    monkeypatch.setattr(training, "REDRAW_EVERY", -1)
    assert drawings() == 4


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
        (Breaking(2, float("nan"), True), "epoch 1: the training loss is nan; try a smaller -learning_rate", 0),
        (Breaking(4, float("inf"), True), "epoch 2: the training loss is nan; try a smaller -learning_rate", 1),
        (Breaking(5, float("nan"), False), "epoch 3: the validation loss is nan; try a smaller -learning_rate", 2),
    ],
)
def test_a_loss_that_is_not_finite_is_an_error_that_names_the_epoch(model, message, epochs):
    begun = make_training(model, num_epochs=5)  # three steps an epoch, and two batches of validation images
    with pytest.raises(UserError) as error:
        train(begun)
    assert error.value.faults == (message,)
    assert len(begun.history) == epochs


@pytest.mark.parametrize("name", ["efficientnet_b0", "convnext_tiny", "swin_t", "vit_b_32"])
def test_the_modern_families_take_a_step(name):
    torch.manual_seed(0)
    images = random_images(4)
    pixels = images.pixels.repeat_interleave(6, -1).repeat_interleave(6, -2)[..., :32, :32]
    images = dataclasses.replace(images, pixels=pixels, preprocessing=Preprocessing(3, 32, 32))
    model = models.build_model(name, 2, (3, 32, 32))
    before = copy.deepcopy(model.state_dict())
    precision = devices.pick_precision("auto", CPU)
    begun = train(make_training(model, images, images, **{**STRONG, "num_epochs": 1, "precision": precision}))
    assert math.isfinite(begun.history[0].loss)
    assert any(not torch.equal(before[key], weights) for key, weights in model.named_parameters())


@pytest.mark.parametrize("is_main", [True, False])
def test_only_the_main_process_removes_the_picture_of_an_earlier_training(tmp_path, monkeypatch, is_main):
    """Another one, which comes later, would remove what the main process has just drawn."""
    monkeypatch.setattr(training.processes, "is_main", lambda: is_main)
    picture = tmp_path / "m_augmented.png"
    picture.write_text(files.MARK)
    run = SimpleNamespace(config=configure(), augmented=picture)
    training.print_plan(run, SimpleNamespace(config=run.config, data=training_data()))
    assert picture.exists() != is_main
