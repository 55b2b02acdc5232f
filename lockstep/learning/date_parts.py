"""Numbers in place of dates: their parts, the time since a fixed day, and how far the dates of a row are apart.

All of it is calls of pandas' own methods, by operator.methodcaller and attrgetter, so that a saved model needs nothing
of Lockstep to be loaded. What is missing stays missing.
"""

from operator import attrgetter, methodcaller
from typing import Any

from lockstep.tables.dates import DAY, UNIT

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

MOMENTS = "timestamp[us][pyarrow]"
"""What raw dates are cast to. Arrow takes dates of any unit and time zone, in UTC then, and ISO 8601 texts, where
pandas would guess at others. A missing one stays missing as a number, too."""
MICROSECONDS_OF_A_DAY = float(DAY / np.timedelta64(1, "us"))
PARTS = {
    "year": "dt.year",
    "month": "dt.month",
    "day": "dt.day",
    "weekday": "dt.day_of_week",
    "day_of_year": "dt.day_of_year",
    "hour": "dt.hour",
    "minute": "dt.minute",
}
"""{name of a part: the attribute of a column of dates}; Monday is 0."""
_CAST = methodcaller("astype", "float64")
MAX_COMPARED = 5
"""So many columns of dates, the first ones, are compared with each other."""


def date_parts(dates: pd.DataFrame) -> Pipeline:
    """An unfitted transformer of columns of dates to float64 numbers, NaN where missing, (n_rows, n_parts).

    Args:
        dates: (n_rows, n_columns), the training rows; parts and distances that are the same in all are left out.
    """
    dates = dates.astype(UNIT)
    names = list(map(str, dates))
    parts: list[tuple[str, Any, list[str]]] = []
    for part, attribute in PARTS.items():
        varying = [name for name in names if _varies(attrgetter(attribute)(dates[name]))]
        if varying:
            parts.append((part, _calls(methodcaller("apply", attrgetter(attribute)), _CAST), varying))
    parts.append(("days_since_1970", _days(), names))
    compared = names[:MAX_COMPARED]
    for apart in range(1, len(compared)):
        # of each column from the one so many columns before; pandas keeps the first ones, without a number
        pairs = zip(compared, compared[apart:], strict=False)
        varying = [later for earlier, later in pairs if _varies(dates[later] - dates[earlier])]
        if varying:
            chosen = ColumnTransformer([("days", "passthrough", varying)], verbose_feature_names_out=False)
            differences = [("days", _days()), ("apart", _call(methodcaller("diff", apart, 1))), ("chosen", chosen)]
            parts.append((f"days_since_{apart}_before", Pipeline(differences), compared))
    return Pipeline([("moments", _call(methodcaller("astype", MOMENTS))), ("parts", ColumnTransformer(parts))])


def _varies(values: pd.Series) -> bool:
    return len(values.dropna().unique()) > 1


def _days() -> Pipeline:
    """Days since 1970-01-01 00:00 UTC, with the time of day as a fraction."""
    return _calls(methodcaller("astype", "int64[pyarrow]"), _CAST, methodcaller("div", MICROSECONDS_OF_A_DAY))


def _calls(*functions: Any) -> Pipeline:
    return Pipeline([(f"call_{number}", _call(function)) for number, function in enumerate(functions, 1)])


def _call(function: Any) -> FunctionTransformer:
    return FunctionTransformer(function, feature_names_out="one-to-one")
