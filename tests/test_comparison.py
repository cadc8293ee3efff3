from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import compared, multiclass, random_two_class, two_class
from sklearn.metrics import roc_auc_score

from pipeline.errors import UserError
from pipeline.performance import comparison
from pipeline.performance.figures import Figure, difference_of
from pipeline.performance.metrics import OneAgainstRest
from pipeline.performance.roc import correlation, curves_of_folds, paired_difference


def shuffled(predictions):
    return predictions.select(np.random.default_rng(0).permutation(len(predictions.labels)))


def test_a_comparison_by_hand():
    labels = [0] * 6 + [1] * 4
    here = two_class(labels, [0.1] * 5 + [0.7] + [0.9, 0.8, 0.6, 0.4])
    there = two_class(labels, [0.1, 0.2, 0.6, 0.7, 0.8, 0.3, 0.9, 0.2, 0.3, 0.4], checkpoint="b.pth.tar")
    found = compared(here, there)
    # Correct here only: 2, 3, 4, 7 and 8; correct there only: 5.
    assert (found.only_here, found.only_there) == (5, 1)
    assert (found.here, found.there, found.difference.value) == (0.8, 0.4, 0.4)
    assert found.p_value == pytest.approx(14 / 64)
    assert (found.checkpoint, found.count) == ("b.pth.tar", 10)
    truth, ours, theirs = here.labels == 1, here.probabilities[:, 1], there.probabilities[:, 1]
    curves = [curves_of_folds(OneAgainstRest.of(model, 1)) for model in (here, there)]
    difference, interval, p_value = paired_difference(*curves)
    (area,) = found.areas
    assert (area.class_name, area.here.value) == ("yes", pytest.approx(roc_auc_score(truth, ours)))
    assert area.there.value == pytest.approx(roc_auc_score(truth, theirs))
    assert area.difference.value == pytest.approx(difference)
    assert (area.delong.interval, area.p_value.value) == (interval, p_value)
    assert area.difference == difference_of(area.here, area.there, correlation(*curves))


def test_an_area_of_1_is_not_taken_for_certain():
    labels = [0] * 5 + [1] * 5
    here, there = (
        two_class(labels, np.arange(10) / 10),
        two_class(labels, [0, 0.1, 0.2, 0.6, 0.7, 0.3, 0.5, 0.7, 0.8, 0.9]),
    )
    (area,) = compared(here, there).areas
    assert (area.here.value, area.there.value) == (1, 0.82)
    # DeLong's interval is that of the other area only; the correlation with one that does not vary is 0.
    below = np.hypot(1 - area.here.interval[0], area.there.interval[1] - 0.82)
    assert area.difference.interval == pytest.approx([0.18 - below, 1 - area.there.interval[0]])
    assert area.delong.interval[0] > area.difference.interval[0]


def test_images_are_matched_by_name():
    here, there = random_two_class(0), random_two_class(1, signal=0.3)
    assert compared(here, shuffled(there)) == compared(here, there)


def test_images_without_names_are_matched_by_position():
    here, there = random_two_class(0), random_two_class(1)
    nameless = compared(here, replace(there, file_names=None))
    assert nameless == compared(here, there)


def test_more_classes_are_compared_each_against_the_rest():
    random = np.random.default_rng(0)
    labels = np.arange(30) % 3
    here, there = (multiclass(labels, random.dirichlet(np.ones(3), 30)) for _ in range(2))
    assert [area.class_name for area in compared(here, there).areas] == ["A", "B", "C"]


def test_what_is_undefined_has_its_reason():
    found = compared(two_class([0, 0], [0.1, 0.6]), two_class([0, 0], [0.2, 0.6]))
    (area,) = found.areas
    for figure in (area.here, area.there, area.difference, area.p_value):
        assert figure == Figure(None, reason="needs images of the class and of another one")
    assert found.p_value == 1


def test_areas_without_a_test_still_stand():
    here, there = two_class([0, 0, 1], [0.1, 0.2, 0.9]), two_class([0, 0, 1], [0.1, 0.95, 0.9])
    (area,) = compared(here, there).areas
    assert (area.here.value, area.there.value) == (1, 0.5)
    reason = "needs two images of the class and two others"
    assert area.difference == Figure(0.5, reason=reason)
    assert area.p_value == Figure(None, reason=reason)


@pytest.mark.parametrize("groups", ["aaaaaa", "aabcde", "abcdee", "abbabb"])
def test_images_of_fewer_than_three_groups_tell_no_variance(groups):
    here = two_class([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.7, 0.4, 0.8, 0.9], groups=list(groups))
    there = two_class([0, 0, 0, 1, 1, 1], [0.1, 0.5, 0.7, 0.4, 0.8, 0.9])
    (area,) = compared(here, there).areas
    reason = "needs images of the class, and others, from three groups each"
    assert area.difference == Figure(pytest.approx(1 / 9), reason=reason) and area.p_value == Figure(
        None, reason=reason
    )
    for enough in ("abcabc", "abcdef"):  # three groups with images of both classes, or single images
        here.groups = list(enough)
        (area,) = compared(here, there).areas
        assert area.difference.interval is not None and 0 < area.p_value.value < 1


def test_other_images_are_named():
    here, there = random_two_class(0), random_two_class(1)
    there.file_names = ["x.png", *there.file_names[1:]]
    with pytest.raises(UserError) as error:
        compared(here, there)
    assert error.value.faults == (
        "-compare b.json: has no prediction for image0.png, which is measured",
        "-compare b.json: predicts x.png, which is not measured",
    )


def test_other_labels_are_named():
    here, there = random_two_class(0), random_two_class(1)
    there.labels = 1 - there.labels
    there = shuffled(there)
    with pytest.raises(UserError) as error:
        compared(here, there)
    assert len(error.value.faults) == 26
    assert error.value.faults[0] == "-compare b.json: image0.png has the label 1, but 0 in the predictions measured"


def test_other_counts_and_labels_without_names_are_errors():
    here, there = two_class([0, 1], [0.1, 0.9]), two_class([0, 1, 1], [0.1, 0.9, 0.9])
    with pytest.raises(UserError, match="3 images, 2 are measured"):
        compared(here, there)
    with pytest.raises(UserError, match="image 1 has the label 0, but 1 in the predictions measured"):
        compared(here, two_class([0, 0], [0.1, 0.9]))


def test_other_classes_are_an_error():
    with pytest.raises(UserError, match="its classes are a, b, but those of the predictions measured are no, yes"):
        compared(random_two_class(0), random_two_class(0, class_names=["a", "b"]))


def test_models_that_differ_a_little_or_in_their_decisions_are_compared():
    here = random_two_class(0)
    nearly = replace(here, probabilities=here.probabilities * (1 + 1e-6))
    decided = replace(here, predictions=1 - here.predictions)
    assert [compared(here, there).only_here for there in (nearly, decided)] == [0, int(here.correct.sum())]


def test_images_in_groups_say_less():
    here, there = random_two_class(0, counts=(30, 30), signal=1.5), random_two_class(1, counts=(30, 30), signal=0.3)
    alone = compared(here, there)
    here.groups = [f"group {number // 5}" for number in range(60)]
    found = compared(here, there)
    assert found.difference.value == alone.difference.value
    assert found.p_value > alone.p_value
    assert np.diff(found.difference.interval) > np.diff(alone.difference.interval)


def test_areas_of_folds_are_compared_within_the_folds():
    labels, folds = np.arange(40) % 2, np.arange(40) // 20
    random = np.random.default_rng(0)
    logits = labels + random.normal(size=40)
    here = two_class(labels, 1 / (1 + np.exp(-logits)), folds=folds)
    shifted = two_class(labels, 1 / (1 + np.exp(-(logits + 5 * folds))), folds=folds)
    (area,) = compared(here, shifted).areas
    # Another scale of one fold's model changes nothing.
    assert area.difference == Figure(0.0, reason="the difference has no variance on these images")
    assert area.p_value.value is None


def test_areas_of_models_that_were_split_otherwise_are_their_own_and_have_no_test():
    """The images that one fold of ours tests were tested by two models of the other, on two scales."""
    labels, folds, other_folds = np.arange(40) % 2, np.arange(40) // 20, np.arange(40) // 2 % 2
    logits = labels + np.random.default_rng(0).normal(size=40)
    here, there = (
        two_class(labels, 1 / (1 + np.exp(-(logits + 5 * shift))), folds=shift, file_names=[f"{n}" for n in range(40)])
        for shift in (folds, other_folds)
    )
    (area,) = compared(here, shuffled(there)).areas
    means = [
        np.mean([roc_auc_score(labels[mask], logits[mask]) for mask in (each == 0, each == 1)])
        for each in (folds, other_folds)
    ]
    assert [area.here.value, area.there.value] == pytest.approx(means)
    assert area.difference.value == pytest.approx(means[0] - means[1])
    assert area.difference.interval is None
    assert {area.difference.reason, area.p_value.reason} == {comparison.OTHER_FOLDS}
    # One other model ranks the images of each fold; several models do not rank those of a single one.
    (one_other,) = compared(here, replace(there, folds=None)).areas
    assert one_other.p_value.value is not None
    (one_of_ours,) = compared(replace(here, folds=None), there).areas
    assert (one_of_ours.there.value, one_of_ours.p_value.value) == (pytest.approx(means[1]), None)


def test_groups_of_one_name_hold_the_same_images():
    here = two_class([0, 1], [0.1, 0.9], file_names=["g", "h"], members=[["a.png", "b.png"], ["c.png"]])
    there = replace(here, members=[["b.png", "a.png"], ["c.png", "d.png"]])
    with pytest.raises(UserError) as error:
        compared(here, there)
    assert error.value.faults == ("-compare b.json: h has other images there; compare predictions of the same split",)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_paired_difference_interval_is_antisymmetric_and_no_point(first, second, others):
    count = max(first + second + others, 1)
    lower, upper = comparison.paired_difference_interval(first, second, count)
    assert comparison.paired_difference_interval(second, first, count) == pytest.approx([-upper, -lower])
    assert -1 <= lower < upper <= 1
