"""The performance page, as data, made of the Results only."""

import numpy as np

from pipeline.messages import listed, shortened
from pipeline.performance.cautions import FEW_FOR_CALIBRATION
from pipeline.performance.figures import p_value, percent, points, score, span
from pipeline.performance.pages import Page, Section, Table
from pipeline.performance.results_json import as_json

# Of more classes than this the page shows the worst ones only.
MOST_CLASSES, MOST_ROWS = 25, 20
ALL_IN_JSON = "The results JSON has all of them."
COLUMNS = ["metric", "value", "95% interval", "images"]
INTERVALS = (
    "Intervals: exact (proportions); DeLong's, and method 5 of Newcombe (area); Fleiss, Cohen and Everitt's (kappa)."
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
    images = " ".join(word for word in (str(results.count), predictions.split, "images") if word)
    if results.cross_validation:
        images += f" of {len(results.cross_validation.folds)} folds, pooled"
    elif predictions.fold is not None:
        images += f" of fold {predictions.fold}"
    if results.positive is None:
        meaning = f"{len(results.classes)} classes, each against the rest."
    elif results.threshold:
        threshold = f"{results.threshold.value:.4g}"
        meaning = f"Positive class: {results.positive}, given where its probability is at least {threshold}."
    else:
        meaning = f"Positive class: {results.positive}."
    accuracy = results.accuracy
    sentence = (
        f"Accuracy {percent(accuracy.value)} ({accuracy.counts} images), 95% interval {span(accuracy.interval)}. "
    )
    return f"Performance{model} on {images}", [sentence + meaning]


def _main_figures(results, pictures):
    """The published figures, each with its interval and the images behind it."""
    main = results.main
    if results.positive is None:
        whose, classes = "mean over classes", f"{len(results.classes)} classes"
        area = _row(f"ROC-AUC ({whose})", main.auc, score, images=classes)
    else:
        whose, classes = results.positive, ""
        images = f"{main.sensitivity.total} and {main.specificity.total}"
        area = (f"ROC-AUC ({whose})", score(main.auc.value), _area_intervals(main), images)
    rows = [
        _row(f"Sensitivity ({whose})", main.sensitivity, images=classes),
        _row(f"Specificity ({whose})", main.specificity, images=classes),
        area,
        _row("Accuracy", results.accuracy),
        _row("Cohen's Kappa", results.kappa, score, ".3f", results.count),
    ]
    return Section("Main figures", tables=[Table(COLUMNS, rows)], notes=[INTERVALS], pictures=pictures)


def _row(name, figure, write=percent, written=".1%", images=""):
    """Return a row of COLUMNS; `images` where the figure has no counts."""
    interval = span(figure.interval, written) if figure.interval or figure.value is None else ""
    return name, write(figure.value), interval, figure.counts or images


def _each_class(results):
    if results.positive is not None:
        return None
    rows, shown, many = [], results.classes, len(results.classes) > MOST_CLASSES
    if many:
        shown = sorted(shown, key=lambda one: 2 if one.sensitivity.value is None else one.sensitivity.value)[:MOST_ROWS]
    for one in shown:
        proportions = [_with_span(figure, _counted(figure)) for figure in (one.sensitivity, one.specificity)]
        area = score(one.auc.value) + (f"; {_area_intervals(one)}" if one.auc.interval else "")
        rows.append((one.name, *proportions, area))
    table = Table(["class", "Sensitivity", "Specificity", "ROC-AUC"], rows)
    if many:
        title = f"The {MOST_ROWS} of {len(results.classes)} classes with the lowest sensitivity, with 95% intervals"
        return Section(title, tables=[table], notes=[ALL_IN_JSON])
    return Section("Each class against the rest, with 95% intervals", tables=[table])


def _area_intervals(one):
    intervals = (("DeLong", one.auc_delong.interval), ("Newcombe", one.auc.interval))
    return ", ".join(f"{span(interval, '.3f')} ({method})" for method, interval in intervals if interval) or "undefined"


def _with_span(figure, value, written=".1%"):
    return f"{value}; {span(figure.interval, written)}" if figure.interval else value


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
    main = results.main.named()
    if results.positive is None:
        # A row a figure: the page stays readable with ten classes on paper, and with three in a terminal.
        classes = [one.named() for one in results.classes] if len(results.classes) <= MOST_CLASSES else []
        rows = [
            (name, write(main[name].value), *(_counted(figures[name], write) for figures in classes))
            for name, write in MORE_FIGURES.items()
        ]
        names = results.predictions.class_names if classes else []
        header = ["metric", "mean over classes", *names]
    else:
        rows = [
            _row(f"{name} ({results.positive})", main[name], write, images=results.count)
            for name, write in MORE_FIGURES.items()
        ]
        header = COLUMNS
    return Section("More figures", tables=[Table(header, rows)])


def _tests(results):
    symmetry = "McNemar's test" if results.positive else "Bowker's test (McNemar's for more than two classes)"
    rate = percent(results.no_information_rate)
    rows = [
        (f"accuracy above the no-information rate, {rate}", "exact binomial, one-sided", results.accuracy_p_value),
        ("classes taken for one another equally often", symmetry, results.symmetry_p_value.value),
    ]
    rows = [(question, test, p_value(value)) for question, test, value in rows]
    return Section("Tests", tables=[Table(["question", "test", "p"], rows)])


def _calibration(results):
    rows = [
        ("Log Loss", score(results.log_loss.value)),
        (f"Brier Score ({results.positive or 'all classes'})", score(results.brier_score.value)),
    ]
    if results.count >= FEW_FOR_CALIBRATION:
        whose = results.positive or "mean over classes"
        rows += [
            (f"Calibration Error ({whose})", score(results.main.calibration_error.value)),
            ("Confidence Calibration Error", score(results.confidence_error)),
        ]
    return Section("Calibration", tables=[Table(["metric", "value"], rows)])


def _threshold(results):
    point = results.threshold
    if not point:
        return None
    images = ", ".join(filter(None, [point.split, f"{point.accuracy.total} images"]))
    rows = [
        (name, _counted(there), _counted(here))
        for name, there, here in (
            ("Sensitivity", point.sensitivity, results.main.sensitivity),
            ("Specificity", point.specificity, results.main.specificity),
            ("Accuracy", point.accuracy, results.accuracy),
        )
    ]
    sentence = (
        f"{results.positive} where its probability is at least {point.value:.6g}: {point.rule}, chosen on "
        f"{point.file} ({images}) and then frozen."
    )
    return Section("Threshold", [sentence], tables=[Table(["metric", "where it was chosen", "here"], rows)])


def _folds(results):
    if not results.cross_validation:
        return None
    folds, accuracy, auc = (getattr(results.cross_validation, name) for name in ("folds", "accuracy", "auc"))
    rows = [
        *((fold.number, fold.accuracy.total, percent(fold.accuracy.value), score(fold.auc.value)) for fold in folds),
        *((name, "", percent(value), score(auc.named()[name])) for name, value in accuracy.named().items()),
    ]
    note = "The figures above are of all folds' images together, their probabilities ranked as if of one model."
    return Section("Folds", tables=[Table(["fold", "images", "Accuracy", "ROC-AUC"], rows)], notes=[note])


def _most_confident_errors(results):
    if not results.errors:
        return None
    rows = [
        (error.file_name, error.true_class, error.predicted_class, p_value(error.probability))
        for error in results.errors
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
            span(ranking.rest.interval),
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
            span([100 * limit for limit in other.difference.interval], "+.1f"),
            f"{p_value(other.p_value)} (exact McNemar)",
        ),
        *(
            (
                f"ROC-AUC ({area.class_name})",
                score(area.here.value),
                score(area.there.value),
                score(area.difference.value, "+"),
                span(area.difference.interval, "+.3f"),
                f"{p_value(area.p_value.value)} (DeLong, paired)",
            )
            for area in other.areas
        ),
    ]
    note = f"Correct here only: {other.only_here} images; correct there only: {other.only_there}."
    if results.threshold:
        note += " The threshold applies here only."
    title = f"Compared with {other.checkpoint or 'the other model'} on the same {other.count} images"
    table = Table(["metric", "here", "there", "difference", "95% interval", "p"], rows)
    return Section(title, tables=[table], notes=[note])


def _baselines(results):
    if not results.baselines:
        return None
    # The baselines' areas have DeLong's interval.
    area = results.main.auc if results.positive is None else results.main.auc_delong
    rows = [
        *((baseline.name, baseline.accuracy, baseline.auc, baseline.n) for baseline in results.baselines),
        ("this model", results.accuracy, area, results.count),
    ]
    rows = [
        (name, _with_span(accuracy, percent(accuracy.value)), _with_span(auc, score(auc.value), ".3f"), count)
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
