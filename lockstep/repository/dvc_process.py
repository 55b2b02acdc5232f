"""Runs ``dvc``: the one module that does. Its process ends with ours, and within a time limit."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partialmethod
from pathlib import Path
from typing import IO, Literal, NamedTuple

from lockstep.kernel.dvc_locks import workspace_locked
from lockstep.kernel.errors import MachineError
from lockstep.kernel.lock_file import LOCK_FILE
from lockstep.kernel.paths import PARAMS, ROOT
from lockstep.kernel.used_code import CHECKED
from lockstep.repository.quick_yaml import quicken_yaml
from lockstep.repository.stage_forks import StageForks

TIME_LIMIT = 120.0
"""Seconds that a transfer may take unless it is told otherwise."""
_GRACE = 5.0
"""Seconds that DVC has to end when it is asked to."""
FIRST_STAGE = "stages.check"
"""The stage that looks at the settings, before all others."""
AGAIN = "The same command again is safe: what has arrived is not sent twice."
_DVC = """
import sys
sys.argv[0], root, parent, *sys.argv[1:] = sys.argv[1:]
sys.path.insert(0, root)
from lockstep.kernel.locks import die_with
from lockstep.repository.dvc_process import prepare
die_with(int(parent), int(parent))
prepare(sys.argv[1:])
from dvc.cli import main
sys.exit(main(sys.argv[1:]))
"""
"""DVC's command line, in a process that ends when the one that started it is killed: else it would go on, and hold
DVC's lock. It is called "dvc", as in DVC's rwlock file and as ``doctor`` looks for it."""


_TRACEBACK, _RAISED = "Traceback (most recent call last):", re.compile(r"[A-Za-z_][\w.]*(Error|Exception)(: |$)")
"""How Python shows an exception that nothing caught: what comes first, and what last."""


class Ended(NamedTuple):
    """A command of DVC's that has ended: its exit code, and the lines that it wrote."""

    code: int
    lines: list[str]

    @property
    def reason(self) -> str:
        """Why it failed: a stage's own message, else the exception that it ended with, else DVC's message, else the
        last line."""
        errors = [line for line in self.lines if line.startswith("ERROR")]
        own = [line for line in errors if not line.startswith("ERROR:")]  # a stage's, not DVC's of the same
        raised = [line for line in self.lines if _RAISED.match(line)] if _TRACEBACK in self.lines else []
        last = [line for line in self.lines if line][-1:]
        return (
            (own or raised[-1:] or errors or last or [f"exit code {self.code}"])[0].removeprefix("ERROR: ").rstrip(".")
        )


def run_dvc(
    arguments: Sequence[str],
    limit: float | None = None,
    *,
    folder: Path = Path(),
    environment: Mapping[str, str] | None = None,
    show: Literal["nothing", "output", "all"] = "nothing",
    listener: Callable[[str], object] | None = None,
    interruptible: bool = False,
) -> Ended:
    """Run ``dvc`` with these arguments, in a process group of its own, for at most ``limit`` seconds.

    Args:
        arguments: the first of them is the command.
        limit: None for no limit; what a transfer has not brought by then does not arrive.
        folder: the repository.
        environment: the variables; None for those of this process.
        show: what DVC says is shown as it says it: its output, of which no lines are returned then; or all, from a
            terminal to a terminal, and no lines are returned.
        listener: called with each line.
        interruptible: whether an interrupt (Ctrl-C) is passed on to DVC, and waited for: it tidies up. Else DVC is
            ended.

    Raises:
        MachineError: DVC did not end in time; then it and its children were ended.
    """
    lines: list[str] = []
    process = subprocess.Popen(  # noqa: S603 - a list, no shell
        [sys.executable, "-c", _DVC, "dvc", str(ROOT), str(os.getpid()), "--cd", str(folder), *arguments],
        env=environment, stdout=subprocess.PIPE if show == "nothing" else None,
        stderr={"nothing": subprocess.STDOUT, "output": subprocess.PIPE, "all": None}[show], start_new_session=True,
    )  # fmt: skip
    stream = process.stdout or process.stderr
    reader = threading.Thread(target=_listen, args=(stream, lines, show == "output", listener), daemon=True)
    if stream is not None:
        reader.start()
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        action = arguments[0]
        raise MachineError(
            f"'dvc {action}' did not end within {limit:g} seconds and was ended: the server does not answer, or there "
            "is more to transfer than that. Look whether it answers (the address: 'dvc remote list'), or give it "
            f"longer: 'python -m lockstep remote {'push' if action == 'push' else 'pull'} --time-limit 3600'. {AGAIN}"
        ) from None
    except KeyboardInterrupt:
        if interruptible:
            # not while DVC stashes the workspace, which would leave git's index half-written; it may have just ended
            with workspace_locked(), contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
            process.wait()
        raise
    finally:
        _end(process)
        if stream is not None:
            reader.join(_GRACE)
    return Ended(process.returncode, lines)


def prepare(arguments: Sequence[str]) -> None:
    """Have DVC, in this process, do quickly what it does slowly, and write its settings as it reads them.

    Args:
        arguments: those that run_dvc gives to DVC.
    """
    forks = StageForks(FIRST_STAGE if list(arguments[1:3]) == [".", "repro"] and _settings_changed() else "")
    from dvc.parsing import interpolate  # type: ignore[import-untyped]
    from dvc.stage import run  # type: ignore[import-untyped]
    from dvc.utils import strictyaml  # type: ignore[import-untyped]
    from dvc.utils.serialize import _yaml  # type: ignore[import-untyped]

    write_settings_as_utf8()
    quicken_yaml(_yaml, strictyaml, interpolate)
    forks.run_for(run)


def _settings_changed() -> bool:
    """Whether it looks as if settings were changed since the last run, or nothing was run here: then the stage that
    looks at settings will run. A guess; if it is wrong, some imports were in vain, or are made later."""
    try:
        return PARAMS.stat().st_mtime_ns > LOCK_FILE.stat().st_mtime_ns or not CHECKED.is_dir()
    except FileNotFoundError:
        return PARAMS.exists()


def write_settings_as_utf8() -> None:
    """Have DVC, in this process, write its files of settings in the encoding that it reads them in.

    It writes ASCII, and so fails where a setting names a folder with another letter: that of the cache, in the copy
    that ``dvc exp run --temp`` works in, or a remote's.
    """
    from configobj import ConfigObj  # type: ignore[import-untyped]

    ConfigObj.__init__ = partialmethod(ConfigObj.__init__, default_encoding="utf-8")


def clone_environment() -> dict[str, str]:
    """For git and DVC in another clone: nothing of an outer repository, and the programs of this Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_DIR", "GIT_WORK", "DVC_"))}
    programs = str(Path(sys.executable).parent)
    return kept | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
    }


def _listen(stream: IO[bytes], lines: list[str], show: bool, listener: Callable[[str], object] | None) -> None:
    """Keep what DVC says; show it, or pass it on, as it says it."""
    with stream:
        for raw in stream:
            line = raw.decode("utf-8", "replace")
            lines.append(line.strip())
            if show:
                sys.stderr.write(line)
            if listener is not None:
                listener(line.strip())


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a process group: asked first, then killed."""
    for way, seconds in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, way)
            process.wait(seconds)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
