"""Draws a leaderboard as a page: a table that can be sorted, with the intervals drawn to one scale; one file that needs
no network."""

from typing import NamedTuple

from lockstep.comparing.leaderboard.ranking import Entry, Leaderboard, Leaderboards
from lockstep.comparing.leaderboard.words import (
    cross_validation,
    interval_text,
    made_as,
    names,
    note,
    notes,
    report,
    title_of,
    verdict,
)
from lockstep.comparing.recorded_evaluations import Interval
from lockstep.comparing.rendering import metric_value, visible
from lockstep.steps.reporting.page import leaderboard_page
from lockstep.steps.reporting.wording import size


class Drawn(NamedTuple):
    """A metric in a cell: its text, a note below it, and where it stands on the scale, in percent; None where it is
    undefined."""

    text: str
    note: str
    value: float | None
    low: float | None
    high: float | None


class _Row(NamedTuple):
    """A model, as the template shows it."""

    place: int | None
    is_best: bool
    names: str
    all_names: str
    changes: str
    cross_validation: Drawn
    test: Drawn
    verdict: str
    p: float | None
    size: str
    bytes: int | None


class _Section(NamedTuple):
    """A problem: its rows, the ends of the scale, and where the values of the entry that all are compared with stand on
    it; or why there are no rows."""

    problem: str
    title: str
    lines: list[str]
    rows: list[_Row]
    ends: tuple[str, str] | None
    against: int | None
    marks: tuple[float | None, float | None]


def page_of(found: Leaderboards) -> str:
    """The page, one HTML file that needs no other."""
    words = report(found, visible)
    blocks = zip(found.problems.items(), words.blocks, strict=True)
    sections = [
        _section(name, board)
        if isinstance(board, Leaderboard)
        else _Section(visible(name), block.title, list(block.lines), [], None, None, (None, None))
        for (name, board), block in blocks
    ]
    return leaderboard_page(words.title, sections, note(found))


def _section(name: str, board: Leaderboard) -> _Section:
    shown = [one for entry in board.entries for one in (entry.cross_validation, entry.test) if one is not None]
    numbers = [number for one in shown for number in (one.value, one.low, one.high) if number is not None]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)
    rows = [_row(entry, low, high) for entry in board.entries]
    marked = next((row for row in rows if row.place == board.compared_with and row.place is not None), None)
    return _Section(
        problem=visible(name),
        title=title_of(board),
        lines=notes(board, visible),
        rows=rows,
        ends=(metric_value(low), metric_value(high)) if numbers else None,
        against=board.compared_with,
        marks=(marked.cross_validation.value, marked.test.value) if marked else (None, None),
    )


def _row(entry: Entry, low: float, high: float) -> _Row:
    _, _, unranked = cross_validation(entry, visible).partition("\n")
    return _Row(
        place=entry.place,
        is_best=entry.is_best,
        names=names(entry, visible),
        all_names=", ".join(map(visible, entry.names)),
        changes=made_as(entry, visible),
        cross_validation=_drawn(entry.cross_validation, unranked, low, high),
        test=_drawn(entry.test, "", low, high),
        verdict=verdict(entry).replace("\n", " "),
        p=entry.p_holm,
        size="" if entry.model_size is None else size(entry.model_size),
        bytes=entry.model_size,
    )


def _drawn(found: Interval | None, note_below: str, low: float, high: float) -> Drawn:
    def place(number: float | None) -> float | None:
        # 3 % of room on either side, for the dot.
        return None if number is None else round(3 + 94 * (number - low) / ((high - low) or 1.0), 2)

    ends = (None, None, None) if found is None else (found.value, found.low, found.high)
    return Drawn(interval_text(found), note_below, *map(place, ends))
