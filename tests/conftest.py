"""Fixtures: small made-up data sets, and the scripts run as a user runs them."""

import contextlib
import importlib
import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from PIL import Image

from pipeline import files

ROOT = Path(__file__).resolve().parents[1]

# The tensors of the tests are tiny: a second thread costs more than it brings, and where other programs want the cores
# too it costs many times as much, since torch's threads wait for one another. Read when torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A job in the background is started with Ctrl-C ignored, and so would be the scripts that the tests stop by it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A model with batch normalization that trains in a tenth of a second an epoch; 9 images make batches of 4 and 5.
# Every processor computes in float32.
SMALL_TRAINING = (
    "-architecture", "shufflenet_v2_x0_5", "-img_shape", 3, 32, 32, "-batch_size", 4, "-precision", "float32"
)  # fmt: skip

# The same examples on every run, and no limit on the time of one: a busy machine is not the fault of the code.
hypothesis.settings.register_profile(
    "project",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("project")


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=2, help="of each way to use the scripts, in test_faults.py")
    parser.addoption("--fuzz", type=int, default=25, help="damaged files of each kind, in test_fuzz.py")


@pytest.fixture
def kill_count(request):
    return request.config.getoption("--kills")


@pytest.fixture
def fuzz_count(request):
    return request.config.getoption("--fuzz")


@pytest.fixture
def run_script(tmp_path):
    """Return run(script, *arguments): the script in a process of its own, started from another folder."""

    def run(script, *arguments, **environment):
        return _run([ROOT / script, *arguments], tmp_path, environment)

    return run


@pytest.fixture
def run_python(tmp_path):
    """Return run(code, *arguments): Python code that may import the project, in a process of its own."""

    def run(code, *arguments, **environment):
        return _run(["-c", code, *arguments], tmp_path, {"PYTHONPATH": str(ROOT), **environment})

    return run


@pytest.fixture
def call_script(capsys):
    """Return call(script, *arguments): the script's main in this process; the result is as `run_script` has it."""

    def call(script, *arguments):
        main = importlib.import_module(Path(script).stem).main
        capsys.readouterr()
        returncode = 0
        try:
            main(arguments)
        except SystemExit as stop:
            returncode = stop.code or 0
        return subprocess.CompletedProcess([script, *arguments], returncode, *capsys.readouterr())

    return call


@pytest.fixture
def empty_pictures(monkeypatch):
    """Within it, the pictures that calc writes hold nothing but the project's mark; drawing them takes a second."""
    monkeypatch.setattr("pipeline.performance.plots.save_figure", lambda figure, path: path.write_text(files.MARK))


@pytest.fixture
def launched(monkeypatch):
    """Return launch(number, count, count_here=count): from now on this process is one of `count`, as torchrun starts
    them, `count_here` of which run on this machine."""

    def launch(number, count, count_here=None):
        count_here = count_here or count
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "some run")
        monkeypatch.setenv("RANK", str(number))
        monkeypatch.setenv("WORLD_SIZE", str(count))
        monkeypatch.setenv("LOCAL_RANK", str(number % count_here))
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(count_here))

    return launch


@pytest.fixture
def slow_imports(run_python):
    """Return imports(script, *arguments): which of the slow modules a successful run of the script has loaded."""
    code = (
        "import contextlib, io, runpy, sys\n"
        "sys.argv = sys.argv[1:]\n"
        "try:\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code\n"
        "print(*{'matplotlib', 'numpy', 'pandas', 'PIL', 'scipy', 'sklearn', 'torch', 'tqdm'} & set(sys.modules))"
    )

    def imports(script, *arguments):
        result = run_python(code, ROOT / script, *arguments)
        assert result.returncode == 0, result.stderr
        return set(result.stdout.split())

    return imports


@pytest.fixture
def class_folders():
    """Return draw(root, counts, suffix=".png", seed=0): a folder per class with so many images, no two alike."""

    def draw(root, counts, suffix=".png", seed=0):
        random = np.random.default_rng(seed)
        for class_name, count in counts.items():
            (root / class_name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
                Image.fromarray(pixels).save(root / class_name / f"{class_name}{number}{suffix}")
        return root

    return draw


@pytest.fixture
def contents():
    """Return read(root): {path: bytes} of every file below a folder; of a link, where it points."""

    def read(root):
        return {
            path.relative_to(root).as_posix(): os.readlink(path) if path.is_symlink() else path.read_bytes()
            for path in sorted(Path(root).rglob("*"))
            if path.is_symlink() or path.is_file()
        }

    return read


@pytest.fixture
def make_link():
    """Return link(path, target): a symbolic link at `path`, where this user may create one."""

    def link(path, target):
        try:
            path.symlink_to(target, target_is_directory=target.is_dir())
        except OSError as error:
            pytest.skip(f"no links here: {error}")

    return link


@pytest.fixture
def permissions(tmp_path_factory):
    """Return context(path, mode): within it, a file or folder has these permissions."""
    probe = tmp_path_factory.mktemp("closed")
    probe.chmod(0o500)
    with contextlib.suppress(PermissionError):
        (probe / "file").touch()
        pytest.skip("permissions do not bind this user")

    @contextlib.contextmanager
    def context(path, mode):
        before = path.stat().st_mode
        path.chmod(mode)
        try:
            yield
        finally:
            path.chmod(before)

    return context


@pytest.fixture
def draw_project():
    """Return draw(root, ...): an organized project folder of drawn images, see `_draw_project`."""
    return _draw_project


@pytest.fixture
def no_curves(monkeypatch):
    """Training draws no curves, which takes longer than all else of a small one."""
    curves = importlib.import_module("pipeline.learning.curves")
    monkeypatch.setattr(curves, "draw_curves", lambda path, *arguments: path.write_text("drawn"))


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """A project with the model `small`, trained for two epochs. Only to be read; `trained` is a copy to work on."""
    root = _draw_project(tmp_path_factory.mktemp("trained") / "project é 1")
    train = importlib.import_module("train_torchvision").main
    with contextlib.redirect_stdout(io.StringIO()):
        train(["-dir", root, *SMALL_TRAINING, "-num_epochs", 2, "-save", "small.pth.tar"])
    return root


@pytest.fixture
def trained(trained_once, tmp_path):
    return shutil.copytree(trained_once, tmp_path / trained_once.name)


@pytest.fixture
def telling(trained):
    """A trained project whose model gives each image other probabilities.

    After two epochs batch normalization in evaluation mode still works with means close to its first ones, and all
    images look alike to five digits. Here it gets the means of some random images, not quite: variances near 0
    would magnify rounding.
    """
    import torch
    import torchvision

    path = trained / "models" / "small.pth.tar"
    checkpoint = torch.load(path, weights_only=True)
    model = torchvision.models.shufflenet_v2_x0_5(num_classes=len(checkpoint["class_names"]))
    model.load_state_dict(checkpoint["state_dict"])
    for module in model.modules():
        module.momentum = 0.97
    model(torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    torch.save({**checkpoint, "state_dict": model.state_dict()}, path)
    return trained


def error_places(result):
    """Return what each error of a script that has ended with 2 names: an option, a file, a line of a file."""
    assert result.returncode == 2
    return [line.split(": ")[2] for line in result.stderr.splitlines() if ": error: " in line]


def _run(arguments, folder, environment):
    # The encoding is named, since the one of the user's shell need not be the one that this process decodes.
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )


def _draw_project(root, class_names=("no", "yes"), counts=(9, 5, 4), mode="L"):
    """Make an organized project: a class's images are brighter than those of the class before it.

    `counts` are the training, validation and test images, taken from the classes in turn. Returns `root`.
    """
    random = np.random.default_rng(0)
    for folder in ("bin", "csv", "models", "results"):
        (root / folder).mkdir(parents=True)
    for partition, count in zip(("train", "val", "test"), counts, strict=True):
        lines = []
        for number in range(count):
            label = number % len(class_names)
            brightness = 200 * (label + 1) / len(class_names)
            pixels = random.uniform(0, brightness, (30, 26, len(mode))).astype(np.uint8).squeeze()
            name = f"{partition} é{number}.png"
            Image.fromarray(pixels, mode).save(root / "bin" / name)
            lines.append(f"{name},{label}\n")
        (root / "csv" / f"{partition}.csv").write_text("".join(lines), encoding="utf-8")
    classes = "".join(f"{index},{name}\n" for index, name in enumerate(class_names))
    (root / "csv" / "classes.csv").write_text(classes, encoding="utf-8")
    return root
