"""Draws a record of batches over time: one HTML file that needs no other, and that no stage makes or reads."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from lockstep.deployment.watching.record import RECORD_COLUMNS
from lockstep.kernel.errors import plural
from lockstep.steps.reporting.figures import Axis, Line, lines
from lockstep.steps.reporting.page import watch_page
from lockstep.steps.reporting.wording import visible

_DAY = 86_400
_SHARES = {"odd_share": "Share of odd rows", "columns_shifted": "Columns that shifted"}


class _BatchRow(NamedTuple):
    """A line of the record, as the template shows it."""

    date: str
    file: str
    rows: str
    shifted: str
    odd_share: str
    verdict: str
    metrics: list[str]


class Picture(NamedTuple):
    """A drawing and its title."""

    title: str
    svg: str


def history_page(problem: str, record: Sequence[Mapping[str, str]]) -> str:
    """The page of a problem's record, which has one line at least."""
    in_time = sorted(record, key=lambda line: _seconds(line["date"]))
    metrics = [name for name in in_time[0] if name not in RECORD_COLUMNS]
    titles = _SHARES | {name: visible(name) for name in metrics}
    batches = [_batch(line, metrics) for line in reversed(in_time)]
    pictures = [
        Picture(title, _drawn(f"watch-{place}", title, in_time, name))
        for place, (name, title) in enumerate(titles.items())
        if any(line[name] for line in in_time)
    ]
    return watch_page(visible(problem), summary(record), [visible(name) for name in metrics], batches, pictures)


def summary(record: Sequence[Mapping[str, str]]) -> str:
    """How many batches there are, and what the last one in time was found to be."""
    last = max(record, key=lambda line: _seconds(line["date"]))
    return f"{plural(len(record), 'batch')}, the last of {visible(last['date'])}: {visible(last['verdict'])}"


def _batch(line: Mapping[str, str], metrics: Sequence[str]) -> _BatchRow:
    return _BatchRow(
        date=visible(line["date"]),
        file=visible(line["file"], 60),
        rows=f"{int(line['rows']):,}",
        shifted=line["columns_shifted"] + (", predictions too" if line["predictions"] else ""),
        odd_share=f"{float(line['odd_share']):.1%}" if line["odd_share"] else "",
        verdict=visible(line["verdict"]),
        metrics=[f"{float(line[name]):.4g}" if line[name] else "" for name in metrics],
    )


def _drawn(name: str, title: str, record: Sequence[Mapping[str, str]], column: str) -> str:
    points = [(_seconds(line["date"]) / _DAY, float(line[column])) for line in record if line[column]]
    days, values = zip(*points, strict=True)
    alt = f"{title} of {plural(len(points), 'batch')} over time, from {min(values):.4g} to {max(values):.4g}"
    return lines(name, alt, [Line("", days, values, marks=True)], Axis("Date", dates=True), Axis(title))


def _seconds(date: str) -> float:
    """Since 1970, of a date or time as ``watch`` takes it; one without a zone counts as UTC."""
    moment = datetime.fromisoformat(date)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
