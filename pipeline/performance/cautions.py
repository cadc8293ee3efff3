"""What a reader must know before believing the figures of Results, a sentence each."""

from pipeline.messages import listed
from pipeline.performance.figures import p_value, percent, span

# An interval wider than this leaves a proportion open by more than 10 percentage points on either side.
WIDE = 0.2
# Fewer than ten images a bin leave the calibration error mostly noise, and biased upwards.
FEW_FOR_CALIBRATION = 100
SIGNIFICANT = 0.05


def cautions(results):
    """Return the sentences for Results, a list of strings."""
    return [
        *_seen_images(results),
        *_few_images(results),
        *_no_better_than_chance(results),
        *_no_better_than_baselines(results),
        *_collapsed_intervals(results),
        *_unusual_decisions(results),
    ]


def _seen_images(results):
    if results.predictions.split == "train":
        yield "The model was trained on these images: the figures say nothing about new ones."
    if results.predictions.split == "val":
        yield "These validation images chose the best epoch: the figures are too good for new images."


def _few_images(results):
    if _is_wide(results.accuracy):
        yield f"{results.count} images are few: the accuracy may be anything from {span(results.accuracy.interval)}."
    if results.positive is not None:
        for name, figure, of in (
            ("sensitivity", results.main.sensitivity, f"images of class {results.positive}"),
            ("specificity", results.main.specificity, "images of the other class"),
        ):
            if _is_wide(figure):
                yield (
                    f"{figure.total} {of} are few: the {name} ({results.positive}) may be anything from "
                    f"{span(figure.interval)}."
                )
    else:
        few = [f"{one.name} ({one.sensitivity.total})" for one in results.classes if _is_wide(one.sensitivity)]
        if few:
            yield (
                f"Of these classes there are few images, and the sensitivity's interval spans more than {WIDE:.0%}: "
                f"{listed(few)}."
            )
    if results.count < FEW_FOR_CALIBRATION:
        yield f"{results.count} images are too few for the calibration error: it is mostly noise."


def _no_better_than_chance(results):
    if results.accuracy_p_value >= SIGNIFICANT:
        yield (
            f"The accuracy is not shown to be above the {percent(results.no_information_rate)} of always answering "
            f"with the largest class (p = {p_value(results.accuracy_p_value)})."
        )


def _no_better_than_baselines(results):
    accuracies = [(baseline.name, baseline.accuracy.value) for baseline in results.baselines]
    areas = [(baseline.name, baseline.auc.value) for baseline in results.baselines]
    for what, model, others in (
        ("accuracy", results.accuracy.value, accuracies),
        ("ROC-AUC", results.main.auc.value, areas),
    ):
        as_good = [name for name, value in others if None not in (model, value) and value >= model]
        if as_good:
            yield f"These simple baselines reach the same {what} or more: {', '.join(as_good)}."


def _collapsed_intervals(results):
    if _is_point(results.kappa):
        yield "Kappa's interval is a point, which is not certainty: its formula finds no spread in such predictions."
    for one in results.shown_classes:
        if _is_point(one.auc_delong):
            yield f"DeLong's interval ({one.name}) is a point, which is not certainty; read Newcombe's."


def _unusual_decisions(results):
    if results.threshold:
        if results.threshold.split == "train":
            yield "The threshold was chosen on the training images, whose probabilities the model has fitted."
    elif results.not_most_probable:
        yield f"{results.not_most_probable} predictions are not the most probable class of their image."


def _is_wide(figure):
    return figure.interval is not None and figure.interval[1] - figure.interval[0] > WIDE


def _is_point(figure):
    return figure.interval is not None and figure.interval[0] == figure.interval[1]
