"""One run writes at a time, and a stage ends with the DVC that started it.

DVC 3.67 leaves three gaps that these functions close, from inside the stage, which is the first code of ours to run:

- A killed ``dvc repro`` leaves its stage running, which may write its outputs over those of a later run: ``attend``.
- DVC's locks guard the files of one stage, so two runs may take turns in one workspace: ``only_run``.
- ``dvc exp run`` beside a running ``dvc repro`` checks out other settings below it. It waits, up to three minutes, for
  whoever has written down in DVC's own book that experiments are being set up: ``attend`` writes that, in the name of
  the running DVC. ``--temp`` and ``--queue``, which work in copies, do not look there. They stash the workspace for a
  moment though, holding DVC's lock: ``unchanging`` is the time in which nobody does.

DVC's books (dvc/rwlock.py): ``.dvc/tmp/rwlock`` for files, ``.dvc/tmp/exps/rwlock`` for references of git. Each is
JSON, ``{"write": {path: {"pid": ..., "cmd": ...}}, "read": {path: [{...}]}}``, edited under a lock of its own; entries
of processes that are gone count for nothing. DVC's one lock for the whole workspace is a flock on ``.dvc/tmp/lock``.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from lockstep.kernel.errors import MachineError
from lockstep.kernel.files import is_alive, temporary_beside
from lockstep.kernel.paths import ROOT

TEMPORARY = Path(".dvc/tmp")
LOCK = TEMPORARY / "lockstep.lock"
DVC_LOCK = TEMPORARY / "lock"
BOOKS = (TEMPORARY / "rwlock", TEMPORARY / "exps/rwlock")
FILES, REFERENCES = BOOKS
EXPERIMENTS = "refs/exps/exec"
"""What ``dvc exp run`` writes to before it touches the workspace; its --temp and --queue do not."""
SHORT, LONG = 10.0, 600.0
"""Seconds to wait for a lock that DVC holds for moments; for one that a push may hold for minutes."""
GRACE = 3.0
"""Seconds to wait for the stage of a run that has just been killed to end."""
POLL = 0.2
_PR_SET_PDEATHSIG = 1
_above: list[int] = []
"""The process of DVC that runs this stage, if it is not run by hand."""
_code: dict[str, bytes] = {}
"""The code as this process found it, if it is a stage: before it imported the rest (start.py)."""


def _hashes() -> dict[str, bytes]:
    """A digest of every file of this package and of the stages."""
    files = chain(*((ROOT / folder).rglob("*.py") for folder in ("lockstep", "stages")))
    return {str(file): hashlib.sha256(file.read_bytes()).digest() for file in files}


def changed_code() -> list[str]:
    """The files of the loaded modules that have changed since ``attend``."""
    now = _hashes() if _code else {}
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    changed = [file for file, digest in _code.items() if file in loaded and now.get(file) != digest]
    return sorted(Path(file).relative_to(ROOT).as_posix() for file in changed)


class BusyError(MachineError):
    """Somebody else holds a lock."""


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


def read_book(book: Path) -> dict[str, Any]:
    """What one of DVC's books says. Raises MachineError if it is no JSON: DVC was killed while it wrote it."""
    with editing(book):
        return _content(book)


def running(book: Path = FILES) -> dict[int, str]:
    """The processes of DVC that are at work: {pid: command}, by ``book``."""
    content = read_book(book)
    try:
        entries = [*content.get("write", {}).values(), *chain.from_iterable(content.get("read", {}).values())]
        return {entry["pid"]: entry["cmd"] for entry in entries if is_alive(entry["pid"])}
    except (KeyError, TypeError, AttributeError):
        raise _unreadable(book) from None


def attend() -> None:
    """Make this process end when the DVC that runs it does; keep experiments out of the workspace until then.

    Raises:
        MachineError: that DVC has ended already.
    """
    _code.update(_hashes())
    stage = os.environ.get("DVC_STAGE")
    if stage is None or not TEMPORARY.is_dir():  # run by hand
        return
    found, parent = running(), os.getppid()
    # bash and zsh put their last command in their own place; dash, the sh of Debian, stands between.
    above = parent if parent in found else _parent_of(parent)
    if above is None or above not in found:
        raise MachineError(f"the dvc that started {stage} has ended. Run 'dvc repro' again.")
    end_with(above, parent)
    _keep_experiments_out(above, found[above])
    _above.append(above)


def by_dvc() -> bool:
    """Whether DVC runs this stage; else it is run by hand, with whatever files."""
    return bool(_above)


def end_with(above: int, parent: int) -> None:
    """Have this process killed when ``above`` ends: its parent, or its parent's parent.

    Killed rather than asked to end: nothing is lost, since outputs appear at the very end, and a computation in C does
    not listen.
    """
    if above == parent and sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0:
            if os.getppid() != parent:  # it ended before the call
                os.kill(os.getpid(), signal.SIGKILL)
            return
    # Other systems have no such signal: look, every now and then, whether the parent is still the same.
    threading.Thread(target=_watch, args=(above, parent), daemon=True).start()


def _watch(above: int, parent: int) -> None:
    while os.getppid() == parent and (above == parent or _parent_of(parent) == above):
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGKILL)


def _parent_of(pid: int) -> int | None:
    import psutil  # type: ignore[import-untyped]

    try:
        return int(psutil.Process(pid).ppid())
    except psutil.Error:
        return None


def _keep_experiments_out(pid: int, command: str) -> None:
    """Write into the book of references that ``pid`` sets up an experiment, unless ``pid`` outlives its run.

    DVC forgets the entry when the process ends. A notebook that runs DVC as a library would not end.
    """
    words = command.split()
    if not words or Path(words[0]).name not in ("dvc", "__main__.py"):
        return
    with editing(REFERENCES):
        content = _content(REFERENCES)
        writers = content.setdefault("write", {})
        if EXPERIMENTS not in writers or not is_alive(writers[EXPERIMENTS]["pid"]):
            writers[EXPERIMENTS] = {"pid": pid, "cmd": command}
            temporary = temporary_beside(REFERENCES)
            temporary.write_text(json.dumps(content), encoding="utf-8")
            temporary.replace(REFERENCES)


@contextlib.contextmanager
def editing(book: Path) -> Iterator[None]:
    """Hold the lock under which DVC reads and writes one of its books; it empties the file before it writes it."""
    lock = book.with_name(f"{book.name}.lock")
    with locked(lock, SHORT, lambda: f"{lock} is held by another process. Run it again."):
        yield


def _content(book: Path) -> dict[str, Any]:
    try:
        content = json.loads(book.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("no mapping")
    except FileNotFoundError:
        return {}
    except ValueError:
        raise _unreadable(book) from None
    return content


def _unreadable(book: Path) -> MachineError:
    return MachineError(
        f"{book} is unreadable: DVC was killed while it wrote it. Type 'python -m lockstep doctor --fix'."
    )


@contextlib.contextmanager
def only_run(stage: str) -> Iterator[None]:
    """Make sure that no other run of this repository is writing, and that none begins during the block.

    A run is a stage by hand, or all stages of one DVC: between two of them, another DVC's are refused as well.

    Args:
        stage: its name, for those who are refused meanwhile.

    Raises:
        BusyError: with the pid, the stage and the time of the other run.
    """
    if not TEMPORARY.parent.is_dir():  # not in a repository: nobody to share it with
        yield
        return
    dvc = _above[0] if _above else None
    with locked(LOCK, GRACE, lambda: _busy(holder())) as handle:
        other = holder()
        if other is not None and other["dvc"] not in (None, dvc) and _goes_on(other["dvc"]):
            raise BusyError(_busy(other))
        mine = {"pid": os.getpid(), "dvc": dvc, "stage": stage, "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.truncate(handle, 0)
        os.write(handle, json.dumps(mine).encode())
        yield


def holder() -> dict[str, Any] | None:
    """Who holds or last held the lock: pid, dvc (its pid, or None by hand), stage, since."""
    try:
        found = json.loads(LOCK.read_text(encoding="utf-8"))
        return {key: found[key] for key in ("pid", "dvc", "stage", "since")}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def orphan_ends() -> bool:
    """Wait until the stage that holds the lock has ended, if its DVC was killed (end_with): whether it has."""
    deadline = time.monotonic() + GRACE
    while (found := holder()) is not None and found["dvc"] is not None and not is_alive(found["dvc"]):
        if not is_locked(LOCK):
            return True
        if time.monotonic() >= deadline:
            break
        time.sleep(0.02)
    return False


def _goes_on(dvc: int) -> bool:
    """Whether the process ``dvc`` is in a run: at work on a stage's files, or between two, holding DVC's lock."""
    return dvc in running() or (is_alive(dvc) and is_locked(DVC_LOCK) and _dvc_lock_holder() == str(dvc))


def _busy(other: dict[str, Any] | None) -> str:
    if other is None:
        return f"another run of this repository holds {LOCK}. Wait until it ends, then run this again."
    by = f"by dvc, process {other['dvc']}" if other["dvc"] else "by hand"
    return (
        f"another run of this repository is writing: {other['stage']}, process {other['pid']}, started {by}, since "
        f"{other['since']}. No output was written. Wait until it ends (or 'kill {other['dvc'] or other['pid']}'), then "
        "run this again; 'dvc exp run --temp' works beside it, in a copy."
    )


@contextlib.contextmanager
def unchanging(wait: float = LONG) -> Iterator[None]:
    """Hold DVC's own lock during the block, so that no command of DVC's changes the workspace.

    Raises:
        BusyError: a command of DVC's holds it for longer than ``wait`` seconds.
    """
    if not TEMPORARY.is_dir():
        yield
        return

    def busy() -> str:
        since = f"for more than {wait:.0f} seconds"
        return f"DVC's lock is held by process {_dvc_lock_holder()} {since}. Wait until it ends, then run this again."

    with locked(DVC_LOCK, wait, busy):
        yield


def _dvc_lock_holder() -> str:
    try:
        return DVC_LOCK.read_text(encoding="utf-8").strip() or "unknown"
    except OSError:
        return "unknown"
