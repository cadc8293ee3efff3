import numpy as np
import pytest
from made_predictions import multiclass, random_two_class, two_class
from sklearn.metrics import roc_auc_score

from pipeline import image_table
from pipeline.errors import UserError
from pipeline.performance import units
from pipeline.performance.figures import exact_interval
from pipeline.performance.subgroups import subgroups

HOSPITALS = ["west", "east", "west", "east", "", "west", "east"]


@pytest.fixture
def made():
    labels, probabilities = [0, 0, 1, 1, 1, 0, 0], [0.2, 0.6, 0.7, 0.4, 0.9, 0.1, 0.3]
    return two_class(labels, probabilities, file_names=[f"{number}.png" for number in range(7)])


@pytest.fixture
def table(tmp_path):
    """Return write(lines, header): a table."""

    def write(lines, header="image,hospital"):
        (tmp_path / "t.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        return tmp_path / "t.csv"

    return write


@pytest.fixture
def hospitals(table):
    return table([f"{number}.png,{name}" for number, name in enumerate(HOSPITALS)])


def test_each_value_has_its_figures_and_the_least_accurate_comes_first(made, hospitals):
    found = subgroups(made, hospitals, "hospital", [])
    assert [(each.value, each.count, each.group_count) for each in found.by_value] == [
        ("east", 3, None),
        ("west", 3, None),
    ]
    east, west = found.by_value
    assert (east.accuracy.counts, west.accuracy.counts) == ("1 of 3", "3 of 3")
    assert west.accuracy.interval == exact_interval(3, 3)
    assert (east.sensitivity.counts, east.specificity.counts) == ("0 of 1", "1 of 2")
    assert east.auc.value == roc_auc_score([0, 1, 0], [0.6, 0.4, 0.3])
    assert (found.file, found.column, found.without_value, found.of_several) == ("t.csv", "hospital", 1, 0)


def test_a_column_and_its_values_may_be_in_the_letters_of_western_windows(made, tmp_path):
    (tmp_path / "t.csv").write_bytes("Bild;image;Größe\nx;0.png;groß\nx;1.png;klein\n".encode("cp1252"))
    found = subgroups(made, tmp_path / "t.csv", "Größe", [])
    assert sorted(each.value for each in found.by_value) == ["groß", "klein"]


def test_several_classes_have_means(table):
    labels = np.arange(60) % 3
    rows = np.random.default_rng(0).dirichlet(np.ones(3), size=60) + np.eye(3)[labels]
    made = multiclass(labels, rows / 2, file_names=[f"{number}.png" for number in range(60)])
    path = table([f"{number},{'AB'[number // 40]}" for number in range(60)])
    (second,) = [each for each in subgroups(made, path, "hospital", []).by_value if each.value == "B"]
    right = made.predictions == labels
    assert second.sensitivity.value == pytest.approx(np.mean([right[40:][labels[40:] == k].mean() for k in range(3)]))
    assert second.specificity is None
    assert second.auc.value == pytest.approx(roc_auc_score(labels[40:], rows[40:] / 2, multi_class="ovr"))


def test_a_subgroup_of_one_class_has_reasons(made, table):
    (one,) = subgroups(made, table(["2.png,x", "3.png,x"]), "hospital", []).by_value
    assert one.specificity.reason == "no image of another class"
    assert one.auc.reason == "needs images of the class and of another one"


def test_an_image_is_found_by_where_it_came_from_and_no_other_is_taken_for_it(made, table, tmp_path):
    (tmp_path / "csv").mkdir()
    rows = [["no/a.png", "0.png"], ["yes/a.png", "2.png"], ["yes/b.png", "not measured.png"], ["yes/c.png", ""]]
    content = [[*row, "no", "", "1", "", "", "", "", "", ""] for row in rows]
    lines = [",".join(row) for row in [image_table.COLUMNS, *content]]
    (tmp_path / "csv" / "images.csv").write_text("\n".join(lines) + "\n")
    lines = ["no/a.png,west", "b.png,north", "C:\\data\\yes\\a.png,east", "1.png,east", "yes/c.png,south"]
    # A name in bin, a line that says nothing, and one of no image.
    path = table(["2.png,east", "no/a.png,", *lines, "elsewhere.png,north"])
    found = subgroups(made, path, "hospital", [tmp_path, tmp_path])
    assert {each.value: each.count for each in found.by_value} == {"west": 1, "east": 2}
    with pytest.raises(UserError, match=r"line 2: 'a.png' can be no/a.png and yes/a.png"):
        subgroups(made, table(["a.png,west"]), "hospital", [tmp_path])


def test_images_csv_itself_is_such_a_table(made, table):
    path = table(["no/x.png,0.png,no", "yes/y.png,1.png,yes", "yes/z.png,,yes"], "source,file_name,class_name")
    assert [each.value for each in subgroups(made, path, "class_name", []).by_value] == ["yes", "no"]


def test_of_groups_those_of_several_values_are_counted(table):
    made = random_two_class(0, counts=(6, 6), groups=[f"patient {number // 3}" for number in range(12)])
    (groups,) = units.of_groups([made])
    values = ["west", "", "west", "west", "east", "west", "", "", "", "east", "east", "east"]
    path = table([f"image{number}.png,{value}" for number, value in enumerate(values)])
    found = subgroups(groups, path, "hospital", [])
    assert sorted((each.value, each.count) for each in found.by_value) == [("east", 1), ("west", 1)]
    assert (found.without_value, found.of_several) == (1, 1)


@pytest.mark.parametrize(
    ("lines", "header", "places"),
    [
        (["0.png,west"], "image,clinic", ["t.csv:hospital"]),
        (["0.png,west,east"], "image,hospital,hospital", ["t.csv:hospital"]),
        (["0.png,west"], "scan,hospital", ["t.csv"]),
        (["0.png,0.png,west"], "image,path,hospital", ["t.csv"]),
        (["0.png,west", "0.png,east", "1.png"], "image,hospital", ["line 3", "line 4"]),
        (["other.png,west"], "image,hospital", ["gives none of the 7 images measured a value"]),
        (["0.png, "], "image,hospital", ["gives none of the 7 images measured a value"]),
        ([], "image,hospital", ["t.csv"]),
    ],
)
def test_faults_of_a_table_are_named(made, table, lines, header, places):
    with pytest.raises(UserError) as error:
        subgroups(made, table(lines, header), "hospital", [])
    assert len(error.value.faults) == len(places)
    assert all(place in fault for place, fault in zip(places, sorted(error.value.faults), strict=True))


def test_predictions_without_file_names_are_in_no_table(made, hospitals):
    made.file_names = None
    with pytest.raises(UserError, match="'filenames'"):
        subgroups(made, hospitals, "hospital", [])
