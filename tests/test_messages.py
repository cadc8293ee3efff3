from pipeline.messages import format_table


def test_numbers_are_aligned_to_the_right_and_names_to_the_left():
    assert format_table(["partition", "images"], [("train", 202), ("val", 25)]) == (
        "| partition | images |\n"
        "| --------- | -----: |\n"
        "| train     |    202 |\n"
        "| val       |     25 |"
    )  # fmt: skip


def test_percentages_and_signs_are_numbers():
    rule = format_table(["share", "change", "remark"], [("93.75%", "-0.5", "n/a")]).splitlines()[1]
    assert rule == "| -----: | -----: | ------ |"


def test_a_table_without_rows_has_its_head():
    assert format_table(["a"], []).splitlines() == ["|  a |", "| -: |"]
