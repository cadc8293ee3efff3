"""A fastai learner as its first tutorial fine-tunes one: FOLDERS OUT EPOCHS SEED WEIGHTS."""

import json
import sys
from pathlib import Path

from fastai.vision.all import (
    ImageDataLoaders,
    Resize,
    accuracy,
    aug_transforms,
    get_image_files,
    set_seed,
    vision_learner,
)

folders, out, epochs, seed, weights = sys.argv[1:]
set_seed(int(seed), reproducible=True)
data = ImageDataLoaders.from_folder(
    folders, train="train", valid="val", item_tfms=Resize(224), batch_tfms=aug_transforms(), bs=25
)
learner = vision_learner(
    data, "tf_efficientnet_lite0", metrics=accuracy, pretrained_cfg_overlay={"file": weights}
)  # the overlay only replaces the download
learner.fine_tune(int(epochs))
paths = get_image_files(Path(folders, "test"))
probabilities, _ = learner.get_preds(dl=data.test_dl(paths))
Path(out).write_text(json.dumps({path.name: row.tolist() for path, row in zip(paths, probabilities, strict=True)}))
