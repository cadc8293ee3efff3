"""Image files of every kind and name, on their way through all the scripts; and every option with odd numbers."""

import csv
import importlib
import io
import json
import os
import struct
import sys
import zlib

import numpy as np
import pytest
from conftest import SMALL_TRAINING
from PIL import Image

pytestmark = [pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning"), pytest.mark.usefixtures("no_curves")]


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


def bomb():
    """Return a small PNG file of 900 million pixels."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")
    )


def with_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def pages(count, seed):
    return [Image.fromarray(noise(seed=seed + number)) for number in range(count)]


# Of each file: its name, how it is written, and whether it is an image that can be read.
FILES = [
    ("whole.png", lambda path: save(path, noise(seed=1)), True),
    ("truncated.jpg", lambda path: path.write_bytes(bytes_of(noise((64, 64), 2), "JPEG")[:1500]), False),
    ("empty.png", lambda path: path.write_bytes(b""), False),
    ("text.jpg", lambda path: path.write_text("not an image"), False),
    ("really a png.jpg", lambda path: path.write_bytes(bytes_of(noise(seed=3), "PNG")), True),
    ("no suffix", lambda path: path.write_bytes(bytes_of(noise(seed=26), "JPEG")), True),
    ("cmyk.jpg", lambda path: save(path, Image.fromarray(noise(seed=4, channels=(3,))).convert("CMYK")), True),
    ("sixteen bits.png", lambda path: save(path, noise(seed=5).astype(np.uint16) * 257), True),
    ("floating.tiff", lambda path: save(path, noise(seed=6).astype(np.float32) / 255), True),
    ("not finite.tiff", lambda path: save(path, np.full((16, 16), np.nan, np.float32)), False),
    ("palette.png", lambda path: save(path, Image.fromarray(noise(seed=7)).convert("P"), transparency=3), True),
    ("animated.gif", lambda path: save(path, pages(1, 8)[0], save_all=True, append_images=pages(2, 9)), True),
    ("several pages.tiff", lambda path: save(path, pages(1, 11)[0], save_all=True, append_images=pages(2, 12)), True),
    ("one pixel.png", lambda path: save(path, noise((1, 1), 14)), True),
    ("very wide.png", lambda path: save(path, noise((30_000, 10), 15)), True),
    ("bomb.png", lambda path: path.write_bytes(bomb()), False),
    ("turned.jpg", lambda path: save(path, noise((24, 16), 16), exif=with_orientation()), True),
    ("broken exif.jpg", lambda path: save(path, noise((24, 16), 17), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), True),
    ("broken link.png", lambda path: path.symlink_to("nowhere.png"), False),
    ("pipe.png", lambda path: os.mkfifo(path), False),
    ("comma, and quote\".png", lambda path: save(path, noise(seed=18)), True),
    ("-dash.png", lambda path: save(path, noise(seed=19)), True),
    ("line\nbreak.png", lambda path: save(path, noise(seed=20)), True),
    ("n" * 246 + ".png", lambda path: save(path, noise(seed=21)), True),
    ("not utf-8 \udcff.png", lambda path: save(path, noise(seed=22)), True),
    ("upper case.PNG", lambda path: save(path, noise(seed=23)), True),
    ("é 日本.png", lambda path: save(path, noise(seed=24)), True),
]  # fmt: skip

if sys.platform == "darwin":  # which takes letters only
    FILES = [entry for entry in FILES if "utf-8" not in entry[0]]


@pytest.fixture
def data(tmp_path):
    """A class `odd` of all these files and a link to a file elsewhere, and one `plain`."""
    if os.name == "nt":
        pytest.skip("this system has no such names and files")
    root = tmp_path / "data"
    for name in ("odd", "plain"):
        (root / name).mkdir(parents=True)
    for name, make, _ in FILES:
        make(root / "odd" / name)
    save(tmp_path / "elsewhere.png", noise(seed=25))
    (root / "odd" / "link.png").symlink_to(tmp_path / "elsewhere.png")
    for number in range(10):
        save(root / "plain" / f"{number}.png", noise(seed=100 + number))
    return root


def test_every_odd_file_goes_through_all_scripts_or_is_named_with_the_reason(data, call_script, contents, tmp_path):
    before = {path: content for path, content in contents(data).items() if "pipe" not in path}
    result = call_script("partition_datasets.py", "-proj_dir", data)
    assert result.returncode == 0, result.stderr
    left_out = [name for name, _, is_readable in FILES if not is_readable]
    assert all(f"note: left out: {data / 'odd' / name}: " in result.stderr for name in left_out)
    assert result.stderr.count("left out:") == len(left_out)

    for script, *arguments in (
        ("organize_files.py", data),
        ("train_torchvision.py", "-dir", data, *SMALL_TRAINING, "-num_epochs", 1, "-save", "m.pth.tar"),
        ("test_torchvision.py", "-dir", data),
        ("calc_model_performance.py", data / "m_preds.json", data / "m_results.json"),
    ):
        result = call_script(script, *arguments)
        assert result.returncode == 0, (script, result.stderr)
    readable = {name for name, _, is_readable in FILES if is_readable}
    readable |= {"link.png", *(f"{number}.png" for number in range(10))}
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


def test_new_images_of_every_kind_get_a_row_each(data, call_script, trained_once):
    out, model = data.parent / "out.csv", trained_once / "models" / "small.pth.tar"
    result = call_script("test_torchvision.py", "-save", model, "-images", data / "odd", "-out", out, "--explain")
    assert result.returncode == 0, result.stderr
    with open(out, newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = {row["file_name"]: row for row in csv.DictReader(file)}
    expected = {name: is_readable for name, _, is_readable in FILES} | {"link.png": True}
    assert rows.keys() == expected.keys()
    for name, is_readable in expected.items():
        assert bool(rows[name]["error"]) != is_readable, name
        assert bool(rows[name]["predicted_class"]) == is_readable, name
        assert os.path.exists(os.fsencode(data.parent / "out_explained" / f"{name}.png")) == is_readable, name


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_the_size_of_images_is_limited_before_they_are_decoded(data, call_script, trained, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back at the end
    result = call_script("partition_datasets.py", "-proj_dir", data, "-max_pixels", 299_999)
    assert f"left out: {data / 'odd' / 'very wide.png'}: more than 299999 pixels; -max_pixels " in result.stderr
    for command in (
        ("test_torchvision.py", "-dir", trained),
        ("train_torchvision.py", "-dir", trained, *SMALL_TRAINING, "-num_epochs", 1, "-save", "new.pth.tar"),
    ):
        result = call_script(*command, "-max_pixels", 30 * 26 - 1)
        assert result.returncode == 2 and "more than 779 pixels; -max_pixels " in result.stderr
        assert call_script(*command, "-max_pixels", 30 * 26).returncode == 0


SCRIPTS = {
    "partition_datasets": ("-proj_dir", "PROJECT/classes"),
    "train_torchvision": ("-dir", "PROJECT", *SMALL_TRAINING, "-num_epochs", 1, "-save", "new.pth.tar", "--overwrite"),
    "test_torchvision": ("-dir", "PROJECT", "-save", "small.pth.tar"),
    "calc_model_performance": ("PROJECT/small_preds.json", "PROJECT/results.json"),
}
OPTIONS = [
    (script, option.option_strings[0], option.nargs)
    for script in SCRIPTS
    for option in importlib.import_module(script).create_argparser()._actions
    if getattr(option.type, "__module__", "") == "pipeline.readers"
    and not option.type.__name__.endswith(("_path", "_text"))
]


@pytest.mark.parametrize(("script", "option", "count"), OPTIONS)
def test_any_number_for_any_option_is_taken_or_refused_in_one_line(
    trained, class_folders, call_script, monkeypatch, script, option, count
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back at the end
    class_folders(trained / "classes", {"no": 20, "yes": 20})
    if script == "calc_model_performance":
        assert call_script("test_torchvision.py", "-dir", trained).returncode == 0
    arguments = [str(word).replace("PROJECT", str(trained)) for word in SCRIPTS[script]]
    for value in ("", "0", "-1", "x", "nan", "1e-300", "1e999", "0.5", "3", "99999999999999999999"):
        result = call_script(f"{script}.py", *arguments, option, *[value] * (count if isinstance(count, int) else 1))
        lines = result.stderr.splitlines()
        assert result.returncode in (0, 2), (value, lines)
        assert all(line.startswith(("note: ", f"{script}.py: error: ")) for line in lines), (value, lines)
        assert result.returncode == 0 or f"{option}" in lines[-1] or value in ("0.5", "3", "1e-300"), (value, lines)
        assert (result.returncode == 2) or value not in ("", "x", "nan", "-1"), (value, lines)
