import pandas as pd
import pytest

from pipeline.errors import UserError
from pipeline.partitioning.groups import read_known_groups

IMAGES = pd.DataFrame(
    {"source": ["no/1.png", "no/2.png", "yes/1.png"], "file_name": ["no_1.png", "2.png", "yes_1.png"]}
)


def read(tmp_path, text):
    path = tmp_path / "patients.csv"
    path.write_text(text, encoding="utf-8")
    return read_known_groups(path, IMAGES).tolist()


@pytest.mark.parametrize(
    "text",
    [
        "no/1.png,7\n2.png,7\nyes/1.png,8\n",
        "file name,patient\nno_1.png,7\nno/2.png,7\nyes_1.png, 8 \n",
        "another.png,9\nno/1.png,7\n2.png,7\nyes/1.png,8\n",
    ],
    ids=["class folder in front", "names in bin, and a header", "more than there is"],
)
def test_images_are_named_as_in_their_class_folder_or_in_bin(tmp_path, text):
    assert read(tmp_path, text) == ["7", "7", "8"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("no/1.png,7\nyes/1.png,8\n", "no/2.png"),
        ("1.png,7\n2.png,7\n", "no/1.png"),
        ("no/1.png,7\nno_1.png,8\n2.png,7\nyes/1.png,8\n", "no/1.png"),
        ("no/1.png\n2.png,7\nyes/1.png,8\n", "line 1"),
        ("no/1.png,\n2.png,7\nyes/1.png,8\n", "line 1"),
        ("2.png,7\n2.png,8\n", "line 2"),
    ],
    ids=["no line", "two classes have the name", "two groups", "one column", "empty group", "two lines differ"],
)
def test_faults_are_named(tmp_path, text, place):
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    assert any(fault.startswith(str(tmp_path / "patients.csv")) and place in fault for fault in error.value.faults)


def test_every_fault_is_named_at_once(tmp_path):
    with pytest.raises(UserError) as error:
        read(tmp_path, "x\n")
    assert len(error.value.faults) == 4
