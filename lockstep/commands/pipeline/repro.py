"""``python -m lockstep repro [TARGET ...]``: ``dvc repro``, with how far it has come.

Each stage that runs says which of how many it is, how long all have taken so far, and how long the rest may take.
Stages start quicker than those of a plain ``dvc repro``, and write the same: they find their libraries imported. Takes
what ``dvc repro`` takes, such as --force, and has its exit codes and its locks.
"""

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.kernel.errors import LockstepError, plural, some
from lockstep.kernel.lock_file import LOCK_FILE, read_lock, read_pointers
from lockstep.kernel.log import duration
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.run_progress import RUN, begin_run, plan_run, read_run
from lockstep.kernel.settings import check_there, read_problems
from lockstep.provenance.plan import needed, plan
from lockstep.provenance.stage_logs import last_seconds
from lockstep.repository.dvc_process import run_dvc


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dvc repro``; its exit code. Raises SettingsError for a stage of a problem that is not there."""
    parser = command_parser("repro", __doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="as report@customers; default: everything")
    args, options = parser.parse_known_args(argv)
    _check_problems(args.targets)
    begun = time.monotonic()
    everything = bool({"-f", "--force"} & set(options))
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        run = Path(folder) / "run.jsonl"
        begin_run(run)
        # Meanwhile, since it takes as long as DVC to see what changed; a run that ends before does not wait for it.
        threading.Thread(target=_plan, args=(run, args.targets), kwargs={"everything": everything}, daemon=True).start()
        arguments = ["repro", *options, *args.targets]
        ended = run_dvc(arguments, environment={**os.environ, RUN: str(run)}, show="all", interruptible=True)
        started = read_run(run).started
    took = duration(time.monotonic() - begun)
    outcome = "" if ended.code == 0 else f"; dvc repro ended with exit code {ended.code}"
    ran = f"{plural(len(started), 'stage')} ran in {took}{f': {some(started, 6)}' if started else ''}"
    print(f"{ran}{outcome}", file=sys.stderr)
    if ended.code != 0:
        _say_missing_tables()
    return ended.code


def _say_missing_tables() -> None:
    """Say which tracked tables are not here, and what brings them: DVC does not."""
    with contextlib.suppress(LockstepError):
        gone = [table.path for table in read_pointers() if not Path(table.path).exists()]
        if gone:
            are = "is" if len(gone) == 1 else "are"
            bring = f"'make repro' brings those that the repository carries; others come by 'dvc pull {gone[0]}'"
            print(f"{some(gone, 3)} {are} tracked, and not here: {bring}.", file=sys.stderr)


def _check_problems(targets: Sequence[str]) -> None:
    """Raise SettingsError where a stage is asked for of a problem that is not there: DVC does not say which are."""
    names = [target.partition("@")[2] for target in targets if "@" in target]
    if names and PARAMS.exists():
        problems = read_problems(PARAMS)
        for name in names:
            check_there(name, problems, PARAMS)


def _plan(run: Path, targets: Sequence[str], *, everything: bool) -> None:
    """Write the plan of the run, unless it cannot be told: DVC says why, or is changing the files just now."""
    with contextlib.suppress(LockstepError, OSError):
        plan_run(run, _planned(targets, everything=everything))


def _planned(targets: Sequence[str], *, everything: bool) -> dict[str, float | None]:
    """The stages that may run, with the seconds they took last."""
    from lockstep.repository.dvc import Repository  # imports DVC, which runs by now

    recorded = read_lock() if LOCK_FILE.exists() else {}
    with Repository() as repo:
        now = repo.current_stages()
    names = [name for target in targets for name in now if target in (name, name.split("@")[0])]
    stages = needed(names, now) if targets else now
    found = plan(recorded, stages)
    chosen = stages if everything else {name: None for name in stages if name in found.run or name in found.maybe}
    return {name: last_seconds(name) for name in chosen}
