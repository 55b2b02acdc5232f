"""What dvc.lock and the .dvc files say, read strictly, and the hashes of files, computed from their bytes.

DVC trusts its database of sizes and times of modification, and the mode of a file in its cache; nothing here does. It
imports no part of DVC, so that it costs a reader of one file next to nothing.
"""

import hashlib
import re
import time
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from lockstep.kernel.dvc_locks import WORKSPACE_LOCK, is_locked
from lockstep.kernel.errors import DataError, IntegrityError, MachineError, SettingsError
from lockstep.kernel.files import is_alive
from lockstep.kernel.paths import OWN_CODE, is_safe
from lockstep.kernel.strict_yaml import parse_yaml

LOCK_FILE = Path("dvc.lock")
MAX_LOCK_BYTES = 64 * 1024 * 1024
MD5 = re.compile(r"[0-9a-f]{32}")
WRITING = 5.0
"""Seconds to wait for DVC to have written dvc.lock, which takes it less than one."""
FOLDER_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
CODE_FOLDERS = frozenset({"lockstep", *OWN_CODE})
"""These and what is below them may be folders of modules that a stage depends on."""
ABSENT = object()
"""The value of a setting, or the file, that is not there."""


class LockedFile(NamedTuple):
    """A file, or folder of code, that a stage read, a file that it wrote, or one that a .dvc file tracks.

    Attributes:
        path: from the repository's root, with ``/``; never absolute, never upwards.
        md5: of its bytes, or None where there is no file; of a folder that of its listing, and ``.dir``.
        size: in bytes, or None where it is not recorded.
    """

    path: str
    md5: str | None
    size: int | None


class LockedStage(NamedTuple):
    """One run of a stage: what it read, its command, what it wrote.

    Attributes:
        params: the values of the settings it tracks, by file and dotted key: {"params.yaml": {"problems.iris": ...}}.
    """

    name: str
    cmd: str
    deps: tuple[LockedFile, ...]
    params: Mapping[str, Mapping[str, Any]]
    outs: tuple[LockedFile, ...]


def last_commits(path: Path | str) -> str:
    """The remedy for a damaged file that git tracks; also amid a merge, when there is no version of it in the index."""
    return f"'git checkout HEAD -- {path}' brings the last commit's back"


def read_lock(path: Path = LOCK_FILE) -> dict[str, LockedStage]:
    """The stages that dvc.lock records, by name (``train@iris``), in its order.

    Raises:
        DataError: there is no dvc.lock.
        IntegrityError: it is not as DVC writes it for this repository (see parse_lock).
        MachineError: a command of DVC's is writing it, and takes longer than WRITING.
    """
    deadline = time.monotonic() + WRITING
    while True:
        try:
            data = _bytes(path)
        except FileNotFoundError:
            raise DataError(
                f"{path} does not exist: nothing was run yet, or this is not the repository's root. Run 'dvc repro'."
            ) from None
        try:
            return parse_lock(data, str(path), last_commits(path))
        except IntegrityError:
            if not _is_dvc_at_work(path.parent):
                raise
            if time.monotonic() >= deadline:
                raise MachineError(f"{path} is being written by DVC. Run this again when that has ended.") from None
        time.sleep(0.05)


def _is_dvc_at_work(root: Path) -> bool:
    """Whether a command of DVC's holds the lock of the workspace: it writes dvc.lock over what is there, in pieces."""
    lock = root / WORKSPACE_LOCK
    try:
        holder = int(lock.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return is_alive(holder) and is_locked(lock)


def parse_lock(data: bytes, where: str, remedy: str) -> dict[str, LockedStage]:
    """The stages of a dvc.lock's bytes.

    Raises:
        IntegrityError: it is not valid YAML, or not of the form that DVC writes, to the last line break; it records a
            folder other than of code, a hash that is not an MD5, no size, or a path that leads out of the repository.
            ``where`` and ``remedy`` are for the message.
    """
    return dict(_parsed(data, where, remedy))


@lru_cache(4)
def _parsed(data: bytes, where: str, remedy: str) -> Mapping[str, LockedStage]:
    """The same, once for one lock: a stage asks for what it reads, and for each model that it opens."""
    content = _yaml(data, where, remedy)
    try:
        stages = {
            str(name): LockedStage(
                name=str(name),
                cmd=_text(entry["cmd"]),
                deps=tuple(_locked(file, where, CODE_FOLDERS) for file in _list(entry, "deps")),
                params={str(file): dict(values) for file, values in entry.get("params", {}).items()},
                outs=tuple(_locked(file, where) for file in _list(entry, "outs")),
            )
            for name, entry in content["stages"].items()
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise IntegrityError(
            f"{where} is not of the form that DVC writes ({type(error).__name__}: {error}). {remedy}."
        ) from None
    if not data.endswith(b"\n"):  # what is cut inside of its last number is a lock in all else
        raise IntegrityError(f"{where} ends in the middle of a line: it was cut. {remedy}.")
    return stages


def read_pointers(root: Path = Path()) -> list[LockedFile]:
    """The files that .dvc files below data/ track: the raw tables. Raises IntegrityError, as read_pointer."""
    return [read_pointer(pointer, root) for pointer in pointers(root)]


def pointers(root: Path = Path()) -> list[Path]:
    """The .dvc files below data/, sorted."""
    return sorted((root / "data").rglob("*.dvc"))


def read_pointer(pointer: Path, root: Path = Path()) -> LockedFile:
    """The file that a .dvc file tracks.

    Raises:
        IntegrityError: as parse_lock; or it tracks another file than its name says.
    """
    where = pointer.relative_to(root).as_posix()
    table = PurePosixPath(where).with_suffix("")
    remedy = f"{last_commits(where)}; if none has it: 'rm {where} && dvc add {table}'"
    content = _yaml(_bytes(pointer), where, remedy)
    try:
        outs = [_locked(out, where) for out in content["outs"]]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise IntegrityError(
            f"{where} is not of the form that DVC writes ({type(error).__name__}: {error}). {remedy}."
        ) from None
    if [out.path for out in outs] != [table.name]:
        tracked = ", ".join(out.path for out in outs) or "no file"
        raise IntegrityError(f"{where} tracks {tracked}, not {table.name}, as its name says. {remedy}.")
    return outs[0]._replace(path=table.as_posix())


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # a link to a device would be read for ever
        raise IntegrityError(f"{path} is not a regular file. {last_commits(path)}.")
    return path.read_bytes()


def _yaml(data: bytes, where: str, remedy: str) -> Any:
    try:
        return parse_yaml(data, where, MAX_LOCK_BYTES, ambiguous=True)
    except SettingsError as error:
        raise IntegrityError(f"{error} Or: {remedy}.") from None


def _locked(entry: Mapping[str, Any], where: str, folders: Collection[str] = ()) -> LockedFile:
    """An entry of ``deps`` or ``outs``.

    A folder is a dependency only, and only one of ``folders`` or below them: DVC makes no file from it. As an
    output it has no place here, since its listing can lead anywhere.
    """
    path, md5, size = _text(entry["path"]), entry.get("md5"), entry.get("size")
    if not is_safe(path):
        raise IntegrityError(f"{where} records the path '{path}', which leads out of the repository's files.")
    known = FOLDER_MD5 if path.split("/")[0] in folders else MD5
    if not isinstance(md5, str) or not known.fullmatch(md5):
        what = "a directory" if str(md5).endswith(".dir") else f"'{md5}', which is no MD5,"
        raise IntegrityError(
            f"{where} records {what} for {path}. Only files are tracked here, by the MD5 of their bytes."
        )
    if entry.get("hash", "md5") != "md5":
        raise IntegrityError(f"{where} records a hash of the kind {entry['hash']!r} for {path}. Only MD5 is used here.")
    if not isinstance(size, int) or size < 0:
        raise IntegrityError(f"{where} records the size {size!r} for {path}.")
    return LockedFile(path, md5, size)


def _list(entry: Mapping[str, Any], key: str) -> list[Any]:
    """A list that may be absent, but is never empty in the way of a file that was cut behind its key."""
    value = entry.get(key, [])
    if not isinstance(value, list):
        raise TypeError(f"'{key}' is {value!r}, no list")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{value!r} is not a text")
    return value


def value_at(content: Any, key: str) -> Any:
    """The setting at a dotted key, or ABSENT."""
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return ABSENT
        content = content[part]
    return content


def outputs(stages: Iterable[LockedStage]) -> dict[str, tuple[LockedFile, str]]:
    """{path: (what is recorded, the stage that wrote it)} of every output."""
    return {out.path: (out, stage.name) for stage in stages for out in stage.outs}


def recorded_files(stages: Mapping[str, LockedStage], root: Path = Path()) -> dict[str, tuple[LockedFile, str]]:
    """{path: (what is recorded, by whom)} of the stages' outputs and of what .dvc files track."""
    pointers = {file.path: (file, f"{file.path}.dvc") for file in read_pointers(root)}
    return pointers | outputs(stages.values())


def md5_of_bytes(data: bytes) -> str:
    """The MD5 of bytes, as DVC names its cache's files."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def md5_of(path: Path) -> str:
    """The MD5 of a file's bytes, as DVC names its cache's files."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
