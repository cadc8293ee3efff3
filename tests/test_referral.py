import math

import numpy as np
import pytest
from made_predictions import page, random_two_class, two_class

from pipeline.performance import plots, referral, summary, units
from pipeline.performance.figures import Figure, exact_interval


def unsure(labels, yes, entropy, information=None):
    entropy = np.array(entropy, dtype=float)
    information = entropy if information is None else np.array(information, dtype=float)
    return two_class(labels, yes, sample_count=5, predictive_entropy=entropy, mutual_information=information)


def test_figures_of_a_case_counted_by_hand():
    """30 images, 4 wrong: by entropy two of the three least certain are wrong; by mutual information one of them is."""
    labels = [1] * 30
    yes = [0.4, 0.4, 0.4, 0.4] + [0.9] * 26
    entropy = [0.9, 0.8, 0.1, 0.2] + [0.6 - index / 100 for index in range(26)]
    information = [0.9, 0.1, 0.1, 0.1, 0.8, 0.7] + [0.5] * 24
    found = referral.referral(unsure(labels, yes, entropy, information))
    assert (found.sample_count, found.referred, found.errors) == (5, 3, 4)
    assert found.errors_at_random == pytest.approx(0.4)
    by_entropy, by_information = found.rankings
    assert (by_entropy.errors_referred.value, by_information.errors_referred.value) == (2, 1)
    assert by_entropy.rest == Figure(25 / 27, exact_interval(25, 27), 25, 27)
    assert by_entropy.gain.value == pytest.approx(25 / 27 - 26 / 30)
    # Of three drawn from 30 two or more are among the 4 wrong ones; at least one is.
    two_or_more = math.comb(4, 2) * 26 + math.comb(4, 3)
    assert by_entropy.p_value.value == pytest.approx(two_or_more / math.comb(30, 3))
    assert by_information.p_value.value == pytest.approx(1 - math.comb(26, 3) / math.comb(30, 3))
    assert by_entropy.accuracies[:4] == pytest.approx([26 / 30, 26 / 29, 26 / 28, 25 / 27])
    assert by_entropy.accuracies[-1] == pytest.approx(18 / 20)  # two wrong and eight correct ones are referred
    assert len(by_entropy.accuracies) == 11  # down to 20 images that are left


def test_every_model_is_ranked_by_the_entropy_of_its_probabilities():
    made = random_two_class(0, counts=(60, 60))
    (ranking,) = referral.referral(made).rankings
    unsure_of_half = unsure(made.labels, made.probabilities[:, 1], 0.5 - abs(made.probabilities[:, 1] - 0.5))
    assert ranking == referral.referral(unsure_of_half).rankings[0]  # the same order for two classes


def test_what_is_undefined_is_said():
    for ranking in referral.referral(unsure([1] * 21, [0.9] * 21, np.arange(21))).rankings:
        for figure in (ranking.errors_referred, ranking.rest, ranking.gain, ranking.p_value):
            assert figure == Figure(None, reason="fewer than 20 images would be left")
    assert referral.referral(unsure([1] * 22, [0.9] * 22, np.arange(22))).rankings[0].rest.counts == "20 of 20"
    (of_groups,) = units.of_groups([two_class([1] * 21, [0.9] * 21, groups=[f"g{number}" for number in range(21)])])
    assert referral.referral(of_groups).rankings[0].rest.reason == "fewer than 20 groups would be left"
    for ranking in referral.referral(unsure([1] * 30, [0.9] * 30, np.arange(30))).rankings:
        assert ranking.gain.value == 0
        assert ranking.p_value.reason == "no prediction is wrong"


def test_the_order_of_equally_uncertain_images_says_nothing():
    """40 images, 6 wrong, all equally uncertain but for rounding: no figures, and a curve that stays where it is."""
    yes, nearly_equal = [0.4] * 6 + [0.9] * 34, (0.5 + 1e-15 * np.arange(40), 1e-16 * np.arange(40))
    for ranking in referral.referral(unsure([1] * 40, yes, *nearly_equal)).rankings:
        assert ranking.gain.value is ranking.p_value.value is ranking.errors_referred.value is None
        assert ranking.gain.reason == "images that are referred and images that are not are equally uncertain"
        assert ranking.accuracies == pytest.approx([34 / 40] * 21)


@pytest.mark.parametrize("count, referred", [(2, 1), (14, 1), (15, 2), (25, 3), (35, 4), (253, 25)])
def test_a_tenth_is_rounded_halves_up(count, referred):
    assert referral.referral(unsure([1] * count, [0.9] * count, np.arange(count) / 1000)).referred == referred


def test_the_page_and_the_picture_show_it(tmp_path):
    made = random_two_class(0, counts=(60, 60))
    made.sample_count = 9
    made.predictive_entropy = made.mutual_information = 0.5 - abs(made.probabilities[:, 1] - 0.5)
    found = referral.referral(made)
    results = summary.summarize(made, referral=found)
    text = page(made, referral=found)
    assert "## Referring the 12 least certain of 120 images to an expert" in text
    ranking = found.rankings[0]
    row = next(line for line in text.splitlines() if line.startswith("| predictive entropy"))
    assert f"| {ranking.errors_referred.value} of {found.errors} " in row
    assert f"{100 * ranking.gain.value:+.1f} points" in row
    plots.save(plots.draw_referral, results, tmp_path / "referral.png")
    assert (tmp_path / "referral.png").read_bytes().startswith(b"\x89PNG")
    assert ranking.gain.value > 0  # those near the threshold are wrong more often


def test_the_picture_is_of_a_report_or_of_asked_uncertainty_and_names_it(tmp_path):
    plain, few = random_two_class(0), random_two_class(0, counts=(10, 11))
    sampled = unsure(plain.labels, plain.probabilities[:, 1], np.arange(26))
    texts = [
        [picture.text for _, picture in plots.drawings(results, tmp_path / "r.json", for_report)][4:]
        for made, for_report in [(plain, False), (plain, True), (sampled, False), (few, True)]
        for results in [summary.summarize(made, referral=referral.referral(made))]
    ]
    assert [len(each) for each in texts] == [0, 1, 1, 0]
    assert texts[1][0].endswith("uncertainty of the probabilities.")
    assert texts[2][0].endswith("uncertainty of 5 predictions with Monte Carlo dropout.")
