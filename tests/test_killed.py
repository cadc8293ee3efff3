"""Every script, killed at random moments: no image is lost, no file is half there, and the same command completes it.

    python -m pytest tests/test_killed.py --kills 35

kills each of the six ways to use the scripts so many times, and twice without the option. Half of the kills come
before a random change of the file system, half after a random time; all follow from a seed.
"""

import csv
import hashlib
import json
import os
import random
import shutil

import killing
import pytest
import torch
from conftest import SMALL_TRAINING
from PIL import Image

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs processes that are forked")

TRAIN = ("train_torchvision.py", "-dir", "PROJECT", *SMALL_TRAINING, "-num_epochs", 4, "-patience", 2)
COMMANDS = {
    "partition": ("partition_datasets.py", "-proj_dir", "PROJECT"),
    "organize": ("organize_files.py", "PROJECT"),
    "train": (*TRAIN, "-save", "one.pth.tar", "--resume"),
    "sweep": (*TRAIN, "-save", "several.pth.tar", "-learning_rate", 0.01, 0.001),
    "test": ("test_torchvision.py", "-dir", "PROJECT", "-save", "one.pth.tar"),
    "calc": ("calc_model_performance.py", "PROJECT/one_preds.json", "PROJECT/one_results.json"),
}
# What differs from run to run and says nothing about the work.
INCIDENTAL = {"seconds", "training seconds"}


@pytest.fixture(scope="module")
def stages(tmp_path_factory, request):
    """Return {name of a command: (a project as it is before it, what it means when it is done, how that ended)}."""
    project = tmp_path_factory.mktemp("stages") / "start"
    draw_classes(project)
    found = {}
    for name in COMMANDS:
        done = shutil.copytree(project, project.with_name(name))
        ended = run(name, done)
        assert ended.status == 0
        found[name] = (project, meaning(done), ended)
        project = done
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_moment_nothing_is_lost_and_the_same_command_completes_the_work(
    stages, tmp_path, name, kill_count
):
    before, done, unbroken = stages[name]
    images = image_hashes(before)
    choice, killed = random.Random(name), 0
    while killed < kill_count:
        project = shutil.copytree(before, tmp_path / f"{name}_{killed}", dirs_exist_ok=True)
        if killed % 2:
            moment = {"kill_after_seconds": choice.uniform(0, unbroken.seconds)}
        else:
            moment = {"kill_before_change": choice.randint(1, unbroken.changes)}
        ended = run(name, project, **moment)
        assert ended.status in (-9, 0), moment
        killed += ended.status == -9
        assert image_hashes(project) == images, moment
        meaning(project)  # every file is whole
        assert run(name, project).status == 0, moment
        assert meaning(project) == done, moment
        shutil.rmtree(project)
    print(f"{name}: {killed} kills, {len(images)} images, none lost")


def draw_classes(root):
    """Draw two classes of 10 images each, the first two of a class identical."""
    numbers = random.Random(0)
    for class_name, brightness in (("no", 100), ("yes", 200)):
        (root / class_name).mkdir(parents=True)
        for number in range(10):
            image = Image.frombytes("L", (16, 16), bytes(numbers.randrange(brightness) for _ in range(256)))
            image.save(root / class_name / f"{number}.png")
        shutil.copyfile(root / class_name / "0.png", root / class_name / "twin.png")


def run(name, project, **moment):
    script, *arguments = (str(word).replace("PROJECT", str(project)) for word in COMMANDS[name])
    return killing.run(script, arguments, **moment)


def image_hashes(project):
    """Return the hashes of the contents of all images in class folders and bin/, one per image."""
    paths = [path for folder in ("no", "yes", "bin") for path in (project / folder).glob("*.png")]
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


def meaning(project):
    """Return {path: what it says} for every file under a final name; fails where one is not whole."""
    paths = [path for path in project.rglob("*") if path.is_file() and not path.name.endswith(".part")]
    return {path.relative_to(project).as_posix(): what_it_says(path, project) for path in paths}


def what_it_says(path, project):
    if path.suffix == ".csv":
        rows = list(csv.reader(path.read_text().splitlines()))
        kept = [number for number, name in enumerate(rows[0]) if name not in INCIDENTAL]
        return [[row[number] for number in kept] for row in rows]
    if path.suffix == ".json":
        return without_incidentals(json.loads(path.read_text().replace(str(project), "PROJECT")))
    if path.suffix == ".tar":
        return without_incidentals(torch.load(path, weights_only=True))
    if path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
        return hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.suffix == ".md"
    return path.read_text().replace(str(project), "PROJECT")


def without_incidentals(value):
    if isinstance(value, dict):
        return {key: without_incidentals(item) for key, item in value.items() if key not in INCIDENTAL}
    if isinstance(value, list):
        return [without_incidentals(item) for item in value]
    return value.numpy().tobytes() if isinstance(value, torch.Tensor) else value
