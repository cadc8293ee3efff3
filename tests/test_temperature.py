from pathlib import Path

import numpy as np
import pytest
from made_predictions import multiclass, random_two_class
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss

from pipeline.errors import UserError
from pipeline.operating_point import calibrated
from pipeline.performance import temperature, validations

PATH = Path("folder/val.json")


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose features are its logits."""

    def fit(self, logits, labels):
        self.classes_ = np.unique(labels)
        return self

    def decision_function(self, logits):
        return logits

    def predict(self, logits):
        return self.classes_[logits.argmax(axis=1)]


def overconfident(seed, count, classes=4, scale=3.0):
    """Return labels that are as probable as softmax(logits) says, and `scale` times the logits."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, classes))
    labels = np.array([random.choice(classes, p=row) for row in softmax(logits, axis=1)])
    return labels, scale * logits


def test_the_temperature_is_scikit_learns():
    labels, logits = overconfident(0, 300)
    fitted = temperature.fit(labels, softmax(logits, axis=1))
    judge = CalibratedClassifierCV(FrozenEstimator(Given().fit(logits, labels)), method="temperature", cv=2)
    judge.fit(log_softmax(logits, axis=1), labels)
    others = log_softmax(overconfident(1, 50)[1], axis=1)
    expected = judge.calibrated_classifiers_[0].predict_proba(others)
    assert calibrated(np.exp(others), fitted) == pytest.approx(expected, abs=2e-4)
    assert fitted == pytest.approx(3, rel=0.2)


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


@pytest.mark.parametrize("counts", [(40, 59), (200, 200)])
def test_too_few_images_or_errors_are_refused(counts):
    signal = 5.0 if counts[0] == 200 else 1.0
    chosen = random_two_class(0, counts=counts, signal=signal, split="val", prefix="val", path=PATH)
    pool = validations.pool([chosen], [random_two_class(1)], "-calibrate_from")
    with pytest.raises(
        UserError,
        match=rf"^-calibrate_from val\.json: {sum(counts)} images with \d+ errors; below 200 images or 10 errors ",
    ):
        temperature.choose(pool)
