import re

import pytest
from scipy import stats

from pipeline.performance import small_test_part

CLASSES = ["no"] * 98 + ["yes"] * 155


def outlook(test_count, **others):
    partitions = ["test"] * test_count + ["train"] * (253 - test_count)
    return small_test_part.outlook(CLASSES, range(253), partitions, **others)


def test_the_interval_of_a_small_test_part_is_the_exact_one():
    lower, upper = stats.binomtest(27, 30).proportion_ci(0.95, method="exact")
    assert f"with 30 test images, an accuracy of 90% will have a 95% interval of {lower:.1%} to {upper:.1%}" in outlook(
        30
    )
    assert "-folds 5 tests on all 253 images" in outlook(30)


@pytest.mark.parametrize(("count", "told"), [(2, True), (26, True), (60, False), (253, False)])
def test_of_a_large_test_part_nothing_is_said(count, told):
    assert bool(outlook(count)) == told


def test_ready_made_partitions_have_to_be_drawn_again_for_folds():
    assert "-folds 5 -partitions redrawn " in outlook(26, are_given=True)


def test_without_enough_groups_of_each_class_no_folds_are_proposed():
    text = small_test_part.outlook(["no"] * 9 + ["yes"] * 9, [0, 1, 1] * 3 + list(range(2, 11)), ["test"] * 18)
    assert text.endswith("at best")


@pytest.mark.parametrize(("groups_of_no", "folds"), [(3, 3), (8, 5)])
def test_the_folds_that_are_proposed_can_be_drawn(tmp_path, class_folders, call_script, groups_of_no, folds):
    data = class_folders(tmp_path / "data", {"no": 24, "yes": 24})
    for number, path in enumerate(sorted((data / "no").iterdir())):
        patient = data / "no" / f"patient {number % groups_of_no}"
        patient.mkdir(exist_ok=True)
        path.rename(patient / path.name)
    split = ("partition_datasets.py", "-proj_dir", data, "-val_test_prop", 0.3)
    proposal = re.search(r"; (-folds \d) tests on all 48 images", call_script(*split).stdout)[1].split()
    assert proposal == ["-folds", str(folds)]
    result = call_script(*split, *proposal)
    assert result.returncode == 0, result.stderr


def test_partition_says_it_once_and_not_of_folds(tmp_path, class_folders, call_script):
    data = class_folders(tmp_path / "data", {"no": 8, "yes": 8})
    assert call_script("partition_datasets.py", "-dir", data).stdout.count("95% interval") == 1
    assert "95% interval" not in call_script("partition_datasets.py", "-dir", data, "-folds", 4).stdout
