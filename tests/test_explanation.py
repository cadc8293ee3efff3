import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam, LayerGradientXActivation
from PIL import Image
from torch import nn
from torch.nn import functional
from torchvision import models as torchvision_models

import demo
from pipeline.learning import explanation, models
from pipeline.learning.explanation import explain
from pipeline.learning.preprocessing import Preprocessing

pytestmark = pytest.mark.filterwarnings("ignore:Setting forward", "ignore:The default weight initialization")

# Of every family of convolutional architectures that torchvision has: the layer that is explained at 224 x 224 pixels
# (299 for inception_v3), and the rows and columns of the heat.
LAYERS = {
    "alexnet": ("features", 6),
    "convnext_tiny": ("features", 7),
    "densenet121": ("features", 7),
    "efficientnet_b0": ("features", 7),
    "efficientnet_v2_s": ("features", 7),
    "googlenet": ("inception5b", 7),
    "inception_v3": ("Mixed_7c", 8),
    "maxvit_t": ("blocks.3", 7),
    "mnasnet0_5": ("layers", 7),
    "mobilenet_v2": ("features", 7),
    "mobilenet_v3_small": ("features", 7),
    "regnet_y_400mf": ("trunk_output", 7),
    "resnet18": ("layer4", 7),
    "shufflenet_v2_x0_5": ("conv5", 7),
    "squeezenet1_1": ("classifier.2", 13),
    "swin_t": ("permute", 7),
    "swin_v2_t": ("permute", 7),
    "vgg11_bn": ("features", 7),
}


def random_pixels(count, size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, size, size), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(
    "name", ["densenet121", "regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "squeezenet1_1", "swin_t"]
)
def test_grad_cam_is_that_of_captum_at_the_last_map_of_features(name):
    layer, cells = LAYERS[name]
    torch.manual_seed(0)
    model = models.build_model(name, 3, (3, 224, 224)).eval()
    preprocessing, pixels, classes = Preprocessing(3, 224, 224), random_pixels(2, 224), torch.tensor([2, 0])
    heat = explain(model, pixels, preprocessing, classes)
    assert heat.shape == (2, cells, cells)
    images = preprocessing.model_input(pixels)
    expected = LayerGradCam(model, model.get_submodule(layer)).attribute(images, classes, relu_attributions=True)[:, 0]
    largest = expected.detach().amax(dim=(1, 2), keepdim=True)
    assert heat == pytest.approx((expected.detach() / largest.clamp(min=1e-30)).numpy(), abs=2e-3)


def test_every_architecture_of_torchvision_has_a_layer_to_explain():
    """By the shapes alone; regnet cannot be built without numbers, and is in LAYERS."""
    names = torchvision_models.list_models(module=torchvision_models)
    names = [name for name in names if not name.startswith(("vit_", "regnet_"))]
    assert len(names) > 50
    for name in names:
        size, shapes = 299 if name == "inception_v3" else 224, {}
        with torch.device("meta"), torch.no_grad():
            model = torchvision_models.get_model(name, weights=None).eval()
            for module in model.modules():
                module.register_forward_hook(
                    lambda module, _, output, shapes=shapes: shapes.update({module: getattr(output, "shape", None)})
                )
            image = torch.zeros(1, 3, size, size)
            layer, is_last = explanation.target_layer(model, image)
            if not shapes:  # a Swin transformer's layer is known without a look
                model(image)
        assert is_last, name
        assert 6 <= min(shapes[layer][2:]) <= 13, name
        if name in LAYERS:
            expected, cells = LAYERS[name]
            assert (layer, shapes[layer][2:]) == (model.get_submodule(expected), (cells, cells)), name


def hires_cam(model, layer, images, label):
    """Return gradients times features, from 0 up, the gradients as means of 3 x 3 cells; else as captum has it."""
    features = []
    with layer.register_forward_hook(lambda module, inputs, output: features.append(output)):
        (gradients,) = torch.autograd.grad(model(images)[:, label].sum(), features[0])
    values = features[0].detach()
    products = LayerGradientXActivation(model, layer).attribute(images, label).detach()
    assert torch.allclose(gradients * values, products, atol=1e-4 * products.abs().max())
    rows, columns = gradients.shape[2:]
    means = torch.zeros_like(gradients)
    for row in range(rows):
        for column in range(columns):
            around = gradients[:, :, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
            means[:, :, row, column] = around.mean(dim=(2, 3))
    return (means * values).sum(dim=1).relu()


@pytest.mark.parametrize("size, layer, cells", [(112, "layer3", 7), (64, "layer2", 8), (32, "layer1", 8)])
def test_of_small_images_an_earlier_layer_is_explained_with_gradients_at_their_places(size, layer, cells):
    torch.manual_seed(0)
    model = models.build_model("resnet18", 2, (3, size, size)).eval()
    preprocessing, pixels = Preprocessing(3, size, size), random_pixels(1, size)
    heat = explain(model, pixels, preprocessing, torch.tensor([1]))
    assert heat.shape == (1, cells, cells)
    images = preprocessing.model_input(pixels)
    expected = hires_cam(model, model.get_submodule(layer), images, 1)
    assert heat == pytest.approx((expected / expected.max()).detach().numpy(), abs=2e-3)


def test_the_heat_lies_on_what_tells_the_classes_apart():
    """Drawn heads, half of them with a bright disc at a random place: the heat of the discs' class lies on them."""
    size, generator = 64, np.random.default_rng(0)
    preprocessing = Preprocessing(3, size, size)
    columns, rows = np.meshgrid(np.arange(size), np.arange(size))
    pixels, masks = [], []
    for number in range(80):
        head = np.asarray(demo.draw_phantom(generator, None, (size, size))[0]).copy()
        column, row = generator.uniform(20, 44, 2)
        masks.append((np.hypot(columns - column, rows - row) < 7) & (number % 2 == 1))
        head[masks[-1]] = 255
        pixels.append(preprocessing.pixels(Image.fromarray(head)))
    pixels, labels, masks = torch.from_numpy(np.stack(pixels)), torch.arange(80) % 2, np.stack(masks)
    torch.manual_seed(0)
    model = models.build_model("resnet18", 2, (3, size, size))
    optimizer = torch.optim.Adam(model.parameters(), 0.001)
    for _ in range(8):
        for batch in torch.randperm(60).split(15):
            loss = functional.cross_entropy(model(preprocessing.model_input(pixels[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    tested = torch.arange(61, 80, 2)  # with a disc, and not trained on
    heat = explain(model, pixels[tested], preprocessing, labels[tested])
    with torch.no_grad():
        assert (model(preprocessing.model_input(pixels[tested])).argmax(1) == 1).all()
    heat = functional.interpolate(heat[:, None], size=(size, size), mode="bilinear")[:, 0].numpy()
    masks = masks[tested]
    inside = (heat * masks).sum(axis=(1, 2)) / heat.sum(axis=(1, 2))
    # 3.7 % of an image are disc.
    assert np.median(inside) > 3 * masks.mean()
    hottest = [mask.ravel()[values.argmax()] for values, mask in zip(heat, masks, strict=True)]
    assert np.mean(hottest) > 0.5


def test_heat_of_an_image_and_its_mirror_image_is_averaged_where_the_predictions_are():
    torch.manual_seed(0)
    model = models.build_model("resnet18", 2, (3, 112, 112)).eval()
    pixels, classes = random_pixels(1, 112), torch.tensor([0])
    images = Preprocessing(3, 112, 112).model_input(pixels)
    one, other = (hires_cam(model, model.layer3, shown, 0) for shown in (images, images.flip(-1)))
    expected = one + other.flip(-1)
    heat = explain(model, pixels, Preprocessing(3, 112, 112, average_flips=True), classes)
    assert heat == pytest.approx((expected / expected.max()).numpy(), abs=2e-3)


def test_where_nothing_speaks_for_a_class_there_is_no_heat():
    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
            self.head = nn.Linear(4, 2)
            nn.init.constant_(self.head.weight, -1.0)

        def forward(self, images):
            return self.head(self.features(images).mean(dim=(2, 3)))

    heat = explain(Blind(), random_pixels(2, 16), Preprocessing(3, 16, 16), torch.tensor([0, 1]))
    assert heat.tolist() == torch.zeros(2, 16, 16).tolist()


def test_a_model_is_left_as_it_was_and_needs_no_gradients_of_its_own():
    torch.manual_seed(0)
    model = models.build_model("shufflenet_v2_x0_5", 2, (3, 64, 64)).train()
    for weights in model.parameters():
        weights.requires_grad = False
    before = {name: values.clone() for name, values in model.state_dict().items()}
    pixels, classes = random_pixels(3, 64), torch.tensor([0, 1, 1])
    first = explain(model, pixels, Preprocessing(3, 64, 64), classes)
    assert torch.equal(first, explain(model, pixels, Preprocessing(3, 64, 64), classes))
    assert all(torch.equal(values, before[name]) for name, values in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.is_grad_enabled()
    # One by one as all at once.
    single = [explain(model, pixels[[index]], Preprocessing(3, 64, 64), classes[[index]]) for index in range(3)]
    assert torch.allclose(torch.cat(single), first, atol=1e-4)


def test_attention_rollout_is_the_product_of_the_layers_attention():
    """Against attention computed by hand from the weights of two layers."""
    torch.manual_seed(0)
    model = models.build_model("vit_b_32", 2, (3, 96, 96)).eval()
    del model.encoder.layers[2:]
    for weights in model.parameters():
        if weights.ndim > 1:
            nn.init.normal_(weights, std=0.05)
    preprocessing, pixels = Preprocessing(3, 96, 96), random_pixels(2, 96)
    heat = explain(model, pixels, preprocessing, torch.tensor([0, 1]))
    with torch.no_grad():
        tokens = model._process_input(preprocessing.model_input(pixels))
        tokens = torch.cat([model.class_token.expand(2, -1, -1), tokens], dim=1) + model.encoder.pos_embedding
        flow = torch.eye(10).expand(2, 10, 10)
        for layer in model.encoder.layers:
            normal = layer.ln_1(tokens)
            query, key, _ = functional.linear(
                normal, layer.self_attention.in_proj_weight, layer.self_attention.in_proj_bias
            ).chunk(3, dim=-1)
            query, key = (part.unflatten(-1, (12, 64)).transpose(1, 2) for part in (query, key))
            attention = (query @ key.transpose(-1, -2) / 8).softmax(-1).mean(dim=1)
            flow = (0.5 * attention + 0.5 * torch.eye(10)) @ flow
            tokens = layer(tokens)
    expected = flow[:, 0, 1:].reshape(2, 3, 3)
    assert expected.std() > 0.01 * expected.mean()
    assert heat == pytest.approx((expected / expected.amax(dim=(1, 2), keepdim=True)).numpy(), abs=1e-4)


@pytest.mark.parametrize(
    "name, size, method",
    [
        ("resnet18", 224, "Grad-CAM"),
        ("resnet18", 112, "HiResCAM"),
        ("swin_t", 64, "Grad-CAM"),
        ("convnext_tiny", 224, "Grad-CAM"),
        ("inception_v3", 299, "Grad-CAM"),
        ("squeezenet1_1", 224, "Grad-CAM"),
        ("vit_b_32", 32, "rollout"),
    ],
)
def test_the_scale_names_the_method(name, size, method):
    with torch.device("meta"):
        model = models.build_model(name, 2, (3, size, size))
    assert explanation.scale_label(model, Preprocessing(3, size, size)).endswith(f"{method})")
