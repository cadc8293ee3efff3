from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_predictions import multiclass, random_two_class, two_class
from scipy.stats import entropy

from pipeline.errors import UserError
from pipeline.performance import folds, units, validations

PATH = Path("preds.json")
LABELS, PROBABILITIES = [1, 0, 1, 0, 1], [0.3, 0.2, 0.9, 0.55, 0.4]
GROUPS = ["ann", "bob", "ann", "bob", "eve"]


def of_groups(made):
    (found,) = units.of_groups([made])
    return found


def test_a_group_has_the_mean_probabilities_of_its_images_and_counts_once():
    names = [f"{number}.png" for number in range(5)]
    found = of_groups(two_class(LABELS, PROBABILITIES, groups=GROUPS, file_names=names, fold=2, checkpoint="m.pth.tar"))
    assert (found.unit, found.image_count, len(found.labels)) == ("group", 5, 3)
    assert found.file_names == found.groups == ["ann", "bob", "eve"]
    assert found.members == [["0.png", "2.png"], ["1.png", "3.png"], ["4.png"]]
    assert found.labels.tolist() == [1, 0, 1]
    assert found.probabilities[:, 1] == pytest.approx([0.6, 0.375, 0.4])
    assert found.predictions.tolist() == [1, 0, 0]  # ann's first image alone is predicted as no
    assert (found.fold, found.checkpoint, found.positive_class) == (2, "m.pth.tar", "yes")


def test_groups_of_single_images_change_nothing():
    made = random_two_class(0, groups=[f"image {number}" for number in range(26)])
    found = of_groups(made)
    assert np.array_equal(found.probabilities, made.probabilities)
    assert np.array_equal(found.predictions, made.predictions) and np.array_equal(found.labels, made.labels)


def test_the_uncertainty_of_a_group_is_that_of_all_its_samples_together():
    samples = np.random.default_rng(0).dirichlet([1, 1, 1], size=(4, 20))  # of 4 images, 20 of each
    means = samples.mean(axis=1)
    inside = entropy(samples, axis=2).mean(axis=1)
    total = entropy(means, axis=1)
    made = multiclass([0, 0, 1, 1], means, groups=["a", "a", "b", "b"], sample_count=20)
    made.predictive_entropy, made.mutual_information = total, total - inside
    found = of_groups(made)
    for number, images in enumerate((samples[:2], samples[2:])):
        together = images.reshape(40, 3)
        assert found.predictive_entropy[number] == pytest.approx(entropy(together.mean(axis=0)))
        expected = entropy(together.mean(axis=0)) - entropy(together, axis=1).mean()
        assert found.mutual_information[number] == pytest.approx(expected)


def test_folds_keep_the_images_of_their_groups():
    parts = [
        two_class(LABELS, PROBABILITIES, groups=[f"{name} {fold}" for name in GROUPS], fold=fold) for fold in range(2)
    ]
    pooled = folds.pool(units.of_groups(parts))
    assert (pooled.unit, pooled.image_count, len(pooled.labels)) == ("group", 10, 6)
    same = [two_class(LABELS, PROBABILITIES, groups=GROUPS, fold=fold) for fold in range(2)]
    with pytest.raises(UserError, match=r"group ann .and 2 more. is in each of them; give each group once"):
        folds.pool(units.of_groups(same))


def test_a_fold_is_chosen_for_by_no_group_that_it_tests():
    def part(names, split, fold):
        images = [f"{split} {fold} {number}.png" for number in range(len(names))]
        labels, groups = [int(name[-1]) for name in names], names
        made = two_class(
            labels, [0.5] * len(names), file_names=images, groups=groups, split=split, fold=fold, path=PATH
        )
        return of_groups(made)

    tests = [part(["a0", "a0", "b1"], "test", 0), part(["c0", "d1"], "test", 1)]
    chosen = [part(["c0", "d1", "d1"], "val", 0), part(["a0", "b1"], "val", 1)]
    pool = validations.pool(chosen, tests, "-threshold_from")
    assert [one.file_names for one in pool.of_parts] == [["c0", "d1"], ["a0", "b1"]]


def test_without_groups_or_with_groups_of_several_classes_there_are_no_figures_of_groups():
    made = [
        two_class([0, 1], [0.1, 0.9]),
        two_class([0, 1, 1, 1, 0], PROBABILITIES, groups=["x", "ann", "ann", "eve", "eve"]),
        two_class(LABELS, PROBABILITIES, groups=["ann", "ann", "bob", "bob", "eve"]),
    ]
    with pytest.raises(UserError) as error:
        units.of_groups([replace(one, path=f"{number}.json") for number, one in enumerate(made)])
    first, second, third = error.value.faults
    assert first.startswith("-per group: 0.json has no 'groups'")
    assert second.startswith("-per group: 1.json: 1 of 3 groups have images of several classes, 'eve' of no and yes")
    assert third.startswith("-per group: 2.json: 2 of 3 groups have images of several classes, 'ann' of no and yes")
