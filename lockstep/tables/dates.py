"""Dates among the columns of a table: as numbers, where an order or a distance counts, and as text, for a reader."""

from datetime import date
from typing import Final

import numpy as np
import pandas as pd

UNIT: Final = "datetime64[us]"
"""What every column of dates is, with or without a time of day, in UTC where the data say the zone: one unit, so that a
table has the same bytes whatever its dates come from."""
DAY = np.timedelta64(1, "D")


def numbers_of(column: pd.Series) -> pd.Series:
    """(n_rows,) a column of dates in days since 1970-01-01, float64, NaN where missing; one of numbers as it is."""
    if column.dtype.kind != "M":
        return column
    return (column - pd.Timestamp(0)) / DAY


def iso_times(column: pd.Series) -> pd.Series:
    """(n_rows,) the times that ISO 8601 texts say, in UTC; missing where one is no such date."""
    return pd.to_datetime(column.astype("str"), format="ISO8601", errors="coerce", utc=True)


def date_of(days: float) -> str:
    """A number of days since 1970-01-01 as a date, for a reader: 2011-01-01, 2011-01-01 17:30:00."""
    return shown_date(pd.Timestamp(0) + pd.Timedelta(days=days).round("s"))


def shown_date(value: date | np.datetime64) -> str:
    """A date for a reader: 2011-01-01; with its time of day, if it has one: 2011-01-01 17:30:00."""
    moment = pd.Timestamp(value)
    return moment.strftime("%Y-%m-%d") if moment == moment.normalize() else moment.isoformat(sep=" ")
