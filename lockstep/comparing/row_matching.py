"""Matches the rows of two tables, by a key or by content: which were added, removed, changed, moved."""

from typing import Any

from lockstep.splitting.two_samples import Codes
from lockstep.tables.table import Table, column_type

import msgspec
import numpy as np
import pandas as pd

EXAMPLES = 5
"""How many added, removed and changed rows are spelled out."""


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
        key: the column that rows are matched by, None where they are matched by content.
        before, after: the number of rows.
        same: the number of rows that both have with the same cells.
        reordered: whether those that both have are in another order, None where that is not known.
        added_row_numbers, removed_row_numbers: the first few, in the file after, and before.
        changed: None where rows are matched by content: a changed row then counts as one removed and one added.
    """

    key: str | None
    before: int
    after: int
    added: int
    removed: int
    same: int
    reordered: bool | None
    added_row_numbers: tuple[int, ...]
    removed_row_numbers: tuple[int, ...]
    changed: ChangedRows | None


def kind_of(column: pd.Series) -> str:
    """Tell whole numbers from other numbers, beside booleans and texts."""
    return "whole number" if column.dtype.kind in "iu" else column_type(column)


def scalar(value: Any) -> Any:
    """Give a cell as JSON has it; a missing one as None."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if value is None or value is pd.NA or value != value else value


class ContentMatcher:
    """Matches the rows of two tables by content, column by column: of equal rows as many as both tables have.

    Exact, not by a hash: the codes of the columns are the digits of one number, renumbered before it overflows.
    """

    def __init__(self, old: pd.DataFrame, new: pd.DataFrame) -> None:
        self.old, self.new, self.span = old, new, 1
        self.numbers = np.zeros(len(old) + len(new), dtype=np.int64)

    def add(self, codes: Codes) -> None:
        """Tell rows apart by one more column, which both tables have with one type."""
        size = len(codes.levels) + 1
        if self.span * size >= 2**62:
            self.numbers = pd.factorize(self.numbers)[0].astype(np.int64)
            self.span = int(self.numbers.max()) + 1
        self.numbers *= size
        self.numbers[: len(self.old)] += codes.before
        self.numbers[len(self.old) :] += codes.after
        self.span *= size

    def result(self) -> RowChanges:
        """What became of the rows; without a column no row is matched.

        The order is None where it depends on which one of several equal rows was removed or added.
        """
        if self.span == 1:
            added, removed = np.arange(len(self.new)), np.arange(len(self.old))
            return _row_changes(self.old, self.new, added, removed, same=0, reordered=None)
        numbers = pd.factorize(self.numbers)[0]
        before, after = numbers[: len(self.old)], numbers[len(self.old) :]
        added, removed = _surplus(after, before), _surplus(before, after)
        reordered = None
        if not np.isin(before[removed], after).any() and not np.isin(after[added], before).any():
            reordered = not np.array_equal(np.delete(before, removed), np.delete(after, added))
        same = len(self.old) - len(removed)
        return _row_changes(self.old, self.new, added, removed, same=same, reordered=reordered)


def _surplus(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Positions in ``these`` of the numbers that it has more often than ``those``: the last ones of each."""
    size = max((int(numbers.max()) + 1 for numbers in (these, those) if len(numbers)), default=0)
    here, there = np.bincount(these, minlength=size), np.bincount(those, minlength=size)
    positions = np.flatnonzero((here > there)[these])
    numbers = pd.Series(these[positions])
    return positions[numbers.groupby(numbers).cumcount().to_numpy() >= there[numbers]]


def find_key(before: Table, after: Table, comparable: list[str]) -> str | None:
    """Find the column that tells the rows of each table apart; of several the one with most values in common."""
    best, most = None, 0
    for name in comparable:
        old, new = before.frame[name], after.frame[name]
        if (
            name in (before.target, after.target)
            or kind_of(old) != kind_of(new)
            or kind_of(old) in ("number", "boolean")
        ):
            continue
        if not (old.isna().any() or new.isna().any()) and old.is_unique and new.is_unique:
            matched = int(new.isin(old).sum())
            if matched > most:
                best, most = name, matched
    return best


class KeyMatcher:
    """Matches the rows of two tables by the column ``key``, and compares their cells, column by column."""

    def __init__(self, old: pd.DataFrame, new: pd.DataFrame, key: str) -> None:
        self.old, self.new, self.key = old, new, key
        self.positions = pd.Index(old[key]).get_indexer(pd.Index(new[key]))  # (n_rows_after,) before, -1: a new row
        self.common = np.flatnonzero(self.positions >= 0)
        self.changed: dict[str, np.ndarray] = {}  # by column (n_common,): whether the cell changed

    def add(self, codes: Codes) -> None:
        """Compare the cells of one more column, which both tables have with one type."""
        if codes.column != self.key:
            self.changed[codes.column] = codes.before[self.positions[self.common]] != codes.after[self.common]

    def result(self) -> RowChanges:
        """What became of the rows."""
        positions = self.positions[self.common]
        changed = np.any([np.zeros(len(self.common), dtype=bool), *self.changed.values()], axis=0)
        return _row_changes(
            self.old,
            self.new,
            np.flatnonzero(self.positions < 0),
            np.setdiff1d(np.arange(len(self.old)), positions),
            same=int((~changed).sum()),
            reordered=bool(np.any(np.diff(positions) < 0)),
            key=self.key,
            changed=ChangedRows(
                int(changed.sum()),
                {name: int(cells.sum()) for name, cells in self.changed.items() if cells.any()},
                tuple(self._changed_row(number) for number in np.flatnonzero(changed)[:EXAMPLES]),
            ),
        )

    def _changed_row(self, number: int) -> ChangedRow:
        """The row at a position in ``common``."""
        before, after = self.positions[self.common[number]], self.common[number]
        cells = [
            CellChange(name, scalar(self.old[name].iloc[before]), scalar(self.new[name].iloc[after]))
            for name, changed in self.changed.items()
            if changed[number]
        ]
        return ChangedRow(scalar(self.new[self.key].iloc[after]), tuple(cells))


def _row_changes(
    old: pd.DataFrame,
    new: pd.DataFrame,
    added: np.ndarray,
    removed: np.ndarray,
    *,
    same: int,
    reordered: bool | None,
    key: str | None = None,
    changed: ChangedRows | None = None,
) -> RowChanges:
    """Count the rows at the positions ``added`` and ``removed``, and note the first row numbers (of the raw file)."""
    return RowChanges(
        key=key,
        before=len(old),
        after=len(new),
        added=len(added),
        removed=len(removed),
        same=same,
        reordered=reordered,
        added_row_numbers=tuple(int(number) for number in new.index[added[:EXAMPLES]]),
        removed_row_numbers=tuple(int(number) for number in old.index[removed[:EXAMPLES]]),
        changed=changed,
    )
