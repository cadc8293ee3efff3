"""Damaged and hostile files of every kind: each ends in success or in one-line errors, and changes nothing elsewhere.

    python -m pytest tests/test_fuzz.py --fuzz 2500

tries so many of each of KINDS, and 25 without the option, of RARER a third of that; all follow from a seed.
"""

import contextlib
import copy
import csv
import importlib
import io
import json
import random
import re
import shutil

import numpy as np
import pytest
import torch
from conftest import SMALL_TRAINING
from dicom_files import HAS_PYDICOM, dicom_bytes
from PIL import Image

# What people, programs and attackers put where something else should be.
ODD_TEXTS = (
    "", " ", "0", "-1", "1.5", "1e999", "99999999999999999999", "nan", "NaN", "true", "null", "no", "0\u0661",
    "\0", "\n", "\r", '"', ",", "é", "\udcff", "x" * 300, "{}", "[]", "..", "../x.png", "/etc/passwd", "C:\\x.png",
    "a/b.png", "-x.png", ".hidden", "CON", "file_name", "../../models/one.pth.tar",
)  # fmt: skip
ODD_VALUES = (
    None, True, False, 0, -1, 1, 2, 10**9, 10**30, 0.5, -0.5, 1e300, float("inf"), float("nan"), "", "x", "no",
    [], [[]], [0.5, 0.5], {}, {"a": 1}, [None], ["a", "b"], [3, 32, 32], [3, -1, 0], [1] * 50,
)  # fmt: skip
LINE = re.compile(r"(note: |[a-z_]+\.py: error: ).+|Warning: .*")


def damage_bytes(data, choose):
    """Return bytes with some of them changed, removed, doubled or moved."""
    data = bytearray(data)
    for _ in range(choose.choice([1, 1, 1, 2, 5, 20])):
        start = choose.randrange(len(data) + 1)
        end = min(len(data), start + choose.choice([1, 1, 4, 30, 1000]))
        change = choose.randrange(6)
        if change == 0:
            data[start:end] = choose.randbytes(end - start)
        elif change == 1:
            del data[start:end]
        elif change == 2:
            data[start:start] = data[start:end]
        elif change == 3:
            del data[start:]
        elif change == 4:
            data[start:end] = b"\0" * (end - start)
        else:
            data[start:start] = choose.choice(ODD_TEXTS).encode(errors="surrogateescape")
    return bytes(data)


def damage_csv(data, choose):
    rows = list(csv.reader(io.StringIO(data.decode())))
    for _ in range(choose.choice([1, 1, 2, 5])):
        row = choose.choice(rows) if rows else []
        change = choose.randrange(6)
        if change == 0 and row:
            row[choose.randrange(len(row))] = choose.choice(ODD_TEXTS)
        elif change == 1:
            rows.insert(choose.randrange(len(rows) + 1), list(row))
        elif change == 2 and row:
            rows.remove(row)
        elif change == 3:
            row.append(choose.choice(ODD_TEXTS))
        elif change == 4 and row:
            row.pop()
        elif row:
            other = choose.choice(rows)
            position = choose.randrange(min(len(row), len(other)) or 1)
            if position < min(len(row), len(other)):
                row[position], other[position] = other[position], row[position]
    lines = io.StringIO()
    csv.writer(lines, delimiter=choose.choice(",,,;\t"), lineterminator=choose.choice(["\n", "\r\n"])).writerows(rows)
    text = lines.getvalue().encode(errors="surrogateescape")
    return choose.choice([b"", b"", b"\xef\xbb\xbf"]) + text


def damage_value(value, choose):
    """Put something odd in a random place of nested dicts and lists, or take something away; return the whole."""
    if isinstance(value, dict) and value and choose.random() < 0.9:
        key = choose.choice(list(value))
        if choose.random() < 0.2:
            del value[key]
        elif choose.random() < 0.1:
            value[choose.choice(ODD_TEXTS)] = value.pop(key)
        else:
            value[key] = damage_value(value[key], choose)
        return value
    if isinstance(value, list) and value and choose.random() < 0.8:
        position = choose.randrange(len(value))
        if choose.random() < 0.2:
            del value[position]
        elif choose.random() < 0.1:
            value.append(value[position])
        else:
            value[position] = damage_value(value[position], choose)
        return value
    if isinstance(value, torch.Tensor) and choose.random() < 0.7:
        changes = (
            lambda: value * float("nan"), lambda: value.reshape(-1)[:0], lambda: value.double(), lambda: value.int(),
            lambda: value.unsqueeze(0), lambda: value * 1e38, lambda: value.to_sparse(), lambda: value.bfloat16(),
            lambda: value.sum(), lambda: value.to("meta"),
        )  # fmt: skip
        return choose.choice(changes)()
    return copy.deepcopy(choose.choice(ODD_VALUES))


def damage_json(data, choose):
    return json.dumps(damage_value(json.loads(data), choose)).encode()


def damage_checkpoint(data, choose):
    content = damage_value(torch.load(io.BytesIO(data), weights_only=True), choose)
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


TRAIN = ("train_torchvision.py", "-dir", "PROJECT", *SMALL_TRAINING)
NEW = ("test_torchvision.py", "-save", "PROJECT/models/small.pth.tar")
# Of each kind of file: which ones, how else than byte by byte they are damaged, and the commands that read them.
KINDS = {
    "csv": (
        "csv/*.csv",
        damage_csv,
        [
            ("partition_datasets.py", "-proj_dir", "PROJECT"),
            ("organize_files.py", "PROJECT"),
            (*TRAIN, "-num_epochs", 1, "-save", "new", "--overwrite"),
            ("test_torchvision.py", "-dir", "PROJECT"),
        ],
    ),
    "image": (
        "bin/*",
        damage_bytes,
        [("partition_datasets.py", "-proj_dir", "PROJECT"), ("test_torchvision.py", "-dir", "PROJECT")],
    ),
    "checkpoint": (
        "models/*.pth.tar",
        damage_checkpoint,
        [
            ("test_torchvision.py", "-dir", "PROJECT", "-save", "small.pth.tar"),
            (*TRAIN, "-num_epochs", 3, "-save", "small", "--resume"),
            (*TRAIN, "-num_epochs", 1, "-save", "new", "--overwrite",
             "-weights", "PROJECT/models/small.pth.tar"),
        ],
    ),
    "json": ("*_preds.json", damage_json,
             [("calc_model_performance.py", "PROJECT/small_preds.json", "PROJECT/out.json")]),
    "dicom": (
        "bin/*.dcm",
        damage_bytes,
        [
            ("partition_datasets.py", "-proj_dir", "PROJECT"),
            (*NEW, "-images", "PROJECT/bin", "-out", "PROJECT/new.csv"),
        ],
    ),
    "table": (
        "labels.csv",
        damage_csv,
        [
            ("partition_datasets.py", "-proj_dir", "PROJECT", "-labels_csv", "PROJECT/labels.csv"),
            (*NEW, "-external", "PROJECT/bin", "-labels_csv", "PROJECT/labels.csv", "--keep_leaks",
             "-out", "PROJECT/external_preds.json"),
        ],
    ),
    "class map": (
        "class_map.csv",
        damage_csv,
        [(*NEW, "-external", "PROJECT/bin", "-labels_csv", "PROJECT/labels.csv", "-class_map", "PROJECT/class_map.csv",
          "--keep_leaks", "-out", "PROJECT/external_preds.json")],
    ),
    "results": (
        "results.json",
        damage_json,
        [(*NEW, "-images", "PROJECT/bin", "-out", "PROJECT/new.csv", "-operating_point", "PROJECT/results.json")],
    ),
    "baselines": (
        "csv/baselines.json",
        damage_json,
        [("calc_model_performance.py", "PROJECT/small_preds.json", "PROJECT/out.json", "-baselines",
          "PROJECT/csv/baselines.json")],
    ),
}  # fmt: skip
RARER = ("dicom", "table", "class map", "results", "baselines")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a project with a model, its predictions and what goes with them, all tiny; some images are DICOM files."""
    root = tmp_path_factory.mktemp("fuzz") / "whole"
    draw_images(root)
    for script, *arguments in (
        ("partition_datasets.py", "-proj_dir", root, "-val_test_prop", 0.2, "--baselines"),
        ("organize_files.py", root),
        ("train_torchvision.py", "-dir", root, *SMALL_TRAINING, "-num_epochs", 1, "-save", "small.pth.tar"),
        ("test_torchvision.py", "-dir", root),
        ("test_torchvision.py", "-dir", root, "-split", "val"),
        ("calc_model_performance.py", root / "small_preds.json", root / "results.json",
         "-threshold_from", root / "small_val_preds.json"),
    ):  # fmt: skip
        status, lines = run(script, arguments)
        assert status == 0, lines
    names = sorted(path.name for path in (root / "bin").iterdir())
    lines = [f"{name},{('no', 'yes')[number % 2]},{number // 4}" for number, name in enumerate(names)]
    (root / "labels.csv").write_text("\n".join(["image,class,group", *lines]) + "\n")
    (root / "class_map.csv").write_text("external,class\nno,no\nyes,yes\n")
    return root


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_ends_in_success_or_in_one_line_errors(whole, contents, no_curves, tmp_path, kind, fuzz_count):
    if kind == "dicom" and not HAS_PYDICOM:
        pytest.skip("pydicom is not installed")
    project, outcomes = tmp_path / "project", {0: 0, 2: 0}
    pattern, damage, commands = KINDS[kind]
    for number in range(max(1, fuzz_count // 3) if kind in RARER else fuzz_count):
        choose = random.Random(f"{kind} {number}")
        shutil.copytree(whole, project)
        path = choose.choice(sorted(project.glob(pattern)))
        path.write_bytes(choose.choice([damage_bytes, damage])(path.read_bytes(), choose))
        before = contents(project / "bin")
        script, *arguments = (str(word).replace("PROJECT", str(project)) for word in choose.choice(commands))
        status, lines = run(script, arguments)
        moment = (number, path.name, script, lines)
        assert status in outcomes, moment
        assert all(LINE.fullmatch(line) for line in lines), moment
        assert status == 0 or lines, moment
        assert contents(project / "bin") == before, moment
        assert [entry.name for entry in tmp_path.iterdir()] == ["project"], moment
        outcomes[status] += 1
        shutil.rmtree(project)
    print(f"{kind}: {number + 1} files, {outcomes[0]} times success, {outcomes[2]} times errors, no traceback")


def draw_images(root):
    """Draw 12 images of each of two classes, two of them as DICOM files where pydicom is installed."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
    for number, image in enumerate(pixels):
        folder = root / ("no", "yes")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        if number < 4 and HAS_PYDICOM:
            (folder / f"{number}.dcm").write_bytes(dicom_bytes(image.astype(np.uint16) * 16, PatientID=str(number)))
        else:
            Image.fromarray(image).save(folder / f"{number}.png")


def run(script, arguments):
    """Run a script's main in this process; return its status and what it wrote on standard error."""
    main, errors = importlib.import_module(script.removesuffix(".py")).main, io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            main(arguments)
            status = 0
        except SystemExit as stop:
            status = stop.code
    return status, errors.getvalue().splitlines()
