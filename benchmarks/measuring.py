"""What the benchmarks share: timing commands, copying a project, describing the machine. Unix only.

Importing it makes the package `pipeline` importable too.
"""

import csv
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SCRIPTS))

# A process's peak memory is never less than that of the process that started it, so a small one starts each command.
LAUNCHER = """
import json, resource, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which ends the command too
started = time.perf_counter()
status = subprocess.call(sys.argv[1:])
seconds = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([status, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


@dataclass(frozen=True)
class Measured:
    """What a command took."""

    seconds: float  # from start to end
    cpu_seconds: float  # of all cores; they hardly depend on what else the machine does
    memory: float  # MB at the peak, of the largest of its processes
    output: str  # what it printed


def run(*arguments, status=0, python=sys.executable):
    """Run `python ARGUMENTS...` and return Measured; if it ends with another exit status, exit with its message."""
    command = [python, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", LAUNCHER, *command], **pipes) as launcher:
        try:
            stdout, stderr = launcher.communicate()
        except BaseException:
            launcher.terminate()
            raise
    *output, figures = stdout.splitlines()
    ended_with, seconds, cpu_seconds, memory = json.loads(figures)
    if ended_with != status:
        sys.exit(f"{' '.join(command)} ended with {ended_with}:\n{stderr}")
    return Measured(seconds, cpu_seconds, memory / (1e6 if sys.platform == "darwin" else 1e3), "\n".join(output))


def run_script(name, *arguments):
    """Run one of the scripts at the top and return Measured."""
    return run(SCRIPTS / name, *arguments)


def copy_class_folders(folder, project):
    """Copy the files of FOLDER's class folders into a project folder; FOLDER may be read-only."""
    for path in Path(folder).glob("*/*"):
        if path.is_file():
            (project / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, project / path.parent.name / path.name)


def make_project(folder, project, *options):
    """Copy the class folders, partition (with further options) and organize."""
    copy_class_folders(folder, project)
    run_script("partition_datasets.py", "-proj_dir", project, *options)
    run_script("organize_files.py", project)


def count_images(project, partition):
    """Return how many images a partition of an organized project has."""
    return len((project / "csv" / f"{partition}.csv").read_text().splitlines())


def epoch_seconds(project, name):
    """Return the seconds of each epoch, training and validation without saving, of a model of train_torchvision.py."""
    with open(project / "results" / f"{name}_epochs.csv", newline="") as file:
        return [float(row["seconds"]) for row in csv.DictReader(file)]


def machine(*packages):
    """Return a line that names processor, cores and versions."""
    cpu_info = Path("/proc/cpuinfo")
    lines = cpu_info.read_text().splitlines() if cpu_info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = (names or [platform.processor() or platform.machine()])[0]
    threads = f" (OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']})" if "OMP_NUM_THREADS" in os.environ else ""
    versions = [f"{package} {version(package)}" for package in packages]
    return ", ".join([f"{processor}, {os.cpu_count()} cores{threads}, Python {platform.python_version()}", *versions])
