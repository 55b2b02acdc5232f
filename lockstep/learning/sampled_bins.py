"""XGBoost's bins of a large table, cut at the quantiles of some of its rows: to find those of all rows takes half as
long as to grow the trees.

The quantiles of 100,000 rows are those of all to about a third of a bin. What a sample would lack, the rare values of a
column that has few, is put in, so that it has a bin of its own here as well.
"""

from typing import Any

import numpy as np
import pandas as pd

FROM_ROWS, SAMPLED_ROWS = 300_000, 100_000
"""Tables of so many rows or more are cut by so many of them."""
_FEW_VALUES = 1_000
"""Columns of fewer values, among these rows, have few. XGBoost gives each value a bin where there are at most 256."""


def with_sampled_bins(kind: Any) -> Any:
    """A class of XGBoost's estimators, ``kind``, whose fit cuts bins so; for rows without categories."""

    def create(self: Any, ref: Any, *, data: pd.DataFrame, label: Any, weight: Any = None, **given: Any) -> Any:
        if ref is None:
            rows = rows_for_bins(data)
            weights = None if weight is None else weight[rows]
            ref = kind._create_dmatrix(self, None, data=data.iloc[rows], label=label[rows], weight=weights, **given)
        return kind._create_dmatrix(self, ref, data=data, label=label, weight=weight, **given)

    return type(kind.__name__, (kind,), {"_create_dmatrix": create})


def rows_for_bins(data: pd.DataFrame) -> np.ndarray:
    """The positions of the rows that bins are cut by, in their order.

    Args:
        data: (n_rows, n_columns) numbers, missing ones being NaN.
    """
    rows = np.random.default_rng(0).choice(len(data), min(SAMPLED_ROWS, len(data)), replace=False)
    found = [rows]
    for name in data:
        column = data[name]
        if column.iloc[rows].nunique() < _FEW_VALUES:
            found.append(np.flatnonzero(~column.duplicated()))
    return np.unique(np.concatenate(found))
