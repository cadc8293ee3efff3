import os
import platform

import pytest
from conftest import SMALL_TRAINING

from pipeline.errors import UserError
from pipeline.locks import only_one


def test_the_second_is_told_who_is_at_work(tmp_path):
    path = tmp_path / ".lock"
    with only_one(path, "the project"), pytest.raises(UserError) as error, only_one(path, "the project"):
        pass
    assert error.value.faults[0].startswith(f"the project: process {os.getpid()} on {platform.node()} is at work on it")
    assert not path.exists()


def test_what_a_killed_process_has_left_is_no_obstacle(tmp_path):
    path = tmp_path / ".lock"
    path.write_text("process 1 on another machine")
    with only_one(path, "the project"):
        pass
    assert not path.exists()


def test_of_several_processes_the_main_one_holds_it_for_all(tmp_path, launched):
    with only_one(tmp_path / ".lock", "the project"):
        launched(1, 2)
        with only_one(tmp_path / ".lock", "the project"):
            pass


def test_two_trainings_of_one_name_do_not_run_at_once(trained, call_script, contents):
    before = contents(trained)
    with only_one(trained / "models" / ".small.lock", "small"):
        command = ("train_torchvision.py", "-dir", trained, *SMALL_TRAINING, "-save", "small.pth.tar", "--overwrite")
        result = call_script(*command)
    assert result.returncode == 2
    assert result.stderr.startswith(f"train_torchvision.py: error: {trained / 'models' / 'small.pth.tar'}: process ")
    assert contents(trained) == before


@pytest.mark.parametrize("script", ["partition_datasets.py", "organize_files.py"])
def test_two_scripts_do_not_change_a_project_at_once(tmp_path, class_folders, call_script, contents, script):
    root = class_folders(tmp_path / "data", {"no": 9, "yes": 9})
    assert call_script("partition_datasets.py", "-proj_dir", root).returncode == 0
    before = contents(root)
    with only_one(root / ".lock", root):
        result = call_script(script, "-proj_dir", root)
    assert result.returncode == 2 and result.stderr.startswith(f"{script}: error: {root}: process ")
    assert contents(root) == before


def test_a_folder_that_may_not_be_written_to_is_told_with_a_way_out(tmp_path, permissions):
    with permissions(tmp_path, 0o500), pytest.raises(UserError) as error, only_one(tmp_path / ".lock", tmp_path):
        pass
    assert error.value.faults[0].startswith(f"{tmp_path}: Permission denied; ")
