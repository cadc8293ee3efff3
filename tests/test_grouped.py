import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.performance import grouped
from pipeline.performance.figures import Figure, exact_interval


def test_a_proportion_of_single_images_has_the_exact_interval_or_a_reason():
    outcomes = np.arange(16) > 0
    assert grouped.proportion(outcomes, np.arange(16)) == Figure(0.9375, exact_interval(15, 16), 15, 16)
    nothing = np.zeros(0, dtype=bool)
    assert grouped.proportion(nothing, np.zeros(0, dtype=int), "no image") == Figure(None, None, 0, 0, "no image")


@pytest.mark.parametrize("correct", [0, 13, 20])
def test_images_that_are_copies_count_once(correct):
    outcomes = np.arange(20) < correct
    copies = grouped.proportion(np.repeat(outcomes, 5), np.repeat(np.arange(20), 5))
    assert copies.interval == pytest.approx(exact_interval(correct, 20), abs=1e-9)
    assert copies.counts == f"{5 * correct} of 100"


def test_a_positive_mean_of_single_images_has_students_interval_on_the_logarithm():
    values = np.array([0.1, 0.4, 0.2, 2.0])
    error = stats.sem(values) / values.mean()  # of the logarithm, by the delta method
    limits = np.exp(stats.t.interval(0.95, 3, np.log(values.mean()), error))
    assert grouped.positive_mean(values, np.arange(4)) == Figure(pytest.approx(0.675), pytest.approx(limits.tolist()))


def test_a_positive_mean_of_copies_is_that_of_single_images_and_without_spread_has_no_interval():
    values = np.array([0.1, 0.4, 0.2, 2.0])
    copies = grouped.positive_mean(np.repeat(values, 5), np.repeat(np.arange(4), 5))
    assert copies.interval == pytest.approx(grouped.positive_mean(values, np.arange(4)).interval)
    # The mean of three times 0.1 is rounded to another float.
    for value, groups in ((0.3, np.arange(2)), (0.3, np.zeros(2, dtype=int)), (0.1, np.arange(3))):
        figure = grouped.positive_mean(np.full(len(groups), value), groups)
        assert (figure.value, figure.interval, figure.reason) == (pytest.approx(value), None, grouped.ALIKE)


def test_the_number_for_half_the_interval_by_hand():
    # Of n that are all right the width is 1 - 0.025^(1/n): half of it takes the n at which 0.025^(1/n) is so much.
    width = 1 - 0.025 ** (1 / 20)
    expected = np.log(0.025) / np.log(1 - width / 2)
    assert grouped.number_to_halve(np.ones(20, dtype=bool), np.arange(20)) == np.ceil(expected)
    # In the middle a width goes with 1 / sqrt(n), and images that are copies count once.
    outcomes = np.arange(10_000) % 2 == 0
    assert grouped.number_to_halve(outcomes, np.arange(10_000)) == pytest.approx(40_000, rel=0.01)
    single, copies = (
        grouped.number_to_halve(np.repeat(np.arange(50) < 40, each), np.repeat(np.arange(50), each)) for each in (1, 5)
    )
    assert copies == pytest.approx(5 * single, rel=0.02)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30))
def test_a_design_effect_is_between_1_and_that_of_copies(images):
    outcomes, groups = (np.array(each) for each in zip(*images, strict=True))
    sizes, _ = grouped.sizes_of(groups)
    effect = grouped.design_effect(outcomes, groups)
    assert 1 <= effect <= (sizes**2).sum() / len(groups) + 1e-12
    assert grouped.design_effect(outcomes, np.arange(len(outcomes))) == 1


def test_the_sign_flip_test_of_single_images_is_mcnemars_exact_test():
    # Of 6 discordant pairs 5 or more on one side: 2 x (6 + 1) / 64.
    assert grouped.sign_flip_test(np.array([1, 1, 1, 1, 1, -1, 0]), np.arange(7)) == pytest.approx(14 / 64)
    assert grouped.sign_flip_test(np.array([1, -1, 0]), np.arange(3)) == 1
    assert grouped.sign_flip_test(np.array([0, 0]), np.arange(2)) == 1


@given(st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 4)), min_size=1, max_size=20))
def test_the_sign_flip_test_counts_out_all_signs(images):
    differences, groups = (np.array(each) for each in zip(*images, strict=True))
    sums = [differences[groups == group].sum() for group in range(5)]
    totals = [
        sum(sign * each for sign, each in zip(signs, sums, strict=True))
        for signs in itertools.product([1, -1], repeat=5)
    ]
    expected = np.mean([abs(total) >= abs(sum(sums)) for total in totals])
    assert grouped.sign_flip_test(differences, groups) == pytest.approx(expected)


def test_resampling_agrees_with_the_interval_of_a_mean():
    random = np.random.default_rng(1)
    groups = np.repeat(np.arange(60), 3)
    values = random.normal(size=60)[groups] + random.normal(size=180)
    limits = grouped.bootstrap(values, groups)
    means = values.reshape(60, 3).mean(axis=1)
    half_width = stats.t.ppf(0.975, 59) * means.std(ddof=1) / np.sqrt(60)
    assert limits == pytest.approx([means.mean() - half_width, means.mean() + half_width], abs=0.06)
    assert grouped.bootstrap(np.ones(180), groups) is None and grouped.bootstrap(values, groups * 0) is None


def test_whole_groups_are_resampled():
    values, thrice = np.random.default_rng(2).normal(size=20), np.repeat(np.arange(20), 3)
    assert grouped.bootstrap(values[thrice], thrice) == pytest.approx(grouped.bootstrap(values, np.arange(20)))


def test_fractions_go_together_as_their_sums_over_groups_do():
    random = np.random.default_rng(0)
    groups, truth, right = np.arange(60) // 6, random.random(60) < 0.5, random.random(60) < 0.7
    among = np.stack([truth, ~truth], axis=1)
    found = grouped.correlations(right[:, None], among, groups)
    sums = [
        [sum(right[i] - right[mask].mean() for i in np.flatnonzero(mask & (groups == group))) for group in range(10)]
        for mask in (truth, ~truth)
    ]
    expected = np.dot(*sums) / np.sqrt(np.dot(sums[0], sums[0]) * np.dot(sums[1], sums[1]))
    assert found == pytest.approx(np.array([[1, expected], [expected, 1]]))
    # Of single images, none of them among both, and where one of the fractions does not vary, nothing goes together.
    for outcomes, each in ((right, np.arange(60)), (right | truth, groups)):
        assert grouped.correlations(outcomes[:, None], among, each) == pytest.approx(np.eye(2))
