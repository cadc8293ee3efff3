"""The operating point: probabilities calibrated first, then a threshold of the calibrated ones, as options ask."""

from pipeline import predictions
from pipeline.performance import folds, summary, temperature, thresholds, validations


def choose(parts, paths, temperature_paths, threshold_paths, rule):
    """Choose on validation predictions what `parts`, Predictions read from `paths`, are measured with.

    Args:
        temperature_paths: of the validation predictions that a temperature is fitted on; may be empty.
        threshold_paths: of those that choose the threshold, by the Rule `rule`; may be empty.

    Returns the parts as they are to be measured, and {field of Results: value} of what was chosen.
    """
    calibration, more = None, {}
    if temperature_paths:
        calibration = temperature.calibrate(_pool(temperature_paths, parts, "-calibrate_from"))
        before, parts = parts, calibration.apply_all(parts)
        before = folds.pool(before, paths)
        more["calibration"], more["uncalibrated"] = calibration, summary.summarize(before)
        more["change_in_log_loss"] = temperature.change_in_log_loss(before, folds.pool(parts, paths))
    if threshold_paths:
        pool = _pool(threshold_paths, parts, "-threshold_from")
        pool = pool.calibrated(calibration) if calibration else pool
        points, more["threshold_for_new_images"] = thresholds.choose_all(parts, pool, rule)
        parts = [thresholds.apply(part, point.value) for part, point in zip(parts, points, strict=True)]
        more["thresholds"] = tuple(points)
    return parts, more


def _pool(paths, parts, option):
    return validations.pool(predictions.read_all(paths), paths, parts, option)
