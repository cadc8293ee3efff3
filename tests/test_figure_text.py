import math

import pytest

from pipeline.performance import figure_text
from pipeline.performance.figures import Figure


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (figure_text.percent(0.9375), "93.8%"),
        (figure_text.percent(0.9375, 4), "93.75%"),
        (figure_text.percent(29_999 / 30_000), "99.997%"),
        (figure_text.percent(1 / 30_000), "0.003%"),
        (figure_text.percent(1.0), "100.0%"),
        (figure_text.percent(None), "undefined"),
        (figure_text.score(0.95), "0.950"),
        (figure_text.score(0.99996), "0.99996"),
        (figure_text.score(1.4), "1.400"),
        (figure_text.score(-0.99996), "-0.99996"),
        (figure_text.score(-2e-16), "0.000"),  # a kappa of 0 but for rounding
        (figure_text.span(Figure(3e-16, [-0.25, 0.25]), figure_text.score), "-0.250 to 0.250"),
        (figure_text.score(None), "undefined"),
        (figure_text.ratio(0.0694), "0.069"),
        (figure_text.ratio(9.375), "9.38"),
        (figure_text.ratio(50.06), "50.1"),
        (figure_text.ratio(1234.5), "1234"),
        (figure_text.ratio(math.inf), "infinite"),
        (figure_text.ratio(None), "undefined"),
        (figure_text.signed(0.0123), "+0.012"),
        (figure_text.p_value(0.0001), "0.0001"),
        (figure_text.p_value(0.00001), "< 0.0001"),
        (figure_text.p_value(0.0), "< 0.0001"),
        (figure_text.p_value(None), "undefined"),
        (figure_text.points(0.0125), "+1.2 points"),
        (figure_text.points(None), "undefined"),
        (figure_text.span(Figure(0.9231, [0.748697, 0.990544])), "74.9% to 99.1%"),
        (figure_text.span(Figure(0.9231, [0.0, 0.99999])), "0.0% to 99.9%"),
        (figure_text.span(Figure(0.9, [0.8, 1.0]), figure_text.score), "0.800 to 1.000"),
        (figure_text.span(Figure(None)), "undefined"),
        (figure_text.span(Figure(0, [-1, 1]), figure_text.signed), "-1.000 to +1.000"),
    ],
)
def test_how_figures_are_written(written, text):
    assert written == text


def test_a_value_and_its_limits_are_told_apart():
    assert figure_text.telling_decimals(Figure(0.99946, [0.9989, 0.9997])) == 4
    assert figure_text.telling_decimals(Figure(0.5, [0.4, 0.6])) == 3
    # With four decimals the upper limit is written as 99.99%, since it is not 1, and so is the value.
    close = Figure(0.99989, [0.9992, 0.99998])
    assert figure_text.telling_decimals(close) == 5
    assert len({figure_text.percent(value, 5) for value in (close.value, *close.interval)}) == 3
