"""DVC's locks: the files below .dvc/tmp by which its processes keep out of each other's way.

As DVC 3.67 has them (dvc/lock.py, dvc/rwlock.py, dvc/repo/experiments):

- ``.dvc/tmp/lock`` is for the whole workspace: a command that changes it holds a flock on this file, and has written
  its process number into it.
- ``.dvc/tmp/rwlock`` names the files in use, ``.dvc/tmp/exps/rwlock`` the references of git. Each is JSON,
  ``{"write": {path: {"pid": ..., "cmd": ...}}, "read": {path: [{...}]}}``, edited under a flock on ``rwlock.lock``
  beside it. Entries of processes that have ended count for nothing.
- Below ``.dvc/tmp/exps`` are the copies of the repository that ``dvc exp run --temp`` and ``dvc queue start`` run
  stages in: a new one each time, which is removed when the run ends.
- While ``dvc exp run`` sets up the workspace, it is a writer of the reference ``refs/exps/exec``.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.kernel.errors import MachineError
from lockstep.kernel.files import is_alive, temporary_beside

TEMPORARY = Path(".dvc/tmp")
WORKSPACE_LOCK = TEMPORARY / "lock"
COPIES = TEMPORARY / "exps"
RWLOCKS = (TEMPORARY / "rwlock", COPIES / "rwlock")
FILES, REFERENCES = RWLOCKS
EXPERIMENTS = "refs/exps/exec"
"""What ``dvc exp run`` writes to before it touches the workspace; its --temp and --queue do not."""
SHORT_WAIT, LONG_WAIT = 10.0, 600.0
"""Seconds to wait for a lock that DVC holds for an instant; for one that a push may hold for minutes."""


class BusyError(MachineError):
    """Another process holds a lock."""


class UnreadableError(MachineError):
    """An rwlock file is not of its form: DVC was killed while it wrote it."""


@contextlib.contextmanager
def locked(path: Path, wait: float, holder: Callable[[], str]) -> Iterator[int]:
    """Hold the flock on ``path`` during the block, which gets its file descriptor; ``holder`` says who has it instead.

    Raises:
        BusyError: it is not free within ``wait`` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BusyError(holder()) from None
                time.sleep(0.02)
        yield handle
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether a process holds the flock on ``path`` now."""
    try:
        with locked(path, 0, str):
            return False
    except BusyError:
        return True


@contextlib.contextmanager
def workspace_locked(wait: float = LONG_WAIT) -> Iterator[None]:
    """Hold DVC's lock of the workspace during the block, so that no command of DVC's changes it.

    Raises:
        BusyError: a command of DVC's holds it for longer than ``wait`` seconds.
    """
    if not TEMPORARY.is_dir():
        yield
        return

    def busy() -> str:
        since = f"for more than {wait:.0f} seconds"
        return f"DVC's lock is held by process {workspace_holder()} {since}. Wait until it ends, then run this again."

    with locked(WORKSPACE_LOCK, wait, busy):
        yield


def workspace_holder() -> str:
    """The number of the process that holds, or last held, the lock of the workspace."""
    try:
        return WORKSPACE_LOCK.read_text(encoding="utf-8").strip() or "unknown"
    except OSError:
        return "unknown"


class Use(NamedTuple):
    """An entry of an rwlock file: which process uses something, and its command line."""

    pid: int
    command: str


def read_rwlock(path: Path) -> list[Use]:
    """The entries of an rwlock file, those of processes that have ended included.

    Raises:
        UnreadableError: it is not of its form.
        BusyError: it is being edited, for longer than that takes.
    """
    with _editing(path):
        content = _content(path)
    try:
        entries = [*content.get("write", {}).values()]
        entries += [entry for readers in content.get("read", {}).values() for entry in readers]
        return [Use(int(entry["pid"]), str(entry["cmd"])) for entry in entries]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _unreadable(path) from None


def running_dvcs() -> dict[int, str]:
    """The processes of DVC that use files now, by the rwlock file: {pid: command}. Raises as read_rwlock."""
    return {use.pid: use.command for use in read_rwlock(FILES) if is_alive(use.pid)}


def keep_experiments_out(pid: int, command: str) -> None:
    """Enter ``pid`` as the writer of EXPERIMENTS, unless it outlives its run: ``dvc exp run`` then waits for it.

    DVC forgets the entry when the process ends. A notebook that runs DVC as a library would not end.
    """
    words = command.split()
    if not words or Path(words[0]).name not in ("dvc", "__main__.py"):
        return
    with _editing(REFERENCES):
        content = _content(REFERENCES)
        writers = content.setdefault("write", {})
        try:
            is_held = EXPERIMENTS in writers and is_alive(writers[EXPERIMENTS]["pid"])
        except (KeyError, TypeError):
            raise _unreadable(REFERENCES) from None
        if not is_held:
            writers[EXPERIMENTS] = {"pid": pid, "cmd": command}
            temporary = temporary_beside(REFERENCES)
            temporary.write_text(json.dumps(content), encoding="utf-8")
            temporary.replace(REFERENCES)


@contextlib.contextmanager
def _editing(path: Path) -> Iterator[None]:
    """Hold the lock under which DVC reads and writes an rwlock file; it empties the file before it writes it."""
    lock = path.with_name(f"{path.name}.lock")
    with locked(lock, SHORT_WAIT, lambda: f"{lock} is held by another process. Run it again."):
        yield


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no mapping")
    except FileNotFoundError:
        return {}
    except ValueError:
        raise _unreadable(path) from None
    return content


def _unreadable(path: Path) -> UnreadableError:
    return UnreadableError(
        f"{path} is unreadable: DVC was killed while it wrote it. Type 'python -m lockstep doctor --fix'."
    )
