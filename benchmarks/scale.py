"""What the pipeline costs on a large table beside the plain alternative: wall time, processor time, peak memory.

    python -m benchmarks.scale                              # 200,000 rows
    python -m benchmarks.scale --rows 100000 1000000        # and how the cost grows from one size to the next

It makes a table of 28 numbers and a binary target from a seed, and, on a copy of this repository in a temporary folder,
with DVC's caches in that folder too, runs one after another

- benchmarks/plain_large.py,
- ``python -m lockstep add`` of the table, which chooses the model,
- ``dvc repro report@large``, of which nothing is built yet: all stages,
- in another copy, the same by ``python -m lockstep repro``.

Beside the whole, what is left without the stages of cross-validation and report is compared.

Processor seconds and memory are those of all processes that a command starts. Memory is the sum of their resident sets,
looked at every 50 ms: what processes share is counted in each. Linux only.
"""

import argparse
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.overhead import ROOT, Bench

import numpy as np
import pandas as pd

COLUMNS = 28
BLOCK_ROWS = 100_000
INTERVAL = 0.05
PLAIN = "plain script"
ADD, REPRO, REPRO_SOON = "`add`", "`dvc repro report@large`", "`lockstep repro report@large`"
BESIDE = ("cross_validate", "diagnose", "report")
"""Stages that the plain script without cross-validation has nothing of."""
STAGES = {path.stem for path in (ROOT / "stages").glob("*.py")}
_TICK, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


class Cost(NamedTuple):
    """Wall seconds, processor seconds, and MiB at the most (NaN where it is not known)."""

    wall: float
    processor: float
    peak: float


class Watch:
    """Watches a process and all that it starts.

    Attributes:
        peak: MiB of all of them together at the most.
        stages: what the processes of each stage, by its name, and all that it starts take.
    """

    def __init__(self, pid: int) -> None:
        self.pid, self.peak = pid, 0.0
        self.stages: dict[str, Cost] = {}
        self._names: dict[int, str] = {}
        self._begins: dict[str, float] = {}

    def look(self) -> None:
        """Take the state of all processes now."""
        memory, processor = defaultdict[str, float](float), defaultdict[str, float](float)
        for stage, resident, seconds in self._tree(self.pid, ""):
            memory[stage] += resident
            processor[stage] += seconds
        self.peak = max(self.peak, sum(memory.values()))
        now = time.perf_counter()
        for stage in filter(None, memory):
            begin, known = self._begins.setdefault(stage, now), self.stages.get(stage, Cost(0, 0, 0))
            peak = max(known.peak, memory[stage])
            self.stages[stage] = Cost(now - begin, max(known.processor, processor[stage]), peak)

    def _tree(self, pid: int, stage: str) -> Iterator[tuple[str, float, float]]:
        """Of each process: the stage that it belongs to, "" for none, MiB, and processor seconds, also of those that
        it has started and that have ended."""
        folder = Path("/proc") / str(pid)
        try:
            stage = stage or self._stage(pid, folder)
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            children = [
                child for task in (folder / "task").iterdir() for child in (task / "children").read_text().split()
            ]
        except (FileNotFoundError, ProcessLookupError):
            return  # it has ended
        yield stage, int(fields[21]) * _PAGE / 2**20, sum(map(int, fields[11:15])) / _TICK
        for child in children:
            yield from self._tree(int(child), stage)

    def _stage(self, pid: int, folder: Path) -> str:
        """The name of the stage that a process runs, which a fork is called by; "" for another one."""
        words = (folder / "cmdline").read_bytes().split(b"\0")
        if len(words) > 2 and words[1] == b"-m" and words[2].startswith(b"stages."):
            self._names[pid] = words[2].decode().removeprefix("stages.")
        elif (name := (folder / "comm").read_text().strip()) in STAGES:
            self._names[pid] = name
        return self._names.get(pid, "")


class Measured(NamedTuple):
    """What a command took, in all and by its parts, and what it printed."""

    cost: Cost
    parts: dict[str, Cost]
    printed: str


def measure(command: Sequence[str], cwd: Path, environment: dict[str, str], deadline: float) -> Measured:
    """Run a command; end the program if it fails, or is not done at the ``deadline`` (of time.perf_counter)."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        watch = Watch(process.pid)
        try:
            while process.poll() is None:
                if time.perf_counter() > deadline:
                    sys.exit(f"ERROR: not done in time: {' '.join(command)}. Give fewer --rows, or a longer --limit.")
                watch.look()
                time.sleep(INTERVAL)
        except BaseException:  # Ctrl-C too: it is a session of its own, which that does not reach
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
        output.seek(0)
        printed = output.read()
    if process.returncode:
        sys.exit(f"ERROR: {' '.join(command)} failed in {cwd}:\n{printed}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(Cost(wall, processor, watch.peak), watch.stages, printed)


def write_table(path: Path, rows: int) -> None:
    """Write the table: a target that some of the numbers say something of, not by their sum alone."""
    rng = np.random.default_rng(0)
    for begin in range(0, rows, BLOCK_ROWS):
        x = rng.normal(size=(min(BLOCK_ROWS, rows - begin), COLUMNS)).round(6)
        score = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(3 * x[:, 3]) + 0.5 * x[:, 4] ** 2 - 0.5
        frame = pd.DataFrame(x, columns=[f"x{number}" for number in range(COLUMNS)])
        frame["target"] = (score + rng.logistic(size=len(x)) > 0).astype(int)
        frame.to_csv(path, mode="a", header=begin == 0, index=False)


def run(rows: int, deadline: float) -> dict[str, Measured]:
    """Measure everything once on a table of so many rows."""
    with tempfile.TemporaryDirectory(prefix="lockstep-scale-") as folder:
        bench = Bench(Path(folder).resolve())
        bench.copy_repository()
        table = bench.folder / "large.csv"
        write_table(table, rows)
        soon, lockstep = bench.folder / "soon", ["python", "-m", "lockstep"]
        plain = ["python", str(ROOT / "benchmarks/plain_large.py"), str(table), str(bench.folder / "plain.joblib")]
        commands = {
            PLAIN: (bench.pristine, plain),
            ADD: (bench.pristine, [*lockstep, "add", str(table), "--target", "target"]),
            REPRO: (bench.pristine, ["dvc", "repro", "report@large"]),
            REPRO_SOON: (soon, [*lockstep, "repro", "report@large"]),
        }
        found = {}
        for name, (place, command) in commands.items():
            print(f"{rows:,} rows: {name}", file=sys.stderr)
            found[name] = measure(command, place, bench.environment, deadline)
            if name == ADD:  # with a cache of its own, beside it
                shutil.copytree(bench.pristine, soon)
    lines = [line.split() for line in found[PLAIN].printed.splitlines()]
    parts = {words[0]: Cost(float(words[1]), float(words[2]), math.nan) for words in lines if len(words) == 3}
    return found | {PLAIN: found[PLAIN]._replace(parts=parts)}


def without_folds(found: Measured) -> Cost:
    """What all but the stages of cross-validation and report takes."""
    beside = [cost for stage, cost in found.parts.items() if stage in BESIDE]
    wall, processor = sum(cost.wall for cost in beside), sum(cost.processor for cost in beside)
    return Cost(found.cost.wall - wall, found.cost.processor - processor, math.nan)


def report(rows: int, found: dict[str, Measured]) -> tuple[str, Cost, Cost]:
    """(the result for one size as Markdown, what everything took, what the plain script took)"""
    plain, programs = found[PLAIN].cost, (REPRO, REPRO_SOON)
    lines = ["| what | wall s | processor s | peak MiB |", "|---|---|---|---|"]

    def add_line(what: str, cost: Cost) -> None:
        peak = "" if math.isnan(cost.peak) else f"{cost.peak:,.0f}"
        lines.append(f"| {what} | {cost.wall:.1f} | {cost.processor:.1f} | {peak} |")

    for name in (PLAIN, ADD, *programs):
        add_line(name, found[name].cost)
        for part, cost in found[name].parts.items():
            add_line(f"... `{part}`", cost)
    lines += ["", "| ratio to the plain script | wall | processor | peak | aim |", "|---|---|---|---|---|"]
    table = rows * (COLUMNS + 1) * 8 / 2**20
    less = without_folds(found[PLAIN])
    for what, cost, by, aim in [
        *((f"everything, {name}", found[name].cost, plain, 1.0) for name in programs),
        *((f"without cross-validation and report, {name}", without_folds(found[name]), less, 1.5) for name in programs),
    ]:
        peak = "" if math.isnan(by.peak) else f"{cost.peak / by.peak:.2f}"
        lines.append(
            f"| {what} | {cost.wall / by.wall:.2f} | {cost.processor / by.processor:.2f} | {peak} | at most {aim:g} |"
        )
    lines.append(
        f"\nPeak memory of everything by the size of the table, {table:,.0f} MiB: {found[REPRO].cost.peak / table:.1f}."
    )
    return "\n".join(lines), found[REPRO].cost, plain


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000], metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--limit", type=float, default=1800, metavar="SECONDS", help="of all of it (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    if min(args.rows) < 1000:
        parser.error("--rows must be at least 1000")
    deadline, sizes = time.perf_counter() + args.limit, sorted(set(args.rows))
    costs: list[tuple[Cost, Cost]] = []
    for rows in sizes:
        text, everything, plain = report(rows, run(rows, deadline))
        print(f"{rows:,} rows\n\n{text}\n", flush=True)
        costs.append((everything, plain))
    for few, many, less, more in zip(sizes, sizes[1:], costs, costs[1:], strict=False):
        growth = math.log(many / few)
        for what, one, other in zip(("everything", PLAIN), less, more, strict=True):
            wall, processor, peak = (math.log(b / a) / growth for a, b in zip(one, other, strict=True))
            print(
                f"Growth exponents of {what} from {few:,} to {many:,} rows: wall {wall:.2f}, processor "
                f"{processor:.2f}, memory {peak:.2f}."
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
