"""The last run of each stage, as its log tells it."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.paths import LOGS

_RECORD = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (\w+) (\S+): (.*)")
_DONE = re.compile(r"done in ([\d.]+) s, peak memory ([\d.]+) MiB")
_STEP = re.compile(r"(.+): ([\d.]+) s")
_TAIL = 256 * 1024
"""Bytes of a log that are read: it is appended to for ever."""


class StageRun(NamedTuple):
    """The last run of a stage that its log knows.

    Attributes:
        stage: as train@iris.
        begun: when, in local time; of a run that did not end well, the time of its first line.
        seconds: how long it took; None where it did not end well.
        peak_mib: the most memory that it held at once, in MiB; None likewise.
        error: the last error; "" where there is none.
        steps: what took longest, with seconds, longest first.
        lines: of the log.
    """

    stage: str
    begun: datetime
    seconds: float | None
    peak_mib: float | None
    error: str
    steps: list[tuple[str, float]]
    lines: list[str]


def last_run(stage: str) -> StageRun | None:
    """The last run of ``stage``; None if there is no log of one."""
    path = LOGS / f"{stage}.log"
    lines = _tail(path) if path.exists() else []
    records = [(number, match) for number, line in enumerate(lines) if (match := _RECORD.fullmatch(line))]
    if not records:
        return None
    ends = [number for number, record in records if _DONE.fullmatch(record[4])]
    last_line, last = records[-1]
    done = _DONE.fullmatch(last[4])
    if done:
        begun = _time(last) - timedelta(seconds=float(done[1]) + 0.1)  # it is written with a tenth of a second
        after = ends[-2] if len(ends) > 1 else -1
        first = next(number for number, record in records if number > after and _time(record) >= begun)
        lines = lines[first : last_line + 1]
    else:
        first = next(number for number, _ in records if number > (ends[-1] if ends else -1))
        lines = lines[first:]
        begun = _time(dict(records)[first])
    ours = [record for number, record in records if number >= first]
    errors = [record[4] for record in ours if record[2] in ("ERROR", "CRITICAL")]
    return StageRun(
        stage,
        begun,
        float(done[1]) if done else None,
        float(done[2]) if done else None,
        "" if done or not errors else errors[-1],
        sorted(_steps(record[4] for record in ours), key=lambda step: -step[1]),
        lines,
    )


def last_seconds(stage: str) -> float | None:
    """How long the last run of ``stage`` took that ended well; None if its log knows none."""
    path = LOGS / f"{stage}.log"
    found = [_DONE.search(line) for line in _tail(path)] if path.exists() else []
    done = [match for match in found if match]
    return float(done[-1][1]) if done else None


def _steps(messages: Iterator[str]) -> Iterator[tuple[str, float]]:
    for message in messages:
        if step := _STEP.fullmatch(message):
            yield step[1], float(step[2])


def _time(record: re.Match[str]) -> datetime:
    return datetime.strptime(record[1], "%Y-%m-%d %H:%M:%S,%f")  # noqa: DTZ007 - the log's local time, shown as such


def _tail(path: Path) -> list[str]:
    """The last lines of a file, whole ones."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - _TAIL, 0))
        text = file.read().decode("utf-8", "replace")
    return text.splitlines()[1 if size > _TAIL else 0 :]
