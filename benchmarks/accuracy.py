"""Accuracy of a way of training, in grouped 5-fold cross-validation, over all images of FOLDER and several seeds.

    python benchmarks/accuracy.py FOLDER WORK NAME [-seeds 0 1 2] [--inner] [-leave_out IMAGE ...] [OPTION ...]
    python benchmarks/accuracy.py brain_mri work published
    python benchmarks/accuracy.py brain_mri work strong -recipe strong

FOLDER holds a folder per class and is left as it is; WORK is created, and keeps every fold's model and predictions
under NAME, so that a run that was stopped continues where it was. OPTIONs are those of train_torchvision.py. Every
image is tested once per seed, by a model that has seen neither it nor its near-duplicates. With --inner, for choosing
settings, no outer test image takes part: each fold's training and validation images are split once more, and the fifth
of them that is held out is tested. The images of -leave_out are trained on and predicted as usual, but not counted in
the figures.
"""

import argparse
import glob
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import measuring
import numpy as np
import pandas as pd

from pipeline import predictions
from pipeline.messages import format_table
from pipeline.performance.figure_text import score, span
from pipeline.performance.folds import pool
from pipeline.performance.summary import summarize

FOLDS = 5
HEADER = [
    "name",
    "seed",
    "correct",
    "accuracy",
    "ROC-AUC, mean of folds",
    "kappa",
    "log loss",
    "folds: range, spread",
    "seconds",
]


def outer_projects(folder, work):
    """Return [(project, fold)] of the outer cross-validation, which is created if it does not exist yet."""
    project = work / "outer"
    if not (project / "bin").exists():
        shutil.rmtree(project, ignore_errors=True)
        measuring.make_project(folder, project, "-folds", FOLDS)
    return [(project, fold) for fold in range(FOLDS)]


def inner_projects(folder, work):
    """Return [(project, fold)]: a project of each outer fold's training and validation images, and a fold of it."""
    projects = []
    for outer, fold in outer_projects(folder, work):
        project = work / f"inner_{fold}"
        if not (project / "bin").exists():
            shutil.rmtree(project, ignore_errors=True)
            measuring.copy_class_folders(folder, project)
            images = pd.read_csv(outer / "csv" / "images.csv", dtype=str)
            tested = pd.read_csv(outer / "csv" / f"fold_{fold}" / "test.csv", header=None)[0]
            for source in images["source"][images["file_name"].isin(tested)]:
                (project / source).unlink()
            measuring.run_script("partition_datasets.py", "-proj_dir", project, "-folds", FOLDS)
            measuring.run_script("organize_files.py", project)
        projects.append((project, fold))
    return projects


def without(predicted, left_out):
    """Return Predictions without the images of some file names."""
    keep = ~np.isin(predicted.file_names, left_out)
    kept = {name: getattr(predicted, name)[keep] for name in ("labels", "predictions", "probabilities")}
    groups = predicted.groups and np.array(predicted.groups)[keep].tolist()
    names = [name for name in predicted.file_names if name not in left_out]
    return replace(predicted, **kept, file_names=names, groups=groups)


def measure(projects, name, seed, left_out, options):
    """Train and test a model of each project; return the folds' Predictions, and the seconds of all epochs."""
    model, folds, seconds = f"{name}_seed_{seed}", [], 0.0
    for project, fold in projects:
        measuring.run_script(
            "train_torchvision.py", "-dir", project, "-fold", fold, "-save", f"{model}.pth.tar", "-seed", seed,
            "--resume", *options,
        )  # fmt: skip
        measuring.run_script("test_torchvision.py", "-dir", project, "-fold", fold, "-save", f"{model}.pth.tar")
        folds.append(without(predictions.read(project / f"{model}_fold_{fold}_preds.json"), left_out))
        seconds += sum(measuring.epoch_seconds(project, f"{model}_fold_{fold}"))
    return folds, seconds


def row(name, seed, folds, seconds):
    """Return a row of the table: the report's figures of the folds, with their intervals, and the spread."""
    results = summarize(pool(folds, each_image_once=False))  # inner folds share images
    accuracies = [(fold.labels == fold.predictions).mean() for fold in folds]
    return [
        name,
        seed,
        results.accuracy.counts,
        f"{score(results.accuracy.value)} ({span(results.accuracy, score)})",
        f"{score(results.main.auc.value)} ({span(results.main.auc, score)})",
        f"{score(results.kappa.value)} ({span(results.kappa, score)})",
        score(results.log_loss.value),
        f"{min(accuracies):.2f} to {max(accuracies):.2f}, {statistics.stdev(accuracies):.3f}" if len(folds) > 1 else "",
        f"{seconds:.0f}",
    ]


def agreement(seeds):
    """Return a sentence on the images that are correct with every seed, and those that are wrong with every seed.

    `seeds` holds the Predictions of all folds for each seed; every image is in one of the folds.
    """
    names = [name for fold in seeds[0] for name in fold.file_names]
    correct = np.array([np.concatenate([fold.labels == fold.predictions for fold in folds]) for folds in seeds])
    wrong = [name for name, ever in zip(names, correct.any(axis=0), strict=True) if not ever]
    return (
        f"With every seed {correct.all(axis=0).sum()} of {len(names)} images are correct, and {len(wrong)} wrong"
        + "".join(f"\n  {name}" for name in wrong)
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("name")
    parser.add_argument("-seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--inner", action="store_true")
    parser.add_argument("-leave_out", nargs="+", default=[], help="file names of images not to be counted")
    arguments, options = parser.parse_known_args()
    absent = [name for name in arguments.leave_out if not any(arguments.folder.glob(f"*/{glob.escape(name)}"))]
    if absent:
        parser.error(f"-leave_out: no such image in {arguments.folder}: {', '.join(absent)}")
    projects = (inner_projects if arguments.inner else outer_projects)(arguments.folder, arguments.work)
    measured = [measure(projects, arguments.name, seed, arguments.leave_out, options) for seed in arguments.seeds]
    rows = [row(arguments.name, seed, *result) for seed, result in zip(arguments.seeds, measured, strict=True)]
    print(measuring.machine("torch", "torchvision"))
    print()
    print(format_table(HEADER, rows))
    if len(measured) > 1 and not arguments.inner:
        print()
        print(agreement([folds for folds, _ in measured]))


if __name__ == "__main__":
    main()
