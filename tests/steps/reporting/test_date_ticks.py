"""The ticks of an axis of dates."""

from itertools import pairwise

from lockstep.steps.reporting.date_ticks import TICK_GAP, TICK_LETTER, date_ticks

import pandas as pd
import pytest

WIDTH = 276
HOUR, DAY, YEAR = 1 / 24, 1.0, 365.25
SPANS = (HOUR / 3600, HOUR / 60, HOUR, 1.5 * HOUR, 5 * HOUR, 0.99, 1.25, 2, 3, 10, 40, 70, 120, 200, YEAR, 1.5 * YEAR,
         4 * YEAR, 10 * YEAR, 60 * YEAR, 100 * YEAR, 1000 * YEAR)  # fmt: skip


def days(text):
    return (pd.Timestamp(text) - pd.Timestamp(0)) / pd.Timedelta(days=1)


def ticks_of(start, span):
    first = days(start)
    return date_ticks((first, first + span), (first - span / 20, first + 21 * span / 20), WIDTH)


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("start", ["2021-06-01", "2021-12-30 22:00", "2020-02-29 09:13:07", "1900-12-20"])
def test_labels_have_room_and_lie_on_the_axis(start, span):
    first, (places, labels, _) = days(start), ticks_of(start, span)
    assert len(places) == len(labels) >= 2
    assert first - span / 20 <= min(places) <= max(places) <= first + 21 * span / 20
    gap = min(later - earlier for earlier, later in pairwise(places)) / (1.1 * span) * WIDTH
    assert gap >= TICK_LETTER * max(map(len, labels))
    assert sum(TICK_LETTER * len(label) + TICK_GAP for label in labels) <= WIDTH


@pytest.mark.parametrize(
    ("start", "span", "labels", "shared"),
    [
        ("2021-06-01 09:00", HOUR, ["09:00", "09:15", "09:30", "09:45", "10:00"], "2021-06-01"),
        ("2021-06-01", 2, ["06-01", "06-02", "06-03"], "2021"),
        ("2021-12-30 22:00", 1.25, ["12-31 00:00", "12-31 12:00", "01-01 00:00"], "2021 to 2022"),
        ("2021-06-01", 200, ["2021-07", "2021-09", "2021-11"], ""),
        ("2020-01-02", 1400, ["2020", "2021", "2022", "2023", "2024"], ""),
        ("1920-02-01", 100 * YEAR, ["1920", "1940", "1960", "1980", "2000", "2020"], ""),
        ("2021-06-01", 0, ["2021-06-01"], ""),
        ("2021-06-01 09:30", 0, ["09:30"], "2021-06-01"),
    ],
)
def test_labels_are_short_and_what_they_share_is_said(start, span, labels, shared):
    assert ticks_of(start, span)[1:] == (labels, shared)
