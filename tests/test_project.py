import re

import pytest

from pipeline.errors import UserError
from pipeline.project import Project, is_plain_file_name, script_command


@pytest.mark.parametrize("name", ["Y1.jpg", "brain scan é.png", ".hidden", "...", "12:30.png", "a" * 255])
def test_a_plain_file_name_stays_in_its_folder(name):
    assert is_plain_file_name(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "/", "/etc", "a/b", "a/", "../a", "a\\b", "..\\a", "C:", "C:a", "C:\\a", "\\\\host\\a", "a\0"],
)
def test_what_leads_elsewhere_on_any_system_is_not_a_plain_file_name(name):
    assert not is_plain_file_name(name)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="missing: no such folder; give the folder that holds one folder per class"):
        Project(tmp_path / "missing")


def test_the_tables_lie_in_csv_once_all_have_been_moved_there(tmp_path):
    project = Project(tmp_path)
    assert project.tables == tmp_path
    (tmp_path / "csv").mkdir()
    (tmp_path / "images.csv").touch()
    assert project.tables == tmp_path
    (tmp_path / "csv" / "images.csv").touch()
    assert project.tables == tmp_path
    (tmp_path / "images.csv").unlink()
    assert project.tables == tmp_path / "csv"


def test_a_project_that_is_not_organized_says_what_to_run(tmp_path):
    root = tmp_path / "brain mri"
    root.mkdir()
    with pytest.raises(UserError, match="no bin and csv folders in it; run partition_datasets"):
        Project(root).require_organized()
    (root / "images.csv").touch()
    with pytest.raises(UserError, match=r"not organized yet; run: python organize_files.py ['\"].*brain mri['\"]$"):
        Project(root).require_organized()
    (root / "bin").mkdir()
    (root / "csv").mkdir()
    Project(root).require_organized()


@pytest.mark.parametrize("choice", ["all", 0])
def test_without_folds_the_command_that_splits_into_them_is_named(tmp_path, choice):
    command = re.escape(script_command("partition_datasets.py", "-proj_dir", tmp_path, "-folds", 5))
    with pytest.raises(UserError, match=rf"^-fold {choice}: .*{command}$"):
        Project(tmp_path).folds(choice)


def test_a_model_lies_in_models(tmp_path):
    assert Project(tmp_path).model_path("resnet_1.pth.tar") == tmp_path / "models" / "resnet_1.pth.tar"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../resnet_1.pth.tar", "give a file name without folders"),
        ("models/resnet_1.pth.tar", "give a file name without folders"),
        ("", "give a file name without folders"),
        ("resnet_1.pt", "must end in .pth.tar"),
        (".pth.tar", "must end in .pth.tar"),
        ("resnet_1.last.pth.tar", "is kept for resuming"),
    ],
)
def test_a_name_that_no_model_can_have_is_refused(tmp_path, name, fault):
    with pytest.raises(UserError, match=fault):
        Project(tmp_path).model_path(name)
