"""Compares the data of two revisions: each problem's loaded table, as DVC's cache or the workspace has it.

Rows are matched by columns that the tables lack, too: those of the raw file that load.drop leaves out.
"""

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from lockstep.comparing.tables.changes import (
    UNCHANGED,
    ColumnType,
    Side,
    TableChanges,
    UnreadColumns,
    compare_tables,
    types_of,
)
from lockstep.comparing.verdicts import ALPHA, Target
from lockstep.kernel.errors import LockstepError
from lockstep.kernel.log import logger
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.settings import convert
from lockstep.reading.loading import LoadSettings, load_file
from lockstep.repository.dvc import Repository
from lockstep.repository.revisions import (
    Revision,
    RevisionName,
    file_of,
    opened,
    outdated,
    place_dependency,
    stage_output,
)
from lockstep.tables.table import Table, read_table

import msgspec
import pandas as pd
from msgspec.structs import replace


class NotLoaded(msgspec.Struct, frozen=True, kw_only=True):
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
    problems: dict[str, TableChanges | SameFile | WholeTable | NotLoaded]
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
) -> TableChanges | SameFile | WholeTable | NotLoaded:
    stage, sides = f"load@{name}", [revision for revision in (before, after) if name in revision.problems]
    outputs = [stage_output(repo, revision, stage, ".parquet") for revision in sides]
    files = [(revision, output) for revision, output in zip(sides, outputs, strict=True) if output is not None]
    if len(files) < len(sides):
        loaded = [revision for revision, _ in files]
        return NotLoaded(revisions=tuple(revision.shown for revision in sides if revision not in loaded))
    if len(files) == 2 and files[0][1].md5 == files[1][1].md5:
        return SameFile()
    tables = [read_table(file_of(repo, revision, output, stage)) for revision, output in files]
    if len(tables) == 2:
        found = [_dropped_columns(repo, revision, name, table) for revision, table in zip(sides, tables, strict=True)]
        unread = tuple(item for item in found if isinstance(item, UnreadColumns))
        first, second = (
            table if isinstance(item, UnreadColumns) else Side(table, item)
            for table, item in zip(tables, found, strict=True)
        )
        return replace(compare_tables(first, second), unread=unread)
    (table,) = tables
    return WholeTable(
        status="added" if sides[0] is after else "removed",
        n_rows=len(table),
        columns=types_of(table.frame),
        target=Target(table.target, table.task),
    )


def _dropped_columns(repo: Repository, revision: Revision, name: str, table: Table) -> pd.DataFrame | UnreadColumns:
    """The columns that load.drop left out of ``table``, read from the raw file that it was made of, or why not."""
    stage = revision.stages[f"load@{name}"]
    key = f"problems.{name}.load"
    values = stage.params.get(PARAMS.name, {}).get(key, {})
    dropped = tuple(map(str, values.get("drop") or ())) if isinstance(values, dict) else ()
    if not dropped:
        return table.frame[[]]
    try:
        settings = convert(values, LoadSettings, f"params.yaml of {revision.shown}: {key}")
        raw = next((file for file in stage.deps if file.path == settings.path), None)
        if raw is None:
            return UnreadColumns(revision.shown, dropped, f"dvc.lock does not record {settings.path}")
        with tempfile.TemporaryDirectory() as folder:
            return dropped_columns(place_dependency(repo, revision, raw, Path(folder)), settings, table)
    except LockstepError as error:
        return UnreadColumns(revision.shown, dropped, str(error).removesuffix("."))


def dropped_columns(path: Path, settings: LoadSettings, table: Table) -> pd.DataFrame:
    """The columns that load.drop left out of ``table``, which was loaded from the file ``path``, indexed as it is.

    Raises:
        LockstepError: they cannot be read.
    """
    if not settings.drop:
        return table.frame[[]]
    beside = tuple(str(column) for column in table.frame if column != table.target)
    with unlogged():
        frame = load_file(path, replace(settings, drop=beside, weight=None)).table.frame
    return frame[list(settings.drop)].reindex(table.frame.index)


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """What there is to say of a file was said when it was loaded."""
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
