from dataclasses import replace

import pytest

from pipeline.operating_point import OperatingPoint

POINT = OperatingPoint(
    class_names=["no", "yes"],
    positive_class="yes",
    checkpoints=["m.pth.tar"],
    monte_carlo_samples=None,
    temperature=None,
    threshold=0.29641,
    rule="Youden's index",
    measured_images=255,
    sensitivity=0.865,
    sensitivity_interval=[0.775, 0.928],
    specificity=0.46,
    specificity_interval=[0.302, 0.624],
)
THRESHOLD = "yes from a probability of 0.2964"
FIGURES = "sensitivity for yes 86.5% (77.5% to 92.8%), specificity 46.0% (30.2% to 62.4%) on the 255 images measured"
NO_IMAGES = {"sensitivity": None, "sensitivity_interval": None}
FOLDS = {"checkpoints": ["m_fold_0.pth.tar", "m_fold_1.pth.tar"]}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, f"{THRESHOLD}: {FIGURES}"),
        # What new images are given was not measured: each fold had a threshold of its own.
        (FOLDS, f"{THRESHOLD}: {FIGURES}, each by the model of one fold at its own threshold"),
        (
            {**FOLDS, "temperature": 1.4, "threshold": None},
            f"calibrated by the temperature 1.4: {FIGURES}, each by the model of one fold at its own temperature",
        ),
        ({"temperature": 1.4}, f"calibrated by the temperature 1.4, {THRESHOLD}: {FIGURES}"),
        (NO_IMAGES, f"{THRESHOLD}: specificity 46.0% (30.2% to 62.4%) on the 255 images measured"),
        ({**NO_IMAGES, "specificity": None, "specificity_interval": None}, THRESHOLD),
    ],
)
def test_the_sentence_says_what_is_done_and_what_was_measured(changes, sentence):
    assert replace(POINT, **changes).sentence() == sentence
