import pytest

from pipeline.errors import UserError
from pipeline.partitioning import label_table
from pipeline.partitioning.folders import Label

FILES = {"images/a.png": [], "images/b.png": ["b_in_bin.png"], "more/c.jpg": [], "more/a.png": []}


@pytest.fixture
def read(tmp_path):
    """Return read(text, encoding="utf-8", **columns): the labels that a table with this text gives FILES."""

    def read(text, encoding="utf-8", **columns):
        path = tmp_path / "labels.csv"
        path.write_bytes(text.encode(encoding))
        return label_table.read(path, columns, FILES)

    return read


@pytest.mark.parametrize(
    "text",
    [
        "image_id,label\nimages/a,no\nb,yes\n",
        "File Name;Diagnosis;age\nimages/a.png;no;7\nb_in_bin.png;yes;8\n",
        "class\tPATH\nno\t/data/images/a.png\nyes\timages\\b.png\n",
        '"filename","Class"\n"images/a.png"," no "\n\n"b.PNG","yes"\n',
        "path,label,label 2\nimages/a.png,no,1\nimages/b.png,yes,2\n",
    ],
    ids=["plain", "semicolons", "tabs", "quotes", "more columns"],
)
def test_columns_are_found_by_their_header(read, text):
    assert read(text) == {"images/a.png": Label("no"), "images/b.png": Label("yes")}


@pytest.mark.parametrize("name", ["001", "NA", "1.0", "True", "null", "a/b", "nan", "-"])
def test_class_names_are_text(read, name):
    assert read(f"image,class\nb.png,{name}\n")["images/b.png"].class_name == name


def test_groups_and_partitions_are_read(read):
    labels = read("image,class,patient_id,split\nimages/a,no,7,Training\nb,e\u0301,,valid\nc,no,8,\n")
    assert labels == {
        "images/a.png": Label("no", "train", "7"),
        "images/b.png": Label("é", "val"),
        "more/c.jpg": Label("no", "", "8"),
    }


def test_letters_of_western_windows_are_read_in_every_column(read, capsys):
    text = "image;Größe;patient\nimages/a;Übergang;Müller\nb;gesund;é\n"
    labels = read(text, "cp1252", **{"class": "Größe"})
    assert labels == {"images/a.png": Label("Übergang", "", "Müller"), "images/b.png": Label("gesund", "", "é")}
    (note,) = capsys.readouterr().err.splitlines()
    assert "labels.csv: not in UTF-8" in note
    assert read(text, "utf-8", **{"class": "Größe"}) == labels and not capsys.readouterr().err


def test_columns_can_be_named(read):
    text = "path,image,label,dx\nx,b.png,0,yes\n"
    assert read(text, image="image", **{"class": "dx"}) == {"images/b.png": Label("yes")}


def test_lines_without_a_file_and_without_a_class_are_told_with_their_number(read, capsys):
    labels = read("image,class\nghost,no\nb,\nc,no\n")
    assert "line 3" in labels["images/b.png"].left_out and labels["more/c.jpg"] == Label("no")
    (note,) = capsys.readouterr().err.splitlines()
    assert "labels.csv, line 2" in note and "'ghost'" in note


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("image,class\na.png,no\nb,no,7\n", ["line 2", "line 3"]),  # fits two files; too wide
        ("image;class\nb;no\nc;no;7\n", ["line 3"]),
        ("image,class\nb,no\nb.png,yes\n", ["line 3"]),
        ("image,class,group\nb,no,7\nb.png,no,8\n", ["line 3"]),
        ("image,class,split\nb,no,holdout\n", ["line 2"]),
        ("image,age\nb,7\n", ["-columns class="]),
        ("image,path,class\nb,b,no\n", ["-columns image="]),
        ("image,class\nghost,no\n", ["'ghost'"]),
        ("image,class\n", ["labels.csv"]),
        ("", ["labels.csv"]),
    ],
)
def test_faults_are_named_with_their_line_or_option(read, text, places):
    with pytest.raises(UserError) as error:
        read(text)
    assert len(error.value.faults) == len(places)
    for fault, place in zip(error.value.faults, places, strict=True):
        assert "labels.csv" in fault and place in fault


@pytest.mark.parametrize("role", ["class", "group"])
def test_a_column_that_is_not_there_is_named(read, role):
    with pytest.raises(UserError, match=rf"-columns {role}=dx: .*image,label"):
        read("image,label\nb,no\n", **{role: "dx"})


def test_a_named_column_that_is_there_twice_is_an_error(read):
    with pytest.raises(UserError, match=r"-columns class=label: .*rename one"):
        read("image,label,label\nb,no,no\n", **{"class": "label"})
