import pytest

from pipeline.name_index import NameIndex

NAMES = [["no/7/1.png", "no_7_1.png"], ["no/8/1.png"], ["no/2.png"], ["2.jpg"], ["été/A.1.dcm"], ["\udcfc/Scans/4.png"]]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("no/7/1.png", [0]),
        ("7\\1.png", [0]),
        ("no_7_1", [0]),
        ("/home/me/data/no/8/1.png", [1]),
        ("./images/2.png", [2]),
        ("2", [3, 2]),
        ("NO/2.PNG", [2]),
        ("A.1", [4]),
        ("été/a.1.dcm", [4]),
        ("été/a.1", [4]),
        ("ü/Scans/4.png", [5]),  # a folder of another encoding
        ("scans/9/4.png", []),
        ("1.png", [0, 1]),
        ("yes/9/2.png", [2]),
        ("7/2.png", []),  # the folder 7 is there, and no such file in it
        ("3.png", []),
        ("2.jpg", [3]),
        ("NO/8/1.png", [1]),  # not every 1.png
        ("NO/9/1.png", []),
    ],
)
def test_an_image_is_found_by_what_tables_call_it(name, found):
    assert sorted(NameIndex(NAMES).find(name)) == sorted(found)


def test_the_whole_name_goes_before_the_end_of_another():
    assert NameIndex([["images/1.png"], ["1.png"]]).find("1.png") == [1]
