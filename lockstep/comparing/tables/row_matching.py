"""Matches the rows of two tables, by a key or by content: which were added, removed, changed, moved."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from lockstep.steps.splitting.identifiers import NEARLY_UNIQUE, is_code, is_named_as_identifier
from lockstep.steps.splitting.two_samples import Codes, shared_codes
from lockstep.tables.dates import shown_date
from lockstep.tables.table import column_type

import msgspec
import numpy as np
import pandas as pd

EXAMPLES = 5
"""How many added, removed and changed rows are spelled out."""
IN_COMMON = 0.1
"""A key that is not named as an identifier is in so large a share of the rows of the smaller table in both."""


class Key(msgspec.Struct, frozen=True):
    """What rows are matched by.

    Attributes:
        before, after: the column's names.
        dropped: whether the setting load.drop leaves it out, before and after: it is in the raw file alone there.
    """

    before: str
    after: str
    dropped: tuple[bool, bool] = (False, False)


class CellChange(msgspec.Struct, frozen=True):
    """A cell of a row that both tables have."""

    column: str
    before: Any
    after: Any


class ChangedRow(msgspec.Struct, frozen=True):
    """A row that both tables have, by its key, and its changed cells."""

    key: Any
    cells: tuple[CellChange, ...]


class ChangedRows(msgspec.Struct, frozen=True):
    """The rows that both tables have and that changed: their number, changed cells by column, the first few rows."""

    count: int
    by_column: dict[str, int]
    examples: tuple[ChangedRow, ...]


class RowChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows of a table.

    Attributes:
        key: what rows are matched by, None where they are matched by content.
        before, after: the number of rows.
        same: the number of rows that both have with the same cells.
        reordered: whether those that both have are in another order, None where that is not known.
        added_row_numbers, removed_row_numbers: the first few, in the file after, and before.
        changed: None where rows are matched by content: a changed row then counts as one removed and one added.
    """

    key: Key | None
    before: int
    after: int
    added: int
    removed: int
    same: int
    reordered: bool | None
    added_row_numbers: tuple[int, ...]
    removed_row_numbers: tuple[int, ...]
    changed: ChangedRows | None


class TableRows(NamedTuple):
    """The rows of a table.

    Attributes:
        frame: (n_rows, n_columns) what was loaded.
        dropped: (n_rows, n_dropped) the columns of the raw file that load.drop leaves out.
        target: the column that is to be predicted, and is no key.
    """

    frame: pd.DataFrame
    dropped: pd.DataFrame
    target: str

    def columns(self) -> Iterator[tuple[str, pd.Series, bool]]:
        """(name, cells, whether it is dropped) of each that can be a key."""
        for frame in (self.frame, self.dropped):
            for name in map(str, frame):
                if name != self.target:
                    yield name, frame[name], frame is self.dropped


def kind_of(column: pd.Series) -> str:
    """Tell whole numbers from other numbers, beside booleans and texts."""
    return "whole number" if column.dtype.kind in "iu" else column_type(column)


def scalar(value: Any) -> Any:
    """Give a cell as JSON has it, a date as text; a missing one as None."""
    if isinstance(value, pd.Timestamp | np.datetime64):
        return None if pd.isna(value) else shown_date(value)
    value = value.item() if isinstance(value, np.generic) else value
    return None if value is None or value is pd.NA or value != value else value


class Matched(NamedTuple):
    """Rows of two tables, one to one.

    Attributes:
        positions: (n_rows_after,) of the row before, -1: there is none.
        key: what they are matched by, None: by content.
        values: (n_rows_after,) of the key.
    """

    positions: np.ndarray
    key: Key | None
    values: pd.Series | None

    @property
    def common(self) -> np.ndarray:
        """(n_common,) the positions after of the rows that both tables have."""
        return np.flatnonzero(self.positions >= 0)


def match_rows(before: TableRows, after: TableRows, columns: Sequence[Codes], key: str | None = None) -> RowChanges:
    """Match the rows of two tables, as ``find_matches`` does, and compare their cells."""
    match = find_matches(before, after, columns, key)
    if match.key is not None:
        reordered: bool | None = not _is_in_order(match)
    else:
        reordered = _content_reordered(match, *content_numbers(columns)) if columns else None
    return _row_changes(before, after, columns, match, reordered)


def find_matches(before: TableRows, after: TableRows, columns: Sequence[Codes], key: str | None = None) -> Matched:
    """Match the rows of two tables.

    A key is a column that names the rows: texts or whole numbers, nearly all different in one of the tables. It may be
    dropped, and be named otherwise in the other table. Of several, the one counts by which most cells are the same. One
    that only looks like a key does not, such as row numbers made anew when a row was removed: by it rows agree hardly
    more than any two rows do, while by content more rows are the same.

    Args:
        before, after: the tables.
        columns: those that both have with one type.
        key: the column, of both tables, to match by; None: the one that is found so, or else content.
    """
    if not columns:
        return Matched(np.full(len(after.frame), -1), None, None)
    content = content_numbers(columns)
    if key is not None:
        (old, old_dropped), (new, new_dropped) = (
            next((cells, dropped) for name, cells, dropped in rows.columns() if name == key) for rows in (before, after)
        )
        return _by_key(Key(key, key, (old_dropped, new_dropped)), of_one_type(old, new), content)
    found = [_by_key(candidate, values, content) for candidate, *values in _candidates(before, after)]
    scored = [(_same_cells(match, columns), match) for match in found if _is_in_common(match, before, after)]
    by_content = Matched(_pairs(*content), None, None)
    least = len(by_content.common) * len(columns)
    for same, match in sorted(scored, key=lambda item: (-item[0], *_order(item[1].key))):
        cells = len(match.common) * len(columns)
        if same >= least or same > (cells + _same_cells(match, columns, turn=1)) / 2:
            return match
    return by_content


def _candidates(before: TableRows, after: TableRows) -> Iterator[tuple[Key, pd.Series, pd.Series]]:
    """(a key, its values before and after, of one type)"""
    old = {name: (cells, dropped) for name, cells, dropped in before.columns() if _can_be_key(cells)}
    new = {name: (cells, dropped) for name, cells, dropped in after.columns() if _can_be_key(cells)}
    every_old, every_new = ({name for name, *_ in rows.columns()} for rows in (before, after))
    pairs = [(name, name) for name in new if name in old]
    pairs += [(a, b) for a in old for b in new if a not in every_new and b not in every_old]
    unique = {
        side: {name: _is_nearly_unique(cells) for name, (cells, _) in columns.items()}
        for side, columns in (("old", old), ("new", new))
    }
    for a, b in pairs:
        if (unique["old"][a] and unique["new"][b]) or (a == b and (unique["old"][a] or unique["new"][b])):
            (first, first_dropped), (second, second_dropped) = old[a], new[b]
            yield Key(a, b, (first_dropped, second_dropped)), *of_one_type(first, second)


def _can_be_key(cells: pd.Series) -> bool:
    """A date names no thing, but the row of a time series."""
    return column_type(cells) in ("text", "date") or is_code(cells)


def _is_nearly_unique(cells: pd.Series) -> bool:
    present = int(cells.notna().sum())
    return present >= len(cells) / 2 and cells.nunique() >= max(2, NEARLY_UNIQUE * present)


def of_one_type(old: pd.Series, new: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Two columns of codes or dates as they are, or as texts if one is: a code such as 007 makes a column of numbers
    one of texts."""
    if column_type(old) == column_type(new):
        return old, new
    return _as_text(old), _as_text(new)


def _as_text(cells: pd.Series) -> pd.Series:
    if column_type(cells) == "date":
        return cells.map(shown_date, na_action="ignore").astype("str")
    return cells if column_type(cells) == "text" else cells.astype("Int64").astype("str").where(cells.notna())


def _is_in_common(match: Matched, before: TableRows, after: TableRows) -> bool:
    assert match.key is not None
    named = is_named_as_identifier(match.key.before) or is_named_as_identifier(match.key.after)
    least = 1 if named else IN_COMMON * min(len(before.frame), len(after.frame))
    return len(match.common) >= max(1, least)


def _order(key: Key | None) -> tuple[bool, bool, bool]:
    """Of keys by which as many cells are the same, the first: named as an identifier, of one name, loaded."""
    assert key is not None
    return not is_named_as_identifier(key.after), key.before != key.after, any(key.dropped)


def _same_cells(match: Matched, columns: Sequence[Codes], turn: int = 0) -> int:
    """How many cells of the rows in common are the same; with ``turn``, of each with the row ``turn`` further."""
    after = match.common
    before = np.roll(match.positions[after], turn)
    return sum(int((codes.before[before] == codes.after[after]).sum()) for codes in columns)


def content_numbers(columns: Sequence[Codes]) -> tuple[np.ndarray, np.ndarray]:
    """(n_rows_before,) and (n_rows_after,) the number of each row's content: equal rows have equal numbers.

    Exact, not by a hash: the codes of the columns are the digits of one number, renumbered before it overflows.
    """
    n_before, span = len(columns[0].before), 1
    numbers = np.zeros(n_before + len(columns[0].after), dtype=np.int64)
    for codes in columns:
        size = len(codes.levels) + 1
        if span * size >= 2**62:
            numbers = pd.factorize(numbers)[0].astype(np.int64)
            span = int(numbers.max()) + 1
        numbers = numbers * size + np.concatenate([codes.before, codes.after])
        span *= size
    numbers = pd.factorize(numbers)[0].astype(np.int64)
    return numbers[:n_before], numbers[n_before:]


def _pairs(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(n_after,) the positions in ``before`` of equal numbers, of several the first for the first; -1 if there is none
    left."""
    numbers = pd.factorize(np.concatenate([before, after]))[0].astype(np.int64)  # small ones, to be multiplied
    before, after = numbers[: len(before)], numbers[len(before) :]
    counts = [pd.Series(numbers).groupby(numbers).cumcount().to_numpy() for numbers in (before, after)]
    size = max((int(count.max()) + 1 for count in counts if len(count)), default=1)
    found: np.ndarray = pd.Index(before * size + counts[0]).get_indexer(pd.Index(after * size + counts[1]))
    return found


def _by_key(key: Key, values: Sequence[pd.Series], content: tuple[np.ndarray, np.ndarray]) -> Matched:
    """Match by key, and by content as well where that tells rows of one key apart, then in order.

    Rows without a key are matched by content alone.
    """
    codes = shared_codes(*values)
    before, after = codes.before.astype(np.int64), codes.after.astype(np.int64)  # 32 bits would wrap below
    size = 1 + max((int(numbers.max()) for numbers in content if len(numbers)), default=0)
    positions = _pairs(before * size + content[0], after * size + content[1])
    open_before = np.flatnonzero(_without(len(before), positions) & (before > 0))
    open_after = np.flatnonzero((positions < 0) & (after > 0))
    found = _pairs(before[open_before], after[open_after])
    positions[open_after[found >= 0]] = open_before[found[found >= 0]]
    return Matched(positions, key, values[1])


def _row_changes(
    before: TableRows, after: TableRows, columns: Sequence[Codes], match: Matched, reordered: bool | None
) -> RowChanges:
    """Count the rows, compare the cells of those in common, and note the first row numbers (of the raw file)."""
    old, new, common = before.frame, after.frame, match.common
    positions = match.positions[common]
    added, removed = np.flatnonzero(match.positions < 0), np.flatnonzero(_without(len(old), match.positions))
    cells = {codes.column: codes.before[positions] != codes.after[common] for codes in columns}
    is_changed = np.any([np.zeros(len(common), dtype=bool), *cells.values()], axis=0)

    def changed_row(number: int) -> ChangedRow:
        assert match.values is not None
        here, there = common[number], positions[number]
        changes = [
            CellChange(name, scalar(old[name].iloc[there]), scalar(new[name].iloc[here]))
            for name, changed in cells.items()
            if changed[number]
        ]
        return ChangedRow(scalar(match.values.iloc[here]), tuple(changes))

    changed = ChangedRows(
        int(is_changed.sum()),
        {name: int(changed.sum()) for name, changed in cells.items() if changed.any()},
        tuple(changed_row(number) for number in np.flatnonzero(is_changed)[:EXAMPLES]),
    )
    return RowChanges(
        key=match.key,
        before=len(old),
        after=len(new),
        added=len(added),
        removed=len(removed),
        same=int((~is_changed).sum()),
        reordered=reordered,
        added_row_numbers=tuple(int(number) for number in new.index[added[:EXAMPLES]]),
        removed_row_numbers=tuple(int(number) for number in old.index[removed[:EXAMPLES]]),
        changed=None if match.key is None else changed,
    )


def _without(n_rows: int, positions: np.ndarray) -> np.ndarray:
    """(n_rows,) whether each position is none of ``positions``, in which -1 is no position."""
    found = np.ones(n_rows, dtype=bool)
    found[positions[positions >= 0]] = False
    return found


def _is_in_order(match: Matched) -> bool:
    return bool(np.all(np.diff(match.positions[match.common]) > 0))


def _content_reordered(match: Matched, before: np.ndarray, after: np.ndarray) -> bool | None:
    """Whether the rows in common are in another order; None where it depends on which one of several equal rows was
    removed or added."""
    added, removed = match.positions < 0, _without(len(before), match.positions)
    size = 1 + max((int(numbers.max()) for numbers in (before, after) if len(numbers)), default=0)
    has_before, has_after = (np.bincount(numbers, minlength=size) > 0 for numbers in (before, after))
    if has_after[before[removed]].any() or has_before[after[added]].any():
        return None
    return not _is_in_order(match)
