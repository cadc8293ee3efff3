import pytest

from pipeline.classes import resolve_positive_class
from pipeline.errors import UserError


@pytest.mark.parametrize(
    ("class_names", "asked", "recorded", "chosen"),
    [
        (["no", "yes"], None, None, "yes"),
        (["no", "yes"], None, "no", "no"),
        (["no", "yes"], "yes", "no", "yes"),
        (["no", "yes"], None, "maybe", "yes"),
        (["a", "b", "c"], None, None, None),
        (["a", "b", "c"], None, "a", None),
    ],
)
def test_positive_class(class_names, asked, recorded, chosen):
    assert resolve_positive_class(class_names, asked, recorded) == chosen


def test_a_positive_class_that_is_none_is_an_error():
    with pytest.raises(UserError, match="-positive_class tumour: no such class; the classes are no, yes"):
        resolve_positive_class(["no", "yes"], "tumour")


def test_a_positive_class_among_three_is_an_error():
    with pytest.raises(UserError, match="-positive_class b: with 3 classes each is taken in turn"):
        resolve_positive_class(["a", "b", "c"], "b")
