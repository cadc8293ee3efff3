import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.performance import figures
from pipeline.performance.figures import Figure, Undefined


def test_exact_interval_by_hand():
    # Nothing in n has the upper limit 1 - 0.025^(1/n), all of n the lower limit 0.025^(1/n).
    assert figures.exact_interval(0, 10) == pytest.approx([0, 1 - 0.025 ** (1 / 10)], abs=1e-9)
    assert figures.exact_interval(10, 10) == pytest.approx([0.025 ** (1 / 10), 1], abs=1e-9)


@settings(deadline=None)
@given(st.integers(1, 300).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_exact_interval_is_made_of_beta_quantiles(counts):
    successes, trials = counts
    lower = stats.beta.ppf(0.025, successes, trials - successes + 1) if successes else 0
    upper = stats.beta.ppf(0.975, successes + 1, trials - successes) if successes < trials else 1
    assert figures.exact_interval(successes, trials) == pytest.approx([lower, upper], abs=1e-8)


def test_a_proportion_has_its_counts_and_interval_or_a_reason():
    assert figures.proportion(15, 16) == Figure(0.9375, figures.exact_interval(15, 16), 15, 16)
    assert figures.proportion(15, 16).counts == "15 of 16"
    assert figures.proportion(0, 0, "no image") == Figure(None, None, 0, 0, "no image")


def test_a_figure_keeps_the_value_whose_interval_is_undefined():
    def undefined(value):
        raise Undefined(f"none for {value}")

    assert figures.figure_of(abs, -2) == Figure(2)
    assert figures.figure_of(abs, -2, interval=lambda value: [value, 0]) == Figure(2, [-2, 0])
    assert figures.figure_of(abs, -2, interval=undefined) == Figure(2, reason="none for -2")
    assert figures.figure_of(undefined, -2, interval=abs) == Figure(None, reason="none for -2")


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (figures.percent(0.9375), "93.75%"),
        (figures.percent(None), "undefined"),
        (figures.score(0.95), "0.950"),
        (figures.score(0.0123, "+"), "+0.012"),
        (figures.score(None), "undefined"),
        (figures.p_value(0.00001), "< 0.0001"),
        (figures.p_value(0.0), "0.0000"),
        (figures.p_value(None), "undefined"),
        (figures.points(0.0125), "+1.25 points"),
        (figures.points(None), "undefined"),
        (figures.span([0.748697, 0.990544]), "74.9% to 99.1%"),
        (figures.span([-1, 1], "+.2f"), "-1.00 to +1.00"),
        (figures.span(None), "undefined"),
    ],
)
def test_how_figures_are_written(written, text):
    assert written == text
