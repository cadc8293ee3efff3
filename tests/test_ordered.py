from dataclasses import replace

import numpy as np
import pytest
from made_predictions import multiclass, page
from sklearn.metrics import cohen_kappa_score

from pipeline.errors import UserError
from pipeline.performance import ordered, units


def graded(seed=0, count=80, **others):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count)
    shown = np.clip(labels + random.integers(-1, 2, count), 0, 3)
    return multiclass(labels, 0.1 + 0.6 * np.eye(4)[shown], ["mild", "none", "severe", "some"], **others)


def test_it_is_scikit_learns_in_the_order_given():
    made, names = graded(), ["none", "mild", "some", "severe"]
    found = ordered.measure(made, names)
    rank = np.array([1, 0, 3, 2])
    labels, shown = rank[made.labels], rank[made.predictions]
    assert found.weighted_kappa.value == pytest.approx(cohen_kappa_score(labels, shown, weights="quadratic"))
    assert found.rank_difference.value == pytest.approx(np.abs(labels - shown).mean())
    for figure in (found.weighted_kappa, found.rank_difference):
        assert figure.interval[0] < figure.value < figure.interval[1]
    text = page(made, ordered=found)
    assert "The classes in their order: none < mild < some < severe." in text
    assert f"| Quadratic Weighted Kappa | {found.weighted_kappa.value:.3f} |" in text


def test_where_groups_are_counted_the_table_says_groups():
    (made,) = units.of_groups([graded(groups=[f"group {number}" for number in range(80)])])
    section = page(made, ordered=ordered.measure(made, made.class_names)).partition("## Ordered classes")[2]
    header, *_ = [line for line in section.splitlines() if line.startswith("|")]
    assert header.split("|")[-2].strip() == "groups"


def test_images_of_a_group_say_less():
    once = graded()
    four = once.select(np.repeat(np.arange(80), 4))
    four.groups = [str(index // 4) for index in range(320)]
    alone, together = (ordered.measure(made, once.class_names) for made in (once, four))
    for name in ("weighted_kappa", "rank_difference"):
        single, copies = getattr(alone, name), getattr(together, name)
        assert copies.value == pytest.approx(single.value)
        assert copies.interval == pytest.approx(single.interval, abs=0.02)
    one_group = ordered.measure(replace(once, groups=["one"] * 80), once.class_names).weighted_kappa
    assert (one_group.interval, one_group.reason) == (None, "all images are of one group")


@pytest.mark.parametrize("names", [["A", "B"], ["A", "B", "D"], ["A", "B", "B"], ["A", "B", "C", "C"]])
def test_all_classes_are_named_once(names):
    with pytest.raises(UserError, match=r"-ordered .*the classes are A, B, C"):
        ordered.measure(multiclass([0, 1, 2], np.eye(3)), names)


@pytest.mark.parametrize(
    ("labels", "shown", "kappa", "reason"),
    [
        ([0, 0], [0, 0], None, "all labels and predictions are one class"),
        ([0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2], 1, "all predictions are correct"),
        ([0, 1, 2, 0, 1, 2], [2, 1, 0, 2, 1, 0], -1, "all predictions are the reverse"),
        ([0, 1, 2, 0, 1, 2], [1, 1, 1, 1, 1, 1], 0, ordered.STEADY),
        ([1, 1, 1, 1, 1, 1], [0, 1, 2, 0, 1, 2], 0, ordered.STEADY),
        ([0, 1], [1, 2], 1 / 3, ordered.STEADY),
    ],
)
def test_a_weighted_kappa_without_value_or_interval_says_why(labels, shown, kappa, reason):
    made = multiclass(labels, 0.1 + 0.6 * np.eye(3)[shown], ["a", "b", "c"])
    figure = ordered.measure(made, ["a", "b", "c"]).weighted_kappa
    assert (figure.value, figure.interval, figure.reason) == (pytest.approx(kappa), None, reason)
