import pytest
import torch
import torchvision
from torch import nn

from pipeline.errors import UserError
from pipeline.learning import architectures, models

ARCHITECTURES = torchvision.models.list_models(module=torchvision.models)

# One of each family, with a size of images that it takes: those of few weights as they are, the others without
# numbers, on torch's meta device. The slow ones, inception_v3 and maxvit_t, are built further down.
SMALL = {
    "densenet121": 32,
    "efficientnet_b0": 32,
    "googlenet": 32,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_x_400mf": 32,
    "resnet18": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_1": 32,
}
LARGE = {
    "alexnet": 64,
    "convnext_tiny": 32,
    "swin_t": 32,
    "vgg11_bn": 32,
    "vit_b_32": 64,
}
FAMILIES = [
    *((name, size, "cpu") for name, size in SMALL.items()),
    *((name, size, "meta") for name, size in LARGE.items()),
]


def test_every_classification_architecture_of_torchvision_goes_by_its_own_name():
    assert {"resnet18", "vgg11", "densenet121", "efficientnet_b0", "convnext_tiny", "vit_b_16"} <= set(ARCHITECTURES)
    assert [architectures.resolve_architecture(name) for name in ARCHITECTURES] == ARCHITECTURES


@pytest.mark.parametrize(
    ("said", "meant"),
    [("vgg", "vgg11_bn"), ("densenet", "densenet121"), ("ResNet18", "resnet18"), ("VGG", "vgg11_bn")],
)
def test_short_names_and_capitals_are_understood(said, meant):
    assert architectures.resolve_architecture(said) == meant


@pytest.mark.parametrize(
    ("said", "nearest"),
    [("resnet19", "resnet18"), ("efficient_net_b0", "efficientnet_b0"), ("vit16", "vit_b_16"), ("densnet", "densenet")],
)
def test_an_unknown_name_is_an_error_that_lists_the_nearest(said, nearest):
    with pytest.raises(UserError) as error:
        architectures.resolve_architecture(said)
    (fault,) = error.value.faults
    assert fault.startswith(f"-architecture {said}: torchvision has no such classification model; nearest: ")
    assert nearest in fault.split("nearest: ")[1].split(";")[0].split(", ")


@pytest.mark.parametrize(
    "name", ["fcn_resnet50", "fasterrcnn_resnet50_fpn", "raft_large", "r3d_18", "resnet18_quantized"]
)
def test_what_is_not_an_image_classifier_is_unknown(name):
    with pytest.raises(UserError, match="no such classification model"):
        architectures.resolve_architecture(name)


@pytest.mark.parametrize(("name", "size", "device"), FAMILIES)
def test_every_family_gives_one_output_per_class(name, size, device):
    with torch.device(device):
        for channels in (3, 1):
            model = models.build_model(name, 5, (channels, size, size))
        model.eval()
        assert model(torch.zeros(2, 1, size, size)).shape == (2, 5)
    assert next(module for module in model.modules() if isinstance(module, nn.Conv2d)).in_channels == 1


@pytest.mark.parametrize(("name", "size"), [("googlenet", 32), ("inception_v3", 96)])
def test_auxiliary_heads_are_dropped(name, size):
    with torch.device("meta"):
        model = models.build_model(name, 2, (3, size, size))
        assert model.training
        assert model(torch.zeros(2, 3, size, size)).shape == (2, 2)  # with the heads it would be a named tuple
    assert not [key for key in model.state_dict() if "aux" in key.lower()]


@pytest.mark.parametrize("name", ["densenet121", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1"])
def test_one_channel_gives_what_the_grey_value_in_three_channels_gives(name):
    grey = torch.rand(2, 1, 40, 48, generator=torch.Generator().manual_seed(1))
    outputs = []
    for channels in (1, 3):
        torch.manual_seed(0)
        model = models.build_model(name, 3, (channels, 40, 48)).eval()
        with torch.no_grad():
            outputs.append(model(grey.expand(-1, channels, -1, -1)))
    assert outputs[0].abs().max() > 1e-3
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)


def test_the_same_random_state_gives_the_same_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return models.build_model("squeezenet1_1", 2, (3, 32, 32)).state_dict()["classifier.1.weight"]

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize(
    ("name", "shape", "works"),
    [
        ("vit_b_16", (3, 100, 100), 96),
        ("vit_b_16", (3, 64, 96), 96),
        ("maxvit_t", (3, 64, 64), 224),
        ("inception_v3", (3, 32, 32), 96),
        ("alexnet", (1, 32, 32), 64),
    ],
)
def test_a_size_that_an_architecture_cannot_take_is_an_error_naming_one_that_it_can(name, shape, works):
    with torch.device("meta"):
        with pytest.raises(UserError) as error:
            models.build_model(name, 2, shape)
        channels, height, width = shape
        (fault,) = error.value.faults
        assert fault.startswith(f"-img_shape {channels} {height} {width}: {name} ")
        assert f"{channels} {works} {works} works" in fault
        model = models.build_model(name, 2, (channels, works, works))
    assert [module.out_features for module in model.modules() if isinstance(module, nn.Linear)][-1] == 2


@pytest.fixture(scope="module")
def normalizing():
    """A model with batch normalization, and none of its numbers."""
    with torch.device("meta"):
        return models.build_model("vgg11_bn", 2, (3, 64, 64))


@pytest.fixture(scope="module")
def plain():
    """The same model without batch normalization."""
    with torch.device("meta"):
        return models.build_model("vgg11", 2, (3, 64, 64))


@pytest.mark.parametrize("process_count", [1, 2, 5])
def test_a_batch_is_large_enough_with_an_image_a_process_or_two_where_they_are_normalized_over(
    normalizing, plain, process_count
):
    models.require_batch_size(normalizing, 2 * process_count, process_count)
    models.require_batch_size(plain, process_count, process_count)


@pytest.mark.parametrize(
    ("batch_size", "process_count", "way_out"),
    [
        (1, 1, "give at least 2"),
        (2, 2, "give at least 2 for each of the 2 processes"),
        (3, 2, "give at least 2 for each of the 2 processes"),
        (9, 5, "give at least 2 for each of the 5 processes"),
    ],
)
def test_batch_normalization_over_one_image_is_refused(normalizing, batch_size, process_count, way_out):
    with pytest.raises(UserError) as error:
        models.require_batch_size(normalizing, batch_size, process_count)
    (fault,) = error.value.faults
    assert fault.startswith("-batch_size: this architecture normalizes ") and fault.endswith(way_out)


def test_a_batch_without_an_image_for_every_process_is_refused(plain):
    with pytest.raises(UserError) as error:
        models.require_batch_size(plain, 3, 4)
    (fault,) = error.value.faults
    assert fault.startswith("-batch_size: ") and fault.endswith("give at least 1 for each of the 4 processes")


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_lie_in_memory_channels_last_and_stay_so_whatever_is_loaded(channels):
    model = models.build_model("resnet18", 2, (channels, 32, 32))
    weights = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in model.state_dict().items()}
    assert not weights["layer1.0.conv1.weight"].is_contiguous(memory_format=torch.channels_last)
    images = torch.rand(2, channels, 32, 32, generator=torch.Generator().manual_seed(0))
    model.eval()
    expected = model(images)
    other = models.build_model("resnet18", 2, (channels, 32, 32)).eval()
    assert not torch.allclose(other(images), expected, atol=1e-3)
    other.load_state_dict(weights)
    for loaded in (model, other):
        convolutions = [module for module in loaded.modules() if isinstance(module, nn.Conv2d)]
        assert len(convolutions) == 20
        assert all(layer.weight.is_contiguous(memory_format=torch.channels_last) for layer in convolutions)
    torch.testing.assert_close(other(images), expected)


@pytest.mark.parametrize(
    ("architecture", "size", "names"),
    [
        ("resnet18", 32, {"fc.weight", "fc.bias"}),
        ("vgg11_bn", 32, {"classifier.6.weight", "classifier.6.bias"}),
        ("densenet121", 32, {"classifier.weight", "classifier.bias"}),
        ("squeezenet1_1", 64, {"classifier.1.weight", "classifier.1.bias"}),
        ("efficientnet_b0", 32, {"classifier.1.weight", "classifier.1.bias"}),
        ("convnext_tiny", 32, {"classifier.2.weight", "classifier.2.bias"}),
        ("swin_t", 32, {"head.weight", "head.bias"}),
        ("vit_b_32", 32, {"heads.head.weight", "heads.head.bias"}),
    ],
)
def test_the_head_is_the_last_layer(architecture, size, names):
    assert models.head_names(architecture, 2, (3, size, size)) == names


@pytest.mark.parametrize(
    "name, size",
    [
        ("resnet18", 32),
        ("densenet121", 32),
        ("convnext_tiny", 32),
        ("swin_t", 32),
        ("vit_b_32", 32),
        ("regnet_y_400mf", 32),
    ],
)
def test_an_architecture_without_dropout_gets_it_before_its_last_layer(name, size):
    shape = (3, size, size)
    torch.manual_seed(0)
    plain = models.build_model(name, 2, shape)
    torch.manual_seed(0)
    model = models.build_model(name, 2, shape, dropout=0.4)
    assert models.dropout_layers(plain) == []
    (layer,) = models.dropout_layers(model)
    assert layer.p == 0.4
    # The same weights under the same names, and the same model where nothing is dropped.
    assert {key: value.tolist() for key, value in plain.state_dict().items() if value.numel() < 10} == {
        key: value.tolist() for key, value in model.state_dict().items() if value.numel() < 10
    }
    assert plain.state_dict().keys() == model.state_dict().keys()
    images = torch.rand(2, *shape)
    with torch.no_grad():
        head, taken = models.layer_of(model, models.head_names(name, 2, shape)), []
        head.register_forward_hook(lambda module, inputs, output: taken.append(inputs[0]))
        assert torch.equal(plain.eval()(images), model.eval()(images))
        layer.train()
        model(images)
    whole, dropped = taken
    assert 0.3 < (dropped[whole != 0] == 0).float().mean() < 0.5


@pytest.mark.parametrize(
    "name, size, count",
    [
        ("vgg11_bn", 32, 2),
        ("alexnet", 64, 2),
        ("squeezenet1_1", 32, 1),
        ("efficientnet_b0", 32, 1),
        ("googlenet", 32, 1),
    ],
)
def test_an_architecture_with_dropout_keeps_its_layers_and_gets_the_probability(name, size, count):
    with torch.device("meta"):
        own, changed, without = (models.build_model(name, 2, (3, size, size), dropout) for dropout in (None, 0.1, 0.0))
    assert len(models.dropout_layers(own)) == count
    assert [layer.p for layer in models.dropout_layers(changed)] == [0.1] * count
    assert models.dropout_layers(without) == []


@pytest.mark.parametrize("name, channels", [("resnet18", 512), ("efficientnet_lite0", 1280)])
def test_the_largest_values_are_pooled_where_the_last_layer_follows_the_pooling(name, channels):
    shape = (3, 32, 32)
    plain, model = (models.build_model(name, 3, shape, pooling=pooling) for pooling in ("average", "average+max"))
    assert plain.state_dict().keys() == model.state_dict().keys()
    taken = []
    head = models.layer_of(model, models.head_names(name, 3, shape))
    head.register_forward_hook(lambda module, inputs, output: taken.append(inputs[0]))
    maps = torch.rand(2, channels, 4, 5)
    pooled = model.avgpool(maps).flatten(1)
    assert torch.allclose(pooled, torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1))
    assert model.eval()(torch.rand(2, *shape)).shape == (2, 3)
    assert taken[0].shape == (2, 2 * channels)


@pytest.mark.parametrize(
    "name, size",
    [("shufflenet_v2_x0_5", 32), ("vgg11_bn", 32), ("mobilenet_v3_small", 32), ("squeezenet1_1", 64), ("vit_b_32", 32)],
)
def test_pooling_with_anything_else_behind_it_is_an_error(name, size):
    with torch.device("meta"), pytest.raises(UserError, match=r"^-pooling average\+max: "):
        models.build_model(name, 3, (3, size, size), pooling="average+max")
