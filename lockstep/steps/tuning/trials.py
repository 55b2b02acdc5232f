"""What a search tried, and the table of it. It imports nothing that takes long, as long as there is no search."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from lockstep.learning.search_result import BestTrial
from lockstep.steps.tuning.search_space import key_of

TRIAL_COLUMNS = ("trial", "state", "mean", "std", "best")
"""Of the table of trials; then one per hyperparameter, then ``reason``."""


class Trial(NamedTuple):
    """A setting that was tried.

    Attributes:
        number: of the trial that tried it first.
        values: what it changes in the given hyperparameters.
        shown: the values of all hyperparameters of the space, also where they are the given ones.
        mean, std: over the folds (n - 1); None where the trial failed.
        reason: why it failed, or "".
    """

    number: int
    values: dict[str, Any]
    shown: dict[str, Any]
    mean: float | None
    std: float | None
    reason: str


class Step(NamedTuple):
    """A trial, and the best one so far."""

    trial: Trial
    best: Trial


class Search(NamedTuple):
    """What a search found; empty where there was none.

    Attributes:
        best: for the stages behind; None without a search.
        columns: of the table of trials.
        trials: one row per trial; trial 0 is the given setting.
    """

    best: BestTrial | None
    columns: tuple[str, ...]
    trials: list[tuple[Any, ...]]


NO_SEARCH = Search(None, (*TRIAL_COLUMNS, "reason"), [])


def table_of(steps: Iterable[Step]) -> list[tuple[Any, ...]]:
    """Make the rows of the table of trials: TRIAL_COLUMNS, hyperparameters as JSON (texts as they are), the reason."""
    return [
        (number, _state(trial), trial.mean, trial.std, best.mean, *_cells(trial.shown), trial.reason)
        for number, (trial, best) in enumerate(steps)
    ]


def _state(trial: Trial) -> str:
    return "failed" if trial.mean is None else "complete"


def _cells(shown: Mapping[str, Any]) -> list[str]:
    return [value if isinstance(value, str) else key_of(value) for value in shown.values()]
