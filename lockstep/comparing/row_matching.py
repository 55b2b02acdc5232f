"""Matches the rows of two tables, by a key or by content: which were added, removed, changed, moved."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lockstep.tables.table import Table, column_type

import numpy as np
import pandas as pd

EXAMPLES = 5
"""How many added, removed and changed rows are spelled out."""


class Codes(NamedTuple):
    """One column of both tables as whole numbers: equal cells have equal codes, 0 is missing.

    Attributes:
        before: (n_rows_before,).
        after: (n_rows_after,).
        levels: (n_levels,) the cell values; level i has code i + 1.
    """

    before: np.ndarray
    after: np.ndarray
    levels: np.ndarray

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_levels + 1,) each: rows by code, before and after."""
        size = len(self.levels) + 1
        return np.bincount(self.before, minlength=size), np.bincount(self.after, minlength=size)


def encode(old: pd.Series, new: pd.Series) -> Codes:
    """The codes of a column that both tables have with one type."""
    whole = old.dtype.kind in "iu" and new.dtype.kind in "iu"
    both = pd.concat([_plain(old, whole), _plain(new, whole)], ignore_index=True)
    codes, levels = pd.factorize(both)
    codes = codes + 1
    return Codes(codes[: len(old)], codes[len(old) :], np.asarray(levels))


def _plain(column: pd.Series, whole: bool) -> pd.Series:
    """The column in a form that both tables' versions of it share: text, whole numbers, or float64 (booleans too)."""
    if column_type(column) == "text":
        return column
    if column_type(column) == "boolean":
        column = column.astype("boolean")
    return column if whole else pd.Series(column.to_numpy(dtype="float64", na_value=np.nan))


def kind_of(column: pd.Series) -> str:
    """Whole number, number, boolean or text."""
    return "whole number" if column.dtype.kind in "iu" else column_type(column)


def scalar(value: Any) -> Any:
    """A cell as JSON has it; a missing one as None."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if value is None or value is pd.NA or value != value else value


@dataclass
class RowMatcher:
    """Matches the rows of two tables, column by column, without a key: by content, each row as often as it stands.

    Exact, not by a hash: the codes of the columns are the digits of one number, renumbered before it overflows.
    """

    n_before: int
    n_after: int
    numbers: np.ndarray = field(init=False)
    span: int = 1

    def __post_init__(self) -> None:
        self.numbers = np.zeros(self.n_before + self.n_after, dtype=np.int64)

    def add(self, codes: Codes) -> None:
        size = len(codes.levels) + 1
        if self.span * size >= 2**62:
            self.numbers = pd.factorize(self.numbers)[0].astype(np.int64)
            self.span = int(self.numbers.max()) + 1
        self.numbers *= size
        self.numbers[: self.n_before] += codes.before
        self.numbers[self.n_before :] += codes.after
        self.span *= size

    def result(self) -> tuple[np.ndarray, np.ndarray, bool | None]:
        """Positions of the rows added, of those removed, and whether the others stand in another order.

        None for the order where it depends on which one of several equal rows was removed or added.
        """
        numbers = pd.factorize(self.numbers)[0]
        before, after = numbers[: self.n_before], numbers[self.n_before :]
        added, removed = _surplus(after, before), _surplus(before, after)
        if np.isin(before[removed], after).any() or np.isin(after[added], before).any():
            return added, removed, None
        return added, removed, not np.array_equal(np.delete(before, removed), np.delete(after, added))


def _surplus(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Positions in ``these`` of the numbers that stand there more often than in ``those``: the last ones of each."""
    size = max((int(numbers.max()) + 1 for numbers in (these, those) if len(numbers)), default=0)
    here, there = np.bincount(these, minlength=size), np.bincount(those, minlength=size)
    positions = np.flatnonzero((here > there)[these])
    numbers = pd.Series(these[positions])
    return positions[numbers.groupby(numbers).cumcount().to_numpy() >= there[numbers]]


def row_counts(
    old: pd.DataFrame, new: pd.DataFrame, added: np.ndarray, removed: np.ndarray, same: int, reordered: bool | None
) -> dict[str, Any]:
    """The counts of rows, and the first row numbers (of the raw file) of those added and removed."""
    return {
        "before": len(old),
        "after": len(new),
        "added": len(added),
        "removed": len(removed),
        "changed": None,
        "same": same,
        "reordered": reordered,
        "added_row_numbers": [int(number) for number in new.index[added[:EXAMPLES]]],
        "removed_row_numbers": [int(number) for number in old.index[removed[:EXAMPLES]]],
        "changed_by_column": {},
        "examples": [],
    }


def find_key(before: Table, after: Table, comparable: list[str]) -> str | None:
    """The column that tells the rows of each table apart and has the most values in common, the first of equals."""
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


def match_by_key(
    old: pd.DataFrame,
    new: pd.DataFrame,
    key: str,
    positions: np.ndarray,
    common: np.ndarray,
    differs: dict[str, np.ndarray],
) -> dict[str, Any]:
    """Rows matched by ``key``.

    Args:
        old, new: the tables.
        key: the column.
        positions: (n_rows_after,) the row's position before, -1 for a new one.
        common: (n_common,) positions after of the rows that both have.
        differs: of each other column (n_common,) whether the cell changed.
    """
    changed = np.zeros(len(common), dtype=bool)
    for cells in differs.values():
        changed |= cells
    examples = [
        {
            "key": scalar(new[key].iloc[common[i]]),
            "cells": [
                {
                    "column": name,
                    "before": scalar(old[name].iloc[positions[common[i]]]),
                    "after": scalar(new[name].iloc[common[i]]),
                }
                for name, cells in differs.items()
                if cells[i]
            ],
        }
        for i in np.flatnonzero(changed)[:EXAMPLES]
    ]
    added, removed = np.flatnonzero(positions < 0), np.setdiff1d(np.arange(len(old)), positions[common])
    moved = bool(np.any(np.diff(positions[common]) < 0))
    return {
        **row_counts(old, new, added, removed, int((~changed).sum()), moved),
        "changed": int(changed.sum()),
        "changed_by_column": {name: int(cells.sum()) for name, cells in differs.items() if cells.any()},
        "examples": examples,
    }
