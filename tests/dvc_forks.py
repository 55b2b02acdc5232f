"""DVC commands in quick succession: a server that has DVC imported, and forks itself for each command.

A plain ``dvc`` costs half a second of imports; the hundreds of runs here cannot pay that. What a command does is the
same: it is a process of its own, and so are its stages. The server is one too, since pytest's has threads, which a fork
would lose.

    python tests/dvc_forks.py SOCKET    one request per line on stdin, one answer per line on stdout, both JSON

A shell's commands come by the socket, from the program that ``Forks.put_program`` writes; those of ``python -m
lockstep``, too, which import the code of their own repository.
"""

import builtins
import contextlib
import errno
import functools
import gc
import importlib
import io
import itertools
import json
import math
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psutil

ROOT = Path(__file__).parent.parent
_LATER = (
    "dulwich.ignore", "dulwich.index", "dulwich.worktree", "dvc._debug", "dvc.cachemgr", "dvc.dirs",
    "dvc.repo.artifacts", "dvc.repo.brancher", "dvc.repo.datasets", "dvc.repo.graph", "dvc.repo.metrics.diff",
    "dvc.repo.plots", "dvc.repo.stage", "dvc.repo.trie", "dvc.types", "dvc.ui.table", "dvc.utils.diff",
    "dvc_data.hashfile._progress", "dvc_data.hashfile.db.index", "dvc_data.hashfile.db.local",
    "dvc_data.hashfile.status", "dvc_data.index.checkout", "dvc_data.index.collect", "dvc_data.index.fetch",
    "dvc_data.index.push", "dvc_render", "flatten_dict", "fsspec.implementations.memory", "networkx",
    "platformdirs.unix", "pprint", "pygit2", "pyparsing", "rich.console", "rich.json", "rich.live", "rich.progress",
    "rich.status", "rich.table", "ruamel.yaml", "ruamel.yaml.cyaml", "ruamel.yaml.mergevalue", "scmrepo.fs", "tomlkit",
)  # fmt: skip
"""What DVC imports within the functions of nearly every command: a fifth of a second."""


_PROGRAM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    words = dict(start=[sys.argv[1:]], folder=os.getcwd(), environment=dict(os.environ))
    socket.send_fds(server, [b" "], [0, 1, 2])
    server.sendall(json.dumps(words).encode() + b"\\n")
    sys.exit(int(server.makefile().readline()))
"""


class Forks:
    """The server, seen from a test: ``forks.start(folder, ["dvc", "repro"])``; it is started by the first command."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self._server: subprocess.Popen[str] | None = None
        self._logs, self._numbers = tempfile.TemporaryDirectory(), itertools.count()

    def close(self) -> None:
        """End the server for good."""
        self._stop()
        self._logs.cleanup()

    def _stop(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.communicate()
            self._server = None
            Path(self._socket).unlink(missing_ok=True)  # the next one's is in the same place

    @property
    def _socket(self) -> str:
        return f"{self._logs.name}/socket"

    def put_program(self, path: Path) -> None:
        """Write a program for shells: it has the server run a command (``program dvc repro``), with its own input and
        output."""
        self._ask()
        path.write_text(_PROGRAM.format(python=sys.executable, path=self._socket))
        path.chmod(0o755)

    def _ask(self, **request: object) -> Any:
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, __file__, self._socket],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        try:
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            return json.loads(self._server.stdout.readline())
        except BaseException:  # a test out of time: its answer would be taken for that of the next one
            self._stop()
            raise

    def start(
        self,
        folder: Path,
        *commands: list[str],
        full: str | None = None,
        environment: dict[str, str] | None = None,
        merged: bool = False,
    ) -> "Fork":
        """Run ``commands`` one after another, until one fails, in a new session; ``["dvc", "repro"]`` and the like.

        Args:
            folder: the current folder of the commands.
            commands: see above.
            full: a regular expression; the disk is full when a file with such a path is written (open is replaced).
            environment: their variables, by default those of the server.
            merged: whether errors go to where output goes.
        """
        log = Path(self._logs.name) / str(next(self._numbers))
        variables = self.environment if environment is None else environment
        log.with_suffix(".out").touch()
        pid = self._ask(
            start=commands, folder=str(folder), log=str(log), full=full, environment=variables, merged=merged
        )
        while os.getsid(pid) != pid:
            time.sleep(0.001)
        return Fork(pid, log, self)

    def run(
        self, folder: Path, *commands: list[str], full: str | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """What became of them; arguments as of start."""
        fork = self.start(folder, *commands, full=full, environment=environment)
        code = fork.wait()
        return subprocess.CompletedProcess(commands[-1], code, fork.stdout(), fork.stderr())

    def wait(self, pid: int) -> int:
        return int(self._ask(wait=pid))

    def popen(self, command: list[str], **options: Any) -> Any:
        """In place of subprocess.Popen in lockstep/repository/dvc_process.py: what that starts, as a fork, if it reads
        all that DVC says."""
        if options["stdout"] is None:
            return subprocess.Popen(command, **options)
        words = command[command.index("dvc") + 3 :]  # behind the root, and the process to end with
        environment = dict(os.environ if options["env"] is None else options["env"])
        return _Started(self.start(Path.cwd(), ["own dvc", *words], environment=environment, merged=True))


class _Lines:
    """Lines that are read within a ``with``, as those of a file."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[bytes]:
        return self._lines

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Started:
    """A fork, with what dvc_process asks a Popen for."""

    stderr = None
    returncode: int | None = None

    def __init__(self, fork: "Fork") -> None:
        self._fork, self.pid, self.stdout = fork, fork.pid, _Lines(fork.lines())

    def wait(self, limit: float | None = None) -> int:
        deadline = time.monotonic() + (math.inf if limit is None else limit)
        while self.returncode is None:
            if self._fork.ended():
                self.returncode = self._fork.wait()
            elif time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("dvc", limit or 0)
            else:
                time.sleep(0.005)
        return self.returncode


class Fork:
    """A running command: the leader of its session and process group."""

    def __init__(self, pid: int, log: Path, forks: Forks) -> None:
        self.pid, self._log, self._forks = pid, log, forks

    def lines(self) -> Iterator[bytes]:
        """What it writes, a line at a time, until it has ended."""
        with self._log.with_suffix(".out").open("rb") as file:
            rest = b""
            while True:
                ended = self.ended()  # before it is read: then nothing comes after
                rest += file.read()
                *whole, rest = rest.split(b"\n")
                yield from (line + b"\n" for line in whole)
                if ended:
                    break
                time.sleep(0.005)
            if rest:
                yield rest

    def ended(self) -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE
        return True

    def stage(self) -> int | None:
        """The process of the stage that runs now, if any: the youngest child."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children(recursive=True)
            return children[-1].pid if children else None
        return None

    def kill(self, whom: str) -> bool:
        """Kill -9 the whole "group", "dvc" alone, or the "stage" alone, whose next one is waited for; whether it was
        there to be killed."""
        if whom == "group":
            os.killpg(self.pid, signal.SIGKILL)
        elif whom == "dvc":
            os.kill(self.pid, signal.SIGKILL)
        else:
            while (stage := self.stage()) is None:
                if self.ended():
                    return False
                time.sleep(0.002)
            with contextlib.suppress(ProcessLookupError):
                os.kill(stage, signal.SIGKILL)
        return True

    def wait(self) -> int:
        """The exit code, negative for a signal."""
        return self._forks.wait(self.pid)

    def stdout(self) -> str:
        return self._log.with_suffix(".out").read_text()

    def stderr(self) -> str:
        return self._log.with_suffix(".err").read_text()

    def survivors(self) -> list[str]:
        """The processes of its session that are still there, a few seconds later at most."""
        deadline = time.monotonic() + 10
        while True:
            found = []
            for process in psutil.process_iter(["pid", "status", "cmdline"]):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    if os.getsid(process.pid) == self.pid and process.info["status"] != psutil.STATUS_ZOMBIE:
                        found.append(f"{process.pid} {' '.join(process.info['cmdline'] or [])}")
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.02)


class _FullFile(io.StringIO):
    """A file on a full disk."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def write(self, *_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)


def _fill_disk(pattern: str) -> None:
    """From now on, files whose path matches are emptied when they are opened to be written, then refuse every byte."""
    real = open

    def full_disk(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        file = real(path, mode, *arguments, **options)
        if set(mode) & set("wax+") and re.search(pattern, str(path)):
            file.close()
            return _FullFile(str(path))
        return file

    builtins.open = full_disk  # type: ignore[assignment]


def _serve(path: str) -> None:
    variables = dict(os.environ)
    # All that a command would import: its parser those of all commands, and DVC what it puts off.
    import lockstep.commands.repository.doctor
    import lockstep.repository.dvc_process

    import dvc.analytics
    import dvc.cli.parser
    import dvc.data_cloud
    import dvc.dvcfile
    import dvc.repo.experiments.executor.local
    import dvc.repo.experiments.queue.workspace
    import dvc.repo.index
    import dvc.repo.open_repo
    import dvc.repo.reproduce
    import dvc.repo.status
    import dvc.rwlock
    import dvc.stage.run
    import dvc.utils.strictyaml
    import stage_forks

    for name in _LATER:
        importlib.import_module(name)

    run_lockstep = stage_forks.install(dvc.stage.run, ROOT, variables)
    yaml = dvc.utils.serialize._yaml
    lockstep.repository.quick_yaml.quicken_yaml(yaml, dvc.utils.strictyaml, dvc.parsing.interpolate)
    gc.freeze()  # the forks' collector leaves alone what they all share

    def command(words: list[str]) -> int:
        name, *arguments = words
        if name == "doctor":
            sys.argv = words
            return lockstep.commands.repository.doctor.main(arguments)
        if name == "lockstep":
            run_lockstep(arguments)
        assert name in ("dvc", "own dvc")
        if name == "own dvc":
            lockstep.repository.dvc_process.write_settings_as_utf8()
        sys.argv = ["dvc", *arguments]
        return int(dvc.cli.main(arguments))

    @functools.lru_cache(16)
    def remember(text: str) -> None:
        """Have forks know what DVC would parse."""
        with contextlib.suppress(Exception):
            yaml.parse_yaml(text, "")

    def start(request: dict[str, Any], files: list[int]) -> int:
        """The process that runs the commands, whose input, output and errors go to these."""
        for name in ("dvc.yaml", "params.yaml", "dvc.lock"):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                remember((Path(request["folder"]) / name).read_text(encoding="utf-8"))
        if pid := os.fork():
            return pid
        os.setsid()
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        for target, file in enumerate(files):
            os.dup2(file, target)
        code = 70
        try:
            if request.get("full"):
                _fill_disk(request["full"])
            code = next((found for words in request["start"] if (found := command(words))), 0)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def code_of(pid: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    with socket.create_server(path, family=socket.AF_UNIX) as shells:
        while True:
            ready, _, _ = select.select([sys.stdin, shells], [], [])
            if shells in ready:
                shell, _ = shells.accept()
                with shell, shell.makefile() as lines:
                    _, files, _, _ = socket.recv_fds(shell, 1, 3)
                    code = code_of(start(json.loads(lines.readline()), files))
                    shell.sendall(f"{code % 256}\n".encode())
                for file in files:
                    os.close(file)
                continue
            if not (line := sys.stdin.readline()):
                break
            request = json.loads(line)
            if "wait" in request:
                answer = code_of(request["wait"])
            elif "start" in request:
                answer = start(request, files := _log_files(request["log"], request["merged"]))
                for file in files:
                    os.close(file)
            else:
                answer = 0  # it is only asked whether it is there
            print(answer, flush=True)


def _log_files(log: str, merged: bool) -> list[int]:
    """Nothing to read; where output goes; where errors go."""
    out = os.open(f"{log}.out", os.O_WRONLY | os.O_CREAT)
    return [
        os.open(os.devnull, os.O_RDONLY),
        out,
        os.dup(out) if merged else os.open(f"{log}.err", os.O_WRONLY | os.O_CREAT),
    ]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    _serve(sys.argv[1])
