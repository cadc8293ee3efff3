"""What a reader must know before believing the figures of Results, one sentence each."""

from pipeline.messages import counted, listed
from pipeline.performance.figure_text import p_value, percent, score, signed, span
from pipeline.performance.figures import Z, differ
from pipeline.performance.roc import curves_of_folds, one_list_deviation
from pipeline.project import MODEL_SUFFIX, fold_name

# An interval wider than this leaves a proportion open by more than 10 percentage points on either side.
WIDE = 0.2
SIGNIFICANT = 0.05
RARE = 0.1  # fraction of images that are not of the largest class, below which an accuracy says little
FEW_POSITIVES = 10  # fewer do not determine a threshold
POOLING_MATTERS = 0.02  # difference between the pooled area and the mean over folds


def cautions(results):
    """Return the sentences for Results, a list of strings."""
    return [
        *_one_class_only(results),
        *_training(results),
        *_few_images(results),
        *_no_better_than_chance(results),
        *_no_better_than_baselines(results),
        *_folds(results),
        *_calibration(results),
        *_decisions(results),
    ]


def _one_class_only(results):
    names, predicted = results.predictions.class_names, results.matrix.sum(axis=0)
    if (predicted > 0).sum() == 1 and results.count > 1:
        yield f"The model predicted {names[predicted.argmax()]} for every {results.unit}."
    if _is_of_one_class(results):
        yield (
            f"All {results.unit}s are of class {names[results.matrix.sum(axis=1).argmax()]}: how well the model tells "
            "classes apart cannot be judged."
        )


def _is_of_one_class(results):
    return (results.matrix.sum(axis=1) > 0).sum() == 1


def _training(results):
    if results.predictions.interrupted:
        yield f"The model's training was not finished ({results.predictions.interrupted}): train it to the end."
    if results.predictions.split == "train":
        yield "The model was trained on these images: the figures say nothing about new ones."
    if results.predictions.split == "val":
        yield "These validation images chose the best epoch: the figures are too good for new images."
    if results.leaks_kept:
        have = "has" if results.leaks_kept == 1 else "have"
        yield (
            f"{results.leaks_kept} of these images {have} a twin, or an image of the same group, in another partition. "
            "These leaks were kept, and the figures may be too good."
        )


def _few_images(results):
    if _is_wide(results.accuracy):
        number = counted(results.count, results.unit)
        yield f"With {number}, the accuracy may be anything from {span(results.accuracy)} (95% confidence)."
    if results.positive is not None:
        for name, figure, of in (
            ("sensitivity", results.main.sensitivity, f"class {results.positive}"),
            ("specificity", results.main.specificity, "the other class"),
        ):
            if _is_wide(figure):
                number = counted(figure.total, results.unit, of=of)
                yield f"With {number}, the {name} may be anything from {span(figure)}."
    else:
        few = [f"{one.name} ({one.sensitivity.total})" for one in results.classes if _is_wide(one.sensitivity)]
        if few:
            yield (
                f"With so few {results.unit}s of these classes, their sensitivity's interval spans more than "
                f"{WIDE:.0%}: {listed(few)}."
            )
    rate = results.no_information_rate
    if 1 - RARE < rate < 1:
        largest = results.predictions.class_names[results.matrix.sum(axis=1).argmax()]
        yield (
            f"{percent(rate)} of the {results.unit}s are of class {largest}: an accuracy can be high without "
            "finding any other class. Judge by sensitivity, specificity and ROC-AUC."
        )


def _no_better_than_chance(results):
    rate, accuracy, area = results.no_information_rate, results.accuracy, results.main.auc
    largest = f"the {percent(rate)} of always answering with the largest class"
    if _is_of_one_class(results):
        return
    if accuracy.interval[1] < rate:
        yield f"The accuracy is worse than {largest}."
    elif results.accuracy_p_value >= SIGNIFICANT:
        yield f"The accuracy is not shown to be above {largest} (p = {p_value(results.accuracy_p_value)})."
    if area.interval and area.interval[1] < 0.5:
        yield "The ROC-AUC is below 0.5: the probabilities rank images the wrong way round. Are the classes swapped?"
    elif area.interval and area.interval[0] <= 0.5:
        yield f"The ROC-AUC may be 0.5, which is chance: its 95% interval is {span(area, score)}."


def _no_better_than_baselines(results):
    for what, model, attribute in (("accuracy", results.accuracy, "accuracy"), ("ROC-AUC", results.main.auc, "auc")):
        lower = model.interval[0] if model.interval else model.value
        others = [(baseline.name, getattr(baseline, attribute).value) for baseline in results.baselines]
        as_good = [name for name, value in others if None not in (lower, value) and value >= lower]
        if as_good:
            yield f"In {what} the model is not shown to be better than these simple baselines: {listed(as_good)}."


def _folds(results):
    if not results.cross_validation:
        return
    for number in results.cross_validation.missing:
        yield f"Fold {number} is missing: its images are in none of the figures."
    folds = results.cross_validation.folds
    endings = [(fold.checkpoint or "", fold_name("", fold.number) + MODEL_SUFFIX) for fold in folds]
    models = list(dict.fromkeys(name.removesuffix(ending) for name, ending in endings))
    if len(models) > 1 and all(name.endswith(ending) for name, ending in endings):
        yield f"The folds belong to different models ({listed(models)}): no single model has these figures."
    classes_without = {}
    for one in results.shown_classes:
        with_both = {part.folds[0] for part in one.against_rest.folds_with_both()}
        without = [str(fold.number) for fold in results.cross_validation.folds if fold.number not in with_both]
        if with_both and without:
            classes_without.setdefault(listed(without), []).append(one.name)
    for numbers, names in classes_without.items():
        yield (
            f"No ROC-AUC and no average precision of {listed(names)} in fold {numbers}, which lacks images of the "
            "class or of others: the means are over the other folds."
        )
    for one in results.shown_classes:
        pooled, mean = one.auc_pooled and one.auc_pooled.value, one.auc.value
        if None in (pooled, mean):
            continue
        by_chance = Z * one_list_deviation(curves_of_folds(one.against_rest))
        if abs(pooled - mean) > max(POOLING_MATTERS, by_chance):
            yield (
                f"The folds' models give probabilities on different scales: the ROC-AUC ({one.name}) of all images in "
                f"one list is {score(pooled)}, the mean over folds is {score(mean)}. One threshold does not fit all."
            )


def _calibration(results):
    change = results.change_in_log_loss
    if change and change.interval and change.interval[0] > 0:
        yield (
            f"The temperature does not help: it raises the log loss by {signed(change.value)} "
            f"({span(change, signed)}). Leave -calibrate_from out."
        )
    if not results.decision_curve:
        return
    off = [
        f"{name.lower()} {score(figure.value)} ({span(figure, score)})"
        for (name, figure), calibrated in zip(results.main.calibration_line.items(), (0, 1), strict=True)
        if figure.interval and not figure.interval[0] <= calibrated <= figure.interval[1]
    ]
    if off:
        way_out = "" if results.temperature else "; -calibrate_from may help"
        yield (
            f"The probabilities are not calibrated: {listed(off)}. The decision curve takes them at face value, so its "
            f"thresholds are not true probabilities{way_out}."
        )


def _decisions(results):
    for point in results.thresholds:
        of = "" if point.fold is None else f" of fold {point.fold}"
        if point.split == "train":
            yield f"The threshold{of} was chosen on the training images, whose labels the model has learned."
        if point.sensitivity.total < FEW_POSITIVES:
            few = counted(point.sensitivity.total, results.unit, of=f"class {results.positive}")
            yield f"The threshold{of} was chosen on only {few}."
    whose, they_were = ("thresholds'", "they were") if len(results.thresholds) > 1 else ("threshold's", "it was")
    for name, there in results.where_chosen.items():
        here = getattr(results.main, name)
        if here.interval and differ(here, there):
            yield (
                f"The {whose} {name} was {percent(there.value)} where {they_were} chosen, and is {percent(here.value)} "
                f"({span(here)}) here."
            )
    if not results.thresholds and results.not_most_probable:
        number = counted(results.not_most_probable, results.unit)
        yield f"For {number}, the prediction is not the most probable class."


def _is_wide(figure):
    return figure.interval is not None and figure.interval[1] - figure.interval[0] > WIDE
