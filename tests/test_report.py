import numpy as np
import pytest
from made_predictions import GOLDEN, chosen_threshold, compared, multiclass, page, random_two_class, two_class

from pipeline import predictions
from pipeline.performance import folds, referral, temperature, thresholds
from pipeline.performance.baselines import Baseline
from pipeline.performance.figures import Figure
from pipeline.performance.predictive_values import predictive_values
from pipeline.performance.summary import summarize


def published(positive_class="yes"):
    made = predictions.read(GOLDEN / "published_table4.json")
    made.positive_class = positive_class
    made.checkpoint, made.split = "resnet_1.pth.tar", "test"
    return made


def test_the_page_starts_with_the_headline_and_the_published_table():
    assert page(published()).startswith(
        """\
# Performance of resnet_1.pth.tar on 26 test images

Accuracy 92.3% (24 of 26 images), 95% interval 74.9% to 99.1%. Positive class: yes.

To halve this interval, test about 91 images.

The predictions name no groups: images are taken as independent.

## Warnings

- With 26 images, the accuracy may be anything from 74.9% to 99.1% (95% confidence).
- With 16 images of class yes, the sensitivity may be anything from 69.8% to 99.8%.
- With 10 images of the other class, the specificity may be anything from 55.5% to 99.7%.

## Main figures

| metric            | value | 95% interval   | images    |
| ----------------- | ----: | -------------- | --------- |
| Sensitivity (yes) | 93.8% | 69.8% to 99.8% | 15 of 16  |
| Specificity (yes) | 90.0% | 55.5% to 99.7% | 9 of 10   |
| ROC-AUC (yes)     | 0.950 | 0.756 to 0.990 | 16 and 10 |
| Accuracy          | 92.3% | 74.9% to 99.1% | 24 of 26  |
| Cohen's Kappa     | 0.838 | 0.469 to 0.980 | 26        |

Intervals: Clopper and Pearson's for proportions, with the effective number of images if they come in groups, and \
for kappa through the accuracy; score intervals (Newcombe's method 5) for areas; docs/statistics.md explains each.

## Confusion matrix

"""
    )


def test_for_half_the_interval_images_in_as_large_groups_are_asked_for():
    made = published()
    made.groups = [str(number // 2) for number in range(26)]
    number = summarize(made).number_to_halve
    assert f"To halve this interval, test about {number} images in {-(-number // 2)} groups." in page(made)
    assert "26 images in 13 groups (images that look alike or belong together)" in page(made)


def test_the_positive_class_turns_sensitivity_and_specificity_round():
    text = page(published("no"))
    assert "| Sensitivity (no) | 90.0% | 55.5% to 99.7%" in text
    assert "| Specificity (no) | 93.8% | 69.8% to 99.8%" in text


def test_proportions_stand_beside_their_intervals_and_counts_and_areas_in_one_notation():
    text = page(published())
    for line in (
        "| Pos Pred Value (yes)       | 93.8% | 69.8% to 99.8% | 15 of 16 |",
        "| Prevalence (yes)           | 61.5% | 40.6% to 79.8% | 16 of 26 |",
        "| F1 (yes)                   | 0.938 | 0.777 to 0.993 | 26       |",
    ):
        assert line in text
    # Beside their other names, positive predictive value and sensitivity, they would be read as figures of their own.
    assert "Precision" not in text.replace("Average Precision", "") and "Recall" not in text


def test_a_calibration_error_stands_beside_what_chance_gives():
    assert (
        "A perfectly calibrated model would show a calibration error of 0.207 on average with 26 images, and more than "
        "0.278 in one case of twenty."
    ) in page(published())


@pytest.mark.parametrize("made", [published(), predictions.read(GOLDEN / "three_class.json")])
def test_tables_are_whole(made):
    for block in page(made).split("\n\n"):
        lines = block.strip().splitlines()
        if lines[0].startswith("|"):
            assert len({line.count("|") for line in lines}) == 1
            assert len({len(line) for line in lines}) == 1


def test_more_classes_have_their_own_table():
    made = predictions.read(GOLDEN / "three_class.json")
    text = page(made)
    assert "3 classes, each against the rest." in text
    assert "| Sensitivity (mean over classes: balanced accuracy) | 64.4% | 50.7% to 75.3% | 3 classes |" in text
    assert "| cat   | 60.0% (12 of 20); 36.1% to 80.9% | 88.0% (44 of 50); 75.7% to 95.5% | 0.824; " in text
    assert "Bowker's test" in text
    # Every fraction of a class stands with its interval: the exact one, say.
    assert "| cat   | 66.7% (12 of 18); 41.0% to 86.7% | " in text


def test_gaps_are_named_with_their_reasons():
    text = page(two_class([0, 0, 0], [0.1, 0.2, 0.6]))
    assert "| Sensitivity (yes) | undefined | undefined       | 0 of 0  |" in text
    assert "- no image of the class: Sensitivity, Pos Pred Value, " in text
    # Of the other class nothing is on the page.
    assert "(no)" not in text
    assert "nan" not in text


def test_a_gap_of_one_of_three_classes():
    text = page(multiclass([0, 0, 1, 1], [[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.8, 0.1], [0.1, 0.3, 0.6]]))
    assert "| C     | undefined " in text
    assert "- undefined for the class C: Sensitivity, ROC-AUC, " in text
    assert "- no image of the class: Sensitivity (C), " in text


def test_names_that_would_break_a_table_are_written_out():
    made = two_class([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.7], class_names=["a|b", "c\nd"], positive_class="c\nd")
    text = page(made)
    assert "Positive class: c\\nd." in text and "| a\\|b " in text


def test_a_threshold_says_where_it_came_from_and_what_it_gave():
    validation = random_two_class(5, prefix="val", split="val")
    made = random_two_class(6)
    point = chosen_threshold(validation, GOLDEN / "val_preds.json", made, thresholds.Rule(0.95))
    text = page(thresholds.apply(made, point.value), thresholds=(point,))
    assert f"predicted if its probability is at least {point.value:.4g}" in text
    assert "at a sensitivity of at least 0.95, chosen on val_preds.json (val, 26 images) and then frozen." in text
    assert "| Sensitivity | 100.0% (16 of 16)" in text
    # What is uncertain is so without the threshold.
    with_referral = page(thresholds.apply(made, point.value), thresholds=(point,), referral=referral.referral(made))
    assert "those nearest to 0.5, not to the threshold" in with_referral
    assert "not to the threshold" not in page(made, referral=referral.referral(made))


def test_what_the_temperature_does_not_change_is_said():
    samples = np.linspace(0.1, 0.6, 26)
    made = random_two_class(6, sample_count=3, predictive_entropy=samples, mutual_information=samples)
    beside = {"comparison": compared(made, random_two_class(7)), "referral": referral.referral(made)}
    fitted = temperature.FittedTemperature(1.5, [1.5], "val_preds.json", 500, 100)
    calibrated = temperature.apply([made], fitted.of_parts)[0]
    change = temperature.change_in_log_loss(made, calibrated)
    text = page(calibrated, **beside, temperature=fitted, uncalibrated=summarize(made), change_in_log_loss=change)
    for sentence in ("The temperature applies here only.", "of the samples before calibration."):
        assert sentence in text and sentence not in page(made, **beside)


def test_folds_are_listed_with_their_spread():
    parts = [random_two_class(n, prefix=f"{n}_", fold=n) for n in range(3)]
    text = page(folds.pool(parts), cross_validation=folds.cross_validation(parts))
    assert text.startswith("# Performance on 78 test images of 3 folds\n")
    for word in ("| 0 ", "| 2 ", "| minimum ", "| maximum ", "| mean ", "| standard deviation "):
        assert f"\n{word}" in text


def test_images_of_a_fold_without_a_class_are_not_counted_beside_the_area():
    """The first fold has 12 images of yes and none of no: no model has ranked them among others."""
    parts = [random_two_class(n, counts=(8 if n else 0, 12), prefix=f"{n}_", fold=n) for n in range(3)]
    text = page(folds.pool(parts), cross_validation=folds.cross_validation(parts))
    (line,) = [line for line in text.splitlines() if line.startswith("| ROC-AUC (yes)")]
    assert line.split("|")[-2].strip() == "24 and 16"


def test_tests_of_groups_are_named_as_what_they_are():
    made = random_two_class(0, groups=[str(number // 2) for number in range(26)])
    text = page(made, comparison=compared(made, random_two_class(1)))
    assert "| binomial of the effective number, one-sided" in text and "exact binomial" not in text
    assert text.count("exact, by sign flips of the groups") == 2 and "McNemar" not in text


def test_what_depends_on_the_prevalence_says_so():
    assert (
        "Predictive values, F1 and average precision hold at the prevalence here, 61.5%; -prevalence gives predictive "
        "values at others."
    ) in page(published())


def test_one_fold_is_named():
    assert page(random_two_class(0, fold=4)).startswith("# Performance on 26 test images of fold 4\n")


def test_a_comparison_shows_both_models():
    here, there = random_two_class(0), random_two_class(1, checkpoint="other.pth.tar")
    text = page(here, comparison=compared(here, there))
    assert "## Compared with other.pth.tar on the same 26 images" in text
    assert "(exact McNemar)" in text and "(DeLong, paired)" in text and "ROC-AUC (yes)" in text


def test_baselines_stand_beside_the_model():
    facts = Baseline("file facts", Figure(0.73, [0.67, 0.79]), Figure(0.81, [0.75, 0.86]), 253)
    nothing = Baseline("none", Figure(0.6, [0.5, 0.7]), Figure(None), 253)
    text = page(published(), baselines=[facts, nothing])
    assert "| file facts | 73.0%; 67.0% to 79.0% | 0.810; 0.750 to 0.860 |    253 |" in text
    assert "| none       | 60.0%; 50.0% to 70.0% | undefined             |    253 |" in text
    assert "| this model | 92.3%; 74.9% to 99.1% | 0.950; 0.756 to 0.990 |     26 |" in text


def test_of_many_classes_the_page_shows_the_worst_and_stays_short():
    random = np.random.default_rng(0)
    labels, probabilities = np.arange(400) % 40, random.dirichlet(np.ones(40), size=400)
    names = [f"class {number}" for number in range(40)]
    text = page(multiclass(labels, probabilities, names))
    assert "## The 20 of 40 classes with the lowest sensitivity" in text
    assert "## The most frequent confusions" in text
    assert len(text) < 20_000
    assert "confusions" not in page(multiclass(labels, np.eye(40)[labels], names))


def test_values_at_other_prevalences_of_images_of_one_class_are_undefined():
    made = random_two_class(6, counts=(0, 12))
    text = page(made, predictive_values=predictive_values(made, [0.2]))
    section = text.partition("## At other prevalences")[2].partition("\n## ")[0]
    assert section.count("| undefined") == 6


def test_of_a_single_image_and_a_single_error_the_page_speaks_in_the_singular():
    made = two_class([1], [0.4])
    text = page(made, comparison=compared(made, two_class([1], [0.9])))
    assert "(0 of 1 image)" in text and "on the same 1 image\n" in text and "1 images" not in text
    made = two_class([0] * 24 + [1], np.linspace(0.1, 0.4, 25))
    assert "hold 0.1 of the 1 error (p" in page(made, referral=referral.referral(made))
