from pathlib import Path

import numpy as np
import pytest
from made_predictions import multiclass, random_two_class, two_class
from scipy.special import softmax
from sklearn.metrics import log_loss

from pipeline.errors import UserError
from pipeline.operating_point import calibrated
from pipeline.performance import temperature, validations

PATH = Path("folder/val.json")


def overconfident(seed, count, classes=4):
    """Return labels that are as probable as softmax(logits) says, and three times the logits."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, classes))
    labels = np.array([random.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return labels, 3 * logits


def test_a_temperature_divides_the_logits():
    _, logits = overconfident(0, 50)
    assert calibrated(softmax(logits, axis=1), 3) == pytest.approx(softmax(logits / 3, axis=1))


def test_a_probability_of_0_is_calibrated_too():
    found = calibrated(np.array([[1.0, 0.0], [0.5, 0.5]]), 2)
    assert found.sum(axis=1) == pytest.approx(1) and 0 < found[0, 1] < 1e-9
    assert found[1].tolist() == [0.5, 0.5]


def folds_of_three(count=120):
    parts, chosen = [], []
    for fold in range(3):
        for of, split, seed in ((parts, "test", fold), (chosen, "val", fold + 9)):
            labels, logits = overconfident(seed, count)
            made = multiclass(labels, softmax(logits, axis=1), fold=fold, split=split, path=PATH)
            made.file_names = [f"{fold if split == 'test' else (fold + 1) % 3}_{number}" for number in range(count)]
            of.append(made)
    return parts, chosen


def test_no_fold_is_calibrated_by_the_images_it_tests():
    parts, chosen = folds_of_three()
    fitted = temperature.choose(validations.pool(chosen, parts, "-calibrate_from"))
    assert fitted.images == 360
    for part, value in zip(parts, fitted.of_parts, strict=True):
        others = [one for one in chosen if not set(one.file_names) & set(part.file_names)]
        labels, probabilities = (
            np.concatenate([getattr(one, name) for one in others]) for name in ("labels", "probabilities")
        )
        assert value == pytest.approx(temperature.fit(labels, probabilities))
    after = temperature.apply(parts, fitted.of_parts)
    change = temperature.change_in_log_loss(parts[0], after[0])
    losses = [log_loss(one.labels, one.probabilities) for one in (after[0], parts[0])]
    assert change.value == pytest.approx(losses[0] - losses[1]) and change.value < 0
    assert change.interval[0] < change.value < change.interval[1]


def test_the_change_from_an_infinite_log_loss_is_undefined():
    before = multiclass([0, 1, 2, 0], [[0.5, 0.3, 0.2], [1, 0, 0], [0.2, 0.2, 0.6], [0.4, 0.3, 0.3]])
    (after,) = temperature.apply([before], [2.0])
    change = temperature.change_in_log_loss(before, after)
    assert (change.value, change.interval) == (None, None)
    assert change.reason == "infinite: probability 0 of the true class (1 of 4 images)"


def test_200_images_with_10_errors_are_enough_and_no_fewer():
    def chosen_from(count, errors):
        labels, wrong = np.arange(count) % 2, np.arange(count) < errors
        names = [f"val{number}" for number in range(count)]
        made = two_class(labels, 0.1 + 0.8 * (labels ^ wrong), file_names=names, split="val", path=PATH)
        return temperature.choose(validations.pool([made], [random_two_class(1)], "-calibrate_from"))

    fitted = chosen_from(200, 10)
    assert (fitted.images, fitted.errors) == (200, 10)
    for count, errors in ((199, 10), (200, 9)):
        start = rf"^-calibrate_from val\.json: {count} images with {errors} errors; below 200 images or 10 errors "
        with pytest.raises(UserError, match=f"{start}.*; give the predictions of all folds, or leave it out$"):
            chosen_from(count, errors)


def test_folds_of_which_one_is_left_too_few_images_are_told_so():
    parts, chosen = folds_of_three(count=90)
    with pytest.raises(UserError, match=r": 180 images with \d+ errors are left for a fold, .*brings; leave it out$"):
        temperature.choose(validations.pool(chosen, parts, "-calibrate_from"))
