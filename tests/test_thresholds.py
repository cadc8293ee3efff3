from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import chosen_threshold, multiclass, random_two_class, two_class
from scipy.stats import binomtest

from pipeline.errors import UserError
from pipeline.performance import thresholds, validations
from pipeline.performance.grouped import proportion
from pipeline.performance.thresholds import Rule

VAL = Path("folder/val_preds.json")
MEASURED = random_two_class(1, split="test", prefix="test")


def validation(labels, probabilities, **others):
    names = [f"val{index}.png" for index in range(len(labels))]
    return two_class(labels, probabilities, **{"file_names": names, "split": "val", **others})


def choose(labels, probabilities, min_sensitivity=None, measured=MEASURED, **others):
    return chosen_threshold(validation(labels, probabilities, **others), VAL, measured, Rule(min_sensitivity))


def test_youden_by_hand():
    #                       no   no   no   yes  yes  no   yes
    point = choose([0, 0, 0, 1, 1, 0, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.8, 0.9])
    assert point.value == pytest.approx(0.35)
    assert (point.rule, point.file, point.split) == ("Youden's index", "val_preds.json", "val")
    figures = (point.sensitivity, point.specificity, point.accuracy)
    assert [figure.counts for figure in figures] == ["3 of 3", "3 of 4", "6 of 7"]


def test_of_equal_indices_and_of_equal_specificities_the_higher_sensitivity_is_taken():
    # 0.25: 1 + 0.5; 0.45: 0.5 + 1.
    assert choose([0, 1, 0, 1], [0.2, 0.3, 0.4, 0.5]).value == pytest.approx(0.25)
    # 0.425: 0.7 + 0.6; 0.625: 0.5 + 0.8, which is another float.
    labels = np.repeat([1, 0, 1, 0, 1, 0], [3, 6, 2, 2, 5, 2])
    assert choose(labels, np.arange(20) / 20).value == pytest.approx(0.425)
    # From 0.15 on the specificity is 1.
    assert choose([0, 1, 1, 1], [0.1, 0.2, 0.3, 0.4], 0.5).value == pytest.approx(0.15)


def test_least_sensitivity_by_hand():
    labels, probabilities = [1, 0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert choose(labels, probabilities, 0.5).value == pytest.approx(0.45)
    assert choose(labels, probabilities, 0.75).value == pytest.approx(0.25)
    point = choose(labels, probabilities, 0.76)
    assert (point.value, point.sensitivity.value, point.specificity.value) == (0, 1, 0)
    assert point.rule == "highest specificity at a sensitivity of at least 0.76"
    assert choose(labels, probabilities, 0.9999999).rule == point.rule.replace("0.76", "0.9999999")


def test_the_positive_class_of_the_measured_predictions_counts():
    measured = random_two_class(1, split="test", positive_class="no")
    point = choose([0, 0, 1, 1], [0.1, 0.3, 0.7, 0.9], measured=measured)
    assert point.value == pytest.approx(0.5)
    assert point.sensitivity.total == 2
    measured.probabilities = np.array([[0.5, 0.5], [0.4, 0.6]])
    assert thresholds.apply(measured, 0.5).predictions.tolist() == [0, 1]


def test_neighbouring_floats_have_a_threshold_between_them():
    low = 0.3
    high = np.nextafter(low, 1)
    point = choose([0, 1], [low, high])
    assert (point.sensitivity.value, point.specificity.value) == (1, 1)
    applied = thresholds.apply(validation([0, 1], [low, high]), point.value)
    assert applied.predictions.tolist() == [0, 1]


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 20)), min_size=2, max_size=30),
    st.none() | st.sampled_from([0.5, 0.9, 0.95, 1.0]),
)
def test_no_threshold_is_better_and_the_figures_are_what_it_gives(images, min_sensitivity):
    truth, probability = np.array([image[0] for image in images]), np.array([image[1] / 20 for image in images])
    if truth.all() or not truth.any():
        return

    def figures(threshold):
        finding = probability >= threshold
        return finding[truth].mean(), (~finding[~truth]).mean()

    point = choose(truth.astype(int), probability, min_sensitivity)
    assert (point.sensitivity.value, point.specificity.value) == pytest.approx(figures(point.value))
    others = [figures(threshold) for threshold in np.linspace(0, 1, 81)]
    if min_sensitivity is None:
        assert point.sensitivity.value + point.specificity.value >= max(map(sum, others)) - 1e-9
    else:
        assert point.sensitivity.value >= min_sensitivity
        assert point.specificity.value >= max(pair[1] for pair in others if pair[0] >= min_sensitivity) - 1e-9


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"split": "test"}, ["is of the test split, which may not choose; predict with -split val"]),
        ({"file_names": [f"test{n}.png" for n in (3, 1, 99, 98)]}, [
            "2 of its images are measured too (test1.png, say); an image that chose can't measure what it has chosen"
        ]),
        ({"sample_count": 3}, [
            "has 3 Monte Carlo samples, the predictions measured none; predict both alike"
        ]),
        ({"split": None, "file_names": None}, [
            "names no split, and its images may be the measured ones; predict with "
            "test_torchvision.py -split val"
        ]),
        ({"class_names": ["healthy", "ill"]}, [
            "its classes are healthy, ill, but those of the predictions measured are no, yes"
        ]),
        ({"fold": 2, "checkpoint": "other.pth.tar"}, [
            "is of fold 2, but the predictions measured are of fold 0",
            "is of checkpoint other.pth.tar, but the predictions measured are of checkpoint m.pth.tar",
        ]),
        ({"fold": 0, "checkpoint": "m.pth.tar", "weights": ["earlier"]}, [
            "is of other weights than the predictions measured: the model was trained again, or further, in between; "
            "predict both again"
        ]),
    ],
)  # fmt: skip
def test_what_may_not_choose_is_refused(changes, expected):
    chosen = validation([0, 0, 1, 1], [0.1, 0.3, 0.7, 0.9])
    for name, value in changes.items():
        setattr(chosen, name, value)
    measured = random_two_class(1, split="test", prefix="test", fold=0, checkpoint="m.pth.tar")
    measured.weights = ["later"]
    with pytest.raises(UserError) as error:
        chosen_threshold(chosen, VAL, measured)
    assert list(error.value.faults) == [f"-threshold_from {VAL}: {fault}" for fault in expected]


def test_predictions_without_monte_carlo_samples_may_not_choose_for_some_with_them():
    with pytest.raises(UserError, match="has no Monte Carlo samples, the predictions measured 3; "):
        choose([0, 1], [0.2, 0.9], measured=replace(MEASURED, sample_count=3))


def test_a_class_without_an_image_has_no_threshold():
    with pytest.raises(UserError, match=r"val_preds\.json: no image of the class no; "):
        choose([1, 1], [0.1, 0.9])


def test_the_split_that_is_measured_may_not_choose():
    with pytest.raises(UserError, match="is of the val split, and so are the predictions measured"):
        choose([0, 1], [0.1, 0.9], measured=random_two_class(1, split="val"))


def test_images_without_a_split_may_choose_if_their_names_are_others():
    for measured in (MEASURED, replace(MEASURED, split=None)):
        assert choose([0, 1], [0.2, 0.9], split=None, measured=measured).value == pytest.approx(0.55)


def test_more_than_two_classes_have_no_threshold():
    three = multiclass([0, 1, 2], [[0.5, 0.3, 0.2]] * 3)
    with pytest.raises(
        UserError, match=r"^-threshold_from .*: with 3 classes there is no single threshold; leave it out$"
    ):
        chosen_threshold(replace(three, split="val"), VAL, replace(three, split="test"))


def test_apply_leaves_all_else_as_it_is():
    applied = thresholds.apply(MEASURED, 0.9)
    assert (applied.predictions == (MEASURED.probabilities[:, 1] >= 0.9)).all()
    assert applied.probabilities is MEASURED.probabilities and applied.file_names is MEASURED.file_names


def folds_of_three():
    """Return three folds; a fold's validation images are those that the next one tests, by another model."""
    parts = [random_two_class(seed, prefix=f"{seed}_", fold=seed) for seed in range(3)]
    validations = [
        random_two_class(seed + 9, prefix=f"{(seed + 1) % 3}_", split="val", fold=seed, path=VAL) for seed in (2, 0, 1)
    ]
    return parts, validations


def test_folds_choose_together_and_never_for_the_images_that_are_tested():
    parts, chosen = folds_of_three()
    pool = validations.pool(chosen, parts, "-threshold_from")
    points, for_new = thresholds.choose_all(parts, pool)
    assert [point.fold for point in points] == [0, 1, 2]
    for part, point in zip(parts, points, strict=True):
        others = [one for one in chosen if not set(one.file_names) & set(part.file_names)]
        assert len(others) == 2
        labels, probabilities = (
            np.concatenate([getattr(one, name) for one in others]) for name in ("labels", "probabilities")
        )
        alone = choose(labels, probabilities[:, 1], measured=random_two_class(7, prefix="new"))
        assert (point.value, point.accuracy) == (alone.value, alone.accuracy)
    assert for_new.accuracy.total == 78 and for_new.fold is None


def test_where_one_threshold_was_chosen_its_figures_are_those_of_the_threshold():
    chosen = random_two_class(
        3, prefix="val", split="val", path=VAL, groups=[f"g{number // 2}" for number in range(26)]
    )
    for one in (chosen, replace(chosen, groups=None), replace(chosen, groups=None, file_names=None)):
        pool = validations.pool([one], [MEASURED], "-threshold_from")
        points, _ = thresholds.choose_all([MEASURED], pool)
        expected = {"sensitivity": points[0].sensitivity, "specificity": points[0].specificity}
        assert thresholds.where_chosen(pool, points) == expected


def test_where_thresholds_of_folds_were_chosen_all_images_that_chose_count_together():
    parts, chosen = folds_of_three()
    pool = validations.pool(chosen, parts, "-threshold_from")
    points, _ = thresholds.choose_all(parts, pool)
    found = thresholds.where_chosen(pool, points)
    for name, figure in found.items():
        counts = [(getattr(point, name).count, getattr(point, name).total) for point in points]
        assert (figure.count, figure.total) == tuple(np.sum(counts, axis=0))
    # Each image has chosen for two folds. Where both called it the same, that is as if it had chosen once.
    same = [replace(point, value=0.5) for point in points]
    labels, predicted = (np.concatenate([getattr(one, name) for one in chosen]) for name in ("labels", "predictions"))
    correct = (predicted == labels)[labels == 1]
    twice, once = thresholds.where_chosen(pool, same)["sensitivity"], proportion(correct, np.arange(len(correct)))
    assert (twice.count, twice.total) == (2 * once.count, 2 * once.total) == (2 * int(correct.sum()), 96)
    assert twice.interval == pytest.approx(once.interval, abs=0.003)


def test_images_of_a_tested_group_do_not_choose_for_it():
    parts, chosen = folds_of_three()
    for one in (*parts, *chosen):
        one.groups = one.file_names
    for number, one in enumerate(chosen):
        one.file_names = [f"val{number}_{name}" for name in one.file_names]
    pool = validations.pool(chosen, parts, "-threshold_from")
    assert [len(one.labels) for one in pool.of_parts] == [52] * 3
    assert not any(set(one.groups) & set(part.groups) for one, part in zip(pool.of_parts, parts, strict=True))


def test_the_files_of_folds_are_those_of_the_parts():
    parts, chosen = folds_of_three()
    for measured, files in ((parts, chosen[:2]), (parts, [*chosen, chosen[0]]), ([replace(parts[0], fold=7)], chosen)):
        with pytest.raises(UserError, match=r"of fold|for 3 PREDS"):
            validations.pool(files, measured, "-threshold_from")
    with pytest.raises(UserError, match="4 files for 3 PREDS"):
        validations.pool([*chosen, replace(chosen[0], fold=7)], parts, "-threshold_from")


def test_what_names_no_fold_is_measured_by_none_of_its_images():
    parts, chosen = folds_of_three()
    with pytest.raises(UserError, match=r"26 of its images are measured too \(0_0\.png, say\)"):
        validations.pool(chosen, [replace(parts[0], fold=None)], "-threshold_from")


def test_an_image_that_two_folds_validate_is_a_group():
    parts, chosen = folds_of_three()
    chosen[1].file_names = chosen[0].file_names = [f"val{number}" for number in range(26)]
    pool = validations.pool(chosen, parts, "-threshold_from")
    assert (len(pool.everything.labels), len(set(pool.everything.groups))) == (78, 52)


@pytest.mark.parametrize(("count", "least"), [(59, 0.95), (15, 0.81), (100, 0.9), (200, 0.8)])
def test_a_guaranteed_sensitivity_is_that_of_the_exact_test(count, least):
    positives = np.linspace(0.1, 0.9, count)
    point = choose_guaranteed(positives, least)
    missed = point.sensitivity.total - point.sensitivity.count

    def lower(misses):
        return binomtest(count - misses, count, alternative="greater").proportion_ci(0.95).low

    assert lower(missed) >= least > lower(missed + 1)
    assert "with 95% confidence" in point.rule


def choose_guaranteed(positives, least, **others):
    labels = np.repeat([0, 1], [40, len(positives)])
    probabilities = np.concatenate([np.linspace(0, 0.5, 40), positives])
    return chosen_threshold(validation(labels, probabilities, **others), VAL, MEASURED, Rule(least, guaranteed=True))


def test_what_cannot_be_shown_is_said_in_numbers():
    with pytest.raises(UserError) as error:
        choose_guaranteed(np.linspace(0.6, 0.9, 15), 0.95)
    assert str(error.value).endswith(
        "with 15 positive validation images even 15 of 15 shows only 0.819; 59 without a miss are needed for 0.95"
    )
    with pytest.raises(UserError, match=r"58 of 58 shows only 0\.950; 59 "):
        choose_guaranteed(np.linspace(0.6, 0.9, 58), 0.95)
    with pytest.raises(UserError, match="no number of images shows 1; ask for less"):
        choose_guaranteed(np.linspace(0.6, 0.9, 500), 1)


def test_groups_count_for_less_in_a_guarantee():
    positives = np.linspace(0.6, 0.9, 59)
    groups = [f"no {number}" for number in range(40)] + [f"yes {number // 2}" for number in range(59)]
    assert choose_guaranteed(positives, 0.95).sensitivity.counts == "59 of 59"
    with pytest.raises(UserError, match=r"in groups and thus worth 29\.8"):
        choose_guaranteed(positives, 0.95, groups=groups)
