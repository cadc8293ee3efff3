import pandas as pd
import pytest

from pipeline.partitioning import folders
from pipeline.partitioning.folders import Label
from pipeline.project import Project


def subfolders(*sources):
    """Return {source: subfolder} of images in class folders at the top."""
    labels = folders.read_labels(sources)
    images = pd.DataFrame({"source": sources, "class_name": [labels[source].class_name for source in sources]})
    images["corrected_from"] = ""
    return dict(zip(sources, folders.subfolders(images), strict=True))


def test_files_at_any_depth_belong_to_their_class_folder():
    labels = folders.read_labels(["no/1.png", "no/7/1.png", "yes/7/2020/1.png", "notes.txt"])
    assert labels == {"no/1.png": Label("no"), "no/7/1.png": Label("no"), "yes/7/2020/1.png": Label("yes")}


def test_the_folder_directly_under_the_class_folder_is_the_subfolder():
    assert list(subfolders("no/1.png", "no/7/1.png", "no/8/a/1.png", "yes/7/1.png", "yes/9/1.png").values()) == [
        *("", "7", "8", "7", "9"),
    ]


def test_a_folder_that_holds_a_whole_class_is_no_subfolder():
    assert set(subfolders("a/Imgs/1.png", "a/Imgs/2.png", "b/Imgs/3.png").values()) == {""}
    # What lies in it counts instead.
    assert list(subfolders("a/Imgs/7/1.png", "a/Imgs/8/2.png", "b/3.png").values()) == ["7", "8", ""]
    # It is one where another class has it among several.
    assert list(subfolders("a/7/1.png", "a/7/2.png", "b/7/3.png", "b/8/4.png").values()) == ["7", "7", "7", "8"]


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Training", "valid", "Testing"), ("TRAIN", "Validation", "TEST")],
)
def test_ready_made_partitions_are_found_by_their_names(train, val, test, capsys):
    sources = [f"{train}/no/1.png", f"{train}/yes/1.png", f"{val}/no/1.png", f"{test}/yes/7/1.png"]
    labels = folders.read_labels([*sources, f"{test}/loose.png", "docs/1.png"])
    assert [labels[source] for source in sources] == [
        *(Label("no", "train"), Label("yes", "train"), Label("no", "val"), Label("yes", "test")),
    ]
    assert len(labels) == 4
    printed = capsys.readouterr()
    assert f"{train} (train)" in printed.out
    assert [line.split(": ")[1] for line in printed.err.splitlines()] == [test, "docs"]


@pytest.mark.parametrize(
    "sources",
    [
        ["train/1.png", "test/1.png"],  # classes of these names
        ["train/video 1/1.png", "bus/video 1/1.png", "car/1.png"],
        ["test/no/1.png", "val/no/1.png", "test/yes/1.png"],  # nothing to train on
        ["train/no/1.png", "test/no/1.png"],  # one class
    ],
)
def test_folders_that_may_be_classes_are_classes(sources):
    assert {label.partition for label in folders.read_labels(sources).values()} == {""}


def test_a_training_folder_alone_is_a_ready_made_partition():
    labels = folders.read_labels(["train/no/1.png", "train/yes/1.png"])
    assert set(labels.values()) == {Label("no", "train"), Label("yes", "train")}


def test_links_are_followed_but_not_in_circles(tmp_path, class_folders, make_link):
    class_folders(tmp_path / "elsewhere", {"7": 1})
    class_folders(tmp_path / "data", {"no": 1})
    make_link(tmp_path / "data" / "no" / "link", tmp_path / "elsewhere" / "7")
    make_link(tmp_path / "data" / "no" / "circle", tmp_path / "data" / "no")
    assert list(folders.walk(Project(tmp_path / "data"))) == ["no/link/70.png", "no/no0.png"]


def test_files_that_differ_in_the_suffix_only_are_told_with_the_option(capsys):
    folders.tell_pairs(["no/1.jpg", "no/1.png", "no/2.jpg", "no/2.png", "no/3.jpg", "yes/1.jpg", "yes.1/2", "yes.2/2"])
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith("note: no: 2 ") and "-files" in note


def test_a_copy_of_the_class_folders_beside_them_is_told(capsys):
    folders.read_labels(["no/1.png", "yes/2.png", "data set/no/1.png", "data set/yes/2.png"])
    (told,) = capsys.readouterr().err.splitlines()
    assert "data set: " in told and "no and yes" in told


def test_class_folders_one_level_too_deep_are_told(capsys):
    folders.read_labels(["A/no/1.png", "A/yes/2.png", "B/no/3.png", "B/yes/4.png"])
    (told,) = capsys.readouterr().err.splitlines()
    assert "A and B" in told and "no, yes" in told.replace(" and ", ", ") and "-labels_csv" in told


def test_nothing_is_told_of_class_folders_with_folders_of_their_own(capsys):
    folders.read_labels(["no/7/1.png", "no/8/1.png", "yes/8/1.png", "yes/9/1.png", "yes/no/1.png", "loose.png"])
    folders.read_labels(["no/Imgs/1.png", "yes/Imgs/1.png"])
    assert capsys.readouterr().err == ""
