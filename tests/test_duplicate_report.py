import numpy as np
import pandas as pd
from PIL import Image

from pipeline import files, tiles
from pipeline.partitioning import duplicate_report, duplicates
from pipeline.tiles import GAP, LINE, TILE


def shown(path, rows, columns):
    """Return the grey value near the corner of each tile of a sheet."""
    sheet = np.asarray(Image.open(path).convert("L"))
    first, height = GAP + LINE + GAP + LINE, LINE + TILE + LINE + GAP
    return [
        [int(sheet[first + 12 + row * height, GAP + 12 + column * (TILE + GAP)]) for column in range(columns)]
        for row in range(rows)
    ]


def test_each_group_is_a_row_of_its_images(tmp_path):
    for name, grey in (("a", 50), ("b", 120), ("c", 200)):
        Image.new("L", (300, 200), grey).save(tmp_path / f"{name}.png")
    groups = [[(tmp_path / "a.png", "no/ä.png"), (tmp_path / "b.png", "no/b.png")], [(tmp_path / "c.png", "yes/c.png")]]
    duplicate_report.draw_contact_sheet(tmp_path / "sheet.png", "Near-duplicates", groups)
    assert shown(tmp_path / "sheet.png", 2, 2) == [[50, 120], [200, 255]]


def test_a_sheet_names_its_groups_and_says_what_it_does_not_show(tmp_path, monkeypatch):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    written = []
    monkeypatch.setattr(tiles.ImageDraw.ImageDraw, "text", lambda _, at, text, **__: written.append(text))
    group = [(tmp_path / "a.png", f"class/{'long' * 9}{number}.png") for number in range(9)]
    duplicate_report.draw_contact_sheet(tmp_path / "sheet.png", "Near-duplicates", [group] * 70, "not shown: 3")
    assert written[0] == "Near-duplicates: 70 groups"
    assert [text for text in written if text.startswith("group ")] == [f"group {n}: 9 images" for n in range(1, 61)]
    # The end of a long name tells it from others.
    assert sum(text.startswith("…") and text.endswith("0.png") for text in written) == 60
    assert written[-1] == "the first 60 groups are shown, 8 images of each; not shown: 3"
    width, height = Image.open(tmp_path / "sheet.png").size
    assert width == 8 * (TILE + GAP) + GAP and height < 60 * (TILE + 50) + 100


def test_a_sheet_is_marked_as_ours(tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    duplicate_report.draw_contact_sheet(tmp_path / "sheet.png", "Title", [[(tmp_path / "a.png", "x")]])
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
    duplicate_report.draw_contact_sheet(tmp_path / "sheet.png", "Title", groups)
    assert shown(tmp_path / "sheet.png", 1, 3) == [[255, 255, 90]]
    broken, gone = capsys.readouterr().err.splitlines()
    assert "b.png" in broken and "gone.png" in gone
