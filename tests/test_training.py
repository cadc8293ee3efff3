import copy
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from pipeline.errors import UserError
from pipeline.learning import training
from pipeline.learning.history import best_epoch
from pipeline.learning.image_sets import ImageSet
from pipeline.learning.preprocessing import Preprocessing


def random_images(count, seed=0):
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 1, 6, 6), dtype=torch.uint8, generator=random)
    return ImageSet(
        pixels=pixels, labels=torch.arange(count) % 2, preprocessing=Preprocessing(3, 6, 6),
        content_hashes=[""] * count, in_color=0,
    )  # fmt: skip


def small_model(normalization=True):
    torch.manual_seed(7)
    normalize = nn.BatchNorm2d(4) if normalization else nn.Identity()
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), normalize, nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(64, 2)
    )  # fmt: skip


class Session:
    """A training in memory, as the script leads it."""

    def __init__(self, model=None):
        self.model = model or small_model()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.history = []

    def train(self, max_epochs, patience=100, batch_size=4, seed=0, count=None):
        """Train up to `max_epochs` epochs in all, or `count` more."""
        loop = training.epochs(
            self.model, self.optimizer, random_images(13), random_images(5, seed=1), self.history,
            batch_size=batch_size, max_epochs=max_epochs, patience=patience, seed=seed,
        )  # fmt: skip
        for _ in itertools.islice(loop, count):
            pass
        return self

    def losses(self):
        return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in self.history]


@pytest.fixture
def made_up(monkeypatch):
    """Return train(validation losses, patience, ...): the history of a training with these losses and no model."""

    def train(losses, patience, max_epochs=1000, history=()):
        values = iter(losses)
        monkeypatch.setattr(training, "train_one_epoch", lambda *arguments: {"loss": 1.0, "accuracy": 0.5})
        monkeypatch.setattr(training, "evaluate", lambda *arguments: {"loss": next(values), "accuracy": 0.5})
        history = list(history)
        settings = {"batch_size": 1, "max_epochs": max_epochs, "patience": patience, "seed": 0}
        for number, _ in enumerate(training.epochs(None, None, None, None, history, **settings), len(history) + 1):
            assert history[-1]["epoch"] == len(history) == number  # it yields after every epoch
        return history

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


def test_an_epoch_records_both_losses_and_both_accuracies():
    (epoch,) = Session().train(1).history
    assert list(epoch) == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    assert Session().train(3).losses() == Session().train(3).losses()
    assert Session().train(3).losses() != Session().train(3, seed=1).losses()


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_training_resumed_after_any_epoch_equals_an_unbroken_one(stop):
    unbroken = Session().train(4)
    first = Session().train(4, count=stop)
    assert len(first.history) == stop
    torch.rand(10)  # what happens in between has no influence
    second = Session()
    second.model.load_state_dict(copy.deepcopy(first.model.state_dict()))
    second.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    second.history = copy.deepcopy(first.history)
    second.train(4)
    assert second.losses() == unbroken.losses()
    for name, weights in unbroken.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], weights)
    for key, state in unbroken.optimizer.state_dict()["state"].items():
        for name, value in state.items():
            assert torch.equal(second.optimizer.state_dict()["state"][key][name], value)


@pytest.mark.parametrize("batch_size", [2, 3, 5, 7, 8, 100])
def test_means_are_over_images_and_not_over_batches(batch_size):
    # The middle dimension of the loss: with a learning rate of 0 and no dropout it is the same in every batch.
    images = random_images(13)
    model = nn.Sequential(nn.Flatten(), nn.Linear(108, 2))
    inputs, labels = images.batch(torch.arange(13))
    with torch.no_grad():
        logits = model(inputs)
    each = functional.cross_entropy(logits, labels, reduction="none")
    expected = {
        "loss": pytest.approx(each.mean().item(), abs=1e-6),
        "accuracy": pytest.approx((logits.argmax(dim=1) == labels).float().mean().item(), abs=1e-6),
    }
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    assert training.train_one_epoch(model, optimizer, images, batch_size, 1) == expected
    assert training.evaluate(model, images, batch_size) == expected


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
    model = Recorder()
    torch.manual_seed(0)
    training.train_one_epoch(model, torch.optim.SGD(model.parameters(), lr=0.1), images, 4, 1)
    assert [len(batch) for batch in seen] == [4, 4, 5]
    order = (torch.cat(seen) * 255).round().long().tolist()
    assert sorted(order) == list(range(13))
    assert order != list(range(13))


def test_evaluation_is_in_evaluation_mode_and_changes_nothing():
    model = small_model()
    before = copy.deepcopy(model.state_dict())
    images = random_images(5)
    assert training.evaluate(model, images, 5) == training.evaluate(model, images, 5)  # dropout would differ
    assert not model.training
    assert all(torch.equal(before[name], weights) for name, weights in model.state_dict().items())


def test_an_epoch_trains_in_training_mode():
    model = small_model().eval()
    training.train_one_epoch(model, torch.optim.SGD(model.parameters(), lr=0.0), random_images(4), 4, 1)
    assert model.training
    assert model[1].num_batches_tracked == 1


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
    history = Session(small_model(normalization=False)).train(2, batch_size=1).history
    assert len(history) == 2


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
    session = Session(model)  # three steps an epoch, and two batches of validation images
    with pytest.raises(UserError) as error:
        session.train(5)
    assert error.value.faults == (message,)
    assert len(session.history) == epochs
