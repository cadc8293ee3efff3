import hashlib
import os
import pathlib
import shutil
import unicodedata

import numpy as np
import pytest
from conftest import error_places
from PIL import Image

from pipeline.files import content_hash
from pipeline.partitioning import existing
from pipeline.project import Project, script_command

PARTITION, SCRIPT = "partition_datasets.py", "organize_files.py"
# split.json goes with them; it names the date and is another at every run.
TABLES = ["train.csv", "val.csv", "test.csv", "classes.csv", "images.csv"]


@pytest.fixture
def partition(call_script):
    """Return run(folder, *options): partition_datasets.py, with sizes that fit a class of three images."""

    def run(folder, *options):
        assert call_script(PARTITION, "-dir", folder, "-val_test_prop", 0.25, *options).returncode == 0
        return folder

    return run


@pytest.fixture
def data(tmp_path, class_folders, partition):
    """A partitioned folder: three images in each of two classes, and a file that is not an image."""
    folder = class_folders(tmp_path / "brain mri é", {"no": 3, "yes": 3})
    (folder / "no" / "notes.txt").write_text("text")
    return partition(folder)


def organized(before):
    """Return what `contents` finds after organizing a folder in which it found `before`."""
    after = {f"csv/{name}": before[name] for name in (*TABLES, "split.json")}
    after |= {"bin/" + path.split("/")[1]: data for path, data in before.items() if path.endswith(".png")}
    return after | {"no/notes.txt": b"text"}


def class_folders_of(found):
    return {path: content for path, content in found.items() if path.startswith(("no/", "yes/", "maybe/"))}


def without_marker(found):
    return {path: content for path, content in found.items() if path != "csv/.copied"}


def tables(folder):
    return {name: (folder / name).read_bytes() for name in TABLES}


def next_command(folder):
    recommended = ("-recipe", "transfer", "-model_save_name", "transfer.pth.tar")
    return f"next: {script_command('train_torchvision.py', '-project_directory', folder, *recommended)}\n"


def test_the_published_command_lays_out_the_project_as_a_user_runs_it(data, run_script, contents, monkeypatch):
    monkeypatch.chdir(data.parent)  # as the script is run: the printed command is for there
    before = contents(data)
    result = run_script(SCRIPT, f'{data}/"')
    assert (result.returncode, result.stderr) == (0, "")
    assert contents(data) == organized(before)
    assert {path.name for path in data.iterdir()} == {"bin", "csv", "models", "results", "no"}
    assert result.stdout == (
        f"moved 6 images into {data / 'bin'} (6 in all)\n"
        f"CSV files: {data / 'csv'}; created: {data / 'models'}, {data / 'results'}\n"
        f"removed the emptied class folders: yes\n{next_command(data)}"
    )


def test_run_twice_it_says_so(data, call_script, contents):
    call_script(SCRIPT, data)
    before = contents(data)
    result = call_script(SCRIPT, data)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        f"{data} is organized already: 6 images in {data / 'bin'}; nothing to do\n{next_command(data)}"
    )
    assert contents(data) == before


def test_a_picture_that_partitioning_named_is_named_where_it_is_now(data, call_script, partition):
    blobs = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8))
    for size in (64, 65):  # the same scene in two sizes
        blobs.resize((size, size), Image.Resampling.BICUBIC).save(data / "yes" / f"twin_{size}.png")
    assert (partition(data) / "near_duplicates.png").exists()
    result = call_script(SCRIPT, data)
    assert result.returncode == 0 and str(data / "csv" / "near_duplicates.png") in result.stdout
    assert "near_duplicates.png" not in call_script(SCRIPT, data).stdout


def test_copying_leaves_the_class_folders_alone(data, call_script, contents):
    before = contents(data)
    result = call_script(SCRIPT, data, "--copy")
    assert result.returncode == 0
    assert result.stdout.startswith(f"copied 6 images into {data / 'bin'} (6 in all)\n")
    expected = organized(before) | class_folders_of(before)
    assert without_marker(contents(data)) == expected
    for options in (["--copy"], []):  # the project remembers it
        assert "nothing to do" in call_script(SCRIPT, data, *options).stdout
        assert without_marker(contents(data)) == expected


def test_a_copied_project_stays_one_when_it_is_split_again(data, partition, class_folders, call_script, contents):
    call_script(SCRIPT, data, "--copy")
    class_folders(data, {"maybe": 3}, seed=1)
    before = class_folders_of(contents(data))
    partition(data)
    assert call_script(SCRIPT, data).stdout.startswith(f"copied 3 images into {data / 'bin'} (9 in all)\n")
    assert class_folders_of(contents(data)) == before


def test_after_copying_no_copy_removes_the_originals_and_says_so(data, call_script, contents):
    before = contents(data)
    call_script(SCRIPT, data, "--copy")
    result = call_script(SCRIPT, data, "--no-copy")
    assert result.stdout == (
        f"removed 6 images from the class folders, since identical copies are in {data / 'bin'}\n"
        f"removed the emptied class folders: yes\n{next_command(data)}"
    )
    assert contents(data) == organized(before)
    assert "nothing to do" in call_script(SCRIPT, data).stdout


def test_an_original_that_differs_from_its_copy_is_kept(data, call_script, contents):
    call_script(SCRIPT, data, "--copy")
    (data / "no" / "no0.png").write_bytes(b"edited since")
    call_script(SCRIPT, data, "--no-copy")
    assert (data / "no" / "no0.png").read_bytes() == b"edited since"
    assert set(contents(data / "no")) == {"no0.png", "notes.txt"}


@pytest.mark.parametrize("options", [[], ["--copy"]], ids=["move", "copy"])
@pytest.mark.parametrize("before_it", [True, False], ids=["before", "after"])
def test_stopped_at_any_step_it_loses_nothing_and_the_same_command_completes_it(
    tmp_path, data, call_script, contents, monkeypatch, options, before_it
):
    """Stop at the first change of a file or folder, at the second, and so on, and finish with the same command."""
    before = contents(data)
    images = {content for path, content in before.items() if path.endswith(".png")}
    expected = organized(before) | ({path: data for path, data in before.items() if "/" in path} if options else {})
    for step in range(1, 100):
        folder = shutil.copytree(data, tmp_path / f"{step}")
        with monkeypatch.context() as patch:
            stop_at(patch, step, before_it)
            status = call_script(SCRIPT, folder, *options).returncode
        assert images <= set(contents(folder).values())
        seen = {
            path: content for path, content in contents(folder).items() if not pathlib.Path(path).name.startswith(".")
        }
        assert set(seen.values()) <= set(before.values())
        if status == 0:
            break
        assert status == 130
        assert call_script(SCRIPT, folder, *options).returncode == 0
        assert without_marker(contents(folder)) == expected
    assert step > 15


def stop_at(patch, step, before_it=True):
    """Let Ctrl-C come before (in a copy: in the middle) or after the given number of changes to the file system."""
    count = 0

    def stopping(change):
        def changed(*arguments, **settings):
            nonlocal count
            count += 1
            if count == step and before_it:
                if change.__name__ == "copyfile":
                    pathlib.Path(arguments[1]).write_bytes(b"half")
                raise KeyboardInterrupt
            result = change(*arguments, **settings)
            if count == step:
                raise KeyboardInterrupt
            return result

        return changed

    for owner, names in [
        (os, ("rename", "replace")),
        (shutil, ("copyfile",)),
        (pathlib.Path, ("mkdir", "rmdir", "unlink")),
    ]:
        for name in names:
            patch.setattr(owner, name, stopping(getattr(owner, name)))


def test_partitioning_after_a_stop_counts_wherever_it_was_stopped(tmp_path, data, call_script, partition, monkeypatch):
    expected = tables(partition(shutil.copytree(data, tmp_path / "expected"), "-seed", 1))
    assert expected != tables(data)
    for step in range(1, 100):
        folder = shutil.copytree(data, tmp_path / f"{step}")
        with monkeypatch.context() as patch:
            stop_at(patch, step)
            status = call_script(SCRIPT, folder).returncode
        partition(folder, "-seed", 1)
        call_script(SCRIPT, folder)
        assert tables(folder / "csv") == expected
        if status == 0:
            break
    assert step > 15


def test_killed_in_the_middle_of_a_copy_it_takes_up_again(data, call_script, contents):
    before = contents(data)
    (data / "bin").mkdir()
    shutil.move(data / "no" / "no0.png", data / "bin" / "no0.png")
    shutil.copyfile(data / "no" / "no1.png", data / "bin" / "no1.png")
    (data / "bin" / ".no2.png.1234.part").write_bytes((data / "no" / "no2.png").read_bytes()[:40])
    result = call_script(SCRIPT, data)
    assert result.stdout.startswith(f"moved 4 images into {data / 'bin'} (6 in all)\n")
    assert contents(data / "bin").keys() - {".no2.png.1234.part"} == {
        f"{c}{i}.png" for c in ("no", "yes") for i in range(3)
    }
    assert {path: content for path, content in contents(data).items() if ".part" not in path} == organized(before)


def test_from_another_file_system_images_are_copied_and_then_removed(data, call_script, contents, monkeypatch):
    def rename(source, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", rename)
    before = contents(data)
    assert call_script(SCRIPT, data).returncode == 0
    assert contents(data) == organized(before)


def test_out_of_a_read_only_class_folder_images_are_copied(data, call_script, contents, monkeypatch):
    """As `permissions` would have it, for the user whom they do not bind."""

    def refuse(name, change):
        def changed(path, *arguments, **settings):
            if pathlib.Path(path).parent.name in ("no", "yes"):
                raise PermissionError(13, "Permission denied", str(path))
            return change(path, *arguments, **settings)

        return changed

    monkeypatch.setattr(os, "rename", refuse("rename", os.rename))
    monkeypatch.setattr(pathlib.Path, "unlink", refuse("unlink", pathlib.Path.unlink))
    before = contents(data)
    for _ in range(2):
        result = call_script(SCRIPT, data)
        assert (result.returncode, result.stderr) == (0, "")
        assert contents(data) == organized(before) | {path: data for path, data in before.items() if "/" in path}
    assert "nothing to do" in result.stdout


def test_a_class_folder_without_write_permission_is_copied(data, call_script, contents, permissions):
    before = contents(data)
    with permissions(data / "no", 0o555):
        assert call_script(SCRIPT, data).returncode == 0
    copied = {path: data for path, data in before.items() if path.startswith("no/")}
    assert contents(data) == organized(before) | copied


def test_linked_images_and_class_folders_are_copied_and_never_emptied(
    tmp_path, class_folders, partition, call_script, make_link, contents
):
    data = class_folders(tmp_path / "data", {"no": 3, "yes": 3})
    (data / "yes").rename(tmp_path / "elsewhere")
    make_link(data / "yes", tmp_path / "elsewhere")
    (data / "no" / "no0.png").rename(tmp_path / "image.png")
    make_link(data / "no" / "no0.png", tmp_path / "image.png")
    far_end = contents(tmp_path / "elsewhere") | {"image.png": (tmp_path / "image.png").read_bytes()}
    partition(data)
    for _ in range(2):
        assert call_script(SCRIPT, data).returncode == 0
        assert contents(tmp_path / "elsewhere") | {"image.png": (tmp_path / "image.png").read_bytes()} == far_end
        assert (data / "yes").is_symlink() and (data / "no" / "no0.png").is_symlink()
        assert not (data / "no" / "no1.png").exists()
    in_bin = contents(data / "bin")
    assert len(in_bin) == 6
    assert in_bin["no0.png"] == far_end["image.png"] and in_bin["yes2.png"] == far_end["yes2.png"]
    assert not any((data / "bin" / name).is_symlink() for name in in_bin)


@pytest.mark.parametrize("organized", [False, True])
def test_names_that_a_copy_has_decomposed_are_the_same_names(
    tmp_path, class_folders, partition, call_script, contents, organized
):
    """macOS and some copies write é as two letters: the names that the tables have as one."""
    data = partition(class_folders(tmp_path / "data", {"é": 3, "yes": 3}))
    before = sorted(content for path, content in contents(data).items() if path.endswith(".png"))
    if organized:
        call_script(SCRIPT, data)
    for path in sorted(data.rglob("*é*"), reverse=True):
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    assert all(path.exists() for path in existing.read(Project(data)).paths)
    assert call_script(SCRIPT, data).returncode == 0
    assert sorted(contents(data / "bin").values()) == before
    assert {path.name for path in data.iterdir()} == {"bin", "csv", "models", "results"}

    class_folders(data, {unicodedata.normalize("NFD", "é"): 1}, seed=1)  # a new image joins its class
    partition(data)
    assert (data / "csv" / "classes.csv").read_text(encoding="utf-8") == "0,yes\n1,é\n"
    assert call_script(SCRIPT, data).stdout.startswith(f"moved 1 image into {data / 'bin'} (7 in all)\n")


@pytest.mark.parametrize("target", ["nowhere", "no0.png"])
def test_a_link_in_bin_is_neither_written_through_nor_taken_for_the_image(
    data, call_script, contents, make_link, target
):
    (data / "bin").mkdir()
    make_link(data / "bin" / "no0.png", data / "no" / target)
    before = contents(data)
    assert error_places(call_script(SCRIPT, data)) == [str(data / "bin" / "no0.png")]
    assert contents(data) == before


def test_an_image_that_is_the_same_file_as_its_target_is_never_removed(data, call_script, contents):
    """As on a file system that ignores case, where Bin/ and bin/ are one folder; two names of one file stand for it."""
    images = {content for path, content in contents(data).items() if path.endswith(".png")}
    (data / "bin").mkdir()
    for path in (data / "no").glob("*.png"):
        os.link(path, data / "bin" / path.name)
    assert call_script(SCRIPT, data).returncode == 0
    assert images <= set(contents(data).values())
    assert (data / "no" / "no0.png").exists() and (data / "bin" / "no0.png").exists()


@pytest.mark.parametrize("name", ["bin", "csv", "csv/fold_0"])
def test_a_link_in_the_place_of_a_folder_of_ours_is_an_error(data, call_script, contents, make_link, name):
    (data / name).parent.mkdir(exist_ok=True)
    make_link(data / name, data / "no")
    before = contents(data)
    for script in (SCRIPT, PARTITION):
        result = call_script(script, "-dir", data)
        assert (result.returncode, str(data / name) in result.stderr) == (2, True)
    assert contents(data) == before


def test_a_table_that_names_a_class_bin_removes_nothing(data, call_script, contents):
    call_script(SCRIPT, data)
    table = data / "csv" / "images.csv"
    table.write_text(table.read_text().replace("yes/", "bin/").replace(",yes,", ",bin,"))
    before = contents(data)
    assert set(error_places(call_script(SCRIPT, data))) == {f"{table}, line {number}" for number in (6, 7, 8)}
    assert contents(data) == before


def test_a_class_folder_that_is_a_mount_point_stays_and_the_work_is_completed(data, call_script, contents, monkeypatch):
    def busy(folder):
        raise OSError(16, "Device or resource busy", str(folder))

    monkeypatch.setattr(pathlib.Path, "rmdir", busy)
    before = contents(data)
    assert call_script(SCRIPT, data).returncode == 0
    assert contents(data) == organized(before)
    assert (data / "yes").is_dir()


def test_after_a_split_into_folds_the_next_command_trains_them_all(tmp_path, class_folders, partition, call_script):
    data = partition(class_folders(tmp_path / "data", {"no": 8, "yes": 8}), "-folds", 2)
    assert " -fold all -recipe transfer " in call_script(SCRIPT, data).stdout.splitlines()[-1]


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
def test_control_characters_in_names_never_reach_the_terminal(tmp_path, class_folders, call_script, partition):
    data = class_folders(tmp_path / "data", {"no\x1b[31m": 4, "yes\u202e": 4})
    (data / "no\x1b[31m" / "x\x1b]0;.png").write_text("not an image")
    results = [call_script(PARTITION, "-dir", data, "-val_test_prop", 0.25), call_script(SCRIPT, data)]
    for result in results:
        assert result.returncode == 0
        assert not {"\x1b", "\u202e"} & set(result.stdout + result.stderr)


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
def test_names_that_need_care_arrive_whole(tmp_path, class_folders, partition, call_script, contents):
    data = class_folders(tmp_path / "data", {"no": 9, "a,b": 3, "back\\slash": 3})
    names = [
        "a,b.png",
        '"quoted".png',
        "two\nlines.png",
        "Icon\r.png",
        "back\\slash.png",
        "C:.png",
        "-dir.png",
        " .png",
    ]
    for number, name in enumerate(names):
        shutil.move(data / "no" / f"no{number}.png", data / "no" / name)
    shutil.copyfile(data / "no" / "no8.png", data / "a,b" / "Back\\slash.png")
    before = contents(data)
    partition(data)
    assert call_script(SCRIPT, data).returncode == 0
    in_bin = contents(data / "bin")
    assert sorted(in_bin.values()) == sorted(before.values())
    assert in_bin["two\nlines.png"] == before["no/two\nlines.png"]
    assert in_bin["no_back_slash.png"] == before["no/back\\slash.png"]
    assert in_bin["a,b_Back_slash.png"] == before["a,b/Back\\slash.png"]
    assert in_bin["C_.png"] == before["no/C:.png"]
    assert {path.name for path in data.iterdir()} == {"bin", "csv", "models", "results"}
    written = tables(data / "csv")
    partition(data)  # which now reads them in images.csv
    assert tables(data / "csv") == written


@pytest.mark.parametrize("options", [[], ["--copy"]], ids=["move", "copy"])
def test_partitioning_again_gives_the_same_bytes_in_csv(data, call_script, partition, contents, options):
    before = tables(data)
    call_script(SCRIPT, data, *options)
    organized_before = contents(data)
    partition(data)
    assert tables(data / "csv") == before
    assert contents(data).keys() == organized_before.keys()


def test_partitioning_again_takes_another_seed_and_proportion(
    tmp_path, class_folders, partition, call_script, contents
):
    data = partition(class_folders(tmp_path / "data", {"no": 10, "yes": 10}))
    call_script(SCRIPT, data)
    before = contents(data)
    partition(data, "-seed", 1)
    after = contents(data)
    assert {path for path in after if after[path] != before[path]} == {
        f"csv/{name}" for name in (*TABLES[:3], "split.json")
    }
    partition(data, "-val_test_prop", 0.1)
    assert len((data / "csv" / "val.csv").read_bytes().splitlines()) == 2
    assert "nothing to do" in call_script(SCRIPT, data).stdout


def test_new_images_join_after_organizing(data, class_folders, partition, call_script, contents):
    call_script(SCRIPT, data)
    before = contents(data / "bin")
    class_folders(data, {"maybe": 3, "yes": 1}, seed=1)  # yes0.png is another image than the one in bin/
    partition(data)
    result = call_script(SCRIPT, data)
    assert result.stdout.startswith(f"moved 4 images into {data / 'bin'} (10 in all)\n")
    after = contents(data / "bin")
    assert after.keys() - before.keys() == {"maybe0.png", "maybe1.png", "maybe2.png", "yes_yes0.png"}
    assert {name: after[name] for name in before} == before
    assert (data / "csv" / "classes.csv").read_text() == "0,maybe\n1,no\n2,yes\n"
    assert not (data / "images.csv").exists()
    tables_before = tables(data / "csv")
    partition(data)
    assert tables(data / "csv") == tables_before


def test_many_replaced_images_keep_their_order(tmp_path, class_folders, partition, call_script):
    data = partition(class_folders(tmp_path / "data", {"no": 30, "yes": 30}))
    call_script(SCRIPT, data)
    class_folders(data, {"no": 30, "yes": 30}, seed=1)
    partition(data)
    call_script(SCRIPT, data)
    before = tables(data / "csv")
    partition(data)
    assert tables(data / "csv") == before


def test_partitioning_between_two_halves_of_organizing_loses_nothing(data, partition, call_script, contents):
    before = contents(data)
    (data / "bin").mkdir()
    for name in ("no0.png", "no1.png"):
        shutil.move(data / "no" / name, data / "bin" / name)
    partition(data)
    assert tables(data) == {name: before[name] for name in TABLES}
    call_script(SCRIPT, data)
    after = contents(data)
    assert after == organized(before) | {"csv/split.json": after["csv/split.json"]}


def test_without_a_table_of_images_it_says_what_to_run(tmp_path, class_folders, call_script, contents):
    data = class_folders(tmp_path / "brain mri", {"no": 1, "yes": 1})
    before = contents(data)
    result = call_script(SCRIPT, data)
    assert (error_places(result), result.stdout) == ([str(data / "images.csv")], "")
    assert result.stderr.endswith(f"run: {script_command(PARTITION, '-proj_dir', data)}\n")
    assert contents(data) == before


def test_every_image_that_is_missing_or_changed_is_named_and_none_is_moved(data, call_script, contents):
    (data / "no" / "no0.png").unlink()
    (data / "no" / "no1.png").write_bytes(b"changed")
    (data / "bin").mkdir()
    (data / "bin" / "yes0.png").write_bytes(b"another file")
    before = contents(data)
    result = call_script(SCRIPT, data)
    places = [data / "no" / "no0.png", data / "no" / "no1.png", data / "bin" / "yes0.png"]
    assert (error_places(result), result.stdout) == (list(map(str, places)), "")
    assert contents(data) == before


@pytest.mark.parametrize(
    "row",
    [
        "{folder}/{name},{name},{folder},{hash},0,",
        "no/no0.png,../{name},no,{hash},0,",
        "no/no0.png,,../empty,{hash},0,",
        "yes/yes0.png,no0.png,yes,{other},0,",
    ],
    ids=["source", "target", "class folder", "two images for one name"],
)
def test_a_table_that_leads_elsewhere_moves_and_removes_nothing(tmp_path, data, call_script, contents, row):
    (tmp_path / "outside.png").write_bytes(b"outside")
    (tmp_path / "empty").mkdir()
    lines = (data / "images.csv").read_text().splitlines()
    other = content_hash((data / "yes" / "yes0.png").read_bytes())
    row = row.format(folder="..", name="outside.png", hash=content_hash(b"outside"), other=other)
    (data / "images.csv").write_text("\n".join([*lines[:2], row, *lines[3:]]) + "\n")
    before = contents(tmp_path)
    assert error_places(call_script(SCRIPT, data)) == [f"{data / 'images.csv'}, line 3"]
    assert contents(tmp_path) == before
    assert (tmp_path / "empty").is_dir()


def test_an_image_that_only_a_larger_limit_lets_partition_read_is_moved_too(
    data, partition, call_script, monkeypatch, contents
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # put back at the end
    os.truncate(data / "no" / "no0.png", 2**26 + 1)  # bytes, most of them behind the image's end
    before = contents(partition(data, "-max_pixels", 10_000_000))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    result = call_script(SCRIPT, data)
    assert (result.returncode, result.stderr) == (0, "")
    assert contents(data) == organized(before)


@pytest.mark.parametrize("content", [b"", None], ids=["an empty file", "a folder"])
def test_what_has_come_into_the_place_of_an_image_is_an_error_beside_the_others(data, call_script, contents, content):
    (data / "no" / "no0.png").unlink()
    (data / "yes" / "yes0.png").unlink()
    if content is None:
        (data / "no" / "no0.png").mkdir()
    else:
        (data / "no" / "no0.png").write_bytes(content)
    before = contents(data)
    result = call_script(SCRIPT, data)
    assert error_places(result) == [str(data / "no" / "no0.png"), str(data / "yes" / "yes0.png")]
    assert "has changed since partitioning; run partition_datasets.py again" in result.stderr
    assert contents(data) == before


def test_an_image_that_the_disk_does_not_give_is_named(data, call_script, contents, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(hashlib, "file_digest", fail)
    before = contents(data)
    assert error_places(call_script(SCRIPT, data)) == [str(data / "no" / "no0.png")]
    assert contents(data) == before


def test_a_file_in_the_place_of_a_folder_is_an_error(data, call_script):
    (data / "bin").touch()
    assert error_places(call_script(SCRIPT, data)) == [str(data / "bin")]


def test_no_torch_is_imported(data, slow_imports):
    assert "torch" not in slow_imports(SCRIPT, data)
    assert (data / "csv" / "images.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "place"), [([], "DIR, -proj_dir"), (["a", "-dir", "a"], "DIR, -proj_dir"), ([""], "DIR")]
)
def test_one_folder_is_given(call_script, arguments, place):
    result = call_script(SCRIPT, *arguments)
    assert (error_places(result), result.stdout) == ([place], "")


def test_a_csv_of_another_origin_does_not_replace_the_split(data, call_script):
    call_script(SCRIPT, data)
    before = (data / "csv" / "train.csv").read_bytes()
    (data / "train.csv").write_text("mine,0\n")
    assert "organized already" in call_script(SCRIPT, data).stdout
    assert (data / "csv" / "train.csv").read_bytes() == before
    assert (data / "train.csv").exists()
