"""What ``add`` is given to the one file that it adds: the file itself, or a snapshot of what is none yet.

New rows of a problem that is there are read by the same readers.
"""

import glob
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.intake.sources import json_lines, workbooks
from lockstep.intake.sources.csv_files import write_joined
from lockstep.intake.sources.json_lines import read_json_lines
from lockstep.intake.sources.queries import run_query
from lockstep.intake.sources.values import Origin, snapshot_table, write_snapshot
from lockstep.intake.sources.workbooks import read_workbook
from lockstep.kernel.errors import SettingsError, called
from lockstep.reading.csvfile import Dialect
from lockstep.reading.source import PACKED, check_file
from lockstep.repository.hashes import digest


class Request(NamedTuple):
    """What the user names, of which a snapshot may have to be made.

    Attributes:
        files: paths, and patterns of paths such as ``data/raw/churn/*.csv``.
        sheet: of a workbook.
        file_column: a name for a column with the files' names.
        sql, query: the URL of a database, and a file with a query.
    """

    files: Sequence[str]
    sheet: str | None = None
    file_column: str | None = None
    sql: str | None = None
    query: Path | None = None


class Snapshot(NamedTuple):
    """A file that was made of others, or of a query.

    Attributes:
        path: the file, named as the problem may be.
        name: what messages call it: what it was made of.
        record: what it was made of, for the .dvc file; no passwords.
        notes: in words, what was decided.
        used: the settings that the source was read by, and the snapshot is not.
    """

    path: Path
    name: str
    record: dict[str, Any]
    notes: list[str]
    used: frozenset[str] = frozenset()


class NewRows(NamedTuple):
    """A file of rows for a problem that is there, and how it is read where it is no table yet.

    Attributes:
        path: the file.
        sheet: of a workbook; None: the one that is not empty.
        texts: columns that the user says are texts.
        skip_lines, skip_footer_lines: rows of a workbook above the header, and below the last row; None: as found.
    """

    path: Path
    sheet: str | None = None
    texts: Collection[str] = ()
    skip_lines: int | None = None
    skip_footer_lines: int | None = None


@contextmanager
def as_table(rows: NewRows, missing: Collection[str]) -> Iterator[Path | Snapshot]:
    """The file, if it is a table; or a snapshot of it, which is gone when the block ends, and which the errors of the
    block call what it was made of.

    Args:
        rows: a file that is there.
        missing: words for a missing value in a column of another type than text.

    Raises:
        LockstepError: as ``take_snapshot``.
    """
    kind = _kind(rows.path)
    numbers = {"skip_lines": rows.skip_lines, "skip_footer_lines": rows.skip_footer_lines}
    lines = {f"load.{name}": number for name, number in numbers.items() if number is not None}
    if lines and kind != "workbook":
        raise SettingsError("--skip-lines and --skip-footer-lines are of an Excel workbook (.xlsx); lines of other "
                            "files are skipped as params.yaml says (load). Leave them out.")  # fmt: skip
    if rows.texts and kind == "table":
        raise SettingsError("--text is of workbooks and JSON lines; of other files the data contract says which "
                            "columns are texts. Leave it out.")  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="lockstep.") as folder:
        given = {"load.missing": missing, **lines}
        found = take_snapshot(Request([str(rows.path)], rows.sheet), given, rows.texts, Path(folder))
        if isinstance(found, Path):
            yield rows.path
            return
        with called(found.path, found.name):
            yield found


def take_snapshot(request: Request, given: Mapping[str, Any], texts: Collection[str], folder: Path) -> Path | Snapshot:
    """The file that is named, if it is a table; or a snapshot of what is named, in ``folder``.

    Args:
        request: what is named.
        given: what the user has decided: {setting: value}.
        texts: columns that the user says are texts.
        folder: for the snapshot.

    Raises:
        DataError: a source cannot be read, or in two ways.
        SettingsError: flags that do not go together; a database or a sheet that is not there.
        MachineError: a library that reads the source is not installed, or a database does not answer.
    """
    files = _files(request)
    missing = given.get("load.missing")
    if request.sql is not None:
        return _of_query(request, missing, texts, folder)
    kind = _kind(files[0])
    if request.sheet is not None and (len(files) > 1 or kind != "workbook"):
        raise SettingsError("--sheet is of an Excel workbook (.xlsx), and none is named. Leave it out.")
    if request.file_column is not None and len(files) == 1:
        raise SettingsError("--file-column is for several files, and one is named. Leave it out.")
    if len(files) > 1:
        return _of_csv_files(request, files, given, folder)
    if kind == "table":
        return files[0]
    path, used = folder / f"{files[0].name.split('.')[0]}.parquet", frozenset[str]()
    record: dict[str, Any] = {"file": files[0].name, "sha256": digest(files[0], "sha256")}
    if kind == "workbook":
        lines = {name: given[f"load.{name}"] for name in ("skip_lines", "skip_footer_lines") if f"load.{name}" in given}
        sheet = read_workbook(files[0], request.sheet, **lines)
        columns, origin, notes = sheet.columns, sheet.origin, sheet.notes
        record |= {"sheet": sheet.name, **lines}
        used = frozenset(f"load.{name}" for name in lines)
    else:
        (columns, origin), notes = read_json_lines(files[0]), []
    return Snapshot(path, origin.name, record, notes + _write(columns, origin, missing, texts, path), used)


def _files(request: Request) -> list[Path]:
    """The files that are named, with those that match a pattern in the order of their names."""
    if (request.sql is None) != (request.query is None):
        raise SettingsError(
            "--sql URL and --query FILE go together: the database, and a file with a SELECT. Give both."
        )
    if request.sql is not None:
        if request.files or request.sheet is not None or request.file_column is not None:
            raise SettingsError(
                "--sql takes the table from a database: give no FILE, --sheet or --file-column with it."
            )
        return []
    if not request.files:
        raise SettingsError("no file is named. Type: python -m lockstep add FILE; or --sql URL --query FILE.")
    found: list[Path] = []
    for text in request.files:
        is_pattern = glob.has_magic(text) and not Path(text).exists()
        # Path.glob takes no absolute pattern.
        paths = [Path(match) for match in sorted(glob.glob(text))] if is_pattern else [Path(text)]  # noqa: PTH207
        if not paths:
            raise SettingsError(f"no file matches {text}. Correct the pattern.")
        found += paths
    if twice := [str(path) for path in found if found.count(path) > 1]:
        raise SettingsError(f"{twice[0]} is named twice: its rows would be there twice. Name it once.")
    return found


def _kind(path: Path) -> str:
    """workbook, json or table, by the name: of packed files by what is before .gz and such."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] and suffixes[-1] in workbooks.SUFFIXES:
        return "workbook"
    inner = suffixes[:-1] if suffixes and suffixes[-1] in PACKED else suffixes
    return "json" if inner[-1:] and inner[-1] in json_lines.SUFFIXES else "table"


def _of_query(request: Request, missing: Collection[str] | None, texts: Collection[str], folder: Path) -> Snapshot:
    assert request.sql is not None
    assert request.query is not None
    check_file(request.query)
    try:
        query = request.query.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise SettingsError(f"--query: {request.query} is not a text in UTF-8.") from None
    columns, origin, url = run_query(request.sql, query)
    path = folder / f"{request.query.name.split('.')[0]}.parquet"
    notes = _write(columns, origin, missing, texts, path)
    if "order by" not in " ".join(query.lower().split()):
        notes.append("rows are in the order in which the database returns them; ORDER BY makes it the same each time")
    read = datetime.now(UTC).isoformat(timespec="seconds")
    return Snapshot(path, origin.name, {"sql": url, "query": query.splitlines(), "read": read}, notes)


def _of_csv_files(request: Request, files: Sequence[Path], given: Mapping[str, Any], folder: Path) -> Snapshot:
    others = [file for file in files if _kind(file) != "table" or file.suffix.lower() == ".parquet"]
    if others:
        raise SettingsError(f"several files must be CSV, and {others[0]} is none. Add it alone.")
    parents = {file.resolve().parent.name for file in files}
    name = parents.pop() if len(parents) == 1 else files[0].name.split(".")[0]
    path = folder / f"{name}.csv"
    dialect = {field: given[f"load.{field}"] for field in Dialect._fields if f"load.{field}" in given}
    rows, notes = write_joined(files, path, dialect, request.file_column)
    record: dict[str, Any] = {
        "files": [{"file": file.name, "sha256": digest(file, "sha256"), "rows": count} for file, count in rows.items()]
    }
    record |= {"file_column": request.file_column} if request.file_column else {}
    shown = f"{len(files)} files, {files[0]} to {files[-1]}"
    keeps_all = dialect.get("skip_footer_lines") == 0  # of the snapshot, too
    used = frozenset(f"load.{field}" for field in dialect if not (field == "skip_footer_lines" and keeps_all))
    return Snapshot(path, shown, record, notes, used)


def _write(
    columns: Mapping[str, Sequence[Any]],
    origin: Origin,
    missing: Collection[str] | None,
    texts: Collection[str],
    path: Path,
) -> list[str]:
    """Write a snapshot of typed values; in words, what was decided."""
    table, notes = snapshot_table(columns, origin, missing=missing, texts=texts)
    write_snapshot(table, path)
    return notes
