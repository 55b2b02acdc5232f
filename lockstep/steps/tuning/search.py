"""The search for hyperparameters: ask for a setting, score it on folds that were encoded once, tell its score.

No hyperparameter of an estimator touches the preprocessor, so a fold's encoded rows are the same in every trial.
"""

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from lockstep.kernel.errors import MachineError, SettingsError, lack_of_memory, nearest
from lockstep.kernel.log import Progress, heartbeat, logger
from lockstep.kernel.settings import Task
from lockstep.learning.computing.kept_results import KeptResults
from lockstep.learning.computing.workers import Workers, workers
from lockstep.learning.cross_validation import (
    CrossValidateSettings,
    PipelineSettings,
    encode_fitted,
    encode_rows,
    fit_encoded,
    make_folds,
    mean_and_std,
    score_encoded,
)
from lockstep.learning.estimators import (
    EncodedRows,
    Fold,
    TrainSettings,
    build_estimator,
    make_estimator,
    named_members,
    with_values,
)
from lockstep.learning.metrics import AUTO, find_metric, metric_of
from lockstep.learning.model_types import CUSTOM, VOTING, model_type
from lockstep.learning.own_metrics import make_scorers
from lockstep.learning.scoring import Average
from lockstep.learning.search_result import BestTrial, full_name
from lockstep.learning.voting import member_of
from lockstep.steps.tuning.search_space import Space, TuneSettings, ends, holds, key_of, parse_space
from lockstep.steps.tuning.trials import TRIAL_COLUMNS, Search, Step, Trial, table_of
from lockstep.tables.table import Table

import msgspec
import numpy as np
from sklearn.base import BaseEstimator


class EncodedFold(NamedTuple):
    """The rows that a fold is fitted on, and those that it is scored on, by a preprocessor fitted on the former."""

    fitted: EncodedRows
    scored: EncodedRows


class Scoring(NamedTuple):
    """What every trial is scored by.

    Attributes:
        task: of the problem.
        model: the section ``train``, with the given hyperparameters.
        given: the given values of the hyperparameters of the space, also where they are scikit-learn's defaults.
        metric: that trials are compared by.
        average: of the metric, for a classification.
        positive: see Predictions.
        metrics: the names of those beside the built-in ones.
        weighted: whether rows have weights.
    """

    task: Task
    model: TrainSettings
    given: dict[str, Any]
    metric: str
    average: Average
    positive: Any
    metrics: tuple[str, ...]
    weighted: bool

    @property
    def lower_is_better(self) -> bool:
        """Whether a lower score is better."""
        return metric_of(self.metric).lower_is_better


def check_settings(
    settings: TuneSettings, model: TrainSettings, task: Task, own: Collection[str] = (), *, custom: bool = True
) -> tuple[Space, str]:
    """Find the space and the metric that the settings mean. Whether the hyperparameters are those of the model is
    looked at only if there is a search.

    Args:
        own: the keys of the metrics beside the built-in ones.
        custom: whether also of a model whose code is the user's own, which is then run.

    Raises:
        SettingsError: an unknown metric, a range or list that is none, an unknown or illegal hyperparameter.
    """
    may_run = custom or model.model != CUSTOM
    members = named_members(model)
    space = parse_space(settings.space or _space_of(members), "tune.space")
    metric = find_metric(settings.metric, task, "tune.metric", own)
    if settings.metric == "auto" and may_run:
        metric = _best_metric(model, task)
    if settings.trials and not space:
        raise SettingsError(
            f"tune.space is empty, and {model.model} has no hyperparameters that are worth a search. Give some their "
            "ranges there, or set tune.trials to 0."
        )
    if settings.trials and may_run:
        for name, entry in space.items():
            member, where, key = _member_of(name, members)
            for value in ends(entry):
                build_estimator(msgspec.structs.replace(member, hyperparameters={key: value}), task, where)
    return space, metric


def _space_of(members: Mapping[str, TrainSettings]) -> dict[str, Any]:
    """The space that comes with a model type; of a vote, those of its members; see by_name."""
    return {
        full_name(name, key): entry
        for name, member in members.items()
        for key, entry in model_type(member.model).space.items()
    }


def _member_of(name: str, members: Mapping[str, TrainSettings]) -> tuple[TrainSettings, str, str]:
    """Whose hyperparameter ``name`` in tune.space is: (the member of the vote or else the model, the setting that holds
    it, its own name). Raises SettingsError if the vote has no such member."""
    if "" in members:
        return members[""], "tune.space", name
    member, _, key = name.partition(".")
    if member not in members:
        near = ", ".join(nearest(member, members))
        raise SettingsError(
            f"tune.space.{name} is of no member of the vote. Write '<member>.<hyperparameter>'; or set tune.space to "
            f"{{}}, for what comes with their model types. The members, nearest first: {near}."
        )
    return members[member], f"tune.space.{member}", key


def _best_metric(model: TrainSettings, task: Task) -> str:
    """What ``auto`` means: a proper score, which tells models apart that are right equally often. Of classes it needs
    probabilities."""
    if task == "regression":
        return "mse"
    return "log_loss" if hasattr(build_estimator(model, task), "predict_proba") else AUTO[task]


def search(
    train: Table,
    settings: TuneSettings,
    cross_validation: CrossValidateSettings,
    pipeline: PipelineSettings,
    average: Average = "macro",
    metrics: Sequence[str] = (),
    kept: KeptResults | None = None,
) -> Search:
    """Search the space by a tree-structured Parzen estimator; see sampler.py.

    Trials follow one another, each seeing the scores of those before, and only the folds of one run in parallel: so the
    result depends on the seed and not on the number of processors. All trials are scored on the same folds, those of
    the stage cross_validate, with the scores that it would give. Trial 0 is the given setting, which is kept unless
    another one is better; a setting that comes up again is not fitted again. A trial that scikit-learn refuses is
    recorded with the reason.

    Memory: the encoded training rows are kept once per fold while the search runs, n_rows * n_encoded * 8 bytes times
    folds times repeats; the log says how much it is.

    Args:
        train: the raw training rows.
        settings: with one trial at least.
        cross_validation: the section ``cross_validate``.
        pipeline: what is searched, with the given hyperparameters.
        average: of precision, recall and F1, if one of them is the metric.
        metrics: the names of those beside the built-in ones.
        kept: the trials of a run that was interrupted, and where to keep those of this one.

    Raises:
        DataError: see make_folds and encode_fitted.
        SettingsError: see check_settings and make_scorers; or no trial could be scored.
        MachineError: see workers.
    """
    model, own = pipeline.model, make_scorers(metrics, train.task, weighted=train.weight is not None)
    space, metric = check_settings(settings, model, train.task, [scorer.key for scorer in own])
    defaults = _values_of(build_estimator(model, train.task), model)
    given = {name: defaults.get(name) for name in space}
    cut = make_folds(train, cross_validation)
    if settings.metric == "auto" and metric == "log_loss" and not _all_have_all_classes(train.labels, cut):
        metric = AUTO[train.task]
        logger.warning(
            "not every fold has all classes, so that log_loss cannot be computed: trials compare by %s", metric
        )
    scoring = Scoring(
        train.task, model, given, metric, average, train.positive, tuple(metrics), train.weight is not None
    )
    count = settings.trials + 1  # with the given setting
    if kept is not None and kept.found:
        logger.info("%d of %d trials are from the run that was interrupted", min(len(kept.found), count), count)
    with heartbeat(f"search on {len(train)} rows", count, "trials") as progress, workers() as able:
        folds = encode_folds(able, train, cut, pipeline)
        steps = list(run_trials(able, settings, space, scoring, folds, kept, progress))
    return _found(steps, settings.trials, scoring)


def _values_of(estimator: BaseEstimator, model: TrainSettings) -> dict[str, Any]:
    """The values of all hyperparameters, defaults included, by their names in a space."""
    named = estimator.estimators if model.model == VOTING else [("", estimator)]
    return {
        full_name(name, key): value
        for name, one in named
        for key, value in member_of(one).get_params(deep=False).items()
    }


def _all_have_all_classes(labels: np.ndarray, folds: list[Fold]) -> bool:
    """Whether the rows that each fold is fitted on, and those that it is scored on, are of the same classes."""
    return all(set(labels[fitted_on].tolist()) == set(labels[scored_on].tolist()) for fitted_on, scored_on in folds)


class _Encoding(NamedTuple):
    """What is needed to encode any fold."""

    train: Table
    pipeline: PipelineSettings


def _encoded(work: _Encoding, fold: Fold, n_jobs: int) -> EncodedFold:  # noqa: ARG001 - one encodes
    fitted_on, scored_on = fold
    preprocessor, fitted = encode_fitted(work.train, fitted_on, work.pipeline)
    return EncodedFold(fitted, encode_rows(work.train, scored_on, preprocessor))


def _size(_: None, fold: EncodedFold, n_jobs: int) -> int:  # noqa: ARG001
    return sum(rows.X.nbytes for rows in fold)


def encode_folds(able: Workers, train: Table, folds: list[Fold], pipeline: PipelineSettings) -> list[EncodedFold]:
    """Fit a preprocessor for each fold, and keep the rows that it encodes. Raises as encode_fitted."""
    # The table without what it has computed of itself, which would be sent with it.
    found = able.keep(_encoded, able.share(_Encoding(replace(train), pipeline)), folds)
    size = sum(able.each(_size, None, found))
    logger.info("encoded %d folds once for all trials: %.0f MB kept", len(found), size / 1e6)
    return found


def run_trials(
    able: Workers,
    settings: TuneSettings,
    space: Space,
    scoring: Scoring,
    folds: list[EncodedFold],
    kept: KeptResults | None,
    progress: Progress,
) -> Iterator[Step]:
    """Score the given setting, then ask, score and tell ``settings.trials`` times.

    The members of a vote take turns, each with a sampler of its own: a trial draws anew for one, and leaves the others
    as they are in the best trial so far. All at once would hardly ever be better for all.

    A trial of a run that was interrupted is not fitted again: what the sampler asks next depends on the scores alone.
    """
    from lockstep.steps.tuning import sampler  # imports Optuna, which those who only check settings need not wait for

    def scored(number: int, values: dict[str, Any]) -> Trial:
        name = hashlib.sha256(key_of(values).encode()).hexdigest()
        if kept is not None and name in kept.found:
            mean, std = json.loads(kept.found[name])
            progress.advance(found=True)
            return Trial(number, values, {**scoring.given, **values}, mean, std, "")
        trial = score_setting(able, number, values, scoring, folds)
        progress.advance()
        # One that failed is tried again: the reason may have been the machine's.
        if kept is not None and trial.mean is not None:
            kept.keep(name, partial(_packed, trial))
        return trial

    parts = _parts(space)
    studies = [sampler.make_study(settings.seed, lower_is_better=scoring.lower_is_better) for _ in parts]
    given = best = scored(0, {})
    yield Step(given, best)
    for study, part in zip(studies, parts, strict=True):
        if given.mean is not None and all(holds(entry, scoring.given[name]) for name, entry in part.items()):
            sampler.add_known(study, part, scoring.given, given.mean)
    known = {key_of(scoring.given): given}
    for number in range(1, settings.trials + 1):
        turn = (number - 1) % len(parts)
        asked, drawn = sampler.ask(studies[turn], parts[turn])
        values = {**best.values, **drawn}
        key = key_of({**scoring.given, **values})
        if key in known:
            progress.advance(found=True)
        else:
            known[key] = scored(number, values)
        trial = known[key]
        sampler.tell(studies[turn], asked, trial.mean)
        if _is_better(trial, best, scoring):
            best = trial
            logger.info("trial %d: %s %.6g +- %.2g with %s", number, scoring.metric, best.mean, best.std, best.shown)
        yield Step(trial, best)


def _parts(space: Space) -> list[Space]:
    """The space of each member of a vote that has one; the whole of any other model type's."""
    parts: dict[str, Space] = {}
    for name, entry in space.items():
        parts.setdefault(name.rpartition(".")[0], {})[name] = entry
    return list(parts.values())


def _packed(trial: Trial) -> bytes:
    """The score of a trial, to the bit."""
    return json.dumps([trial.mean, trial.std]).encode()


def _score(trial: tuple[Scoring, TrainSettings], fold: EncodedFold, n_jobs: int) -> float:
    scoring, model = trial
    # A copy, since some estimators may be told to work in place (copy_X: false); "K" keeps the order of the elements,
    # on which the last bits of sums depend.
    rows = fold.fitted._replace(X=fold.fitted.X.copy(order="K"))
    estimator = fit_encoded(rows, make_estimator(model, scoring.task), model, n_jobs)
    own = make_scorers(scoring.metrics, scoring.task, weighted=scoring.weighted)
    scores = score_encoded(estimator, fold.scored, scoring.task, scoring.average, scoring.positive, own)
    return scores.get(scoring.metric, math.nan)


def score_setting(
    able: Workers, number: int, values: dict[str, Any], scoring: Scoring, folds: list[EncodedFold]
) -> Trial:
    """Fit and score the estimator with ``values`` in place of the given hyperparameters in each fold; what a library
    refuses, in whichever way, is a failed trial. What the machine lacks is none: with more memory, or room on the disk,
    the trial may be the best one. Raises MachineError or OSError then."""
    model = with_values(scoring.model, values)
    mean = std = None
    reason = f"{scoring.metric} cannot be computed in every fold"
    try:
        build_estimator(model, scoring.task)  # a wrong combination is said once, not by every fold
        found = mean_and_std(able.each(_score, (scoring, model), folds))
        if math.isfinite(found[0]):
            (mean, std), reason = found, ""
    except (MachineError, OSError):  # of the cluster or the machine, not of the trial
        raise
    except Exception as error:
        if (short := lack_of_memory(error, f"score trial {number}")) is not None:
            raise short from error
        reason = " ".join(str(error).split()) or type(error).__name__
    trial = Trial(number, values, {**scoring.given, **values}, mean, std, reason)
    if mean is None:
        logger.warning("trial %d failed with %s: %s", number, trial.shown, reason)
    return trial


def _is_better(trial: Trial, best: Trial, scoring: Scoring) -> bool:
    """Whether ``trial`` is better than the best one so far; equal is not better."""
    if trial.mean is None or best.mean is None:
        return trial.mean is not None
    return trial.mean < best.mean if scoring.lower_is_better else trial.mean > best.mean


def _found(steps: list[Step], n_trials: int, scoring: Scoring) -> Search:
    given, best = steps[0].trial, steps[-1].best
    failed = sum(step.trial.mean is None for step in steps)
    if best.mean is None or best.std is None:
        raise SettingsError(f"tune: all {failed} trials failed, the first of them, the given setting: {given.reason}")
    logger.info(
        "best trial: %d of %d%s%s, %s %.6g (the given setting: %s); the best of many on the same folds is optimistic: "
        "judge it on the test rows", best.number, n_trials, "" if best.number else ", the given setting",
        f", {failed} failed" if failed else "", scoring.metric, best.mean,
        "failed" if given.mean is None else f"{given.mean:.6g}",
    )  # fmt: skip
    result = BestTrial(
        metric=scoring.metric,
        trials=n_trials,
        failed=failed,
        best_trial=best.number,
        mean=best.mean,
        std=best.std,
        given_mean=given.mean,
        hyperparameters=best.values,
    )
    return Search(result, (*TRIAL_COLUMNS, *scoring.given, "reason"), table_of(steps))
