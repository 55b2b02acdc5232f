"""Finds the columns of dates, and how these are written: ``2024-01-31``, ``31.01.2024 17:30``, ``Jan 31, 2024``, ...

A form is found only if all cells of a column have it. Whether the day or the month comes first, the whole column tells:
one day above 12 does. Where it does not, where cells are written in several ways, or years have two digits, the column
stays text, and what is doubtful is said, with the flag that decides it. Numbers are dates only if the user says so.
"""

import itertools
import re
import shlex
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Literal, NamedTuple, get_args

from lockstep.intake.detecting.formatted_numbers import (
    A_FEW,
    MAX_UNLISTED_WORDS,
    MISSING_WORDS,
    NEARLY_ALL,
    SYMBOLS,
    distinct_cells,
)
from lockstep.kernel.errors import DataError, plural, some
from lockstep.kernel.log import counted
from lockstep.reading.column_types import Format, as_bool, is_in
from lockstep.reading.date_formats import (
    ISO,
    Epoch,
    are_days,
    dates_of,
    dates_of_numbers,
    have_offset,
    problem_of_format,
)
from lockstep.reading.number_marks import Marks
from lockstep.tables.dates import shown_date

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_SAMPLE = 20
"""So many distinct cells from all over the column tell which forms to try."""
EPOCHS = [epoch for epoch in get_args(Epoch) if epoch]
DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d"),
    *(f"{first}{mark}{second}{mark}%Y" for mark in "/.-" for first, second in (("%d", "%m"), ("%m", "%d"))),
    *("%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%d. %b %Y", "%b %d, %Y", "%b %d %Y", "%b-%Y", "%b %Y"),
    *("%d %B %Y", "%d-%B-%Y", "%d. %B %Y", "%B %d, %Y", "%B %d %Y", "%B-%Y", "%B %Y"),
)
MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y")
LONG = (
    *("%a, %d %b %Y", "%A, %d %B %Y", "%A, %B %d, %Y"),
    *("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y", "%a, %d %b %Y %H:%M:%S %z"),
)
TIMES = ("", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%H:%M%z", "%H:%M:%S%z", "%H:%M:%S %z")
SHORT_YEARS = (
    *(f"{first}{mark}{second}{mark}%y" for mark in "/.-" for first, second in (("%d", "%m"), ("%m", "%d"))),
    *("%d-%b-%y", "%d %b %y", "%b-%y"),
)
"""The century is not told: a date of birth is read as one to come."""
_DIRECTIVES = {
    "%Y": "[0-9]{4}",
    "%a": "[A-Za-z]{3}",
    "%A": "[A-Za-z]{6,9}",
    "%b": "[A-Za-z]{3}",
    "%B": "[A-Za-z]{3,9}",
    "%p": "[AaPp][Mm]",
    "%f": "[0-9]{1,6}",
    "%z": "(?:Z|[+-][0-9]{2}:?[0-9]{2})",
    **dict.fromkeys(("%d", "%m", "%H", "%I"), "[0-9]{1,2}"),
    **dict.fromkeys(("%y", "%M", "%S"), "[0-9]{2}"),
}
_NEVER = r"(?:^|[^0-9])(?:0000|0001|9999)(?:[^0-9]|$)|^(?:0000|0001|9999)[0-9]{4}"
"""Years that stand for a missing date."""


class DateForm(NamedTuple):
    """How a column of dates is read.

    Attributes:
        form: how its cells are written.
        type: date, or datetime if its cells have a time of day.
        words: {word for a missing value: how often it occurs}, besides those that are usual.
        example, read: a cell, and the date that it is read as.
        converted: whether its times say an offset from UTC.
    """

    form: Format
    type: Literal["date", "datetime"]
    words: dict[str, int]
    example: str
    read: str
    converted: bool


def zoned_date_forms(frame: pd.DataFrame, usual: Format) -> dict[str, DateForm]:
    """Of a table that is no text, the columns of times that have a time zone."""
    found = {}
    for name in frame:
        first = next(iter(frame[name].dropna()[:1]), None)
        if isinstance(first, datetime) and first.tzinfo is not None:
            read = shown_date(np.datetime64(first.astimezone(UTC).replace(tzinfo=None), "us"))
            found[str(name)] = DateForm(
                usual._replace(marks=Marks(offset=True)), "datetime", {}, str(first), read, True
            )
    return found


def find_date_forms(
    columns: Mapping[str, pa.Array],
    usual: Format,
    lines: np.ndarray,
    *,
    given: Mapping[str, str],
    texts: Collection[str] = (),
    place: Literal["line", "row"] = "line",
) -> tuple[dict[str, DateForm], list[str]]:
    """Find the columns of dates.

    Args:
        columns: {name: (n_rows,) its cells, texts}.
        usual: how numbers and missing values are written in the file.
        lines: (n_rows,) the line on which each row begins, or its number, as ``place`` says.
        given: {column: its format}, of those that the user declares to be of dates.
        texts: columns that the user declares to be texts.
        place: what messages count.

    Returns:
        ({name: how it is read}, warnings of columns that stay text, though they seem to be of dates)

    Raises:
        DataError: a column that is declared to be of dates is not all of the given format.
    """
    found, warnings = {}, []
    for name, cells in counted(columns.items(), "columns"):
        if name in texts:
            continue
        held = _Cells(cells, usual, lines, place)
        if name in given:
            found[name] = _declared(held, name, usual, given[name])
        elif isinstance(one := _find(held, name, usual), DateForm):
            found[name] = one
        elif one:
            warnings.append(one)
    return found, warnings


def formats_that_read(texts: pd.Series) -> list[str]:
    """The formats, as --dates takes them, of which each reads all texts of a column, (n,) without missing ones, as
    dates."""
    held = _Cells(pa.array(texts.astype("str"), pa.large_string()), Format(), np.arange(len(texts)), "row")
    places = np.arange(len(held.distinct))
    sample = held.distinct.take(pa.array(places[:: 1 + len(places) // _SAMPLE]))
    found = [pattern for pattern in _forms_of(sample) if not np.isnat(held.dates(pattern)).any()]
    return ["iso" if pattern == ISO else pattern for pattern in found]


def date_format(text: str) -> str:
    """The format that the user gives, as a contract has it, or one of EPOCHS. Raises DataError if it is none."""
    if text in EPOCHS:
        return text
    pattern = ISO if text in ("iso", ISO) else text
    if problem := problem_of_format(pattern):
        raise DataError(
            f"--dates: the format {text!r} cannot be used: {problem}. Allowed: iso, a pattern such as %d.%m.%Y or "
            f"'%m/%d/%Y %H:%M', {', '.join(EPOCHS)}."
        )
    return pattern


class _Cells:
    """The cells of a column.

    Attributes:
        distinct: (n,) those that are not empty or a usual word for a missing value.
        counts: (n,) how often each occurs.
        never: (n,) whether each only stands for a missing value.
    """

    def __init__(self, cells: pa.Array, usual: Format, lines: np.ndarray, place: str) -> None:
        self.trimmed, self.lines, self.place = pc.utf8_trim_whitespace(cells), lines, place
        self.distinct, self.counts = distinct_cells(self.trimmed, usual)
        is_word = pc.or_(is_in(self.distinct, SYMBOLS), is_in(pc.utf8_lower(self.distinct), MISSING_WORDS))
        self.never = as_bool(pc.or_(is_word, pc.match_substring_regex(self.distinct, _NEVER)))
        if self.never.sum() > MAX_UNLISTED_WORDS:
            self.never[:] = as_bool(is_word)

    def dates(self, pattern: str) -> np.ndarray:
        """(n,) the dates that the distinct cells are by a format, NaT where one is none."""
        if pattern == ISO:
            return dates_of(self.distinct, ISO)
        fits = pc.match_substring_regex(self.distinct, _regex(pattern).pattern)
        return dates_of(pc.if_else(fits, self.distinct, pa.scalar(None, self.distinct.type)), pattern)

    def where(self, mask: np.ndarray) -> str:
        """In words, the lines of the distinct cells in ``mask``, (n,), and the first of them."""
        cells = self.distinct.filter(pa.array(mask))
        at = np.flatnonzero(as_bool(pc.is_in(self.trimmed, cells)))
        shown = f"{self.place}{'s'[: len(at) > 1]} {some(self.lines[at].tolist())}"
        return f"{shown}, the first {self.trimmed[int(at[0])].as_py()[:40]!r}"


def _find(held: _Cells, name: str, usual: Format) -> DateForm | str | None:
    """How a column of dates is read, or what to say of it; None: it is hardly one of dates."""
    wanted = ~held.never
    places = np.flatnonzero(wanted)
    sample = held.distinct.take(pa.array(places[:: 1 + len(places) // _SAMPLE]))
    if held.counts[wanted].sum() < A_FEW or pc.all(pc.match_substring_regex(sample, usual.number)).as_py():
        return None
    tried = {pattern: held.dates(pattern) for pattern in _forms_of(sample)}
    whole = {pattern: dates for pattern, dates in tried.items() if not np.isnat(dates[wanted]).any()}
    if not whole:
        return _nearly(held, name, tried)
    (pattern, dates), *others = whole.items()
    if pattern in MONTHS and _are_seasons(dates[wanted]):
        return None
    if "%y" in pattern:
        flags = _flags(name, whole)
        return f"'{name}' is text: its dates have years of two digits, which {flags} reads as 1969 to 2068"
    if any(not np.array_equal(other[wanted], dates[wanted]) for _, other in others):
        what = f"no day is above 12, so that day and month cannot be told apart ({held.where(wanted)})"
        return f"'{name}' is text: it seems to hold dates, but {what}; say it with {_flags(name, whole)}"
    return _form(held, usual, pattern, dates)


def _are_seasons(dates: np.ndarray) -> bool:
    """Whether months are the last digits of the next year throughout: 2009-10 and 2010-11 are seasons, no months."""
    years = dates.astype("datetime64[Y]").astype("int64") + 1970
    months = dates.astype("datetime64[M]").astype("int64") % 12 + 1
    return bool(((years + 1) % 100 == months).all())


def _forms_of(sample: pa.Array) -> list[str]:
    """The formats that one of the cells has."""
    cells = sample.to_pylist()
    iso = [ISO] if not np.isnat(dates_of(sample, ISO)).all() else []
    marks = ("T", " ", ", ")
    long = [f"{day}{mark}{time}" for day in DAYS for time in TIMES for mark in (marks if time else ("",))]
    patterns = [*long, *MONTHS, *LONG, *SHORT_YEARS]
    return [*iso, *(one for one in patterns if any(map(_regex(one).match, cells)))]


@cache
def _regex(pattern: str) -> re.Pattern[str]:
    parts = re.split("(%[A-Za-z])", pattern)
    return re.compile(f"^{''.join(_DIRECTIVES.get(part, re.escape(part)) for part in parts)}$")


def _nearly(held: _Cells, name: str, tried: Mapping[str, np.ndarray]) -> str | None:
    """What to say of a column in which not all cells are dates of one form; None if few are."""
    wanted = ~held.never
    share = {pattern: held.counts[wanted & ~np.isnat(dates)].sum() for pattern, dates in tried.items()}
    n_cells, in_any = held.counts[wanted].sum(), np.zeros(len(wanted), dtype=bool)
    for dates in tried.values():
        in_any |= ~np.isnat(dates)
    if not tried or held.counts[in_any].sum() < NEARLY_ALL * n_cells:
        return None
    best = max(share, key=lambda pattern: share[pattern])
    others = wanted & np.isnat(tried[best])
    rivals = [
        pattern
        for pattern, dates in tried.items()
        if share[pattern] >= NEARLY_ALL * share[best] and not np.array_equal(dates[wanted], tried[best][wanted], True)
    ]
    if rivals:
        ways = [
            f"{share[pattern]:,} of its {n_cells:,} cells are dates as {_shown(pattern)} says, all but "
            f"{held.where(wanted & np.isnat(tried[pattern]))}"
            for pattern in (best, *rivals[:1])
        ]
        return (
            f"'{name}' is text, since its dates seem to be written in two ways: {'; and '.join(ways)}. Write them in "
            "one way in the file"
        )
    return (
        f"'{name}' is text, though {share[best]:,} of its {n_cells:,} cells are dates written as "
        f"{_shown(best)} says: the others are not, {held.where(others)}. Write them in one way "
        "in the file; if they mean a missing value, name them with --missing"
    )


def _shown(pattern: str) -> str:
    return "ISO 8601" if pattern == ISO else pattern


def _flags(name: str, patterns: Collection[str]) -> str:
    return " or ".join(f"--dates {shlex.quote(f'{name}={pattern}')}" for pattern in patterns)


def _declared(held: _Cells, name: str, usual: Format, text: str) -> DateForm:
    pattern = date_format(text)
    if pattern in EPOCHS:
        plain = usual.plain(pc.if_else(pc.match_substring_regex(held.distinct, usual.number), held.distinct, "nan"))
        dates = dates_of_numbers(pc.cast(plain, pa.float64()).to_numpy(), pattern)  # type: ignore[arg-type]
    else:
        dates = dates_of(held.distinct, pattern)
    wrong = np.isnat(dates) & ~held.never
    if wrong.any() or np.isnat(dates).all():
        where = held.where(wrong) if wrong.any() else "all of them"
        count = int(held.counts[wrong].sum())
        what = "is no such date" if count == 1 else "are no such dates"
        raise DataError(
            f"--dates {name}={text}: {plural(count, 'cell')} {what}, {where}. Correct them; if they mean a missing "
            "value, name them with --missing; or give another format."
        )
    return _form(held, usual, pattern, dates)


def _form(held: _Cells, usual: Format, pattern: str, dates: np.ndarray) -> DateForm:
    is_word = np.isnat(dates)
    words = dict(zip(held.distinct.filter(pa.array(is_word)).to_pylist(), held.counts[is_word].tolist(), strict=True))
    cells, present = held.distinct.filter(pa.array(~is_word)), dates[~is_word]
    form = usual._replace(missing=(*usual.missing, *words))
    if pattern in EPOCHS:
        form, zoned = form._replace(marks=Marks(epoch=pattern)), False  # type: ignore[arg-type]
    else:
        zoned = bool(have_offset(cells, pattern).all())
        form = form._replace(dates=pattern, marks=Marks(offset=zoned and pattern == ISO))
    has_time = "%H" in pattern or "%I" in pattern
    has_time |= pattern == ISO and bool(pc.any(pc.match_substring_regex(cells, "[T ]")).as_py())
    example = int(np.argmax([_tells(date) for date in itertools.islice(present, _SAMPLE)]))
    kind: Literal["date", "datetime"] = "date" if not has_time and are_days(present).all() else "datetime"
    return DateForm(form, kind, words, cells[example].as_py(), shown_date(present[example]), zoned)


def _tells(date: np.datetime64) -> bool:
    """Whether a date shows which of its numbers is the day."""
    return int(str(date)[8:10]) > 12
