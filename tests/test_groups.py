import re
import shutil
import unicodedata

import pandas as pd
import pytest
from conftest import error_places

from pipeline.errors import UserError
from pipeline.partitioning.groups import known_groups, read_group_csv

IMAGES = pd.DataFrame(
    {
        "source": ["no/1.png", "no/2.png", "yes/1.png"],
        "file_name": ["no_1.png", "2.png", "yes_1.png"],
        "class_name": ["no", "no", "yes"],
    }
)


def read(tmp_path, text, encoding="utf-8", images=IMAGES):
    path = tmp_path / "patients.csv"
    path.write_text(text, encoding=encoding)
    return read_group_csv(path, images)


@pytest.mark.parametrize(
    "text",
    [
        "no/1.png,7\n2.png,7\nyes/1.png,8\n",
        "file name,patient\nno_1.png,7\nno/2.png,7\nyes_1.png, 8 \n",
        "another.png,9\nno/1.png,7\n2.png,7\nyes/1.png,8\n",
        "no\\1.png,7\n.\\no\\2.png,7\nyes\\1.png,8\n",
        "/home/me/brain/no/1.png,7\nscans/2.png,7\n../yes/1.png,8\n",
        "no/1,7\n2,7\nyes_1,8\n",
        "no/1.png;7\n2.png;7\nyes/1.png;8\n",
        "no/1.png\t7\n2.png\t7\nyes/1.png\t8\n",
    ],
    ids=[
        "class in front",
        "names in bin, a header",
        "more than there is",
        "backslashes",
        "folders",
        "no suffix",
        "semicolons",
        "tabs",
    ],
)
def test_images_are_named_in_many_ways(tmp_path, text):
    assert read(tmp_path, text) == ["7", "7", "8"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_are_the_same_in_other_encodings_and_with_decomposed_letters(tmp_path, encoding, form):
    images = IMAGES.assign(source=["no/é.png", "no/2.png", "yes/1.png"], file_name=["é.png", "2.png", "1.png"])
    images["source"] = [unicodedata.normalize(form, source) for source in images["source"]]
    assert read(tmp_path, "é.png,7\n2.png,7\n1.png,8\n", encoding, images) == ["7", "7", "8"]


def test_images_may_be_left_out_and_unknown_names_are_told(tmp_path, capsys):
    assert read(tmp_path, "file,patient\nno/1.png,7\nelse.png,8\n") == ["7", "", ""]
    (note,) = capsys.readouterr().err.splitlines()
    assert note.startswith(f"note: {tmp_path / 'patients.csv'}, line 3: 'else.png'")


def test_a_first_line_that_names_a_file_is_no_header(tmp_path, capsys):
    assert read(tmp_path, "else.PNG,7\nno/1.png,7\n") == ["7", "", ""]
    assert "line 1: 'else.PNG' is not one of the images" in capsys.readouterr().err
    assert read(tmp_path, "file.name,group\nno/1.png,7\n") == ["7", "", ""]
    assert capsys.readouterr().err == ""


def test_groups_keep_their_letters_in_other_encodings(tmp_path):
    assert read(tmp_path, "no/1.png,Müller\n2.png,8\n", "cp1252") == ["Müller", "8", ""]


def test_a_group_that_may_stand_for_an_unknown_one_is_told(tmp_path, capsys):
    images = IMAGES.assign(known_group="")
    (tmp_path / "patients.csv").write_text("no/1.png,NA\n2.png,NA\nyes/1.png,none\n")
    assert known_groups(images, tmp_path / "patients.csv") == ["NA", "NA", "none"]
    printed = capsys.readouterr()
    (note,) = printed.err.splitlines()
    assert "known groups" not in printed.out  # of earlier splits
    assert "2 images" in note and "'NA'" in note and "--forget_groups" in note


def test_a_table_goes_before_the_groups_of_earlier_splits_which_the_others_keep(tmp_path):
    (tmp_path / "patients.csv").write_text("2.png,9\n")
    assert known_groups(IMAGES.assign(known_group=["7", "7", ""]), tmp_path / "patients.csv") == ["7", "9", ""]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("1.png,7\n2.png,7\n", "line 1"),
        ("no/1.png,7\nno_1.png,8\n2.png,7\nyes/1.png,8\n", "line 2"),
        ("no/1.png\n2.png,7\nyes/1.png,8\n", "line 1"),
        ("no/1.png,\n2.png,7\nyes/1.png,8\n", "line 1"),
        ("2.png,7\n2.png,8\n", "line 2"),
        ("file,patient\nyes/2.png,7\n", "names none"),
    ],
    ids=[
        "two classes have the name",
        "two groups",
        "one column",
        "empty group",
        "two lines differ",
        "of another class",
    ],
)
def test_faults_are_named(tmp_path, text, place):
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    (fault,) = error.value.faults
    assert fault.startswith(str(tmp_path / "patients.csv")) and place in fault


def test_every_fault_is_named_at_once(tmp_path):
    with pytest.raises(UserError) as error:
        read(tmp_path, "x\n1.png,7\n2.png,\n")
    assert len(error.value.faults) == 3


GROUPS = "".join(f"{name}{number}.png,{number // 3}\n" for name in ("no", "yes") for number in range(24))


@pytest.mark.parametrize("organized", [False, True])
def test_groups_hold_in_later_splits_until_they_are_to_be_forgotten(tmp_path, class_folders, call_script, organized):
    data = class_folders(tmp_path / "data", {"no": 24, "yes": 24})
    (tmp_path / "patients.csv").write_text(GROUPS)

    def patients_divided(*options):
        result = call_script("partition_datasets.py", "-dir", data, "-val_test_prop", 0.25, *options)
        assert (result.returncode, result.stderr.count("error")) == (0, 0)
        tables = data / "csv" if (data / "csv").exists() else data
        places = {number: set() for number in range(8)}
        for partition in ("train", "val", "test"):
            names = pd.read_csv(tables / f"{partition}.csv", header=None)[0]
            for name in names[~names.str.startswith("maybe")]:
                places[int(re.sub("[^0-9]", "", name)) // 3].add(partition)
        return any(len(partitions) > 1 for partitions in places.values()), result.stdout

    divided, printed = patients_divided("-group_csv", tmp_path / "patients.csv")
    assert not divided and "48 images in 8 groups" in printed
    if organized:
        assert call_script("organize_files.py", data).returncode == 0
    class_folders(data, {"maybe": 24}, seed=1)  # new images have no group
    for seed in (1, 2):
        divided, printed = patients_divided("-seed", seed)
        assert not divided and "48 images in 8 groups; 24 images without one" in printed
    divided, printed = patients_divided("--forget_groups")
    assert divided and "8 groups" not in printed
    assert patients_divided("-seed", 1)[0]


def test_an_images_csv_of_before_groups_were_remembered_is_read(tmp_path, class_folders, call_script):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 10})
    call_script("partition_datasets.py", "-dir", data)
    expected = (data / "images.csv").read_text()
    (data / "images.csv").write_text("".join(line.rpartition(",")[0] + "\n" for line in expected.splitlines()))
    assert call_script("partition_datasets.py", "-dir", data).returncode == 0
    assert (data / "images.csv").read_text() == expected


def test_a_class_without_an_image_of_its_own_is_named(tmp_path, class_folders, call_script, contents):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 10})
    shutil.copytree(data / "yes", data / "copy of yes")
    before = contents(data)
    result = call_script("partition_datasets.py", "-dir", data, "--baselines")
    assert error_places(result) == ["class 'copy of yes'", "class 'yes'"]
    assert contents(data) == before
    assert call_script("partition_datasets.py", "-dir", data, "--keep_label_conflicts").returncode == 0
