"""The order of rows in time."""

import numpy as np
import pandas as pd

from lockstep.errors import DataError
from lockstep.table import Table


def moments_of(table: Table) -> np.ndarray:
    """(n_rows,) numbers that order the rows by the time column: its numbers, or its ISO 8601 dates as time stamps.

    Raises:
        DataError: a text that is no such date.
    """
    assert table.time is not None
    column = table.frame[table.time]
    if column.dtype.kind in "if":
        return column.to_numpy()
    stamps = pd.to_datetime(column.astype("str"), format="ISO8601", errors="coerce", utc=True)
    wrong = np.flatnonzero(stamps.isna())
    if len(wrong):
        raise DataError(
            f"split.time: '{column.iloc[wrong[0]]}' in data row {table.frame.index[wrong[0]]} of column '{table.time}' "
            "is neither a number nor an ISO 8601 date such as 2024-01-31 or 20240131T0930. Rewrite the column so, or "
            "leave split.time empty."
        )
    return stamps.astype("int64").to_numpy()
