import math

import numpy as np
import pytest
from made_predictions import random_two_class, two_class

from pipeline.errors import UserError
from pipeline.performance import pages, plots, referral, report, summary
from pipeline.performance.figures import Figure, exact_interval
from pipeline.performance.folds import pool


def unsure(labels, yes, entropy, information=None):
    entropy = np.array(entropy, dtype=float)
    information = entropy if information is None else np.array(information, dtype=float)
    return two_class(labels, yes, sample_count=5, predictive_entropy=entropy, mutual_information=information)


def test_figures_of_a_case_counted_by_hand():
    """20 images, 4 wrong: by entropy the two least certain are wrong; by mutual information one of them is."""
    labels = [1] * 20
    yes = [0.4, 0.4, 0.4, 0.4] + [0.9] * 16
    entropy = [0.9, 0.8, 0.1, 0.2] + [0.5 - index / 100 for index in range(16)]
    information = [0.9, 0.1, 0.1, 0.1, 0.8] + [0.5] * 15
    found = referral.referral(unsure(labels, yes, entropy, information))
    assert (found.sample_count, found.referred, found.errors) == (5, 2, 4)
    assert found.errors_at_random == pytest.approx(0.4)
    by_entropy, by_information = found.rankings
    assert (by_entropy.errors_referred.value, by_information.errors_referred.value) == (2, 1)
    assert by_entropy.rest == Figure(16 / 18, exact_interval(16, 18), 16, 18)
    assert by_entropy.gain.value == pytest.approx(16 / 18 - 16 / 20)
    # Both of two drawn from 20 are among the 4 wrong ones; at least one is.
    assert by_entropy.p_value.value == pytest.approx(math.comb(4, 2) / math.comb(20, 2))
    assert by_information.p_value.value == pytest.approx(1 - math.comb(16, 2) / math.comb(20, 2))
    assert by_entropy.accuracies[:4] == pytest.approx([16 / 20, 16 / 19, 16 / 18, 15 / 17])
    assert by_entropy.accuracies[-1] == 0  # the image of least entropy is wrong
    assert len(by_entropy.accuracies) == 20


def test_what_is_undefined_is_said():
    for ranking in referral.referral(unsure([1], [0.9], [0.1])).rankings:
        for figure in (ranking.errors_referred, ranking.rest, ranking.gain, ranking.p_value):
            assert figure == Figure(None, reason="there is only one image")
    for ranking in referral.referral(unsure([1] * 4, [0.9] * 4, [0.4, 0.3, 0.2, 0.1])).rankings:
        assert ranking.gain.value == 0
        assert ranking.p_value.reason == "no prediction is wrong"


def test_the_order_of_equally_uncertain_images_says_nothing():
    """40 images, 6 wrong, all equally uncertain but for rounding: no figures, and a curve that stays where it is."""
    yes = [0.4] * 6 + [0.9] * 34
    for ranking in referral.referral(unsure([1] * 40, yes, [0.5] * 40, 1e-16 * np.arange(40))).rankings:
        assert ranking.gain.value is ranking.p_value.value is ranking.errors_referred.value is None
        assert ranking.gain.reason == "images that are referred and images that are not are equally uncertain"
        assert ranking.accuracies == pytest.approx([34 / 40] * 40)


@pytest.mark.parametrize("count, referred", [(2, 1), (14, 1), (15, 2), (25, 3), (35, 4), (253, 25)])
def test_a_tenth_is_rounded_halves_up(count, referred):
    assert referral.referral(unsure([1] * count, [0.9] * count, np.arange(count) / 1000)).referred == referred


def test_the_page_and_the_picture_show_it(tmp_path):
    made = random_two_class(0, counts=(60, 60))
    made.sample_count = 9
    made.predictive_entropy = made.mutual_information = 0.5 - abs(made.probabilities[:, 1] - 0.5)
    found = referral.referral(made)
    results = summary.summarize(made, referral=found)
    page = pages.markdown(report.page(results))
    assert "## Referring the 12 least certain of 120 images to an expert" in page
    ranking = found.rankings[0]
    row = next(line for line in page.splitlines() if line.startswith("| predictive entropy"))
    assert f"| {ranking.errors_referred.value} of {found.errors} " in row
    assert f"{100 * ranking.gain.value:+.1f} points" in row
    plots.draw_referral(tmp_path / "referral.png", results)
    assert (tmp_path / "referral.png").read_bytes().startswith(b"\x89PNG")
    assert ranking.gain.value > 0  # those near the threshold are wrong more often


def test_folds_are_pooled_where_all_say_how_unsure_they_are():
    folds = [random_two_class(seed, prefix=f"fold_{seed}_", fold=seed) for seed in range(3)]
    assert pool(folds, ["a", "b", "c"]).sample_count is None
    for number, fold in enumerate(folds):
        fold.sample_count = 7
        fold.predictive_entropy = np.full(26, number / 10)
        fold.mutual_information = np.full(26, number / 100)
    pooled = pool(folds, ["a", "b", "c"])
    assert pooled.sample_count == 7
    assert pooled.predictive_entropy.tolist() == [0.0] * 26 + [0.1] * 26 + [0.2] * 26
    assert pooled.mutual_information.tolist() == [0.0] * 26 + [0.01] * 26 + [0.02] * 26
    folds[1].sample_count = 8
    with pytest.raises(UserError, match="b: number of Monte Carlo samples 8, in a 7; pool the folds of one model only"):
        pool(folds, ["a", "b", "c"])
