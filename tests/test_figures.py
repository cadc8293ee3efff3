import numpy as np
import pytest

from pipeline.performance import figures
from pipeline.performance.figures import Figure, Undefined


def test_exact_interval_by_hand():
    # Nothing in n has the upper limit 1 - 0.025^(1/n), all of n the lower limit 0.025^(1/n).
    assert figures.exact_interval(0, 10) == pytest.approx([0, 1 - 0.025 ** (1 / 10)], abs=1e-9)
    assert figures.exact_interval(10, 10) == pytest.approx([0.025 ** (1 / 10), 1], abs=1e-9)


def test_the_interval_of_a_mean_by_hand():
    first, second = Figure(0.9, [0.6, 1.0]), Figure(0.5, [0.1, 0.8])
    mean = figures.mean_of([first, second])
    assert mean.value == pytest.approx(0.7)
    assert mean.interval == pytest.approx([0.7 - (0.3**2 + 0.4**2) ** 0.5 / 2, 0.7 + (0.1**2 + 0.3**2) ** 0.5 / 2])
    assert figures.mean_of([first, Figure(0.5)]) == Figure(0.7)


@pytest.mark.parametrize(("correlation", "counted"), [(1.0, 1.0), (0.5, 0.5), (-0.5, 0)])
def test_what_goes_together_widens_the_interval_of_a_mean_by_hand(correlation, counted):
    first, second = Figure(0.9, [0.6, 1.0]), Figure(0.5, [0.1, 0.8])
    interval = figures.mean_of([first, second], correlations=np.array([[1, correlation], [correlation, 1]])).interval
    below, above = (0.3**2 + 0.4**2 + 2 * counted * 0.3 * 0.4), (0.1**2 + 0.3**2 + 2 * counted * 0.1 * 0.3)
    assert interval == pytest.approx([0.7 - below**0.5 / 2, 0.7 + above**0.5 / 2])


def test_two_proportions_may_differ_although_their_intervals_overlap():
    one = Figure(0.5, [0.4, 0.6])
    for value, differ in ((0.65, True), (0.64, False), (0.36, False), (0.35, True), (0.5, False)):
        other = Figure(value, [value - 0.1, value + 0.1])
        assert figures.differ(one, other) == figures.differ(other, one) == differ, value


@pytest.mark.parametrize("correlation", [0.0, 0.5, -0.5])
def test_the_interval_of_a_difference_by_hand(correlation):
    first, second = Figure(0.9, [0.6, 1.0]), Figure(0.5, [0.1, 0.8])
    below, above = 0.3**2 + 0.3**2 - 2 * correlation * 0.3**2, 0.1**2 + 0.4**2 - 2 * correlation * 0.1 * 0.4
    found = figures.difference_of(first, second, correlation)
    assert (found.value, found.interval) == (0.4, pytest.approx([0.4 - below**0.5, 0.4 + above**0.5]))


def test_what_is_known_adds_nothing_to_the_interval_of_a_difference():
    found = figures.difference_of(Figure(0.9, [0.6, 1.0]), Figure(0.5))
    assert (found.value, found.interval) == (0.4, pytest.approx([0.1, 0.5]))
    assert figures.difference_of(Figure(0.9, [0.6, 1.0]), Figure(0.9, [0.6, 1.0]), 1.0).interval == pytest.approx(
        [-0.2, 0.2]
    )


def test_a_figure_keeps_the_value_whose_interval_is_undefined():
    def undefined(value):
        raise Undefined(f"none for {value}")

    assert figures.figure_of(abs, -2) == Figure(2)
    assert figures.figure_of(abs, -2, interval=lambda value: [value, 0]) == Figure(2, [-2, 0])
    assert figures.figure_of(abs, -2, interval=undefined) == Figure(2, reason="none for -2")
    assert figures.figure_of(undefined, -2, interval=abs) == Figure(None, reason="none for -2")


def test_a_function_of_a_figure_keeps_its_limits_in_order_and_what_is_undefined():
    assert Figure(0.2, [0.1, 0.4]).mapped(lambda value: 1 - value) == Figure(0.8, [0.6, 0.9])
    undefined = Figure(None, reason="no image")
    assert undefined.mapped(lambda value: 1 - value) is undefined
