import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from pipeline.learning import familiarity

pytestmark = pytest.mark.filterwarnings("error")


def test_percentiles_are_conformal():
    validated = torch.arange(1.0, 20.0)  # 19 distances
    found = familiarity.percentiles(torch.tensor([0.5, 10.0, 19.0, 19.5]), validated)
    assert found == pytest.approx([0, 45, 90, 95])


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
    # A training image is its own nearest: its features are in the checkpoint.
    for name, row in zip(reference["names"], reference["features"].float().numpy(), strict=True):
        search = NearestNeighbors(n_neighbors=5).fit(reference["features"].float().numpy())
        distances, _ = search.kneighbors(row[np.newaxis])
        expected = 100 * (1 - (1 + (reference["distances"].numpy() >= distances[0, -1]).sum()) / 6)
        assert table.loc[name, "distance_percentile"] == pytest.approx(expected, abs=17)  # float16 may change a rank
    # Five validation images are too few to call anything unusual.
    assert set(table["unlike_training"]) == {"no"}
    assert set(table["nearest_training_image"]) <= set(reference["names"])
