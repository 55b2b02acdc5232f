"""What changed from one table to another: rows, columns, and whether the distribution of a column shifted."""

from typing import Any

from lockstep.comparing.row_matching import (
    Codes,
    RowMatcher,
    encode,
    find_key,
    kind_of,
    match_by_key,
    row_counts,
    scalar,
)
from lockstep.splitting.two_samples import holm, homogeneity, smirnov
from lockstep.tables.table import Table, column_type

import numpy as np
import pandas as pd

ALPHA = 0.05
"""Family-wise error rate of a problem's tests."""
FEW = 5
"""How many new and vanished categories are spelled out."""
UNCHANGED = "unchanged"
SHIFTED, NO_SHIFT, NOT_TESTED = "shifted", "no detectable shift", "not tested"


def compare(before: Table, after: Table) -> dict[str, Any]:
    """What changed from one table to another, ready for JSON.

    Rows are matched on the columns that both tables have with one type (whole and decimal numbers count as one): by
    a key column where there is one, else by content. Order matters to neither.

    Returns:
        ``rows``, ``columns`` (added, removed, retyped), ``target`` and ``features`` (a mapping per column), ``status``
        (unchanged, reordered or changed).
    """
    old, new = before.frame, after.frame
    shared = [str(name) for name in new if name in old]
    kinds = {name: (kind_of(old[name]), kind_of(new[name])) for name in shared}
    comparable = [name for name in shared if len({kind.removeprefix("whole ") for kind in kinds[name]}) == 1]
    key = find_key(before, after, comparable)
    positions = pd.Index(old[key]).get_indexer(pd.Index(new[key])) if key is not None else np.array([], dtype=np.intp)
    common = np.flatnonzero(positions >= 0)
    row = RowMatcher(len(old), len(new))
    differs: dict[str, np.ndarray] = {}
    described = {}
    for name in shared:
        classes = name == before.target == after.target and before.task == after.task == "classification"
        if name in comparable:
            codes = encode(old[name], new[name])
            categorical = classes or column_type(new[name]) != "number"
            described[name] = _column(old[name], new[name], codes, categorical=categorical, key=name == key)
            if key is None:
                row.add(codes)
            elif name != key:
                differs[name] = codes.before[positions[common]] != codes.after[common]
        else:
            described[name] = _retyped(old[name], new[name])
    _correct(list(described.values()))
    if key is not None:
        rows = match_by_key(old, new, key, positions, common, differs)
    elif comparable:
        added, removed, moved = row.result()
        rows = row_counts(old, new, added, removed, len(old) - len(removed), moved)
    else:
        rows = row_counts(old, new, np.arange(len(new)), np.arange(len(old)), 0, None)
    columns = {
        "added": [{"column": name, "type": kind_of(new[name])} for name in new if name not in old],
        "removed": [{"column": name, "type": kind_of(old[name])} for name in old if name not in new],
        "retyped": [
            {"column": name, "before": kinds[name][0], "after": kinds[name][1]}
            for name in shared
            if kinds[name][0] != kinds[name][1]
        ],
        "reordered": shared != [name for name in old if name in new],
    }
    target = {
        "before": {"column": before.target, "task": before.task},
        "after": {"column": after.target, "task": after.task},
        "shift": described.get(after.target) if before.target == after.target else None,
    }
    reordered = rows["reordered"] or columns["reordered"]
    changes = [*(columns[what] for what in ("added", "removed", "retyped")), target["before"] != target["after"]]
    if any(changes) or rows["added"] or rows["removed"] or rows["changed"]:
        status = "changed"
    else:
        status = "reordered" if reordered else UNCHANGED
    return {
        "status": status,
        "rows": {"key": key, "compared_columns": comparable, **rows},
        "columns": columns,
        "target": target,
        "features": [found for name, found in described.items() if name != after.target],
    }


def _missing(n_before: int, n_after: int, before: int, after: int) -> dict[str, Any]:
    """Missing cells before and after, and whether their share shifted."""
    counts = np.array([[before, n_before - before], [after, n_after - after]])
    _, p = homogeneity(*counts) or (None, None)
    return {
        "before": before / n_before if n_before else None,
        "after": after / n_after if n_after else None,
        "cells_before": before,
        "cells_after": after,
        "p": p,
    }


def _retyped(old: pd.Series, new: pd.Series) -> dict[str, Any]:
    """A column whose cells cannot be compared, being of another type."""
    return {
        "column": str(new.name),
        "type": kind_of(new),
        "same_values": False,
        "missing": _missing(len(old), len(new), int(old.isna().sum()), int(new.isna().sum())),
        "range": None,
        "categories": None,
        "values": None,
        "why_not_tested": f"{kind_of(old)} before, {kind_of(new)} now",
    }


def _column(old: pd.Series, new: pd.Series, codes: Codes, *, categorical: bool, key: bool) -> dict[str, Any]:
    """What changed in a column that both tables have; ``values`` is the test of a shift of its values, or None."""
    before, after = codes.counts()
    present = before[1:].any(), after[1:].any()
    found: dict[str, Any] = {
        "column": str(new.name),
        "type": kind_of(new),
        "same_values": bool((before == after).all()),
        "missing": _missing(len(old), len(new), int(before[0]), int(after[0])),
        "range": {"before": _range(old), "after": _range(new)} if column_type(new) == "number" else None,
        "categories": None,
        "values": None,
        "why_not_tested": None,
    }
    if categorical:
        found["categories"] = _categories(codes.levels, before[1:], after[1:], boolean=column_type(new) == "boolean")
    if key:
        found["why_not_tested"] = "the key"
    elif not all(present):
        found["why_not_tested"] = (
            "no value before or now" if not any(present) else ("no value before" if not present[0] else "no value now")
        )
    elif categorical:
        tested = homogeneity(before[1:], after[1:])
        if tested is None:
            one = len(codes.levels) == 1
            found["why_not_tested"] = "one category only" if one else "each category is too rare for a test"
        else:
            found["values"] = {"test": "chi-squared", "effect": "Cram\u00e9r's V", "size": tested[0], "p": tested[1]}
    else:
        distance, p = smirnov(old, new)
        found["values"] = {"test": "Kolmogorov-Smirnov", "effect": "KS distance", "size": distance, "p": p}
    return found


def _range(column: pd.Series) -> dict[str, Any] | None:
    present = column.dropna()
    if present.empty:
        return None
    return {"min": scalar(present.min()), "mean": float(present.mean()), "max": scalar(present.max())}


def _categories(levels: np.ndarray, before: np.ndarray, after: np.ndarray, *, boolean: bool) -> dict[str, Any]:
    """Categories on one side only, the most frequent first, FEW of them with their rows."""

    def first(chosen: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        picked = np.flatnonzero(chosen)
        least = np.sort(rows[picked])[-FEW:][0] if len(picked) else 0
        names = [bool(levels[i]) if boolean else scalar(levels[i]) for i in picked if rows[i] >= least]
        counts = [int(rows[i]) for i in picked if rows[i] >= least]
        shown = sorted(zip(names, counts, strict=True), key=lambda item: (-item[1], item[0]))[:FEW]
        return {"count": len(picked), "first": [{"value": value, "rows": n} for value, n in shown]}

    return {
        "before": int((before > 0).sum()),
        "after": int((after > 0).sum()),
        "new": first((before == 0) & (after > 0), after),
        "vanished": first((before > 0) & (after == 0), before),
    }


def _correct(columns: list[dict[str, Any]]) -> None:
    """Set ``p_adjusted`` of every test of a problem, and each column's ``verdict``."""
    tests = [test for column in columns for test in (column["missing"], column["values"]) if test and "p" in test]
    family = [test for test in tests if test["p"] is not None]
    for test in tests:
        test["p_adjusted"] = None
    for test, p in zip(family, holm([test["p"] for test in family]), strict=True):
        test["p_adjusted"] = p
    for column in columns:
        found = [
            test["p_adjusted"]
            for test in (column["missing"], column["values"])
            if test and test["p_adjusted"] is not None
        ]
        if any(p <= ALPHA for p in found):
            column["verdict"] = SHIFTED
        else:
            column["verdict"] = NOT_TESTED if column["values"] is None else NO_SHIFT
