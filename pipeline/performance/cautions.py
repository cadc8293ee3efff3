"""What a reader must know before believing a results object's figures, a sentence each. Imports no torch."""

from pipeline.performance.formats import counts_behind, number, one_line, percent, span

# An interval wider than this leaves a share open by more than 10 percentage points on either side.
WIDE = 0.2
# Fewer than ten images a bin leave the calibration error mostly noise, and biased upwards.
FEW_FOR_CALIBRATION = 100
SIGNIFICANT = 0.05


def cautions(results):
    """Return the sentences, a list of strings, for a results object as performance.summarize makes it."""
    return [
        *_seen_images(results),
        *_few_images(results),
        *_no_better_than_chance(results),
        *_no_better_than_baselines(results),
        *_collapsed_intervals(results),
        *_unusual_decisions(results),
    ]


def _seen_images(results):
    if results["Split"] == "train":
        yield "The model was trained on these images: the figures say nothing about new ones."
    if results["Split"] == "val":
        yield "These validation images chose the best epoch: the figures are too good for new images."


def _few_images(results):
    interval = results["Accuracy 95% Interval"]
    if _is_wide(interval):
        yield f"{results['n']} images are few: the accuracy may be anything from {span(interval)}."
    if results["Positive Class"] is not None:
        positive_class = one_line(results["Positive Class"])
        for name, of in (
            ("Sensitivity", f"images of class {positive_class}"),
            ("Specificity", "images of the other class"),
        ):
            interval = results[f"{name} 95% Interval"]
            if interval and _is_wide(interval):
                figure, total = f"{name.lower()} ({positive_class})", counts_behind(name, results)[1]
                yield f"{total} {of} are few: the {figure} may be anything from {span(interval)}."
    else:
        intervals = {name: figures["Sensitivity 95% Interval"] for name, figures in results["Per Class"].items()}
        few = [
            f"{one_line(name)} ({results['Per Class'][name]['n']})"
            for name, interval in intervals.items()
            if interval and _is_wide(interval)
        ]
        if few:
            yield (
                f"Of these classes there are few images, and the sensitivity's interval spans more than {WIDE:.0%}: "
                f"{', '.join(few)}."
            )
    if results["n"] < FEW_FOR_CALIBRATION:
        yield f"{results['n']} images are too few for the calibration error: it is mostly noise."


def _no_better_than_chance(results):
    if results["Accuracy P-Value"] >= SIGNIFICANT:
        yield (
            f"The accuracy is not shown to be above the {percent(results['No Information Rate'])} of always answering "
            f"with the largest class (p = {number(results['Accuracy P-Value'])})."
        )


def _no_better_than_baselines(results):
    for name, key in (("accuracy", "Accuracy"), ("ROC-AUC", "ROC-AUC")):
        as_good = [
            one_line(baseline["name"])
            for baseline in results.get("Baselines", ())
            if None not in (results[key], baseline[name.lower().replace("-", " ")])
            and baseline[name.lower().replace("-", " ")] >= results[key]
        ]
        if as_good:
            yield f"As good or better in {name} without seeing the picture: {', '.join(as_good)}."


def _collapsed_intervals(results):
    interval = results["Cohen's Kappa 95% Interval"]
    if interval and interval[0] == interval[1]:
        yield "Kappa's interval is a point, which is no certainty: its formula finds no spread in such predictions."
    for name in results["Class Names"] if results["Positive Class"] is None else [results["Positive Class"]]:
        interval = results["Per Class"][name]["ROC-AUC 95% Interval (DeLong)"]
        if interval and interval[0] == interval[1]:
            yield f"DeLong's interval ({one_line(name)}) is a point, which is no certainty; read Newcombe's."


def _unusual_decisions(results):
    if "Threshold" in results:
        if results["Threshold"]["split"] == "train":
            yield "The threshold was chosen on the training images, whose probabilities the model has fitted."
    elif results["Predictions Not Most Probable"]:
        yield f"{results['Predictions Not Most Probable']} predictions are not the most probable class of their image."


def _is_wide(interval):
    return interval[1] - interval[0] > WIDE
