import numpy as np
from PIL import Image

from pipeline.partitioning import contact_sheet


def test_each_group_is_a_row_of_its_images(tmp_path):
    for name, grey in (("a", 50), ("b", 120), ("c", 200)):
        Image.new("L", (300, 200), grey).save(tmp_path / f"{name}.png")
    groups = [[(tmp_path / "a.png", "no/ä.png"), (tmp_path / "b.png", "no/b.png")], [(tmp_path / "c.png", "yes/c.png")]]
    contact_sheet.draw_contact_sheet(tmp_path / "sheet.png", groups)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    row_height, column_width = contact_sheet.TILE + contact_sheet.CAPTION + 8, contact_sheet.TILE + 8
    assert [sheet[20, 20], sheet[20, 20 + column_width]] == [50, 120]
    assert [sheet[20 + row_height, 20], sheet[20 + row_height, 20 + column_width]] == [200, 255]


def test_a_sheet_of_many_groups_stays_small_and_says_so(tmp_path, monkeypatch):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    written = []
    monkeypatch.setattr(contact_sheet.ImageDraw.ImageDraw, "text", lambda self, at, text, **_: written.append(text))
    contact_sheet.draw_contact_sheet(tmp_path / "sheet.png", [[(tmp_path / "a.png", "x")] * 9] * 70)
    assert written[-1] == "70 groups in all; the first 60 are shown, 8 images of each"
    width, height = Image.open(tmp_path / "sheet.png").size
    assert (width, height) == (8 * 136 + 8, 60 * 164 + 28)
