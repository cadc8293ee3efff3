"""How soon each script answers: its help, errors, and a test of few images, beside bare Python and importing torch.

    python benchmarks/start_up.py FOLDER [-repeats N]

FOLDER holds class folders of images; a copy is partitioned and organized, and resnet18 trained for one epoch. Every
command then runs once per repeat, one after the other; the table has the medians. Unix only.
"""

import statistics
import tempfile
from pathlib import Path

import measuring

from pipeline import command_line
from pipeline.command_line import add_option
from pipeline.messages import format_table
from pipeline.readers import folder_path, whole_number

BARE, IMPORTING = "python -c pass", "python -c 'import torch, torchvision'"
SCRIPTS = (
    "partition_datasets.py",
    "organize_files.py",
    "train_torchvision.py",
    "test_torchvision.py",
    "calc_model_performance.py",
)


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Measure how soon each script answers, beside bare Python and importing torch.\n\n"
        "reads:  FOLDER, class folders of images\nwrites: a table on standard output",
        "python benchmarks/start_up.py FOLDER",
    )
    parser.add_argument("FOLDER", type=folder_path, help="class folders of images; copied, never changed")
    add_option(parser, "-repeats", metavar="N", type=whole_number(), default=7, help="of each command (default: 7)")
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder, "project")
        measuring.make_project(options.FOLDER, project)
        measuring.run_script("train_torchvision.py", "-dir", project, "-num_epochs", 1)
        measuring.run_script("test_torchvision.py", "-dir", project)
        repeats = [measure(commands(project)) for _ in range(options.repeats)]
        images = measuring.count_images(project, "test")
    print(measuring.machine("torch", "torchvision"))
    print_table(repeats, images)


def commands(project):
    """Return {what is measured: (arguments of Python, exit status)}."""
    scripts = {script: measuring.SCRIPTS / script for script in SCRIPTS}
    train, test = ([scripts[f"{name}_torchvision.py"], "-dir", project] for name in ("train", "test"))
    partition, organize, calc = scripts[SCRIPTS[0]], scripts[SCRIPTS[1]], scripts[SCRIPTS[4]]
    predictions, results = project / "resnet18_preds.json", project / "resnet18_results.json"
    faults = {
        "partition: no such folder": [partition, "-proj_dir", project / "none"],
        "organize: no such folder": [organize, project / "none"],
        "train: a model's name": [*train, "-architecture", "resnet19"],
        "train: a shape": [*train, "-img_shape", 2, 224, 224],
        "train: a class's name": [*train, "-positive_class", "none"],
        "train: an output that exists": train,
        "train: a value in the record": [*train, "--resume", "-learning_rate", 0.1],
        "test: no such checkpoint": [*test, "-save", "none"],
        "test: a model's name": [*test, "-architecture", "resnet19"],
        "test: a class's name": [*test, "-positive_class", "none"],
        "calc: no such predictions": [calc, project / "none.json", results],
        "calc: a class's name": [calc, predictions, results, "-positive_class", "none"],
    }
    return {
        BARE: (["-c", "pass"], 0),
        **{f"{script} --help": ([path, "--help"], 0) for script, path in scripts.items()},
        **{f"error of {name}": (arguments, 2) for name, arguments in faults.items()},
        "python -c 'import torch'": (["-c", "import torch"], 0),
        IMPORTING: (["-c", "import torch, torchvision"], 0),
        "test_torchvision.py": (test, 0),
    }


def measure(commands):
    """Return {what is measured: Measured}."""
    return {name: measuring.run(*arguments, status=status) for name, (arguments, status) in commands.items()}


def print_table(repeats, images):
    """Print the medians of each command."""

    def median(name, figure):
        return statistics.median(getattr(one[name], figure) for one in repeats)

    rows = []
    for name in repeats[0]:
        seconds, cpu = median(name, "seconds"), median(name, "cpu_seconds")
        figures = [
            seconds,
            seconds - median(BARE, "seconds"),
            seconds / median(IMPORTING, "seconds"),
            cpu,
            cpu / median(IMPORTING, "cpu_seconds"),
        ]
        rows.append([name, *map("{:.2f}".format, figures), f"{median(name, 'memory'):.0f}"])
    print(f"\nMedians of {len(repeats)}; test_torchvision.py predicts {images} images with resnet18\n")
    header = ["command", "seconds", "more than bare", "times importing", "CPU seconds", "times importing", "peak MB"]
    print(format_table(header, rows))


if __name__ == "__main__":
    main()
