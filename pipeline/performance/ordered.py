"""Agreement of ordered classes, grades of a disease for example, for which a miss by two is worse than one by one."""

from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.messages import listed
from pipeline.performance.figures import ROUNDING, Figure, Undefined, exact_interval, figure_of
from pipeline.performance.grouped import design_effect, sizes_of, student_t

STEADY = "no image changes it, for example because all are of one class or were predicted as one"


@dataclass(frozen=True)
class Ordered:
    """Figures of classes in their order."""

    class_names: list  # the lowest first
    weighted_kappa: Figure  # with quadratic weights
    rank_difference: Figure  # mean over images of |rank predicted - rank of the label|


def measure(predictions, class_names):
    """Return the Ordered of Predictions whose classes rank as in `class_names`, the lowest first.

    Raises UserError if these are not all classes, each once, or are fewer than three, whose order means nothing.
    """
    _require_order(class_names, predictions.class_names)
    rank = np.array([class_names.index(name) for name in predictions.class_names])
    labels, predicted, groups = rank[predictions.labels], rank[predictions.predictions], predictions.group_numbers()
    return Ordered(
        class_names,
        figure_of(
            weighted_kappa,
            labels,
            predicted,
            interval=lambda labels, predicted: weighted_kappa_interval(labels, predicted, groups),
        ),
        rank_difference(labels, predicted, groups, len(class_names) - 1),
    )


def weighted_kappa(labels, predicted):
    """Return Cohen's kappa with quadratic weights: 1 - mean of d^2 / mean of d^2 expected by chance.

    `labels` and `predicted` are ranks, int (n,), and d is their difference. Undefined if all are one class. Cohen,
    Psychological Bulletin 70 (1968) 213.
    """
    return 1 - float(((labels - predicted) ** 2).mean()) / _by_chance(labels, predicted)


def weighted_kappa_interval(labels, predicted, groups):
    """Return the interval of the weighted kappa on Fisher's scale, atanh(kappa) -+ t s, within -1 and 1.

    s^2 is the variance of the mean of each image's influence on kappa, that of Fleiss, Cohen and Everitt, Psychological
    Bulletin 72 (1969) 323, times its design effect; t is Student's for the number of images. Undefined if kappa is
    undefined, 1 or -1, if no image changes it, and if all images are of one group.
    """
    count, kappa = len(labels), weighted_kappa(labels, predicted)
    if abs(kappa) > 1 - ROUNDING:
        raise Undefined("all predictions are correct" if kappa > 0 else "all predictions are the reverse")
    squares, chance = (labels - predicted) ** 2, _by_chance(labels, predicted)
    # The mean squared difference between an image's label and all predictions, and its prediction and all labels.
    to_all = predicted.var() + (labels - predicted.mean()) ** 2
    from_all = labels.var() + (predicted - labels.mean()) ** 2
    influence = (1 - kappa) / chance * (to_all + from_all - 2 * chance) - (squares - squares.mean()) / chance
    if np.abs(influence).max() < ROUNDING:
        raise Undefined(STEADY)
    if len(sizes_of(groups)[0]) < 2:
        raise Undefined("all images are of one group")
    variance = influence @ influence / count / max(count - 1, 1) * design_effect(influence, groups)
    half_width = student_t(count - 1) * np.sqrt(variance) / (1 - kappa**2)
    return np.tanh(np.arctanh(kappa) + np.array([-half_width, half_width])).tolist()


def rank_difference(labels, predicted, groups, largest):
    """Return the Figure of the mean difference of two ranks, which is at most `largest`.

    The interval is the exact one of a proportion for the effective number of images: a mean of values between 0 and
    `largest` varies less.
    """
    values = np.abs(labels - predicted) / largest
    effective = len(values) / design_effect(values, groups)
    mean = Figure(float(values.mean()), exact_interval(values.mean() * effective, effective))
    return mean.mapped(lambda value: largest * value)


def _by_chance(labels, predicted):
    """Return the mean squared difference between each label and each prediction."""
    chance = labels.var() + predicted.var() + (labels.mean() - predicted.mean()) ** 2
    if chance == 0:
        raise Undefined("all labels and predictions are one class")
    return float(chance)


def _require_order(given, class_names):
    if len(class_names) < 3:
        raise UserError(f"-ordered: the order of {len(class_names)} classes changes no figure; leave the option out")
    if sorted(given) != sorted(class_names):
        raise UserError(
            f"-ordered {' '.join(given)}: name each class once, the lowest first; the classes are {listed(class_names)}"
        )
