import importlib
from pathlib import Path

import numpy as np
import pytest
from conftest import error_places
from PIL import Image

import demo


def test_the_same_seed_draws_the_same_images(tmp_path, contents):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        demo.draw_phantoms(tmp_path / name, {"no": 3, "yes": 3}, seed=seed, sizes=(40, 60))
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a") != contents(tmp_path / "c")
    assert len(contents(tmp_path / "a")) == 6
    for path in (tmp_path / "a").rglob("*.*"):
        with Image.open(path) as image:
            assert 40 <= max(image.size) <= 60


def test_a_lesion_is_where_it_is_said_to_be():
    for lesion in demo.LESIONS:
        for seed in range(5):
            image, inside = demo.draw_phantom(np.random.default_rng(seed), lesion, (120, 100))
            pixels = np.asarray(image)
            assert pixels.shape == inside.shape == (100, 120)
            assert 0.002 < inside.mean() < 0.1
            # Its rim is the brightest there is in the brain.
            rows, columns = np.nonzero(inside)
            assert 20 < rows.mean() < 80 and 20 < columns.mean() < 100
            assert np.percentile(pixels[inside], 90) > 1.3 * np.median(pixels[30:70, 35:85])


def test_without_a_lesion_there_is_none():
    _, inside = demo.draw_phantom(np.random.default_rng(0), None, (60, 60))
    assert not inside.any()


@pytest.mark.parametrize("own_images", [False, True])
def test_the_steps_are_the_five_scripts_with_options_that_they_take(
    tmp_path, class_folders, monkeypatch, own_images, capsys
):
    steps = []
    monkeypatch.setattr(demo, "run", lambda script, *words: steps.append((script, [str(word) for word in words])))
    monkeypatch.setattr(demo, "CLASS_COUNTS", {"no": 2, "yes": 2})
    own = ["-images", class_folders(tmp_path / "own", {"no": 3, "yes": 3})] if own_images else []
    demo.main(["-out", tmp_path / "out", *own])
    assert [script for script, _ in steps] == [
        "partition_datasets.py", "organize_files.py", "train_torchvision.py", "test_torchvision.py",
        "calc_model_performance.py",
    ]  # fmt: skip
    for script, words in steps:
        importlib.import_module(script.removesuffix(".py")).create_argparser().parse_intermixed_args(words)
    assert len(list((tmp_path / "out").rglob("*.*"))) >= 4  # images, drawn or copied
    assert str(tmp_path / "out") in capsys.readouterr().out


def test_own_images_in_linked_folders_are_copied_and_what_a_project_keeps_for_itself_is_no_class(
    tmp_path, class_folders, make_link, monkeypatch, contents, call_script
):
    monkeypatch.setattr(demo, "run", lambda script, *words: None)
    own = class_folders(tmp_path / "own", {"no": 2, "Models": 2})
    refused = call_script("demo.py", "-images", own, "-out", tmp_path / "out")
    assert refused.returncode == 2 and f"-images {own}: 1 class folder " in refused.stderr
    assert not (tmp_path / "out").exists()
    (own / "yes").mkdir()
    make_link(own / "yes" / "7", class_folders(tmp_path, {"elsewhere": 2}) / "elsewhere")
    demo.main(["-images", own, "-out", tmp_path / "out"])
    assert {path for path in contents(tmp_path / "out") if path.endswith(".png")} == {
        "no/no0.png", "no/no1.png", "yes/7/elsewhere0.png", "yes/7/elsewhere1.png",
    }  # fmt: skip


def test_a_step_proposes_no_next_one_since_the_demo_runs_it(tmp_path, class_folders, capfd):
    demo.run("partition_datasets.py", "-proj_dir", class_folders(tmp_path / "data", {"no": 8, "yes": 8}))
    assert (tmp_path / "data" / "train.csv").exists()
    output = capfd.readouterr().out
    assert "partition_datasets.py -proj_dir" in output and "next:" not in output


def test_what_lies_in_the_folder_of_an_earlier_demo_is_deleted_only_when_asked(tmp_path, monkeypatch, call_script):
    out = tmp_path / "out"
    monkeypatch.setattr(demo, "run", lambda script, *words: None)
    monkeypatch.setattr(demo, "CLASS_COUNTS", {"no": 1, "yes": 1})
    demo.main(["-out", out])
    (out / "notes.txt").write_text("mine")
    refused = call_script("demo.py", "-out", out)
    assert refused.returncode == 2
    assert f"{out}: " in refused.stderr and "--overwrite" in refused.stderr
    assert (out / "notes.txt").read_text() == "mine"
    demo.main(["-out", out, "--overwrite"])
    assert not (out / "notes.txt").exists()
    assert len(list(out.glob("*/*"))) == 2


@pytest.mark.parametrize("linked", [False, True])
def test_a_folder_of_another_origin_is_never_emptied(tmp_path, call_script, make_link, linked):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / ("notes.txt" if not linked else demo.MARKER)).touch()
    out = tmp_path / "out" if linked else mine
    if linked:
        make_link(out, mine)
    assert error_places(call_script("demo.py", "-out", out, "--overwrite")) == [str(out)]
    assert len(list(mine.iterdir())) == 1


@pytest.mark.parametrize("place", [".", "..", "demo"])
def test_own_images_and_the_project_do_not_lie_one_in_the_other(tmp_path, class_folders, call_script, contents, place):
    own = class_folders(tmp_path / "above" / "own", {"no": 2, "yes": 2})
    before = contents(tmp_path)
    assert error_places(call_script("demo.py", "-images", own, "-out", own / place)) == [f"-images {own}"]
    assert contents(tmp_path) == before


def test_a_step_that_fails_ends_the_demo_with_its_exit_status(tmp_path):
    with pytest.raises(SystemExit) as stop:
        demo.run("organize_files.py", tmp_path / "nowhere")
    assert stop.value.code == 2


def test_images_that_were_organized_already_get_the_command_for_folds(tmp_path, draw_project, call_script, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = draw_project(tmp_path / "project")
    (project / "csv" / "images.csv").touch()
    refused = call_script("demo.py", "-images", project, "-out", tmp_path / "out")
    assert refused.returncode == 2
    assert f"-images {project}: " in refused.stderr and "-folds 5" in refused.stderr
    assert f"python {Path(demo.__file__).with_name('partition_datasets.py')} -proj_dir" in refused.stderr
    assert not (tmp_path / "out").exists()
