from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import nn

from pipeline.errors import UserError
from pipeline.learning import familiarity
from pipeline.learning.preprocessing import Preprocessing

pytestmark = pytest.mark.filterwarnings("error")


def test_percentiles_are_conformal():
    validated = torch.arange(1.0, 20.0)  # 19 distances
    found = familiarity.percentiles(torch.tensor([0.5, 10.0, 19.0, 19.5]), validated)
    assert found == pytest.approx([0, 45, 90, 95])


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("count", [3, 9])
def test_an_image_is_compared_with_the_nearest_and_with_the_fifth_nearest_training_image(count, flips):
    random = torch.Generator().manual_seed(0)
    model, pixels = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.randint(1, 256, (6, 1, 2, 2), generator=random)
    features = nn.functional.normalize(torch.rand(count, 4, generator=random)).half()
    validated = torch.linspace(0, 1, 50)
    reference = {"features": features, "names": [f"{number}.png" for number in range(count)], "distances": validated}
    classifier = SimpleNamespace(
        model=model, preprocessing=Preprocessing(1, 2, 2, average_flips=flips), last_layer=model[1], path="m.pth.tar",
        checkpoint=SimpleNamespace(reference=reference),
    )  # fmt: skip
    outputs = familiarity.predict_and_compare(classifier, pixels.to(torch.uint8), None)
    seen = (pixels + pixels.flip(-1)) / 2 if flips else pixels
    search = NearestNeighbors(n_neighbors=min(5, count)).fit(features.float())
    distances, indices = search.kneighbors(nn.functional.normalize(seen.flatten(1).float()))
    assert outputs.nearest.tolist() == [f"{index}.png" for index in indices[:, 0]]
    assert (outputs.percentile == familiarity.percentiles(torch.from_numpy(distances[:, -1].copy()), validated)).all()
    reference["features"] = features[:, 1:]
    with pytest.raises(UserError, match=r"^m\.pth\.tar: "):
        familiarity.predict_and_compare(classifier, pixels.to(torch.uint8), None)


@pytest.mark.parametrize(("count", "cells"), [(18, {""}), (19, {"yes"})])
def test_the_question_is_left_open_where_no_image_could_be_called_unlike(call_script, trained, tmp_path, count, cells):
    path, out = trained / "models" / "small.pth.tar", tmp_path / "new.csv"
    checkpoint = torch.load(path, weights_only=True)
    # Every image is farther away than all of the validation images.
    checkpoint["reference"]["distances"] = torch.full((count,), 1e-9)
    torch.save(checkpoint, path)
    result = call_script("test_torchvision.py", "-save", path, "-images", trained / "bin", "-out", out)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(out, keep_default_na=False).set_index("file_name")
    assert set(table["unlike_training"]) == cells
    assert ("unlike_training" in result.stderr) == (cells == {""})


def test_the_columns_are_those_of_an_independent_search(call_script, trained, tmp_path):
    path, out = trained / "models" / "small.pth.tar", tmp_path / "new.csv"
    reference = torch.load(path, weights_only=True)["reference"]
    assert (len(reference["names"]), len(reference["distances"])) == (9, 5)
    assert (reference["features"].dtype, reference["features"].norm(dim=1).round(decimals=2).unique().item()) == (
        torch.float16,
        1.0,
    )
    result = call_script("test_torchvision.py", "-save", path, "-images", trained / "bin", "-out", out)
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(out).set_index("file_name")
    # Features of length 1 that are rounded to float16 are this far from what they were, at most.
    rounding = 2**-11
    # A training image is its own nearest: its features are in the checkpoint.
    for name, row in zip(reference["names"], reference["features"].float().numpy(), strict=True):
        search = NearestNeighbors(n_neighbors=5).fit(reference["features"].float().numpy())
        distances, _ = search.kneighbors(row[np.newaxis])
        lowest, highest = (
            100 * (1 - (1 + (reference["distances"].numpy() >= distances[0, -1] + error).sum()) / 6)
            for error in (-rounding, rounding)
        )
        assert lowest - 0.1 <= table.loc[name, "distance_percentile"] <= highest
    # Five validation images are too few to call anything unusual, and to say that it is not.
    assert table["unlike_training"].isna().all()
    assert result.stderr.count("unlike_training") == 1
    assert set(table["nearest_training_image"]) <= set(reference["names"])
