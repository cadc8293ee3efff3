import collections
import json
import re
import urllib.error
from types import SimpleNamespace

import pytest
import torch
import torchvision
from conftest import SMALL_TRAINING, error_places
from torch import nn

from pipeline.errors import UserError
from pipeline.learning import familiarity, models, transfer
from pipeline.learning.classifier import Classifier
from pipeline.learning.config import TrainingConfig
from pipeline.learning.features import inputs_of
from pipeline.learning.preprocessing import Preprocessing

GREY = Preprocessing(3, 32, 32)
NAME = "shufflenet_v2_x0_5"


def build(class_count=2, channels=3, seed=0):
    torch.manual_seed(seed)
    return models.build_model(NAME, class_count, (channels, 32, 32))


def new_start(model, weights, architecture, class_count, preprocessing, normalize=None):
    """Load weights as training does; the training images have the mean 0.4 and the standard deviation 0.2."""
    config = TrainingConfig(weights=weights, architecture=architecture, normalize=normalize)
    images = SimpleNamespace(preprocessing=preprocessing, channel_statistics=lambda: ([0.4], [0.2]))
    return transfer.new_start(model, config, SimpleNamespace(train=images, class_names=range(class_count)))


@pytest.mark.parametrize("form", ["checkpoint", "bare", "state dict", "DataParallel"])
def test_all_but_the_head_is_loaded_from_a_file(tmp_path, capsys, form):
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
    path = str(tmp_path / "theirs.pth")
    start = new_start(model, path, NAME, 2, GREY)
    assert start.fresh == {"fc.weight", "fc.bias"}
    for name, weights in model.state_dict().items():
        assert torch.equal(weights, (fresh.state_dict() if name in start.fresh else theirs)[name]), name
    # Weights go with the numbers that their images were scaled by, if they say them; how predictions are made does not.
    mean, std = ([0.25], [0.5]) if form == "checkpoint" else ([0.4], [0.2])
    assert start.preprocessing == Preprocessing(3, 32, 32, mean=mean, std=std)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"weights of {path}: all loaded but those of the last layer")
    assert lines[1:] == [f"images are scaled by mean {mean[0]:.3f}, standard deviation {std[0]:.3f}"]


@pytest.mark.parametrize(
    ("normalize", "theirs", "scaling"),
    [
        (None, [0.25], [0.25]),
        (None, None, None),
        (True, [0.25], [0.4]),
        (True, None, [0.4]),
        (False, [0.25], None),
    ],
)
def test_images_are_scaled_as_those_of_the_weights_unless_told_otherwise(tmp_path, normalize, theirs, scaling):
    preprocessing = {"keep_color": False, "mean": theirs, "std": theirs, "average_flips": False}
    torch.save({"state_dict": build(seed=1).state_dict(), "preprocessing": preprocessing}, tmp_path / "theirs.pth")
    start = new_start(build(), str(tmp_path / "theirs.pth"), NAME, 2, GREY, normalize)
    assert start.preprocessing.mean == scaling


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"train": ["a"], "val": ["b"]}, ["a", "b"]),
        ({"train": ["a"], "val": ["b"], "earlier training": ["c"]}, ["a", "b", "c"]),
        ({"train": ["a"], "val": ["b"], "earlier training": None}, None),
        (None, None),
    ],
)
def test_what_the_weights_have_seen_is_passed_on(tmp_path, theirs, ours):
    torch.save({"state_dict": build().state_dict(), "seen_images": theirs}, tmp_path / "theirs.pth")
    start = new_start(build(), str(tmp_path / "theirs.pth"), NAME, 2, GREY)
    assert start.seen_images == {"earlier training": ours}


def test_weights_that_do_not_fit_stay_random_and_learn_as_such(tmp_path):
    theirs = build(seed=1).state_dict()
    theirs["conv1.0.weight"] = theirs["conv1.0.weight"][:3]
    torch.save(theirs, tmp_path / "theirs.pth")
    model, before = build(), build()
    start = new_start(model, str(tmp_path / "theirs.pth"), NAME, 2, GREY)
    assert start.fresh == {"fc.weight", "fc.bias", "conv1.0.weight"}
    assert torch.equal(model.conv1[0].weight, before.conv1[0].weight)


def test_colour_weights_serve_a_model_of_one_channel(tmp_path):
    torch.save(build(seed=1).state_dict(), tmp_path / "theirs.pth")
    model = build(channels=1)
    new_start(model, str(tmp_path / "theirs.pth"), NAME, 2, Preprocessing(1, 32, 32))
    grey = torch.rand(2, 1, 32, 32)
    theirs = build(seed=1)
    theirs.fc = model.fc
    assert torch.allclose(model.eval()(grey), theirs.eval()(grey.expand(-1, 3, -1, -1)), atol=1e-5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}, "architecture": "resnet18"}, f"-weights PATH: holds a resnet18, not a {NAME}"),
        ({"features.0.weight": torch.zeros(3)}, "-weights PATH: none of its weights fits this architecture"),
        ({"lr": 3}, "PATH: holds lr, and no state_dict"),
    ],
)
def test_weights_that_do_not_fit_are_an_error(tmp_path, content, message):
    path = str(tmp_path / "theirs.pth")
    torch.save(content, path)
    with pytest.raises(UserError, match=re.escape(message.replace("PATH", path))):
        new_start(build(), path, NAME, 2, GREY)


def test_weights_that_are_not_numbers_are_an_error_and_those_without_a_place_are_named(tmp_path, capsys):
    path, weights = str(tmp_path / "theirs.pth"), build(seed=1).state_dict()
    torch.save(weights | {"decoder.weight": torch.zeros(3)}, path)
    new_start(build(), path, NAME, 2, GREY)
    assert capsys.readouterr().err.startswith(f"note: -weights {path}: decoder.weight: not in this architecture")
    weights["conv1.0.weight"][0] = float("nan")
    torch.save(weights, path)
    with pytest.raises(UserError, match=re.escape(f"-weights {path}: its weights are not all finite numbers (conv1.0")):
        new_start(build(), path, NAME, 2, GREY)


@pytest.fixture
def fetched(monkeypatch):
    """Return set(architecture, seed): torchvision's weights of an architecture are random, and need no network."""

    def put(architecture, seed, rename=lambda name: name):
        torch.manual_seed(seed)
        theirs = torchvision.models.get_model(architecture, weights=None).state_dict()
        in_file = collections.OrderedDict((rename(name), weights) for name, weights in theirs.items() if rename(name))
        if len(in_file) == len(theirs):
            in_file._metadata = theirs._metadata
        enum = torchvision.models.get_model_weights(architecture)
        monkeypatch.setattr(enum, "get_state_dict", lambda self, *arguments, **settings: in_file)
        return theirs

    return put


def old_densenet_name(name):
    """densenet's layers are called norm.1 in torchvision's file, and norm1 in its code; the file counts no batches."""
    if name.endswith("num_batches_tracked"):
        return None
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))([12])", r"\1.\2", name)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(("architecture", "rename"), [("densenet121", old_densenet_name), ("mnasnet0_5", str)])
def test_all_of_imagenets_weights_are_loaded_whatever_they_are_called(fetched, architecture, rename):
    theirs = fetched(architecture, 1, rename)
    torch.manual_seed(0)
    model = models.build_model(architecture, 2, (3, 32, 32))
    start = new_start(model, "imagenet", architecture, 2, GREY)
    assert start.fresh == models.head_names(architecture, 2, (3, 32, 32))
    assert all(
        torch.equal(weights, theirs[name]) for name, weights in model.state_dict().items() if name not in start.fresh
    )


def test_imagenet_weights_come_with_their_own_preprocessing(fetched):
    theirs = fetched(NAME, seed=1)
    model = build()
    preprocessing = new_start(model, "imagenet", NAME, 2, GREY).preprocessing
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
    preprocessing = new_start(build(channels=1), "imagenet", NAME, 2, Preprocessing(1, 32, 32)).preprocessing
    assert preprocessing.mean == pytest.approx([0.449])
    assert preprocessing.std == pytest.approx([0.226])


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_googlenet_gets_the_numbers_that_torchvision_applies_inside_of_it(fetched):
    fetched("googlenet", seed=1)
    model = models.build_model("googlenet", 2, (3, 64, 64))
    preprocessing = new_start(model, "imagenet", "googlenet", 2, Preprocessing(3, 64, 64)).preprocessing
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
        new_start(build(), "imagenet", NAME, 2, GREY)
    (fault,) = error.value.faults
    assert fault.startswith(f"-weights imagenet: cannot fetch {weights.DEFAULT.url} (<urlopen error no network>)")
    assert f"{torch.hub.get_dir()}/checkpoints" in fault  # where to put them


@pytest.fixture
def train(call_script, trained, no_curves):
    """Return train(name, *options): the script on the project `trained`, from the weights of its model `small`."""

    def run(name, *options):
        start = ("-weights", trained / "models" / "small.pth.tar", "-num_epochs", 2, "-save", f"{name}.pth.tar")
        result = call_script("train_torchvision.py", "-dir", trained, *SMALL_TRAINING, *start, *options)
        assert (result.returncode, result.stderr) == (0, "")
        losses = json.loads((trained / "results" / f"{name}_loss_values.json").read_text())
        return torch.load(trained / "models" / f"{name}.pth.tar", weights_only=True), losses

    return run


@pytest.fixture
def freeze(call_script, trained):
    """Return freeze(name, *options): as `train`, but of the frozen model `small` only the last layer is fitted."""

    def run(name, *options, weights=trained / "models" / "small.pth.tar"):
        model = ("-architecture", NAME, "-img_shape", 3, 32, 32, "-precision", "float32")
        start = ("-weights", weights, "--freeze_backbone", "-save", f"{name}.pth.tar")
        return call_script("train_torchvision.py", "-dir", trained, *model, *start, *options)

    return run


def test_a_frozen_backbone_stays_as_it_was_and_its_last_layer_is_fitted(freeze, trained):
    start = torch.load(trained / "models" / "small.pth.tar", weights_only=True)["state_dict"]
    assert freeze("frozen").returncode == 0
    checkpoint = torch.load(trained / "models" / "frozen.pth.tar", weights_only=True)
    for name, weights in checkpoint["state_dict"].items():
        assert torch.equal(weights, start[name]) == (not name.startswith("fc.")), name
    assert {path.name for path in (trained / "results").glob("frozen_*")} == {
        "frozen_hyperparameters.json", "frozen_loss_values.json", "frozen_epochs.csv",
    }  # fmt: skip
    assert not (trained / "models" / "frozen.last.pth.tar").exists()
    record = json.loads((trained / "results" / "frozen_hyperparameters.json").read_text())
    assert record["last layer"].startswith("logistic regression, C = ")
    assert record["number of epochs"] == 1 and record["learning rate"] is None


def test_its_figures_are_those_of_the_model_that_is_tested(freeze, trained, call_script):
    assert freeze("frozen").returncode == 0
    losses = json.loads((trained / "results" / "frozen_loss_values.json").read_text())
    result = call_script("test_torchvision.py", "-dir", trained, "-save", "frozen.pth.tar", "-split", "val")
    assert result.returncode == 0
    predictions = json.loads((trained / "frozen_val_preds.json").read_text())
    labels, probabilities = predictions["labels"], torch.tensor(predictions["predictive probabilities"])
    correct = [label == found for label, found in zip(labels, predictions["predictions"], strict=True)]
    assert sum(correct) / len(correct) == losses["val accuracy values"][0][1]
    loss = nn.functional.nll_loss(probabilities.log(), torch.tensor(labels)).item()
    assert loss == pytest.approx(losses["val loss values"][0][1], abs=1e-4)


def test_new_images_are_compared_with_what_the_model_sees_in_training_images(freeze, telling, monkeypatch):
    monkeypatch.setattr(familiarity, "MOST_REFERENCES", 4)
    assert freeze("frozen", "--average_flips").returncode == 0
    classifier = Classifier.load(telling / "models" / "frozen.pth.tar")
    features, names, distances = classifier.checkpoint.reference.values()
    assert (len(set(names)), len(distances)) == (4, 5)
    with inputs_of(classifier.last_layer) as taken:
        classifier.predict([telling / "bin" / name for name in names])
    seen = nn.functional.normalize(torch.stack(taken).mean(dim=0))
    assert (seen[0] - seen[1]).abs().max() > 0.01
    assert torch.allclose(features.float(), seen, atol=1e-3)


def test_again_it_gives_the_same_and_a_finished_one_is_left(freeze, trained, contents):
    assert freeze("frozen").returncode == 0
    before = contents(trained / "models")
    result = freeze("frozen", "--resume")
    assert result.returncode == 0 and "finished already" in result.stdout
    assert freeze("again").returncode == 0
    one, other = (
        torch.load(trained / "models" / f"{name}.pth.tar", weights_only=True)["state_dict"]
        for name in ("frozen", "again")
    )
    assert all(torch.equal(weights, other[name]) for name, weights in one.items())
    assert before.items() <= contents(trained / "models").items()


@pytest.mark.parametrize("option", ["--overwrite", "--resume"])
@pytest.mark.parametrize("name", ["small", "small.last"])
def test_the_weights_that_a_training_starts_from_are_not_replaced_by_it(freeze, trained, contents, option, name):
    before, weights = contents(trained / "models"), trained / "models" / f"{name}.pth.tar"
    result = freeze("small", option, weights=weights)
    assert error_places(result) == [f"-weights {weights}"]
    assert contents(trained / "models") == before


def test_layers_that_would_stay_random_are_an_error(freeze, trained):
    theirs = torch.load(trained / "models" / "small.pth.tar", weights_only=True)["state_dict"]
    theirs["conv1.0.weight"] = theirs["conv1.0.weight"][:3]
    torch.save(theirs, trained / "odd.pth")
    result = freeze("frozen", weights=trained / "odd.pth")
    assert result.returncode == 2 and "conv1.0.weight would stay random" in result.stderr
    assert "--no-freeze_backbone" in result.stderr


@pytest.mark.parametrize(
    ("options", "same"),
    [(("-class_weights", "balanced"), False), (("--average_flips",), False), (("-dropout", 0.3), True)],
)
def test_a_fitted_last_layer_goes_with_the_other_options(freeze, trained, call_script, options, same):
    def fitted(name, *options):
        assert freeze(name, *options).returncode == 0
        return torch.load(trained / "models" / f"{name}.pth.tar", weights_only=True)["state_dict"]["fc.weight"]

    assert torch.equal(fitted("frozen", *options), fitted("plain")) == same
    samples = ("-mc_samples", 3) if "-dropout" in options else ()
    assert call_script("test_torchvision.py", "-dir", trained, "-save", "frozen.pth.tar", *samples).returncode == 0


def test_testing_on_what_the_first_weights_have_seen_is_refused(train, trained, call_script):
    # small was trained on image 0, which becomes the only test image of the training that starts from it.
    training, test = (trained / "csv" / f"{partition}.csv" for partition in ("train", "test"))
    first, *others = training.read_text(encoding="utf-8").splitlines()
    training.write_text("\n".join(others), encoding="utf-8")
    test.write_text(first, encoding="utf-8")
    train("started")
    result = call_script("test_torchvision.py", "-dir", trained, "-save", "started.pth.tar")
    assert result.returncode == 2
    assert "has seen 1 of its 1 images in earlier training (train é0.png)" in result.stderr
    # So is testing with a model trained from that one in turn, with a break.
    weights = ("-weights", trained / "models" / "started.pth.tar")
    train("next", *weights, "-num_epochs", 1)
    train("next", *weights, "--resume")
    assert call_script("test_torchvision.py", "-dir", trained, "-save", "next.pth.tar").returncode == 2


def test_a_fitted_last_layer_is_where_the_training_of_all_layers_starts(train, trained):
    checkpoint, _ = train("tuned", "--fit_head", "-learning_rate", 1e-9)
    start = torch.load(trained / "models" / "small.pth.tar", weights_only=True)["state_dict"]
    for name, weights in checkpoint["state_dict"].items():
        # Neither weights nor the averages of batch normalization.
        same = torch.allclose(weights.float(), start[name].float(), atol=1e-6)
        assert same == (not name.startswith("fc.")) or "num_batches" in name, name
    record = json.loads((trained / "results" / "tuned_hyperparameters.json").read_text())
    assert record["fit head"] is True and record["learning rate"] == 1e-9
