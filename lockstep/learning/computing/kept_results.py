"""What a long computation has finished, kept for the run that takes the place of one that was interrupted.

It lies below logs/, where neither git nor DVC looks: a folder per stage and problem, in it one that is named by a hash
of all that the results depend on, in it a file per result. A run with other rows, settings, code or libraries finds
nothing there. All of it is removed when the stage ends well, and when a run with other settings keeps something: there
is never more than what one run has finished. Whoever deletes it loses time alone.
"""

import contextlib
import hashlib
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lockstep.kernel.files import temporary_beside
from lockstep.kernel.log import logger
from lockstep.kernel.paths import LOGS
from lockstep.kernel.portable import shortcoming
from lockstep.learning.computing.fingerprints import code_sha256, installed, own_code_sha256

import msgspec

KEPT = LOGS / "kept"
KEPT_AFTER = 3.0
"""What a stage has finished by then is not kept before: it would be computed again as quickly as it is found."""
_SUFFIX = ".kept"


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
        self.folder = KEPT / name / _key(depends_on)
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
            self.remove()  # what a run with other settings has left
            self.folder.mkdir(parents=True)
        path = self.folder / f"{name}{_SUFFIX}"
        temporary = temporary_beside(path)
        temporary.write_bytes(_checksum(name, result) + result)
        temporary.replace(path)

    def remove(self) -> None:
        """Forget all, also what runs of the stage with other settings have left."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        with contextlib.suppress(OSError):  # others' are there, or nothing was kept
            KEPT.rmdir()


def _checksum(name: str, result: bytes) -> bytes:
    """Of a result and the name that it is kept under; 32 bytes."""
    return hashlib.sha256(name.encode() + b"\0" + result).digest()


def _read(path: Path) -> bytes | None:
    """What was kept in a file; None where it was cut or altered."""
    with contextlib.suppress(OSError):
        content = path.read_bytes()
        if content[:32] == _checksum(path.stem, content[32:]):
            return content[32:]
    logger.warning("%s is not as it was written, and is not used", path)
    return None


def _key(depends_on: Iterable[Any]) -> str:
    """A hash of everything that results depend on."""
    given = msgspec.to_builtins(list(depends_on), enc_hook=repr)
    code = [code_sha256(), own_code_sha256()]
    # Where the processor's choices are not pinned, results are those of this machine alone.
    machine = platform.node() if shortcoming() else ""
    return hashlib.sha256(repr([given, code, sys.version, sorted(installed().items()), machine]).encode()).hexdigest()
