"""``python -m lockstep data-diff [REV_A] [REV_B]``: what changed in the data between two revisions.

DVC only knows that a hash changed. This compares the loaded table of each problem: rows added, removed and changed;
columns added, removed and of another type; and for each column missing cells, new and vanished categories, range, and
whether its distribution shifted, by a test that is corrected for the number of tests. Nothing in the workspace is
touched.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from lockstep.comparing.rendering import add_forms, emit, visible
from lockstep.comparing.row_matching import kind_of, row_counts
from lockstep.comparing.table_changes import ALPHA, UNCHANGED, compare
from lockstep.comparing.table_words import NOT_RUN, not_run, report
from lockstep.kernel.errors import DataError
from lockstep.repository.revisions import WORKSPACE, Revision, file_of, opened, outdated, stage_output
from lockstep.tables.table import Table, read_table

import numpy as np


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
    with opened(rev_a, rev_b, problem) as (repo, revisions, names):
        problems = {name: _problem(repo, revisions, name) for name in names}
    if problem is not None and problems[problem]["status"] == NOT_RUN:
        raise DataError(not_run(problem, problems[problem], visible))
    return {
        "alpha": ALPHA,
        "before": revisions[0].summary,
        "after": revisions[1].summary,
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
    columns = [{"column": name, "type": kind_of(frame[name])} for name in frame]
    target = {"column": table.target, "task": table.task}
    if after is None:
        return {
            "status": "removed",
            "rows": {**row_counts(frame, frame[:0], none, everything, 0, None), "key": None, "compared_columns": []},
            "columns": {"added": [], "removed": columns, "retyped": [], "reordered": False},
            "target": {"before": target, "after": None, "shift": None},
        }
    return {
        "status": "added",
        "rows": {**row_counts(frame[:0], frame, everything, none, 0, None), "key": None, "compared_columns": []},
        "columns": {"added": columns, "removed": [], "retyped": [], "reordered": False},
        "target": {"before": None, "after": target, "shift": None},
    }


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
    add_forms(parser)
    args = parser.parse_args(argv)
    found = diff(args.rev_a, args.rev_b, args.problem)
    emit(args, found, lambda quote: report(found, quote))
    return 0
