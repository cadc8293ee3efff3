import numpy as np
import pytest
from made_predictions import page, random_two_class, two_class
from PIL import Image

from pipeline.performance import decision_curve, plots
from pipeline.performance.figures import difference_of, exact_interval
from pipeline.performance.grouped import proportion
from pipeline.performance.summary import summarize


def test_the_interval_of_a_net_benefit_by_hand():
    # Of one true and two false positives, the latter at odds of 2 to 3. An image is one of them at most, so that their
    # fractions have the correlation - sqrt(0.2 x 0.4 / (0.8 x 0.6)).
    curve = decision_curve.measure(two_class([0, 0, 0, 1, 1], [0.1, 0.5, 0.6, 0.2, 0.8]), np.array([0.4]))
    (lower, upper), (other_lower, other_upper) = exact_interval(1, 5), exact_interval(2, 5)
    below, above = [0.2 - lower, 2 / 3 * (other_upper - 0.4)], [upper - 0.2, 2 / 3 * (0.4 - other_lower)]
    reaches = [np.sqrt(x**2 + y**2 + 2 * x * y / np.sqrt(6)) for x, y in (below, above)]
    value = 0.2 - 2 / 3 * 0.4
    assert curve.model == pytest.approx([value])
    assert curve.limits[0] == pytest.approx([value - reaches[0], value + reaches[1]])


def test_where_no_image_is_treated_there_might_have_been_some():
    curve = decision_curve.measure(two_class([0] * 6 + [1] * 4, [0.3] * 10), np.array([0.8]))
    _, most = exact_interval(0, 10)
    assert curve.model == [0] and curve.limits[0] == pytest.approx([-4 * most, most])


def test_gains_and_losses_that_go_together_do_not_narrow_the_interval():
    labels, treated, groups = np.tile([1, 0], 10), np.repeat(np.arange(10) < 6, 2), np.repeat(np.arange(10), 2)
    made = two_class(labels, 0.1 + 0.8 * treated, groups=[str(group) for group in groups])
    gained, lost = (proportion(treated & (labels == label), groups) for label in (1, 0))
    curve = decision_curve.measure(made, np.array([0.5]))
    assert curve.limits[0] == pytest.approx(difference_of(gained, lost).interval)


def test_images_that_are_copies_count_once():
    made = random_two_class(0, (40, 60))
    copies = two_class(np.repeat(made.labels, 3), np.repeat(made.probabilities[:, 1], 3))
    copies.groups = [f"g{number // 3}" for number in range(300)]
    once, thrice = decision_curve.measure(made), decision_curve.measure(copies)
    assert thrice.limits == pytest.approx(once.limits)
    assert thrice.difference_limits == pytest.approx(once.difference_limits)


def test_better_than_treating_all_is_better_than_treating_none_with_the_classes_exchanged():
    """Who is spared counts then in place of who is treated, by the odds of the threshold."""
    made = random_two_class(0, (40, 60), groups=[f"g{number // 3}" for number in range(100)])
    exchanged = two_class(1 - made.labels, made.probabilities[:, 0], groups=made.groups)
    curve, other = decision_curve.measure(made), decision_curve.measure(exchanged)
    odds = decision_curve.THRESHOLDS / (1 - decision_curve.THRESHOLDS)
    assert curve.difference == pytest.approx(odds * other.model[::-1])
    assert curve.difference_limits == pytest.approx(odds[:, None] * other.limits[::-1])


def test_the_page_and_the_picture_show_it(tmp_path):
    made = two_class([0, 0, 0, 1, 1], [0.1, 0.3, 0.6, 0.2, 0.8])
    results = summarize(made, decision_curve=decision_curve.measure(made))
    text = page(made, decision_curve=results.decision_curve)
    row = next(line for line in text.splitlines() if line.startswith("|     20.0% |"))
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[2:5] == ["+0.300; -0.131 to +0.815", "+0.250", "+0.050; -0.474 to +0.179"]
    (drawn,) = [entry for entry in plots.drawings(results, tmp_path / "r.json") if "decision" in entry[1].path.name]
    plots.save(drawn[0], results, drawn[1].path)
    with Image.open(tmp_path / "r_decision_curve.png") as picture:
        assert min(picture.size) > 400
