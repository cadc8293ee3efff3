"""Which files are images and what their labels are, by the options of partition and in later splits."""

import shutil

import pandas as pd
import pytest
from conftest import error_places

from pipeline import files

SCRIPT = "partition_datasets.py"


def names(folder, *partitions):
    tables = (
        pd.read_csv(folder / f"{one}.csv", header=None, dtype=str)[0] for one in partitions or ("train", "val", "test")
    )
    return {name for table in tables for name in table}


def classes(folder):
    return [line.partition(",")[2] for line in (folder / "classes.csv").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def masked(tmp_path, class_folders):
    """Images in two class folders, each with a mask beside it."""
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 10}, suffix=".JPG")
    return class_folders(data, {"no": 10, "yes": 10}, seed=1)


@pytest.fixture
def tabled(tmp_path, class_folders):
    """40 images in one folder, a file beside them, and a table that labels them."""
    data = class_folders(tmp_path / "data", {"images": 40})
    (data / "images" / "readme.txt").write_text("text")
    lines = [f"images{number},{('001', 'NA')[number % 2]}" for number in range(40)]
    (tmp_path / "labels.csv").write_text("image_id,label\n" + "\n".join(lines) + "\n")
    (tmp_path / "doubtful.csv").write_text("image,class,given_class\nimages0.png,NA,001\n")
    return data


def test_files_are_chosen_by_their_names_in_later_splits_too(masked, call_script):
    result = call_script(SCRIPT, "-dir", masked)
    assert len(names(masked)) == 40 and result.stderr.count("-files") == 2
    result = call_script(SCRIPT, "-dir", masked, "-files", "*.jpg", "yes/*.jpg")
    assert (result.returncode, result.stderr) == (0, "")
    assert names(masked) == {f"{name}{number}.JPG" for name in ("no", "yes") for number in range(10)}
    assert call_script("organize_files.py", masked).returncode == 0
    assert len(list((masked / "no").iterdir())) == 10
    result = call_script(SCRIPT, "-dir", masked, "-seed", 1)
    assert result.returncode == 0 and "-files '*.jpg'" in result.stdout
    assert all(name.endswith(".JPG") for name in names(masked / "csv"))
    assert call_script(SCRIPT, "-dir", masked, "-files", "*").returncode == 0
    assert len(names(masked / "csv")) == 40
    result = call_script(SCRIPT, "-dir", masked, "-files", "*.png")
    assert result.returncode == 0 and len(names(masked / "csv")) == 20


def test_labels_of_a_table_hold_in_later_splits(tabled, call_script, class_folders, tmp_path):
    result = call_script(SCRIPT, "-dir", tabled, "-labels_csv", tmp_path / "labels.csv")
    assert result.returncode == 0 and classes(tabled) == ["001", "NA"]
    assert [line.split(":")[1] for line in result.stderr.splitlines()] == [" images/readme.txt"]
    assert call_script("organize_files.py", tabled).returncode == 0
    assert {path.name for path in tabled.iterdir()} == {"bin", "csv", "models", "results", "images"}
    class_folders(tabled, {"more": 2}, seed=1)
    result = call_script(SCRIPT, "-dir", tabled, "-seed", 1)
    assert result.returncode == 0 and classes(tabled / "csv") == ["001", "NA"]
    assert result.stderr.count("labels.csv does not name it") == 3

    # A table that is given again labels new files, and corrects old labels by the names in the folder and in bin.
    (tmp_path / "more.csv").write_text("image,class\nmore0,001\nmore1,NA\nimages0.png,NA\n")
    assert call_script(SCRIPT, "-dir", tabled, "-labels_csv", tmp_path / "more.csv").returncode == 0
    table = pd.read_csv(tabled / "csv" / "images.csv", keep_default_na=False, dtype=str).set_index("source")
    labels = table["class_name"]
    assert (labels["more/more0.png"], labels["images/images0.png"], labels["images/images2.png"]) == (
        "001",
        "NA",
        "001",
    )
    assert len(names(tabled / "csv")) == 42


def test_a_table_labels_files_in_the_project_folder_itself(tabled, call_script, tmp_path):
    for path in (tabled / "images").iterdir():
        path.rename(tabled / path.name)
    shutil.move(tmp_path / "labels.csv", tabled / "labels.csv")
    result = call_script(SCRIPT, "-dir", tabled, "-labels_csv", tabled / "labels.csv")
    assert (result.returncode, result.stderr) == (0, "")
    assert call_script("organize_files.py", tabled).returncode == 0
    assert len(list((tabled / "bin").iterdir())) == 40 and (tabled / "labels.csv").exists()


def test_a_table_gives_partitions_and_groups(tabled, call_script, tmp_path):
    parts = ["train"] * 20 + ["val"] * 10 + ["test"] * 10
    lines = [f"images{number},{number % 2},{part},{number // 4}" for number, part in enumerate(parts)]
    (tmp_path / "labels.csv").write_text("name,dx,fold,patient\n" + "\n".join(lines) + "\n")
    columns = ["image=name", "class=dx", "split=fold"]
    result = call_script(SCRIPT, "-dir", tabled, "-labels_csv", tmp_path / "labels.csv", "-columns", *columns)
    assert result.returncode == 0
    # Patient 7 is in validation and in test.
    assert names(tabled, "train") == {f"images{number}.png" for number in range(20)}
    assert names(tabled, "val") == {f"images{number}.png" for number in range(20, 28)}
    assert names(tabled, "test") == {f"images{number}.png" for number in range(30, 40)}


def test_groups_of_a_table_count_also_where_earlier_ones_are_forgotten(tabled, call_script, tmp_path):
    lines = [f"images{number},{number % 2},{number // 4}" for number in range(40)]
    (tmp_path / "labels.csv").write_text("image,class,group\n" + "\n".join(lines) + "\n")
    for options in ([], ["--forget_groups"]):
        result = call_script(SCRIPT, "-dir", tabled, "-labels_csv", tmp_path / "labels.csv", *options)
        assert result.returncode == 0 and "known groups: 40 images in 10 groups (" in result.stdout
        groups = [{int(name[6:-4]) // 4 for name in names(tabled, part)} for part in ("train", "val", "test")]
        assert sum(map(len, groups)) == 10  # none is in two of them
    assert "known groups" not in call_script(SCRIPT, "-dir", tabled, "--forget_groups").stdout


def test_a_table_of_one_class_is_the_table_s_fault_and_no_other_is_asked_for(tabled, call_script, tmp_path, contents):
    (tmp_path / "labels.csv").write_text("image,class\nimages0,no\nimages1,no\n")
    before = contents(tabled)
    result = call_script(SCRIPT, "-dir", tabled, "-labels_csv", tmp_path / "labels.csv")
    assert error_places(result) == [str(tabled)]
    assert "correct the classes in labels.csv" in result.stderr and "-labels_csv" not in result.stderr
    assert contents(tabled) == before


def test_a_class_that_is_missing_in_a_line_leaves_the_file_out(tabled, call_script, tmp_path):
    with open(tmp_path / "labels.csv", "a") as table:
        table.write("readme.txt,\nnowhere,NA\n")
    result = call_script(SCRIPT, "-dir", tabled, "-labels_csv", tmp_path / "labels.csv")
    assert result.returncode == 0
    assert "line 43: 'nowhere'" in result.stderr and "readme.txt: no class in line 42" in result.stderr


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (["-columns", "image=x"], "-columns"),
        (["-columns", "name=x"], "-columns"),
        (["-labels_csv", "missing.csv"], "missing.csv"),
        (["-subfolders", "none"], "-subfolders"),
        (["-labels_csv", "labels.csv", "-subfolders", "ungrouped"], "-subfolders ungrouped"),
        (["-labels_csv", "doubtful.csv", "-columns", "class=class"], "-columns: has no effect with doubtful.csv"),
        (["-labels_csv", "labels.csv", "-columns", "class=x", "-columns", "class=y"], "-columns class=y"),
        (["-files", "*.tif"], "-files *.tif: none of 41 files"),
        (["-files", ""], "-files"),
    ],
)
def test_options_without_effect_or_meaning_are_named(
    tabled, call_script, contents, monkeypatch, tmp_path, options, place
):
    monkeypatch.chdir(tmp_path)
    before = contents(tabled)
    result = call_script(SCRIPT, "-dir", tabled, *options)
    assert result.returncode == 2 and result.stderr.startswith(f"{SCRIPT}: error: {place}")
    assert contents(tabled) == before


@pytest.mark.parametrize(
    ("options", "place"),
    [
        (["-partitions", "kept"], "-partitions kept"),
        (["-subfolders", "grouped"], "-subfolders grouped"),
        (["-patients", "grouped"], "-patients grouped"),
    ],
)
def test_what_is_to_be_kept_and_is_not_there_is_an_error(
    tmp_path, call_script, class_folders, contents, options, place
):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 10})
    before = contents(data)
    assert error_places(call_script(SCRIPT, "-dir", data, *options)) == [place]
    assert contents(data) == before
    nothing_to_keep = ("-partitions", "redrawn", "-subfolders", "ungrouped", "-patients", "ungrouped")
    assert call_script(SCRIPT, "-dir", data, *nothing_to_keep).returncode == 0


def test_a_table_of_labels_under_the_name_of_a_table_of_ours_stays(tabled, call_script, contents, tmp_path):
    shutil.move(tmp_path / "labels.csv", tabled / "train.csv")
    before = contents(tabled)
    result = call_script(SCRIPT, "-dir", tabled, "-labels_csv", tabled / "train.csv")
    assert result.returncode == 2 and str(tabled / "train.csv") in result.stderr
    assert contents(tabled) == before


def test_choices_that_someone_has_changed_to_nonsense_do_not_count(tmp_path, call_script, class_folders):
    data = class_folders(tmp_path / "data", {"no": 10, "yes": 10})
    call_script(SCRIPT, "-dir", data)
    expected = names(data, "test")
    content = files.read_json_object(data / "split.json")
    nonsense = {"files": [3], "subfolders": "perhaps", "partitions": [], "labels_csv": 4, "colour": "red"}
    files.write_json(data / "split.json", content | {"choices": nonsense})
    result = call_script(SCRIPT, "-dir", data)
    assert (result.returncode, result.stderr, names(data, "test")) == (0, "", expected)


def test_subfolders_stay_together_unless_told_otherwise(tmp_path, call_script, class_folders):
    for name in ("no", "yes"):
        for patient in range(12):
            class_folders(tmp_path / name, {f"{name} {patient}": 3}, seed=patient + len(name) * 20)

    def divided():
        table = pd.read_csv(tmp_path / "images.csv", keep_default_na=False, dtype=str).set_index("file_name")
        folders = table["source"].str.rpartition("/")[0]
        return any(set(folders[[*names(tmp_path, "train")]]) & set(folders[[*names(tmp_path, "val", "test")]]))

    result = call_script(SCRIPT, "-dir", tmp_path)
    assert result.returncode == 0 and "72 images in 24 subfolders, kept together" in result.stdout
    assert not divided()
    assert "subfolders, kept" not in call_script(SCRIPT, "-dir", tmp_path, "-subfolders", "ungrouped").stdout
    assert divided()
    result = call_script(SCRIPT, "-dir", tmp_path, "-seed", 1)
    assert "-subfolders ungrouped" in result.stdout and divided()  # remembered


def test_a_single_subfolder_is_told_in_the_singular(tmp_path, call_script, class_folders):
    class_folders(tmp_path, {"no": 10, "yes": 10})
    class_folders(tmp_path / "no", {"patient 7": 1}, seed=1)
    assert "1 image in 1 subfolder, kept together" in call_script(SCRIPT, "-dir", tmp_path).stdout


def test_subfolders_that_make_the_split_impossible_are_an_error_that_names_the_option(
    tmp_path, call_script, class_folders
):
    for name in ("no", "yes"):
        class_folders(tmp_path / name, {"a": 10, "b": 10}, seed=len(name))
    for options in ([], ["-folds", 5]):
        result = call_script(SCRIPT, "-dir", tmp_path, *options)
        assert result.returncode == 2 and "-subfolders ungrouped" in result.stderr
    assert not (tmp_path / "images.csv").exists()
    assert call_script(SCRIPT, "-dir", tmp_path, "-subfolders", "ungrouped").returncode == 0


@pytest.fixture
def corrected(tmp_path, class_folders, call_script):
    """Return correct(*options of organize): a project of two classes, one label of which was corrected, no0 to yes."""

    def correct(*options):
        data = class_folders(tmp_path / "data", {"no": 10, "yes": 10})
        (tmp_path / "doubtful.csv").write_text("image,class,given_class\nno0.png,yes,no\n")
        (tmp_path / "groups.csv").write_text("no0.png,7\nno1.png,7\n")
        for script, *arguments in (
            (SCRIPT, "-dir", data, "-group_csv", tmp_path / "groups.csv"),
            ("organize_files.py", data, *options),
            (SCRIPT, "-dir", data, "-labels_csv", tmp_path / "doubtful.csv"),
        ):
            assert call_script(script, *arguments).returncode == 0
        return data

    return correct


def in_images_csv(data, *columns):
    """Return {name in bin/: what images.csv says in the columns}."""
    table = pd.read_csv(data / "csv" / "images.csv", keep_default_na=False, dtype=str)
    return dict(zip(table["file_name"], zip(*(table[column] for column in columns), strict=True), strict=True))


def test_what_is_remembered_of_an_image_is_not_said_of_another_one_that_comes_under_its_name(
    corrected, call_script, class_folders
):
    data = corrected()
    class_folders(data, {"no": 1}, seed=1)  # another no/no0.png than the one in bin/
    for script, *arguments in ((SCRIPT, "-dir", data), ("organize_files.py", data), (SCRIPT, "-dir", data, "-seed", 1)):
        assert call_script(script, *arguments).returncode == 0
        said = in_images_csv(data, "class_name", "known_group", "corrected_from")
        assert (said["no0.png"], said["no_no0.png"]) == (("yes", "7", "no"), ("no", "", ""))
    assert len(said) == 21


def test_a_correction_holds_where_copies_are_deleted_and_copied_again(corrected, call_script):
    data = corrected("--copy")
    shutil.rmtree(data / "bin")
    assert call_script(SCRIPT, "-dir", data).returncode == 0
    assert in_images_csv(data, "class_name", "known_group", "corrected_from")["no0.png"] == ("yes", "7", "no")
    assert call_script("organize_files.py", data).returncode == 0
    assert (data / "bin" / "no0.png").is_file() and (data / "no" / "no0.png").is_file()


def test_a_corrected_image_stays_with_the_others_of_its_subfolder(tmp_path, call_script, class_folders):
    data, doubtful = tmp_path / "data", tmp_path / "doubtful.csv"
    for patient in range(10):
        class_folders(data / "no", {f"no {patient}": 2}, seed=patient)
        class_folders(data / "yes", {f"yes {patient}": 2}, seed=20 + patient)
    doubtful.write_text("image,class,given_class\nno 00.png,yes,no\n")
    for script, *arguments in ((SCRIPT, "-dir", data), ("organize_files.py", data), (SCRIPT, "-dir", data)):
        more = ["-labels_csv", doubtful] if (data / "csv").exists() else []
        assert call_script(script, *arguments, *more).returncode == 0
    said = in_images_csv(data, "class_name", "subfolder", "group")
    assert said["no 00.png"] == ("yes", "no 0", said["no 01.png"][2])


def test_a_table_that_would_mean_an_image_in_bin_and_another_file_is_an_error(tabled, call_script, tmp_path, contents):
    table = tmp_path / "labels.csv"
    assert call_script(SCRIPT, "-dir", tabled, "-labels_csv", table).returncode == 0
    call_script("organize_files.py", tabled)
    shutil.copy(tabled / "bin" / "images1.png", tabled / "images" / "images0.png")  # of a second batch
    before = contents(tabled)
    result = call_script(SCRIPT, "-dir", tabled, "-labels_csv", table)
    assert error_places(result) == [str(tabled / "images" / "images0.png")] and contents(tabled) == before
    result = call_script(SCRIPT, "-dir", tabled)
    assert result.returncode == 0 and "images/images0.png: left out, since labels.csv does not name it" in result.stderr
    table.write_text("image,class\nimages1.png,NA\n")  # which does not name it
    assert call_script(SCRIPT, "-dir", tabled, "-labels_csv", table).returncode == 0
    (tabled / "images" / "images0.png").rename(tabled / "images" / "second0.png")
    table.write_text("image,class\nsecond0,NA\n")
    result = call_script(SCRIPT, "-dir", tabled, "-labels_csv", table)
    assert result.returncode == 0 and "in bin" not in result.stderr
    said = in_images_csv(tabled, "class_name")
    assert (said["images0.png"], said["images1.png"], said["second0.png"]) == (("001",), ("NA",), ("NA",))


def test_that_a_table_changes_the_class_of_images_in_bin_is_told(tabled, call_script, tmp_path):
    table = tmp_path / "labels.csv"
    assert call_script(SCRIPT, "-dir", tabled, "-labels_csv", table).returncode == 0
    call_script("organize_files.py", tabled)
    table.write_text("image,class\nimages0.png,NA\nimages1.png,NA\n")
    result = call_script(SCRIPT, "-dir", tabled, "-labels_csv", table)
    (line,) = [line for line in result.stderr.splitlines() if str(table) in line]
    assert result.returncode == 0 and "1 image in bin" in line and "(images0.png)" in line
    assert in_images_csv(tabled, "class_name")["images0.png"] == ("NA",)
