"""Puts new data in the place of a problem's old ones: the file, what DVC and git track of it, the list of test rows."""

import os
import shlex
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.intake.editing.undoing import as_committed, dvc_add, undone_on_error
from lockstep.intake.editing.yaml_entries import with_setting
from lockstep.intake.problems.problem_files import kept_rows_of
from lockstep.intake.problems.removing import is_in_cache
from lockstep.intake.problems.source_record import record_source
from lockstep.intake.renewing.appending import append_parquet_rows, append_rows
from lockstep.intake.renewing.renewal import Given, Mode, Renewal, check_added_rows, find_renewal, new_data
from lockstep.intake.sources.snapshots import NewRows, Snapshot, as_table
from lockstep.kernel.errors import DataError, SettingsError
from lockstep.kernel.files import Outputs, temporary_beside
from lockstep.kernel.lock_file import md5_of, read_pointer
from lockstep.kernel.paths import CONTRACTS, PARAMS
from lockstep.kernel.settings import Problem, check_problems, check_there, read_problems
from lockstep.kernel.strict_yaml import parse_yaml
from lockstep.reading.loading import LoadSettings
from lockstep.reading.source import check_file, data_path
from lockstep.steps.splitting.kept_rows import kept_rows_hash, kept_rows_text
from lockstep.steps.splitting.parts import SplitSettings


class Update(NamedTuple):
    """New data of a problem, found sound; nothing is changed yet.

    Attributes:
        data: the tracked file, and ``result``, what is to become of it.
        notes: in words, what was decided of cells of a workbook or of JSON lines.
        source: of what the new table was made, for its pointer; None where it is a user's own file, or was extended.
        renewals: what becomes of each problem that uses the file, the one that was asked for first.
        texts: the files that are written beside the data, as they will be.
        left_out: how many of the given rows are left out, being there already.
        undo: a command that takes it all back.
    """

    data: Path
    result: Path
    notes: list[str]
    source: dict[str, Any] | None
    renewals: dict[str, Renewal]
    texts: dict[Path, str]
    left_out: int
    undo: str

    @property
    def pointer(self) -> Path:
        """What tells DVC of the data."""
        return Path(f"{self.data}.dvc")


@contextmanager
def planned_update(name: str, rows: NewRows, mode: Mode, key: str | None, *, drop_repeated: bool) -> Iterator[Update]:
    """Find out what ``rows``, added to the data of a problem or in their place, come to; the block may carry it out.

    Args:
        name: the problem.
        rows: the file, which may be a workbook or JSON lines.
        mode: which of the two.
        key: the column that names the rows; None: the one that is found.
        drop_repeated: leave out rows to add that the data have.

    Raises:
        SettingsError: there is no such problem, or its files are not as they are committed.
        DataError: the rows are no data of this problem.
    """
    problems = read_problems(PARAMS)
    check_there(name, problems, PARAMS)
    path = problems[name]["load"].get("path")
    users = [name, *(other for other in problems if other != name and problems[other]["load"].get("path") == path)]
    given = {user: _given(Problem(PARAMS, user, problems)) for user in users}
    own = given[name]
    check_file(rows.path)
    _check_committed(own.data, [Path(one.split.kept.file) for one in given.values() if one.split.kept is not None])
    with as_table(rows, own.load.missing) as table:
        notes, source = (table.notes, table.record) if isinstance(table, Snapshot) else ([], None)
        path = table.path if isinstance(table, Snapshot) else table
        if md5_of(path) == md5_of(own.data):
            raise DataError(f"{path} is what {own.data} is already, byte by byte: there is nothing to update.")
        with new_data(own, path, mode) as result:
            if mode == "replace":
                shutil.copyfile(path, result)
            else:
                check_added_rows(own, path)
                _append(own, path, result)
            renewal = find_renewal(own, path, result, mode, key)
            left_out = renewal.repeated if drop_repeated else []
            if left_out:
                _append(own, path, result, left_out)
                renewal = find_renewal(own, path, result, mode, key)
            renewals = {name: renewal}
            renewals |= {user: find_renewal(given[user], path, result, mode, key) for user in users[1:]}
            kept = {user: (given[user], one) for user, one in renewals.items() if not one.in_time}
            texts = _texts(kept, md5_of(result))
            source = source if mode == "replace" else None
            undo = _undo(own.data, list(texts))
            yield Update(own.data, result, notes, source, renewals, texts, len(left_out), undo)


def _append(own: Given, rows: Path, result: Path, without: Collection[int] = ()) -> None:
    if own.data.suffix.lower() == ".parquet":
        append_parquet_rows(own.data, rows, result, without)
    else:
        append_rows(own.data, rows, own.load.dialect, result, without)


def carry_out(update: Update) -> None:
    """Do it; if anything fails, nothing is changed. Raises MachineError: DVC fails."""
    created = [file for file in update.texts if not file.exists()]
    backup = temporary_beside(update.data)
    with undone_on_error([update.pointer, *update.texts], created=created):
        update.data.rename(backup)
        try:
            update.result.rename(update.data)
            dvc_add(update.data)
            _leave_bundle(update.pointer)
            if update.source is not None:
                record_source(update.pointer, update.data, update.source)
            with Outputs() as outputs:
                for file, text in update.texts.items():
                    outputs.text(file, text)
        except BaseException:
            backup.replace(update.data)
            raise
    backup.unlink()


def _leave_bundle(pointer: Path) -> None:
    """Take off a pointer that its data come with Lockstep: 'dvc push' and 'pull' would leave the new ones out."""
    text = pointer.read_bytes().decode()
    pointer.write_bytes(text.replace("  remote: bundled\n  push: false\n", "").encode())


def _given(problem: Problem) -> Given:
    load, split = problem.section("load", LoadSettings), problem.section("split", SplitSettings)
    return Given(load, split, CONTRACTS / f"{problem.name}.yaml", data_path(load.path))


def _check_committed(data: Path, kept: list[Path]) -> None:
    """Refuse data that are not those of the last commit: what is changed could not be told from what is new, nor be
    brought back."""
    pointer = Path(os.path.relpath(f"{data}.dvc"))  # as git names it
    if not pointer.exists():
        raise SettingsError(f"{data} is not tracked by DVC: there is no {pointer}. Type 'dvc add {data}', and commit.")
    tracked = [PARAMS, pointer, *kept]
    committed = as_committed(tracked)
    if changed := [file for file in tracked if file not in committed]:
        raise SettingsError(
            f"{', '.join(map(str, changed))}: not as in the last commit. Commit first ('git add "
            f"{shlex.join(map(str, changed))} && git commit'), so that the update can be taken back. "
            "Nothing was changed."
        )
    if not data.exists():
        raise DataError(f"{data} is not there. 'dvc checkout {pointer}' or 'dvc pull {pointer}' brings it.")
    if md5_of(data) != read_pointer(pointer).md5:
        raise DataError(
            f"{data} is not what {pointer} tracks: it was changed by hand. Keep the change elsewhere ('cp {data} "
            f"new{data.suffix}'), take it back ('dvc checkout -f {pointer}'), and bring it in by --replace."
        )
    if not is_in_cache(data):
        raise DataError(
            f"DVC's cache lacks {data}: the update could not be taken back. Type 'dvc commit -f {pointer}'."
        )


def _texts(renewals: dict[str, tuple[Given, Renewal]], md5: str) -> dict[Path, str]:
    """The lists of test rows, and params.yaml with their hashes."""
    texts, params = {}, PARAMS.read_bytes().decode()
    for name, (given, renewal) in renewals.items():
        file = kept_rows_of(name) if given.split.kept is None else Path(given.split.kept.file)
        text = kept_rows_text(renewal.test, md5)
        if given.split.kept is None and file.exists():
            raise SettingsError(f"{file} exists already, and problems.{name}.split.kept does not name it. Remove it.")
        texts[file] = text
        kept = {"file": file.as_posix(), "sha256": kept_rows_hash(text)}
        params = with_setting(params, PARAMS, ["problems", name, "split", "kept"], kept)
    check_problems(parse_yaml(params.encode(), PARAMS), PARAMS)
    return texts | ({PARAMS: params} if texts else {})


def _undo(data: Path, texts: list[Path]) -> str:
    back = [Path(f"{data}.dvc"), *(file for file in texts if file.exists())]
    created = [file for file in texts if not file.exists()]
    remove = f"{shlex.join(['rm', *map(str, created)])} && " if created else ""
    return f"{remove}{shlex.join(['git', 'checkout', 'HEAD', '--', *map(str, back)])} && dvc checkout {data}.dvc"
