"""The data profile: what a table holds, in numbers small enough to be read and compared in git."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lockstep.kernel.log import counted
from lockstep.tables.dates import date_of, numbers_of, shown_date
from lockstep.tables.statistics import n_distinct, n_duplicate_rows
from lockstep.tables.table import Table, class_counts, column_type

import pandas as pd

MAX_WORDS = 100
"""Words of a column that mean a missing value and are counted one by one: where all that is no number does, they may be
many."""
OTHER_WORDS = "(other texts)"
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def file_facts(path: Path, md5: str) -> dict[str, Any]:
    """The path, size in bytes and SHA-256 of a file, and the MD5 that is known of it.

    DVC names files by their MD5, and so does the report; it guards nothing here.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return {"path": path.as_posix(), "size": file.tell(), "md5": md5, "sha256": sha256}


def profile_of(
    table: Table,
    missing_as: Mapping[str, Mapping[str, int]],
    dropped: Sequence[str],
    file: Mapping[str, Any],
    descriptions: Mapping[str, str],
    units: Mapping[str, str],
    rows_left_out: int = 0,
) -> dict[str, Any]:
    """The file; rows, columns, and per column its type, missing cells, distinct values and range (of dates as texts)
    or most frequent value; the rows of each of the levels that have an order, in it; of the target its class
    distribution (classification) or quantiles (regression).

    Args:
        table: what is left for the pipeline.
        missing_as: what its missing cells hold: {column: {word: count}}.
        dropped: the columns of the file that the settings leave out.
        file: what file_facts says of the file that the table was read from.
        descriptions: of the columns, from the data contract: {column: text}; those that it does not describe may lack.
        units: what the numbers of columns are in, from the data contract: {column: text}; others may lack.
        rows_left_out: rows of the file that the settings leave out.
    """
    frame = table.frame
    ordered = {
        name: {level: int((frame[name] == level).sum()) for level in levels} for name, levels in table.levels.items()
    }
    words = {name: _most_frequent(counts) for name, counts in missing_as.items() if any(word for word in counts)}
    return {
        "file": dict(file),
        "rows": len(frame),
        "rows_left_out": rows_left_out,
        "duplicate_rows": n_duplicate_rows(frame),
        "task": table.task,
        "missing_words": words,
        "target": {"column": table.target, **_target(frame[table.target], table.task)},
        "columns": [
            _column(frame[name]) | {"unit": units.get(name, ""), "description": descriptions.get(name, "")}
            for name in counted(frame.columns, "columns")
        ],
        **({"ordered_levels": ordered} if ordered else {}),
        "dropped": dict.fromkeys(dropped, "load.drop"),  # no list: `dvc plots` stumbles over an empty one
    }


def _most_frequent(counts: Mapping[str, int]) -> dict[str, int]:
    """At most MAX_WORDS of the words, sorted; the cells of all others are counted under OTHER_WORDS."""
    if len(counts) <= MAX_WORDS:
        return dict(counts)
    kept = sorted(counts, key=lambda word: (-counts[word], word))[:MAX_WORDS]
    others = sum(counts.values()) - sum(counts[word] for word in kept)
    return {word: counts[word] for word in sorted(kept)} | {OTHER_WORDS: others}


def _target(column: pd.Series, task: str) -> dict[str, Any]:
    if task == "classification":
        return {"classes": class_counts(column.astype(object) if column_type(column) == "text" else column)}
    return {
        "mean": float(column.mean()),
        "std": float(column.std()),
        "quantiles": {f"{quantile:g}": float(column.quantile(quantile)) for quantile in QUANTILES},
    }


def _column(column: pd.Series) -> dict[str, Any]:
    kind, present = column_type(column), column.dropna()
    ranges = len(present) > 0 and kind in ("number", "date")
    low, mean, high = _range(present) if ranges else (None, None, None)
    counts = None if ranges else present.value_counts()
    # The same keys for every column, null where they say nothing: `dvc plots` draws only lists that are uniform.
    return {
        "column": str(column.name),
        "type": kind,
        "missing": len(column) - len(present),
        "distinct": n_distinct(present) if counts is None else len(counts),
        "min": low,
        "mean": mean,
        "max": high,
        "most_frequent": None if counts is None or counts.empty else str(min(counts.index[counts == counts.iloc[0]])),
        "most_frequent_count": None if counts is None or counts.empty else int(counts.iloc[0]),
    }


def _range(present: pd.Series) -> tuple[Any, Any, Any]:
    """(minimum, mean, maximum) of numbers, or of dates, as texts."""
    if column_type(present) == "date":
        return shown_date(present.min()), date_of(float(numbers_of(present).mean())), shown_date(present.max())
    return present.min().item(), float(present.mean()), present.max().item()
