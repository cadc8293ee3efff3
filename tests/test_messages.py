import numpy as np
import pytest

from pipeline.messages import format_table, in_words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"), (True, "yes"), (False, "no"), (25, "25"), ("resnet18", "resnet18"), (0.0, "0"), (1.0, "1"),
        (0.1, "0.1"), (1e-5, "1e-05"), (1e30, "1e+30"), (0.00100000001, "0.00100000001"), (np.float64(0.5), "0.5"),
        ([3, 32.0, 32], "3 32 32"), ({"integers": [0.0, 255.0]}, "integers 0 255"),
    ],
)  # fmt: skip
def test_a_value_is_written_with_all_its_digits_and_no_more(value, text):
    assert in_words(value) == text


def test_numbers_are_aligned_to_the_right_and_names_to_the_left():
    assert format_table(["partition", "images"], [("train", 202), ("val", 25)]) == (
        "| partition | images |\n"
        "| --------- | -----: |\n"
        "| train     |    202 |\n"
        "| val       |     25 |"
    )  # fmt: skip


def test_percentages_and_signs_are_numbers():
    assert format_table(["share", "change", "remark"], [("93.75%", "-0.5", None)]).splitlines()[1:] == [
        "| -----: | -----: | ------ |",
        "| 93.75% |   -0.5 |        |",
    ]


def test_a_table_without_rows_has_its_head():
    assert format_table(["a"], []).splitlines() == ["|  a |", "| -: |"]
