"""The data profile: what a table holds, in numbers small enough to be read and compared in git."""

from typing import Any

import numpy as np
import pandas as pd

from lockstep.table import Table

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def profile_of(table: Table) -> dict[str, Any]:
    """Rows, columns, and per column its type, missing cells, distinct values and range or most frequent value; of the
    target its class distribution (classification) or quantiles (regression)."""
    frame = table.frame
    return {
        "rows": len(frame),
        "duplicate_rows": int(frame.duplicated().sum()),
        "task": table.task,
        "target": {"column": table.target, **_target(frame[table.target], table.task)},
        "columns": [_column(frame[name]) for name in frame.columns],
    }


def class_counts(labels: pd.Series | np.ndarray) -> dict[str, int]:
    """How many rows each class has, in the classes' order."""
    classes, counts = np.unique(np.asarray(labels, dtype=object if labels.dtype.kind == "O" else None), return_counts=True)
    return {str(name): int(count) for name, count in zip(classes, counts, strict=True)}


def _target(column: pd.Series, task: str) -> dict[str, Any]:
    if task == "classification":
        return {"classes": class_counts(column.astype(object) if column_type(column) == "text" else column)}
    return {
        "mean": float(column.mean()),
        "std": float(column.std()),
        "quantiles": {f"{quantile:g}": float(column.quantile(quantile)) for quantile in QUANTILES},
    }


def column_type(column: pd.Series) -> str:
    """number, boolean or text."""
    if column.dtype.kind in "iuf":
        return "number"
    return "text" if isinstance(column.dtype, pd.StringDtype) else "boolean"


def _column(column: pd.Series) -> dict[str, Any]:
    kind, present = column_type(column), column.dropna()
    facts: dict[str, Any] = {
        "column": str(column.name),
        "type": kind,
        "missing": int(len(column) - len(present)),
        "distinct": int(present.nunique()),
    }
    if len(present) and kind == "number":
        facts |= {"min": present.min().item(), "mean": float(present.mean()), "max": present.max().item()}
    elif len(present):
        counts = present.value_counts()
        count = int(counts.iloc[0])
        facts |= {"most_frequent": str(min(counts.index[counts == count])), "count": count}
    return facts
