"""Gives the columns of a user's DataFrame the types that column_types.py gives those of a CSV file."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from lockstep.kernel.errors import DataError, some
from lockstep.kernel.log import logger
from lockstep.reading.column_types import EXACT_FLOAT, Cells, Column, Format, Typed, Values, row_index, typed_columns
from lockstep.reading.csvfile import TEXT
from lockstep.reading.date_formats import (
    DATE_TYPES,
    FIRST_YEAR,
    ISO,
    LAST_YEAR,
    are_possible,
    check_offset,
    dates_of_numbers,
)
from lockstep.tables.dates import UNIT, shown_date
from lockstep.tables.table import ROW, column_type, with_columns

import numpy as np
import pandas as pd
import pyarrow as pa


def read_parquet(path: Path) -> pd.DataFrame:
    """The columns of a user's parquet file, as pandas types them. Raises DataError if it is none."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a parquet file that can be read: {error}.") from None


def typed_dataframe(
    frame: pd.DataFrame,
    name: str,
    types: Mapping[str, str] | None = None,
    forms: Mapping[str, Format] | None = None,
) -> Typed:
    """Type the columns of a user's DataFrame; it has no lines, so that messages count rows, from 1.

    Args:
        frame: the columns.
        name: what messages call it.
        types: the types that the contract declares.
        forms: how the cells of some columns are written: their texts are read so, as those of a CSV file are.

    Raises:
        DataError: as normalised_frame; a text, or a number that counts days, is not of its column's declared form; or
            times have a time zone where none is declared, or none where one is.
    """
    check_names(frame, name)
    for column, form in (forms or {}).items():
        if column in frame and (types or {}).get(column) in DATE_TYPES and form.dates == ISO and not form.marks.epoch:
            zoned = has_zone(frame[column])
            if zoned is not None:
                check_offset(zoned, form.marks.offset, f"{name} column '{column}'", form.declared_by)
    typed = _with_counted_dates(normalised_frame(frame, name), name, forms or {})
    rows = typed.index.to_numpy()
    texts = {column: form for column, form in (forms or {}).items() if column in typed}
    texts = {column: form for column, form in texts.items() if column_type(typed[column]) == "text"}
    missing_as = {str(column): {"": int(count)} for column, count in typed.isna().sum().items() if count}
    if not texts:
        return Typed(typed, missing_as, rows)
    columns = (
        Column(Cells(pa.array(typed[column].fillna(""), TEXT), rows), column, name, form, "row")
        for column, form in texts.items()
    )
    read = typed_columns(columns, lambda column: column.typed((types or {}).get(column.name)), name, rows)
    found = with_columns(typed, {str(column): read.frame[column] for column in read.frame})
    return Typed(found, missing_as | read.missing_as, rows)


def normalised_frame(frame: pd.DataFrame, name: str = "the DataFrame") -> pd.DataFrame:
    """A user's DataFrame with the column types that its CSV file would get, but texts stay texts; its index is not
    used.

    Args:
        frame: the columns.
        name: what messages call it.

    Raises:
        DataError: as check_names; or a column of mixed or unsupported type.
    """
    check_names(frame, name)
    columns = {str(column): _normalised(frame[column], str(column), name) for column in frame}
    return pd.DataFrame(columns).set_axis(row_index(len(frame)))


def ordered_levels(frame: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """{column: its levels, the lowest first} of a user's DataFrame's columns that are ordered categoricals of texts."""
    kinds = {str(name): frame[name].dtype for name in frame}
    levels = {
        name: kind.categories for name, kind in kinds.items() if isinstance(kind, pd.CategoricalDtype) and kind.ordered
    }
    return {
        name: tuple(found)
        for name, found in levels.items()
        if len(found) > 1 and all(isinstance(level, str) and level for level in found)
    }


def has_zone(column: pd.Series) -> bool | None:
    """Whether the times of a column of a user's DataFrame have a time zone, as its first one says: they must be alike.
    None where it holds no dates or times."""
    present = column.notna().to_numpy() if column.dtype.kind in "MO" else np.array([], dtype=bool)
    first = column.iloc[int(present.argmax())] if present.any() else None
    if isinstance(first, datetime):
        return first.tzinfo is not None
    return False if isinstance(first, date | np.datetime64) else None


def check_names(frame: pd.DataFrame, name: str) -> None:
    """Raise DataError if ``frame``, which messages call ``name``, has no column, a column name that is not a text, or
    one that is there twice."""
    rename = "Rename them, for instance frame.columns = ['age', 'income', ...]."
    if not len(frame.columns):
        raise DataError(f"{name} has no columns. Give a table, one row per sample, one column per feature.")
    wrong = [f"{column!r}" for column in frame if not isinstance(column, str) or not column.strip()]
    if wrong:
        raise DataError(f"{name}: column names must be texts that are not blank, unlike {some(wrong)}. {rename}")
    twice = frame.columns[frame.columns.duplicated()].unique()
    if len(twice):
        raise DataError(f"{name}: column names must be distinct, unlike {some(map(repr, twice))}. {rename}")
    if ROW in frame:
        raise DataError(f"{name}: the column name {ROW} is taken by the rows' numbers. {rename}")


def _normalised(column: pd.Series, name: str, table: str) -> Values:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    missing = column.isna().to_numpy()
    present = column[~missing]
    kind: str = "f" if present.empty and column.dtype.kind != "M" else column.dtype.kind
    if kind == "O":
        kind = _kind_of_objects(present)
    if kind in "iu":
        whole = present.to_numpy(dtype=object)
        most = EXACT_FLOAT if missing.any() else 2**63 - 1
        fits = -most - 1 <= whole.min() and whole.max() <= most
        if not fits:
            return _placed(missing, [str(value) for value in whole]).astype("str")
        return whole.astype("int64") if not missing.any() else _placed(missing, whole).astype("float64")
    if kind == "f":
        values = column.to_numpy(dtype="float64", na_value=np.nan)
        if np.isinf(values).any():
            raise DataError(f"{table}: column '{name}' has infinite numbers. Replace them with NaN or a number.")
        return values
    if kind == "b":
        return present.to_numpy(dtype=bool) if not missing.any() else _placed(missing, present.to_numpy(dtype=bool))
    if kind == "M":
        return _dates(column, name, table)
    if kind == "U":
        # As in a CSV file, an empty text is a missing value.
        return _placed(missing, present).replace("", None).astype("str")
    kinds = sorted({type(value).__name__ for value in present})
    raise DataError(
        f"{table}: column '{name}' holds {some(kinds)}. Allowed: numbers, booleans, dates or texts, one kind in a "
        f"column; for instance frame['{name}'] = frame['{name}'].astype(str)."
    )


def _dates(column: pd.Series, name: str, table: str) -> Values:
    """Dates and times of any unit in microseconds, in UTC if they have a time zone.

    Raises:
        DataError: times with and without a time zone; a year that is none.
    """
    zoned = {getattr(value, "tzinfo", None) is not None for value in column.dropna()} if column.dtype == object else ()
    if len(zoned) > 1:
        raise DataError(f"{table}: column '{name}' has times with and without a time zone. Make them alike.")
    times = pd.to_datetime(column.reset_index(drop=True), utc=True).dt.tz_localize(None)
    if getattr(column.dtype, "tz", None) is not None or True in zoned:
        logger.info("%s: column '%s': times with a time zone are converted to UTC", table, name)
    found = times.to_numpy(UNIT)
    odd = np.flatnonzero(~(are_possible(found) | np.isnat(found)))
    if len(odd):
        raise DataError(
            f"{table}: column '{name}' has dates outside of the years {FIRST_YEAR} to {LAST_YEAR}, such as "
            f"{shown_date(found[odd[0]])} in row {odd[0] + 1}. Correct them, or make them missing (NaT)."
        )
    return found


def _with_counted_dates(frame: pd.DataFrame, name: str, forms: Mapping[str, Format]) -> pd.DataFrame:
    """The frame with dates in place of the numbers that count them, as the contract declares."""
    made = {}
    for column, form in forms.items():
        if column in frame and form.marks.epoch and column_type(frame[column]) == "number":
            made[column] = dates_of_numbers(frame[column].to_numpy(), form.marks.epoch)
            wrong = np.flatnonzero(np.isnat(made[column]) & frame[column].notna().to_numpy())
            if len(wrong):
                raise DataError(
                    f"{name} column '{column}': {frame[column].iloc[wrong[0]]} in row {wrong[0] + 1} counts to no date "
                    f"in the years {FIRST_YEAR} to {LAST_YEAR}, in {form.marks.epoch} as the contract declares. "
                    "Correct it, or the contract."
                )
    return with_columns(frame, made)


def _kind_of_objects(present: pd.Series) -> str:
    """NumPy's letter for what a column of objects holds: b, i, f, U (text), M (date), or O (mixed)."""
    kinds = {
        "b": bool | np.bool_,
        "i": int | np.integer,
        "f": float | int | np.number,
        "U": str,
        "M": date | np.datetime64,  # also datetime, Timestamp
    }
    for kind, types in kinds.items():
        if all(isinstance(value, types) and (kind == "b" or not isinstance(value, bool)) for value in present):
            return kind
    return "O"


def _placed(missing: np.ndarray, present: Iterable[Any]) -> pd.Series:
    """The present values in their places, None where they are missing, as objects."""
    values = np.full(len(missing), None, dtype=object)
    values[~missing] = np.fromiter(present, dtype=object, count=int((~missing).sum()))
    return pd.Series(values)
