"""Ranks the models that a repository recorded of a problem by cross-validation, and tells which of them cannot be told
from the best.

The test rows never decide the order: who picks the best of many by them has found luck, too. They tell which models
differ from the best beyond chance, one pair at a time. docs/leaderboard.md says it in prose.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from lockstep.comparing.evaluations import Evaluated, Folds
from lockstep.comparing.fold_verdicts import FoldsComparison
from lockstep.comparing.model_revisions import Failed
from lockstep.comparing.model_verdicts import RowsComparison, RowsMetric, compare_models, unless_contradicted
from lockstep.comparing.recorded_evaluations import (
    Interval,
    model_size,
    read_intervals,
    read_predictions,
    read_without_predictions,
    trained_model_type,
)
from lockstep.comparing.run_changes import RunChanges, find_changes
from lockstep.comparing.significance import corrected_t_test
from lockstep.comparing.trained_models import Record, TrainedModel, all_records, asked_records, trained_models
from lockstep.comparing.verdicts import (
    ALPHA,
    NO_DIFFERENCE,
    NOT_COMPARABLE,
    AnotherTarget,
    NotComparable,
    Verdict,
    verdict_of,
)
from lockstep.kernel.errors import DataError, LockstepError, SettingsError, did_you_mean
from lockstep.kernel.lock_file import LockedStage
from lockstep.kernel.settings import Task
from lockstep.learning.metrics import ALL, AUTO, METRICS, find_metric, metric_of
from lockstep.provenance.changed_modules import CodeHistory
from lockstep.provenance.plan import computing, needed
from lockstep.repository.dvc import Repository
from lockstep.repository.evaluated_models import evaluated_in
from lockstep.repository.revisions import WORKSPACE, Revision, opened_repository, read_revision
from lockstep.steps.splitting.two_samples import holm

import msgspec
import numpy as np

MOST_PAIRS = 30
"""So many models, at most, are compared with the best: each pair takes half a second, of many test rows ten."""
SUITED: dict[Task, tuple[str, ...]] = {
    "classification": ("rare_class_average_precision", "log_loss", AUTO["classification"]),
    "regression": ("rmse", AUTO["regression"]),
}
"""What models are ranked by where the settings leave it open (auto): the first that most of them have. A proper score
tells models apart that are right equally often; beside a class that most of the rows are of, the rare one counts."""
NOT_EVALUATED, NOT_HERE = "not evaluated", "no predictions"
OTHER_ROWS = "other test rows"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A model on the leaderboard.

    Attributes:
        place: by cross-validation, 1 for the best; None where that is not comparable, for the reason ``unranked``.
        names: of the workspace, branches, tags and experiments that have it.
        commit: that recorded it; None if only the workspace has it.
        n_commits: how many commits have it.
        changes: what differs from the first entry; None for that one.
        model_type: as train.model names it; None where that is not recorded.
        cross_validation: the mean over the folds, with its interval.
        tuned: whether a search chose its hyperparameters on these folds, so that its scores there are optimistic.
        test: the metric on the test rows.
        evaluated_models: how many models, at least, have been evaluated on its test rows.
        model_size: of its file, in bytes.
        verdict: on the test rows, against the entry that all are compared with; None for that entry itself, and for
            those beyond MOST_PAIRS.
        p, p_holm: of that verdict, for this pair alone, and corrected for the number of pairs.
        why: the reason for a verdict that the p-value does not explain.
        is_best: whether it is that entry, or cannot be told from it beyond chance.
    """

    place: int | None
    unranked: str | None
    names: tuple[str, ...]
    commit: str | None
    n_commits: int
    changes: RunChanges | None
    model_type: str | None
    cross_validation: Interval | None
    tuned: bool
    test: Interval | None
    evaluated_models: int | None
    model_size: int | None
    verdict: Verdict | None = None
    p: float | None = None
    p_holm: float | None = None
    why: str | None = None
    is_best: bool = False


class Leaderboard(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="leaderboard"):
    """The models of a problem, the best by cross-validation first, then those that have no place.

    Attributes:
        metric: by which they are ranked and compared.
        average: of precision, recall and F1; None for another metric.
        compared_with: the place that the others are compared with: the first that has predictions here; None if none.
        pairs: how many p-values were corrected for each other.
        messages: what is missing or damaged, and what to type; they can have any character.
    """

    metric: str
    lower_is_better: bool
    average: str | None
    entries: tuple[Entry, ...]
    compared_with: int | None
    pairs: int
    messages: tuple[str, ...]


class NoModels(NotComparable, frozen=True, tag="no models"):
    """No revision that was looked at has a model of the problem."""


class Leaderboards(msgspec.Struct, frozen=True, kw_only=True):
    """The models by problem; ``alpha`` is the error rate over the pairs of a problem; ``revisions`` those asked for,
    none for all that there are."""

    alpha: float
    revisions: tuple[str, ...]
    problems: dict[str, Leaderboard | NoModels | Failed]

    @property
    def exit_code(self) -> int:
        """0, or the highest exit code of the problems that could not be read."""
        return max((board.exit_code for board in self.problems.values() if isinstance(board, Failed)), default=0)


class _Model(NamedTuple):
    """A model, and what its revision recorded of it, without the predictions."""

    trained: TrainedModel
    revision: Revision
    record: Evaluated
    test: Mapping[str, Interval]


def find_leaderboards(
    problem: str | None = None, metric: str | None = None, revisions: Sequence[str] = ()
) -> Leaderboards:
    """Rank the models of a problem, or of all.

    Args:
        problem: this one alone.
        metric: to rank and compare by; by default what the settings search by (tune.metric), for auto see SUITED.
        revisions: these alone; by default the workspace and all that branches, tags and experiments lead to.

    Raises:
        SettingsError: no such revision, problem or metric.
        DataError: no model of the one problem asked for.
        IntegrityError: what is recorded of it is damaged. (Of several problems the others are ranked.)
        MachineError: no DVC or git repository, or a file that cannot be read.
    """
    with opened_repository() as repo:
        asked = [read_revision(repo, name) for name in revisions]
        everything = all_records(repo)
        records = asked_records(repo, [(one.name, one.commit) for one in asked]) if asked else everything
        known = list(dict.fromkeys(name for one in asked or [read_revision(repo, WORKSPACE)] for name in one.problems))
        history, problems = CodeHistory(repo), dict[str, Leaderboard | NoModels | Failed]()
        for name in known if problem is None else [problem]:
            models = trained_models(records, name)
            try:
                if models:
                    problems[name] = _rank(repo, history, everything, models, name, metric)
                elif name not in known:
                    raise SettingsError(
                        f"No revision has a model of a problem '{name}'. {'They have' if asked else 'Problems'}: "
                        f"{', '.join(known) or 'none'}.{did_you_mean(name, known)}"
                    )
                elif problem is not None:
                    raise DataError(f"No revision has a model of {name}. Run 'dvc repro evaluate@{name}', then commit.")
                else:
                    problems[name] = NoModels()
            except LockstepError as error:
                if problem is not None:
                    raise
                problems[name] = Failed(str(error).rstrip("."), error.exit_code)
    return Leaderboards(alpha=ALPHA, revisions=tuple(revisions), problems=problems)


def _rank(
    repo: Repository,
    history: CodeHistory,
    everything: Sequence[Record],
    trained: Sequence[TrainedModel],
    name: str,
    metric: str | None,
) -> Leaderboard:
    models = [_read(repo, history, model, name) for model in trained]
    metric = _metric(models, name, metric)
    judge = next((model.record for model in models if model.record.folds and model.record.folds.current), None)
    unranked = [_why_unranked(model.record, judge, metric) for model in models]
    means = [_cross_validation(model.record, metric) for model in models]
    sign = 1 if metric_of(metric).lower_is_better else -1
    ranked = sorted(
        (index for index, why in enumerate(unranked) if why is None), key=lambda index: sign * _value(means[index])
    )
    order = [*ranked, *(index for index, why in enumerate(unranked) if why is not None)]
    first, looks = models[order[0]], dict[str, int]()
    locks = [record.lock for record in everything]
    for test_md5 in {model.trained.test_md5 for model in models} - {None}:
        looks[str(test_md5)] = len(evaluated_in(locks, name, str(test_md5)))
    entries = [
        Entry(
            place=place if place <= len(ranked) else None,
            unranked=unranked[index],
            names=models[index].trained.names,
            commit=models[index].trained.commit,
            n_commits=models[index].trained.n_commits,
            changes=None if place == 1 else _changes(first, models[index], name),
            model_type=trained_model_type(models[index].revision, name),
            cross_validation=means[index],
            tuned=bool(models[index].record.found),
            test=models[index].test.get(metric),
            evaluated_models=looks.get(str(models[index].trained.test_md5)),
            model_size=model_size(models[index].revision, name),
        )
        for place, index in enumerate(order, 1)
    ]
    average = judge.folds.average if judge and judge.folds else first.record.average
    return _compare(
        repo,
        name,
        [models[index] for index in order],
        Leaderboard(
            metric=metric,
            lower_is_better=metric_of(metric).lower_is_better,
            average=average if metric_of(metric).averaged else None,
            entries=tuple(entries),
            compared_with=None,
            pairs=0,
            messages=(),
        ),
    )


def _read(repo: Repository, history: CodeHistory, trained: TrainedModel, name: str) -> _Model:
    revision = read_revision(repo, trained.commit or WORKSPACE, name)
    if trained.commit and trained.names:
        revision = replace(revision, name=trained.names[0])
    record = read_without_predictions(repo, history, revision, name)
    return _Model(trained, revision, record, read_intervals(repo, revision, name) if record.current else {})


def _changes(first: _Model, other: _Model, name: str) -> RunChanges:
    before, after = (_making(model.revision, name) for model in (first, other))
    return find_changes(before, after, name, [first.record.found, other.record.found])


def _making(revision: Revision, name: str) -> Mapping[str, LockedStage]:
    """The stages that a model comes of, as they were run; not those that judge it, which may be another model's."""
    return needed([f"train@{name}"], computing(revision.stages))


def _metric(models: Sequence[_Model], name: str, asked: str | None) -> str:
    """The metric to rank by: the one asked for, or that of the first model's settings."""
    task = models[0].record.task
    scored = {str(key) for model in models if model.record.folds for key in model.record.folds.scores["metric"]}
    own = sorted(scored - METRICS[task].keys())
    if asked is not None:
        return find_metric(asked, task, "--metric", own)
    settings = models[0].revision.params.get("problems", {}).get(name) or {}
    given = str((settings.get("tune") or {}).get("metric", "auto"))
    if given != "auto":
        return find_metric(given, task, f"problems.{name}.tune.metric", own)
    return suited_metric(task, [_complete(model.record.folds) for model in models if model.record.folds])


def suited_metric(task: Task, scored: Sequence[Collection[str]]) -> str:
    """The metric to rank models by; ``scored``: the metrics that each of them has."""
    most = (name for name in SUITED[task] if 2 * sum(name in metrics for metrics in scored) > len(scored))
    return next(most, AUTO[task])


def _complete(folds: Folds) -> set[str]:
    """The metrics that every fold has."""
    by_metric = folds.scores.groupby("metric")["value"]
    return {str(name) for name, values in by_metric if values.notna().all()}


def _why_unranked(record: Evaluated, judge: Evaluated | None, metric: str) -> str | None:
    """Why a model has no place among those that were cross-validated as ``judge`` was; None if it has one."""
    folds = record.folds
    if folds is None:
        return "no cross-validation"
    if not folds.current:
        return "out of date"
    assert judge is not None
    assert judge.folds is not None
    if (record.task, record.target) != (judge.task, judge.target):
        return "another target"
    if folds.made_from != judge.folds.made_from:
        return "other folds"
    if metric_of(metric).averaged and folds.average != judge.folds.average:
        return f"averaged as {folds.average}"
    values = folds.scores.loc[folds.scores["metric"] == metric, "value"]
    return f"no {metric} in every fold" if values.empty or values.isna().any() else None


def _cross_validation(record: Evaluated, metric: str) -> Interval | None:
    """The mean of a metric over the folds of its own training, with the interval of the corrected resampled t-test
    (significance.py), cut at the metric's bounds; without one where the folds are consecutive in time."""
    if record.folds is None or not record.folds.current:
        return None
    folds = record.folds.scores[record.folds.scores["metric"] == metric]
    values = folds["value"].to_numpy()
    if len(values) < 2 or np.isnan(values).any():
        return None
    found = corrected_t_test(values, folds["n_train"].to_numpy(), folds["n_test"].to_numpy())
    if found.interval is None or record.in_time:
        return Interval(found.difference, None, None)
    low, high = np.clip(found.interval, *_bounds(metric))
    return Interval(found.difference, float(low), float(high))


def _bounds(metric: str) -> tuple[float, float]:
    """The least and the greatest value that a metric can have."""
    known = ALL.get(metric)
    if known is None:
        return -np.inf, np.inf
    return 0.0 if known.lower_is_better or metric in METRICS["classification"] else -np.inf, (
        np.inf if known.lower_is_better else 1.0
    )


def _value(interval: Interval | None) -> float:
    assert interval is not None
    assert interval.value is not None
    return interval.value


def _compare(repo: Repository, name: str, models: Sequence[_Model], board: Leaderboard) -> Leaderboard:
    """Compare the others with the best by cross-validation on the test rows: one metric, whose p-values are corrected
    for the number of pairs by Holm's method."""
    entries, messages = list(board.entries), dict[str, None]()
    readable = dict[int, Evaluated]()
    best = None
    for index, model in enumerate(models[:MOST_PAIRS]):
        why = None if model.record.current else NOT_EVALUATED
        if model.record.current:
            try:
                readable[index] = replace(model.record, predictions=read_predictions(repo, model.revision, name))
            except LockstepError as error:
                why = NOT_HERE
                messages[str(error)] = None
        if best is None and why is None and entries[index].place is not None:
            best = index
            entries[index] = msgspec.structs.replace(entries[index], is_best=True)
        elif why is not None:
            entries[index] = msgspec.structs.replace(entries[index], verdict=NOT_COMPARABLE, why=why)
    if best is None:
        return msgspec.structs.replace(board, entries=tuple(entries), messages=tuple(messages))
    tested = dict[int, tuple[RowsMetric, Verdict | None]]()
    for index, other in readable.items():
        if index != best:
            found = _test(readable[best], other, board.metric)
            if isinstance(found, str):
                entries[index] = msgspec.structs.replace(entries[index], verdict=NOT_COMPARABLE, why=found)
            else:
                tested[index] = found
    p_values = [float(item.p) for item, _ in tested.values() if item.p is not None]
    for (index, (item, folds)), p_holm in zip(tested.items(), holm(p_values), strict=True):
        verdict = verdict_of(board.metric, item.difference, p_holm)
        judged = unless_contradicted(msgspec.structs.replace(item, p_holm=p_holm, verdict=verdict), folds)
        entries[index] = msgspec.structs.replace(
            entries[index], verdict=judged.verdict, p=item.p, p_holm=p_holm, why=judged.why,
            is_best=judged.verdict == NO_DIFFERENCE,
        )  # fmt: skip
    return msgspec.structs.replace(
        board, entries=tuple(entries), compared_with=entries[best].place, pairs=len(tested), messages=tuple(messages)
    )


def _test(best: Evaluated, other: Evaluated, metric: str) -> tuple[RowsMetric, Verdict | None] | str:
    """Test one metric of two models on the same test rows, with the verdict of the folds where it counts; or say why it
    cannot be tested."""
    found = compare_models(best, other)
    if isinstance(found.test_rows, AnotherTarget):
        return "another target"
    if not isinstance(found.test_rows, RowsComparison) or not found.test_rows.rows.same:
        return OTHER_ROWS
    item = next((item for item in found.test_rows.metrics if item.metric == metric), None)
    if item is None or item.p is None:
        return f"{metric} cannot be compared"
    folds = found.cross_validation
    contrary = (
        {one.metric: one.verdict for one in folds.metrics}
        if isinstance(folds, FoldsComparison) and not folds.tuned
        else {}
    )
    return item, contrary.get(metric)
