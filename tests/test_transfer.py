import json
import urllib.error

import pytest
import torch
import torchvision
from conftest import SMALL_TRAINING
from torch import nn

from pipeline import plots
from pipeline.errors import UserError
from pipeline.learning import image_sets, models, transfer
from pipeline.learning.preprocessing import Preprocessing

GREY = Preprocessing(3, 32, 32)
NAME = "shufflenet_v2_x0_5"


def build(class_count=2, channels=3, seed=0):
    torch.manual_seed(seed)
    return models.build_model(NAME, class_count, (channels, 32, 32))


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
    assert transfer.head_names(architecture, 2, (3, size, size)) == names


@pytest.mark.parametrize("form", ["checkpoint", "bare", "state dict", "DataParallel"])
def test_all_but_the_head_is_taken_over_from_a_file(tmp_path, capsys, form):
    theirs = build(class_count=5, seed=1).state_dict()
    content = {
        "checkpoint": {
            "state_dict": theirs, "optimizer": {}, "architecture": NAME,
            "preprocessing": {"keep_color": False, "mean": [0.25], "std": [0.5], "average_flips": True},
        },
        "bare": {"state_dict": theirs, "optimizer": {}},
        "state dict": theirs,
        "DataParallel": {"state_dict": {f"module.{name}": weights for name, weights in theirs.items()}},
    }[form]  # fmt: skip
    torch.save(content, tmp_path / "theirs.pth")
    model, fresh = build(), build()
    head, preprocessing = transfer.start_from(model, str(tmp_path / "theirs.pth"), NAME, 2, GREY)
    assert head == {"fc.weight", "fc.bias"}
    for name, weights in model.state_dict().items():
        assert torch.equal(weights, (fresh.state_dict() if name in head else theirs)[name]), name
    # Weights go with the numbers that their images were scaled by; how predictions are made is another matter.
    assert preprocessing == (Preprocessing(3, 32, 32, mean=[0.25], std=[0.5]) if form == "checkpoint" else GREY)
    count = len(theirs)
    assert capsys.readouterr().out == (
        f"weights of {tmp_path / 'theirs.pth'}: {count - 2} of {count} taken over; fresh: fc.weight, fc.bias\n"
    )


def test_colour_weights_serve_a_model_of_one_channel(tmp_path):
    torch.save(build(seed=1).state_dict(), tmp_path / "theirs.pth")
    model = build(channels=1)
    transfer.start_from(model, str(tmp_path / "theirs.pth"), NAME, 2, Preprocessing(1, 32, 32))
    grey = torch.rand(2, 1, 32, 32)
    theirs = build(seed=1)
    theirs.fc = model.fc
    assert torch.allclose(model.eval()(grey), theirs.eval()(grey.expand(-1, 3, -1, -1)), atol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"state_dict": {}, "architecture": "resnet18"},
            f"-weights PATH: holds a resnet18, not a {NAME}; give the same",
        ),
        (
            {"features.0.weight": torch.zeros(3)},
            "-weights PATH: none of its weights fits this architecture; give weights of the same one",
        ),
        ({"lr": 3}, "PATH: holds no state_dict; is it a checkpoint of train_torchvision.py?"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_an_error(tmp_path, content, message):
    path = str(tmp_path / "theirs.pth")
    torch.save(content, path)
    with pytest.raises(UserError) as error:
        transfer.start_from(build(), path, NAME, 2, GREY)
    assert error.value.faults == (message.replace("PATH", path),)


@pytest.fixture
def fetched(monkeypatch):
    """Return set(architecture, seed): torchvision's weights of an architecture are random, and need no network."""

    def put(architecture, seed, size=32):
        torch.manual_seed(seed)
        theirs = models.build_model(architecture, 1000, (3, size, size)).state_dict()
        enum = torchvision.models.get_model_weights(architecture)
        monkeypatch.setattr(enum, "get_state_dict", lambda self, *arguments, **settings: theirs)
        return theirs

    return put


def test_imagenet_weights_come_with_their_own_preprocessing(fetched):
    theirs = fetched(NAME, seed=1)
    model = build()
    _, preprocessing = transfer.start_from(model, "imagenet", NAME, 2, GREY)
    assert torch.equal(model.conv1[0].weight, theirs["conv1.0.weight"])
    assert (preprocessing.mean, preprocessing.std) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    # Grey pixels reach the three channels as the transforms of the weights would have them.
    pixels = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8)
    expected = torchvision.transforms.functional.normalize(
        (pixels / 255).expand(-1, 3, -1, -1), preprocessing.mean, preprocessing.std
    )
    assert torch.allclose(preprocessing.model_input(pixels), expected, atol=1e-6)


def test_grey_models_take_the_mean_of_the_three_channels_numbers(fetched):
    fetched(NAME, seed=1)
    _, preprocessing = transfer.start_from(build(channels=1), "imagenet", NAME, 2, Preprocessing(1, 32, 32))
    assert preprocessing.mean == pytest.approx([0.449])
    assert preprocessing.std == pytest.approx([0.226])


def test_googlenet_gets_the_numbers_that_torchvision_applies_inside_of_it(fetched):
    fetched("googlenet", seed=1, size=64)
    model = models.build_model("googlenet", 2, (3, 64, 64))
    _, preprocessing = transfer.start_from(model, "imagenet", "googlenet", 2, Preprocessing(3, 64, 64))
    raw = torch.rand(1, 3, 4, 4)
    weights = torchvision.models.GoogLeNet_Weights.DEFAULT.transforms()
    model.transform_input = True
    expected = model._transform_input(torchvision.transforms.functional.normalize(raw, weights.mean, weights.std))
    ours = (raw - torch.tensor(preprocessing.mean).view(3, 1, 1)) / torch.tensor(preprocessing.std).view(3, 1, 1)
    assert torch.allclose(ours, expected, atol=1e-6)


def test_without_a_network_the_error_says_what_to_do(monkeypatch):
    def offline(*arguments, **settings):
        raise urllib.error.URLError("no network")

    weights = torchvision.models.get_model_weights(NAME)
    monkeypatch.setattr(weights, "get_state_dict", offline)
    with pytest.raises(UserError) as error:
        transfer.start_from(build(), "imagenet", NAME, 2, GREY)
    assert error.value.faults == (
        f"-weights imagenet: cannot fetch {weights.DEFAULT.url} (<urlopen error no network>); without a network, fetch "
        "it elsewhere and give -weights FILE",
    )


class Scaled(nn.Module):
    """A model that does something with its last layer's outputs."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(9, 2)

    def forward(self, images):
        return 2 * self.fc(images.flatten(1))


def test_a_model_that_goes_on_after_its_last_layer_is_trained_whole():
    images = image_sets.ImageSet(
        paths=[], labels=torch.zeros(4, dtype=torch.int64), preprocessing=Preprocessing(1, 3, 3), content_hashes=[],
        in_color=0, device=torch.device("cpu"), pixels=torch.randint(0, 256, (4, 1, 3, 3), dtype=torch.uint8),
    )  # fmt: skip
    model = Scaled()
    assert transfer.on_features(model, {"fc.weight", "fc.bias"}, [images], "float32") == (model, [images])


@pytest.fixture
def train(call_script, trained, monkeypatch):
    """Return train(name, *options): the script on the project `trained`, from the weights of its model `small`."""
    monkeypatch.setattr(plots, "draw_curves", lambda path, *arguments: path.write_text("drawn"))

    def run(name, *options):
        start = ("-weights", trained / "models" / "small.pth.tar", "-num_epochs", 2, "-save", f"{name}.pth.tar")
        result = call_script("train_torchvision.py", "-dir", trained, *SMALL_TRAINING, *start, *options)
        assert (result.returncode, result.stderr) == (0, "")
        losses = json.loads((trained / "results" / f"{name}_loss_values.json").read_text())
        return torch.load(trained / "models" / f"{name}.pth.tar", weights_only=True), losses

    return run


def test_a_frozen_backbone_stays_as_it_was_and_its_head_learns(train, trained):
    start = torch.load(trained / "models" / "small.pth.tar", weights_only=True)["state_dict"]
    checkpoint, _ = train("frozen", "--freeze_backbone")
    for name, weights in checkpoint["state_dict"].items():
        assert torch.equal(weights, start[name]) == (not name.startswith("fc.")), name


def test_features_computed_once_give_what_the_whole_model_gives(train, monkeypatch):
    checkpoint, losses = train("features", "--freeze_backbone")
    monkeypatch.setattr(transfer, "on_features", lambda model, head, image_sets, precision: (model, image_sets))
    whole_checkpoint, whole_losses = train("whole", "--freeze_backbone")
    for name in losses:
        for (_, value), (_, whole_value) in zip(losses[name], whole_losses[name], strict=True):
            assert value == pytest.approx(whole_value, abs=1e-5)
    for name, weights in checkpoint["state_dict"].items():
        assert torch.allclose(weights, whole_checkpoint["state_dict"][name], atol=1e-5), name


def test_a_model_trained_on_features_is_tested_like_any_other(train, trained, call_script):
    checkpoint, losses = train("features", "--freeze_backbone")
    result = call_script("test_torchvision.py", "-dir", trained, "-save", "features.pth.tar", "-split", "val")
    assert result.returncode == 0
    predictions = json.loads((trained / "features_val_preds.json").read_text())
    right = [label == found for label, found in zip(predictions["labels"], predictions["predictions"], strict=True)]
    assert sum(right) / len(right) == losses["val accuracy values"][checkpoint["epoch"] - 1][1]


def test_resumed_training_from_weights_equals_an_unbroken_one(train):
    _, unbroken = train("unbroken", "-num_epochs", 4, "--freeze_backbone")
    train("resumed", "-num_epochs", 2, "--freeze_backbone")
    _, resumed = train("resumed", "-num_epochs", 4, "--freeze_backbone", "--resume")
    assert resumed == unbroken


def test_freezing_without_weights_is_an_error(call_script, trained):
    result = call_script("train_torchvision.py", "-dir", trained, *SMALL_TRAINING, "--freeze_backbone")
    assert (result.returncode, result.stderr) == (
        2,
        "train_torchvision.py: error: --freeze_backbone: random weights would stay random; give -weights too\n",
    )
