"""The performance page, as data, made of the Results only."""

import numpy as np

from pipeline.messages import listed, shortened
from pipeline.performance.cautions import images
from pipeline.performance.figures import p_value, percent, points, score, signed, signed_span, span
from pipeline.performance.pages import Page, Section, Table
from pipeline.performance.results_json import as_json

# Of more classes than this the page shows the worst ones only.
MOST_CLASSES, MOST_ROWS = 25, 20
ALL_IN_JSON = "The results JSON has all of them."
COLUMNS = ["metric", "value", "95% interval", "images"]
INTERVALS = (
    "Intervals: exact for proportions, and for kappa through the accuracy; score intervals (Newcombe's method 5) for "
    "areas; docs/statistics.md explains each."
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


def page(results, pictures=(), further_sections=()):
    """Return the Page of Results, with Pictures of them and with sections that come from elsewhere."""
    contents = as_json(results)
    sections = [
        Section("Warnings", points=contents["Warnings"], style="warning") if contents["Warnings"] else None,
        _main_figures(results, pictures),
        _each_class(results),
        _confusion_matrix(results),
        _more_figures(results),
        _tests(results),
        _calibration(results),
        _threshold(results),
        _folds(results),
        _most_confident_errors(results),
        _referral(results),
        _comparison(results),
        _baselines(results),
        _undefined(results, contents),
        *further_sections,
    ]
    return Page(*_headline(results), [section for section in sections if section])


def _headline(results):
    """Return the page's title and its first sentences."""
    predictions = results.predictions
    model = f" of {predictions.checkpoint}" if predictions.checkpoint else ""
    tested = " ".join(
        word for word in (str(results.count), predictions.split, images(results.count)[-6:].strip()) if word
    )
    if results.cross_validation:
        tested += f" of {len(results.cross_validation.folds)} folds"
    elif predictions.fold is not None:
        tested += f" of fold {predictions.fold}"
    accuracy = results.accuracy
    sentence = f"Accuracy {percent(accuracy.value)} ({accuracy.counts} images), 95% interval {span(accuracy)}. "
    return f"Performance{model} on {tested}", [sentence + _meaning(results), _independence(results)]


def _meaning(results):
    if results.positive is None:
        return f"{len(results.classes)} classes, each against the rest."
    if len(results.thresholds) == 1:
        value = f"{results.thresholds[0].value:.4g}"
        return f"Positive class: {results.positive}, given where its probability is at least {value}."
    return f"Positive class: {results.positive}."


def _independence(results):
    """Say what the images are groups of, which the intervals take into account, or that it is not known."""
    count = results.group_count
    if count is None:
        return f"The predictions name no groups: the {results.count} images are taken as independent."
    return (
        f"{images(results.count)} in {count} group{'' if count == 1 else 's'}, which the intervals take into account."
    )


def _main_figures(results, pictures):
    """The published figures, each with its interval and the images behind it."""
    main, notes = results.main, [INTERVALS]
    if results.positive is None:
        classes = f"{len(results.classes)} classes"
        of_classes = [
            _row("Sensitivity (mean over classes: balanced accuracy)", main.sensitivity, images=classes),
            _row("ROC-AUC (mean over classes)", main.auc, score, classes),
        ]
    else:
        both = f"{main.sensitivity.total} and {main.specificity.total}"
        of_classes = [
            _row(f"Sensitivity ({results.positive})", main.sensitivity),
            _row(f"Specificity ({results.positive})", main.specificity),
            _row(f"ROC-AUC ({results.positive})", main.auc, score, both),
        ]
    rows = [
        *of_classes,
        _row("Accuracy", results.accuracy),
        _row("Cohen's Kappa", results.kappa, score, results.count),
    ]
    if results.cross_validation:
        notes.append(
            "ROC-AUC and average precision are means over the folds, whose models are not on one scale. The models "
            "were trained on overlapping images, and none of them is the one that will be used: such intervals are a "
            "little short."
        )
    return Section("Main figures", tables=[Table(COLUMNS, rows)], notes=notes, pictures=pictures)


def _row(name, figure, write=percent, images=""):
    """Return a row of COLUMNS; `images` where the figure has no counts."""
    interval = span(figure, write) if figure.interval or figure.value is None else ""
    return name, write(figure.value), interval, figure.counts or images


def _each_class(results):
    if results.positive is not None:
        return None
    rows, shown, many = [], results.classes, len(results.classes) > MOST_CLASSES
    if many:
        shown = sorted(shown, key=lambda one: 2 if one.sensitivity.value is None else one.sensitivity.value)[:MOST_ROWS]
    for one in shown:
        proportions = [_with_span(figure, _counted(figure)) for figure in (one.sensitivity, one.specificity)]
        rows.append((one.name, *proportions, _with_span(one.auc, score(one.auc.value), score)))
    table = Table(["class", "Sensitivity", "Specificity", "ROC-AUC"], rows)
    if many:
        title = f"The {MOST_ROWS} of {len(results.classes)} classes with the lowest sensitivity, with 95% intervals"
        return Section(title, tables=[table], notes=[ALL_IN_JSON])
    return Section("Each class against the rest, with 95% intervals", tables=[table])


def _with_span(figure, value, write=percent):
    return f"{value}; {span(figure, write)}" if figure.interval else value


def _counted(figure, write=percent):
    return f"{write(figure.value)} ({figure.counts})" if figure.total else write(figure.value)


def _confusion_matrix(results):
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
    table = Table(["class", "predicted", "images"], rows)
    return Section("The most frequent confusions", tables=[table], notes=[ALL_IN_JSON])


def _more_figures(results):
    if results.positive is None:
        return Section("More figures", tables=[_more_of_classes(results)])
    main = results.main.named()
    rows = [
        _row(f"{name} ({results.positive})", main[name], write, results.count) for name, write in MORE_FIGURES.items()
    ]
    return Section("More figures", tables=[Table(COLUMNS, rows)])


def _more_of_classes(results):
    """Return the Table of each class's figures, a row a figure: readable with ten classes, three in a terminal.

    Means over classes stand where they mean something; that of the balanced accuracy is among the main figures.
    """
    main = results.main.named()
    classes = [one.named() for one in results.classes] if len(results.classes) <= MOST_CLASSES else []
    rows = []
    for name, write in MORE_FIGURES.items():
        of_each = [_counted(figures[name], write) for figures in classes]
        if name in MEANS:
            rows.append((name, *_row(name, main[name], write)[1:3], *of_each))
        elif classes and name != "Balanced Accuracy":
            rows.append((name, "", "", *of_each))
    names = results.predictions.class_names if classes else []
    return Table(["metric", "mean over classes", "95% interval", *names], rows)


def _tests(results):
    symmetry = "McNemar's test" if len(results.classes) == 2 else "Bowker's test (McNemar's for more than two classes)"
    if len(results.classes) == 2 and results.group_count not in (None, results.count):
        symmetry = "exact sign test of the groups"
    rate = percent(results.no_information_rate)
    rows = [
        (f"accuracy above the no-information rate, {rate}", "exact binomial, one-sided", results.accuracy_p_value),
        ("classes taken for one another equally often", symmetry, results.symmetry_p_value.value),
    ]
    rows = [(question, test, p_value(value)) for question, test, value in rows]
    return Section("Tests", tables=[Table(["question", "test", "p"], rows)])


def _calibration(results):
    whose = results.positive or "all classes"
    shown, of = (results.confidence_error, "of the most probable class")
    if results.positive is not None:
        shown, of = results.main.calibration_error.value, results.positive
    expected, largest = (score(value) for value in results.expected_error)
    rows = [
        ("Log Loss", score(results.log_loss.value), _interval(results.log_loss)),
        (f"Brier Score ({whose})", score(results.brier_score.value), _interval(results.brier_score)),
        (f"Calibration Error ({of})", score(shown), ""),
    ]
    header, sentences = COLUMNS[:3], []
    if results.calibration:
        header, sentences = [*header, "before"], [_temperature(results)]
        rows = [
            (*row, before[1])
            for row, before in zip(rows, _calibration(results.uncalibrated).tables[0].rows, strict=True)
        ]
    note = (
        f"A perfectly calibrated model would show a calibration error of {expected} on average with "
        f"{images(results.count)}, and more than {largest} in one case of twenty."
    )
    return Section("Calibration", sentences, tables=[Table(header, rows)], notes=[note])


def _temperature(results):
    """Say by which temperature the probabilities are calibrated, where it comes from and what it changed."""
    calibration, change = results.calibration, results.change_in_log_loss
    values = [f"{value:.3g}" for value in calibration.of_parts]
    sentence = f"The probabilities are calibrated by the temperature {calibration.temperature:.3g}, fitted on "
    sentence += f"{calibration.file} ({images(calibration.images)}, {calibration.errors} errors)"
    if len(values) > 1:
        sentence += f"; each fold by one that was fitted without the images it tests: {', '.join(values)}"
    interval = f" ({signed_span(change.interval)})" if change.interval else ""
    return f"{sentence}. The log loss changes by {signed(change.value)}{interval}; below 0 is better."


def _interval(figure):
    return span(figure, score) if figure.interval else ""


def _threshold(results):
    if not results.thresholds:
        return None
    first = results.thresholds[0]
    tables, sentences = [], []
    if len(results.thresholds) == 1:
        where = ", ".join(filter(None, [first.split, images(first.accuracy.total)]))
        sentences = [
            f"{results.positive} where its probability is at least {first.value:.6g}: {first.rule}, chosen on "
            f"{first.file} ({where}) and then frozen."
        ]
        rows = [
            (name, _with_span(there, _counted(there)), _with_span(here, _counted(here)))
            for name, there, here in (
                ("Sensitivity", first.sensitivity, results.main.sensitivity),
                ("Specificity", first.specificity, results.main.specificity),
                ("Accuracy", first.accuracy, results.accuracy),
            )
        ]
        tables = [Table(["metric", "where it was chosen", "here"], rows)]
    else:
        sentences = [
            f"{results.positive} where its probability is at least the threshold: {first.rule}, chosen on the "
            "validation images of all folds, for each fold without the images it tests, and then frozen. New images "
            f"are given {results.threshold_for_new_images.value:.6g}, chosen on all of them."
        ]
        rows = [
            (point.fold, f"{point.value:.6g}", *(_with_span(one, _counted(one)) for one in point.chosen))
            for point in results.thresholds
        ]
        tables = [Table(["fold", "threshold", "Sensitivity where it was chosen", "Specificity there"], rows)]
    return Section("Threshold", sentences, tables=tables)


def _folds(results):
    if not results.cross_validation:
        return None
    folds, accuracy, auc = (getattr(results.cross_validation, name) for name in ("folds", "accuracy", "auc"))
    rows = [
        *(
            (
                fold.number,
                fold.accuracy.total,
                _with_span(fold.accuracy, percent(fold.accuracy.value)),
                _with_span(fold.auc, score(fold.auc.value), score),
            )
            for fold in folds
        ),
        *((name, "", percent(value), score(auc.named()[name])) for name, value in accuracy.named().items()),
    ]
    return Section("Folds, with 95% intervals", tables=[Table(["fold", "images", "Accuracy", "ROC-AUC"], rows)])


def _most_confident_errors(results):
    if not results.errors:
        return None
    rows = [
        (error.file_name, error.true_class, error.predicted_class, score(error.probability)) for error in results.errors
    ]
    sentence = (
        "Look here first for what the model has not learnt, and for wrong labels. The probability is that of the class "
        "that was predicted."
    )
    table = Table(["image", "class", "predicted", "probability"], rows)
    return Section("The most confident errors", [sentence], tables=[table])


def _referral(results):
    referral = results.referral
    if not referral:
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
        f"Uncertainty is that of {referral.sample_count} predictions with Monte Carlo dropout. As many images drawn at "
        f"random would hold {referral.errors_at_random:.1f} of the {referral.errors} errors (p: hypergeometric, "
        "one-sided)."
    )
    header = ["referred by", "errors referred", "accuracy of the rest", "95% interval", "gain", "p"]
    title = f"Referring the {referral.referred} least certain of {results.count} images to an expert"
    return Section(title, [sentence], tables=[Table(header, rows)])


def _comparison(results):
    other = results.comparison
    if not other:
        return None
    rows = [
        (
            "Accuracy",
            percent(other.here),
            percent(other.there),
            points(other.difference.value),
            signed_span(other.difference.interval, 100, 1),
            f"{p_value(other.p_value)} (exact McNemar{', by groups' if results.group_count else ''})",
        ),
        *(
            (
                f"ROC-AUC ({area.class_name})",
                score(area.here.value),
                score(area.there.value),
                signed(area.difference.value),
                signed_span(area.difference.interval),
                f"{p_value(area.p_value.value)} (DeLong, paired)",
            )
            for area in other.areas
        ),
    ]
    note = f"Correct here only: {images(other.only_here)}; correct there only: {other.only_there}."
    if results.thresholds:
        note += " The threshold applies here only."
    note += " The comparison is of two trained models, not of two ways of training."
    title = f"Compared with {other.checkpoint or 'the other model'} on the same {other.count} images"
    table = Table(["metric", "here", "there", "difference", "95% interval", "p"], rows)
    return Section(title, tables=[table], notes=[note])


def _baselines(results):
    if not results.baselines:
        return None
    rows = [
        *((baseline.name, baseline.accuracy, baseline.auc, baseline.n) for baseline in results.baselines),
        ("this model", results.accuracy, results.main.auc, results.count),
    ]
    rows = [
        (name, _with_span(accuracy, percent(accuracy.value)), _with_span(auc, score(auc.value), score), count)
        for name, accuracy, auc, count in rows
    ]
    return Section("Beside simple baselines", tables=[Table(["model", "Accuracy", "ROC-AUC", "images"], rows)])


def _undefined(results, contents):
    """List what the page has no number for; of two classes it shows the positive one's figures, without its name."""
    nowhere = {"Precision", "Recall"}
    not_shown = nowhere | {
        f"{name} ({class_name})"
        for class_name, names in contents["Per Class"].items()
        for name in (nowhere if results.positive is None else names)
    }
    names_by_reason = {}
    for name, reason in contents["undefined"].items():
        if name not in not_shown:
            names_by_reason.setdefault(reason, []).append(name)
    sentences = [f"{shortened(reason, 400)}: {listed(names)}" for reason, names in names_by_reason.items()]
    return Section("Undefined", points=sentences) if sentences else None
