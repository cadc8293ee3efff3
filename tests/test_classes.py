import pytest

from pipeline.classes import find_class, require_class_count, resolve_positive_class
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


@pytest.mark.parametrize(("class_names", "asked"), [(["no", "yes"], "tumour"), (["a", "b", "c"], "b")])
def test_a_positive_class_that_cannot_be_is_an_error(class_names, asked):
    with pytest.raises(UserError, match=f"-positive_class {asked}: "):
        resolve_positive_class(class_names, asked)


@pytest.mark.parametrize(
    ("name", "class_names", "found"),
    [
        ("Yes", ["no", "yes"], "yes"),
        ("maybe", ["no", "yes"], None),
        ("yes", ["yes", "YES"], "yes"),
        ("Yes", ["yes", "YES"], None),
        ("Été", ["caf\udce9", "\udce9t\udce9"], "\udce9t\udce9"),  # folders of another encoding
        ("\udce9t\udce9", ["café", "été"], "été"),
    ],
)
def test_a_class_is_found_without_case_where_that_leaves_one(name, class_names, found):
    assert find_class(name, class_names) == found


def test_the_number_of_classes_is_checked_where_it_is_given():
    require_class_count(["no", "yes"], None)
    require_class_count(["no", "yes"], 2)
    with pytest.raises(UserError, match=r"-num_classes 3: .*no, yes"):
        require_class_count(["no", "yes"], 3)
