import math

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.learning import inference
from pipeline.learning.inference import predict, predict_logits, predict_probabilities, predict_samples
from pipeline.learning.models import dropout_layers
from pipeline.learning.preprocessing import Preprocessing

PIXELS = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
PLAIN = Preprocessing(3, 8, 8)
FLIPS = Preprocessing(3, 8, 8, average_flips=True)


@pytest.fixture
def model():
    """Convolution, batch normalization and two layers of dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 8), nn.ReLU(),
        nn.Dropout(0.25), nn.Linear(8, 3),
    )  # fmt: skip


def sampled(model, count, pixels=PIXELS, preprocessing=PLAIN):
    torch.manual_seed(0)
    return predict_samples(model, pixels, preprocessing, count)


def test_the_logits_are_the_models_in_evaluation_mode_in_the_order_of_the_images(model):
    expected = model.eval()((PIXELS / 255).repeat(1, 3, 1, 1)).double()
    for parts in ([PIXELS], PIXELS.split(2)):
        logits = predict_logits(model.train(), parts, PLAIN)
        assert logits.dtype == torch.float64
        assert torch.allclose(logits, expected, atol=1e-6)
        assert not logits.requires_grad


def test_an_image_and_its_mirror_image_are_averaged_where_the_preprocessing_says_so(model):
    both = (predict_logits(model, [PIXELS], PLAIN) + predict_logits(model, [PIXELS.flip(-1)], PLAIN)) / 2
    averaged = predict_logits(model, PIXELS.split(2), FLIPS)
    assert torch.allclose(averaged, both, atol=1e-6)
    assert not torch.allclose(averaged, predict_logits(model, [PIXELS], PLAIN), atol=1e-4)


def test_probabilities_are_softmax_outputs(model):
    probabilities = predict_probabilities(model, [PIXELS], PLAIN)
    assert probabilities == pytest.approx(predict_logits(model, [PIXELS], PLAIN).softmax(1).numpy())
    assert probabilities.sum(axis=1) == pytest.approx([1] * 5)
    plain = predict(model, PIXELS, PLAIN)
    assert (plain.probabilities == probabilities).all()
    assert (plain.predictive_entropy, plain.mutual_information) == (None, None)


@pytest.mark.parametrize("sample_count", [None, 2])
def test_outputs_that_are_not_finite_are_an_error(model, sample_count):
    model[7].bias.data[0] = float("nan")
    with pytest.raises(UserError, match="not finite"):
        predict(model, PIXELS, PLAIN, sample_count)


def test_a_model_without_dropout_cannot_be_sampled(model):
    for layer in dropout_layers(model):
        layer.p = 0.0
    with pytest.raises(UserError, match=r"^-mc_samples: "):
        predict(model, PIXELS, PLAIN, 2)


def test_figures_are_those_of_as_many_passes_through_the_whole_model(model):
    """Against plain passes, each with its own masks: as close as 4,000 samples of either side bring it."""
    model[7].weight.data *= 8  # so that what is dropped matters
    model.eval()
    for layer in (model[3], model[6]):
        layer.train()
    torch.manual_seed(1)
    images = PLAIN.model_input(PIXELS)
    with torch.no_grad():
        passes = np.stack([model(images).double().softmax(1).numpy() for _ in range(4000)])
    mean = passes.mean(axis=0)
    entropy = -(mean * np.log(mean)).sum(axis=1)
    information = entropy - -(passes * np.log(passes)).sum(axis=2).mean(axis=0)
    ours = sampled(model, 4000)  # of one image at a time, so that no pass gets too large
    assert ours.probabilities == pytest.approx(mean, abs=0.02)
    assert ours.predictive_entropy == pytest.approx(entropy, abs=0.02)
    assert ours.mutual_information == pytest.approx(information, abs=0.02)
    assert ours.mutual_information.min() > 0.05


def test_samples_of_one_image_differ_and_those_of_two_images_are_drawn_apart(model):
    assert sampled(model, 2).mutual_information.min() > 0
    # The same image twice in a batch gets masks of its own.
    twice = sampled(model, 3, PIXELS[[0, 0]])
    assert twice.probabilities[0] != pytest.approx(twice.probabilities[1], abs=1e-6)


def test_one_sample_has_no_disagreement(model):
    one = sampled(model, 1)
    assert one.mutual_information == pytest.approx(0, abs=1e-12)
    assert one.predictive_entropy == pytest.approx(-(one.probabilities * np.log(one.probabilities)).sum(axis=1))


def test_equal_classes_have_the_entropy_of_their_logarithm(model):
    for weights in model[7].parameters():
        nn.init.zeros_(weights)
    result = sampled(model, 4)
    assert result.probabilities == pytest.approx(np.full((5, 3), 1 / 3))
    assert result.predictive_entropy == pytest.approx(math.log(3))
    assert result.mutual_information == pytest.approx(0, abs=1e-12)
    assert result.mutual_information.min() >= 0


def test_only_dropout_is_random_and_the_model_is_left_as_it_was(model):
    before = {name: values.clone() for name, values in model.state_dict().items()}
    seen = []
    handle = model[1].register_forward_hook(lambda module, inputs, output: seen.append(module.training))
    first, again = sampled(model.train(), 6), sampled(model, 6)
    handle.remove()
    assert (first.probabilities == again.probabilities).all()
    assert seen == [False, False]  # once for all six samples, and normalizing with what it has learnt
    assert not any(module.training for module in model.modules())
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
    images = PLAIN.model_input(PIXELS)
    assert torch.equal(model(images), model(images))


def test_samples_average_an_image_and_its_mirror_image_where_the_preprocessing_says_so(model):
    for layer in dropout_layers(model):
        layer.p = 1e-9  # next to nothing is dropped
    both = model.eval()(PLAIN.model_input(PIXELS)) + model(PLAIN.model_input(PIXELS.flip(-1)))
    expected = (both / 2).double().softmax(1).detach().numpy()
    assert sampled(model, 3, preprocessing=FLIPS).probabilities == pytest.approx(expected, abs=1e-6)


def test_passes_are_put_together_in_order(model, monkeypatch):
    for layer in dropout_layers(model):
        layer.p = 1e-9
    at_once = sampled(model, 2)
    monkeypatch.setattr(inference, "LARGEST_PASS", 4)  # two images at a time
    assert sampled(model, 2).probabilities == pytest.approx(at_once.probabilities, abs=1e-6)
