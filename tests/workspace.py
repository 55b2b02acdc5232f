"""A copy of this repository in a temporary folder, to run DVC in."""

import atexit
import contextlib
import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from unittest import mock

import yaml
from dvc_forks import Forks

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
DOCUMENTS = (
    sorted(ROOT.glob("*.md"))
    + sorted((ROOT / "docs").glob("*.md"))
    + sorted({*ROOT.glob("[!.]*/README.md"), *ROOT.glob("benchmarks/*.md")})
)


OLD_KERNELS = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"}
"""An older processor's, as far as NumPy and OpenBLAS go."""
ANOTHER_MACHINE = OLD_KERNELS | {"OMP_NUM_THREADS": "3", "LC_ALL": "C", "TZ": "Asia/Kathmandu"}
"""With more threads than there are processors, another locale and time zone."""
OWN_DVC = {"DVC_GLOBAL_CONFIG_DIR": "/nonexistent", "DVC_SYSTEM_CONFIG_DIR": "/nonexistent"}
"""Hides the settings of DVC that a developer or the machine has."""


def environment() -> dict[str, str]:
    """The variables for commands in the copy: nothing of an outer git, DVC, pytest or Python (which may be told to keep
    no bytecode, and would compile every module at every start); no shell, in which case DVC takes /bin/sh; this
    environment's programs."""
    outer = ("GIT_", "DVC_", "PYTEST_", "PYTHON")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(outer) and key != "SHELL"}
    return kept | OWN_DVC | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1", "NO_COLOR": "1"}


@cache
def forks() -> Forks:
    """The server that runs DVC for the tests of this process."""
    started = Forks(environment())
    atexit.register(started.close)
    return started


class _WithForks:
    """The module subprocess, of which Popen is a fork of a process that has DVC imported."""

    def __getattr__(self, name: str) -> object:
        return forks().popen if name == "Popen" else getattr(subprocess, name)


IRIS, HOUSING = {"n_estimators": 10, "max_depth": 10}, {"n_estimators": 20, "learning_rate": 0.1}
"""The hyperparameters of a Repository whose runs are short."""


class Repository:
    """A copy with its own git history, DVC cache and DVC state.

    Args:
        folder: where; must not exist.
        rows: of housing.csv, to make runs short, in which models have fewer trees, too; None for all as it is.
    """

    def __init__(self, folder: Path, rows: int | None = 400) -> None:
        self.folder, self.environment = folder, environment()
        _copy(_committed(rows), folder)
        self._keep_to_itself()

    def _make(self, rows: int | None) -> None:
        """Make what all others of so many rows are copies of."""
        folder = self.folder
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in listed.stdout.decode().split("\0"):
            # The tests are a third of the files, and nothing in a copy needs them.
            if name and not name.startswith("tests/") and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
        self._keep_to_itself()
        self.run("git", "init", "-q", "-b", "main", "--template=")
        self.run("git", "config", "user.email", "test@example.org")
        self.run("git", "config", "user.name", "Test")
        self.dvc("pull", "-q", *map(str, (folder / "data/raw").glob("*.dvc")))
        if rows is not None:
            housing = folder / "data/raw/housing.csv"
            lines = housing.read_text().splitlines(keepends=True)
            housing.write_text("".join(lines[: rows + 1]))
            params = (folder / "params.yaml").read_text()
            for trees, fewer in ((100, IRIS), (200, HOUSING)):
                assert params.count(f" n_estimators: {trees} ") == 1
                params = params.replace(f" n_estimators: {trees} ", f" n_estimators: {fewer['n_estimators']} ")
            (folder / "params.yaml").write_text(params)
            self.dvc("commit", "-q", "-f", "data/raw/housing.csv.dvc")
        self.commit("copy")
        self.pack()

    def _keep_to_itself(self) -> None:
        """Have DVC keep its notes on files below the folder, not in a place that all repositories share."""
        site = self.folder / ".dvc/tmp/site"
        (self.folder / ".dvc/config.local").write_text(f"[core]\n    site_cache_dir = {site}\n")

    @classmethod
    def at(cls, folder: Path) -> "Repository":
        """The one that is in ``folder`` already, or that the test makes there."""
        repository = cls.__new__(cls)
        repository.folder, repository.environment = folder, environment()
        return repository

    def copy_to(self, folder: Path) -> "Repository":
        """The same in another folder, with its history, cache and built files."""
        _copy(self.folder, folder)
        copy = Repository.at(folder)
        copy._keep_to_itself()
        return copy

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy; an unexpected failure shows its output."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        return self._checked(done, check)

    @staticmethod
    def _checked(done: subprocess.CompletedProcess[str], check: bool) -> subprocess.CompletedProcess[str]:
        assert not check or done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
        return done

    def lockstep(self, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Lockstep's in this process, which has imported what takes one a second; what became of it,
        as of a process."""
        from lockstep.__main__ import main  # here: this file is run as a script, too
        from lockstep.repository import dvc_process

        words, out, err = list(map(str, arguments)), io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err),
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.object(dvc_process, "subprocess", _WithForks()),
        ):  # fmt: skip
            try:
                code = main(words)
            except SystemExit as stop:  # argparse
                code = stop.code
        return self._checked(subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue()), check)

    def status(self) -> list[str]:
        """What git says is not as in the last commit, a line a file."""
        return self.run("git", "status", "--porcelain", "--untracked-files=all").stdout.splitlines()

    def everything(self) -> dict[Path, bytes]:
        """{path: bytes} of all files outside git's and DVC's own folders."""
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        named = {path.relative_to(self.folder): path for path in paths}
        own = {".git", ".dvc", "logs"}
        return {name: path.read_bytes() for name, path in named.items() if not own & set(name.parts)}

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of DVC's, in a fork that has DVC imported."""
        return self._checked(forks().run(self.folder, ["dvc", *arguments], environment=self.environment), check)

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", message)

    def pack(self) -> None:
        """Have git keep its objects in one file instead of hundreds: what others are to be copies of."""
        self.run("git", "repack", "-a", "-d", "-q")

    def repro(self, *arguments: str) -> list[str]:
        """Run ``dvc repro``; the stages that were really executed, in order."""
        output = self.dvc("repro", *arguments).stdout
        return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]

    def changed(self) -> set[str]:
        """The stages that ``dvc status`` reports."""
        found = json.loads(self.dvc("status", "--json").stdout)
        return {name for name in found if not name.endswith(".dvc")}

    def lock(self) -> str:
        return (self.folder / "dvc.lock").read_text()

    def set(self, problem: str, section: str, **values: object) -> None:
        """Change settings in params.yaml."""
        path = self.folder / "params.yaml"
        content = yaml.safe_load(path.read_text())
        content["problems"][problem][section].update(values)
        path.write_text(yaml.safe_dump(content, sort_keys=False))


def _copy(folder: Path, to: Path) -> None:
    """By the system's program: some hundred files in a third of the time that Python takes."""
    to.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", folder, to], check=True)


@cache
def _committed(rows: int | None) -> Path:
    """The folder that each Repository of this process with so many rows is a copy of."""
    made = tempfile.TemporaryDirectory()
    atexit.register(made.cleanup)
    folder = Path(made.name) / "repository"
    Repository.at(folder)._make(rows)
    return folder


def everything_built(folder: Path, rows: int | None) -> Repository:
    """A Repository in ``folder`` in which everything is built from nothing, as if on another machine, and committed;
    made by the first who asks; each number of rows has its own.

    To be copied, not to be changed: processes of pytest-xdist share it.
    """
    folder /= str(rows)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            shutil.rmtree(folder / "repository", ignore_errors=True)
            repository = Repository(folder / "repository", rows)
            repository.environment |= ANOTHER_MACHINE
            (repository.folder / "dvc.lock").unlink()
            if rows is None:
                repository.run("dvc", "repro", "-q")  # by the DVC that users have: nearly all else is by forks of one
            else:
                another = Forks(repository.environment)
                done = another.run(repository.folder, ["dvc", "repro", "-q"])
                another.close()
                repository._checked(done, check=True)
            repository.commit("built")
            repository.pack()
            (folder / "done").touch()
    return Repository.at(folder / "repository")


if __name__ == "__main__":
    for rows in sys.argv[2:]:
        everything_built(Path(sys.argv[1]), None if rows == "None" else int(rows))
