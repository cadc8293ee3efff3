import pytest

from pipeline.performance import formats

FIGURES = {
    "True Positives": 15,
    "False Negatives": 1,
    "False Positives": 2,
    "True Negatives": 8,
    "Sensitivity": 15 / 16,
    "Precision": None,
    "F1": 0.9,
}


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (formats.percent(0.9375), "93.75%"),
        (formats.percent(None), "undefined"),
        (formats.number(0.95), "0.9500"),
        (formats.number(0.00001), "< 0.0001"),
        (formats.number(0.0), "0.0000"),
        (formats.number(None), "undefined"),
        (formats.span([0.748697, 0.990544]), "74.9% to 99.1%"),
        (formats.span([-1, 1], "+.2f"), "-1.00 to +1.00"),
        (formats.span(None), "undefined"),
        (formats.one_line("a|b\nc"), "a\\|b\\nc"),
        (formats.one_line("日本 \udcff"), "日本 \\udcff"),
        (formats.counted("Sensitivity", FIGURES), "93.75% (15 of 16)"),
        (formats.counted("Precision", FIGURES), "undefined"),
        (formats.counted("F1", FIGURES), "90.00%"),
    ],
)
def test_figures_as_a_person_reads_them(written, text):
    assert written == text


def test_counts_behind_each_share():
    counts = {
        "Sensitivity": (15, 16), "Specificity": (8, 10), "Accuracy": (23, 26), "Pos Pred Value": (15, 17),
        "Neg Pred Value": (8, 9), "Precision": (15, 17), "Recall": (15, 16), "Prevalence": (16, 26),
        "Detection Rate": (15, 26), "Detection Prevalence": (17, 26), "F1": None,
    }  # fmt: skip
    assert {name: formats.counts_behind(name, FIGURES) for name in counts} == counts
