"""Gives columns their types: cells of text, or the columns of a user's DataFrame, become the columns of a Table.

A column is a number column only if every cell in it is a number or missing; nothing is coerced. ``00123`` is a text (a
code), ``NA`` is a text in a text column and missing in a number column, and a whole number that a float cannot hold
exactly stays a whole number or becomes a text, never a rounded float.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lockstep.csvfile import TextTable
from lockstep.errors import DataError, some
from lockstep.log import logger
from lockstep.table import ROW

Values = Any  # a NumPy array or a pandas Series: pyarrow is not typed
NUMBER_MISSING = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?")
"""What counts as missing in a number or boolean column, besides an empty cell; in a text column only an empty cell
does."""
EXACT_FLOAT = 2**53
"""Whole numbers beyond this size are not all representable as float64."""
MOSTLY = 0.9
"""A text column of which this share of the cells are numbers is reported: it is probably a number column with
errors."""

_INTEGER = r"^[-+]?(0|[1-9][0-9]*)$"
_NUMBER = r"^[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$"
_LONG = r"^[-+]?[0-9]{16,}$"
_INFINITE = r"^(?i:[-+]?inf(inity)?)$"


def typed_frame(text: TextTable, name: str) -> pd.DataFrame:
    """The typed columns of a CSV file, indexed by ROW.

    Args:
        text: the cells.
        name: the file's name, for messages.

    Raises:
        DataError: an infinite number.
    """
    columns = {}
    for column, cells in zip(text.cells.column_names, text.cells.columns, strict=True):
        columns[column] = _typed(cells.combine_chunks(), column, text.line_starts, name)
    return pd.DataFrame(columns).set_axis(_row_index(len(text.line_starts)))


def _row_index(n_rows: int) -> pd.Index:
    return pd.Index(np.arange(1, n_rows + 1, dtype=np.int64), name=ROW)


def _typed(cells: pa.Array, column: str, lines: np.ndarray, name: str) -> Values:
    trimmed = pc.utf8_trim_whitespace(cells)
    empty = pc.equal(trimmed, "")
    missing = pc.or_(empty, pc.is_in(trimmed, pa.array(NUMBER_MISSING)))
    present = trimmed.filter(pc.invert(missing))
    if len(present) == 0 and not pc.all(empty, min_count=0).as_py():
        present = trimmed.filter(pc.invert(empty))  # every cell is a word such as NA: then it is a word, not a gap
    if len(present) == 0:
        return pd.Series(np.full(len(cells), np.nan))
    infinite = pc.match_substring_regex(present, _INFINITE)
    numeric = pc.match_substring_regex(present, _NUMBER)
    is_number = pc.or_(numeric, infinite)
    if pc.all(is_number).as_py():
        if pc.any(infinite).as_py():
            raise _infinite(trimmed, column, lines, name)
        return _numbers(trimmed, missing, present, column, lines, name)
    words = pc.utf8_lower(present)
    if pc.all(pc.is_in(words, pa.array(["true", "false"]))).as_py():
        values = pc.equal(pc.utf8_lower(trimmed), "true")
        return pc.if_else(missing, pa.scalar(None, pa.bool_()), values).to_pandas()
    share = pc.mean(pc.cast(numeric, pa.float64())).as_py()
    if share >= MOSTLY:
        others = np.flatnonzero(~_as_bool(pc.or_(missing, pc.match_substring_regex(trimmed, _NUMBER))))
        logger.warning(
            "%s column '%s' is read as text: %d of its %d cells are not numbers, the first %s in line %d",
            name, column, len(others), len(cells), repr(trimmed[int(others[0])].as_py())[:40], lines[others[0]],
        )  # fmt: skip
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells).to_pandas().astype("str")


def _numbers(
    trimmed: pa.Array, missing: pa.Array, present: pa.Array, column: str, lines: np.ndarray, name: str
) -> Values:
    """A column all of whose present cells are numbers: int64, float64, or text where neither holds them exactly."""
    if pc.all(pc.match_substring_regex(present, _INTEGER)).as_py():
        unsigned = pc.utf8_ltrim(present, characters="+")
        try:
            whole = pc.cast(unsigned, pa.int64()).to_numpy()
        except pa.ArrowInvalid:
            whole = None  # beyond 64 bits
        if whole is not None and len(present) == len(trimmed):
            return pd.Series(whole)
        if whole is None or np.abs(whole).max() > EXACT_FLOAT:
            logger.warning("%s column '%s' is read as text: its numbers are too long to be computed with", name, column)
            return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed).to_pandas().astype("str")
    long = present.filter(pc.match_substring_regex(present, _LONG))
    if any(int(float(cell)) != int(cell) for cell in pc.unique(long).to_pylist()):
        logger.warning("%s column '%s' is read as text: its numbers are too long to be computed with", name, column)
        return pc.if_else(missing, pa.scalar(None, pa.string()), trimmed).to_pandas().astype("str")
    values = pc.cast(pc.utf8_ltrim(pc.if_else(missing, "nan", trimmed), characters="+"), pa.float64()).to_numpy()
    if np.isinf(values).any():
        raise _infinite(trimmed, column, lines, name, np.flatnonzero(np.isinf(values)))
    return pd.Series(values)


def _infinite(
    trimmed: pa.Array, column: str, lines: np.ndarray, name: str, rows: np.ndarray | None = None
) -> DataError:
    if rows is None:
        rows = np.flatnonzero(_as_bool(pc.match_substring_regex(trimmed, _INFINITE)))
    return DataError(
        f"{name} column '{column}' has infinite numbers, in line {some(lines[rows].tolist())}. No model can be "
        "trained on "
        "them: correct those cells, or empty them to have them imputed."
    )


def _as_bool(mask: pa.Array) -> np.ndarray:
    return np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)


def normalised_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A user's DataFrame with the column types that its CSV file would get, but texts stay texts; its index is not
    used.

    Raises:
        DataError: no column, a column name that is not a text or stands twice, a column of mixed or unsupported type.
    """
    names = list(frame.columns)
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise DataError("the DataFrame's column names must be texts. Rename them: frame.columns = [...].")
    if len(set(names)) < len(names) or ROW in names:
        raise DataError(f"the DataFrame's column names must be distinct, and none of them {ROW}. Rename them.")
    columns = {name: _normalised(frame[name], name) for name in names}
    return pd.DataFrame(columns).set_axis(_row_index(len(frame)))


def _normalised(column: pd.Series, name: str) -> Values:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    gaps = column.isna().to_numpy()
    present = column[~gaps]
    kind: str = "f" if present.empty else column.dtype.kind
    if kind == "O":
        kind = _kind_of_objects(present)
    if kind in "iu":
        whole = present.to_numpy(dtype=object)
        most = EXACT_FLOAT if gaps.any() else 2**63 - 1
        fits = -most - 1 <= whole.min() and whole.max() <= most
        if not fits:
            return _with_gaps(gaps, [str(value) for value in whole]).astype("str")
        return whole.astype("int64") if not gaps.any() else _with_gaps(gaps, whole).astype("float64")
    if kind == "f":
        values = column.to_numpy(dtype="float64", na_value=np.nan)
        if np.isinf(values).any():
            raise DataError(f"the DataFrame's column '{name}' has infinite numbers. Replace them with NaN or a number.")
        return values
    if kind == "b":
        return present.to_numpy(dtype=bool) if not gaps.any() else _with_gaps(gaps, present.to_numpy(dtype=bool))
    if kind == "M":
        return _with_gaps(gaps, [value.isoformat() for value in present]).astype("str")
    if kind == "U":
        # As in a CSV file, an empty text is a gap.
        return _with_gaps(gaps, present).replace("", None).astype("str")
    kinds = sorted({type(value).__name__ for value in present})
    raise DataError(
        f"the DataFrame's column '{name}' holds {some(kinds)}. Allowed: numbers, booleans or texts, one kind in a "
        f"column; for instance frame['{name}'] = frame['{name}'].astype(str)."
    )


def _kind_of_objects(present: pd.Series) -> str:
    """NumPy's letter for what a column of objects holds: b, i, f, U (text), M (time), or O (mixed)."""
    kinds = {
        "b": bool | np.bool_,
        "i": int | np.integer,
        "f": float | int | np.number,
        "U": str,
        "M": pd.Timestamp,
    }
    for kind, types in kinds.items():
        if all(isinstance(value, types) and (kind == "b" or not isinstance(value, bool)) for value in present):
            return kind
    return "O"


def _with_gaps(gaps: np.ndarray, present: Iterable[Any]) -> pd.Series:
    """The present values in their places, None in the gaps, as objects."""
    values = np.full(len(gaps), None, dtype=object)
    values[~gaps] = np.fromiter(present, dtype=object, count=int((~gaps).sum()))
    return pd.Series(values)
