"""What a long computation has finished, kept for the run that takes the place of one that was interrupted.

It lies below logs/, where neither git nor DVC looks: a folder per stage and problem, in it one that is named by a hash
of all that the results depend on, in it a file per result. A run with other rows, settings, code or libraries finds
nothing there. All of it is removed when the stage ends well, and when a run with other settings keeps something: there
is never more than what one run has finished. Whoever deletes it loses time alone.

``dvc exp run --temp`` and ``dvc queue start`` run a stage in a copy of the repository that they remove. What such a run
finishes is kept in the repository itself, below logs/kept/copies. Runs in copies go on at once, with settings of their
own, and others wait in the queue: a run that ends well removes its own results alone, and one that begins to keep
something removes those of interrupted runs but for the OTHERS newest; neither removes any that another process is at
work on.
"""

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lockstep.kernel.dvc_locks import COPIES
from lockstep.kernel.files import temporary_beside
from lockstep.kernel.locks import changed_modules
from lockstep.kernel.log import logger
from lockstep.kernel.paths import LOGS
from lockstep.kernel.portable import shortcoming
from lockstep.learning.computing.fingerprints import code_sha256, installed, own_code_sha256

import msgspec

KEPT = LOGS / "kept"
KEPT_AFTER = 3.0
"""What a stage has finished by then is not kept before: it would be computed again as quickly as it is found."""
OTHERS = 8
"""Of so many interrupted runs of a stage in copies, with other settings, the results stay."""
_SUFFIX = ".kept"
_IN_USE = "in_use"
"""A file that each process that keeps results beside it holds a lock on, which a kill releases."""


class KeptResults:
    """The results of one computation.

    Args:
        name: of the stage and the problem: ``tune@iris``.
        depends_on: what the results depend on beside code, libraries and processor: hashes of files, sections of the
            settings.

    Attributes:
        folder: where they are.
        found: {name: result} of the run that was interrupted; whole, or not there.
    """

    def __init__(self, name: str, depends_on: Iterable[Any]) -> None:
        repository = _repository_of_copy()
        self._in_copy = repository is not None
        self.folder = (KEPT if repository is None else repository / KEPT / "copies") / name / _key(depends_on)
        self._lock: int | None = None
        if self.folder.is_dir():
            self._hold()
        self.found: dict[str, bytes] = {}
        with contextlib.suppress(FileNotFoundError):  # another run has just removed them
            self.found = {path.stem: result for path in self._files() if (result := _read(path)) is not None}
        self._waiting: list[tuple[str, Callable[[], bytes]]] = []
        self._start = time.perf_counter()
        self._works = True

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{_SUFFIX}"))

    def keep(self, name: str, pack: Callable[[], bytes]) -> None:
        """Keep a result, from KEPT_AFTER on; a disk that takes none is warned of.

        Args:
            name: letters, digits and '-'.
            pack: gives the result as bytes.
        """
        self._waiting.append((name, pack))
        if not self._works or time.perf_counter() - self._start < KEPT_AFTER:
            return
        try:
            for own, packed in self._waiting:
                self._write(own, packed())
        except OSError as error:
            self._works = False
            logger.warning("if this run is interrupted, it will begin anew: %s", error)
        self._waiting.clear()

    def _write(self, name: str, result: bytes) -> None:
        if not self.folder.is_dir():
            self._make_room()
            self.folder.mkdir(parents=True, exist_ok=True)
            self._let_go()
        if self._lock is None:
            self._hold()
        path = self.folder / f"{name}{_SUFFIX}"
        temporary = temporary_beside(path)
        temporary.write_bytes(_checksum(name, result) + result)
        temporary.replace(path)

    def _make_room(self) -> None:
        """Remove what interrupted runs of the stage with other settings have left, in copies but for OTHERS."""
        if not self._in_copy:
            self.remove()
            return
        left = [folder for folder in self.folder.parent.glob("*") if not _is_in_use(folder)]
        for folder in sorted(left, key=_age)[OTHERS:]:
            _remove_unused(folder)

    def _hold(self) -> None:
        """Say, until this process ends, that it is at work on the folder; not on a file system that has no locks."""
        with contextlib.suppress(OSError):
            self._lock = os.open(self.folder / _IN_USE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            if not os.fstat(self._lock).st_nlink:  # removed while this waited for the lock
                self._let_go()

    def _let_go(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> None:
        """Forget all; outside of copies also what runs of the stage with other settings have left. In a copy it stays
        while another run of the same settings is at work, which removes it when it ends."""
        self._let_go()
        if self._in_copy:
            _remove_unused(self.folder)
        else:
            shutil.rmtree(self.folder.parent, ignore_errors=True)
        with contextlib.suppress(OSError):  # others' are there, or nothing was kept
            for folder in self.folder.parents[:3] if self._in_copy else [KEPT]:
                folder.rmdir()


def _repository_of_copy() -> Path | None:
    """The repository of which the working directory, or a folder that it is in, is a copy of DVC's; None if it is
    none."""
    n_parts = len(COPIES.parts)
    for folder in Path.cwd().parents:
        if folder.parts[-n_parts:] == COPIES.parts:
            return folder.parents[n_parts - 1]
    return None


def _age(folder: Path) -> float:
    """What sorts folders by when something was last written into them, the newest first."""
    try:
        return -folder.stat().st_mtime
    except OSError:  # another run has just removed it
        return 0.0


@contextlib.contextmanager
def _unused(folder: Path) -> Iterator[bool]:
    """Whether no process is at work on a folder of results; then none begins to be while the block runs."""
    with contextlib.ExitStack() as ending:
        unused = True
        try:
            handle = os.open(folder / _IN_USE, os.O_RDWR | os.O_CLOEXEC)
            ending.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):  # at work, or about to be
            unused = False
        except OSError:
            pass  # of a file system that has no locks
        yield unused


def _is_in_use(folder: Path) -> bool:
    """Whether a process is at work on a folder of results."""
    with _unused(folder) as unused:
        return not unused


def _remove_unused(folder: Path) -> None:
    """Remove a folder of results, unless a process is at work on it."""
    with _unused(folder) as unused:
        if unused:
            shutil.rmtree(folder, ignore_errors=True)


def _checksum(name: str, result: bytes) -> bytes:
    """Of a result and the name that it is kept under; 32 bytes."""
    return hashlib.sha256(name.encode() + b"\0" + result).digest()


def _read(path: Path) -> bytes | None:
    """What was kept in a file; None where it was cut or altered, or is gone."""
    with contextlib.suppress(OSError):
        if not path.exists():  # another run has just removed it
            return None
        content = path.read_bytes()
        if content[:32] == _checksum(path.stem, content[32:]):
            return content[32:]
    logger.warning("%s is not as it was written, and is not used", path)
    return None


def _key(depends_on: Iterable[Any]) -> str:
    """A hash of everything that results depend on."""
    given = msgspec.to_builtins(list(depends_on), enc_hook=repr)
    # A run whose code changed on the disk since it was loaded computes with the former, and ends with an error.
    code = [code_sha256(), own_code_sha256(), changed_modules()]
    # Where the processor's choices are not pinned, results are those of this machine alone.
    machine = platform.node() if shortcoming() else ""
    return hashlib.sha256(repr([given, code, sys.version, sorted(installed().items()), machine]).encode()).hexdigest()
