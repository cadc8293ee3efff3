import os
import re
from fractions import Fraction
from pathlib import Path

import pytest

from pipeline.partitioning.split_request import held_out_proportion
from pipeline.readers import any_text, file_path, fold_choice, folder_path, number, table_column, whole_number


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (whole_number(), "1", 1),
        (whole_number(), "256", 256),
        (whole_number(0, 2**32 - 1), "0", 0),
        (whole_number(0, 2**32 - 1), "4294967295", 2**32 - 1),
        (whole_number(2, 100), "100", 100),
        (whole_number(0, 64), "0", 0),
        (whole_number(0, 64), "64", 64),
        (fold_choice, "0", 0),
        (fold_choice, "all", "all"),
        (number(above=0), "1e-3", 0.001),
        (number(at_least=0, below=1), "0", 0.0),
        (number(above=0, at_most=1), "1", 1.0),
        (held_out_proportion, "0.1", Fraction(1, 10)),
        (held_out_proportion, "1/8", Fraction(1, 8)),
        (held_out_proportion, "0.4999", Fraction(4999, 10000)),
    ],
)
def test_a_number_is_read(reader, text, value):
    assert reader(text) == value


@pytest.mark.parametrize(
    ("reader", "texts"),
    [
        (whole_number(), ["0", "-1", "1.0", "1e3", "", "1_000", "²", "1000000000"]),
        (whole_number(0, 2**32 - 1), ["-1", "4294967296", "0.5", "", "x"]),
        (whole_number(2, 100), ["1", "101", "-5", "5.0", ""]),
        (whole_number(0, 64), ["65", "-1", "1.5", ""]),
        (fold_choice, ["ALL", "-1", "1.5", ""]),
        (number(above=0), ["0", "-0.1", "inf", "nan", "", "x"]),
        (number(at_least=0, below=1), ["-0.1", "1", "inf"]),
        (number(above=0, at_most=1), ["0", "1.1", "-inf"]),
        (held_out_proportion, ["0", "0.5", "-0.1", "1", "10%", "nan", "inf", "1/0", "1e-999999999", ""]),
    ],
)
def test_what_is_no_such_number_is_refused(reader, texts):
    for text in texts:
        with pytest.raises(ValueError, match=re.escape(repr(text))):
            reader(text)


@pytest.mark.parametrize("tail", ["", "/", "\\", '"', "'", '\\"', '/"', "//"])
def test_a_trailing_quote_or_separator_is_stripped_from_a_folder(tail):
    assert folder_path("some folder/é" + tail) == Path("some folder/é")


def test_the_root_folder_stays_what_it_is_and_a_quote_alone_is_not_the_current_folder():
    assert folder_path("/") == Path("/")
    assert folder_path('"') == Path('"')


@pytest.mark.skipif(os.name == "nt", reason="Windows allows no such names")
@pytest.mark.parametrize("name", ["the user's'", "back\\", "C:\\"])
def test_a_folder_whose_name_ends_so_is_taken_as_given(tmp_path, name):
    (tmp_path / name).mkdir()
    assert folder_path(str(tmp_path / name)) == tmp_path / name


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_text_is_neither_the_current_folder_nor_none_given(text):
    for reader in (folder_path, file_path, any_text):
        with pytest.raises(ValueError, match="is empty; "):
            reader(text)


def test_a_table_and_its_column_are_read_and_other_colons_are_not_taken_for_the_one_between(tmp_path):
    table = tmp_path / "a:b.csv"
    table.touch()
    assert table_column(f"{table}:scan: side") == (table, "scan: side")
    assert table_column("C:\\t.csv:hospital") == (Path("C:\\t.csv"), "hospital")
    for text in ("t.csv", "t.csv:", ":hospital", "t.csv: "):
        with pytest.raises(ValueError, match="one of its columns"):
            table_column(text)
