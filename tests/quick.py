"""A pipeline of quick stages: what every stage does, without the seconds that pandas takes to import.

Its stages are copied into a Repository; they copy iris.csv, and can be made to wait for a file.
"""

import hashlib
import json
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from lockstep.kernel.lock_file import outputs, read_lock
from lockstep.kernel.locks import RUN_LOCK

import psutil
from workspace import Repository, forks

QUICK_STAGE = '''
"""Copies a file and counts its lines: what every stage does, without the seconds that pandas takes to import."""

import sys
import time
from pathlib import Path

import lockstep.kernel.start
from lockstep.kernel.stage import run_stage, stage_parser


def execute(problem, args, outputs):
    text = args.source.read_bytes()
    time.sleep(0.03)
    outputs.write(args.copy, lambda path: path.write_bytes(text + args.copy.name.encode()))
    outputs.json(args.count, {"lines": text.count(b"\\n")})


def main():
    parser = stage_parser("quick", __doc__)
    for name in ("source", "copy", "count"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    return run_stage("quick", parser.parse_args(), execute)


if __name__ == "__main__":
    sys.exit(main())
'''


QUICK = ("one", "two")
QUICK_OUTPUTS = [path for name in QUICK for path in (f"data/copies/{name}.csv", f"metrics/{name}.json")]


def quick_pipeline():
    """A dvc.yaml in which each stage copies the file of the one before it."""
    lines, source = ["stages:"], "data/raw/iris.csv"
    for name in QUICK:
        copy, count = f"data/copies/{name}.csv", f"metrics/{name}.json"
        lines += [
            f"  {name}:",
            f"    cmd: python -m stages.quick --problem iris --source {source} --copy {copy} --count {count}",
            f"    deps: [{source}, stages/quick.py]",
            f"    outs: [{copy}]",
            f"    metrics: [{{{count}: {{cache: false}}}}]",
        ]
        source = copy
    return "\n".join(lines) + "\n"


FIX = ["doctor", "--leftovers", "--fix"]
"""What ``make repro`` does before ``dvc repro`` (tests/runs/test_kills.py: test_make_repro_is_what_heals)."""


class QuickRepository(Repository):
    """A Repository with that pipeline, committed, nothing built. Used with ``with``, it ends what was started in it.

    Args:
        folder: where; must not exist.
        waiting: whether each stage waits until there is a file ``go``.
    """

    def __init__(self, folder: Path, *, waiting: bool = False) -> None:
        super().__init__(folder)
        # By its whole path: experiments run in copies of the folder.
        wait = f"while not Path({str(folder / 'go')!r}).exists():\n        time.sleep(0.02)"
        stage = QUICK_STAGE.replace("time.sleep(0.03)", wait) if waiting else QUICK_STAGE
        (folder / "stages/quick.py").write_text(stage)
        (folder / "dvc.yaml").write_text(quick_pipeline())
        (folder / "dvc.lock").unlink()
        self.commit("quick stages")

    def forget(self) -> None:
        """Remove everything that was built, from the cache of runs too, so that a run has to make it anew."""
        for name in ("go", RUN_LOCK, "dvc.lock", *QUICK_OUTPUTS):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / ".dvc/cache/runs", ignore_errors=True)

    def go(self) -> None:
        """Let the stages that wait go on."""
        (self.folder / "go").touch()

    def __enter__(self) -> Self:
        self.started = ExitStack()
        return self

    def __exit__(self, *_: object) -> None:
        self.started.close()
        self.go()  # a stage that has lost its DVC, as it should not, would wait for ever

    def start(self, *command: str, **variables: str) -> "Started":
        return Started(self, *command, **variables)


class Undisturbed:
    """A repository in which an undisturbed run has made what ``targets`` name; what that is, and how long it took."""

    def __init__(self, repository, *targets):
        self.repository, self.folder = repository, repository.folder
        self.repro, self.unreadable, self.outputs = ["dvc", "repro", *targets], 0, []
        self.raw = self.digests(["data/raw/iris.csv", "data/raw/housing.csv"])
        self.forget()
        start = time.monotonic()
        repository.dvc(*self.repro[1:])
        self.seconds, self.lock = time.monotonic() - start, repository.lock()
        self.outputs = sorted(outputs(read_lock(self.folder / "dvc.lock").values()))
        self.made = self.digests(self.outputs)

    def digests(self, files):
        return {file: hashlib.sha256((self.folder / file).read_bytes()).hexdigest() for file in files}

    def forget(self):
        """Remove everything that was built, from the cache of runs too, so that a run has to make it anew."""
        (self.folder / "dvc.lock").unlink(missing_ok=True)
        for output in self.outputs:
            (self.folder / output).unlink(missing_ok=True)
        shutil.rmtree(self.folder / ".dvc/cache/runs", ignore_errors=True)

    def disturb(self, whom, share):
        """Kill a run of it when ``share`` of its time is over; False if it had ended by then."""
        self.forget()
        fork = forks().start(self.folder, self.repro)
        time.sleep(share * self.seconds)
        killed = not fork.ended() and fork.kill(whom)
        fork.wait()
        if killed:
            assert fork.survivors() == [], f"{whom} killed after {share:.0%}"
        return killed

    def check_healed(self, case):
        done = forks().run(self.folder, FIX, self.repro)
        assert done.returncode == 0, f"{case}: {done.stdout}{done.stderr}"
        self.unreadable += "is unreadable" in done.stdout
        assert self.repository.lock() == self.lock, case
        assert self.digests(self.outputs) == self.made, case
        assert self.digests(self.raw) == self.raw, case
        found = [str(path) for path in self.folder.rglob("*.tmp") if ".dvc/tmp" not in str(path)]
        assert found == [], case


class Started(subprocess.Popen[bytes]):
    """A command that runs in the repository, and is killed at the end of the test, should it still be there."""

    def __init__(self, repository: "QuickRepository", *command: str, **variables: str) -> None:
        self.printed = repository.folder / f"logs/{time.monotonic_ns()}.stderr"
        self.printed.parent.mkdir(exist_ok=True)
        with self.printed.open("w") as errors:
            environment = repository.environment | variables
            super().__init__(command, cwd=repository.folder, env=environment, stdout=subprocess.DEVNULL, stderr=errors)
        repository.started.enter_context(self)
        repository.started.callback(self.kill)

    def ended(self):
        """The exit code and what it printed to stderr."""
        return self.wait(timeout=120), self.printed.read_text()


def holder_of(repository):
    """Who holds the lock, once somebody who is alive does."""
    lock = repository.folder / RUN_LOCK
    return until(
        60,
        lambda: (
            (found := json.loads(lock.read_text() or "{}") if lock.exists() else {})
            and not is_gone(found["pid"])
            and found
        ),
    )


def until(seconds, condition):
    """What ``condition`` gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
