"""The sections of the performance page: functions from Results to a Section, in the order of the page.

Sections that depend on options, folds or uncertainties are only called if the Results have what they show.
"""

import math

import numpy as np

from pipeline.messages import counted
from pipeline.performance.decision_curve import THRESHOLDS
from pipeline.performance.figure_text import (
    ALL_IN_JSON,
    COLUMNS,
    MOST_ROWS,
    SIGN_FLIPS,
    columns,
    metric_row,
    p_value,
    percent,
    points,
    ratio,
    score,
    signed,
    span,
    with_span,
    with_telling_span,
)
from pipeline.performance.figures import Figure
from pipeline.performance.folds import SPREAD
from pipeline.performance.pages import Section, Table
from pipeline.performance.referral import uncertainty_source

MOST_CLASSES = 25  # of more, the page only shows the worst ones
INTERVALS = (
    "Intervals: Clopper and Pearson's for proportions, with the effective number of images if they come in groups, and "
    "for kappa through the accuracy; score intervals (Newcombe's method 5) for areas; docs/statistics.md explains "
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
SHOWN_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)  # of the decision curve


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
            "were trained on overlapping images, and none of them is the one that will be used: the intervals are "
            "therefore a little too narrow."
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
    """Return the Tables of means over classes, if they mean something, and of each class, in a row of its own."""
    main = results.main.named()
    # That of the balanced accuracy is among the main figures.
    means = [name for name in MORE_FIGURES if name in main and name != "Balanced Accuracy"]
    rows = [metric_row(name, main[name], MORE_FIGURES[name])[:3] for name in means]
    rows.append(metric_row("Hand and Till's M", results.pairwise_auc, score)[:3])
    tables = [Table(["metric", "mean over classes", "95% interval"], rows)]
    if len(results.classes) <= MOST_CLASSES:
        others = [name for name in MORE_FIGURES if name not in main]
        for names in (means, others, list(results.classes[0].calibration_line)):
            tables.append(Table(["class", *names], [_row_of(one, names) for one in results.classes]))
    return tables


def _row_of(one, names):
    """Return the name of a class and its figures of these names, with their intervals."""
    figures = one.named() | one.calibration_line
    return one.name, *(with_span(figures[name], MORE_FIGURES.get(name, score), counts=True) for name in names)


def predictive_values(results):
    values = results.predictive_values
    ratios = [("LR+", values.positive_ratio), ("LR-", values.negative_ratio)]
    rows = [(f"{name} ({values.class_name})", ratio(figure.value), span(figure, ratio)) for name, figure in ratios]
    header = ["prevalence", f"Pos Pred Value ({values.class_name})", "Neg Pred Value"]
    at = [(percent(each.prevalence), *map(with_telling_span, (each.positive, each.negative))) for each in values.at]
    notes = [
        "These hold if images of the class, and others, are as easy to recognize as here, however many there are. A "
        "finding multiplies the odds of the class by LR+, its absence by LR-."
    ]
    infinite = [f"{name} is {figure.reason}" for name, figure in ratios if figure.value == math.inf]
    if infinite:
        notes.append(f"{' and '.join(infinite)}. Look at the lower limit.")
    tables = [Table(COLUMNS, rows), Table(header, at)]
    return Section("At other prevalences, with 95% intervals", tables=tables, notes=notes)


def subgroups(results):
    found = results.subgroups
    in_groups = results.unit == "image" and results.group_count is not None
    of = f" ({results.positive})" if results.positive else " (mean over classes)"
    header = [found.column, f"{results.unit}s", *(["groups"] if in_groups else []), "Accuracy", f"Sensitivity{of}"]
    header += [f"Specificity{of}"] if results.positive else []
    rows = []
    for each in found.by_value:
        proportions = [figure for figure in (each.accuracy, each.sensitivity, each.specificity) if figure]
        counts = (each.count, each.group_count) if in_groups else (each.count,)
        shown = [with_span(figure, counts=True) for figure in proportions]
        rows.append((each.value, *counts, *shown, with_span(each.auc, score)))
    notes = ["The lowest of several accuracies is low partly by chance: see the intervals."] if len(rows) > 1 else []
    if len(rows) > MOST_ROWS:
        notes.append(f"The {MOST_ROWS} lowest of {len(rows)} are shown. {ALL_IN_JSON}")
    if found.without_value:
        notes.append(f"No value there, so in none of these rows: {counted(found.without_value, results.unit)}.")
    if found.of_several:
        notes.append(f"Images of several values, so in none of these rows: {counted(found.of_several, 'group')}.")
    title = f"By {found.column} of {found.file}, with 95% intervals"
    return Section(title, tables=[Table([*header, f"ROC-AUC{of}"], rows[:MOST_ROWS])], notes=notes)


def ordered(results):
    ordered = results.ordered
    rows = [
        metric_row("Quadratic Weighted Kappa", ordered.weighted_kappa, score, results.count),
        metric_row("Mean Rank Difference", ordered.rank_difference, score, results.count),
    ]
    sentence = f"The classes in their order: {' < '.join(ordered.class_names)}."
    return Section("Ordered classes", [sentence], tables=[Table(columns(results), rows)])


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
    if change.value is None:
        return f"{sentence}. The change in log loss is undefined ({change.reason})."
    interval = f" (95% interval {span(change, signed)})" if change.interval else ""
    return f"{sentence}. The log loss changes by {signed(change.value)}{interval}; below 0 is better."


def threshold(results):
    if len(results.thresholds) > 1:
        return _thresholds_of_folds(results)
    (point,), main = results.thresholds, results.main
    where = ", ".join(filter(None, [point.split, counted(point.accuracy.total, results.unit)]))
    sentence = (
        f"{results.positive} if its probability is at least {point.value:.6g}: {point.rule}, chosen on "
        f"{point.file} ({where}) and then frozen."
    )
    figures = (
        ("Sensitivity", point.sensitivity, main.sensitivity),
        ("Specificity", point.specificity, main.specificity),
        ("Accuracy", point.accuracy, results.accuracy),
    )
    rows = [(name, with_span(there, counts=True), with_span(here, counts=True)) for name, there, here in figures]
    return Section("Threshold", [sentence], tables=[Table(["metric", "where it was chosen", "here"], rows)])


def _thresholds_of_folds(results):
    points = results.thresholds
    sentence = (
        f"{results.positive} if its probability is at least the threshold: {points[0].rule}, chosen on the validation "
        "images of all folds, for each fold without the images it tests, and then frozen. The threshold for new "
        f"{results.unit}s is {results.threshold_for_new_images.value:.6g}, chosen on all of them."
    )
    rows = [
        (one.fold, f"{one.value:.6g}", with_span(one.sensitivity, counts=True), with_span(one.specificity, counts=True))
        for one in points
    ]
    header = ["fold", "threshold", "Sensitivity where it was chosen", "Specificity there"]
    return Section("Threshold", [sentence], tables=[Table(header, rows)])


def decision_curve(results):
    curve, rows = results.decision_curve, []
    for threshold in SHOWN_THRESHOLDS:
        at = int(np.searchsorted(THRESHOLDS, threshold))
        model, difference = (
            with_span(Figure(values[at], limits[at].tolist()), signed)
            for values, limits in ((curve.model, curve.limits), (curve.difference, curve.difference_limits))
        )
        rows.append((percent(threshold), model, signed(curve.treat_all[at]), difference))
    sentence = (
        f"The net benefit of treating if the probability of {results.positive} is at least the threshold: true "
        f"positives per {results.unit}, minus false positives weighted by the odds of the threshold. That of treating "
        "none is 0. The model is useful at thresholds where its net benefit is above both others. All three depend on "
        f"the prevalence, which is {percent(results.main.prevalence.value)} here. The interval of the difference tells "
        "whether the model is better than treating all, that of the net benefit whether it is better than treating "
        "none."
    )
    header = ["threshold", "net benefit", "of treating all", "difference"]
    return Section("Decision curve, with 95% intervals", [sentence], tables=[Table(header, rows)])


def folds(results):
    found = results.cross_validation
    rows = [
        (fold.number, fold.accuracy.total, with_span(fold.accuracy), with_span(fold.auc, score)) for fold in found.folds
    ]
    accuracy, area = (figure.value or {} for figure in (found.accuracy, found.auc))
    rows += [(name, "", percent(accuracy.get(name)), score(area.get(name))) for name in SPREAD]
    table = Table(["fold", f"{results.unit}s", "Accuracy", "ROC-AUC"], rows)
    return Section("Folds, with 95% intervals", tables=[table])


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


def referral(results):
    referral = results.referral
    if not referral or not referral.leaves_enough:
        return None
    rows = [
        (
            ranking.measure,
            "undefined" if ranking.errors_referred.reason else f"{ranking.errors_referred.value} of {referral.errors}",
            percent(ranking.rest.value),
            span(ranking.rest),
            points(ranking.gain.value),
            p_value(ranking.p_value.value),
        )
        for ranking in referral.rankings
    ]
    sentence = (
        f"Uncertainty is that of {uncertainty_source(referral)}. As many {results.unit}s drawn at random would hold "
        f"{referral.errors_at_random:.1f} of the {counted(referral.errors, 'error')} (p: hypergeometric, "
        "one-sided, as if none belonged together)."
    )
    if results.cross_validation:
        sentence += " All folds are ranked in one list, although their models are not on one scale."
    if results.thresholds:
        sentence += " The least certain probabilities are those nearest to 0.5, not to the threshold."
    if results.temperature and referral.sample_count:
        sentence += " The uncertainty is that of the samples before calibration."
    header = ["referred by", "errors referred", "accuracy of the rest", "95% interval", "gain", "p"]
    title = f"Referring the {referral.referred} least certain of {results.count} {results.unit}s to an expert"
    return Section(title, [sentence], tables=[Table(header, rows)])


def comparison(results):
    other = results.comparison
    how = SIGN_FLIPS if results.in_groups else "exact McNemar"
    difference, test = other.difference, f"{p_value(other.p_value)} ({how})"
    change = points(difference.value), span(difference, lambda limit: f"{100 * limit:+.1f}")
    rows = [("Accuracy", percent(other.here), percent(other.there), *change, test)]
    for area in other.areas:
        difference, test = area.difference, f"{p_value(area.p_value.value)} (DeLong, paired)"
        change = signed(difference.value), span(difference, signed)
        rows.append((f"ROC-AUC ({area.class_name})", score(area.here.value), score(area.there.value), *change, test))
    here = counted(other.only_here, results.unit)
    note = f"Correct here only: {here}; correct there only: {other.only_there}."
    if results.temperature:
        note += " The temperature applies here only."
    if results.thresholds:
        note += " The threshold applies here only."
    note += " The comparison is of two trained models, not of two ways of training."
    title = f"Compared with {other.checkpoint or 'the other model'} on the same {counted(other.count, results.unit)}"
    table = Table(["metric", "here", "there", "difference", "95% interval", "p"], rows)
    return Section(title, tables=[table], notes=[note])


def baselines(results):
    models = [(baseline.name, baseline.accuracy, baseline.auc, baseline.n) for baseline in results.baselines]
    models.append(("this model", results.accuracy, results.main.auc, results.count))
    rows = [(name, with_span(accuracy), with_span(auc, score), count) for name, accuracy, auc, count in models]
    return Section("Beside simple baselines", tables=[Table(["model", "Accuracy", "ROC-AUC", "images"], rows)])
