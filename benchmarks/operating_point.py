"""What an operating point is worth: does the guarantee hold, and from how many images on does a temperature pay?

    python benchmarks/operating_point.py temperature
    python benchmarks/operating_point.py guarantee

Both draw the log odds of two classes: x is normal with mean m or -m and variance 1, and 2 m x is then the true log
odds. A model gives `overconfidence` times that. Every random number comes from one seed.
"""

import argparse

import measuring
import numpy as np
from scipy.special import expit
from scipy.stats import norm

from pipeline.messages import format_table
from pipeline.performance import temperature

REPEATS = 1000
ACCURACIES = (0.75, 0.9, 0.97)
OVERCONFIDENCE = (0.7, 1, 1.25, 1.5, 2)
COUNTS = (25, 50, 100, 200, 400)


def draw(random, count, accuracy, overconfidence=1.0):
    """Return labels, int (n,), and a model's probabilities, float (n, 2), of as many images of either class."""
    labels, m = np.arange(count) % 2, norm.ppf(accuracy)
    positive = expit(overconfidence * 2 * m * random.normal((2 * labels - 1) * m))
    return labels, np.column_stack([1 - positive, positive])


def temperature_table():
    """Return the table of the change in log loss by a temperature, on other images: mean, and how often it is worse."""
    rows = []
    for accuracy in ACCURACIES:
        for overconfidence in OVERCONFIDENCE:
            random = np.random.default_rng(0)
            losses = Losses(*draw(random, 40_000, accuracy, overconfidence))
            changes = [
                [losses.change(temperature.fit(*draw(random, count, accuracy, overconfidence))) for _ in range(REPEATS)]
                for count in COUNTS
            ]
            cells = [f"{np.mean(one):+.4f} ({np.mean(np.array(one) > 0):.0%})" for one in changes]
            rows.append((f"{accuracy:.0%}", f"{overconfidence:g}", *cells))
    return format_table(["accuracy", "overconfidence", *(f"{count} images" for count in COUNTS)], rows)


class Losses:
    """The log loss of many images by temperature, computed once on a grid."""

    def __init__(self, labels, probabilities):
        self.grid = np.linspace(*np.log(temperature.BOUNDS), 301)
        odds = np.log(probabilities[:, 1] / probabilities[:, 0]) * (1 - 2 * labels)
        self.losses = [np.logaddexp(0, odds / np.exp(each)).mean() for each in self.grid]

    def change(self, value):
        """Return by how much the log loss is higher at a temperature than at 1, as it was."""
        return np.interp(np.log(value), self.grid, self.losses) - np.interp(0, self.grid, self.losses)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tables = {"temperature": temperature_table}
    parser.add_argument("what", choices=tables)
    options = parser.parse_args()
    print(measuring.machine("numpy", "scipy"))
    print(tables[options.what]())


if __name__ == "__main__":
    main()
