"""Outputs are written whole or not at all: to a temporary file beside them, flushed to disk, renamed at the end.

And read again as the types that their readers expect: JSON as a struct, a small table as rows.
"""

import contextlib
import csv
import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from lockstep.kernel.errors import DataError, IntegrityError

if TYPE_CHECKING:
    import msgspec

T = TypeVar("T")
R = TypeVar("R", bound="msgspec.Struct")
_TEMPORARY = re.compile(r"\..+\.([0-9]+)\.[0-9a-f]{8}\.tmp")


def temporary_beside(path: Path) -> Path:
    """A name for the file that becomes ``path``: hidden, in the same folder, with the number of this process."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def leftovers(folder: Path) -> list[Path]:
    """The temporary files in ``folder`` of processes that ended, killed, before they could remove them."""
    found = []
    for path in sorted(folder.glob(".*.tmp")):
        match = _TEMPORARY.fullmatch(path.name)
        if match and not is_alive(int(match[1])):
            found.append(path)
    return found


def is_alive(pid: int) -> bool:
    """Whether there is a process ``pid``; one that has ended and waits for its parent to notice is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return True  # not Linux


class Outputs:
    """Files that appear together when the ``with`` block ends, or not at all if it raises: what stood in their places
    then stands there again.

    Args:
        check: called before they appear; if it raises, they do not.

    >>> with Outputs() as outputs:                                                               # doctest: +SKIP
    ...     outputs.json(Path("metrics/iris.json"), {"accuracy": 0.93})
    """

    def __init__(self, check: Callable[[], None] | None = None) -> None:
        self._check = check
        self._written: list[tuple[Path, Path]] = []
        self._afterwards: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        earlier: dict[Path, Path | None] = {}
        try:
            if kind is None:
                if self._check is not None:
                    self._check()
                for temporary, path in self._written:
                    before = _second_name(path)
                    temporary.replace(path)
                    earlier[path] = before
                for folder in {path.parent for path in earlier}:
                    with contextlib.suppress(PermissionError):  # one that may be written to but not listed
                        _flush(folder)
        except OSError:
            for path, before in earlier.items():
                if before is None:
                    path.unlink(missing_ok=True)
                else:
                    before.replace(path)
            raise
        finally:
            for left in (*(temporary for temporary, _ in self._written), *earlier.values()):
                if left is not None:
                    left.unlink(missing_ok=True)
        if kind is None:
            for action in self._afterwards:
                action()

    def afterwards(self, action: Callable[[], object]) -> None:
        """Have ``action`` called when the files have appeared; not if they do not."""
        self._afterwards.append(action)

    def write(self, path: Path, writer: Callable[[Path], object]) -> None:
        """Let ``writer`` write a temporary file that becomes ``path``."""
        path.parent.mkdir(parents=True, exist_ok=True)
        for leftover in leftovers(path.parent):
            leftover.unlink(missing_ok=True)
        temporary = temporary_beside(path)
        self._written.append((temporary, path))
        writer(temporary)
        _flush(temporary)

    def text(self, path: Path, content: str) -> None:
        """A text in UTF-8, with its line breaks as they are."""
        self.write(path, lambda temporary: temporary.write_text(content, encoding="utf-8", newline="\n"))

    def json(self, path: Path, content: Mapping[str, Any]) -> None:
        """``content`` as JSON, keys in their order, full precision of floats."""
        self.text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    def csv(self, path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A small table as CSV; floats in their shortest form that reads back the same, None as an empty cell."""

        def writer(temporary: Path) -> None:
            with temporary.open("w", encoding="utf-8", newline="") as handle:
                out = csv.writer(handle, lineterminator="\n")
                out.writerow(columns)
                out.writerows(rows)

        self.write(path, writer)


def _second_name(path: Path) -> Path | None:
    """A temporary name for the file ``path``, to bring it back by; None if there is none."""
    if not os.path.lexists(path):
        return None
    name = temporary_beside(path)
    try:
        os.link(path, name, follow_symlinks=False)
    except OSError:  # of a file system that has no hard links, or of somebody else's file
        shutil.copy2(path, name, follow_symlinks=False)
    return name


def _flush(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk: a power cut then leaves it whole."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot do it for a folder
            raise
    finally:
        os.close(handle)


def read_made(path: Path, kind: type[T]) -> T:
    """The JSON file at ``path`` as a ``kind``.

    Raises:
        DataError: there is no such file.
        IntegrityError: it holds something else.
    """
    import msgspec  # here: start.py imports this module before it says which libraries are missing

    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise not_made(path) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise _another(path, error) from None


def read_made_rows(path: Path, kind: type[R]) -> list[R]:
    """The rows of the CSV file at ``path``, each as a ``kind``, whose fields are its columns; an empty cell is the
    default of a field that has one. Raises as read_made.
    """
    import msgspec

    fields = msgspec.structs.fields(kind)
    optional = {field.name for field in fields if not field.required}
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            table = csv.DictReader(handle, strict=True)
            if lacking := [field.name for field in fields if field.name not in (table.fieldnames or ())]:
                raise csv.Error(f"it has no column {lacking[0]}")
            rows = [{name: cell for name, cell in row.items() if cell or name not in optional} for row in table]
            return msgspec.convert(rows, list[kind], strict=False)  # type: ignore[valid-type] # numbers are texts there
    except FileNotFoundError:
        raise not_made(path) from None
    except (msgspec.ValidationError, csv.Error, UnicodeDecodeError) as error:
        raise _another(path, error) from None


def not_made(path: Path) -> DataError:
    """What to raise for a file of a stage's that is not there."""
    return DataError(f"{path} does not exist. Run 'dvc repro', which makes it.")


def _another(path: Path, error: Exception) -> IntegrityError:
    return IntegrityError(f"{path} is not what a stage wrote ({error}). Run 'dvc repro' to remake it.")
