"""Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), which proposes what to try next.

The only module that imports Optuna: a search alone pays for it.
"""

from typing import Any

from lockstep.steps.tuning.search_space import Range, Space, key_of

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution


def make_study(seed: int, *, lower_is_better: bool) -> optuna.Study:
    """Start a study that knows no trial yet."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = optuna.study.StudyDirection.MINIMIZE if lower_is_better else optuna.study.StudyDirection.MAXIMIZE
    return optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=seed))


def add_known(study: optuna.Study, space: Space, values: dict[str, Any], mean: float) -> None:
    """Add a setting that the study did not ask for; ``values`` are held by the space."""
    params = {name: _to_optuna(entry, values[name]) for name, entry in space.items()}
    study.add_trial(optuna.trial.create_trial(value=mean, params=params, distributions=_distributions(space)))


def ask(study: optuna.Study, space: Space) -> tuple[optuna.Trial, dict[str, Any]]:
    """Ask for the next setting: the trial that ``tell`` takes, and its values."""
    asked = study.ask(_distributions(space))
    return asked, {name: _from_optuna(entry, asked.params[name]) for name, entry in space.items()}


def tell(study: optuna.Study, asked: optuna.Trial, mean: float | None) -> None:
    """Tell the study the score of what it asked for; None: it failed."""
    if mean is None:
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(asked, mean)


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {name: _distribution(entry) for name, entry in space.items()}


def _distribution(entry: Range | list[Any]) -> BaseDistribution:
    """The entry for Optuna, which takes numbers and texts only: values of a list are chosen by their place."""
    if isinstance(entry, list):
        return CategoricalDistribution(range(len(entry)))
    if isinstance(entry.low, int) and isinstance(entry.high, int):
        return IntDistribution(entry.low, entry.high, log=entry.log)
    return FloatDistribution(entry.low, entry.high, log=entry.log)


def _from_optuna(entry: Range | list[Any], param: Any) -> Any:
    return entry[param] if isinstance(entry, list) else param


def _to_optuna(entry: Range | list[Any], value: Any) -> Any:
    return list(map(key_of, entry)).index(key_of(value)) if isinstance(entry, list) else value
