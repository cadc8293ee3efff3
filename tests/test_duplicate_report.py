import numpy as np
import pandas as pd
from PIL import Image

from pipeline import files
from pipeline.partitioning import duplicate_report, duplicates
from pipeline.partitioning.duplicate_report import CAPTION, GAP, TILE


def test_each_group_is_a_row_of_its_images(tmp_path):
    for name, grey in (("a", 50), ("b", 120), ("c", 200)):
        Image.new("L", (300, 200), grey).save(tmp_path / f"{name}.png")
    groups = [[(tmp_path / "a.png", "no/ä.png"), (tmp_path / "b.png", "no/b.png")], [(tmp_path / "c.png", "yes/c.png")]]
    duplicate_report.draw_contact_sheet(tmp_path / "sheet.png", groups)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    row_height, column_width = TILE + CAPTION + GAP, TILE + GAP
    assert [sheet[20, 20], sheet[20, 20 + column_width]] == [50, 120]
    assert [sheet[20 + row_height, 20], sheet[20 + row_height, 20 + column_width]] == [200, 255]


def test_a_sheet_of_many_groups_stays_small_and_says_so(tmp_path, monkeypatch):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    written = []
    monkeypatch.setattr(duplicate_report.ImageDraw.ImageDraw, "text", lambda _, at, text, **__: written.append(text))
    duplicate_report.draw_contact_sheet(tmp_path / "sheet.png", [[(tmp_path / "a.png", "x")] * 9] * 70)
    assert "70 groups" in written[-1]
    width, height = Image.open(tmp_path / "sheet.png").size
    assert (width, height) == (8 * (TILE + GAP) + GAP, 60 * (TILE + CAPTION + GAP) + CAPTION)


def test_a_sheet_is_marked_as_ours(tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    duplicate_report.draw_contact_sheet(tmp_path / "sheet.png", [[(tmp_path / "a.png", "x")]])
    (tmp_path / "text.png").write_text("text")
    assert [files.has_mark(tmp_path / name) for name in ("sheet.png", "a.png", "text.png")] == [True, False, False]


def test_a_note_of_a_large_group_is_short(capsys):
    images = pd.DataFrame({"source": [f"class/{number}.png" for number in range(1000)], "class_name": ["a", "b"] * 500})
    groups = np.zeros(1000, dtype=int)
    found = duplicates.Duplicates(np.arange(1000), groups, [""] * 1000)
    duplicate_report.tell(images, found, 10)
    (note,) = capsys.readouterr().err.splitlines()
    assert "996 more" in note and len(note) < 200


def test_an_image_that_cannot_be_read_any_more_is_told_and_the_others_are_drawn(tmp_path, capsys):
    Image.new("L", (300, 200), 90).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    groups = [[(tmp_path / name, name) for name in ("b.png", "gone.png", "a.png")]]
    duplicate_report.draw_contact_sheet(tmp_path / "sheet.png", groups)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert [sheet[20, 20 + number * (TILE + GAP)] for number in range(3)] == [255, 255, 90]
    broken, gone = capsys.readouterr().err.splitlines()
    assert "b.png" in broken and "gone.png" in gone
