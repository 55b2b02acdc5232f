"""``python -m lockstep log [PROBLEM]``: the last run of each stage: when, how long, how much memory, what took longest.

With a stage, as ``train@customers``, the lines of its log of that run. Of stages that DVC restored instead of running
them, the run that is told is the last one that happened here.
"""

from collections.abc import Sequence

from lockstep.commands import command_parser
from lockstep.comparing.rendering import console_of
from lockstep.kernel.errors import DataError
from lockstep.kernel.paths import LOGS, PARAMS
from lockstep.kernel.settings import SECTIONS, check_there, read_problems
from lockstep.provenance.stage_logs import StageRun, last_run

from rich import box
from rich.table import Table as Grid


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table or the lines. Raises DataError where nothing has run here."""
    parser = command_parser("log", __doc__)
    parser.add_argument("of", nargs="?", metavar="PROBLEM|STAGE", help="as customers, or train@customers; default: all")
    args = parser.parse_args(argv)
    _, at, problem = (args.of or "").rpartition("@")
    problems = read_problems(PARAMS)
    if problem:
        check_there(problem, problems, PARAMS)
    if at:
        run = last_run(args.of)
        if run is None:
            raise DataError(f"{LOGS}/ has no run of the stage {args.of}. Its stages are: {', '.join(_STAGES)}.")
        print("\n".join(run.lines))
        return 0
    names = [problem] if problem else list(problems)
    console = console_of(100)
    found = {name: [run for stage in _STAGES if (run := last_run(f"{stage}@{name}"))] for name in names}
    if not any(found.values()):
        raise DataError(f"{LOGS}/ has no run of {' or '.join(names) or 'a problem'}. Type 'dvc repro'.")
    for name, runs in found.items():
        if runs:
            console.print(_table(name, sorted(runs, key=lambda run: run.begun)))
    return 0


_STAGES = ("check", *SECTIONS)


def _table(problem: str, runs: Sequence[StageRun]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, title=problem, title_justify="left", title_style="bold")
    for title, justify in (("stage", "left"), ("begun", "left"), ("seconds", "right"), ("peak MiB", "right")):
        grid.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    grid.add_column("longest step, or error", overflow="fold")
    for run in runs:
        longest = f"{run.steps[0][0]}: {run.steps[0][1]:.1f} s" if run.steps else ""
        seconds = "not ended" if run.seconds is None else f"{run.seconds:.1f}"
        peak = "" if run.peak_mib is None else f"{run.peak_mib:,.0f}"
        what = f"ERROR {run.error}" if run.error else longest
        grid.add_row(run.stage.split("@")[0], f"{run.begun:%Y-%m-%d %H:%M:%S}", seconds, peak, what)
    return grid
