import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import SMALL_TRAINING
from torch import nn
from torchvision import models as torchvision_models

from pipeline import predictions
from pipeline.errors import UserError
from pipeline.learning import checkpoints, dropout, models
from pipeline.learning.preprocessing import Preprocessing

PIXELS = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
PLAIN = Preprocessing(3, 8, 8)


@pytest.fixture
def model():
    """Convolution, batch normalization and two layers of dropout."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 8), nn.ReLU(),
        nn.Dropout(0.25), nn.Linear(8, 3),
    )  # fmt: skip


def sampled(model, count, parts=None, preprocessing=PLAIN):
    torch.manual_seed(0)
    return dropout.predict_samples(model, parts or [PIXELS], preprocessing, count)


def test_figures_are_those_of_as_many_passes_through_the_whole_model(model):
    """Against plain passes, each with masks of its own: as close as 4,000 samples of either side bring it."""
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
    twice = sampled(model, 3, [PIXELS[[0, 0]]])
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
    for layer in dropout.dropout_layers(model):
        layer.p = 1e-9  # next to nothing is dropped
    both = model.eval()(PLAIN.model_input(PIXELS)) + model(PLAIN.model_input(PIXELS.flip(-1)))
    flips = Preprocessing(3, 8, 8, average_flips=True)
    expected = (both / 2).double().softmax(1).detach().numpy()
    assert sampled(model, 3, preprocessing=flips).probabilities == pytest.approx(expected, abs=1e-6)


def test_batches_are_put_together_in_order(model):
    for layer in dropout.dropout_layers(model):
        layer.p = 1e-9
    parts = sampled(model, 2, list(PIXELS.split(2)))
    assert parts.probabilities == pytest.approx(sampled(model, 2).probabilities, abs=1e-6)


def test_outputs_that_are_not_finite_are_an_error(model):
    model[7].bias.data[0] = float("inf")
    with pytest.raises(UserError, match="the model's outputs are not finite numbers"):
        sampled(model, 2)


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
    model = models.build_model(name, 2, shape, dropout_rate=0.4)
    assert dropout.dropout_layers(plain) == []
    (layer,) = dropout.dropout_layers(model)
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
def test_an_architecture_with_dropout_keeps_its_layers_and_gets_the_rate(name, size, count):
    shape = (3, size, size)
    own = dropout.dropout_layers(models.build_model(name, 2, shape))
    model = models.build_model(name, 2, shape, dropout_rate=0.1)
    assert len(own) == count
    assert [layer.p for layer in dropout.dropout_layers(model)] == [0.1] * count
    pixels = torch.zeros(3, 1, *shape[1:], dtype=torch.uint8)
    result = dropout.predict_samples(model, [pixels], Preprocessing(*shape), 4)
    assert result.probabilities.shape == (3, 2)
    assert dropout.dropout_layers(models.build_model(name, 2, shape, dropout_rate=0.0)) == []


def test_a_model_without_dropout_is_told_from_one_with(model):
    dropout.require_dropout(model, "a.pth.tar")
    with pytest.raises(UserError) as error:
        dropout.require_dropout(torchvision_models.resnet18(), "a.pth.tar")
    assert error.value.faults == (
        "-mc_samples: the model of a.pth.tar has no dropout to sample from; train one with -dropout 0.2, say",
    )


def trained_with_dropout(call_script, project, *options):
    result = call_script(
        "train_torchvision.py", "-dir", project, *SMALL_TRAINING, "-num_epochs", 1, "-save", "new.pth.tar",
        "-dropout", 0.3, *options,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return project / "models" / "new.pth.tar"


def test_a_checkpoint_says_its_dropout_and_is_rebuilt_with_it(call_script, trained):
    path = trained_with_dropout(call_script, trained)
    checkpoint = checkpoints.load(path)
    assert checkpoint.dropout == 0.3
    (layer,) = dropout.dropout_layers(checkpoint.build_model())
    assert layer.p == 0.3
    recorded = json.loads((trained / "results" / "new_hyperparameters.json").read_text(encoding="utf-8"))
    assert recorded["dropout"] == 0.3
    assert checkpoints.load(trained / "models" / "small.pth.tar").dropout is None
    other = call_script(
        "train_torchvision.py", "-dir", trained, *SMALL_TRAINING, "-num_epochs", 2, "-save", "new.pth.tar", "--resume"
    )
    assert other.returncode == 2
    assert other.stderr.startswith("train_torchvision.py: error: -dropout None: ")


def test_dropout_acts_in_training(call_script, trained):
    def losses(name):
        return json.loads((trained / "results" / f"{name}_loss_values.json").read_text(encoding="utf-8"))["loss values"]

    trained_with_dropout(call_script, trained)
    assert losses("new")[0] != losses("small")[0]


def test_dropout_acts_before_a_last_layer_that_is_trained_alone(call_script, trained):
    weights = ["-weights", trained / "models" / "small.pth.tar", "--freeze_backbone"]
    path = trained_with_dropout(call_script, trained, *weights)
    sure = call_script(
        "train_torchvision.py", "-dir", trained, *SMALL_TRAINING, "-num_epochs", 1, "-save", "sure.pth.tar", *weights
    )
    assert sure.returncode == 0, sure.stderr
    ours, theirs = (
        torch.load(file, weights_only=True)["state_dict"] for file in (path, path.with_name("sure.pth.tar"))
    )
    assert {name for name in ours if not torch.equal(ours[name], theirs[name])} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("rate", ["1", "-0.1", "x"])
def test_a_rate_that_is_no_share_is_an_error(call_script, trained, rate):
    result = call_script("train_torchvision.py", "-dir", trained, f"-dropout={rate}")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("train_torchvision.py: error: -dropout: ")


def test_predictions_say_how_unsure_they_are(call_script, run_script, trained):
    trained_with_dropout(call_script, trained)
    result = run_script("test_torchvision.py", "-dir", trained, "-save", "new.pth.tar", "-mc_samples", 30)
    assert result.returncode == 0, result.stderr
    path = trained / "new_preds.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["Monte Carlo samples"] == 30
    made = predictions.read(path)
    expected = -(made.probabilities * np.log(made.probabilities)).sum(axis=1)
    assert made.predictive_entropy == pytest.approx(expected)
    assert (made.mutual_information >= 0).all() and made.mutual_information.max() > 0
    assert (made.mutual_information <= made.predictive_entropy).all()
    assert made.predictions.tolist() == made.probabilities.argmax(axis=1).tolist()
    # The same command gives the same numbers.
    run_script("test_torchvision.py", "-dir", trained, "-save", "new.pth.tar", "-mc_samples", 30)
    assert json.loads(path.read_text(encoding="utf-8")) == content
    page = run_script("calc_model_performance.py", path, trained / "new_results.json")
    assert "## Referring the 1 least certain of 4 images to " in page.stdout
    assert (trained / "new_results_referral.png").exists()
    results = json.loads((trained / "new_results.json").read_text(encoding="utf-8"))
    assert results["Referral"]["referred"] == 1


def test_new_images_get_their_uncertainty_too(call_script, trained, tmp_path):
    path = trained_with_dropout(call_script, trained)
    (trained / "bin" / "notes.txt").write_text("no image")
    out = tmp_path / "new.csv"
    result = call_script(
        "test_torchvision.py", "-save", path, "-images", trained / "bin", "-out", out, "-mc_samples", 8
    )
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(out)
    assert list(table) == [
        "file_name", "predicted_class", "probability_no", "probability_yes", "predictive_entropy", "mutual_information",
        "error",
    ]  # fmt: skip
    read = table[table["error"].isna()]
    assert len(read) == 18 and len(table) == 19
    probabilities = read[["probability_no", "probability_yes"]].to_numpy()
    assert read["predictive_entropy"].to_numpy() == pytest.approx(-(probabilities * np.log(probabilities)).sum(axis=1))
    assert table[table["error"].notna()].iloc[0, 1:6].isna().all()


def test_one_sample_is_too_few(call_script, trained):
    result = call_script("test_torchvision.py", "-dir", trained, "-mc_samples", 1)
    message = "-mc_samples: one sample cannot disagree with itself; give 2 or more; see --help"
    assert (result.returncode, result.stderr) == (2, f"test_torchvision.py: error: {message}\n")


def test_new_images_are_sampled_as_a_partitions_are(call_script, trained, tmp_path):
    path = trained_with_dropout(call_script, trained)
    call_script("test_torchvision.py", "-dir", trained, "-save", "new.pth.tar", "-mc_samples", 4)
    made = predictions.read(trained / "new_preds.json")
    (tmp_path / "images").mkdir()
    for name in made.file_names:
        shutil.copy(trained / "bin" / name, tmp_path / "images")
    out = tmp_path / "new.csv"
    call_script(
        "test_torchvision.py", "-save", path, "-images", tmp_path / "images", "-out", out, "-mc_samples", 4,
        "-batch_size", 2,
    )  # fmt: skip
    table = pd.read_csv(out).set_index("file_name").loc[made.file_names]
    assert table["probability_yes"].to_numpy() == pytest.approx(made.probabilities[:, 1], abs=1e-6)
    assert table["mutual_information"].to_numpy() == pytest.approx(made.mutual_information, abs=1e-6)


def test_a_checkpoint_without_dropout_is_an_error(call_script, trained):
    result = call_script("test_torchvision.py", "-dir", trained, "-save", "small.pth.tar", "-mc_samples", 30)
    path = trained / "models" / "small.pth.tar"
    message = f"-mc_samples: the model of {path} has no dropout to sample from; train one with -dropout 0.2, say"
    assert (result.returncode, result.stderr) == (2, f"test_torchvision.py: error: {message}\n")


def test_a_checkpoint_with_an_impossible_rate_is_an_error(call_script, trained):
    path = trained / "models" / "small.pth.tar"
    torch.save({**torch.load(path, weights_only=True), "dropout": 1.5}, path)
    result = call_script("test_torchvision.py", "-dir", trained, "-save", "small.pth.tar")
    assert result.returncode == 2
    assert f"{path}: dropout is no share from 0 to below 1" in result.stderr
