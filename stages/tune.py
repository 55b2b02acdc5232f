"""Search for hyperparameters, by cross-validation of the whole pipeline on the raw training rows.

Reads   the raw training rows
Writes  the winner, which overrides train.hyperparameters, and a table of all trials; both empty with tune.trials: 0

    python -m stages.tune --problem iris --train data/split/iris/train.parquet \\
        --winner metrics/iris_tune.json --trials metrics/plots/iris/trials.csv

Without a search this stage costs a start of Python: whatever a search alone needs is imported where it begins.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.kernel.errors import SettingsError
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.settings import Problem, Seed, Settings
from lockstep.kernel.stage import run_stage, stage_parser
from lockstep.tuning.search_space import Range, Space, ends, parse_space

import msgspec

if TYPE_CHECKING:
    from lockstep.kernel.settings import Task
    from lockstep.learning.cross_validation import CrossValidateSettings
    from lockstep.learning.estimators import TrainSettings
    from lockstep.learning.preprocessing import PreprocessSettings
    from lockstep.tables.table import Table

    from optuna.distributions import BaseDistribution

COLUMNS = ("trial", "state", "mean", "std", "best")
"""Of the table of trials; then one per hyperparameter, then ``reason``."""


class TuneSettings(Settings, frozen=True):
    """The section ``tune``; what each key means stands in params.yaml."""

    trials: Annotated[int, msgspec.Meta(ge=0)] = 0
    metric: str = "auto"
    seed: Seed = 42
    space: dict[str, Any] = msgspec.field(default_factory=dict)


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


class Search(NamedTuple):
    """What a search found; empty where there was none.

    Attributes:
        winner: for people and for the stages behind; its ``hyperparameters`` are empty where the given ones won.
        columns: of the table of trials.
        trials: one row per trial; trial 0 is the given setting.
    """

    winner: dict[str, Any]
    columns: tuple[str, ...]
    trials: list[tuple[Any, ...]]

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """What the winner changes in the given hyperparameters."""
        return dict(self.winner.get("hyperparameters", {}))


NO_SEARCH = Search({}, (*COLUMNS, "reason"), [])


def check_settings(settings: TuneSettings, model: "TrainSettings", task: "Task") -> tuple[Space, str]:
    """The space and the metric that the settings mean. Whether the hyperparameters are those of the model is looked at
    only if there is a search.

    Raises:
        SettingsError: an unknown metric, a range or list that is none, an unknown or illegal hyperparameter.
    """
    from lockstep.learning.estimators import build_estimator
    from lockstep.learning.metrics import find_metric

    metric = find_metric(settings.metric, task, "tune.metric")
    space = parse_space(settings.space, "tune.space")
    if settings.trials and not space:
        raise SettingsError(
            "tune.space is empty: there is nothing to search. Give hyperparameters their ranges there, or set "
            "tune.trials to 0."
        )
    if settings.trials:
        for name, entry in space.items():
            for value in ends(entry):
                build_estimator(msgspec.structs.replace(model, hyperparameters={name: value}), task, "tune.space")
    return space, metric


def tune(
    train: "Table",
    settings: TuneSettings,
    cross_validation: "CrossValidateSettings",
    preprocess: "PreprocessSettings",
    model: "TrainSettings",
) -> Search:
    """Search the space by a tree-structured Parzen estimator (Bergstra et al. 2011, as in Optuna).

    Trials follow one another, each seeing the scores of those before, and only the folds of one run in parallel: so the
    result depends on the seed and not on the number of processors. All trials are scored on the same folds, those of
    the stage cross_validate. Trial 0 is the given setting, which is kept unless another one is better; a setting that
    comes up again is not fitted again. A trial that scikit-learn refuses is recorded with the reason.

    Args:
        train: the raw training rows.
        settings: with one trial at least.
        cross_validation: the section ``cross_validate``.
        preprocess: the section ``preprocess``.
        model: the section ``train``.

    Raises:
        DataError: see make_folds.
        SettingsError: see check_settings; or no trial could be scored.
    """
    from lockstep.learning.cross_validation import cross_validate, make_folds, summary
    from lockstep.learning.estimators import build_estimator
    from lockstep.learning.metrics import ALL

    import optuna
    from tqdm import tqdm

    space, metric = check_settings(settings, model, train.task)
    defaults = build_estimator(model, train.task).get_params(deep=False)
    given = {name: defaults[name] for name in space}
    folds = make_folds(train, cross_validation)
    sign = -1 if ALL[metric].lower_is_better else 1

    def scored(number: int, values: dict[str, Any]) -> Trial:
        candidate = msgspec.structs.replace(model, hyperparameters={**model.hyperparameters, **values})
        mean = std = None
        reason = f"{metric} cannot be computed in every fold"
        try:
            means = summary(cross_validate(train, cross_validation, preprocess, candidate, folds, progress=False))
            if math.isfinite(means.get(f"{metric}_mean", math.nan)):
                mean, std = means[f"{metric}_mean"], means[f"{metric}_std"]
        except (ValueError, ArithmeticError) as error:
            reason = " ".join(str(error).split())
        trial = Trial(number, values, {**given, **values}, mean, std, "" if mean is not None else reason)
        if mean is None:
            logger.warning("trial %d failed with %s: %s", number, trial.shown, reason)
        return trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = optuna.study.StudyDirection.MAXIMIZE if sign > 0 else optuna.study.StudyDirection.MINIMIZE
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=settings.seed))
    distributions = {name: _distribution(entry) for name, entry in space.items()}
    first = best = scored(0, {})
    if first.mean is not None and all(_holds(entry, given[name]) for name, entry in space.items()):
        params = {name: _to_optuna(entry, given[name]) for name, entry in space.items()}
        study.add_trial(optuna.trial.create_trial(value=first.mean, params=params, distributions=distributions))
    known, trials, rows = {_key(given): first}, [first], [_row(0, first, best)]
    for number in tqdm(range(1, settings.trials + 1), desc="trials", unit="trial", disable=None, leave=False):
        asked = study.ask(distributions)
        values = {name: _from_optuna(entry, asked.params[name]) for name, entry in space.items()}
        if _key(values) not in known:
            known[_key(values)] = scored(number, values)
        trial = known[_key(values)]
        if trial.mean is None:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(asked, trial.mean)
            if best.mean is None or sign * trial.mean > sign * best.mean:
                best = trial
                logger.info("trial %d: %s %.6g +- %.2g with %s", number, metric, trial.mean, trial.std, trial.shown)
        trials.append(trial)
        rows.append(_row(number, trial, best))
    failed = sum(trial.mean is None for trial in trials)
    if best.mean is None:
        raise SettingsError(f"tune: all {failed} trials failed, the first of them, the given setting: {first.reason}")
    logger.info(
        "winner: trial %d of %d%s, %s %.6g (the given setting: %s); the best of many on the same folds is optimistic: "
        "judge it on the test rows", best.number, settings.trials, "" if best.number else ", the given setting", metric,
        best.mean, "failed" if first.mean is None else f"{first.mean:.6g}",
    )  # fmt: skip
    winner = {
        "metric": metric,
        "trials": settings.trials,
        "failed": failed,
        "winner": best.number,
        "mean": best.mean,
        "std": best.std,
        "given_mean": first.mean,
        "hyperparameters": best.values,
    }
    return Search(winner, (*COLUMNS, *space, "reason"), rows)


def _distribution(entry: Range | list[Any]) -> "BaseDistribution":
    """The entry for Optuna, which takes numbers and texts only: values of a list are chosen by their place."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(entry, list):
        return CategoricalDistribution(range(len(entry)))
    if isinstance(entry.low, int) and isinstance(entry.high, int):
        return IntDistribution(entry.low, entry.high, log=entry.log)
    return FloatDistribution(entry.low, entry.high, log=entry.log)


def _from_optuna(entry: Range | list[Any], param: Any) -> Any:
    return entry[param] if isinstance(entry, list) else param


def _to_optuna(entry: Range | list[Any], value: Any) -> Any:
    return list(map(_key, entry)).index(_key(value)) if isinstance(entry, list) else value


def _holds(entry: Range | list[Any], value: Any) -> bool:
    """Whether the search could come up with ``value``."""
    if isinstance(entry, list):
        return _key(value) in map(_key, entry)
    whole = isinstance(entry.low, int) and isinstance(entry.high, int)
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    return number and bool(entry.low <= value <= entry.high)


def _key(value: Any) -> str:
    """Equal for values that are the same setting: unlike == it tells 1 from true."""
    return json.dumps(value, default=str)


def _row(number: int, trial: Trial, best: Trial) -> tuple[Any, ...]:
    cells = [value if isinstance(value, str) else _key(value) for value in trial.shown.values()]
    state = "failed" if trial.mean is None else "complete"
    return (number, state, trial.mean, trial.std, best.mean, *cells, trial.reason)


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    settings = problem.section("tune", TuneSettings)
    search = NO_SEARCH
    if settings.trials:
        from lockstep.learning.cross_validation import CrossValidateSettings
        from lockstep.learning.estimators import TrainSettings
        from lockstep.learning.preprocessing import PreprocessSettings
        from lockstep.tables.table import read_table

        cross_validation = problem.section("cross_validate", CrossValidateSettings)
        preprocess = problem.section("preprocess", PreprocessSettings)
        model = problem.section("train", TrainSettings)
        train = read_table(args.train)
        with heartbeat(f"{settings.trials} trials on {len(train)} rows"):
            search = tune(train, settings, cross_validation, preprocess, model)
    outputs.json(args.winner, search.winner)
    outputs.csv(args.trials, search.columns, search.trials)


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("tune", __doc__)
    parser.add_argument("--train", type=Path, required=True, metavar="PARQUET", help="the raw training rows")
    parser.add_argument("--winner", type=Path, required=True, metavar="JSON", help="write the winner here")
    parser.add_argument("--trials", type=Path, required=True, metavar="CSV", help="write the table of trials here")
    return run_stage("tune", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
