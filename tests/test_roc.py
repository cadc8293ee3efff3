import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from made_predictions import multiclass, one_class, random_two_class
from scipy import special, stats
from sklearn.metrics import roc_auc_score

from pipeline.performance import folds, roc
from pipeline.performance.figures import Undefined

Z = 1.959963984540054


def curves(truth, scores, groups=None, folds=None):
    return roc.curves_of_folds(one_class(truth, truth, scores, groups, folds))


def area(truth, scores):
    (curve,) = curves(truth, scores)
    return curve.area


def delong_interval(truth, scores):
    return roc.delong_interval(one_class(truth, truth, scores))


def newcombe_interval(truth, scores):
    return roc.mean_area(curves(truth, scores)).interval


def delong_test(truth, scores, other_scores):
    return roc.paired_difference(curves(truth, scores), curves(truth, other_scores))


@st.composite
def scored(draw, of_each=2):
    """Truth with at least `of_each` images on either side, and two models' scores with ties."""
    positives, negatives = draw(st.integers(of_each, 15)), draw(st.integers(of_each, 15))
    truth = np.array(draw(st.permutations([True] * positives + [False] * negatives)))
    scores = draw(arrays.arrays(np.int64, (2, len(truth)), elements=st.integers(0, 6)))
    return truth, scores / 6


def brute_force(truth, scores):
    """Areas and their covariance from every pair of images, after DeLong et al. (1988), equations 4 to 6."""
    positives, negatives = np.flatnonzero(truth), np.flatnonzero(~truth)
    m, n = len(positives), len(negatives)
    psi = np.array(
        [[[0.5 * (s[i] == s[j]) + (s[i] > s[j]) for j in negatives] for i in positives] for s in scores], dtype=float
    )
    v10, v01 = psi.mean(axis=2), psi.mean(axis=1)
    areas = psi.mean(axis=(1, 2))
    covariance = np.zeros((len(scores), len(scores)))
    for r, s in itertools.product(range(len(scores)), repeat=2):
        s10 = sum((v10[r, i] - areas[r]) * (v10[s, i] - areas[s]) for i in range(m)) / (m - 1)
        s01 = sum((v01[r, j] - areas[r]) * (v01[s, j] - areas[s]) for j in range(n)) / (n - 1)
        covariance[r, s] = s10 / m + s01 / n
    return areas, covariance


@given(scored())
def test_an_area_and_its_delong_interval_are_those_of_all_pairs(data):
    truth, scores = data
    areas, covariance = brute_force(truth, scores)
    half_width = Z * np.sqrt(covariance[0, 0])
    assert area(truth, scores[0]) == pytest.approx(areas[0], abs=1e-12)
    limits = [max(areas[0] - half_width, 0), min(areas[0] + half_width, 1)]
    assert delong_interval(truth, scores[0]) == pytest.approx(limits, abs=1e-7)


@given(scored())
def test_delongs_paired_test_and_correlation_are_those_of_all_pairs(data):
    truth, scores = data
    areas, covariance = brute_force(truth, scores)
    size = np.sqrt(covariance[0, 0] * covariance[1, 1])
    correlation = roc.correlation(*(curves(truth, each) for each in scores))
    assert correlation == pytest.approx(covariance[0, 1] / size if size > 1e-15 else 0, abs=1e-9)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    if variance < 1e-12:
        return
    difference, limits, p_value = delong_test(truth, *scores)
    assert difference == pytest.approx(areas[0] - areas[1], abs=1e-12)
    assert p_value == pytest.approx(2 * stats.norm.sf(abs(difference) / np.sqrt(variance)), abs=1e-9)
    half_width = Z * np.sqrt(variance)
    assert limits == pytest.approx([max(difference - half_width, -1), min(difference + half_width, 1)], abs=1e-9)


@pytest.mark.parametrize(
    ("scores", "others"),
    [
        ([0.9, 0.8, 0.2, 0.1], [-0.9, -0.8, -0.2, -0.1]),
        ([0.9, 0.4, 0.5, 0.1], [0.9, 0.4, 0.5, 0.1]),  # ranked alike
        ([0.9, 0.8, 0.2, 0.1], [0.6, 0.7, 0.1, 0.2]),  # both without an error, which says little of other images
    ],
)
def test_a_difference_without_variance_is_undefined(scores, others):
    with pytest.raises(Undefined, match="no variance"):
        delong_test(np.array([True, True, False, False]), np.array(scores), np.array(others))


@pytest.mark.parametrize("function", [area, delong_interval, newcombe_interval])
@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_one_sided_truth_is_undefined(function, truth):
    with pytest.raises(Undefined, match="needs images of the class and of another one"):
        function(np.array(truth), np.array([0.1, 0.2]))


def test_delongs_interval_needs_two_images_of_each():
    with pytest.raises(Undefined, match="needs two images of the class and two others"):
        delong_interval(np.array([True, False, False]), np.array([0.3, 0.2, 0.1]))


def test_delongs_interval_of_separated_classes_is_a_point():
    assert delong_interval(np.array([True, True, False, False]), np.array([4.0, 3.0, 2.0, 1.0])) == [1, 1]


def test_newcombes_interval_at_1_and_0_by_hand():
    # m = n = 1: N = 0, V(A) = A (1 - A), so for an area of 1 (1 - A)^2 = z^2 A (1 - A), A = 1 / (1 + z^2).
    truth = np.array([True, False])
    limit = 1 / (1 + Z**2)
    assert newcombe_interval(truth, np.array([1.0, 0.0])) == pytest.approx([limit, 1], abs=1e-12)
    assert newcombe_interval(truth, np.array([0.0, 1.0])) == pytest.approx([0, 1 - limit], abs=1e-12)


def test_newcombes_interval_at_one_half_by_hand():
    # Two folds with m = n = 1, areas of 1 and 0: (1/2 - A)^2 = z^2 A (1 - A) / 2; A = 1/2 -+ z / (2 sqrt(2 + z^2)).
    half_width = Z / (2 * np.sqrt(2 + Z**2))
    truth, scores = np.array([True, False] * 2), np.array([0.9, 0.1, 0.1, 0.9])
    interval = roc.mean_area(curves(truth, scores, folds=[0, 0, 1, 1])).interval
    assert interval == pytest.approx([0.5 - half_width, 0.5 + half_width], abs=1e-12)


@given(scored(of_each=1))
def test_newcombes_limits_solve_its_equation(data):
    truth, scores = data
    of_curve, m, n = area(truth, scores[0]), truth.sum(), (~truth).sum()
    if np.ptp(scores[0]) == 0:
        return
    spread = (m + n) / 2 - 1
    lower, upper = newcombe_interval(truth, scores[0])
    assert 0 <= lower <= of_curve <= upper <= 1
    assert upper - lower > 0.05
    for limit in (lower, upper):
        if 0 < limit < 1:
            variance = limit * (1 - limit) * (1 + spread * ((1 - limit) / (2 - limit) + limit / (1 + limit))) / (m * n)
            assert abs(of_curve - limit) == pytest.approx(Z * np.sqrt(variance), abs=1e-9)


def test_one_exchanged_pair_among_many_images_is_no_rounding():
    # The smallest difference there is, with two classes of 3,000 images.
    truth = np.repeat([False, True], 3000)
    scores = np.arange(6000.0)
    exchanged = scores.copy()
    exchanged[[2999, 3000]] = exchanged[[3000, 2999]]
    difference, _, p_value = delong_test(truth, scores, exchanged)
    assert difference == pytest.approx(1 / 3000**2)
    assert 0.1 < p_value < 1


def test_all_probabilities_the_same_have_no_interval():
    figure = roc.mean_area(curves(np.array([True, False, False]), np.full(3, 0.3)))
    assert (figure.value, figure.interval) == (0.5, None) and "the same" in figure.reason
    one_fold = curves(np.array([True, False] * 2), np.array([0.3, 0.3, 0.2, 0.1]), folds=[0, 0, 1, 1])
    assert roc.mean_area(one_fold).interval


@given(scored(), scored())
def test_the_mean_over_folds_and_its_delong_interval_by_hand(first, second):
    parts = [(truth, scores[0]) for truth, scores in (first, second)]
    truth, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    one = one_class(truth, truth, scores, folds=np.repeat([3, 7], [len(part[0]) for part in parts]))
    measured = [brute_force(part, part_scores[None]) for part, part_scores in parts]
    mean = np.mean([areas[0] for areas, _ in measured])
    assert roc.area_figure([one]).value == pytest.approx(mean)
    if 0 < mean < 1:
        error = np.sqrt(sum(covariance[0, 0] for _, covariance in measured)) / 2 / (mean * (1 - mean))
        limits = special.expit(special.logit(mean) + Z * np.array([-error, error]))
        assert roc.delong_interval(one) == pytest.approx(limits, abs=1e-7)


def test_a_fold_without_images_of_the_class_is_left_out_and_none_is_undefined():
    truth, scores, folds = np.array([True, False, False]), np.array([0.9, 0.1, 0.5]), [0, 0, 1]
    assert roc.mean_area(curves(truth, scores, folds=folds)).value == 1
    assert roc.area_figure([one_class(truth & ~truth, truth, scores)]).reason == roc.BOTH


def obuchowski_variance(truth, scores, groups):
    """The variance of an area as in Biometrics 53 (1997) 567, with its sums written out."""
    positives, negatives = np.flatnonzero(truth), np.flatnonzero(~truth)
    psi = np.array([[(scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j]) for j in negatives] for i in positives])
    area, m, n = psi.mean(), len(positives), len(negatives)
    of_class, of_others = (len(set(groups[which])) for which in (positives, negatives))
    s10 = s01 = 0.0
    for group in set(groups):
        inside = groups[positives] == group
        s10 += (psi.mean(axis=1)[inside].sum() - inside.sum() * area) ** 2
        inside = groups[negatives] == group
        s01 += (psi.mean(axis=0)[inside].sum() - inside.sum() * area) ** 2
    return of_class / (of_class - 1) * s10 / m**2 + of_others / (of_others - 1) * s01 / n**2


def test_the_design_effect_is_obuchowskis_variance_in_relation_to_delongs():
    random = np.random.default_rng(4)
    groups = np.repeat(np.arange(60), random.integers(1, 7, 60))
    truth = (np.arange(60) % 2 == 0)[groups]
    scores = truth + random.normal(size=60)[groups] + random.normal(size=len(groups))
    found = curves(truth, scores, groups)
    _, covariance = brute_force(truth, scores[None])
    ratio = obuchowski_variance(truth, scores, groups) / covariance[0, 0]
    widening = stats.t.ppf(0.975, 59) / stats.t.ppf(0.975, len(groups) - 1)
    assert roc.area_design_effect(found) == pytest.approx(ratio * widening**2)
    alone, grouped = newcombe_interval(truth, scores), roc.mean_area(found).interval
    assert grouped[0] < alone[0] and alone[1] < grouped[1]


def test_images_that_are_copies_add_nothing():
    random = np.random.default_rng(5)
    truth = np.arange(40) % 2 == 0
    scores = truth + random.normal(size=40)
    once = newcombe_interval(truth, scores)
    four_times = roc.mean_area(curves(np.repeat(truth, 4), np.repeat(scores, 4), np.repeat(np.arange(40), 4))).interval
    assert four_times == pytest.approx(once, abs=0.02)


def test_a_paired_difference_over_folds_is_the_mean_of_theirs():
    random = np.random.default_rng(6)
    truth, folds = np.arange(80) % 2 == 0, np.arange(80) // 20
    first, second = (truth + random.normal(size=80) for _ in range(2))
    difference, (lower, upper), p_value = roc.paired_difference(
        curves(truth, first, folds=folds), curves(truth, second, folds=folds)
    )
    parts = [brute_force(truth[folds == k], np.stack([first, second])[:, folds == k]) for k in range(4)]
    assert difference == pytest.approx(np.mean([areas[0] - areas[1] for areas, _ in parts]))
    variance = sum(c[0, 0] + c[1, 1] - 2 * c[0, 1] for _, c in parts) / 16
    assert (upper - lower) / 2 == pytest.approx(Z * np.sqrt(variance))
    assert p_value == pytest.approx(2 * stats.norm.sf(abs(difference) / np.sqrt(variance)))


def test_a_paired_difference_of_copies_is_that_of_single_images_but_for_students_t_of_fewer_groups():
    random = np.random.default_rng(6)
    truth = np.arange(40) % 2 == 0
    models = [truth + random.normal(size=40) for _ in range(2)]
    once, copies = (
        roc.paired_difference(
            *(curves(*(np.repeat(each, count) for each in (truth, scores, np.arange(40)))) for scores in models)
        )
        for count in (1, 4)
    )
    assert copies[0] == pytest.approx(once[0])
    assert np.ptp(copies[1]) / np.ptp(once[1]) == pytest.approx(stats.t.ppf(0.975, 39) / stats.t.ppf(0.975, 159))


def test_the_mean_of_many_perfect_areas_is_exactly_1():
    # 0.02 fifty times, added one after the other, is more than 1.
    labels = np.tile(np.arange(10), 30)
    ones = [
        one_class(labels == k, labels == k, (labels == k).astype(float), folds=np.repeat(range(5), 60))
        for k in range(10)
    ]
    figure = roc.area_figure(ones)
    assert (figure.value, figure.interval[1]) == (1, 1)
    assert 0.9 < figure.interval[0] < 1


def test_m_of_two_classes_is_their_area():
    made = random_two_class(0)
    found, expected = roc.pairwise_area(made), roc.area_of(made)
    assert [found.value, *found.interval] == pytest.approx([expected.value, *expected.interval])


def three_classes(seed, **others):
    random = np.random.default_rng(seed)
    rows = random.dirichlet(np.ones(3), 60)
    return multiclass(np.arange(60) % 3, rows, file_names=[f"{seed}_{index}" for index in range(60)], **others)


def test_m_of_folds_is_their_mean():
    parts = [three_classes(seed, fold=seed) for seed in range(3)]
    expected = [roc_auc_score(part.labels, part.probabilities, multi_class="ovo") for part in parts]
    assert roc.pairwise_area(folds.pool(parts)).value == pytest.approx(np.mean(expected))


def test_images_of_a_group_say_no_more_of_m_than_one():
    once = three_classes(0)
    once.file_names = None
    four = once.select(np.repeat(np.arange(60), 4))
    four.groups = [str(index // 4) for index in range(240)]
    alone, together = roc.pairwise_area(once), roc.pairwise_area(four)
    assert together.value == pytest.approx(alone.value)
    assert together.interval == pytest.approx(alone.interval, abs=0.03)


def test_an_undefined_m_says_why():
    made = multiclass([0, 0, 1], [[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.8, 0.1]])
    assert roc.pairwise_area(made).reason.startswith("no images of both A and C")
    many = roc.MOST_PAIRED_CLASSES + 1
    made = multiclass(np.arange(many), np.full((many, many), 1 / many), [str(index) for index in range(many)])
    assert roc.pairwise_area(made).reason.startswith(f"{many} classes ")


def test_the_area_of_one_list_is_as_near_to_the_mean_over_folds_as_said():
    """Five folds on one scale: the standard deviation of the difference is at most the one returned, and half of it."""
    random, differences, said = np.random.default_rng(0), [], []
    for _ in range(200):
        truth, folds_of = np.arange(60) % 2 == 0, np.arange(60) // 12
        scores = 1.5 * truth + random.normal(size=60)
        of_folds = curves(truth, scores, folds=folds_of)
        mean = np.mean([curve.area for curve in of_folds])
        differences.append(area(truth, scores) - mean)
        said.append(roc.one_list_deviation(of_folds))
    assert 0.5 * np.mean(said) < np.std(differences) < np.mean(said)
    # Copies are no pairs of their own.
    copies = [np.repeat(each, 3) for each in (truth, scores, np.arange(60), folds_of)]
    assert roc.one_list_deviation(curves(*copies)) == pytest.approx(said[-1])
