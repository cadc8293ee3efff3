"""AutoGluon's predictor as its tutorial on images fits one: FOLDERS OUT EPOCHS SEED CHECKPOINT."""

import json
import sys
from pathlib import Path

import pandas as pd
from autogluon.multimodal import MultiModalPredictor


def table(folders, partition):
    paths = sorted(Path(folders, partition).glob("*/*"))
    return pd.DataFrame({"image": list(map(str, paths)), "label": [path.parent.name for path in paths]})


if __name__ == "__main__":  # its loaders start this file again
    folders, out, epochs, seed, checkpoint = sys.argv[1:]
    predictor = MultiModalPredictor(label="label", path=str(Path(out).with_name("model")))
    predictor.fit(
        train_data=table(folders, "train"),
        tuning_data=table(folders, "val"),
        hyperparameters={
            "model.names": ["timm_image"],
            "model.timm_image.checkpoint_name": checkpoint,
            "env.batch_size": 25,
            "env.per_gpu_batch_size": 25,
            "optim.max_epochs": int(epochs),
        },
        seed=int(seed),
    )
    test = table(folders, "test")
    rows = predictor.predict_proba(test, as_pandas=True).sort_index(axis=1).to_numpy().tolist()
    found = {Path(path).name: row for path, row in zip(test["image"], rows, strict=True)}
    Path(out).write_text(json.dumps(found))
