"""How numbers and other people's texts are written."""
# ruff: noqa: RUF001 - the typographic signs are meant

from lockstep.kernel.errors import plural
from lockstep.steps.reporting.metric_titles import TITLES
from lockstep.steps.reporting.wording import (
    compact,
    count,
    number,
    percent,
    score,
    shortened,
    size,
    spread,
    visible,
    with_article,
)

import pytest


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (0.0, "0"),
        (1998, "1998"),
        (13988, "13,988"),
        (13987.7062, "13,988"),
        (0.85739, "0.8574"),
        (4.30, "4.3"),
        (-2.5, "−2.5"),
        (495583820.3, "4.956\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10⁸"),
        (-1.0379e-05, "−1.038\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10⁻⁵"),
        (10**12, "1\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10¹²"),
        (float("inf"), "inf"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_metrics_have_three_decimals_where_that_is_enough():
    assert [score(value) for value in (1.0, 0.9333, 0.0115123, 22261.7, None)] == [
        "1.000", "0.933", "0.0115", "22,262", "–",
    ]  # fmt: skip
    assert spread(0.95, 0.03486) == "0.950 ± 0.035"
    assert spread(13973.05, 337.77) == "13,973 ± 338"
    assert spread(None, None) == ""


def test_shares_counts_and_sizes():
    assert percent(0.93333) == "93.3\N{NO-BREAK SPACE}%"
    assert percent(None) == "–"
    assert count(5072) == "5,072"
    assert (plural(1, "row"), plural(5072, "row"), plural(2, "class")) == ("1 row", "5,072 rows", "2 classes")
    assert (plural(1, "batch"), plural(2, "batch")) == ("1 batch", "2 batches")
    assert (size(999), size(82_200), size(2_573_468)) == ("999 bytes", "82.2 kB", "2.6 MB")


def test_ticks():
    assert [compact(value) for value in (0, 0.25, -40000, 1998, 120_000, 1.5e6, 3.2e9, 5e13)] == [
        "0", "0.25", "−40k", "1998", "120k", "1.5M", "3.2G", "5\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10¹³",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("yes", "yes"),
        ("yes ", "yes␣"),
        ("  yes", "␣␣yes"),
        ("yes\u200b", "yes\\u200b"),
        ("a\u202eb", "a\\u202eb"),
        ("line\nbreak", "line\\nbreak"),
        ("שלום", "שלום"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("", ""),
        (" ", "␣"),
        (True, "True"),
        (7, "7"),
        (0.1 + 0.2, "0.3"),
    ],
)
def test_texts_that_differ_look_different(text, shown):
    assert visible(text) == shown


def test_long_texts_are_cut():
    assert visible("x" * 5000, 10) == "x" * 9 + "…"
    assert len(visible("\u200b" * 100, 10)) < 100
    assert visible("Community Health Nurse I", 20) == "Community Health Nu…"
    assert visible("Community Health Nurse", 18) == "Community Health…"  # the space is not at the text's end


def test_the_ends_of_a_name_are_kept():
    assert shortened("Police", 12) == "Police"
    assert shortened("Department of Police", 12) == "Depart…olice"


def test_a_metric_within_a_sentence_has_an_article_where_it_is_words():
    assert [with_article(TITLES[key]) for key in ("log_loss", "roc_auc", "r2_score")] == [
        "the log loss",
        "the area under the ROC curve",
        "R²",
    ]


def test_metrics_have_marks_between_thousands_and_zeros_at_their_end():
    assert [score(value) for value in (0.5, 17.0, 117.26, 2820.4, 13762.0)] == [
        "0.500",
        "17.00",
        "117.3",
        "2,820",
        "13,762",
    ]
    assert spread(2820.4, 1486.3) == "2,820 ± 1,486"
    assert spread(36.89, 8.6) == "36.89 ± 8.60"
    assert spread(0.0, 0.0) == "0.000 ± 0.000"
