import pytest

from pipeline.errors import UserError
from pipeline.project import Project, is_plain_file_name


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
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: is a file, not a folder; "):
        Project(tmp_path / "file")


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
    with pytest.raises(UserError, match="not organized yet"):  # it was stopped before the tables were moved
        Project(root).require_organized()
    (root / "images.csv").rename(root / "csv" / "images.csv")
    Project(root).require_organized()


def test_a_fold_is_a_folder_with_a_split_file_in_it(tmp_path):
    for name in ("fold_0", "fold_1", "fold_2", "fold_03", "fold_x"):
        (tmp_path / "csv" / name).mkdir(parents=True)
    (tmp_path / "csv" / "fold_7").touch()
    (tmp_path / "csv" / "fold_2" / "notes.txt").touch()
    project = Project(tmp_path)
    assert project.fold_folders() == {}
    for name, table in (("fold_1", "val.csv"), ("fold_0", "test.csv"), ("fold_03", "test.csv")):
        (tmp_path / "csv" / name / table).touch()
    assert project.fold_folders() == {0: tmp_path / "csv" / "fold_0", 1: tmp_path / "csv" / "fold_1"}
    assert [*project.fold_places()] == [0, 1, 2]


def test_a_model_lies_in_models(tmp_path):
    for name in ("resnet_1.pth.tar", "resnet_1"):
        assert Project(tmp_path).model_path(name) == tmp_path / "models" / "resnet_1.pth.tar"


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
