"""What is gained by referring the images that a model is least certain of to an expert."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from pipeline.performance.figures import Figure
from pipeline.performance.grouped import proportion

FRACTION = 0.1  # of the images, for the figures; the picture shows all fractions
FEWEST_LEFT = 20  # images whose accuracy is worth showing


@dataclass(frozen=True)
class Ranking:
    """What is gained by referring the images in the order of one measure of uncertainty."""

    measure: str
    errors_referred: Figure
    rest: Figure  # accuracy of the images that are left
    gain: Figure  # in accuracy
    p_value: Figure  # of as many errors or more among as many images drawn at random
    accuracies: list  # of the images left when 0, 1, 2, ... are referred, as long as FEWEST_LEFT are left


@dataclass(frozen=True)
class Referral:
    """The least certain images, referred by each measure of uncertainty."""

    sample_count: int | None  # of Monte Carlo dropout; None if there was none
    referred: int
    errors: int
    errors_at_random: float  # expected among as many images drawn at random
    rankings: list[Ranking]

    @property
    def leaves_enough(self):
        """Whether FEWEST_LEFT images are left."""
        return len(self.rankings[0].accuracies) > self.referred


def referral(predictions):
    """Return the Referral of Predictions: by the predictive entropy and, if it is known, the mutual information.

    For each measure of uncertainty the images are sorted by it, the least certain first, and the first tenth of them,
    halves rounded up and at least one, are referred. The p-value is that of a hypergeometric test. In `accuracies`,
    each of several equally uncertain images counts as their mean.
    """
    count, errors = len(predictions.labels), int((~predictions.correct).sum())
    referred = max(1, int(FRACTION * count + 0.5))
    # Beyond 12 decimals, values only differ by rounding.
    values = {"predictive entropy": np.round(predictions.entropy(), 12)}
    if predictions.sample_count is not None:
        values["mutual information"] = np.round(predictions.mutual_information, 12)
    return Referral(
        predictions.sample_count,
        referred,
        errors,
        errors * referred / count,
        [_ranking(measure, of_images, predictions, referred) for measure, of_images in values.items()],
    )


def uncertainty_source(referral):
    """Say what the uncertainty of a Referral is computed from."""
    if referral.sample_count is None:
        return "the probabilities"
    return f"{referral.sample_count} predictions with Monte Carlo dropout"


def _ranking(measure, values, predictions, referred):
    """Return the Ranking of referring the `referred` images of the largest values."""
    correct, groups, unit = predictions.correct, predictions.group_numbers(), predictions.unit
    count, errors = len(correct), int((~correct).sum())
    accuracies = _accuracies_of_the_rest(correct, values)
    order = np.argsort(-values)
    reason = ""
    if count - referred < FEWEST_LEFT:
        reason = f"fewer than {FEWEST_LEFT} {unit}s would be left"
    elif values[order[referred - 1]] == values[order[referred]]:
        reason = f"{unit}s that are referred and {unit}s that are not are equally uncertain"
    if reason:
        return Ranking(measure, *[Figure(None, reason=reason)] * 4, accuracies)
    found = int((~correct[order[:referred]]).sum())
    rest = proportion(correct[order[referred:]], groups[order[referred:]])
    p_value = Figure(None, reason="no prediction is wrong")
    if errors:
        p_value = Figure(float(stats.hypergeom.sf(found - 1, count, errors, referred)))
    gain = Figure(rest.value - float(correct.mean()))
    return Ranking(measure, Figure(found), rest, gain, p_value, accuracies)


def _accuracies_of_the_rest(correct, values):
    _, group = np.unique(-values, return_inverse=True)
    means = np.bincount(group, weights=correct) / np.bincount(group)
    expected = means[np.sort(group)]
    # From the most certain image on: of the last one, of the last two, ...
    of_last = np.cumsum(expected[::-1]) / np.arange(1, len(correct) + 1)
    return of_last[FEWEST_LEFT - 1 :][::-1].tolist()
