"""What a user could pick instead, on the same folds: from class folders to the predictions of the test images.

    pip install -r benchmarks/requirements.txt
    python benchmarks/peers.py FOLDER WORK transfer fine-tune timm [-timm CHECKOUT] [-seeds 0 1 2]

FOLDER holds a folder per class and is left as it is; WORK is created, or shared with accuracy.py, whose outer folds
these are, and keeps what was measured. Every peer trains on a fold's training images, may look at its validation images
and predicts its test images, in processes of its own; the seconds are those of the whole commands. All start from the
same ImageNet weights of EfficientNet-Lite0, but ultralytics, whose own weights cannot be installed with pip: it starts
from random ones. timm's scripts are not part of its package: CHECKOUT is a copy of its repository.
"""

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import accuracy
import measuring
import numpy as np
import torch

from pipeline import predictions, split_files
from pipeline.learning.efficientnet_lite import EfficientNet_Lite0_Weights
from pipeline.messages import format_table
from pipeline.predictions import Predictions
from pipeline.project import Project

PARTITIONS = ("train", "val", "test")
THREADS = 2


@dataclass(frozen=True)
class Task:
    """What a peer is to do: a fold of a project, as class folders too."""

    project: Project
    fold: int
    folders: Path  # folders/train/CLASS/IMAGE, and val and test
    seed: int
    work: Path  # a folder for what the peer writes
    timm: Path  # copy of timm's repository


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
    """timm's train.py and inference.py: all layers, AdamW at 0.0002 for 20 epochs, its default augmentation."""
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
        "--pretrained-path", weights, "--batch-size", 25, "--epochs", 20, "--warmup-epochs", 2, "--opt", "adamw",
        "--lr", 2e-4, "--weight-decay", 0.05, "--seed", task.seed, "--output", task.work, "--experiment", "run",
        "--checkpoint-hist", 1,
    )  # fmt: skip
    best = task.work / "run" / "model_best.pth.tar"
    tested = measuring.run(
        task.timm / "inference.py", *common, "--split", "test", "--checkpoint", best,
        "--batch-size", 100, "--topk", len(classes), "--include-index", "--results-dir", task.work,
        "--results-file", "test", "--results-format", "json", "--no-console-results", "--fullname",
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

    own = EfficientNet_Lite0_Weights.DEFAULT.get_state_dict()
    names = timm.create_model("tf_efficientnet_lite0").state_dict()
    pairs = zip(*([n for n in names if "num_batches" not in n] for names in (names, own)), strict=True)
    return {theirs: own[name] for theirs, name in pairs}


PEERS = {"transfer": ours("transfer"), "fine-tune": ours("fine-tune"), "strong": ours("strong"), "timm": timm}


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
        probabilities, commands = PEERS[peer](task)
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
        split="test",
    )
    return predicted, content["seconds"], content["memory"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("peers", nargs="+", choices=PEERS)
    parser.add_argument("-seeds", type=int, nargs="+", default=[0])
    parser.add_argument("-timm", type=Path, help="copy of timm's repository")
    arguments = parser.parse_args()
    rows = []
    for seed in arguments.seeds:
        for peer in arguments.peers:
            folds, seconds, memory = [], 0.0, 0.0
            for root, fold in accuracy.outer_projects(arguments.folder, arguments.work):
                project = Project(root)
                folders = class_folders(project, fold, arguments.work / "class_folders" / f"fold_{fold}")
                work = arguments.work / "peers" / f"{peer}_{seed}_{fold}"
                predicted, took, most = measure(peer, Task(project, fold, folders, seed, work, arguments.timm))
                folds.append(predicted)
                seconds, memory = seconds + took, max(memory, most)
            rows.append([*accuracy.row(peer, seed, folds, seconds), f"{memory:.0f}"])
    print(measuring.machine("torch", "torchvision"))
    print()
    print(format_table([*accuracy.HEADER, "MB"], rows))


if __name__ == "__main__":
    main()
