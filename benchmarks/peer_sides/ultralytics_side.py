"""Ultralytics' classifier as its documentation trains and uses one: FOLDERS OUT EPOCHS SEED.

The network starts from random weights, since Ultralytics' own would have to be downloaded.
"""

import json
import sys
from pathlib import Path

from ultralytics import YOLO

folders, out, epochs, seed = sys.argv[1:]
model = YOLO("yolo26n-cls.yaml")
model.train(
    data=folders, epochs=int(epochs), imgsz=224, batch=25, seed=int(seed), device="cpu", project=Path(out).parent
)
paths = sorted(map(str, Path(folders, "test").glob("*/*")))
results = model.predict(paths, imgsz=224, device="cpu")
found = {Path(path).name: result.probs.data.tolist() for path, result in zip(paths, results, strict=True)}
Path(out).write_text(json.dumps(found))
