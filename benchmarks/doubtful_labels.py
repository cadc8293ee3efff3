"""Whether the list of doubtful labels finds wrong ones: how many of some flipped labels are at its top?

    OMP_NUM_THREADS=1 python benchmarks/doubtful_labels.py WORK

Draws 300 heads of two classes (half of them with a lesion) and takes 400 of scikit-learn's handwritten digits. In each
set 3% of the labels, chosen at random, are changed to another class before the split. Five folds are trained with
-recipe transfer at 112 x 112 pixels, and the images are ranked by our label quality and by cleanlab's two scores.
Two seeds choose which labels are changed.
"""

import argparse
import shutil
from pathlib import Path

import measuring
import numpy as np
import pandas as pd

import demo
from pipeline import predictions
from pipeline.learning.doubtful_labels import label_quality
from pipeline.messages import format_table

FLIPPED = 0.03
SEEDS = 2
SETS = ("drawn heads", "digits")
HEADER = ["images", "seed", "accuracy", "flipped", "listed", "ranking", "in the first 3%", "in the first 6%"]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("work", type=Path, help="folder to create; what is there already is used again")
    work = parser.parse_args().work
    print(measuring.machine("torch", "torchvision", "cleanlab"))
    rows = []
    for seed in range(SEEDS):
        for name in SETS:
            folder = work / name
            if not folder.exists():
                draw(name, folder)
            rows += measure(name, folder, work / f"{name} {seed}", seed)
            print(format_table(HEADER, rows), flush=True)  # so far


def draw(name, folder):
    """Create the class folders of a set."""
    if name == "digits":
        measuring.run(Path(__file__).with_name("sets.py"), "digits", folder, 400)
    else:
        demo.draw_phantoms(folder, {"no": 150, "yes": 150}, sizes=(128, 256))


def measure(name, folder, project, seed):
    """Return the rows for a set whose labels a seed has changed, one for each ranking."""
    from cleanlab.rank import get_label_quality_scores  # only here, since the tests import this file without it

    flipped = flip(folder, project, seed)
    measuring.run_script("partition_datasets.py", "-proj_dir", project, "-folds", 5)
    measuring.run_script("organize_files.py", project)
    measuring.run_script(
        "train_torchvision.py",
        "-dir",
        project,
        "-fold",
        "all",
        "-recipe",
        "transfer",
        "-img_shape",
        3,
        112,
        112,
        "-save",
        "m.pth.tar",
    )
    measuring.run_script("test_torchvision.py", "-dir", project, "-fold", "all", "-doubtful_labels", "doubt.html")
    found = [predictions.read(path) for path in sorted(project.glob("m_fold_*_preds.json"))]
    labels, probabilities = (
        np.concatenate([getattr(fold, what) for fold in found]) for what in ("labels", "probabilities")
    )
    images = pd.read_csv(project / "csv" / "images.csv", dtype=str).set_index("file_name")["source"]
    wrong = np.array([images[file_name] in flipped for fold in found for file_name in fold.file_names])
    rankings = {
        "ours": label_quality(labels, probabilities),
        "cleanlab, normalized margin": get_label_quality_scores(labels, probabilities, method="normalized_margin"),
        "cleanlab, self-confidence": get_label_quality_scores(labels, probabilities, method="self_confidence"),
    }
    doubted = probabilities.argmax(axis=1) != labels
    listed = f"{(wrong & doubted).sum()} in {doubted.sum()}"
    common = [name, seed, f"{1 - doubted.mean():.3f}", f"{wrong.sum()} of {len(labels)}", listed]
    return [
        [*common, ranking, *(hits(wrong, scores, times) for times in (1, 2))] for ranking, scores in rankings.items()
    ]


def flip(folder, project, seed):
    """Copy class folders into a project and move some images into another class; return their sources there."""
    shutil.rmtree(project, ignore_errors=True)
    measuring.copy_class_folders(folder, project)
    random = np.random.default_rng(seed)
    paths = sorted(project.glob("*/*"))
    classes = sorted({path.parent.name for path in paths})
    moved = set()
    for index in random.choice(len(paths), round(FLIPPED * len(paths)), replace=False):
        path = paths[index]
        other = random.choice([one for one in classes if one != path.parent.name])
        moved.add(f"{other}/{path.name}")
        path.rename(project / other / path.name)
    return moved


def hits(wrong, scores, times):
    """Return how many wrong labels are among the lowest scores, `times` as many as 3% of the images."""
    first = np.argsort(scores, kind="stable")[: round(times * FLIPPED * len(scores))]
    return int(wrong[first].sum())


if __name__ == "__main__":
    main()
