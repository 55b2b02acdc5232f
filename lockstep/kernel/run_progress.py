"""How far a run of several stages has come: each stage that begins writes its name into a file of ``lockstep repro``'s,
which writes its plan beside it, and says what that makes.

Not part of any result: where no run is named, as under a plain ``dvc repro``, or its plan is not there yet, nothing is
said.
"""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.log import duration

RUN = "LOCKSTEP_RUN"
"""The environment variable that names the file of the run."""


class RunProgress(NamedTuple):
    """What the file of a run says.

    Attributes:
        begun: when the run began, in seconds since the epoch.
        planned: the stages that may run, with the seconds that each took last, None where that is not known.
        started: the stages that have begun, in their order.
    """

    begun: float
    planned: Mapping[str, float | None]
    started: list[str]

    def __str__(self) -> str:
        """Where the stage that has begun last stands."""
        so_far = time.time() - self.begun
        text = f"stage {len(self.started)} of at most {len(self.planned)}, {duration(so_far)} so far"
        done = [self.planned.get(name) for name in self.started[:-1]]
        ahead = [seconds for name, seconds in self.planned.items() if name not in self.started[:-1]]
        known = [seconds for seconds in (*done, *ahead) if seconds is not None]
        if not done or len(known) < len(done) + len(ahead):
            return text
        # What DVC itself takes between two stages, which no log of a stage tells.
        between = max(so_far - sum(known[: len(done)]), 0) / len(done)
        left = sum(known[len(done) :]) + between * len(ahead)
        return f"{text}, about {duration(left)} left if each takes as long as it took last"


def begin_run(path: Path) -> None:
    """Write the file of a run that begins now."""
    path.write_text(json.dumps(time.time()) + "\n", encoding="utf-8")


def plan_run(path: Path, planned: Mapping[str, float | None]) -> None:
    """Write the plan of that run."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(planned), encoding="utf-8")
    new.rename(path.with_suffix(".plan"))


def read_run(path: Path) -> RunProgress:
    """What the file of a run, and its plan, if there is one yet, say."""
    begun, *started = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    plan = path.with_suffix(".plan")
    return RunProgress(begun, json.loads(plan.read_text(encoding="utf-8")) if plan.exists() else {}, started)


def note_start(stage: str) -> RunProgress | None:
    """Write down that ``stage`` begins; how far the run has come, None where this is part of none that can be read."""
    path = Path(os.environ.get(RUN, ""))
    try:
        with path.open("r+", encoding="utf-8") as file:
            file.seek(0, os.SEEK_END)
            file.write(json.dumps(stage) + "\n")
        found = read_run(path)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return found if stage in found.planned else None
