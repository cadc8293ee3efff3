import pytest
import torch
from torch import nn

from pipeline.errors import UserError
from pipeline.learning.inference import predict_logits, predict_probabilities
from pipeline.learning.preprocessing import Preprocessing

PIXELS = torch.randint(0, 256, (5, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Dropout(), nn.Linear(8, 2))


def test_the_logits_are_the_models_in_evaluation_mode_in_the_order_of_the_images(model):
    expected = model.eval()((PIXELS / 255).repeat(1, 3, 1, 1)).double()
    for parts in ([PIXELS], PIXELS.split(2)):
        logits = predict_logits(model.train(), parts, Preprocessing(3, 4, 4))
        assert logits.dtype == torch.float64
        assert torch.allclose(logits, expected, atol=1e-6)
        assert not logits.requires_grad


def test_an_image_and_its_mirror_image_are_averaged_where_the_preprocessing_says_so(model):
    plain = Preprocessing(3, 4, 4)
    both = (predict_logits(model, [PIXELS], plain) + predict_logits(model, [PIXELS.flip(-1)], plain)) / 2
    averaged = predict_logits(model, PIXELS.split(2), Preprocessing(3, 4, 4, average_flips=True))
    assert torch.allclose(averaged, both, atol=1e-6)
    assert not torch.allclose(averaged, predict_logits(model, [PIXELS], plain), atol=1e-4)


def test_probabilities_are_softmax_outputs(model):
    probabilities = predict_probabilities(model, [PIXELS], Preprocessing(3, 4, 4))
    assert probabilities == pytest.approx(predict_logits(model, [PIXELS], Preprocessing(3, 4, 4)).softmax(1).numpy())
    assert probabilities.sum(axis=1) == pytest.approx([1] * 5)


def test_outputs_that_are_not_finite_are_an_error(model):
    model[3].bias.data[0] = float("nan")
    with pytest.raises(UserError, match="the model's outputs are not finite numbers"):
        predict_probabilities(model, [PIXELS], Preprocessing(3, 4, 4))
