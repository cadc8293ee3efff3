from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_predictions import GOLDEN, chosen_threshold, multiclass, random_two_class, two_class
from sklearn.metrics import roc_auc_score

from pipeline import predictions
from pipeline.performance import decision_curve, folds, thresholds
from pipeline.performance.baselines import Baseline
from pipeline.performance.cautions import cautions
from pipeline.performance.figures import Figure
from pipeline.performance.summary import summarize
from pipeline.performance.temperature import FittedTemperature

MANY = random_two_class(0, counts=(200, 300), signal=1.5)


def test_many_images_above_chance_need_no_caution():
    assert cautions(summarize(MANY)) == []


def test_the_published_test_images_are_few():
    made = predictions.read(GOLDEN / "published_table4.json")
    made.positive_class = "yes"
    assert cautions(summarize(made)) == [
        "With 26 images, the accuracy may be anything from 74.9% to 99.1% (95% confidence).",
        "With 16 images of class yes, the sensitivity may be anything from 69.8% to 99.8%.",
        "With 10 images of the other class, the specificity may be anything from 55.5% to 99.7%.",
    ]


def test_classes_with_few_images_are_named():
    labels = np.repeat([0, 1, 2], [300, 5, 0])
    probabilities = np.eye(3)[labels] * 0.7 + 0.1
    probabilities[::3] = [0.3, 0.4, 0.3]
    found = cautions(summarize(multiclass(labels, probabilities)))
    assert found[0] == "With so few images of these classes, their sensitivity's interval spans more than 20%: B (5)."


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"split": "train"}, "The model was trained on these images: the figures say nothing about new ones."),
        ({"split": "val"}, "These validation images chose the best epoch: the figures are too good for new images."),
        (
            {"interrupted": "stopped at epoch 9 of 256"},
            "The model's training was not finished (stopped at epoch 9 of 256): train it to the end.",
        ),
    ],
)
def test_images_that_the_model_has_seen_and_training_that_was_not_finished(changes, sentence):
    assert cautions(summarize(replace(MANY, **changes))) == [sentence]


def test_no_better_than_the_larger_class():
    made = two_class(np.repeat([0, 1], [100, 200]), np.full(300, 0.9))
    assert cautions(summarize(made)) == [
        "The model predicted yes for every image.",
        "The accuracy is not shown to be above the 66.7% of always answering with the largest class (p = 0.5271).",
    ]


def test_no_better_than_a_baseline():
    worse = Baseline("always the larger class", Figure(0.6), Figure(None), 253)
    better = Baseline("file facts", summarize(MANY).accuracy, Figure(0.99), 253)
    assert cautions(summarize(MANY, baselines=[worse])) == []
    assert cautions(summarize(MANY, baselines=[worse, better])) == [
        "In accuracy the model is not shown to be better than these simple baselines: file facts.",
        "In ROC-AUC the model is not shown to be better than these simple baselines: file facts.",
    ]


def made_validation():
    return random_two_class(4, counts=(200, 300), signal=1.5, split="val", prefix="val")


def test_decisions_that_are_not_the_most_probable_class():
    made = random_two_class(0, counts=(200, 300), signal=1.5)
    made.predictions[:3] = 1 - made.predictions[:3]
    assert cautions(summarize(made)) == ["For 3 images, the prediction is not the most probable class."]
    point = chosen_threshold(made_validation(), Path("val_preds.json"), made)
    measured = thresholds.apply(made, point.value)
    assert cautions(summarize(measured, thresholds=(point,))) == []
    assert cautions(summarize(measured, thresholds=(replace(point, split="train"),))) == [
        "The threshold was chosen on the training images, whose labels the model has learned."
    ]


def test_thresholds_that_do_not_carry_over():
    made = random_two_class(0, counts=(200, 300), signal=1.5)
    point = chosen_threshold(made_validation(), Path("val_preds.json"), made)
    results = summarize(thresholds.apply(made, point.value), thresholds=(point,))
    same, higher = results.main.specificity, Figure(0.99, [0.98, 1.0])
    assert cautions(replace(results, where_chosen={"sensitivity": point.sensitivity, "specificity": same})) == []
    results = replace(results, where_chosen={"sensitivity": higher, "specificity": same})
    assert cautions(results) == [
        "The threshold's sensitivity was 99.0% where it was chosen, and is 96.3% (93.5% to 98.2%) here."
    ]
    assert cautions(replace(results, thresholds=(point, point))) == [
        "The thresholds' sensitivity was 99.0% where they were chosen, and is 96.3% (93.5% to 98.2%) here."
    ]


@pytest.mark.parametrize(("counts", "largest"), [((300, 12), "no"), ((12, 300), "yes")])
def test_a_class_that_is_rare_makes_accuracies_high_whichever_is_positive(counts, largest):
    found = cautions(summarize(random_two_class(0, counts=counts, signal=2)))
    assert [sentence for sentence in found if "are of class" in sentence] == [
        f"96.2% of the images are of class {largest}: an accuracy can be high without finding any other class. "
        "Judge by sensitivity, specificity and ROC-AUC."
    ]


def test_a_class_that_is_nearly_all_of_several_makes_accuracies_high():
    labels = np.repeat([0, 1, 2], [285, 8, 7])
    found = cautions(summarize(multiclass(labels, np.eye(3)[labels] * 0.7 + 0.1)))
    assert any(sentence.startswith("95.0% of the images are of class A: an accuracy") for sentence in found)


def of_folds(count, shifts):
    """Return Results of five folds, of `count` images each, whose models shift the logits."""
    random = np.random.default_rng(1)
    parts = []
    for fold, shift in enumerate(shifts):
        labels = np.arange(count) % 2
        logits = 1.8 * labels - 0.9 + random.normal(size=count) + shift
        names = [f"{fold}_{number}.png" for number in range(count)]
        parts.append(two_class(labels, 1 / (1 + np.exp(-logits)), file_names=names, fold=fold))
    return summarize(folds.pool(parts), cross_validation=folds.cross_validation(parts))


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["m_fold_0.pth.tar", "m_fold_1.pth.tar", "m_fold_2.pth.tar"], []),
        (["m_fold_0.pth.tar", "m_fold_1.pth.tar", None], []),
        (["best_0.ckpt", "best_1.ckpt", "best_2.ckpt"], []),
        (["m_fold_0.pth.tar", "m_1_fold_1.pth.tar", "m_fold_2.pth.tar"], ["m, m_1"]),
    ],
)
def test_folds_of_different_models_are_told(names, told):
    parts = [random_two_class(fold, prefix=fold, fold=fold, checkpoint=name) for fold, name in enumerate(names)]
    results = summarize(folds.pool(parts), cross_validation=folds.cross_validation(parts))
    assert [found for found in cautions(results) if "different models" in found] == [
        f"The folds belong to different models ({models}): no single model has these figures." for models in told
    ]


def test_a_fold_that_lacks_a_class_is_told_with_the_class():
    """Of several classes the others have an area in this fold, which is in their means."""
    random, parts = np.random.default_rng(1), []
    for fold in range(3):
        labels = np.repeat([0, 1, 2], [20, 15, 0 if fold == 2 else 12])
        weights = np.exp(random.normal(size=(len(labels), 3)) + 2 * np.eye(3)[labels])
        names = [f"{fold}_{number}.png" for number in range(len(labels))]
        probabilities = weights / weights.sum(axis=1, keepdims=True)
        parts.append(multiclass(labels, probabilities, file_names=names, fold=fold))
    results = summarize(folds.pool(parts), cross_validation=folds.cross_validation(parts))
    areas = [roc_auc_score(part.labels == 0, part.probabilities[:, 0]) for part in parts]
    assert results.classes[0].auc.value == pytest.approx(np.mean(areas))
    assert [sentence for sentence in cautions(results) if "in fold" in sentence] == [
        "No ROC-AUC and no average precision of C in fold 2, which lacks images of the class or of others: the means "
        "are over the other folds."
    ]


def test_folds_on_different_scales_are_told_from_folds_of_few_images():
    """With 12 images a fold the two areas differ by more than 0.02 by chance alone."""
    few, shifted = of_folds(12, np.zeros(5)), of_folds(60, np.linspace(-1, 1, 5))
    assert abs(few.classes[1].auc_pooled.value - few.classes[1].auc.value) > 0.02
    assert not any("scales" in sentence for sentence in cautions(few))
    (sentence,) = [sentence for sentence in cautions(shifted) if "scales" in sentence]
    assert sentence.startswith("The folds' models give probabilities on different scales: the ROC-AUC (yes) of all")


def test_a_decision_curve_of_probabilities_that_are_too_high_says_so():
    random = np.random.default_rng(0)
    probability = random.random(500)
    labels = (random.random(500) < probability).astype(int)
    calibrated, too_high = two_class(labels, probability), two_class(labels, probability**0.3)
    for made, expected in (
        (calibrated, []),
        (too_high, ["The probabilities are not calibrated: calibration intercept"]),
    ):
        results = summarize(made, decision_curve=decision_curve.measure(made))
        found = [sentence for sentence in cautions(results) if "decision curve" in sentence]
        assert [sentence[: len(expected[0])] for sentence in found] == expected
        assert not any("decision curve" in sentence for sentence in cautions(summarize(made)))
        # That it may help to calibrate is told once only.
        again = cautions(replace(results, temperature=FittedTemperature(1.5, [1.5], "val_preds.json", 500, 100)))
        assert [["-calibrate_from" in one for one in each] for each in (found, again)] == [
            [True] * len(found), [False] * len(again)
        ]  # fmt: skip
