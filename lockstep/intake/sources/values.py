"""Columns of typed values, as cells of a workbook, JSON and databases hold them, to columns of a snapshot.

Each value keeps its type: a text of digits stays a text, a number is never written out and read again. A column has one
type; what could be rounded, or be of two types, is refused, or decided and said.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.kernel.errors import DataError, did_you_mean, plural, some
from lockstep.reading.column_types import EXACT_FLOAT, MISSING

import pyarrow as pa
import pyarrow.parquet as pq


class Origin(NamedTuple):
    """Where values come from, for messages.

    Attributes:
        name: of the source: ``book.xlsx, sheet 'Sales'``.
        place: where the value of a row, from 0, and a column, from 0, stands: ``cell B7``.
        remedy: what to do about a column of several types.
    """

    name: str
    place: Callable[[int, int], str]
    remedy: str


def snapshot_table(
    columns: Mapping[str, Sequence[Any]], origin: Origin, *, missing: Collection[str] | None, texts: Collection[str]
) -> tuple[pa.Table, list[str]]:
    """The columns with one type each.

    Args:
        columns: {name: (n_rows,) values}; None where there is none.
        origin: of the values.
        missing: words for a missing value in a column of another type than text; None: the usual ones.
        texts: columns that the user says are texts, whatever they hold.

    Returns:
        (the table, in words what was decided of which column)

    Raises:
        DataError: a column of several types, or of one that no table has; infinite numbers; a name of ``texts`` that
            is no column.
    """
    for name in texts:
        if name not in columns:
            there = f"There are: {some(columns, 20)}.{did_you_mean(name, columns)}"
            raise DataError(f"--text: {origin.name} has no column '{name}'. {there}")
    words, made, notes = MISSING if missing is None else missing, {}, list[str]()
    for number, (name, values) in enumerate(columns.items()):
        made[name], found = _column(values, name, number, origin, words, is_text=name in texts)
        notes += found
    return pa.table(made), notes


def write_snapshot(table: pa.Table, path: Path) -> None:
    """Write ``table`` as parquet; the bytes depend on the columns, their names and their order alone."""
    pq.write_table(table.replace_schema_metadata(None), path, compression="zstd", write_page_checksum=True)


def _column(
    values: Sequence[Any], name: str, number: int, origin: Origin, words: Collection[str], *, is_text: bool
) -> tuple[pa.Array, list[str]]:
    """(the column, what was decided of it)"""
    notes: list[str] = []
    kinds = [_kind(value) for value in values]
    if is_text:
        values = [None if kind is None else _written(value) for value, kind in zip(values, kinds, strict=True)]
        return _texts(values, name, number, origin), []
    counts = Counter(kind for kind in kinds if kind is not None)
    if len(counts) == 2 and "text" in counts:
        texts = {value for value, kind in zip(values, kinds, strict=True) if kind == "text"}
        if all(text.strip() in words for text in texts):
            shown = some(map(repr, sorted(texts)))
            notes.append(
                f"'{name}': {shown} is missing ({plural(counts.pop('text'), 'cell')}; --missing WORD ... says which)"
            )
            kinds = [None if kind == "text" else kind for kind in kinds]
    if len(counts) > 1 or not {"number", "text", "date", "boolean"}.issuperset(counts):
        raise _mixed(values, kinds, counts, name, number, origin)
    values = [None if kind is None else value for value, kind in zip(values, kinds, strict=True)]
    match next(iter(counts), None):
        case "number":
            return _numbers(values, name, number, origin, notes), notes
        case "date":
            return _dates(values, name, number, origin, notes), notes
        case "boolean":
            return pa.array(values, pa.bool_()), notes
        case "text":
            return _texts(values, name, number, origin), notes
    return pa.array(values, pa.float64()), notes  # nothing is there


def _kind(value: Any) -> str | None:
    """The type of a value as columns have it; None: it is missing; the name of Python's for what no column holds."""
    match value:
        case None | "":
            return None
        case bool():
            return "boolean"
        case float() | Decimal():
            return None if math.isnan(value) else "number"
        case int():
            return "number"
        case str():
            return "text"
        case date():  # also a datetime
            return "date"
    return type(value).__name__


def _written(value: Any) -> str:
    """A value as a text, where the user asks for texts; whole numbers without a fraction, whatever holds them."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT_FLOAT:
        return str(int(value))
    return value.isoformat() if isinstance(value, date) else str(value)


def _mixed(
    values: Sequence[Any], kinds: Sequence[str | None], counts: Counter[str], name: str, number: int, origin: Origin
) -> DataError:
    """What to raise for a column of several types, or of one that no column has; the rarest first, with a value."""
    shown = []
    for kind, count in sorted(counts.items(), key=lambda item: item[1]):
        row = kinds.index(kind)
        shown.append(f"{kind} ({count:,}, such as {str(values[row])[:40]!r} in {origin.place(row, number)})")
    what = (
        f"{origin.name}: column '{name}' holds {' and '.join(shown)}; a column is of numbers, texts, dates or booleans"
    )
    return DataError(f"{what}. {origin.remedy}; or, to read all of it as texts, give --text '{name}'.")


def _texts(values: Sequence[str | None], name: str, number: int, origin: Origin) -> pa.Array:
    r"""Texts as they are; DataError for half of a pair of UTF-16, which JSON can hold as an escape ``\ud800``."""
    try:
        return pa.array(values, pa.large_string())
    except UnicodeEncodeError as error:
        row = values.index(error.object)
        raise DataError(
            f"{origin.name}: the text of column '{name}' in {origin.place(row, number)} holds half of a pair of "
            "UTF-16, which is no character. Correct it."
        ) from None


def _numbers(values: Sequence[Any], name: str, number: int, origin: Origin, notes: list[str]) -> pa.Array:
    """Whole numbers as such, others as float64; texts, where one of these would not be exact."""
    present = [value for value in values if value is not None]
    for row, value in enumerate(values):
        if value is not None and math.isinf(value):
            raise DataError(
                f"{origin.name}: column '{name}' has an infinite number in {origin.place(row, number)}. Correct it."
            )
    whole = all(map(_is_whole, present))
    most = 2**63 - 1 if whole and len(present) == len(values) else EXACT_FLOAT
    if any(_is_whole(value) and abs(value) > most for value in present):
        notes.append(
            f"'{name}' is read as text: whole numbers beyond 2^53 are not exact"
            + (" beside missing ones or fractions" if most == EXACT_FLOAT else " beyond 64 bits")
        )
        written = [None if value is None else str(int(value) if _is_whole(value) else value) for value in values]
        return pa.array(written, pa.large_string())
    if whole and any(abs(value) > EXACT_FLOAT for value in present):
        notes.append(
            f"'{name}' has whole numbers beyond 2^53, which models see rounded; if these are codes, --text '{name}' "
            "keeps them as they are"
        )
    kind, convert = (pa.int64(), int) if whole else (pa.float64(), float)
    return pa.array([None if value is None else convert(value) for value in values], kind)


def _is_whole(value: float | Decimal) -> bool:
    """Whether a number is written without a fraction; a float, which may be rounded, is not taken for one."""
    return isinstance(value, int) or (isinstance(value, Decimal) and value == value.to_integral_value())


def _dates(values: Sequence[Any], name: str, number: int, origin: Origin, notes: list[str]) -> pa.Array:
    """Days, or times in microseconds: in UTC, if they have an offset."""
    times = [value for value in values if isinstance(value, datetime)]
    if not times:
        return pa.array(values, pa.date32())
    rows = {isinstance(value, datetime) and value.tzinfo is not None: row for row, value in enumerate(values) if value}
    if len(rows) > 1:
        raise DataError(
            f"{origin.name}: column '{name}' has times with a time zone ({origin.place(rows[True], number)}) and "
            f"without one ({origin.place(rows[False], number)}). Make them alike."
        )
    if True in rows:
        notes.append(f"'{name}': times with a time zone are converted to UTC")
        return pa.array([value and value.astimezone(UTC) for value in values], pa.timestamp("us", "UTC"))
    midnight = [
        datetime(value.year, value.month, value.day)  # noqa: DTZ001 # as the others in this column
        if value and not isinstance(value, datetime) else value
        for value in values
    ]  # fmt: skip
    return pa.array(midnight, pa.timestamp("us"))
