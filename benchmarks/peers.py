"""What a user could choose instead, on the same folds: from class folders to the predictions of the test images.

    python benchmarks/peers.py FOLDER WORK transfer fine-tune [-folds 0 1] [-seeds 0 1 2]
    python benchmarks/peers.py FOLDER WORK timm -timm CHECKOUT
    python benchmarks/peers.py FOLDER WORK ultralytics fastai autogluon -python fastai=venv/bin/python ...

FOLDER holds a folder per class and is left as it is; WORK is created, or shared with accuracy.py, whose outer folds
these are, and keeps what was measured. Every peer trains on a fold's training images, may look at its validation images
and predicts its test images, in processes of its own; the seconds are those of the whole commands. All settings that
are not named here are the peer's defaults:

    transfer, fine-tune, strong   recipes of train_torchvision.py
    timm         train.py and inference.py, AdamW at 0.0002; CHECKOUT is a copy of timm's repository, since they are
                 not part of its package
    ultralytics  yolo26n-cls, its smallest, for its default of 100 epochs from random weights: its own need a download
    fastai       vision_learner and fine_tune, one epoch of which only trains the last layers
    autogluon    MultiModalPredictor with one timm model

All but ultralytics and strong start from the same ImageNet weights of EfficientNet-Lite0. All peers but ours train with
224 x 224 pixels in batches of 25 images, all but ultralytics for 20 epochs. Their requirements contradict one another:
for each peer that is not in this environment, create another (python -m venv venv; venv/bin/pip install fastai timm, or
ultralytics, or autogluon.multimodal), and name its Python with -python.

"lines" are the lines that a user types: our four commands; timm's two, which together have over 30 options; for the
others the lines of code of peer_sides/, one per statement. Our commands also split the images into training, validation
and test images; the others get these as folders, and no lines are counted for that.
"""

import argparse
import ast
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import accuracy
import measuring
import numpy as np
import torch
from torchvision.models import get_model_weights

from pipeline import image_table, predictions, split_files
from pipeline.learning import efficientnet_lite  # noqa: F401 - registers its models
from pipeline.messages import format_table
from pipeline.predictions import Predictions
from pipeline.project import Project

PARTITIONS = ("train", "val", "test")
SIDES = Path(__file__).parent / "peer_sides"
THREADS = 2
EPOCHS = {"ultralytics": 100, "fastai": 20, "autogluon": 20, "timm": 20}


@dataclass(frozen=True)
class Task:
    """What a peer is to do: a fold of a project, as class folders too."""

    project: Project
    fold: int
    folders: Path  # folders/train/CLASS/IMAGE, and val and test
    seed: int
    work: Path  # a folder for what the peer writes
    timm: Path  # copy of timm's repository
    python: str  # path of the Python that has the peer


def ours(recipe):
    """Return the peer that is a recipe of train_torchvision.py."""

    def run(task):
        model = f"{recipe}_peer_{task.seed}.pth.tar"
        fold = ("-dir", task.project.root, "-fold", task.fold, "-save", model)
        trained = measuring.run_script(
            "train_torchvision.py", *fold, "-recipe", recipe, "-seed", task.seed, "--overwrite"
        )
        tested = measuring.run_script("test_torchvision.py", *fold)
        found = predictions.read(task.project.root / f"{recipe}_peer_{task.seed}_fold_{task.fold}_preds.json")
        return dict(zip(found.file_names, found.probabilities, strict=True)), [trained, tested]

    return run


def timm(task):
    """timm's train.py and inference.py: all layers, its default augmentation."""
    weights = task.work / "weights.pth"
    torch.save(timm_weights(), weights)
    classes = split_files.read_class_names(task.project, task.fold)
    (task.work / "classes.txt").write_text("\n".join(classes))
    common = (
        "--data-dir", task.folders, "--model", "tf_efficientnet_lite0", "--num-classes", len(classes),
        "--class-map", task.work / "classes.txt", "--device", "cpu", "--channels-last", "--amp",
        "--amp-dtype", "bfloat16", "--workers", THREADS,
    )  # fmt: skip
    trained = measuring.run(
        task.timm / "train.py", *common, "--train-split", "train", "--val-split", "val", "--pretrained",
        "--pretrained-path", weights, "--batch-size", 25, "--epochs", EPOCHS["timm"], "--warmup-epochs", 2,
        "--opt", "adamw", "--lr", 2e-4, "--weight-decay", 0.05, "--seed", task.seed, "--output", task.work,
        "--experiment", "run", "--checkpoint-hist", 1, python=task.python,
    )  # fmt: skip
    best = task.work / "run" / "model_best.pth.tar"
    tested = measuring.run(
        task.timm / "inference.py", *common, "--split", "test", "--checkpoint", best,
        "--batch-size", 100, "--topk", len(classes), "--include-index", "--results-dir", task.work,
        "--results-file", "test", "--results-format", "json", "--no-console-results", "--fullname", python=task.python,
    )  # fmt: skip
    found = {}
    for name, entry in json.loads((task.work / "test.json").read_text()).items():
        probabilities = np.zeros(len(classes))
        probabilities[entry["index"]] = entry["prob"]
        found[Path(name).name] = probabilities
    return found, [trained, tested]


def timm_weights():
    """Return the weights of EfficientNet-Lite0 under timm's names; the entries are in the same order."""
    import timm

    own = get_model_weights("efficientnet_lite0").DEFAULT.get_state_dict()
    names = timm.create_model("tf_efficientnet_lite0").state_dict()
    pairs = zip(*([n for n in names if "num_batches" not in n] for names in (names, own)), strict=True)
    return {theirs: own[name] for theirs, name in pairs}


def side(name, start):
    """Return the peer that is a script of peer_sides/; start(task) returns the weights to start from, in a list."""

    def run(task):
        out = task.work / "probabilities.json"
        script = SIDES / f"{name}_side.py"
        took = measuring.run(script, task.folders, out, EPOCHS[name], task.seed, *start(task), python=task.python)
        return json.loads(out.read_text()), [took]

    return run


def random_weights(task):
    return []


def weights_file(task):
    path = task.work / "weights.pth"
    torch.save(timm_weights(), path)
    return [path]


def autogluon_checkpoint(task):
    """Write what AutoGluon takes as a timm model's local checkpoint: weights without the classifier, and settings."""
    folder = task.work / "checkpoint"
    folder.mkdir()
    kept = {name: value for name, value in timm_weights().items() if not name.startswith("classifier")}
    torch.save(kept, folder / "pytorch_model.bin")
    images = {"input_size": [3, 224, 224], "mean": [0.5] * 3, "std": [0.5] * 3}
    settings = {"architecture": "tf_efficientnet_lite0", "num_features": 1280, "pretrained_cfg": images}
    (folder / "config.json").write_text(json.dumps(settings))
    return [folder]


def count_lines(name):
    """Return how many lines of code a script of peer_sides/ has, without its docstring, one per statement."""
    _, *statements = ast.parse((SIDES / f"{name}_side.py").read_text()).body
    return sum(len(ast.unparse(statement).splitlines()) for statement in statements)


@dataclass(frozen=True)
class Peer:
    """One way to do a Task: run returns {file name: probabilities} of the test images, and what the commands took."""

    run: Callable
    lines: int  # that the user types


OURS = {"transfer", "fine-tune", "strong"}
PEERS = {
    "transfer": Peer(ours("transfer"), 4),
    "fine-tune": Peer(ours("fine-tune"), 4),
    "strong": Peer(ours("strong"), 4),
    "timm": Peer(timm, 2),
    "ultralytics": Peer(side("ultralytics", random_weights), count_lines("ultralytics")),
    "fastai": Peer(side("fastai", weights_file), count_lines("fastai")),
    "autogluon": Peer(side("autogluon", autogluon_checkpoint), count_lines("autogluon")),
}


def class_folders(project, fold, folder):
    """Copy the images of a fold into folder/PARTITION/CLASS/IMAGE, once."""
    if not folder.exists():
        names = split_files.read_class_names(project, fold)
        for partition in PARTITIONS:
            split = split_files.read_split(project, partition, fold)
            for name, label in zip(split.file_names, split.labels, strict=True):
                place = folder / partition / names[label]
                place.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(project.bin / name, place / name)
    return folder


def measure(peer, task):
    """Return a peer's Predictions of a Task, and what its commands took, kept for the next time."""
    kept = task.work / "measured.json"
    if not kept.exists():
        shutil.rmtree(task.work, ignore_errors=True)
        task.work.mkdir(parents=True)
        probabilities, commands = PEERS[peer].run(task)
        kept.write_text(
            json.dumps(
                {
                    "probabilities": {name: list(map(float, row)) for name, row in probabilities.items()},
                    "seconds": sum(command.seconds for command in commands),
                    "memory": max(command.memory for command in commands),
                }
            )
        )
    content = json.loads(kept.read_text())
    split = split_files.read_split(task.project, "test", task.fold)
    rows = np.array([content["probabilities"][name] for name in split.file_names])
    predicted = Predictions(
        labels=np.array(split.labels),
        predictions=rows.argmax(axis=1),
        probabilities=rows / rows.sum(axis=1, keepdims=True),
        class_names=split_files.read_class_names(task.project, task.fold),
        positive_class=None,
        file_names=split.file_names,
        groups=image_table.groups_of(task.project, split.file_names),
        split="test",
        fold=task.fold,
    )
    return predicted, content["seconds"], content["memory"]


def named_python(text):
    """Return (name of a peer, path of its Python) of NAME=PATH."""
    name, _, path = text.partition("=")
    if name not in PEERS or not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"{text}: NAME=PATH expected, the name of a peer and an existing Python")
    return name, path


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("peers", nargs="+", choices=PEERS)
    parser.add_argument("-seeds", type=int, nargs="+", default=[0])
    parser.add_argument("-folds", type=int, nargs="+", default=range(accuracy.FOLDS), help="only these folds")
    parser.add_argument("-timm", type=Path, help="copy of timm's repository")
    parser.add_argument(
        "-python", type=named_python, nargs="+", default=[], metavar="NAME=PATH", help="the Python that has a peer"
    )
    arguments = parser.parse_args()
    pythons = dict(arguments.python)
    if "timm" in arguments.peers and arguments.timm is None:
        parser.error("timm needs -timm CHECKOUT, a copy of its repository")
    for name in pythons:
        if name not in set(arguments.peers) - OURS:
            parser.error(f"-python {name}=: has no effect; the peers to be measured are {' '.join(arguments.peers)}")
    projects = [(Project(root), fold) for root, fold in accuracy.outer_projects(arguments.folder, arguments.work)]
    rows = []
    for seed in arguments.seeds:
        for peer in arguments.peers:
            folds, seconds, memory = [], 0.0, 0.0
            for project, fold in projects:
                if fold not in arguments.folds:
                    continue
                folders = class_folders(project, fold, arguments.work / "class_folders" / f"fold_{fold}")
                work = (arguments.work / "peers" / f"{peer}_{seed}_{fold}").resolve()
                python = pythons.get(peer, sys.executable)
                task = Task(project, fold, folders.resolve(), seed, work, arguments.timm, python)
                predicted, took, most = measure(peer, task)
                folds.append(predicted)
                seconds, memory = seconds + took, max(memory, most)
            rows.append([*accuracy.row(peer, seed, folds, seconds), f"{memory:.0f}", PEERS[peer].lines])
    print(measuring.machine("torch", "torchvision"))
    print()
    print(format_table([*accuracy.HEADER, "MB", "lines"], rows))


if __name__ == "__main__":
    main()
