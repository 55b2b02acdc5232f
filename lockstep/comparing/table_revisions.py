"""Compares the data of two revisions: each problem's loaded table, as DVC's cache or the workspace has it."""

from typing import Literal

from lockstep.comparing.table_changes import ALPHA, UNCHANGED, ColumnType, TableChanges, compare_tables, types_of
from lockstep.comparing.verdicts import Target
from lockstep.repository.dvc import Repository
from lockstep.repository.revisions import Revision, RevisionName, file_of, opened, outdated, stage_output
from lockstep.tables.table import read_table

import msgspec


class NotRun(msgspec.Struct, frozen=True, kw_only=True):
    """A problem of which these revisions, as messages show them, have no loaded table."""

    status: Literal["not run"] = "not run"
    revisions: tuple[str, ...]


class SameFile(msgspec.Struct, frozen=True):
    """A problem whose table is the same file in both revisions."""

    status: Literal["unchanged"] = UNCHANGED
    same_file: Literal[True] = True


class WholeTable(msgspec.Struct, frozen=True, kw_only=True):
    """A problem that one revision has alone: everything in it is added, or removed."""

    status: Literal["added", "removed"]
    n_rows: int
    columns: tuple[ColumnType, ...]
    target: Target


class DataDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What changed in the data from one revision to another.

    Attributes:
        alpha: the error rate of the verdicts.
        outdated: by problem, the files and settings that changed in the workspace since its table was loaded.
    """

    alpha: float
    before: RevisionName
    after: RevisionName
    changed: bool
    problems: dict[str, TableChanges | SameFile | WholeTable | NotRun]
    outdated: dict[str, tuple[str, ...]]


def compare_table_revisions(rev_a: str, rev_b: str, problem: str | None = None) -> DataDiff:
    """Compare each problem's loaded table in two revisions; the arguments are those of ``compare_model_revisions``.

    Raises:
        DataError: a table is not in the workspace.
        IntegrityError: a table is not in DVC's cache, or damaged.
        SettingsError, MachineError: as of ``opened``.
    """
    with opened(rev_a, rev_b, problem) as (repo, (before, after), names):
        problems = {name: _compare_problem(repo, before, after, name) for name in names}
        workspace = [revision for revision in (before, after) if revision.commit is None]
        old = {name: outdated(repo, workspace[0], f"load@{name}") if workspace else () for name in names}
    return DataDiff(
        alpha=ALPHA,
        before=before.named,
        after=after.named,
        changed=any(found.status != UNCHANGED for found in problems.values()),
        problems=problems,
        outdated={name: tuple(sorted(changed)) for name, changed in old.items() if changed},
    )


def _compare_problem(
    repo: Repository, before: Revision, after: Revision, name: str
) -> TableChanges | SameFile | WholeTable | NotRun:
    stage, sides = f"load@{name}", [revision for revision in (before, after) if name in revision.problems]
    outputs = [stage_output(repo, revision, stage, ".parquet") for revision in sides]
    files = [(revision, output) for revision, output in zip(sides, outputs, strict=True) if output is not None]
    if len(files) < len(sides):
        loaded = [revision for revision, _ in files]
        return NotRun(revisions=tuple(revision.shown for revision in sides if revision not in loaded))
    if len(files) == 2 and files[0][1].md5 == files[1][1].md5:
        return SameFile()
    tables = [read_table(file_of(repo, revision, output, stage)) for revision, output in files]
    if len(tables) == 2:
        return compare_tables(*tables)
    (table,) = tables
    return WholeTable(
        status="added" if sides[0] is after else "removed",
        n_rows=len(table),
        columns=types_of(table.frame),
        target=Target(table.target, table.task),
    )
