import re

import pytest
from PIL import Image

from pipeline.performance import pages
from pipeline.performance.pages import Page, Picture, Section, Table

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
    assert text.count("&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;") == 6
    assert "<h1>a|b &amp; [c](javascript:d)\\n\\udcff</h1>" in text


def test_html_aligns_numbers_and_lets_the_last_cell_of_a_short_row_span_the_rest(page):
    text = pages.html(page)
    assert re.findall(r'<t[dh][^>]* class="number">([^<]+)<', text) == ["number", "1", "2.50%"]
    assert '<td colspan="2">3</td>' in text
    assert '<section class="small">' in text
