"""The table of the front page: every recipe on the same five folds, beside baselines without a network.

    python benchmarks/front_page.py FOLDER WORK [-recipes NAME ...] [-seeds 0 1 2] [OPTION ...]
    python benchmarks/front_page.py brain_mri work -img_shape 3 112 112
    python benchmarks/front_page.py hand_signs work_2 -recipes strong transfer fine-tune -img_shape 3 64 64 --keep_color

FOLDER holds a folder per class and is left as it is. WORK is created, or shared with accuracy.py, whose outer folds
these are. Results are kept there, so that a run that was stopped continues with the recipe that it was at. Give a new
WORK if a recipe has changed.
OPTIONS are those of train_torchvision.py, for the recipe `strong`, which does not set the image size. The seconds are
those of whole commands: all folds trained, tested and evaluated.
"""

import argparse
import json
from pathlib import Path

import accuracy
import measuring

from pipeline import predictions
from pipeline.messages import format_table
from pipeline.performance import baselines
from pipeline.performance.figure_text import score, span

RECIPES = {
    "published": (),
    "strong": ("-recipe", "strong"),
    "transfer": ("-recipe", "transfer"),
    "fine-tune": ("-recipe", "fine-tune"),
}


def measure(project, recipe, seed, options):
    """Train, test and evaluate all folds, once; return (predictions of each fold, seconds, MB)."""
    model, kept = f"{recipe}_front_page_{seed}", project / "results" / f"{recipe}_front_page_{seed}_took.json"
    paths = [project / f"{model}_fold_{fold}_preds.json" for fold in range(accuracy.FOLDS)]
    if not kept.exists():
        folds = ("-dir", project, "-fold", "all", "-save", f"{model}.pth.tar")
        more = options if recipe == "strong" else ()
        took = [
            measuring.run_script("train_torchvision.py", *folds, "-seed", seed, "--overwrite", *RECIPES[recipe], *more),
            measuring.run_script("test_torchvision.py", *folds),
            measuring.run_script("calc_model_performance.py", *paths, project / f"{model}_results.json", "--report"),
        ]
        seconds, memory = sum(each.seconds for each in took), max(each.memory for each in took)
        kept.write_text(json.dumps({"seconds": seconds, "MB": memory}))
    content = json.loads(kept.read_text())
    return [predictions.read(path) for path in paths], content["seconds"], content["MB"]


def baseline_rows(project):
    """Return a row of the table for each simple baseline, measured once on the folds of the project."""
    kept = project / "csv" / "baselines.json"
    if not kept.exists():
        measuring.run_script("partition_datasets.py", "-proj_dir", project, "--baselines")
    rows = []
    for each in baselines.read(kept, json.loads(kept.read_text())["class names"]):
        figures = [
            f"{score(figure.value)} ({span(figure, score)})" if figure.value else ""
            for figure in (each.accuracy, each.auc)
        ]
        rows.append([each.name, "", "", *figures, *[""] * (len(accuracy.HEADER) - 5), ""])
    return rows


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("-recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("-seeds", type=int, nargs="+", default=[0])
    arguments, options = parser.parse_known_args()
    project, _ = accuracy.outer_projects(arguments.folder, arguments.work)[0]
    rows = baseline_rows(project)
    for recipe in arguments.recipes:
        for seed in arguments.seeds:
            folds, seconds, memory = measure(project, recipe, seed, options)
            rows.append([*accuracy.row(recipe, seed, folds, seconds), f"{memory:.0f}"])
    print(measuring.machine("torch", "torchvision"))
    print()
    print(format_table([*accuracy.HEADER, "MB"], rows))


if __name__ == "__main__":
    main()
