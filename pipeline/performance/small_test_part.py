"""What a test part of some size can tell, before any model is trained."""

from collections import Counter

from pipeline.messages import counted
from pipeline.performance.cautions import WIDE
from pipeline.performance.figure_text import percent, span
from pipeline.performance.figures import Figure, exact_interval

ACCURACY = 0.9  # an example
MOST_FOLDS, FEWEST_FOLDS = 5, 3


def outlook(class_names, groups, partitions, are_given=False):
    """Return a sentence on how vague the answer of a small test part will be; "" if it is large enough.

    Args:
        class_names: the class of each image.
        groups: the group of each image. A class cannot be dealt into more folds than it has groups.
        partitions: the partition of each image.
        are_given: whether the partitions are ready-made ones.

    The interval is `figures.exact_interval`; images that come in groups tell less still.
    """
    count = Counter(partitions)["test"]
    known = Figure(ACCURACY, exact_interval(ACCURACY * count, count))
    if known.interval[1] - known.interval[0] <= WIDE:
        return ""
    told = (
        f"with {counted(count, kind='test')}, an accuracy of {percent(ACCURACY, 2)} will have a 95% interval of "
        f"{span(known)} at best"
    )
    groups_of_class = Counter(name for name, _ in set(zip(class_names, groups, strict=True)))
    folds = min(MOST_FOLDS, *groups_of_class.values())
    if folds < FEWEST_FOLDS:
        return told
    redrawn = " -partitions redrawn" if are_given else ""
    return f"{told}; -folds {folds}{redrawn} tests on all {len(partitions)} images"
