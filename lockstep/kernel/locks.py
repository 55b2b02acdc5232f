"""One run writes at a time, and a stage ends with the DVC that started it.

These functions make up for what DVC 3.67 does not do, from inside the stage, which is the first code of ours to run:

- A killed ``dvc repro`` leaves its stage running, which may write its outputs over those of a later run:
  ``join_dvc_run`` makes the stage end with it.
- DVC's locks guard the files of one stage, so two runs may take turns in one workspace: ``exclusive_run``.
- Two commands of ours at once may each write what it made of the same file: ``exclusive_command``.
- ``dvc exp run`` beside a running ``dvc repro`` checks out other settings below it. It waits, up to three minutes, for
  whoever sets up an experiment, by DVC's own rwlock file: ``join_dvc_run`` enters the running DVC there. ``--temp`` and
  ``--queue``, which work in copies, do not look there, but stash the workspace for an instant under DVC's lock: what
  must not be disturbed by that is done under ``dvc_locks.workspace_locked``.
"""

import contextlib
import ctypes
import hashlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from lockstep.kernel.dvc_locks import (
    LONG_WAIT,
    TEMPORARY,
    WORKSPACE_LOCK,
    BusyError,
    is_locked,
    keep_experiments_out,
    locked,
    running_dvcs,
    workspace_holder,
)
from lockstep.kernel.errors import MachineError
from lockstep.kernel.files import is_alive
from lockstep.kernel.paths import OWN_CODE, ROOT

RUN_LOCK = TEMPORARY / "lockstep.lock"
COMMAND_LOCK = TEMPORARY / "lockstep.command.lock"
GRACE = 3.0
"""Seconds to wait for the stage of a run that has just been killed to end."""
POLL = 0.2
_PR_SET_PDEATHSIG = 1
_joined: list[int] = []
"""The process of DVC that runs this stage, if it is not run by hand."""
_code: dict[str, bytes] = {}
"""The code as this process found it, if it is a stage: before it imported the rest (start.py)."""


def _hashes() -> dict[str, bytes]:
    """A digest of every file of this package, of the stages, and of the user's own code."""
    files = chain(*((ROOT / folder).rglob("*.py") for folder in ("lockstep", "stages", *OWN_CODE)))
    return {str(file): hashlib.sha256(file.read_bytes()).digest() for file in files}


def changed_modules() -> list[str]:
    """The files of the loaded modules that have changed since ``join_dvc_run``."""
    now = _hashes() if _code else {}
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    changed = [file for file, digest in _code.items() if file in loaded and now.get(file) != digest]
    return sorted(Path(file).relative_to(ROOT).as_posix() for file in changed)


def join_dvc_run() -> None:
    """Make this process end when the DVC that runs it does; keep experiments out of the workspace until then.

    Raises:
        MachineError: that DVC has ended already.
    """
    _code.update(_hashes())
    stage = os.environ.get("DVC_STAGE")
    if stage is None or not TEMPORARY.is_dir():  # run by hand
        return
    dvcs, parent = running_dvcs(), os.getppid()
    # bash and zsh put their last command in their own place; dash, the sh of Debian, stays between.
    dvc = parent if parent in dvcs else _parent_of(parent)
    if dvc is None or dvc not in dvcs:
        raise MachineError(f"the dvc that started {stage} has ended. Run 'dvc repro' again.")
    die_with(dvc, parent)
    keep_experiments_out(dvc, dvcs[dvc])
    _joined.append(dvc)


def is_run_by_dvc() -> bool:
    """Whether DVC runs this stage; else it is run by hand, with whatever files."""
    return bool(_joined)


def die_with(ancestor: int, parent: int) -> None:
    """Have this process killed when ``ancestor`` ends: its parent, or its parent's parent.

    Killed rather than asked to end: nothing is lost, since outputs appear at the very end, and a computation in C does
    not listen.
    """
    if ancestor == parent and sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0:
            if os.getppid() != parent:  # it ended before the call
                os.kill(os.getpid(), signal.SIGKILL)
            return
    # Other systems have no such signal: look, every now and then, whether the parent is still the same.
    threading.Thread(target=_watch, args=(ancestor, parent), daemon=True).start()


def _watch(ancestor: int, parent: int) -> None:
    while os.getppid() == parent and (ancestor == parent or _parent_of(parent) == ancestor):
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGKILL)


def _parent_of(pid: int) -> int | None:
    import psutil  # type: ignore[import-untyped]

    try:
        return int(psutil.Process(pid).ppid())
    except psutil.Error:
        return None


@contextlib.contextmanager
def exclusive_run(stage: str) -> Iterator[None]:
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
    dvc = _joined[0] if _joined else None
    with locked(RUN_LOCK, GRACE, lambda: _busy(run_holder())) as handle:
        other = run_holder()
        if other is not None and other["dvc"] not in (None, dvc) and _goes_on(other["dvc"]):
            raise BusyError(_busy(other))
        mine = {"pid": os.getpid(), "dvc": dvc, "stage": stage, "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        os.truncate(handle, 0)
        os.write(handle, json.dumps(mine).encode())
        yield


@contextlib.contextmanager
def exclusive_command(command: str, wait: float = LONG_WAIT) -> Iterator[None]:
    """Make sure that no other command of ``python -m lockstep`` changes this repository's files during the block.

    A command reads what is there, decides, and writes: two at once would lose what one of them has written. The second
    waits for the first. Runs have a lock of their own, since a command may start one.

    Args:
        command: its name, for those who wait in vain.
        wait: in seconds.

    Raises:
        BusyError: another command has not ended by then.
    """
    if not TEMPORARY.parent.is_dir():
        yield
        return

    def busy() -> str:
        holder = COMMAND_LOCK.read_text(encoding="utf-8") or "another command"
        return f"{holder} has been at work for more than {wait:.0f} seconds. Wait until it ends, then run this again."

    with locked(COMMAND_LOCK, wait, busy) as handle:
        os.truncate(handle, 0)
        os.write(handle, f"'python -m lockstep {command}', process {os.getpid()},".encode())
        yield


def run_holder() -> dict[str, Any] | None:
    """Who holds or last held RUN_LOCK: pid, dvc (its pid, or None by hand), stage, since."""
    try:
        found = json.loads(RUN_LOCK.read_text(encoding="utf-8"))
        return {key: found[key] for key in ("pid", "dvc", "stage", "since")}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _goes_on(dvc: int) -> bool:
    """Whether the process ``dvc`` is in a run: at work on a stage's files, or between two, holding DVC's lock."""
    if dvc in running_dvcs():
        return True
    return is_alive(dvc) and is_locked(WORKSPACE_LOCK) and workspace_holder() == str(dvc)


def _busy(other: dict[str, Any] | None) -> str:
    if other is None:
        return f"another run of this repository holds {RUN_LOCK}. Wait until it ends, then run this again."
    by = f"by dvc, process {other['dvc']}" if other["dvc"] else "by hand"
    return (
        f"another run of this repository is writing: {other['stage']}, process {other['pid']}, started {by}, since "
        f"{other['since']}. No output was written. Wait until it ends (or 'kill {other['dvc'] or other['pid']}'), then "
        "run this again; 'dvc exp run --temp' works beside it, in a copy."
    )
