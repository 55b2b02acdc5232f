"""How dates are written, and which dates cells of that form say.

A cell is read by exactly the format that the contract declares of its column, a key of Table Schema: ``default``, which
is ISO 8601, or a pattern of strptime, such as ``%d.%m.%Y``. Numbers are dates only if the contract says what they
count. Nothing is guessed: 2023-02-30, another format and an impossible year are no dates.
"""

from typing import Literal

from lockstep.kernel.errors import DataError
from lockstep.tables.dates import UNIT

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

DATE_TYPES = ("date", "datetime")
"""The types of a contract for dates without, and with, a time of day."""
ISO = "default"
"""The format of a contract that is ISO 8601."""
DeclaredBy = Literal["contract", "model"]
"""What says how cells are written: the data contract or, of new rows without one, the model that they are for."""
Epoch = Literal["", "excel", "seconds", "milliseconds"]
"""What numbers that are dates count: days since 1899-12-30, as a spreadsheet does, or seconds or milliseconds since
1970-01-01; "" where dates are no numbers."""
FIRST_YEAR, LAST_YEAR = 1583, 2500
"""From the first whole year of our calendar on. Years such as 0001 and 9999 stand for a missing date, or are typos."""
_FIRST, _END = np.datetime64(f"{FIRST_YEAR}-01-01", "us"), np.datetime64(f"{LAST_YEAR + 1}-01-01", "us")
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8}"
_TIME = r"[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?|T[0-9]{4}(?:[0-9]{2})?"
_ZONE = " ?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_ISO_CELL = f"^(?:{_DAY})(?:(?:{_TIME})(?:{_ZONE})?)?$"
_ZONED = f"(?:{_TIME}){_ZONE}$"
_BEYOND_MICROSECONDS = r"(\.[0-9]{6})[0-9]+"
_DAY_OF_EXCEL, _FIRST_OF_EXCEL = np.datetime64("1899-12-30", "us"), 61
"""Spreadsheets have a 29 February 1900, which was none: days before it would be off by one."""
_MILLISECONDS = {"excel": 86_400_000, "seconds": 1000, "milliseconds": 1}
"""How many of them the numbers of each kind count in."""


def problem_of_format(pattern: str) -> str:
    """Why a contract cannot have this format, in words; "" if it can."""
    if pattern == ISO:
        return ""
    if not any(year in pattern for year in ("%Y", "%y")):
        return "it is neither default (ISO 8601) nor a pattern of strptime with a year, such as %d.%m.%Y"
    if "%Z" in pattern:
        return "names of time zones (%Z) are ambiguous; offsets such as +02:00 (%z) are read"
    try:
        pd.to_datetime(pd.Series(["-"]), format=pattern, errors="coerce", utc=True)
    except ValueError as error:
        return f"it is no pattern of strptime: {error}"
    return ""


def dates_of(cells: pa.Array, pattern: str) -> np.ndarray:
    """(n,) the dates that texts say, in UTC where they have an offset; NaT where one is none of the format, or is no
    possible date."""
    if pattern == ISO:
        cells = pc.if_else(pc.match_substring_regex(cells, _ISO_CELL), cells, pa.scalar(None, cells.type))
        cells = pc.replace_substring_regex(cells, _BEYOND_MICROSECONDS, r"\1")
    texts = pd.Series(cells.to_pandas(), dtype="str")
    form = "ISO8601" if pattern == ISO else pattern
    found = pd.to_datetime(texts, format=form, errors="coerce", utc=True)
    return _possible(found.dt.tz_localize(None).to_numpy(UNIT))


def have_offset(cells: pa.Array, pattern: str) -> np.ndarray:
    """(n,) whether each of the texts, which are dates of the format, says its offset from UTC."""
    if pattern != ISO:
        return np.full(len(cells), "%z" in pattern)
    return np.asarray(pc.match_substring_regex(cells, _ZONED).to_numpy(zero_copy_only=False), dtype=bool)


def check_offset(present: bool, declared: bool, where: str, declared_by: DeclaredBy = "contract") -> None:
    """Raise DataError unless times say their offset from UTC as it is declared that they do.

    Args:
        present: whether they say it.
        declared: lockstep.offset of the contract; or whether the model was fitted on times that say it.
        where: the file and the column, for the message.
        declared_by: which of the two.
    """
    if declared_by == "model":
        _check_offset_of_model(present, declared, where)
    elif present and not declared:
        raise DataError(
            f"{where} has times with an offset from UTC, and its contract is of times without one, which are taken as "
            "they stand: the two cannot be compared. Leave the offset out; or, if all of the data has one, add "
            "lockstep: {offset: true} to the field in the contract."
        )
    elif declared and not present:
        raise DataError(
            f"{where} has times without an offset from UTC, and its contract is of times that have one (lockstep: "
            "{offset: true}). Write it, as in 2024-01-31T12:00:00+01:00: without it they would be taken for UTC."
        )


def _check_offset_of_model(present: bool, fitted_on: bool, where: str) -> None:
    if present and not fitted_on:
        raise DataError(
            f"{where} has times with an offset from UTC, and no sidecar of the model lists the column under "
            "times_with_offset: the model was fitted on times without one, which are taken as they stand, or by a "
            "Lockstep that kept no such list. Write the times as the training data has them. If that has offsets, name "
            "the model's problem (--problem), whose contract says so, or train the model again."
        )
    if fitted_on and not present:
        raise DataError(
            f"{where} has times without an offset from UTC, and the model was fitted on times that have one "
            "(times_with_offset in its sidecar). Write it, as in 2024-01-31T12:00:00+01:00, or give the column of a "
            "DataFrame its time zone (dt.tz_localize): without it they would be taken for UTC."
        )


def dates_of_numbers(numbers: np.ndarray, epoch: Epoch) -> np.ndarray:
    """(n,) the dates that numbers count, to the millisecond; NaT where one is missing or is no possible date."""
    counted = np.round(numbers.astype("float64") * _MILLISECONDS[epoch])
    impossible = ~(np.abs(counted) < 2**53) | ((numbers < _FIRST_OF_EXCEL) if epoch == "excel" else False)
    milliseconds = np.where(impossible, 0, counted).astype("int64").astype("timedelta64[ms]")
    origin = _DAY_OF_EXCEL if epoch == "excel" else np.datetime64(0, "us")
    return _possible(np.where(impossible, np.datetime64("NaT"), origin + milliseconds).astype(UNIT))


def are_days(dates: np.ndarray) -> np.ndarray:
    """(n,) whether each date has no time of day, missing ones included."""
    days: np.ndarray = (dates == dates.astype("datetime64[D]")) | np.isnat(dates)
    return days


def are_possible(dates: np.ndarray) -> np.ndarray:
    """(n,) whether each date is one of the years FIRST_YEAR to LAST_YEAR; a missing one is none."""
    possible: np.ndarray = (dates >= _FIRST) & (dates < _END)
    return possible


def _possible(dates: np.ndarray) -> np.ndarray:
    return np.where(are_possible(dates), dates, np.datetime64("NaT", "us"))
