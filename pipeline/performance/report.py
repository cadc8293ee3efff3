"""The performance page, as data, from the Results alone."""

import math

from pipeline.messages import counted, listed, shortened
from pipeline.performance import sections
from pipeline.performance.figure_text import percent, span
from pipeline.performance.pages import Page, Section


def page(results, contents, pictures=(), further_sections=()):
    """Return the Page of Results and of their results JSON, with Pictures of them and sections from elsewhere."""
    shown = [
        Section("Warnings", points=contents["Warnings"], style="warning") if contents["Warnings"] else None,
        sections.main_figures(results, pictures),
        None if results.positive else sections.each_class(results),
        sections.confusion_matrix(results),
        sections.more_figures(results),
        results.predictive_values and sections.predictive_values(results),
        results.subgroups and sections.subgroups(results),
        results.ordered and sections.ordered(results),
        sections.tests(results),
        sections.calibration(results),
        results.thresholds and sections.threshold(results),
        results.decision_curve and sections.decision_curve(results),
        results.cross_validation and sections.folds(results),
        results.errors and sections.most_confident_errors(results),
        sections.referral(results),
        results.comparison and sections.comparison(results),
        results.baselines and sections.baselines(results),
        _undefined(results, contents),
        *further_sections,
    ]
    return Page(*_headline(results), [section for section in shown if section])


def _headline(results):
    """Return the page's title and its first sentences."""
    predictions = results.predictions
    model = f" of {predictions.checkpoint}" if predictions.checkpoint else ""
    tested = counted(results.count, results.unit, predictions.split or "")
    if results.cross_validation:
        tested += f" of {len(results.cross_validation.folds)} folds"
    elif predictions.fold is not None:
        tested += f" of fold {predictions.fold}"
    accuracy = results.accuracy
    correct = f"{accuracy.count} of {counted(accuracy.total, results.unit)}"
    sentence = f"Accuracy {percent(accuracy.value)} ({correct}), 95% interval {span(accuracy)}. "
    sentences = [sentence + _meaning(results), _for_half_the_interval(results), _independence(results)]
    return f"Performance{model} on {tested}", sentences


def _meaning(results):
    if results.positive is None:
        return f"{len(results.classes)} classes, each against the rest."
    if len(results.thresholds) == 1:
        value = f"{results.thresholds[0].value:.4g}"
        return f"Positive class: {results.positive}, predicted if its probability is at least {value}."
    return f"Positive class: {results.positive}."


def _for_half_the_interval(results):
    number, in_groups = results.number_to_halve, ""
    if results.in_groups:
        in_groups = f" in {counted(math.ceil(number * results.group_count / results.count), 'group')}"
    return f"To halve this interval, test about {counted(number, results.unit)}{in_groups}."


def _independence(results):
    """Say which groups the images come in, which the intervals take into account, or that it is not known."""
    count = results.group_count
    if results.unit == "group":
        return (
            f"{counted(count, 'group')} of {counted(results.predictions.image_count)}: a group has the mean "
            "probabilities of its images, and counts once."
        )
    if count is None:
        return "The predictions name no groups: images are taken as independent."
    if count == results.count:
        return "As far as is known, no two of these images belong together."
    groups = f"{counted(count, 'group')} (images that look alike or belong together)"
    return f"{counted(results.count)} in {groups}, which the intervals take into account."


def _undefined(results, contents):
    """List the page's undefined figures; for two classes they are the positive one's, without its name."""
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
