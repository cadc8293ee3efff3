"""Every script under faults: no image is lost, no file is half there, and the same command completes the work.

    python -m pytest tests/test_faults.py --kills 36

kills each of COMMANDS so many times, and each of MORE a third as often. Half of the kills come before a random change
of the file system, half after a random time; all follow from a seed. Each is stopped as often, half by Ctrl-C and half
by SIGTERM. With a number of at least 3 all other faults meet all commands, too; without the option only a few.
"""

import contextlib
import csv
import functools
import hashlib
import io
import json
import random
import re
import shlex
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from conftest import SMALL_TRAINING
from dicom_files import HAS_PYDICOM, dicom_bytes
from PIL import Image

from pipeline.command_line import EXPORT_PACKAGES

pytest.importorskip("resource", reason="needs processes that are forked")
faults = pytest.importorskip("faults")

TRAIN = ("train_torchvision.py", "-dir", "PROJECT", *SMALL_TRAINING, "-num_epochs", 3, "-patience", 2)
FITTED = ("-recipe", "transfer", "-img_shape", 3, 32, 32)
COMMANDS = {
    "partition": ("partition_datasets.py", "-proj_dir", "PROJECT"),
    "organize": ("organize_files.py", "PROJECT"),
    "train": (*TRAIN, "-save", "one.pth.tar", "--resume"),
    "sweep": (*TRAIN, "-save", "several.pth.tar", "-learning_rate", 0.01, 0.001),
    "retrain": (*TRAIN, "-save", "one.pth.tar", "-seed", 1, "--overwrite"),
    "fit": ("train_torchvision.py", "-dir", "PROJECT", *FITTED, "-save", "fitted.pth.tar", "--resume"),
    "test": ("test_torchvision.py", "-dir", "PROJECT", "-save", "one.pth.tar"),
    "new": (
        "test_torchvision.py", "-save", "PROJECT/models/one.pth.tar", "-images", "PROJECT/bin",
        "-out", "PROJECT/new.csv",
    ),
    "calc": ("calc_model_performance.py", "PROJECT/one_preds.json", "PROJECT/one_results.json", "--report"),
}  # fmt: skip
FOLD = "PROJECT/models/fine-tune_fold_0.pth.tar"
FOLDS = ("-save", "PROJECT/models/fine-tune.pth.tar", "-fold", "all")
OF_FOLDS = ("test_torchvision.py", "-dir", "PROJECT", "-save", "fine-tune.pth.tar", "-fold", "all")
READY_MADE = {
    "ready-made": ("partition_datasets.py", "-proj_dir", "PROJECT"),
    "organize ready-made": ("organize_files.py", "PROJECT"),
}
TABLE = {
    "table": (
        "partition_datasets.py", "-dir", "PROJECT", "-labels_csv", "PROJECT/labels.csv", "-folds", 2,
        "-val_test_prop", 0.3, "--baselines",
    ),
    "organize copies": ("organize_files.py", "PROJECT", "--copy"),
    "fine-tune": (
        "train_torchvision.py", "-dir", "PROJECT", "-recipe", "fine-tune", "-save", "fine-tune", "-fold", "all",
        "-img_shape", 3, 32, 32, "-precision", "float32", "-batch_size", 4, "-num_epochs", 2, "--resume",
    ),
    "validation": (*OF_FOLDS, "-split", "val"),
    "doubtful labels": (*OF_FOLDS, "-doubtful_labels", "doubtful.html"),
    "report": (
        "calc_model_performance.py", "PROJECT/fine-tune_fold_0_preds.json", "PROJECT/fine-tune_fold_1_preds.json",
        "PROJECT/results.json", "-threshold_from", "PROJECT/fine-tune_fold_*_val_preds.json", "--report",
    ),
    "new images": (
        "test_torchvision.py", *FOLDS, "-images", "PROJECT/bin", "-out", "PROJECT/new.csv",
        "-operating_point", "PROJECT/results.json",
    ),
    "explained": (
        "test_torchvision.py", "-save", FOLD, "-images", "PROJECT/bin", "-out", "PROJECT/results/seen.csv", "--explain",
    ),
    "external": (
        "test_torchvision.py", *FOLDS, "-external", "PROJECT", "-labels_csv", "PROJECT/labels.csv", "--keep_leaks",
        "-out", "PROJECT/external_preds.json",
    ),
    "weights": ("test_torchvision.py", "-save", FOLD, "-export", "PROJECT/model.safetensors"),
    "export": ("test_torchvision.py", "-save", FOLD, "-export", "PROJECT/model.onnx"),
}  # fmt: skip
MORE = {**READY_MADE, **TABLE}
EVERY = {**COMMANDS, **MORE}
# Without a number of kills, to save time: what is killed, and what meets with the other faults.
KILLED = (*COMMANDS, *READY_MADE, "table", "organize copies")
DISTURBED = tuple(name for name in COMMANDS if name not in ("retrain", "fit", "new"))
MOVING = ("organize", "organize ready-made")  # writes nothing, so that no disk is too full for it
IMAGES = (".bmp", ".dcm")
# What differs from run to run and says nothing about the work.
INCIDENTAL = {"seconds", "training seconds", "command line", "date"}


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        few = KILLED if metafunc.function is test_killed else DISTURBED
        metafunc.parametrize("name", EVERY if metafunc.config.getoption("--kills") > 2 else few)


def count_of(name, kill_count):
    """Return how often a command meets with a kind of fault."""
    return kill_count if name in COMMANDS else max(1, kill_count // 3)


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """Return get(name of a command): (a project as it is before it, what it means when it is done, how that ended)."""
    root, found = tmp_path_factory.mktemp("stages"), {}

    def get(name):
        draw, commands = next(chain for chain in CHAINS if name in chain[1])
        project = root / draw.__name__ / "project"  # every copy has the name that stands in reports
        if not project.exists():
            draw(project)
        for one in commands:
            done = root / one.replace(" ", "_") / "project"  # a path with a space would be quoted in commands
            if "-export" in EVERY[one]:
                for package in EXPORT_PACKAGES:
                    pytest.importorskip(package, reason=f"the package {package} is not installed")
            if one not in found:
                shutil.copytree(project, done)
                ended = run(one, done)
                assert ended.status == 0, ended.errors
                found[one] = (project, meaning(done), ended)
            if one == name:
                return found[name]
            project = done

    return get


def test_killed(stages, tmp_path, name, kill_count):
    """At any moment: nothing is lost, and the same command completes the work."""
    before, done, unbroken = stages(name)
    images = image_hashes(before)
    choice, killed = random.Random(name), 0
    while killed < count_of(name, kill_count):
        project = shutil.copytree(before, tmp_path / "project")
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
def test_stopped_at_any_moment_it_says_how_to_go_on(stages, tmp_path, name, number, status, kill_count):
    before, done, unbroken = stages(name)
    choice = random.Random(f"{name} {number}")
    for _ in range(max(1, count_of(name, kill_count) // 2)):
        project = shutil.copytree(before, tmp_path / "project")
        moment = choice.randint(1, unbroken.changes)
        ended = run(name, project, before_change=moment, send=number)
        assert ended.status == status, (moment, ended.errors)
        stopped, _, to_go_on = ended.errors.splitlines()[-1].partition("; to go on: python ")
        assert stopped == f"{EVERY[name][0]}: stopped", moment
        assert image_hashes(project) == image_hashes(before), moment
        meaning(project)
        assert not list(project.rglob("*.part")), moment
        assert faults.run(project, EVERY[name][0], shlex.split(to_go_on)[1:]).status == 0, moment
        assert meaning(project) == done, moment
        shutil.rmtree(project)


@pytest.mark.parametrize("largest_file", [0, 1000, 100_000])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_done(stages, tmp_path, name, largest_file):
    before, done, _ = stages(name)
    project = shutil.copytree(before, tmp_path / "project")
    ended = run(name, project, largest_file=largest_file)
    if ended.status == 0:
        assert meaning(project) == done  # nothing larger was to be written, and nothing was left out in silence
        assert largest_file or name in MOVING
    else:
        assert (ended.status, len(faults_told(ended))) == (2, 1), ended.errors
        assert re.search(r"error: .+: File too large; fix this and run the same command again", ended.errors)
    assert image_hashes(project) == image_hashes(before)
    meaning(project)
    assert not list(project.rglob("*.part"))
    assert run(name, project).status == 0
    assert meaning(project) == done


def test_two_trainings_at_once_in_a_project_do_not_disturb_each_other(stages, tmp_path):
    project = shutil.copytree(stages("train")[0], tmp_path / "project")
    with ThreadPoolExecutor() as pool:
        assert [ended.status for ended in pool.map(lambda name: run(name, project), ("train", "sweep"))] == [0, 0]
    assert meaning(project) == stages("sweep")[1]


def test_the_same_command_twice_at_once_damages_nothing(stages, tmp_path, name):
    before, done, _ = stages(name)
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


def test_where_nothing_may_be_written_one_line_says_so(stages, tmp_path, name, permissions):
    before, done, _ = stages(name)
    project = shutil.copytree(before, tmp_path / "project")
    with contextlib.ExitStack() as closed:
        for folder in (project, *(path for path in project.rglob("*") if path.is_dir())):
            closed.enter_context(permissions(folder, 0o555))
        ended = run(name, project)
        faults = faults_told(ended)
        assert ended.status == 2 and faults, ended.errors
        for fault in faults:  # one a training
            assert re.search(rf"error: .*{project}.*: Permission denied; fix this and run the same command", fault)
        assert meaning(project) == meaning(before)
    assert run(name, project).status == 0
    assert meaning(project) == done


def draw_classes(root):
    """Draw two classes of 10 images each, the first two of a class identical."""
    for class_name, images in drawn(10).items():
        (root / class_name).mkdir(parents=True)
        for number, image in enumerate(images):
            image.save(root / class_name / f"{number}.bmp")
        shutil.copyfile(root / class_name / "0.bmp", root / class_name / "twin.bmp")


def draw_ready_made(root):
    """Draw a training and a test folder of two classes, DICOM files and others, with a twin in both."""
    for class_name, images in drawn(16).items():
        for number, image in enumerate(images):
            folder = root / ("Testing" if number >= 12 else "Training") / class_name
            folder.mkdir(parents=True, exist_ok=True)
            save(image, folder, number, patient=f"{class_name} {number // 4}")
        shutil.copyfile(root / "Training" / class_name / "1.bmp", root / "Testing" / class_name / "twin.bmp")


def draw_table(root):
    """Draw 24 images of two classes in one folder, DICOM files and others, and a table of labels and groups."""
    (root / "scans").mkdir(parents=True)
    lines = ["image,class,group"]
    images = [(label, image) for label, images in drawn(12).items() for image in images]
    for number, (label, image) in enumerate(images):
        patient = f"{label} {number // 2}"
        lines.append(f"{save(image, root / 'scans', number, patient)},{label},{patient}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")


CHAINS = [(draw_classes, COMMANDS), (draw_ready_made, READY_MADE), (draw_table, TABLE)]


def drawn(count):
    """Return {class: so many images of 16 x 16 pixels}, one class darker than the other."""
    numbers = random.Random(0)
    return {
        class_name: [
            Image.frombytes("L", (16, 16), bytes(numbers.randrange(brightness) for _ in range(256)))
            for _ in range(count)
        ]
        for class_name, brightness in (("no", 100), ("yes", 200))
    }


def save(image, folder, number, patient):
    """Save every other image as DICOM file of a patient, where pydicom is installed; return the file's name."""
    if number % 2 or not HAS_PYDICOM:
        name = f"{number}.bmp"
        image.save(folder / name)
    else:
        name = f"{number}.dcm"
        unique = int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "big")
        pixels = np.asarray(image).astype(np.uint16)
        (folder / name).write_bytes(dicom_bytes(pixels, PatientID=patient, SOPInstanceUID=f"1.2.{unique}"))
    return name


def run(name, project, **moment):
    script, *arguments = (str(word).replace("PROJECT", str(project)) for word in EVERY[name])
    return faults.run(project, script, arguments, **moment)


def image_hashes(project):
    """Return the hashes of the contents of all images, one per image; where they were copied, those of the copies."""
    paths = {path.relative_to(project): path for suffix in IMAGES for path in project.rglob(f"*{suffix}")}
    copies = {path.name for name, path in paths.items() if name.parts[0] == "bin"}
    kept = [path for name, path in paths.items() if name.parts[0] != "scans" or path.name not in copies]
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in kept)


def faults_told(ended):
    return [line for line in ended.errors.splitlines() if not line.startswith("note: ")]


def meaning(project):
    """Return {path: what it says} for every file under a final name; fails where one is not whole."""
    paths = [path for path in project.rglob("*") if path.is_file() and not path.name.endswith((".part", ".lock"))]
    return {path.relative_to(project).as_posix(): what_it_says(path) for path in paths}


def what_it_says(path):
    data = path.read_bytes()
    match path.suffix:
        case ".csv":
            rows = list(csv.reader(data.decode().splitlines()))
            kept = [number for number, name in enumerate(rows[0]) if name not in INCIDENTAL]
            return [[row[number] for number in kept] for row in rows]
        case ".json":
            return without_incidentals(json.loads(without_places(data.decode())))
        case ".tar" | ".safetensors" | ".onnx" | ".png":
            return of_binary(path.suffix, data)
        case ".bmp" | ".dcm":
            return hashlib.sha256(data).hexdigest()
        case _:
            assert path.suffix in (".md", ".html") or path.name == ".copied"
            return without_places(data.decode())


def without_places(text):
    """Return a text with PROJECT in place of every path to a project: a page may be a copy from another place."""
    return re.sub(r"/[^\s<>&\"']*/project\b", "PROJECT", text)


@functools.lru_cache(maxsize=100)  # most of a project is as it was before the command
def of_binary(suffix, data):
    """Return what a checkpoint holds, or the hash of another file; fails where it is not whole."""
    if suffix == ".tar":
        return without_incidentals(torch.load(io.BytesIO(data), weights_only=True))
    if suffix == ".safetensors":
        assert pytest.importorskip("safetensors.torch").load(data)
    elif suffix == ".onnx":
        onnx = pytest.importorskip("onnx")
        onnx.checker.check_model(onnx.load_from_string(data))
    else:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    return hashlib.sha256(data).hexdigest()


def without_incidentals(value):
    """Return nested values less those that differ from run to run, a hash in place of each tensor."""
    if isinstance(value, dict):
        return {key: without_incidentals(item) for key, item in value.items() if key not in INCIDENTAL}
    if isinstance(value, list):
        return [without_incidentals(item) for item in value]
    if isinstance(value, torch.Tensor):
        return (value.dtype, value.shape, hashlib.sha256(value.numpy().tobytes()).hexdigest())
    return value
