"""The model card: every item of both guidelines, and only sections that a report has."""

from pathlib import Path

import pytest

from pipeline.performance import model_card
from pipeline.performance.model_card import CLAIM, EXTERNAL, INTERNAL, TRIPOD_AI
from pipeline.performance.pages import Page, Section, Table

SECTIONS = {item_section for one in (TRIPOD_AI, CLAIM) for item in one.items for item_section in item.sections}


def page_of(*titles):
    return Page("t", (), [Section(title, tables=[Table(["a"], [[1]])]) for title in titles])


def rows_of(page, split="test"):
    tripod, claim = model_card.section(page, split).tables
    return {f"T{row[0]}": row for row in tripod.rows} | {f"C{row[0]}": row for row in claim.rows}


def test_the_items_are_those_of_the_guidelines():
    # TRIPOD+AI: 27 items, of which these have parts; CLAIM: 44.
    parts = {
        3: "abc",
        5: "ab",
        6: "abc",
        8: "abc",
        9: "abc",
        12: "abcdefg",
        18: "abcdef",
        20: "abc",
        23: "ab",
        27: "abc",
    }
    expected = [f"{number}{part}" for number in range(1, 28) for part in parts.get(number, [""])]
    assert [item.number for item in TRIPOD_AI.items] == expected and len(expected) == 52
    assert [item.number for item in CLAIM.items] == [str(number) for number in range(1, 45)]
    assert (TRIPOD_AI.size, CLAIM.size) == ("27 items in 52 parts", "44 items")


def test_sections_are_named_as_the_report_names_them():
    # Their titles stand in the code that writes them; a title that was changed there would be missed in silence.
    folder = Path(model_card.__file__).parent
    modules = ("report", "sections", "provenance", "flow")
    code = "".join((folder / f"{name}.py").read_text(encoding="utf-8") for name in modules)
    for name in SECTIONS - {INTERNAL, EXTERNAL}:
        assert f'"{name}' in code, name


def test_an_item_is_answered_in_part_or_left_to_write():
    rows = rows_of(page_of("Main figures", "Folds, with 95% intervals", "Training", "Where this comes from"))
    assert rows["T12c"][2:] == ("Folds, Training", "why this kind; what else was tried")
    assert rows["T14"][2:] == ("", "all of it")
    assert rows["T6c"][2:] == ("", "all of it, if treatments matter")
    # Without its section nothing of an item is on the page, and the rest is all of it.
    assert rows["C39"][2:] == ("", "all of it")
    assert rows["C23"] == ("23", "software and versions", "Training, Where this comes from", "")


def test_predictions_that_come_without_split_and_training_leave_the_rest_to_write():
    rows = rows_of(page_of("Main figures", "Where this comes from"))
    for number in ("T12a", "T12g", "C19", "C23"):
        assert rows[number][2:] == ("Where this comes from", "the rest of it"), number


def test_a_section_that_only_says_what_is_missing_answers_nothing():
    page = Page("t", (), [Section("Training", ["There are no training records of m."])])
    assert rows_of(page)["C25"][2:] == ("", "all of it")


@pytest.mark.parametrize(("split", "internal"), [("test", True), ("external", False)])
def test_external_images_are_no_internal_test(split, internal):
    rows = rows_of(page_of("Main figures"), split)
    assert [bool(rows["C32"][2]), bool(rows["C33"][2])] == [internal, not internal]


def test_the_sentences_count_what_the_tables_show():
    section = model_card.section(page_of(*sorted(SECTIONS - {INTERNAL, EXTERNAL})), "test")
    for sentence, table in zip(section.sentences[1:], section.tables, strict=True):
        whole = sum(row[2] != "" and row[3] == "" for row in table.rows)
        part = sum(row[2] != "" and row[3] != "" for row in table.rows)
        rest = len(table.rows) - whole - part
        assert sentence.endswith(f"this page answers {whole}, and {part} in part; {rest} are left to write.")


def test_every_item_says_something_to_do_or_where_it_stands():
    for one in (model_card.TRIPOD_AI, model_card.CLAIM):
        assert all(item.topic and (item.sections or not item.rest or item.rest.startswith("if ")) for item in one.items)
