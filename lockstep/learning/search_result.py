"""The best trial of a search: the file in which ``tune`` hands it on, and how hyperparameters are called in it.
estimators.py puts it in place of the settings.

It imports nothing that takes long: without a search the stage ``tune`` costs a start of Python.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lockstep.kernel.errors import IntegrityError
from lockstep.kernel.files import Outputs, not_made

import msgspec


def name_of(number: int, model: str) -> str:
    """What the member of this number, from 0, of a vote is called: in ``tune.space``, log, sidecar and report."""
    return f"{model}_{number + 1}"


def full_name(member: str, key: str) -> str:
    """What a hyperparameter is called; ``member``: of a vote, "" for that of a model of its own."""
    return f"{member}.{key}" if member else key


def by_name(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Hyperparameters by the names that a search has for them: those of a vote's members, which are a list of mappings
    with their model types, are called "<member>.<hyperparameter>"."""
    members = hyperparameters.get("members")
    if not isinstance(members, list) or not all(isinstance(one, dict) and "model" in one for one in members):
        return {**hyperparameters}
    found = {name: value for name, value in hyperparameters.items() if name != "members"}
    for number, member in enumerate(members):
        name = name_of(number, member["model"])
        found |= {full_name(name, key): value for key, value in member.items() if key != "model"}
    return found


class BestTrial(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a search found.

    Attributes:
        metric: that the trials were compared by.
        trials: settings that were tried beside the given one.
        failed: how many trials could not be fitted or scored.
        best_trial: the number of the trial that first tried the best setting; 0 is the given one.
        mean, std: of the metric over the folds (n - 1).
        given_mean: of the given setting; None where that failed.
        hyperparameters: what is to be changed in the given ones; nothing where these are the best.
    """

    metric: str
    trials: int
    failed: int
    best_trial: int
    mean: float
    std: float
    given_mean: float | None
    hyperparameters: dict[str, Any]


def write_best_trial(outputs: Outputs, path: Path, best: BestTrial | None) -> None:
    """Write the best trial as JSON; an empty object where there was no search."""
    outputs.json(path, {} if best is None else msgspec.structs.asdict(best))


def read_best_trial(path: Path) -> BestTrial | None:
    """Read what write_best_trial wrote.

    Raises:
        DataError: there is no such file.
        IntegrityError: it is not what the stage tune writes.
    """
    try:
        content = msgspec.json.decode(path.read_bytes())
        return None if content == {} else msgspec.convert(content, BestTrial)
    except FileNotFoundError:
        raise not_made(path) from None
    except (msgspec.MsgspecError, RecursionError):
        raise IntegrityError(f"{path} is not what the stage tune wrote. Run 'dvc repro' to remake it.") from None
