"""``python -m lockstep data-diff [REV_A] [REV_B]``: what changed in the data between two revisions.

DVC only knows that a hash changed. This compares the loaded table of each problem: rows added, removed and changed;
columns added, removed and of another type; and for each column missing cells, new and vanished categories, range, and
whether its distribution shifted, by a test that is corrected for the number of tests. Nothing in the workspace is
touched.
"""

import argparse
import difflib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table as Grid
from scipy import stats

from lockstep.errors import DataError, MachineError, SettingsError, some
from lockstep.profile import column_type
from lockstep.revisions import WORKSPACE, Revision, file_of, open_repository, outdated, read_revision, stage_output
from lockstep.table import Table, read_table

ALPHA = 0.05
"""Family-wise error rate of a problem's tests."""
LEAST_EXPECTED = 5.0
"""A chi-squared test needs this expected count in each cell (W. G. Cochran, Biometrics 10 (1954) 417-451)."""
FEW = 5
"""How many new categories, vanished categories and changed rows are spelled out."""
UNCHANGED, NOT_RUN = "unchanged", "not run"
SHIFTED, NO_SHIFT, NOT_TESTED = "shifted", "no detectable shift", "not tested"


class Codes(NamedTuple):
    """One column of both tables as whole numbers: equal cells have equal codes, 0 is missing.

    Attributes:
        before: (n_rows_before,).
        after: (n_rows_after,).
        levels: (n_levels,) the cell values; level i has code i + 1.
    """

    before: np.ndarray
    after: np.ndarray
    levels: np.ndarray

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_levels + 1,) each: rows by code, before and after."""
        size = len(self.levels) + 1
        return np.bincount(self.before, minlength=size), np.bincount(self.after, minlength=size)


@dataclass
class RowMatcher:
    """Matches the rows of two tables, column by column, without a key: by content, each row as often as it stands.

    Exact, not by a hash: the codes of the columns are the digits of one number, renumbered before it overflows.
    """

    n_before: int
    n_after: int
    numbers: np.ndarray = field(init=False)
    span: int = 1

    def __post_init__(self) -> None:
        self.numbers = np.zeros(self.n_before + self.n_after, dtype=np.int64)

    def add(self, codes: Codes) -> None:
        size = len(codes.levels) + 1
        if self.span * size >= 2**62:
            self.numbers = pd.factorize(self.numbers)[0].astype(np.int64)
            self.span = int(self.numbers.max()) + 1
        self.numbers *= size
        self.numbers[: self.n_before] += codes.before
        self.numbers[self.n_before :] += codes.after
        self.span *= size

    def result(self) -> tuple[np.ndarray, np.ndarray, bool | None]:
        """Positions of the rows added, of those removed, and whether the others stand in another order.

        None for the order where it depends on which one of several equal rows was removed or added.
        """
        numbers = pd.factorize(self.numbers)[0]
        before, after = numbers[: self.n_before], numbers[self.n_before :]
        added, removed = _surplus(after, before), _surplus(before, after)
        if np.isin(before[removed], after).any() or np.isin(after[added], before).any():
            return added, removed, None
        return added, removed, not np.array_equal(np.delete(before, removed), np.delete(after, added))


def _surplus(these: np.ndarray, those: np.ndarray) -> np.ndarray:
    """Positions in ``these`` of the numbers that stand there more often than in ``those``: the last ones of each."""
    size = max((int(numbers.max()) + 1 for numbers in (these, those) if len(numbers)), default=0)
    here, there = np.bincount(these, minlength=size), np.bincount(those, minlength=size)
    positions = np.flatnonzero((here > there)[these])
    numbers = pd.Series(these[positions])
    return positions[numbers.groupby(numbers).cumcount().to_numpy() >= there[numbers]]


def _rows(
    old: pd.DataFrame, new: pd.DataFrame, added: np.ndarray, removed: np.ndarray, same: int, reordered: bool | None
) -> dict[str, Any]:
    """The counts of rows, and the first row numbers (of the raw file) of those added and removed."""
    return {
        "before": len(old),
        "after": len(new),
        "added": len(added),
        "removed": len(removed),
        "changed": None,
        "same": same,
        "reordered": reordered,
        "added_row_numbers": [int(number) for number in new.index[added[:FEW]]],
        "removed_row_numbers": [int(number) for number in old.index[removed[:FEW]]],
        "changed_by_column": {},
        "examples": [],
    }


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
    kinds = {name: (_kind(old[name]), _kind(new[name])) for name in shared}
    comparable = [name for name in shared if len({kind.removeprefix("whole ") for kind in kinds[name]}) == 1]
    key = _key(before, after, comparable)
    positions = pd.Index(old[key]).get_indexer(pd.Index(new[key])) if key is not None else np.array([], dtype=np.intp)
    common = np.flatnonzero(positions >= 0)
    row = RowMatcher(len(old), len(new))
    differs: dict[str, np.ndarray] = {}
    described = {}
    for name in shared:
        classes = name == before.target == after.target and before.task == after.task == "classification"
        if name in comparable:
            codes = _codes(old[name], new[name])
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
        rows = _matched(old, new, key, positions, common, differs)
    elif comparable:
        added, removed, moved = row.result()
        rows = _rows(old, new, added, removed, len(old) - len(removed), moved)
    else:
        rows = _rows(old, new, np.arange(len(new)), np.arange(len(old)), 0, None)
    columns = {
        "added": [{"column": name, "type": _kind(new[name])} for name in new if name not in old],
        "removed": [{"column": name, "type": _kind(old[name])} for name in old if name not in new],
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


def _kind(column: pd.Series) -> str:
    """Whole number, number, boolean or text."""
    return "whole number" if column.dtype.kind in "iu" else column_type(column)


def _key(before: Table, after: Table, comparable: list[str]) -> str | None:
    """The column that tells the rows of each table apart and has the most values in common, the first of equals."""
    best, most = None, 0
    for name in comparable:
        old, new = before.frame[name], after.frame[name]
        if name in (before.target, after.target) or _kind(old) != _kind(new) or _kind(old) in ("number", "boolean"):
            continue
        if not (old.isna().any() or new.isna().any()) and old.is_unique and new.is_unique:
            matched = int(new.isin(old).sum())
            if matched > most:
                best, most = name, matched
    return best


def _plain(column: pd.Series, whole: bool) -> pd.Series:
    """The column in a form that both tables' versions of it share: text, whole numbers, or float64 (booleans too)."""
    if column_type(column) == "text":
        return column
    if column_type(column) == "boolean":
        column = column.astype("boolean")
    return column if whole else pd.Series(column.to_numpy(dtype="float64", na_value=np.nan))


def _codes(old: pd.Series, new: pd.Series) -> Codes:
    whole = old.dtype.kind in "iu" and new.dtype.kind in "iu"
    both = pd.concat([_plain(old, whole), _plain(new, whole)], ignore_index=True)
    codes, levels = pd.factorize(both)
    codes = codes + 1
    return Codes(codes[: len(old)], codes[len(old) :], np.asarray(levels))


def _matched(
    old: pd.DataFrame,
    new: pd.DataFrame,
    key: str,
    positions: np.ndarray,
    common: np.ndarray,
    differs: dict[str, np.ndarray],
) -> dict[str, Any]:
    """Rows matched by ``key``.

    Args:
        old, new: the tables.
        key: the column.
        positions: (n_rows_after,) the row's position before, -1 for a new one.
        common: (n_common,) positions after of the rows that both have.
        differs: of each other column (n_common,) whether the cell changed.
    """
    changed = np.zeros(len(common), dtype=bool)
    for cells in differs.values():
        changed |= cells
    examples = [
        {
            "key": _scalar(new[key].iloc[common[i]]),
            "cells": [
                {
                    "column": name,
                    "before": _scalar(old[name].iloc[positions[common[i]]]),
                    "after": _scalar(new[name].iloc[common[i]]),
                }
                for name, cells in differs.items()
                if cells[i]
            ],
        }
        for i in np.flatnonzero(changed)[:FEW]
    ]
    added, removed = np.flatnonzero(positions < 0), np.setdiff1d(np.arange(len(old)), positions[common])
    moved = bool(np.any(np.diff(positions[common]) < 0))
    return {
        **_rows(old, new, added, removed, int((~changed).sum()), moved),
        "changed": int(changed.sum()),
        "changed_by_column": {name: int(cells.sum()) for name, cells in differs.items() if cells.any()},
        "examples": examples,
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
        "type": _kind(new),
        "same_values": False,
        "missing": _missing(len(old), len(new), int(old.isna().sum()), int(new.isna().sum())),
        "range": None,
        "categories": None,
        "values": None,
        "why_not_tested": f"{_kind(old)} before, {_kind(new)} now",
    }


def _column(old: pd.Series, new: pd.Series, codes: Codes, *, categorical: bool, key: bool) -> dict[str, Any]:
    """What changed in a column that both tables have; ``values`` is the test of a shift of its values, or None."""
    before, after = codes.counts()
    present = before[1:].any(), after[1:].any()
    found: dict[str, Any] = {
        "column": str(new.name),
        "type": _kind(new),
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
    return {"min": _scalar(present.min()), "mean": float(present.mean()), "max": _scalar(present.max())}


def _categories(levels: np.ndarray, before: np.ndarray, after: np.ndarray, *, boolean: bool) -> dict[str, Any]:
    """Categories on one side only, the most frequent first, FEW of them with their rows."""

    def first(chosen: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
        picked = np.flatnonzero(chosen)
        least = np.sort(rows[picked])[-FEW:][0] if len(picked) else 0
        names = [bool(levels[i]) if boolean else _scalar(levels[i]) for i in picked if rows[i] >= least]
        counts = [int(rows[i]) for i in picked if rows[i] >= least]
        shown = sorted(zip(names, counts, strict=True), key=lambda item: (-item[1], item[0]))[:FEW]
        return {"count": len(picked), "first": [{"value": value, "rows": n} for value, n in shown]}

    return {
        "before": int((before > 0).sum()),
        "after": int((after > 0).sum()),
        "new": first((before == 0) & (after > 0), after),
        "vanished": first((before > 0) & (after == 0), before),
    }


def _scalar(value: Any) -> Any:
    """A cell as JSON has it; a missing one as None."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if value is None or value is pd.NA or value != value else value


def smirnov(before: pd.Series, after: pd.Series) -> tuple[float, float]:
    """The two-sample Kolmogorov-Smirnov distance of the numbers that are present, 0 to 1, and its p-value.

    Asymptotic, hence quick at a million rows; conservative where values repeat
    (https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.ks_2samp.html).
    """
    samples = [column.dropna().to_numpy(dtype="float64") for column in (before, after)]
    result = stats.ks_2samp(*samples, method="asymp")
    return float(result.statistic), min(1.0, float(result.pvalue))


def homogeneity(before: np.ndarray, after: np.ndarray) -> tuple[float, float] | None:
    """Whether two samples have the same shares of each category.

    Pearson's chi-squared test; categories whose expected count is below LEAST_EXPECTED are pooled. Two categories that
    are too rare for it are tested by Fisher's exact test.

    Args:
        before, after: (n_levels,) rows of each category.

    Returns:
        Cramer's V, 0 to 1 (H. Cramer, Mathematical Methods of Statistics (1946), ch. 21; of two samples it is the
        square root of chi-squared by the number of rows), and the p-value. None if nothing can be tested.
    """
    table = np.array([before, after])[:, (before > 0) | (after > 0)]
    rows = table.sum(axis=1)
    if table.shape[1] < 2 or not rows.all():
        return None
    smaller = rows.min() / rows.sum()
    expected = table.sum(axis=0) * smaller
    exact = None
    if table.shape[1] == 2 and expected.min() < LEAST_EXPECTED:
        exact = float(stats.fisher_exact(table).pvalue)
    else:
        table = table[:, np.argsort(-expected, kind="stable")]
        kept = int((expected >= LEAST_EXPECTED).sum())
        if kept < table.shape[1]:
            if table[:, kept:].sum() * smaller < LEAST_EXPECTED:
                kept -= 1  # the pool is too rare as well: it takes in the rarest of the others
            if kept < 1:
                return None
            table = np.column_stack([table[:, :kept], table[:, kept:].sum(axis=1)])
    chi2, p, *_ = stats.chi2_contingency(table, correction=False)
    return float(np.sqrt(chi2 / rows.sum())), float(p) if exact is None else exact


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted so that the chance of any false one below a level is at most that level.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979)
    65-70.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(value) for value in adjusted]


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


def diff(rev_a: str, rev_b: str, problem: str | None = None) -> dict[str, Any]:
    """What changed in each problem's loaded table from one revision to another, ready for JSON.

    Args:
        rev_a: before: a commit, branch, tag, experiment, or "workspace".
        rev_b: after.
        problem: this one alone; None for all.

    Raises:
        SettingsError: no such revision or problem.
        DataError: a table is not in the workspace, or the one problem asked for has not been run.
        IntegrityError: a table is not in DVC's cache, or damaged.
        MachineError: no DVC or git repository, or a file that cannot be read.
    """
    repo = open_repository()
    try:
        revisions = read_revision(repo, rev_a), read_revision(repo, rev_b)
        names = sorted({name for revision in revisions for name in revision.problems})
        if problem is not None and problem not in names:
            near = difflib.get_close_matches(problem, names, 1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise SettingsError(
                f"Neither {revisions[0].shown} nor {revisions[1].shown} has a problem '{problem}'. They have: "
                f"{', '.join(names) or 'none'}.{hint}"
            )
        problems = {name: _problem(repo, revisions, name) for name in names if problem in (None, name)}
    except OSError as error:
        raise MachineError(f"{error}. Mend that, then run it again.") from None
    finally:
        repo.close()
    if problem is not None and problems[problem]["status"] == NOT_RUN:
        raise DataError(_not_run(problem, problems[problem]))
    return {
        "alpha": ALPHA,
        "before": {"revision": revisions[0].name, "commit": revisions[0].commit, "shown": revisions[0].shown},
        "after": {"revision": revisions[1].name, "commit": revisions[1].commit, "shown": revisions[1].shown},
        "changed": any(found["status"] != UNCHANGED for found in problems.values()),
        "problems": problems,
    }


BLANK: dict[str, Any] = {"same_file": False, "rows": None, "columns": None, "target": None, "features": []}
"""What a problem has where nothing was compared."""


def _problem(repo: Any, revisions: tuple[Revision, Revision], name: str) -> dict[str, Any]:
    """What changed in one problem: ``status``, what is ``outdated`` in the workspace, and what ``compare`` gives."""
    stage = f"load@{name}"
    has = [name in revision.problems for revision in revisions]
    outputs = [
        stage_output(repo, revision, stage, ".parquet") if there else None
        for revision, there in zip(revisions, has, strict=True)
    ]
    found = {
        "outdated": sorted({file for r in revisions if r.commit is None for file in outdated(repo, r, stage)}),
        "not_run": [
            revision.shown for revision, there, out in zip(revisions, has, outputs, strict=True) if there and not out
        ],
    }
    if found["not_run"]:
        return {**BLANK, "status": NOT_RUN, **found}
    before, after = outputs
    if before and after and before.md5 == after.md5:
        return {**BLANK, "status": UNCHANGED, "same_file": True, **found}
    tables = [
        read_table(file_of(repo, revision, out, stage)) if out else None
        for revision, out in zip(revisions, outputs, strict=True)
    ]
    if tables[0] is not None and tables[1] is not None:
        return {**BLANK, **compare(tables[0], tables[1]), **found}
    return {**BLANK, **_whole(*tables), **found}


def _whole(before: Table | None, after: Table | None) -> dict[str, Any]:
    """A problem that is in one revision only: everything in it is added, or removed."""
    table = before if after is None else after
    assert table is not None
    frame, none, everything = table.frame, np.array([], dtype=np.intp), np.arange(len(table))
    columns = [{"column": name, "type": _kind(frame[name])} for name in frame]
    target = {"column": table.target, "task": table.task}
    if after is None:
        return {
            "status": "removed",
            "rows": {**_rows(frame, frame[:0], none, everything, 0, None), "key": None, "compared_columns": []},
            "columns": {"added": [], "removed": columns, "retyped": [], "reordered": False},
            "target": {"before": target, "after": None, "shift": None},
        }
    return {
        "status": "added",
        "rows": {**_rows(frame[:0], frame, everything, none, 0, None), "key": None, "compared_columns": []},
        "columns": {"added": columns, "removed": [], "retyped": [], "reordered": False},
        "target": {"before": None, "after": target, "shift": None},
    }


def _not_run(name: str, found: dict[str, Any]) -> str:
    return (
        f"load@{name} has not been run in {' and '.join(found['not_run'])}, so there is no table to compare. Run "
        f"'dvc repro load@{name}' there."
    )


@dataclass(frozen=True)
class Block:
    """What is to be said of one problem: a title, sentences, and a table of its changed columns."""

    title: str
    lines: list[str]
    rows: list[list[str]]


HEADINGS = ("column", "type", "missing", "what changed", "effect", "p (Holm)", "verdict")
Quote = Callable[[object], str]


def blocks(found: dict[str, Any], quote: Quote) -> list[Block]:
    """The result in words; ``quote`` shows a name or a cell of the data, which can hold any character."""
    return [_block(name, problem, found, quote) for name, problem in found["problems"].items()]


def _block(name: str, found: dict[str, Any], whole: dict[str, Any], quote: Quote) -> Block:
    status, lines, rows = found["status"], [], []
    before, after = whole["before"]["shown"], whole["after"]["shown"]
    if found["outdated"] and status != "removed":
        files = some([quote(file) for file in found["outdated"]], FEW)
        lines.append(
            f"Note: {files} changed since load@{name} was run in the workspace; its table is that of before. "
            f"'dvc repro load@{name}' brings it up to date."
        )
    if status == NOT_RUN:
        lines.append(_not_run(name, found))
    elif status in ("added", "removed"):
        here, there = (after, before) if status == "added" else (before, after)
        lines.append(
            f"The problem is in {here} only, not in {there}: all its {found['rows'][status]:,} rows and "
            f"{len(found['columns'][status])} columns count as {status}."
        )
    elif found["same_file"]:
        lines.append("Nothing changed: the same file.")
    elif status == UNCHANGED:
        lines.append("Nothing changed: the files differ, but hold the same rows and columns in the same order.")
    else:
        lines += [_rows_line(found["rows"]), *_examples(found["rows"], quote), *_columns_lines(found["columns"], quote)]
        if found["rows"]["key"] is None and not found["rows"]["compared_columns"]:
            lines.append("No column is in both tables with one type: no row can be matched.")
        lines.append(_target_line(found["target"], quote))
        shift = found["target"]["shift"]
        described = ([shift] if shift else []) + found["features"]
        counts = found["rows"]["changed_by_column"]
        retyped = {item["column"]: item for item in found["columns"]["retyped"]}
        quiet = []
        for column in described:
            own = column["column"]
            if column["same_values"] and own not in retyped and own not in counts:
                quiet.append(quote(own))
            else:
                rows.append(_column_row(column, retyped.get(own), counts.get(own), quote, target=column is shift))
        if quiet:
            lines.append(
                f"{len(quiet)} column{'s'[: len(quiet) > 1]} with the same values as before: {some(quiet, 20)}."
            )
    return Block(f"{name}: {status}", lines, rows)


def _rows_line(rows: dict[str, Any]) -> str:
    parts = [f"{rows['added']:,} added", f"{rows['removed']:,} removed"]
    parts += [f"{rows['changed']:,} changed"] if rows["changed"] is not None else []
    order = ", in another order: 'split' goes by position" if rows["reordered"] else ""
    how = (
        f"matched by the key '{_visible(rows['key'])}'"
        if rows["key"] is not None
        else "matched by content, there being no key: a changed row counts as one removed and one added"
    )
    counts = f"{', '.join(parts)}, {rows['same']:,} the same{order}"
    return f"Rows: {rows['before']:,} before, {rows['after']:,} after: {counts} ({how})."


def _examples(rows: dict[str, Any], quote: Quote) -> list[str]:
    lines = []
    for what, where in (("added", "after"), ("removed", "before")):
        if numbers := rows[f"{what}_row_numbers"]:
            more = ", \u2026" if rows[what] > len(numbers) else ""
            lines.append(f"  {what}: data rows {', '.join(map(str, numbers))}{more} of the file {where}")
    for example in rows["examples"]:
        cells = [f"{quote(c['column'])} {quote(c['before'])} \u2192 {quote(c['after'])}" for c in example["cells"]]
        lines.append(f"  {quote(rows['key'])} {quote(example['key'])}: {some(cells)}")
    if rows["examples"] and rows["changed"] > len(rows["examples"]):
        lines.append(f"  and {rows['changed'] - len(rows['examples']):,} more changed rows")
    return lines


def _columns_lines(columns: dict[str, Any], quote: Quote) -> list[str]:
    lines = []
    for what in ("added", "removed"):
        items = [f"{quote(c['column'])} ({c['type']})" for c in columns[what]]
        lines += [f"Columns {what}: {some(items, 20)}."] if items else []
    if columns["retyped"]:
        items = [f"{quote(c['column'])} ({c['before']} \u2192 {c['after']})" for c in columns["retyped"]]
        lines.append(f"Columns of another type: {some(items, 20)}.")
    if columns["reordered"]:
        lines.append("The columns stand in another order.")
    return lines


def _target_line(target: dict[str, Any], quote: Quote) -> str:
    before, after, shift = target["before"], target["after"], target["shift"]
    moved = "" if before["task"] == after["task"] else f" The task was {before['task']} and is {after['task']}."
    if shift is None:
        return f"Target: it was {quote(before['column'])} and is {quote(after['column'])}.{moved}"
    if shift["verdict"] == NOT_TESTED:
        return f"Target {quote(after['column'])}: not tested, {shift['why_not_tested']}.{moved}"
    values = shift["values"]
    return (
        f"Target {quote(after['column'])}: {shift['verdict']}"
        + (f" ({values['effect']} {values['size']:.3f}, p {_p(values['p_adjusted'])})" if values else "")
        + f".{moved}"
    )


def _column_row(
    column: dict[str, Any], retyped: dict[str, Any] | None, cells: int | None, quote: Quote, *, target: bool
) -> list[str]:
    """One row of the table under HEADINGS."""
    kind = f"{retyped['before']} \u2192 {retyped['after']}" if retyped else column["type"]
    missing, changes = column["missing"], []
    if cells is not None:
        changes.append(f"{cells:,} cell{'s' if cells > 1 else ''} changed")
    if column["range"]:
        bounds = [f"{_number(r['min'])} \u2026 {_number(r['max'])}" if r else "none" for r in column["range"].values()]
        changes.append(bounds[0] if bounds[0] == bounds[1] else " \u2192 ".join(bounds))
    if column["categories"]:
        for what in ("new", "vanished"):
            levels = column["categories"][what]
            if levels["count"]:
                shown = ", ".join(f"{quote(level['value'])} ({level['rows']:,})" for level in levels["first"])
                more = ", \u2026" if levels["count"] > len(levels["first"]) else ""
                changes.append(f"{levels['count']} {what}: {shown}{more}")
        if not column["categories"]["new"]["count"] and not column["categories"]["vanished"]["count"]:
            changes.append(f"the same {column['categories']['after']} categories, in other numbers")
    values, verdict = column["values"], column["verdict"]
    reasons = []
    if missing["p_adjusted"] is not None and missing["p_adjusted"] <= ALPHA:
        reasons.append(f"missing cells, p {_p(missing['p_adjusted'])}")
    if column["why_not_tested"]:
        reasons.append(column["why_not_tested"])
    return [
        quote(column["column"]) + (" (target)" if target else ""),
        kind,
        " \u2192 ".join(dict.fromkeys(_percent(missing[side]) for side in ("before", "after"))),
        "; ".join(changes),
        f"{values['effect']} {values['size']:.3f}" if values else "",
        _p(values["p_adjusted"]) if values else "",
        verdict + (f" ({'; '.join(reasons)})" if reasons else ""),
    ]


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}" if p > 0 else "0"


def _percent(share: float | None) -> str:
    if share is None:
        return "no rows"
    return f"{share:.1%}" if share == 0 or 0.0005 <= share < 0.9995 or share == 1 else f"{share:.2g}"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _visible(value: object) -> str:
    """A name or a cell with its control characters spelled out, so that it can change nothing but its own place."""
    text = "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _code(value: object) -> str:
    """The same as a code span of GitHub's Markdown (https://github.github.com/gfm/#code-spans), also inside a table,
    where '|' is escaped even so."""
    text = _visible(value)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")


def _title(found: dict[str, Any]) -> str:
    return f"Data of {found['before']['shown']} (before) and of {found['after']['shown']} (after)"


def _quiet(found: dict[str, Any]) -> str | None:
    """The one sentence when there is nothing to show."""
    problems = found["problems"]
    if found["changed"] or any(problem["outdated"] for problem in problems.values()):
        return None
    return f"Nothing changed in the data of {', '.join(problems) or 'any problem'}."


TESTS = (
    f"Verdicts: at {ALPHA:.0%} over all tests of a problem (Holm); numbers by Kolmogorov-Smirnov, categories and "
    "missing cells by chi-squared. With many rows a small effect is significant too: read the effect "
    "(0: none, 1: largest)."
)


def markdown(found: dict[str, Any]) -> str:
    """The result as GitHub's Markdown, for a pull request."""
    lines = [f"### {_title(found)}", ""]
    if quiet := _quiet(found):
        lines += [quiet, ""]
    for block in blocks(found, _code):
        lines += [f"#### {block.title}", "", *[f"- {line.strip()}" for line in block.lines], ""]
        if block.rows:
            lines += ["| " + " | ".join(HEADINGS) + " |", "|" + " --- |" * len(HEADINGS)]
            lines += ["| " + " | ".join(row) + " |" for row in block.rows]
            lines.append("")
    if any(block.rows for block in blocks(found, _code)):
        lines.append(TESTS)
    return "\n".join(lines).rstrip() + "\n"


def show(found: dict[str, Any]) -> None:
    """Print the result as tables."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 160
    console.print(_title(found), soft_wrap=True)
    if quiet := _quiet(found):
        console.print(quiet, soft_wrap=True)
    tested = False
    for block in blocks(found, _visible):
        console.print("", block.title, *[f"  {line}" for line in block.lines], sep="\n", soft_wrap=True)
        if block.rows:
            grid = Grid(box=box.SIMPLE_HEAD)
            for heading in HEADINGS:
                grid.add_column(heading, justify="right" if heading in ("p (Holm)",) else "left", overflow="fold")
            for row in block.rows:
                grid.add_row(*row)
            console.print(grid)
            tested = True
    if tested:
        console.print(TESTS, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Print what changed; the exit code is 0 whether or not something did."""
    parser = argparse.ArgumentParser(prog="python -m lockstep data-diff", description=__doc__)
    parser.add_argument("rev_a", nargs="?", default="HEAD", metavar="REV_A", help="before; default: %(default)s")
    parser.add_argument(
        "rev_b",
        nargs="?",
        default=WORKSPACE,
        metavar="REV_B",
        help="after; default: %(default)s. A revision is a commit, branch, tag or DVC experiment, or 'workspace'",
    )
    parser.add_argument("--problem", metavar="NAME", help="this problem alone; default: all")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as JSON")
    form.add_argument("--md", action="store_true", help="as a Markdown table")
    args = parser.parse_args(argv)
    found = diff(args.rev_a, args.rev_b, args.problem)
    if args.json:
        print(json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False))
    elif args.md:
        print(markdown(found), end="")
    else:
        show(found)
    return 0
