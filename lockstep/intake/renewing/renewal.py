"""Finds out what new data make of a problem, before anything is changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from lockstep.comparing.tables.changes import Side, TableChanges, UnreadColumns, compare_tables
from lockstep.comparing.tables.revisions import dropped_columns, unlogged
from lockstep.comparing.tables.row_matching import Matched, find_matches, of_one_type
from lockstep.intake.detecting.footers import ends_with_footer
from lockstep.intake.editing.undoing import hidden_folder
from lockstep.intake.renewing.carried_rows import (
    Twins,
    carried_test_rows,
    n_comparable,
    shared_columns,
    twins_by,
    twins_by_content,
    whole,
)
from lockstep.kernel.errors import DataError, LockstepError, Setting, called, did_you_mean, some
from lockstep.kernel.lock_file import md5_of
from lockstep.reading.contract import read_contract
from lockstep.reading.loading import LoadSettings, check_rows, load_file
from lockstep.reading.source import PACKED
from lockstep.steps.splitting.identifiers import NEARLY_UNIQUE, is_code
from lockstep.steps.splitting.parts import SplitSettings, split_table
from lockstep.steps.splitting.two_samples import shared_codes
from lockstep.tables.table import column_type

import numpy as np
import pandas as pd
from msgspec.structs import replace

Mode = Literal["append", "replace"]


class DataVersion(NamedTuple):
    """A problem's data as they are in a file.

    Attributes:
        side: the table, and the columns that load.drop leaves out.
        n_rows: of the file.
        unread: why those columns could not be read.
    """

    side: Side
    n_rows: int
    unread: UnreadColumns | None


class Renewal(NamedTuple):
    """What new data make of a problem; row numbers count from 1.

    Attributes:
        changes: what ``data-diff`` says of it.
        key: what rows are matched by, None: their content.
        repeated: rows, of those to be added, that the table has already, all columns alike, or that stand before.
        changed_targets: rows, in the new file, of the key of one row with another target.
        vanished: rows of the table that the new one lacks; ``vanished_test``: how many are test rows.
        was_test: the test rows of the table.
        test: the test rows of the new one.
        new_test: how many of these are new rows.
        left_test: test rows that are training rows then, which happens where the last rows in time are the test rows.
        comparable: how many test rows both have, all columns alike that the model reads.
        in_time: whether the test rows are the last ones in time, so that none are kept.
    """

    changes: TableChanges
    key: str | None
    repeated: list[int]
    changed_targets: list[int]
    vanished: list[int]
    vanished_test: int
    was_test: int
    test: list[int]
    new_test: int
    left_test: int
    comparable: int
    in_time: bool


class _Comparison(NamedTuple):
    """Two versions of a problem's data, and which of their rows are the same.

    Attributes:
        match: one to one.
        content: all that have the same content.
        key: the column that names the rows, or None.
    """

    before: DataVersion
    after: DataVersion
    match: Matched
    content: Twins
    key: str | None


class Given(NamedTuple):
    """What a problem says of its data: the settings, the contract's file, and the tracked file."""

    load: LoadSettings
    split: SplitSettings
    contract: Path
    data: Path


def find_renewal(given: Given, rows: Path, result: Path, mode: Mode, key: str | None) -> Renewal:
    """What a problem becomes if its data are ``result``.

    Args:
        given: of the problem.
        rows: the file that messages are about.
        result: the new data.
        mode: whether they are the old ones and, behind them, ``rows``.
        key: the column that names the rows, where it is given.

    Raises:
        DataError: they do not fit the contract, or cannot be trained on; there is no such column.
    """
    with unlogged():
        before = _version(given, given.data, "the table")
    if mode == "append":
        with unlogged(), called(result, f"{given.data} with the rows of {rows}"):
            after = _version(given, result, str(rows))
    else:
        # Of the same bytes as ``result``, which messages and the log are not to name: nobody knows that file.
        _check_footer(given.load, rows)
        after = _version(given, rows, str(rows))
    _check_key(key, given.load, before, after, rows)
    changes = compare_tables(before.side, after.side, key)
    found = changes.rows.key
    if key is None and found is not None and found.before == found.after:
        key = found.before
    content = twins_by_content(before.side, after.side)
    match = _matched(before, after, mode, key)
    changes = replace(changes, unread=tuple(side.unread for side in (before, after) if side.unread is not None))
    repeated = _repeated(content, before, after) if mode == "append" else []
    targets = _changed_targets(before.side, after.side, match, key)
    compared = _Comparison(before, after, match, content, key)
    return _with_parts(given, compared, changes, repeated, targets)


def _check_footer(load: LoadSettings, rows: Path) -> None:
    """Refuse data whose last lines may be rows, where the settings leave out so many as are below the table."""
    n_lines = load.skip_footer_lines
    if not n_lines or rows.suffix.lower() == ".parquet":
        return
    if not ends_with_footer(rows, load.dialect):
        last = "its last line" if n_lines == 1 else f"its last {n_lines} lines"
        raise DataError(
            f"{rows} may have rows in {last}, which ",
            Setting("load.skip_footer_lines"),
            " leaves out as what stands below the table's rows. Write that below these rows, too: a line such as "
            "'Total' is enough.",
        )


def _version(given: Given, path: Path, shown: str) -> DataVersion:
    loaded = load_file(path, given.load, read_contract(given.contract))
    table, unread = loaded.table, None
    try:
        dropped = dropped_columns(path, given.load, table)
    except LockstepError as error:
        dropped = table.frame[[]]
        unread = UnreadColumns(shown, given.load.drop, str(error).removesuffix("."))
    return DataVersion(Side(table, dropped), len(table) + loaded.rows_left_out, unread)


def _check_key(key: str | None, load: LoadSettings, before: DataVersion, after: DataVersion, rows: Path) -> None:
    if key is None:
        return
    target = before.side.table.target
    if key == target:
        raise DataError(f"--key {key} is the target, which names no row. Name the column that tells rows apart.")
    for version, file in ((before, load.path), (after, str(rows))):
        names = list(map(str, whole(version.side)))
        if key not in names:
            unread = f" Not read: {version.unread.reason}." if version.unread is not None else ""
            raise DataError(f"{file} has no column '{key}' (--key). It has: {some(names, 20)}.{unread}"
                            f"{did_you_mean(key, names)}")  # fmt: skip
        if not is_code(column := whole(version.side)[key]) and column_type(column) != "date":
            raise DataError(f"{file}: '{key}' (--key) holds neither texts nor whole numbers nor dates. "
                            "Name the column that tells rows apart.")  # fmt: skip


def _matched(before: DataVersion, after: DataVersion, mode: Mode, key: str | None) -> Matched:
    """The rows that both have: where rows were added, the first ones."""
    old, new = before.side, after.side
    if mode == "replace":
        return find_matches(old.rows, new.rows, shared_columns(old.table.frame, new.table.frame), key)
    numbers = new.table.frame.index.where(new.table.frame.index <= before.n_rows, -1)
    return Matched(old.table.frame.index.get_indexer(numbers), None, None)


def _repeated(content: Twins, before: DataVersion, after: DataVersion) -> list[int]:
    """The numbers, in the file of rows to add, of rows that the table has, or that stand above them, cell by cell."""
    index = after.side.table.frame.index
    is_added = np.asarray(index > before.n_rows)
    again = pd.Series(content.after).duplicated().to_numpy() | np.isin(content.after, content.before)
    return [int(number) - before.n_rows for number in index[is_added & again]]


def _changed_targets(before: Side, after: Side, match: Matched, key: str | None) -> list[int]:
    """The numbers, in the new table, of rows that have the key of one row before, and another target."""
    old, new = before.table.frame, after.table.frame
    target = shared_codes(old[before.table.target], new[after.table.target])
    positions = match.positions
    if key is not None:
        codes = shared_codes(*of_one_type(whole(before)[key], whole(after)[key]))
        counts = np.bincount(codes.before, minlength=len(codes.levels) + 1)
        if (counts[1:] > 0).sum() < NEARLY_UNIQUE * counts[1:].sum():
            return []  # it names what rows belong to: they may differ
        first = np.full(len(counts), -1)
        first[codes.before] = np.arange(len(codes.before))
        known = np.where((codes.after > 0) & (counts[codes.after] == 1), first[codes.after], -1)
        positions = np.where(positions >= 0, positions, known)
    differs = (positions >= 0) & (target.before[np.maximum(positions, 0)] != target.after)
    return [int(number) for number in new.index[differs]]


def _with_parts(
    given: Given, compared: _Comparison, changes: TableChanges, repeated: list[int], changed_targets: list[int]
) -> Renewal:
    """What becomes of the test rows."""
    before, after, match, content, key = compared
    old, new = before.side.table, after.side.table
    was = split_table(old, given.split, md5_of(given.data)).test
    was_test = np.asarray(old.frame.index.isin(was.frame.index))
    if given.split.time is None:
        twins = content
        if (identity := given.split.group or key) is not None:
            twins = twins_by(identity, before.side, after.side, content)
        is_test = carried_test_rows(match, twins, was_test, given.split)
    else:
        is_test = np.asarray(new.frame.index.isin(split_table(new, given.split).test.frame.index))
    if not is_test.any() or is_test.all():
        raise DataError(f"of the new data {int(is_test.sum())} of {len(is_test)} rows would be test rows. These are "
                        "other data: add them as a problem of their own ('python -m lockstep add').")  # fmt: skip
    known = match.positions >= 0
    stays = np.zeros(len(old), dtype=bool)
    stays[match.positions[known]] = True
    return Renewal(
        changes=changes,
        key=key,
        repeated=repeated,
        changed_targets=changed_targets,
        vanished=[int(number) for number in old.frame.index[~stays]],
        vanished_test=int((was_test & ~stays).sum()),
        was_test=int(was_test.sum()),
        test=[int(number) for number in new.frame.index[is_test]],
        new_test=int((is_test & ~known).sum()),
        left_test=int((was_test[match.positions[known]] & ~is_test[known]).sum()),
        comparable=n_comparable(was.row_hashes, new.rows(np.flatnonzero(is_test)).row_hashes),
        in_time=given.split.time is not None,
    )


@contextmanager
def new_data(given: Given, rows: Path, mode: Mode) -> Iterator[Path]:
    """The path for the data that are to be, beside nothing else; gone when the block ends, unless moved.

    Raises:
        DataError: ``rows`` are no file of the kind of the problem's data.
    """
    _check_kind(given.data, rows, mode)
    with hidden_folder("update") as folder:
        yield folder / given.data.name


def check_added_rows(given: Given, rows: Path) -> None:
    """Raise DataError if ``rows``, whose lines the message names, do not fit the contract."""
    check_rows(rows, given.load, read_contract(given.contract))


def _check_kind(data: Path, rows: Path, mode: Mode) -> None:
    kinds = [".parquet", *PACKED]
    ours, theirs = ([kind for kind in kinds if path.suffix.lower() == kind] for path in (data, rows))
    is_parquet = [".parquet" in own for own in (ours, theirs)]
    if mode == "append" and is_parquet[0] != is_parquet[1]:
        written = ("a CSV file", "a parquet file")
        raise DataError(
            f"{data} is {written[is_parquet[0]]}, behind which rows of {rows} cannot be written as they are. "
            + (
                "Give them as a parquet file, a workbook or JSON lines."
                if is_parquet[0]
                else "Save them as CSV (UTF-8)."
            )
        )
    if mode == "replace" and ours != theirs:
        raise DataError(
            f"{rows} would become {data}, and is another kind of file. Give it as "
            f"{ours[0] if ours else 'a CSV file that is not packed'}."
        )
