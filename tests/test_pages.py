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
    assert '<td colspan="2">3</td>' in text
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
        {3: "", 6: ' class="many"', 20: ' class="many crowded"'}[count]
    ]
    assert re.findall(r'<th scope="row" class="(.*?)">', text) == ["long"] and 'class="long">a b' not in text


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
