"""The ticks of an axis of dates: as many as there is room for, on round moments, with labels that leave out what all of
them share. matplotlib's own locator and formatter let labels run into each other, and warn of some ranges."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

TICK_LETTER, TICK_GAP = 6.6, 12
"""Pixels of a letter of a label, and between two labels."""
_SECOND, _DAY = 10**6, 86_400 * 10**6
"""In microseconds, the unit of all dates."""
_STEPS = (
    *(factor * 10**power for power in range(6) for factor in (1, 2, 5)),
    *(seconds * _SECOND for seconds in (1, 2, 5, 10, 15, 30)),
    *(60 * minutes * _SECOND for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours * _SECOND for hours in (1, 2, 3, 6, 12)),
    *(days * _DAY for days in (1, 2, 4, 7, 14, 28)),
)
"""Steps of one length, in microseconds."""
_MONTHS = (1, 2, 3, 6, *(12 * factor * 10**power for power in range(5) for factor in (1, 2, 5)))
"""Steps that are months, or years of twelve of them."""
_MONDAY = 4 * _DAY
"""The first Monday after 1970-01-01."""


class DateTicks(NamedTuple):
    """``places`` in days since 1970-01-01, their ``labels``, and what these leave out: "" for nothing."""

    places: list[float]
    labels: list[str]
    shared: str


def date_ticks(data: tuple[float, float], view: tuple[float, float], width: float) -> DateTicks:
    """The ticks of an axis.

    Args:
        data: from where to where the dates lie, in days since 1970-01-01.
        view: from where to where the axis goes, in days; a little more than ``data``.
        width: of the axis, in pixels.
    """
    shown = _labelled([_moment(data[0])], data) if data[0] == data[1] else None
    for moments in () if shown is not None else _candidates(_moment(view[0]), _moment(view[1])):
        found = _labelled(moments, data)
        if len(found.labels) * (TICK_LETTER * max(map(len, found.labels)) + TICK_GAP) <= width:
            shown = found
            break
    return shown or _labelled([_moment(data[0])], data)


def _moment(days: float) -> int:
    """Microseconds since 1970-01-01; a day and a second are whole whatever the digits of a float."""
    exact = round(days * _DAY)
    second = round(exact / _SECOND) * _SECOND
    return second if abs(exact - second) < 5 else exact


def _candidates(low: int, high: int) -> Iterator[list[int]]:
    """Moments from ``low`` to ``high``, ever fewer of them; each time one at least, and never very many."""
    for step in _STEPS:
        start = _MONDAY if step >= 7 * _DAY else 0
        first, last = -((start - low) // step), (high - start) // step
        if 0 <= last - first < 100:
            yield [start + step * place for place in range(first, last + 1)]
    least, most = (int(np.datetime64(moment, "us").astype("datetime64[M]").astype(int)) for moment in (low, high))
    for months in _MONTHS:
        first = least - (1970 * 12 + least) % months
        if (most - first) // months < 100:
            starts = np.arange(first, most + 1, months).astype("datetime64[M]").astype("datetime64[us]").astype("int64")
            if inside := [moment for moment in starts.tolist() if low <= moment <= high]:
                yield inside


def _labelled(moments: list[int], data: tuple[float, float]) -> DateTicks:
    """The moments as texts that are as short as they can be, and what these leave out."""
    ends = [_moment(days) for days in data]
    exact = [*moments, *ends] if len(moments) == 1 else moments
    places = [moment / _DAY for moment in moments]
    if all(moment % _DAY == 0 for moment in exact):
        texts = [_text(moment, "D") for moment in moments]
        if len(moments) == 1:
            return DateTicks(places, texts, "")
        for ending in ("-01-01", "-01"):
            if all(text.endswith(ending) for text in texts):
                return DateTicks(places, [text.removesuffix(ending) for text in texts], "")
        years = _from_to(_text(min(*moments, *ends), "Y"), _text(max(*moments, *ends), "Y"))
        return DateTicks(places, [text[-5:] for text in texts], years)
    unit, digits = ("m", 5) if all(moment % (60 * _SECOND) == 0 for moment in exact) else ("s", 8)
    if any(moment % _SECOND for moment in exact):
        unit, digits = ("ms", 12) if all(moment % 1000 == 0 for moment in exact) else ("us", 15)
    texts = [_text(moment, unit) for moment in moments]
    days = [_text(end, "D") for end in ends]
    if days[0] == days[1]:
        return DateTicks(places, [text[-digits:] for text in texts], days[0])
    return DateTicks(places, [text[-digits - 6 :] for text in texts], _from_to(days[0][:-6], days[1][:-6]))


def _text(moment: int, unit: str) -> str:
    """A moment to the day, minute, ..., as ISO 8601 has it, but for its T."""
    return str(np.datetime64(moment, "us").astype(f"datetime64[{unit}]")).replace("T", " ")


def _from_to(first: str, last: str) -> str:
    return first if first == last else f"{first} to {last}"
