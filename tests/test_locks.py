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
