"""Compares two tables: which rows and columns changed, and whether the distribution of a column shifted."""

from collections.abc import Sequence
from typing import Any, Final, Literal, NamedTuple

from lockstep.comparing.tables.row_matching import RowChanges, TableRows, kind_of, match_rows, scalar
from lockstep.comparing.verdicts import ALPHA, Target
from lockstep.kernel.log import counted, heartbeat
from lockstep.steps.splitting.two_samples import Codes, Difference, holm, missing_differ, shared_codes, values_differ
from lockstep.tables.dates import date_of, numbers_of
from lockstep.tables.table import Table, column_type

import msgspec
import numpy as np
import pandas as pd
from msgspec.structs import replace

SHOWN_CATEGORIES = 5
"""How many new and vanished categories are spelled out."""
UNCHANGED: Final = "unchanged"
SHIFTED: Final = "shifted"
NO_SHIFT: Final = "no detectable shift"
NOT_TESTED: Final = "not tested"


class ColumnType(msgspec.Struct, frozen=True):
    """A column of one table."""

    column: str
    type: str


class Retyped(msgspec.Struct, frozen=True):
    """A column of both tables, and its types."""

    column: str
    before: str
    after: str


class ColumnChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the columns; ``compared`` are those that both tables have with one type."""

    added: tuple[ColumnType, ...]
    removed: tuple[ColumnType, ...]
    retyped: tuple[Retyped, ...]
    reordered: bool
    compared: tuple[str, ...]


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """Missing cells of a column: their shares, None of no rows, and their numbers.

    Attributes:
        p: of the test whether the share shifted, None where nothing can be tested.
        p_adjusted: the same corrected for all tests of the problem (Holm).
    """

    before: float | None
    after: float | None
    cells_before: int
    cells_after: int
    p: float | None
    p_adjusted: float | None = None


class ColumnRange(msgspec.Struct, frozen=True):
    """The numbers of a column, or its dates, as texts."""

    min: Any
    mean: float | str
    max: Any


class Ranges(msgspec.Struct, frozen=True):
    """The numbers of a column in both tables; None where it has none."""

    before: ColumnRange | None
    after: ColumnRange | None


class Level(msgspec.Struct, frozen=True):
    """A category, and the number of its rows."""

    value: Any
    rows: int


class Levels(msgspec.Struct, frozen=True):
    """Categories that one table has: their number, and the most frequent of them."""

    count: int
    first: tuple[Level, ...]


class Categories(msgspec.Struct, frozen=True, kw_only=True):
    """The number of a column's categories, and those that one table has alone."""

    before: int
    after: int
    new: Levels
    vanished: Levels


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """The test whether the distribution of a column's values shifted; ``p_adjusted`` as in Missing.

    Attributes:
        effect, size: what measures the difference, and how large it is, 0 to 1.
    """

    test: str
    effect: str
    size: float
    p: float
    p_adjusted: float | None = None


class ColumnComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A column that both tables have.

    Attributes:
        type: in the table after.
        range: of a column of numbers or dates.
        categories: of a column of texts, booleans or classes.
        values: None where the values are not tested, for the reason ``why_not_tested``.
    """

    column: str
    type: str
    same_values: bool
    missing: Missing
    range: Ranges | None = None
    categories: Categories | None = None
    values: Shift | None = None
    why_not_tested: str | None = None
    verdict: Literal["shifted", "no detectable shift", "not tested"] = NOT_TESTED


class TargetChange(msgspec.Struct, frozen=True):
    """The target; ``shift`` is its column, where it is the same in both tables."""

    before: Target
    after: Target
    shift: ColumnComparison | None


class UnreadColumns(msgspec.Struct, frozen=True):
    """Columns that load.drop leaves out of a revision's table, and why they could not be read from the raw file: no row
    can be matched by them."""

    revision: str
    columns: tuple[str, ...]
    reason: str


class Side(NamedTuple):
    """A table, and what its raw file has beside: the columns that load.drop leaves out, indexed as the table is."""

    table: Table
    dropped: pd.DataFrame

    @property
    def rows(self) -> TableRows:
        """Its rows, to be matched."""
        return TableRows(self.table.frame, self.dropped, self.table.target)


class TableChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one table to another.

    Attributes:
        features: the columns that both have, without the target.
        unread: dropped columns that might have been keys.
    """

    status: Literal["changed", "reordered", "unchanged"]
    rows: RowChanges
    columns: ColumnChanges
    target: TargetChange
    features: tuple[ColumnComparison, ...]
    unread: tuple[UnreadColumns, ...] = ()


def compare_tables(before: Table | Side, after: Table | Side, key: str | None = None) -> TableChanges:
    """Compare two tables.

    Rows are matched by the column ``key``, or by a key where there is one, which may be a dropped column, else by
    content; cells are compared of the columns that both tables have with one type (whole and decimal numbers count as
    one). Order matters to neither.
    """
    first, second = (Side(side, side.frame[[]]) if isinstance(side, Table) else side for side in (before, after))
    before, after = first.table, second.table
    old, new = before.frame, after.frame
    shared = [str(name) for name in new if name in old]
    columns = _compare_columns(old, new, shared)
    with heartbeat(f"matching {len(old)} rows with {len(new)}"):
        codes = {name: shared_codes(old[name], new[name]) for name in counted(columns.compared, "columns")}
        rows = match_rows(first.rows, second.rows, list(codes.values()), key)
    key = rows.key.after if rows.key is not None and rows.key.before == rows.key.after else None
    classes = before.target if (before.target, before.task) == (after.target, "classification") else None
    with heartbeat("comparing columns"):
        found = [
            compare_column(old[name], new[name], codes[name], as_classes=name == classes, is_key=name == key)
            if name in codes
            else _retyped(old[name], new[name])
            for name in counted(shared, "columns")
        ]
    compared = with_verdicts(found)
    shift = {item.column: item for item in compared}.get(after.target) if before.target == after.target else None
    target = TargetChange(Target(before.target, before.task), Target(after.target, after.task), shift)
    changed = columns.added or columns.removed or columns.retyped or rows.added or rows.removed
    if changed or target.before != target.after or (rows.changed and rows.changed.count):
        status: Literal["changed", "reordered", "unchanged"] = "changed"
    else:
        status = "reordered" if rows.reordered or columns.reordered else UNCHANGED
    features = tuple(item for item in compared if item.column != after.target)
    return TableChanges(status=status, rows=rows, columns=columns, target=target, features=features)


def types_of(frame: pd.DataFrame) -> tuple[ColumnType, ...]:
    """The columns of a table and their types."""
    return tuple(ColumnType(str(name), kind_of(frame[name])) for name in frame)


def _compare_columns(old: pd.DataFrame, new: pd.DataFrame, shared: Sequence[str]) -> ColumnChanges:
    types = [Retyped(name, kind_of(old[name]), kind_of(new[name])) for name in shared]
    return ColumnChanges(
        added=types_of(new.drop(columns=list(shared))),
        removed=types_of(old.drop(columns=list(shared))),
        retyped=tuple(item for item in types if item.before != item.after),
        reordered=list(shared) != [name for name in old if name in new],
        compared=tuple(
            item.column for item in types if item.before.removeprefix("whole ") == item.after.removeprefix("whole ")
        ),
    )


def _compare_missing(old: pd.Series, new: pd.Series) -> Missing:
    before, after = int(old.isna().sum()), int(new.isna().sum())
    shares = [count / len(side) if len(side) else None for count, side in ((before, old), (after, new))]
    p = missing_differ(old, new)
    return Missing(before=shares[0], after=shares[1], cells_before=before, cells_after=after, p=p)


def _retyped(old: pd.Series, new: pd.Series) -> ColumnComparison:
    """A column whose cells cannot be compared, being of another type."""
    return ColumnComparison(
        column=str(new.name),
        type=kind_of(new),
        same_values=False,
        missing=_compare_missing(old, new),
        why_not_tested=f"{kind_of(old)} before, {kind_of(new)} now",
    )


def compare_column(
    old: pd.Series, new: pd.Series, codes: Codes, *, as_classes: bool = False, is_key: bool = False
) -> ColumnComparison:
    """Compare a column that both tables have with one type; ``with_verdicts`` judges it among the others.

    Args:
        old, new: its cells.
        codes: the same cells, encoded.
        as_classes: whether numbers are classes, whose order means nothing.
        is_key: whether it tells rows apart: its values are not tested then.
    """
    before, after = codes.counts()
    numbers = column_type(new) in ("number", "date")
    categorical = as_classes or not numbers
    values = "the key" if is_key else values_differ(old, new, codes, as_classes=as_classes)
    return ColumnComparison(
        column=str(new.name),
        type=kind_of(new),
        same_values=bool((before == after).all()),
        missing=_compare_missing(old, new),
        range=Ranges(_range(old), _range(new)) if numbers else None,
        categories=_categories(codes.levels, before[1:], after[1:], boolean=column_type(new) == "boolean")
        if categorical
        else None,
        values=Shift(**values._asdict()) if isinstance(values, Difference) else None,
        why_not_tested=values if isinstance(values, str) else None,
    )


def _range(column: pd.Series) -> ColumnRange | None:
    present = column.dropna()
    if present.empty:
        return None
    mean = float(numbers_of(present).mean())
    return ColumnRange(
        scalar(present.min()), date_of(mean) if column_type(column) == "date" else mean, scalar(present.max())
    )


def _categories(levels: np.ndarray, before: np.ndarray, after: np.ndarray, *, boolean: bool) -> Categories:
    """Count the categories; of those on one side only note the most frequent SHOWN_CATEGORIES."""

    def first(chosen: np.ndarray, rows: np.ndarray) -> Levels:
        picked = np.flatnonzero(chosen)
        least = np.sort(rows[picked])[-SHOWN_CATEGORIES:][0] if len(picked) else 0
        frequent = [
            Level(bool(levels[i]) if boolean else scalar(levels[i]), int(rows[i])) for i in picked if rows[i] >= least
        ]
        return Levels(
            len(picked), tuple(sorted(frequent, key=lambda level: (-level.rows, level.value))[:SHOWN_CATEGORIES])
        )

    return Categories(
        before=int((before > 0).sum()),
        after=int((after > 0).sum()),
        new=first((before == 0) & (after > 0), after),
        vanished=first((before > 0) & (after == 0), before),
    )


def with_verdicts(columns: Sequence[ColumnComparison], level: float = ALPHA) -> list[ColumnComparison]:
    """Correct the p-values of all tests together, and judge each column by its own; ``level`` is the chance that any
    column is called shifted by accident."""
    tests = [test for column in columns for test in (column.missing, column.values)]
    p_values = [None if test is None else test.p for test in tests]
    corrected = iter(holm([p for p in p_values if p is not None]))
    adjusted = iter([None if p is None else next(corrected) for p in p_values])
    return [_with_verdict(column, next(adjusted), next(adjusted), level) for column in columns]


def _with_verdict(
    column: ColumnComparison, p_missing: float | None, p_values: float | None, level: float
) -> ColumnComparison:
    shifted = any(p is not None and p <= level for p in (p_missing, p_values))
    return replace(
        column,
        missing=replace(column.missing, p_adjusted=p_missing),
        values=None if column.values is None else replace(column.values, p_adjusted=p_values),
        verdict=SHIFTED if shifted else NOT_TESTED if column.values is None else NO_SHIFT,
    )
