"""Stages in quick succession: one process imports the libraries, and forks itself for each of them.

Each stage is a script that any shell can start, and DVC does so; but a second of its time is imports, the same for all.
Where ``python -m lockstep`` runs DVC (dvc_process.py), the scripts are run by forks of a process beside DVC instead,
which has imported the libraries that earlier stages needed, and none of DVC's. A fork imports the repository's own code
itself, as the script would, and is a process of its own in every other way. What is no plain
``python -m stages.NAME``, or would not be the same there, is started as DVC does it, and so is everything on systems
other than Linux.
"""

import atexit
import contextlib
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lockstep.kernel.paths import OWN_CODE, ROOT

_PLAIN = re.compile(r"python -m stages\.\w+(?: [^$`;|&<>*?~#(){}!\\]*)?")
"""A command that every shell takes for the same words."""
_OWN = ("lockstep", "stages", *OWN_CODE)
"""The packages of a repository, of which each has its own."""
_FITTING = ("sklearn.calibration", "sklearn.compose", "sklearn.ensemble", "sklearn.pipeline")
"""What stages that fit or score import when they get there."""
_NO_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Arrow's allocator would start one as it is imported."""
_SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
from lockstep.repository.stage_forks import serve_forks
if words := serve_forks(int(sys.argv[2]), sys.argv[3]):
    import runpy
    sys.argv = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
"""


class StageForks:
    """Runs the stages of DVC, in this process, by forks of a server.

    Args:
        first: the stage that will probably run first, "stages.check": the server is started now, and imports what that
            needs. Empty: it is started for the first stage that runs.
    """

    def __init__(self, first: str = "") -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._environment: dict[str, str] = {}
        self._channel: Any = None
        self._used = False
        if first and sys.platform == "linux":
            self._start(dict(os.environ), first)

    def run_for(self, module: Any) -> None:
        """Have DVC's ``module``, dvc.stage.run, run stages so."""
        if sys.platform == "linux":
            atexit.register(self.end)  # it is waited for, so that what it took counts as DVC's
            module.subprocess = SimpleNamespace(Popen=self.start, check_output=subprocess.check_output)

    def start(self, command: Sequence[str], *, env: dict[str, str], cwd: str, **options: Any) -> Any:
        """In place of subprocess.Popen."""
        *shell, words = command
        with contextlib.suppress(OSError, ValueError):  # a server that was killed
            if is_plain(shell, words, env) and self._has_variables(env):
                self._used = True
                _send(self._channel, [shlex.split(words)[2:], env, cwd])
                if json.loads(self._channel.readline()):
                    return _Stage(self._channel)
        return subprocess.Popen(command, env=env, cwd=cwd, **options)  # noqa: S603 - DVC's own call

    def _has_variables(self, environment: dict[str, str]) -> bool:
        """Whether the server, which is started by the first who asks, has these variables."""
        if self._server is not None and not self._used and compared(environment) != self._environment:
            self.end()
        if self._server is None:
            self._start(environment)
        return compared(environment) == self._environment

    def end(self) -> None:
        """End the server, if there is one: no stage runs."""
        if self._server is not None:
            self._channel.close()
            self._server.kill()
            self._server.wait()
            self._server = None

    def _start(self, environment: dict[str, str], first: str = "") -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", _SERVER, str(ROOT), str(theirs.fileno()), first]
            self._server = subprocess.Popen(  # noqa: S603 - a list, no shell
                command, env=environment | _NO_THREADS, pass_fds=[theirs.fileno()]
            )
        self._environment = compared(environment)
        self._channel = ours.makefile("rw", encoding="utf-8")
        ours.close()  # the file holds it open


class _Stage:
    """A fork, with what DVC asks a Popen for."""

    returncode: int | None = None

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def communicate(self) -> None:
        """Wait until it has ended."""
        answer = self._channel.readline()
        self.returncode = json.loads(answer) if answer else -signal.SIGKILL


def is_plain(shell: Sequence[str], words: str, environment: Mapping[str, str]) -> bool:
    """Whether the command is a stage's script, run by this process's Python, whatever the shell makes of it."""
    program, name = shutil.which("python", path=environment.get("PATH")), Path(shell[0]).name
    return (
        bool(_PLAIN.fullmatch(words))
        and (name in ("sh", "dash") or (name == "bash" and "BASH_ENV" not in environment))
        and program is not None
        and Path(program).parent == Path(sys.executable).parent
    )


def compared(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a process may act on as it imports libraries: all but those in which DVC names the stage."""
    return {name: value for name, value in environment.items() if not name.startswith("DVC_") and name != "_"}


def serve_forks(number: int, first: str = "") -> list[str]:
    """Fork for each request that comes by the socket of this number; meanwhile import what the stage ``first`` needs.

    Returns:
        In a fork, which is now as a new process would be: the module to be run, and its arguments. In the server, when
        DVC has ended: nothing.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # DVC waits for its stage to end, and so does this
    libraries = [path for path in sys.path if Path(path) != ROOT]
    given = dict(os.environ)
    if first:
        _import_libraries(first)
    channel: Any = socket.socket(fileno=number).makefile("rw", encoding="utf-8")
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for line in channel:
            words, environment, folder = json.loads(line)
            pid = os.fork() if _import_libraries(words[0]) else None
            if pid == 0:
                set_by_libraries = {name: value for name, value in os.environ.items() if given.get(name) != value}
                become(environment | set_by_libraries, folder, libraries)
                with contextlib.suppress(OSError):
                    Path("/proc/self/comm").write_text(words[0].rpartition(".")[2])  # what top and ps call it
                channel.close()
                return list(words)
            _send(channel, pid)
            if pid is not None:
                _, status = os.waitpid(pid, 0)
                _send(channel, os.waitstatus_to_exitcode(status))
    return []


def _send(channel: Any, message: Any) -> None:
    channel.write(json.dumps(message) + "\n")
    channel.flush()


def _import_libraries(stage: str) -> bool:
    """Import what the stage's script does; whether this process can be forked then."""
    try:
        importlib.import_module(stage)
        if "sklearn" in sys.modules:
            for name in _FITTING:
                importlib.import_module(name)
    except Exception:  # whatever it is, the script itself will say it
        return False
    return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - a fork would lose other threads, and what they hold


def become(environment: Mapping[str, str], folder: str, libraries: Sequence[str]) -> None:
    """Make this process, a fork, as one that ``python -m`` has just begun in ``folder``, but for imported libraries."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for name in [name for name in sys.modules if name.partition(".")[0] in _OWN]:
        del sys.modules[name]
    sys.path[:] = [folder, *libraries]
    importlib.invalidate_caches()
