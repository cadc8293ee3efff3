"""The sections that every performance page has, as far as they apply: functions from Results to a Section."""

import numpy as np

from pipeline.messages import counted
from pipeline.performance.figures import Figure, p_value, percent, score, signed, signed_span, span
from pipeline.performance.pages import Section, Table
from pipeline.performance.table_cells import (
    ALL_IN_JSON,
    COLUMNS,
    MOST_ROWS,
    SIGN_FLIPS,
    columns,
    metric_row,
    with_span,
)

MOST_CLASSES = 25  # of more the page shows the worst ones only
INTERVALS = (
    "Intervals: Clopper and Pearson's for proportions, of the effective number of images where these come in groups, "
    "and for kappa through the accuracy; score intervals (Newcombe's method 5) for areas; docs/statistics.md explains "
    "each."
)
# The precision is the positive predictive value, and the recall the sensitivity; the results JSON has them too.
MORE_FIGURES = {
    "Pos Pred Value": percent,
    "Neg Pred Value": percent,
    "F1": score,
    "Prevalence": percent,
    "Detection Rate": percent,
    "Detection Prevalence": percent,
    "Balanced Accuracy": percent,
    "Average Precision": score,
}
MEANS = ("Pos Pred Value", "Neg Pred Value", "F1", "Average Precision")  # that are shown for several classes


def main_figures(results, pictures):
    """The published figures, each with its interval and the images behind it."""
    main, notes = results.main, [INTERVALS]
    if results.positive is None:
        classes = f"{len(results.classes)} classes"
        of_classes = [
            metric_row("Sensitivity (mean over classes: balanced accuracy)", main.sensitivity, images=classes),
            metric_row("ROC-AUC (mean over classes)", main.auc, score, classes),
        ]
    else:
        both = " and ".join(map(str, main.against_rest.ranked))
        of_classes = [
            metric_row(f"Sensitivity ({results.positive})", main.sensitivity),
            metric_row(f"Specificity ({results.positive})", main.specificity),
            metric_row(f"ROC-AUC ({results.positive})", main.auc, score, both),
        ]
    rows = [
        *of_classes,
        metric_row("Accuracy", results.accuracy),
        metric_row("Cohen's Kappa", results.kappa, score, results.count),
    ]
    if results.cross_validation:
        notes.append(
            "ROC-AUC and average precision are means over the folds, whose models are not on one scale. The models "
            "were trained on overlapping images, and none of them is the one that will be used: such intervals are a "
            "little short."
        )
    return Section("Main figures", tables=[Table(columns(results), rows)], notes=notes, pictures=pictures)


def each_class(results):
    shown, title, notes = results.classes, "Each class against the rest, with 95% intervals", []
    if len(shown) > MOST_CLASSES:
        shown = sorted(shown, key=lambda one: 2 if one.sensitivity.value is None else one.sensitivity.value)[:MOST_ROWS]
        title = f"The {MOST_ROWS} of {len(results.classes)} classes with the lowest sensitivity, with 95% intervals"
        notes = [ALL_IN_JSON]
    rows = []
    for one in shown:
        proportions = [with_span(figure, counts=True) for figure in (one.sensitivity, one.specificity)]
        rows.append((one.name, *proportions, with_span(one.auc, score)))
    return Section(title, tables=[Table(["class", "Sensitivity", "Specificity", "ROC-AUC"], rows)], notes=notes)


def confusion_matrix(results):
    names = results.predictions.class_names
    if len(names) > MOST_CLASSES:
        return _most_frequent_confusions(results)
    rows = [(name, *counts) for name, counts in zip(names, results.matrix.tolist(), strict=True)]
    return Section("Confusion matrix", tables=[Table(["true \\ predicted", *names], rows)])


def _most_frequent_confusions(results):
    errors = results.matrix - np.diag(np.diag(results.matrix))
    pairs = np.argsort(-errors, axis=None, kind="stable")[:MOST_ROWS]
    names, totals = results.predictions.class_names, results.matrix.sum(axis=1)
    rows = [
        (names[true], names[predicted], f"{errors[true, predicted]} of {totals[true]}")
        for true, predicted in zip(*np.unravel_index(pairs, errors.shape), strict=True)
        if errors[true, predicted]
    ]
    table = Table(["class", "predicted", f"{results.unit}s"], rows)
    return Section("The most frequent confusions", tables=[table], notes=[ALL_IN_JSON]) if rows else None


def more_figures(results):
    if results.positive is None:
        return Section("More figures", tables=_more_of_classes(results))
    main, of = results.main.named(), results.positive
    rows = [metric_row(f"{name} ({of})", main[name], write, results.count) for name, write in MORE_FIGURES.items()]
    note = (
        "Predictive values, F1 and average precision hold at the prevalence here, "
        f"{percent(results.main.prevalence.value)}; -prevalence gives predictive values at others."
    )
    return Section("More figures", tables=[Table(columns(results), rows)], notes=[note])


def _more_of_classes(results):
    """Return the Tables of means over classes, where they mean something, and of each class: a row a class."""
    main = results.main.named()
    rows = [metric_row(name, main[name], MORE_FIGURES[name])[:3] for name in MEANS]
    rows.append(metric_row("Hand and Till's M", results.pairwise_auc, score)[:3])
    tables = [Table(["metric", "mean over classes", "95% interval"], rows)]
    if len(results.classes) <= MOST_CLASSES:
        # That of the balanced accuracy is among the main figures.
        others = [name for name in MORE_FIGURES if name not in (*MEANS, "Balanced Accuracy")]
        for names in (MEANS, others, list(results.classes[0].calibration_line)):
            tables.append(Table(["class", *names], [_row_of(one, names) for one in results.classes]))
    return tables


def _row_of(one, names):
    """Return the name of a class and its figures of these names, with their intervals."""
    figures = one.named() | one.calibration_line
    return one.name, *(with_span(figures[name], MORE_FIGURES.get(name, score), counts=True) for name in names)


def tests(results):
    symmetry = "McNemar's test" if len(results.classes) == 2 else "Bowker's test (McNemar's for more than two classes)"
    largest = "exact binomial, one-sided"
    if results.in_groups:
        largest = "binomial of the effective number, one-sided"
        symmetry = SIGN_FLIPS if len(results.classes) == 2 else symmetry
    rate = percent(results.no_information_rate)
    rows = [
        (f"accuracy above the no-information rate, {rate}", largest, p_value(results.accuracy_p_value)),
        ("errors equally frequent in both directions", symmetry, p_value(results.symmetry_p_value.value)),
    ]
    return Section("Tests", tables=[Table(["question", "test", "p"], rows)])


def calibration(results):
    expected, largest = (score(value) for value in results.error_if_calibrated)
    header, sentences, figures = COLUMNS, [], _of_calibration(results)
    rows = [(name, score(figure.value), span(figure, score) if figure.interval else "") for name, figure in figures]
    if results.temperature:
        header, sentences = [*header, "before"], [_temperature(results)]
        before = [score(figure.value) for _, figure in _of_calibration(results.uncalibrated)]
        rows = [(*row, value) for row, value in zip(rows, before, strict=True)]
    alike = ", those of a group alike" if results.in_groups else ""
    note = (
        f"A perfectly calibrated model would show a calibration error of {expected} on average with "
        f"{counted(results.count, results.unit)}{alike}, and more than {largest} in one case of twenty."
    )
    if results.positive is not None:
        note += (
            " Its intercept would be 0 (above 0: the probabilities are too low) and its slope 1 (below 1: they are too "
            "extreme)."
        )
    return Section("Calibration", sentences, tables=[Table(header, rows)], notes=[note])


def _of_calibration(results):
    """Return [(name, Figure)] of the rows of the calibration."""
    positive, main = results.positive, results.main
    line = {} if positive is None else main.calibration_line
    return [
        ("Log Loss", results.log_loss),
        (f"Brier Score ({positive or 'all classes'})", main.brier_score),
        (f"Calibration Error ({positive or 'of the most probable class'})", Figure(results.calibration_error)),
        *((f"{name} ({positive})", figure) for name, figure in line.items()),
    ]


def _temperature(results):
    """Say by which temperature the probabilities are calibrated, where it comes from and what it changed."""
    fitted, change = results.temperature, results.change_in_log_loss
    values = [f"{value:.3g}" for value in fitted.of_parts]
    sentence = f"The probabilities are calibrated by the temperature {fitted.value:.3g}, fitted on "
    sentence += f"{fitted.file} ({counted(fitted.images, results.unit)}, {counted(fitted.errors, 'error')})"
    if len(values) > 1:
        sentence += f"; each fold by one that was fitted without the images it tests: {', '.join(values)}"
    interval = f" (95% interval {signed_span(change.interval)})" if change.interval else ""
    return f"{sentence}. The log loss changes by {signed(change.value)}{interval}; below 0 is better."


def most_confident_errors(results):
    rows = [
        (error.file_name, error.true_class, error.predicted_class, score(error.probability), error.others)
        for error in results.errors
    ]
    header = [results.unit, "class", "predicted", "probability", "others of its group"]
    sentence = (
        "Look here first for what the model has not learned, and for wrong labels. The probability is that of the "
        "class that was predicted."
    )
    if not any(error.others for error in results.errors):
        rows, header = [row[:-1] for row in rows], header[:-1]
    else:
        sentence += " Each group is listed once, with its most confident error and the number of its other errors."
    return Section("The most confident errors", [sentence], tables=[Table(header, rows)])
