"""Time and peak memory of each of the five scripts, and which of its steps take it.

    python benchmarks/pipeline_speed.py FOLDER [-repeats N]

FOLDER holds class folders of images; for each repeat a copy goes through all five scripts, training three epochs of
resnet18. The first table has the medians. The second comes from one more run under Python's profiler, which slows
importing most: for each script the time of a few functions, with everything that they call. What a step imports when it
first runs counts both there and as importing. Unix only.
"""

import pstats
import statistics
import tempfile
from pathlib import Path

import measuring

from pipeline import command_line
from pipeline.command_line import add_option
from pipeline.messages import format_table
from pipeline.readers import folder_path, whole_number

TRAINING = ("-architecture", "resnet18", "-num_epochs", 3, "-batch_size", 25)

# For each script: what a step does, and the function that does it.
STEPS = {
    "partition_datasets.py": {
        "reading, decoding and hashing the images": "catalogue.py:inspect_files",
        "finding duplicates": "duplicates.py:find_duplicates",
        "assigning partitions": "splitting.py:assign",
        "telling about duplicates": "duplicate_report.py:tell",
        "writing the tables": "project_tables.py:write",
    },
    "organize_files.py": {
        "moving the images": "moving.py:gather_images",
    },
    "train_torchvision.py": {
        "reading, decoding and resizing the images": "image_sets.py:load_image_set",
        "building the model": "models.py:build_model",
        "training epochs": "training.py:train_one_epoch",
        "validation": "training.py:evaluate",
        "saving checkpoints": "runs.py:save_epoch",
        "writing records and curves": "runs.py:finish",
    },
    "test_torchvision.py": {
        "reading the checkpoint": "checkpoints.py:load",
        "building the model": "checkpoints.py:build_model",
        "reading, decoding and resizing the images": "image_sets.py:load_image_set",
        "predicting": "inference.py:predict",
        "writing the predictions": "testing.py:write_predictions",
    },
    "calc_model_performance.py": {
        "reading the predictions": "predictions.py:read_all",
        "figures and intervals": "summary.py:summarize",
        "drawing and writing": "output.py:write",
    },
}
IMPORTING = "<frozen importlib._bootstrap>:_find_and_load"


def create_argparser():
    parser = command_line.ArgumentParser(
        __file__,
        "Measure time and peak memory of each of the five scripts, and which of its steps take it.\n\n"
        "reads:  FOLDER, class folders of images\nwrites: tables on standard output",
        "python benchmarks/pipeline_speed.py FOLDER",
    )
    parser.add_argument("FOLDER", type=folder_path, help="class folders of images; copied, never changed")
    add_option(parser, "-repeats", metavar="N", type=whole_number(), default=3, help="of all scripts (default: 3)")
    return parser


@command_line.entry_point
def main(argv=None):
    options = create_argparser().parse_args(argv)
    repeats = [measure_scripts(options.FOLDER) for _ in range(options.repeats)]
    profiles = profile_scripts(options.FOLDER)
    print(measuring.machine("torch", "pandas", "scikit-learn", "matplotlib"))
    print_scripts(repeats)
    print_steps(profiles)


def commands(project):
    """Return {script: its arguments}, in the order in which they are run."""
    predictions, results = project / "resnet18_preds.json", project / "resnet18_results.json"
    return {
        "partition_datasets.py": ["-proj_dir", project],
        "organize_files.py": [project],
        "train_torchvision.py": ["-project_directory", project, *TRAINING],
        "test_torchvision.py": ["-dir", project],
        "calc_model_performance.py": [predictions, results],
    }


def measure_scripts(folder):
    """Return {script: (Measured, seconds of --help only)} for a copy of the class folders."""
    measured = {}
    with tempfile.TemporaryDirectory() as project:
        measuring.copy_class_folders(folder, Path(project))
        for script, arguments in commands(Path(project)).items():
            measured[script] = measuring.run_script(script, *arguments), measuring.run_script(script, "--help").seconds
    return measured


def profile_scripts(folder):
    """Return {script: {function as in STEPS: seconds}} for a copy; None stands for the whole script."""
    profiles = {}
    with tempfile.TemporaryDirectory() as project, tempfile.NamedTemporaryFile() as profile:
        measuring.copy_class_folders(folder, Path(project))
        for script, arguments in commands(Path(project)).items():
            measuring.run("-m", "cProfile", "-o", profile.name, measuring.SCRIPTS / script, *arguments)
            stats = pstats.Stats(profile.name)
            profiles[script] = {None: stats.total_tt}
            for (file, _, function), (_, _, _, seconds, _) in stats.stats.items():
                if measuring.SCRIPTS in Path(file).parents or file.startswith("<frozen"):
                    profiles[script][f"{Path(file).name}:{function}"] = seconds
    return profiles


def print_scripts(repeats):
    """Print the medians of each script."""
    rows = []
    for script in STEPS:
        seconds = statistics.median(measured[script][0].seconds for measured in repeats)
        starting = statistics.median(measured[script][1] for measured in repeats)
        cpu_seconds = statistics.median(measured[script][0].cpu_seconds for measured in repeats)
        memory = statistics.median(measured[script][0].memory for measured in repeats)
        rows.append([script, f"{seconds:.2f}", f"{cpu_seconds:.2f}", f"{starting:.2f}", f"{memory:.0f}"])
    print(f"\nThe whole process (training: {' '.join(map(str, TRAINING))})\n")
    print(format_table(["script", "seconds", "CPU seconds", "--help only (s)", "peak memory (MB)"], rows))


def print_steps(profiles):
    """Print what the steps of each script take under the profiler."""
    rows = []
    for script, steps in STEPS.items():
        profile = profiles[script]
        for step, function in {"all": None, "importing": IMPORTING, **steps}.items():
            rows.append([script, step, f"{profile[function]:.2f}", f"{100 * profile[function] / profile[None]:.0f}%"])
    print("\nUnder the profiler\n")
    print(format_table(["script", "step", "seconds", "%"], rows))


if __name__ == "__main__":
    main()
