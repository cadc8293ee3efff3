"""What --explain, -mc_samples and --report cost: seconds and peak memory of the commands with and without them.

    python benchmarks/extras.py FOLDER [-repeats 3] [OPTIONS OF train_torchvision.py]

FOLDER holds a folder per class and is left as it is. A model is trained for one epoch, with dropout; then all ways of
testing it on the training images, of predicting the same as new images, and of calculating the performance run in
turn. Medians, and ratios to the plain command. Unix only.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import measuring

from pipeline.messages import format_table


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("-repeats", type=int, default=3)
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        measuring.make_project(arguments.folder, project)
        measuring.run_script(
            "train_torchvision.py", "-dir", project, *options, "-num_epochs", 1, "-dropout", 0.2, "-save", "m.pth.tar"
        )
        commands = make_commands(project)
        found = {key: [] for key in commands}
        for _ in range(arguments.repeats):
            for key, command in commands.items():
                found[key].append(measuring.run_script(*command))
        count = measuring.count_images(project, "train")
    rows = []
    for (what, extra), runs in found.items():
        seconds = [run.seconds for run in runs]
        plain = statistics.median(run.seconds for run in found[what, ""])
        rows.append(
            [
                what,
                extra,
                f"{statistics.median(seconds):.1f}",
                f"{min(seconds):.1f} to {max(seconds):.1f}",
                f"{statistics.median(seconds) / plain:.2f}",
                f"{statistics.median(run.memory for run in runs):.0f}",
            ]
        )
    print(f"{measuring.machine('torch', 'torchvision')}; {count} images\n")
    print(format_table(["command", "with", "seconds", "range", "ratio", "peak memory (MB)"], rows))


def make_commands(project):
    """Return {(what it does, option): script and arguments}, each plain command before those with an option."""
    test = ("test_torchvision.py", "-dir", project, "-split", "train")
    new = ("test_torchvision.py", "-dir", project, "-images", project / "bin", "-out", project / "new.csv")
    calc = ("calc_model_performance.py", project / "m_train_preds.json", project / "m_results.json")
    samples, explain = ("-mc_samples", 30), ("--explain",)
    return {
        ("test", ""): test,
        ("test", "-mc_samples 30"): (*test, *samples),
        ("test", "--explain"): (*test, *explain),
        ("new images", ""): new,
        ("new images", "-mc_samples 30"): (*new, *samples),
        ("new images", "--explain"): (*new, *explain),
        ("calc", ""): calc,
        ("calc", "--report"): (*calc, "--report"),
    }


if __name__ == "__main__":
    main()
