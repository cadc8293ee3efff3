"""Image files of every kind and name, on their way through all the scripts."""

import csv
import io
import json
import os

import numpy as np
import pytest
from conftest import SMALL_TRAINING
from PIL import Image

NOT_AN_IMAGE = "not an image that Pillow can read"
DAMAGED = "damaged or unsupported image"


def noise(size=(16, 16), seed=0, channels=()):
    return np.random.default_rng(seed).integers(0, 256, (*size[::-1], *channels), dtype=np.uint8)


def save(path, image, **settings):
    """Save a Pillow image or an array, no two of which are alike, in the format that the name says."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **settings)


def bytes_of(image, file_format):
    data = io.BytesIO()
    Image.fromarray(image).save(data, file_format)
    return data.getvalue()


def with_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def pages(count, seed):
    return [Image.fromarray(noise(seed=seed + number)) for number in range(count)]


# Of each file: its name, how it is made, and the reason for which it is left out, None if it is not.
FILES = [
    ("whole.png", lambda path: save(path, noise(seed=1)), None),
    ("truncated.jpg", lambda path: path.write_bytes(bytes_of(noise((64, 64), 2), "JPEG")[:1500]), DAMAGED),
    ("empty.png", lambda path: path.write_bytes(b""), "the file is empty"),
    ("text.jpg", lambda path: path.write_text("no image"), NOT_AN_IMAGE),
    ("really a png.jpg", lambda path: path.write_bytes(bytes_of(noise(seed=3), "PNG")), None),
    ("cmyk.jpg", lambda path: save(path, Image.fromarray(noise(seed=4, channels=(3,))).convert("CMYK")), None),
    ("sixteen bits.png", lambda path: save(path, noise(seed=5).astype(np.uint16) * 257), None),
    ("floating.tiff", lambda path: save(path, noise(seed=6).astype(np.float32) / 255), None),
    ("not finite.tiff", lambda path: save(path, np.full((16, 16), np.nan, np.float32)), "pixels that are not finite"),
    ("palette.png", lambda path: save(path, Image.fromarray(noise(seed=7)).convert("P"), transparency=3), None),
    ("animated.gif", lambda path: save(path, pages(1, 8)[0], save_all=True, append_images=pages(2, 9)), None),
    ("several pages.tiff", lambda path: save(path, pages(1, 11)[0], save_all=True, append_images=pages(2, 12)), None),
    ("one pixel.png", lambda path: save(path, noise((1, 1), 14)), None),
    ("very wide.png", lambda path: save(path, noise((30_000, 10), 15)), None),
    ("bomb.png", lambda path: save(path, Image.new("1", (30_000, 30_000))), "more than 89478485 pixels; -max_pixels"),
    ("turned.jpg", lambda path: save(path, noise((24, 16), 16), exif=with_orientation()), None),
    ("broken exif.jpg", lambda path: save(path, noise((24, 16), 17), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), None),
    ("broken link.png", lambda path: path.symlink_to("nowhere.png"), "a link to a file that does not exist"),
    ("pipe.png", lambda path: os.mkfifo(path), "not a regular file"),
    ("comma, and quote\".png", lambda path: save(path, noise(seed=18)), None),
    ("-dash.png", lambda path: save(path, noise(seed=19)), None),
    ("line\nbreak.png", lambda path: save(path, noise(seed=20)), None),
    ("n" * 246 + ".png", lambda path: save(path, noise(seed=21)), None),
    ("not utf-8 \udcff.png", lambda path: save(path, noise(seed=22)), None),
    ("upper case.PNG", lambda path: save(path, noise(seed=23)), None),
    ("é 日本.png", lambda path: save(path, noise(seed=24)), None),
]  # fmt: skip


@pytest.fixture
def data(tmp_path):
    """A class `odd` of all these files, a link to a file elsewhere and a folder of an image's name, and one `plain`."""
    if os.name == "nt":
        pytest.skip("this system has no such names and files")
    root = tmp_path / "data"
    for name in ("odd", "plain"):
        (root / name).mkdir(parents=True)
    for name, make, _ in FILES:
        make(root / "odd" / name)
    (root / "odd" / "folder.jpg").mkdir()
    save(tmp_path / "elsewhere.png", noise(seed=25))
    (root / "odd" / "link.png").symlink_to(tmp_path / "elsewhere.png")
    for number in range(10):
        save(root / "plain" / f"{number}.png", noise(seed=100 + number))
    return root


def test_every_odd_file_goes_through_all_scripts_or_is_named_with_the_reason(data, call_script, contents, tmp_path):
    before = {path: content for path, content in contents(data).items() if "pipe" not in path}
    result = call_script("partition_datasets.py", "-proj_dir", data)
    assert result.returncode == 0, result.stderr
    reasons = {name: reason for name, _, reason in FILES if reason}
    for name, reason in reasons.items():
        assert f"note: left out: {data / 'odd' / name}: {reason}" in result.stderr
    assert result.stderr.count("left out:") == len(reasons) + 1
    assert f"{data / 'odd' / 'folder.jpg'}: a folder, not an image" in result.stderr

    for script, *arguments in (
        ("organize_files.py", data),
        ("train_torchvision.py", "-dir", data, *SMALL_TRAINING, "-num_epochs", 1, "-save", "m.pth.tar"),
        ("test_torchvision.py", "-dir", data),
        ("calc_model_performance.py", data / "m_preds.json", data / "m_results.json"),
    ):
        result = call_script(script, *arguments)
        assert result.returncode == 0, (script, result.stderr)
    readable = (
        {name for name, _, reason in FILES if not reason} | {"link.png"} | {f"{number}.png" for number in range(10)}
    )
    assert {path.name for path in (data / "bin").iterdir()} == readable
    after = contents(data)
    for path, content in before.items():
        name = path.partition("/")[2]
        if name == "link.png":
            assert after["bin/link.png"] == (tmp_path / "elsewhere.png").read_bytes()
            assert after[path] == content
        else:
            assert after[f"bin/{name}" if name in readable else path] == content
    with open(data / "csv" / "test.csv", newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert json.loads((data / "m_preds.json").read_text())["filenames"] == [row[0] for row in csv.reader(file)]


def test_new_images_of_every_kind_get_a_row_each(data, call_script):
    for script, *arguments in (
        ("partition_datasets.py", "-proj_dir", data),
        ("organize_files.py", data, "--copy"),
        ("train_torchvision.py", "-dir", data, *SMALL_TRAINING, "-num_epochs", 1, "-save", "m.pth.tar"),
    ):
        assert call_script(script, *arguments).returncode == 0
    out = data / "out.csv"
    model = data / "models" / "m.pth.tar"
    result = call_script("test_torchvision.py", "-save", model, "-images", data / "odd", "-out", out)
    assert result.returncode == 0, result.stderr
    with open(out, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = {row["file_name"]: row for row in csv.DictReader(file)}
    expected = {name: reason or "" for name, _, reason in FILES} | {"link.png": ""}
    assert rows.keys() == expected.keys()
    for name, reason in expected.items():
        assert rows[name]["error"].startswith(reason) and bool(rows[name]["error"]) == bool(reason), name
        assert bool(rows[name]["predicted_class"]) != bool(reason), name


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_size_of_images_is_limited_before_they_are_decoded(data, call_script, trained, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back at the end
    result = call_script("partition_datasets.py", "-proj_dir", data, "-max_pixels", 299_999)
    reason = "more than 299999 pixels; -max_pixels sets the limit"
    assert f"left out: {data / 'odd' / 'very wide.png'}: {reason}" in result.stderr
    for command in (
        ("test_torchvision.py", "-dir", trained),
        ("train_torchvision.py", "-dir", trained, *SMALL_TRAINING, "-num_epochs", 1, "-save", "new.pth.tar"),
    ):
        result = call_script(*command, "-max_pixels", 30 * 26 - 1)
        assert result.returncode == 2
        assert "more than 779 pixels; -max_pixels sets the limit; replace it, or remove its line from" in result.stderr
        assert call_script(*command, "-max_pixels", 30 * 26).returncode == 0
