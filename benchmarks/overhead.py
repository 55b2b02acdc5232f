"""What the pipeline costs beside the plain alternative, as ratios of wall-clock times.

On a copy of this repository in a temporary folder, with DVC's caches in that folder too, it measures

- a cold ``dvc repro evaluate@iris``: a fresh clone, nothing built, nothing cached, each time,
- a rerun of it with a value of one hyperparameter that was never used before,
- ``dvc repro`` of everything where nothing changed,
- each of these by ``python -m lockstep repro``, which runs the same DVC, and its stages as forks of one process,

the first two beside benchmarks/plain_iris.py, the last beside a DVC pipeline of as many stages that only echo; and each
by ``dvc repro`` of this very pipeline, the same dependencies, settings and outputs, whose stages only echo: what DVC
takes alone. What is compared is run in turns, so that a slow moment of the machine falls on both sides.

    python benchmarks/overhead.py --repeat 5
"""

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parent.parent
PLAIN_SCRIPT = str(ROOT / "benchmarks/plain_iris.py")
SOURCE = "data/raw/iris.csv"
TARGET = "evaluate@iris"
RERUN_STAGES = ["stages.check", "stages.tune", "stages.cross_validate", "stages.train", "stages.evaluate"]
PLAIN, ECHO = "plain script", "echo pipeline"
COLD, RERUN, NOOP = "cold", "rerun", "no-op"
ALONE = "DVC alone"
PROGRAMS = {"dvc repro": ["dvc", "repro"], "lockstep repro": ["python", "-m", "lockstep", "repro"]}
"""How a user runs the pipeline; the stages are those of the first."""


class Aim(NamedTuple):
    """``measured``, by each of PROGRAMS, is to take at most ``times`` as long as ``reference``."""

    what: str
    measured: str
    reference: str
    times: float


AIMS = (
    Aim("cold, `evaluate@iris`", COLD, PLAIN, 4.0),
    Aim("rerun after one hyperparameter changed", RERUN, PLAIN, 2.5),
    Aim("no-op, all stages", NOOP, ECHO, 1.3),
)


class Bench:
    """The folders that are measured in, and the seconds that each measured thing took, in order.

    Args:
        folder: an empty folder; everything is made in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pristine, self.built, self.echo = folder / "pristine", folder / "built", folder / "echo"
        self.alone, self.alone_built = folder / "alone", folder / "alone-built"
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.environment = _environment(folder)
        self.n_stages = 0
        self.commands: list[str] = []

    def run(self, command: Sequence[str], cwd: Path, name: str | None = None) -> str:
        """Run ``command``, note its seconds under ``name``, and return what it printed to stdout."""
        start = time.perf_counter()
        done = subprocess.run(command, check=False, cwd=cwd, env=self.environment, capture_output=True, text=True)
        elapsed = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"ERROR: {' '.join(command)} failed in {cwd}:\n{done.stdout}{done.stderr}")
        if name is not None:
            self.seconds[name].append(elapsed)
        return done.stdout

    def commit(self, folder: Path) -> None:
        """Make a git repository of ``folder``, all of it in one commit: DVC then does all that it does in a clone."""
        self.run(["git", "init", "--quiet"], folder)
        self.run(["git", "add", "--all"], folder)
        # Nothing of the user's own settings that a commit could fail for.
        author = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@localhost", "-c", "commit.gpgsign=false"]
        self.run(["git", *author, "commit", "--quiet", "--no-verify", "--message", "copy"], folder)

    def copy_repository(self) -> None:
        """Make the repository ``pristine``: a fresh clone, with the bundled tables and compiled bytecode."""
        # The working tree as it stands, with files that are new in it; not data, models or caches, which git ignores.
        listing = self.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
        for name in listing.split("\0"):
            if name and (ROOT / name).is_file():
                (self.pristine / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.pristine / name)
        self.commit(self.pristine)
        # As a new user does it: the bundled tables, iris.csv among them, come out of data/bundled.
        tables = [str(path.relative_to(self.pristine)) for path in self.pristine.glob("data/raw/*.csv.dvc")]
        self.run(["dvc", "pull", "--quiet", *tables], self.pristine)
        self.run(["python", "-m", "compileall", "-q", "lockstep", "stages"], self.pristine)

    def prepare(self) -> None:
        """Make the three repositories, and run everything once that is measured later."""
        self.copy_repository()
        shutil.copytree(self.pristine, self.built)
        self.run(["dvc", "repro", "--quiet"], self.built)
        self.n_stages = len(re.findall(r"^Stage '", self.run(["dvc", "repro"], self.built), re.MULTILINE))
        self.make_echo_pipeline()
        shutil.copytree(self.pristine, self.alone)
        only_echo(self.alone / "dvc.yaml")
        shutil.copytree(self.alone, self.alone_built)
        self.run(["dvc", "repro", "--quiet"], self.alone_built)
        self.run(["dvc", "repro"], self.alone_built)
        self.plain(None)
        work = self.folder / "warm-up"
        shutil.copytree(self.pristine, work)
        self.commands = self.repro(work, TARGET)
        shutil.rmtree(work)

    def make_echo_pipeline(self) -> None:
        """A chain of as many stages, each with one dependency, one output and no work, built."""
        self.echo.mkdir()
        (self.echo / "out0").write_text("x\n", encoding="utf-8")
        stages = (
            f'  stage{n}:\n    cmd: echo {n} > out{n}\n    deps: ["out{n - 1}"]\n    outs: ["out{n}"]\n'
            for n in range(1, self.n_stages + 1)
        )
        (self.echo / "dvc.yaml").write_text("stages:\n" + "".join(stages), encoding="utf-8")
        self.run(["git", "init", "--quiet"], self.echo)
        self.run(["dvc", "init", "--quiet"], self.echo)
        # The same settings (no analytics, no look for updates) and the same exclusions on both sides.
        shutil.copy2(self.pristine / ".dvc/config", self.echo / ".dvc/config")
        shutil.copy2(self.pristine / ".dvcignore", self.echo / ".dvcignore")
        self.commit(self.echo)
        self.run(["dvc", "repro", "--quiet"], self.echo)
        self.run(["dvc", "repro"], self.echo)

    def plain(self, name: str | None = PLAIN) -> None:
        """The plain script, on the same file."""
        self.run(["python", PLAIN_SCRIPT, SOURCE, str(self.folder / "plain")], self.pristine, name)

    def repro(
        self, folder: Path, target: str | None = None, name: str | None = None, program: str = "dvc repro"
    ) -> list[str]:
        """One of PROGRAMS; the commands of the stages that it ran, none of them restored from a cache."""
        named = f"{name} {program}" if name in (COLD, RERUN, NOOP) else name
        printed = self.run(
            [*PROGRAMS.get(program, PROGRAMS["dvc repro"]), *([target] if target else [])], folder, named
        )
        return re.findall(r"^> (.+)$", printed, re.MULTILINE)

    def nothing_changed(self, program: str) -> None:
        """The no-op of the echo pipeline and of this one, one after the other."""
        if self.repro(self.echo, name=ECHO) or self.repro(self.built, name=NOOP, program=program):
            sys.exit("ERROR: a stage ran although nothing had changed.")

    def repetition(self, number: int) -> None:
        """Measure everything once."""
        for program in PROGRAMS:
            work = self.folder / f"clone{number}-{program.split()[0]}"
            # A new clone: neither outputs nor run cache, and at a path that DVC's site cache knows nothing of.
            shutil.copytree(self.pristine, work)
            self.plain()
            ran = self.repro(work, TARGET, COLD, program)
            self.nothing_changed(program)
            self.plain()
            change_trees(work / "params.yaml", number)
            rerun = [command.split()[2] for command in self.repro(work, TARGET, RERUN, program)]
            self.nothing_changed(program)
            if sorted(ran) != sorted(self.commands) or sorted(rerun) != sorted(RERUN_STAGES):
                sys.exit(f"ERROR: cold, {len(ran)} stages ran, not {len(self.commands)}; and again {', '.join(rerun)}.")
        alone = self.folder / f"clone{number}-alone"
        shutil.copytree(self.alone, alone)
        for name in (COLD, RERUN):
            self.repro(alone, TARGET, name, ALONE)
            change_trees(alone / "params.yaml", number)
        if self.repro(self.alone_built, name=NOOP, program=ALONE):
            sys.exit("ERROR: a stage ran although nothing had changed.")
        shutil.rmtree(alone)
        for command in self.commands:  # the stages without DVC, to tell the one from the other
            stage = command.split()[2]
            self.run(["python", "-m", stage, "--help"], work, f"import {stage}")
            self.run(["sh", "-c", command], work, stage)
        shutil.rmtree(work)

    def report(self) -> str:
        """The result as Markdown."""
        typical = {name: median(values) for name, values in self.seconds.items()}
        lines = [
            "| measured | seconds | compared with | seconds | ratio | aim | DVC alone, s | ratio |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for (what, first, reference, times), program in itertools.product(AIMS, PROGRAMS):
            measured = f"{first} {program}"
            ratio = typical[measured] / typical[reference]
            with_what = f"echo pipeline, {self.n_stages} stages" if reference == ECHO else "`plain_iris.py`"
            verdict = "met" if ratio <= times else "missed"
            alone = f"{first} {ALONE}"
            lines.append(
                f"| {what}, `{program}` | {self.spread(measured)} | {with_what} | {self.spread(reference)} "
                f"| {ratio:.2f} | at most {times:g}: {verdict} "
                f"| {typical[alone]:.2f} | {typical[alone] / typical[reference]:.2f} |"
            )
        cold = f"{COLD} dvc repro"
        lines += [
            "",
            f"| within the cold `dvc repro` of {typical[cold]:.2f} s | starts and imports | all of it |",
            "|---|---|---|",
        ]
        stages = [command.split()[2] for command in self.commands]
        for stage in stages:
            lines.append(f"| `{stage}` | {typical[f'import {stage}']:.2f} | {typical[stage]:.2f} |")
        imports, work = (sum(typical[prefix + stage] for stage in stages) for prefix in ("import ", ""))
        lines.append(f"| the {len(stages)} stages without DVC | {imports:.2f} | {work:.2f} |")
        lines.append(f"| DVC around them | | {typical[cold] - work:.2f} |")
        return "\n".join(lines)

    def spread(self, name: str) -> str:
        """Median, least and most of the seconds of ``name``."""
        values = self.seconds[name]
        return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _environment(folder: Path) -> dict[str, str]:
    """The environment of every command: this Python's programs first, and no settings of the user's DVC."""
    programs = str(Path(sys.executable).parent)
    if not (Path(programs) / "dvc").exists():
        sys.exit(f"ERROR: {sys.executable} has no dvc beside it. Type 'source .venv/bin/activate' first.")
    environment = {
        # Bytecode must be written: without it, every start of Python would compile its modules anew.
        **{name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_", "PYTHONDONT"))},
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
    }
    for name in ("SITE_CACHE", "GLOBAL_CONFIG", "SYSTEM_CONFIG"):
        private = folder / name.lower()
        private.mkdir()
        environment[f"DVC_{name}_DIR"] = str(private)
    return environment


def only_echo(pipeline: Path) -> None:
    """Have every stage of dvc.yaml write something new into its outputs, and do nothing else."""
    content = yaml.safe_load(pipeline.read_text(encoding="utf-8"))
    for stage in content["stages"].values():
        given: dict[str, Any] = stage.get("do", stage)
        listed = [out for kind in ("outs", "metrics", "plots") for out in given.get(kind, ())]
        outs = " ".join(f"'{out if isinstance(out, str) else next(iter(out))}'" for out in listed)
        given["cmd"] = f"for out in {outs}; do mkdir -p $(dirname $out); date +%N > $out; done"
    pipeline.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def change_trees(params: Path, number: int) -> None:
    """Give iris' forest ``number`` trees more: nearly the same work, but a value that no cache knows."""
    text, changes = re.subn(
        r"(\n  iris:\n.*?\n +n_estimators: +)(\d+)",
        lambda found: f"{found[1]}{int(found[2]) + number}",
        params.read_text(encoding="utf-8"),
        count=1,
        flags=re.DOTALL,
    )
    if not changes:
        sys.exit("ERROR: params.yaml has no problems.iris.train.hyperparameters.n_estimators to change.")
    params.write_text(text, encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="repetitions (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.repeat < 1:
        parser.error("--repeat must be at least 1")
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): the seconds will be noisy", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="lockstep-overhead-") as folder:
        bench = Bench(Path(folder).resolve())
        print("warming up", file=sys.stderr)
        bench.prepare()
        for number in range(1, args.repeat + 1):
            print(f"repetition {number} of {args.repeat}", file=sys.stderr)
            bench.repetition(number)
    print(bench.report())
    return 0


if __name__ == "__main__":
    sys.exit(main())
