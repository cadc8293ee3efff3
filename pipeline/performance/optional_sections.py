"""The sections that options, folds or uncertainties bring: functions from Results that have it to a Section."""

import math

import numpy as np

from pipeline.messages import counted
from pipeline.performance.decision_curve import THRESHOLDS
from pipeline.performance.figures import p_value, percent, points, ratio, score, signed, signed_span, span
from pipeline.performance.folds import SPREAD
from pipeline.performance.pages import Section, Table
from pipeline.performance.referral import uncertainty_source
from pipeline.performance.table_cells import (
    ALL_IN_JSON,
    COLUMNS,
    MOST_ROWS,
    SIGN_FLIPS,
    columns,
    metric_row,
    with_span,
    with_telling_span,
)

SHOWN_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)  # of the decision curve


def predictive_values(results):
    values = results.predictive_values
    ratios = [("LR+", values.positive_ratio), ("LR-", values.negative_ratio)]
    rows = [(f"{name} ({values.class_name})", ratio(figure.value), span(figure, ratio)) for name, figure in ratios]
    header = ["prevalence", f"Pos Pred Value ({values.class_name})", "Neg Pred Value"]
    at = [(percent(each.prevalence), *map(with_telling_span, (each.positive, each.negative))) for each in values.at]
    notes = [
        "These hold where images of the class, and others, are as easy to recognize as here, however many there are. "
        "LR+ is by how much a finding multiplies the odds of the class, LR- by how much its absence does."
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
    notes = ["The lowest of several accuracies is so partly by chance: look at the intervals."] if len(rows) > 1 else []
    if len(rows) > MOST_ROWS:
        notes.append(f"The {MOST_ROWS} lowest of {len(rows)} are shown. {ALL_IN_JSON}")
    if found.without_value:
        notes.append(f"No value there, and in none of these rows: {counted(found.without_value, results.unit)}.")
    if found.of_several:
        notes.append(f"Images of several values, and in none of these rows: {counted(found.of_several, 'group')}.")
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


def threshold(results):
    if len(results.thresholds) > 1:
        return _thresholds_of_folds(results)
    (point,), main = results.thresholds, results.main
    where = ", ".join(filter(None, [point.split, counted(point.accuracy.total, results.unit)]))
    sentence = (
        f"{results.positive} where its probability is at least {point.value:.6g}: {point.rule}, chosen on "
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
        f"{results.positive} where its probability is at least the threshold: {points[0].rule}, chosen on the "
        "validation images of all folds, for each fold without the images it tests, and then frozen. New "
        f"{results.unit}s are given {results.threshold_for_new_images.value:.6g}, chosen on all of them."
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
        model = f"{signed(curve.model[at])}; {signed_span(curve.limits[at])}"
        difference = f"{signed(curve.difference[at])}; {signed_span(curve.difference_limits[at])}"
        rows.append((percent(threshold), model, signed(curve.treat_all[at]), difference))
    sentence = (
        f"The net benefit of treating from a threshold probability of {results.positive} on: true positives per "
        f"{results.unit}, less false positives weighted by the odds of the threshold. That of treating none is 0. The "
        "model is of use at thresholds where its net benefit is above both others. All three are those at the "
        f"prevalence here, {percent(results.main.prevalence.value)}; where the class is rarer they are others. The "
        "interval of the difference tells whether the model is better than treating all, that of the net benefit "
        "whether it is better than treating none."
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
    header = ["referred by", "errors referred", "accuracy of the rest", "95% interval", "gain", "p"]
    title = f"Referring the {referral.referred} least certain of {results.count} {results.unit}s to an expert"
    return Section(title, [sentence], tables=[Table(header, rows)])


def comparison(results):
    other = results.comparison
    how = SIGN_FLIPS if results.in_groups else "exact McNemar"
    difference, test = other.difference, f"{p_value(other.p_value)} ({how})"
    change = points(difference.value), signed_span(difference.interval, 100, 1)
    rows = [("Accuracy", percent(other.here), percent(other.there), *change, test)]
    for area in other.areas:
        difference, test = area.difference, f"{p_value(area.p_value.value)} (DeLong, paired)"
        change = signed(difference.value), signed_span(difference.interval)
        rows.append((f"ROC-AUC ({area.class_name})", score(area.here.value), score(area.there.value), *change, test))
    here = counted(other.only_here, results.unit)
    note = f"Correct here only: {here}; correct there only: {other.only_there}."
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
