from made_predictions import multiclass, two_class

from pipeline.performance import mistakes, report, summary, thresholds


def test_the_surest_mistakes_come_first():
    made = two_class([0, 0, 1, 1, 0, 1], [0.7, 0.1, 0.05, 0.9, 0.99, 0.4], file_names=["a", "b", "c", "d", "e", "f"])
    assert [tuple(mistake.values()) for mistake in mistakes.surest(made)] == [
        ("e", "no", "yes", 0.99),
        ("c", "yes", "no", 0.95),
        ("a", "no", "yes", 0.7),
        ("f", "yes", "no", 0.6),
    ]


def test_no_more_than_five_are_listed_and_equals_in_the_order_of_the_files():
    made = two_class([0] * 9, [0.8] * 9, file_names=list("ihgfedcba"))
    assert [mistake["file name"] for mistake in mistakes.surest(made)] == list("ihgfe")


def test_the_probability_is_that_of_the_class_a_threshold_predicts():
    made = two_class([0, 0], [0.3, 0.1], file_names=["a", "b"])
    (mistake,) = mistakes.surest(thresholds.apply(made, 0.2))
    assert mistake == {"file name": "a", "class": "no", "predicted": "yes", "probability": 0.3}


def test_of_more_classes_the_predicted_one_counts():
    made = multiclass([0, 2], [[0.2, 0.5, 0.3], [0.1, 0.3, 0.6]], file_names=["a", "b"])
    assert mistakes.surest(made) == [{"file name": "a", "class": "A", "predicted": "B", "probability": 0.5}]


def test_without_file_names_or_mistakes_there_is_nothing_to_list():
    assert mistakes.surest(two_class([0], [0.9])) == []
    right = summary.summarize(two_class([0, 1], [0.1, 0.9], file_names=["a", "b"]))
    assert right["Surest Mistakes"] == []
    assert "surest mistakes" not in report.page({**right, "Warnings": []})


def test_the_page_lists_them():
    made = two_class([0, 1, 0], [0.876, 0.9, 0.2], file_names=["a|b.png", "c", "d"])
    page = report.page({**summary.summarize(made), "Warnings": []})
    assert (
        "## The surest mistakes\n\n"
        "Look here first for what the model does not know, and for wrong labels.\n\n"
        "| image    | class | predicted | probability |\n"
        "| -------- | ----- | --------- | ----------: |\n"
        "| a\\|b.png | no    | yes       |      0.8760 |\n"
    ) in page
