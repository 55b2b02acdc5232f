"""Which rows of a table are test rows, after rows were added to it, or it was replaced.

A row that both tables have is what it was. A new row is what the rows are of its group, its key or, where there is
neither, its content, if the table had one; else a hash of that, and the seed, decide: the same row is then the same,
whenever and beside whatever it is added, and twins are never parted.
"""

from typing import NamedTuple

from lockstep.comparing.tables.changes import Side
from lockstep.comparing.tables.row_matching import Matched, content_numbers, of_one_type
from lockstep.steps.splitting.parts import SplitSettings
from lockstep.steps.splitting.two_samples import Codes, shared_codes
from lockstep.tables.table import column_type

import numpy as np
import pandas as pd


class Twins(NamedTuple):
    """What tells rows of two tables apart: equal numbers, equal rows.

    Attributes:
        before, after: (n_rows,) the numbers, from 0.
        hashes: (n_rows_after,) uint64: equal for equal rows.
    """

    before: np.ndarray
    after: np.ndarray
    hashes: np.ndarray

    def first_before(self) -> np.ndarray:
        """(n_rows_after,) the position of the first row before that is equal; -1: there is none."""
        numbers, first = np.unique(self.before, return_index=True)
        if not len(numbers):
            return np.full(len(self.after), -1)
        at = np.minimum(np.searchsorted(numbers, self.after), len(numbers) - 1)
        return np.where(numbers[at] == self.after, first[at], -1)


def whole(side: Side) -> pd.DataFrame:
    """(n_rows, n_columns): all columns of the raw file."""
    return pd.concat([side.table.frame, side.dropped], axis=1)


def twins_by_content(before: Side, after: Side) -> Twins:
    """Rows are equal if all cells are that the raw files of both have."""
    old, new = whole(before), whole(after)
    return Twins(*content_numbers(shared_columns(old, new)), _hashes(new[[name for name in new if name in old]]))


def twins_by(column: str, before: Side, after: Side, otherwise: Twins) -> Twins:
    """Rows are equal if their cells of a column are; those without a cell there as ``otherwise`` says."""
    old, new = of_one_type(whole(before)[column], whole(after)[column])
    codes = shared_codes(old, new)
    beyond = len(codes.levels) + 1
    before_numbers, after_numbers = (
        np.where(own > 0, own.astype(np.int64), beyond + rest)
        for own, rest in ((codes.before, otherwise.before), (codes.after, otherwise.after))
    )
    return Twins(before_numbers, after_numbers, np.where(codes.after > 0, _hashes(new.to_frame()), otherwise.hashes))


def shared_columns(old: pd.DataFrame, new: pd.DataFrame) -> list[Codes]:
    """The columns that both have with one type."""
    shared = [name for name in new if name in old and column_type(old[name]) == column_type(new[name])]
    return [shared_codes(old[name], new[name]) for name in shared]


def carried_test_rows(match: Matched, twins: Twins, was_test: np.ndarray, settings: SplitSettings) -> np.ndarray:
    """(n_rows_after,) of bool: which rows are test rows.

    Args:
        match: the rows that both tables have.
        twins: what a new row goes by.
        was_test: (n_rows_before,) of bool.
        settings: the share of new rows that become test rows, and the seed.
    """
    before = np.where(match.positions >= 0, match.positions, twins.first_before())
    # Equal rows have equal hashes, of which the seed makes others; they are spread evenly over the whole numbers.
    drawn = pd.util.hash_array(twins.hashes ^ np.uint64(settings.seed)) < np.uint64(settings.test_size * 2**64)
    return np.where(before >= 0, was_test[np.maximum(before, 0)], drawn)


def n_comparable(before: pd.Series, after: pd.Series) -> int:
    """How many rows ``compare`` finds in both test sets, by the hashes of their content."""
    counts, others = before.value_counts().align(after.value_counts(), join="inner")
    return int(np.minimum(counts, others).sum())


def _hashes(frame: pd.DataFrame) -> np.ndarray:
    """(n_rows,) uint64: of the cells, numbers as floats, so that it does not matter which others a column has."""
    numbers = [name for name in frame if frame[name].dtype.kind in "iu"]
    plain = frame.astype(dict.fromkeys(numbers, "float64"))
    found: np.ndarray = pd.util.hash_pandas_object(plain, index=False).to_numpy()
    return found
