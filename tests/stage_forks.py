"""Stages in quick succession: the server of dvc_forks.py has imported what stages import, and DVC, forked from it,
forks itself for each of them.

``python -m lockstep`` saves the same imports by a process that each of its runs of DVC starts
(lockstep/repository/stage_forks.py); the hundreds of runs here cannot pay even for that one. The stage is a child of
DVC's process as it always is. Where its variables are not those of the server (another processor, locale), or it is no
plain ``python -m stages.NAME``, it starts as DVC does it.
"""

import atexit
import contextlib
import gc
import importlib
import io
import os
import runpy
import shlex
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

_LATER = (
    "lightgbm", "matplotlib.backends.backend_svg", "multiprocessing.dummy", "narwhals._pandas_like.namespace",
    "pandas.core.arrays.arrow.extension_types", "pandas.io.parquet", "pyarrow.dataset", "pyarrow.pandas_compat",
    "pyarrow.parquet", "sklearn.calibration", "sklearn.dummy", "sklearn.ensemble", "sklearn.impute",
    "sklearn.linear_model", "sklearn.neighbors", "sklearn.pipeline", "sklearn.svm",
    "sklearn.tree", "tomllib", "xgboost",
)  # fmt: skip
"""What stages import within functions."""
_libraries = [path for path in sys.path if Path(path) not in (Path(__file__).parent, Path(__file__).parents[1])]


def install(module: Any, root: Path, before: dict[str, str]) -> Callable[[Sequence[str]], None]:
    """Have DVC's ``module``, dvc.stage.run, fork stages: to be called in the server, which imports the libraries that
    those of the repository at ``root``, which must be in ``sys.path``, do.

    Args:
        before: the variables that the server was started with: Lockstep changes some as it is imported.

    Returns:
        What runs ``python -m lockstep`` with such arguments in a fork of the server, and never returns.
    """
    for path in sorted((root / "stages").glob("[!_]*.py")):
        importlib.import_module(f"stages.{path.stem}")
    for name in _LATER:
        importlib.import_module(name)

    starter = _Starter(before, dict(os.environ))
    module.subprocess = SimpleNamespace(Popen=starter, check_output=subprocess.check_output)
    return lambda arguments: _become(["lockstep", *arguments], {**os.environ, **starter.set}, str(Path.cwd()))


class _Starter:
    """In place of subprocess.Popen."""

    def __init__(self, before: dict[str, str], after: dict[str, str]) -> None:
        self._before = _compared(before)
        self.set = {name: value for name, value in after.items() if before.get(name) != value}
        """What Lockstep and libraries set as they are imported."""

    def __call__(self, command: list[str], *, env: dict[str, str], cwd: str, **options: Any) -> Any:
        from lockstep.repository.stage_forks import is_plain

        *shell, words = command
        if not is_plain(shell, words, env) or _compared(env) != self._before or not Path(cwd, "stages").is_dir():
            return subprocess.Popen(command, env=env, cwd=cwd, **options)
        return _Stage(shlex.split(words)[2:], env | self.set, cwd)


def _compared(variables: dict[str, str]) -> dict[str, str]:
    """The variables that a process may act on as it imports libraries."""
    from lockstep.repository.stage_forks import compared

    # The fork writes each line at once as it is; the others are read when they are needed.
    later = ("HOME", "OLDPWD", "PATH", "PWD", "PYTHONUNBUFFERED", "SHLVL")
    return {name: value for name, value in compared(variables).items() if name not in later}


class _Stage:
    """The fork, with what DVC asks a Popen for."""

    returncode: int | None = None

    def __init__(self, words: list[str], variables: dict[str, str], folder: str) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _become(words, variables, folder)

    def communicate(self) -> None:
        _, status = os.waitpid(self.pid, 0)
        self.returncode = os.waitstatus_to_exitcode(status)


def _become(words: list[str], variables: dict[str, str], folder: str) -> None:
    """Be ``python -m WORDS``; never returns."""
    from lockstep.repository.stage_forks import become

    code = 70
    try:
        os.closerange(3, 1024)
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        atexit._clear()  # DVC's, which are its own process's
        gc.enable()
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), line_buffering=True)
        sys.stderr = io.TextIOWrapper(
            io.FileIO(2, "w", closefd=False), errors="backslashreplace", line_buffering=True, write_through=True
        )
        become(variables, folder, _libraries)
        sys.argv = words
        code = _run(words[0])
    finally:
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()
        os._exit(code)


def _run(module: str) -> int:
    """The exit code of the module, run as Python's -m does."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
