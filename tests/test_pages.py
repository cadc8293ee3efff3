import re

import pytest
from conftest import ROOT
from PIL import Image
from test_plots import contrast

from pipeline.performance import pages
from pipeline.performance.pages import Box, Diagram, Page, Picture, Section, Table

NAMES = ['<script>alert("1")</script>', "a|b & [c](javascript:d)\n\udcff"]


@pytest.fixture
def page(tmp_path):
    """A page with every part that a section can have, and with names that would break either rendering."""
    Image.new("RGB", (2, 2)).save(tmp_path / "p.png")
    table = Table(["name", "number", "text"], [[NAMES[1], 1, "x"], ["all", "2.50%", NAMES[0]], ["short", 3]], NAMES[0])
    section = Section(
        NAMES[0],
        ["First.", NAMES[1]],
        points=["one", NAMES[1]],
        tables=[table],
        notes=["Last."],
        commands=[f"python {NAMES[0]}"],
        pictures=[Picture(tmp_path / "p.png", NAMES[0])],
        diagram=Diagram(NAMES[0], ((Box(NAMES[0], (NAMES[0],)), Box("out")), (Box("in"),)), (Box("a"), Box("b"))),
        style="small",
    )
    return Page(NAMES[1], ["Sentence."], [section, Section("Empty")])


def test_markdown(page):
    assert (
        pages.markdown(page)
        == """\
# a|b & [c](javascript:d)\\n\\udcff

Sentence.

## <script>alert("1")</script>

First.

a|b & [c](javascript:d)\\n\\udcff

    python <script>alert("1")</script>

- one
- a|b & [c](javascript:d)\\n\\udcff

| name                             | number | text                        |
| -------------------------------- | -----: | --------------------------- |
| a\\|b & [c](javascript:d)\\n\\udcff |      1 | x                           |
| all                              |  2.50% | <script>alert("1")</script> |
| short                            |      3 |                             |

Last.

## Empty
"""
    )


def test_html_shows_names_and_does_not_obey_them(page):
    text = pages.html(page)
    assert "<script" not in text and "\udcff" not in text
    assert text.count("&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;") == 9
    assert "<h1>a|b &amp; [c](javascript:d)\\n\\udcff</h1>" in text


def test_html_aligns_numbers_and_lets_the_last_cell_of_a_short_row_span_the_rest(page):
    text = pages.html(page)
    assert re.findall(r'<t[dh][^>]* class="number">([^<]+)<', text) == ["number", "1", "2.50%"]
    assert '<td colspan="2"><span class="whole">3</span></td>' in text
    assert '<section class="small">' in text


def test_a_diagram_has_its_boxes_in_rows(page):
    rows = re.findall(r'<div class="(step|branches)">(.*?)\n</div>\n(?=<div class="(?:step|branches)|<figcaption)',
                      pages.html(page), re.DOTALL)  # fmt: skip
    boxes = [(kind, re.findall(r'<div class="box"><strong>(.*?)</strong>', text)) for kind, text in rows]
    name = "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;"
    assert boxes == [("step", [name, "out"]), ("step", ["in"]), ("branches", ["a", "b"])]


@pytest.mark.parametrize("count", [3, 6, 20])
def test_a_table_of_many_columns_is_smaller_and_only_long_words_are_broken(count):
    table = Table(
        [f"c{number}" for number in range(count)], [["x" * 64, "a b c d e f g h i j k l m n"] + ["1.0%"] * (count - 2)]
    )
    text = pages.html(Page("t", (), [Section("s", tables=[table])]))
    assert re.findall(r'<table( class=".*?")?>', text) == [
        {3: "", 6: ' class="many list"', 20: ' class="many crowded list"'}[count]
    ]
    assert text.count(' data-heading="') == (count - 1 if count > 3 else 0)
    assert text.count('tabindex="0" role="region" aria-label="s"') == (count > 3)
    assert re.findall(r'<th scope="row" class="(.*?)">', text) == ["long"] and 'class="long">a b' not in text


def test_no_figure_is_broken_and_text_is():
    assert Table.parts("93.8% (15 of 16); 69.8% to 98.8%") == ["93.8% (15 of 16);", "69.8% to 98.8%"]
    assert Table.parts("-0.154; -0.3 to +0.2") == ["-0.154;", "-0.3 to +0.2"]
    assert [Table.parts(cell) for cell in ("< 0.0001", "+3.2 points", 7)] == [["< 0.0001"], ["+3.2 points"], ["7"]]
    assert [Table.parts(cell) for cell in ("", "to", "15 no.jpg", "0.37 (exact McNemar)")] == [[]] * 4


def test_a_matrix_stays_one_on_a_phone_and_headings_go_with_the_cells_of_other_tables():
    names = [f"class {number}" for number in range(6)]
    matrix = Table(["true", *names], [[name, *range(6)] for name in names])
    assert matrix.style == "many matrix"
    few = [name.replace(" ", "_") for name in names[:4]]
    assert [Table(few, [["a", f"{'b' * length} c", "1.0; 0.5000 to 0.750", 3]]).style for length in (19, 20)] == [
        "",
        "list",
    ]
    assert Table(few[:2], [["x" * 64, "y" * 64]]).style == ""  # they may be broken
    text = pages.html(Page("t", (), [Section("s", tables=[Table(names, [["a", "b", "1.0; 0.5 to 2.0", 3, 4, 5]])])]))
    assert '<td data-heading="class 1">b</td>' in text
    assert (
        '<td data-heading="class 2"><span class="whole">1.0;</span> <span class="whole">0.5 to 2.0</span></td>' in text
    )


def test_commands_are_broken_between_words_only():
    text = pages.html(Page("t", (), [Section("s", commands=["python a.py -proj_dir b", "python c.py"])]))
    code = re.findall("<code>(.*?)</code>", text)
    assert [re.sub("</?span>", "", each) for each in code] == ["python a.py -proj_dir b", "python c.py"]
    assert "<span>-proj_dir</span>" in code[0]


def test_a_wide_picture_has_a_row_of_its_own(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "p.png")
    pictures = [Picture(tmp_path / "p.png", "one", wide=True), Picture(tmp_path / "p.png", "two")]
    text = pages.html(Page("t", (), [Section("s", pictures=pictures)]))
    assert re.findall(r"<figure( .*?)?><img", text) == [' class="row"', ""]


@pytest.mark.parametrize("path", sorted(ROOT.glob("pipeline/*/templates/*.html.jinja")), ids=lambda path: path.name)
def test_every_text_of_a_page_has_enough_contrast(path):
    style = path.read_text(encoding="utf-8").split("<style>")[1].split("</style>")[0]
    declared = [(name, value) for name, value in re.findall(r"(?<![-\w])(color|background): ([^;]+);", style)]
    assert {name for name, _ in declared} == {"color", "background"}
    assert all(re.fullmatch("#[0-9a-f]{3}(?:[0-9a-f]{3})?", value) for _, value in declared)
    texts, backgrounds = ({value for name, value in declared if name == kind} for kind in ("color", "background"))
    # Any text may come to stand on any background.
    assert all(contrast(text, background) >= 4.5 for text in texts for background in backgrounds)
    assert "opacity" not in style
