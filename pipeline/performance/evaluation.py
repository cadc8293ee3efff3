"""From predictions to results: every figure that a Request asks for."""

from pipeline.performance import (
    baselines,
    comparison,
    decision_curve,
    folds,
    ordered,
    predictive_values,
    provenance,
    referral,
    subgroups,
    summary,
    temperature,
    thresholds,
    units,
    validations,
)


def evaluate(request, parts):
    """Return the Results of `parts`, the Predictions of a Request's files, and their Sources (see provenance).

    Raises UserError if the files do not belong together, or cannot give what is asked for.
    """
    if request.per == "group":
        parts = units.of_groups(parts)
    sources = provenance.read(parts, for_report=request.report)
    before = folds.pool(parts)
    other = _other_model(request, before)
    parts, chosen = _choose(request, parts, before)
    measured = folds.pool(parts)
    results = summary.summarize(
        measured,
        leaks_kept=provenance.leaks_kept(sources),
        cross_validation=folds.cross_validation(parts, provenance.folds_of_split(sources)) if len(parts) > 1 else None,
        referral=referral.referral(measured),
        comparison=other and comparison.compare(measured, other),
        **chosen,
        **_further(request, measured),
    )
    return results, sources


def _other_model(request, before):
    """Return the Predictions to compare with, or None; `before` are those measured, before anything is chosen."""
    if not request.compare:
        return None
    return comparison.matched(before, folds.pool(units.read_all(request.compare, request.per)))


def _choose(request, parts, before):
    """Return the parts with temperature and threshold applied, and {field of Results: value} of what was chosen.

    `before` are the parts pooled. Both are chosen on validation predictions: first a temperature, then a threshold of
    the calibrated probabilities.
    """
    fitted, more = None, {}
    if request.calibrate_from:
        fitted = temperature.choose(_validation(request, parts, "calibrate_from"))
        parts = temperature.apply(parts, fitted.of_parts)
        after = folds.pool(parts)
        more["temperature"], more["uncalibrated"] = fitted, summary.summarize(before)
        more["change_in_log_loss"] = temperature.change_in_log_loss(before, after)
    if request.threshold_from:
        pool = _validation(request, parts, "threshold_from")
        pool = pool.calibrated(fitted) if fitted else pool
        rule = thresholds.Rule(request.min_sensitivity, request.guaranteed)
        points, more["threshold_for_new_images"] = thresholds.choose_all(parts, pool, rule)
        parts = [thresholds.apply(part, point.value) for part, point in zip(parts, points, strict=True)]
        more["thresholds"], more["where_chosen"] = tuple(points), thresholds.where_chosen(pool, points)
    return parts, more


def _validation(request, parts, name):
    """Return the Pool of the validation predictions that an option of the Request names."""
    return validations.pool(units.read_all(getattr(request, name), request.per), parts, f"-{name}")


def _further(request, measured):
    """Return {field of Results: value} of what single options ask for."""
    further = {}
    if request.ordered:
        further["ordered"] = ordered.measure(measured, request.ordered)
    if request.decision_curve:
        further["decision_curve"] = decision_curve.measure(measured)
    if request.prevalence:
        further["predictive_values"] = predictive_values.predictive_values(measured, request.prevalence)
    if request.by:
        further["subgroups"] = subgroups.subgroups(measured, *request.by, [path.parent for path in request.PREDS])
    if request.baselines:
        further["baselines"] = baselines.read(request.baselines, measured.class_names)
    return further
