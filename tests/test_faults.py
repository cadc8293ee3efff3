"""Every script under faults: no image is lost, no file is half there, and the same command completes the work.

    python -m pytest tests/test_faults.py --kills 35

kills each of the six ways to use the scripts so many times, and twice without the option. Half of the kills come
before a random change of the file system, half after a random time; all follow from a seed.
"""

import contextlib
import csv
import hashlib
import json
import random
import re
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from conftest import SMALL_TRAINING
from PIL import Image

pytest.importorskip("resource", reason="needs processes that are forked")
faults = pytest.importorskip("faults")

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
INCIDENTAL = {"seconds", "training seconds", "command line", "date"}


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
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
            moment = {"before_change": choice.randint(1, unbroken.changes)}
        ended = run(name, project, **moment)
        assert ended.status in (-9, 0), moment
        killed += ended.status == -9
        assert image_hashes(project) == images, moment
        meaning(project)  # every file is whole
        assert run(name, project).status == 0, moment
        assert meaning(project) == done, moment
        shutil.rmtree(project)
    print(f"{name}: {killed} kills, {len(images)} images, none lost")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("name", COMMANDS)
def test_stopped_at_any_moment_it_says_how_to_go_on(stages, tmp_path, name, number, status, kill_count):
    before, done, unbroken = stages[name]
    choice = random.Random(f"{name} {number}")
    for _ in range(kill_count):
        project = shutil.copytree(before, tmp_path / "project")
        moment = choice.randint(1, unbroken.changes)
        ended = run(name, project, before_change=moment, send=number)
        assert ended.status == status, (moment, ended.errors)
        assert f"{COMMANDS[name][0]}: stopped; to go on: python " in ended.errors.splitlines()[-1], moment
        assert image_hashes(project) == image_hashes(before), moment
        meaning(project)
        assert not list(project.rglob("*.part")), moment
        assert run(name, project).status == 0, moment
        assert meaning(project) == done, moment
        shutil.rmtree(project)


@pytest.mark.parametrize("largest_file", [0, 1000, 100_000])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_done(stages, tmp_path, name, largest_file):
    before, done, _ = stages[name]
    project = shutil.copytree(before, tmp_path / "project")
    ended = run(name, project, largest_file=largest_file)
    # Moving images writes no file, and of the others only a model is large.
    if ended.status == 0:
        assert name == "organize" or largest_file >= {"test": 1000}.get(name, 100_000)
    else:
        assert (ended.status, len(ended.errors.splitlines())) == (2, 1), ended.errors
        assert re.search(r"error: .+: File too large; fix this and run the same command again", ended.errors)
    assert image_hashes(project) == image_hashes(before)
    meaning(project)
    assert not list(project.rglob("*.part"))
    assert run(name, project).status == 0
    assert meaning(project) == done


def test_two_trainings_at_once_in_a_project_do_not_disturb_each_other(stages, tmp_path):
    project = shutil.copytree(stages["train"][0], tmp_path / "project")
    with ThreadPoolExecutor() as pool:
        assert [ended.status for ended in pool.map(lambda name: run(name, project), ("train", "sweep"))] == [0, 0]
    assert meaning(project) == stages["sweep"][1]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_command_twice_at_once_damages_nothing(stages, tmp_path, name):
    before, done, _ = stages[name]
    project = shutil.copytree(before, tmp_path / "project")
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda _: run(name, project), range(2)))
    for ended in both:
        # One may find that the other has moved an image already.
        assert ended.status in (0, 2) and "Traceback" not in ended.errors, ended.errors
    assert image_hashes(project) == image_hashes(before)
    meaning(project)
    assert run(name, project).status == 0
    assert meaning(project) == done


@pytest.mark.parametrize("name", COMMANDS)
def test_where_nothing_may_be_written_one_line_says_so(stages, tmp_path, name, permissions):
    before, done, _ = stages[name]
    project = shutil.copytree(before, tmp_path / "project")
    with contextlib.ExitStack() as closed:
        for folder in (project, *(path for path in project.rglob("*") if path.is_dir())):
            closed.enter_context(permissions(folder, 0o555))
        ended = run(name, project)
        assert (ended.status, len(ended.errors.splitlines())) == (2, 1), ended.errors
        assert re.search(rf"error: {project}.*: Permission denied; fix this and run the same command", ended.errors)
        assert meaning(project) == meaning(before)
    assert run(name, project).status == 0
    assert meaning(project) == done


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
    return faults.run(project, script, arguments, **moment)


def image_hashes(project):
    """Return the hashes of the contents of all images in class folders and bin/, one per image."""
    paths = [path for folder in ("no", "yes", "bin") for path in (project / folder).glob("*.png")]
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


def meaning(project):
    """Return {path: what it says} for every file under a final name; fails where one is not whole."""
    paths = [path for path in project.rglob("*") if path.is_file() and not path.name.endswith((".part", ".lock"))]
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
