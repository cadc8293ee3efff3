import numpy as np
import pytest
from made_predictions import random_two_class, two_class
from PIL import Image

from pipeline.performance import decision_curve, pages, plots, report
from pipeline.performance.results_json import as_json
from pipeline.performance.summary import summarize


def test_net_benefits_by_hand():
    made = two_class([0, 0, 0, 1, 1], [0.1, 0.3, 0.6, 0.2, 0.8])
    curve = decision_curve.measure(made)
    at = {threshold: index for index, threshold in enumerate(np.round(decision_curve.THRESHOLDS, 2))}
    # From 0.2 on: both of the class, and two others, each at odds of 1 to 4. From 0.5 on: one, and one at even odds.
    assert curve.model[at[0.2]] == pytest.approx((2 - 2 * 0.25) / 5)
    assert curve.model[at[0.5]] == pytest.approx((1 - 1) / 5)
    assert curve.model[at[0.75]] == pytest.approx(1 / 5)
    assert curve.model[at[0.9]] == 0
    assert curve.treat_all[at[0.2]] == pytest.approx(2 / 5 - 3 / 5 / 4)
    assert curve.treat_all[at[0.5]] == pytest.approx(-1 / 5)
    assert curve.difference == pytest.approx(curve.model - curve.treat_all)
    assert np.isnan(curve.limits).all() and np.isnan(curve.difference_limits).all()  # of two images of the class


def test_intervals_end_where_few_images_are_treated():
    made = random_two_class(0, (60, 60))
    curve, probability = decision_curve.measure(made), made.probabilities[:, 1]
    for threshold, value, limits in zip(decision_curve.THRESHOLDS, curve.model, curve.limits, strict=True):
        treated = made.labels[probability >= threshold]
        if min(treated.sum(), (1 - treated).sum()) < 5:
            assert np.isnan(limits).all()
        else:
            assert limits[0] <= value <= limits[1]
    assert np.isnan(curve.limits).any(axis=1).sum() in range(1, 99)


def test_better_than_treating_all_is_better_than_treating_none_with_the_classes_exchanged():
    """Who is spared counts then in place of who is treated, by the odds of the threshold."""
    made = random_two_class(0, (40, 60), groups=[f"g{number // 3}" for number in range(100)])
    exchanged = two_class(1 - made.labels, made.probabilities[:, 0], groups=made.groups)
    curve, other = decision_curve.measure(made), decision_curve.measure(exchanged)
    odds = decision_curve.THRESHOLDS / (1 - decision_curve.THRESHOLDS)
    assert curve.difference == pytest.approx(odds * other.model[::-1])
    assert curve.difference_limits == pytest.approx(odds[:, None] * other.limits[::-1], nan_ok=True)
    assert np.isfinite(curve.difference_limits).all(axis=1).sum() in range(1, 99)


def test_the_page_and_the_picture_show_it(tmp_path):
    made = two_class([0, 0, 0, 1, 1], [0.1, 0.3, 0.6, 0.2, 0.8])
    results = summarize(made, decision_curve=decision_curve.measure(made))
    text = pages.markdown(report.page(results, as_json(results)))
    row = next(line for line in text.splitlines() if line.startswith("|     20.0% |"))
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[2:5] == ["+0.300; too few images", "+0.250", "+0.050; too few images"]
    (drawn,) = [entry for entry in plots.drawings(results, tmp_path / "r.json") if "decision" in entry[1].path.name]
    drawn[0](drawn[1].path, results)
    with Image.open(tmp_path / "r_decision_curve.png") as picture:
        assert min(picture.size) > 400
