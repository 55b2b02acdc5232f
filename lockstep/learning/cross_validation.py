"""Cross-validation of the whole pipeline: preprocessor and estimator are refitted in every fold.

A fold is fitted in two steps, and scored in two:

    encode_fitted   the rows that it is fitted on → preprocessor, EncodedRows
    fit_encoded     EncodedRows, an unfitted estimator → a fitted one
    encode_rows     the rows that it is scored on → EncodedRows
    score_encoded   EncodedRows → metrics

``fit_fold`` and ``score_fold`` take both steps at once, for whoever fits some rows once (the stage ``diagnose``). The
stage ``tune`` keeps the encoded rows, and repeats the second steps for each of its trials.
"""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple

from lockstep.kernel.errors import DataError, Message, Setting, SettingsError, plural
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.settings import Seed, Settings, Task
from lockstep.learning.computing.kept_results import KeptResults
from lockstep.learning.computing.workers import workers
from lockstep.learning.estimators import (
    EncodedRows,
    Fold,
    TrainSettings,
    build_estimator,
    check_classes,
    fit_estimator,
    make_estimator,
)
from lockstep.learning.model_types import VOTING, model_type
from lockstep.learning.own_features import OwnFeatures
from lockstep.learning.own_metrics import make_scorers
from lockstep.learning.preprocessing import Preprocessor, PreprocessSettings, categories_of, fit_preprocessor
from lockstep.learning.scoring import (
    WEIGHT,
    Average,
    Scorer,
    decision_columns,
    metrics_of,
    predict,
    prediction_columns,
)
from lockstep.learning.voting import read_voting
from lockstep.tables.memory import SHARE, memory_limit
from lockstep.tables.table import Table, column_type

import joblib
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.base import BaseEstimator
from sklearn.model_selection import (
    GroupKFold,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    TimeSeriesSplit,
)

_FOLDS, _REPEATS = Setting("cross_validate.folds"), Setting("cross_validate.repeats")
COPIES, TEXT_COPIES = 2, 7
"""Each fold holds copies of its rows, which take so many times what numbers, and what texts, take in the table: 1.8 and
6.3 times were measured (LightGBM, five folds; 40 columns of numbers, five of short texts), and 15 times of texts that
are encoded one-hot, 200 levels each. Those of all folds take at most a part, one of SHARE, of all memory."""
ROUNDING = 1e-12
"""Values that differ by a smaller share of their mean are the same, computed in another order."""


class CrossValidateSettings(Settings, frozen=True):
    """The section ``cross_validate``; what each key means stands in params.yaml."""

    folds: Annotated[int, msgspec.Meta(ge=2)] = 5
    repeats: Annotated[int, msgspec.Meta(ge=1)] = 1
    seed: Seed = 42
    former = MappingProxyType(
        {"average": "evaluate.average holds for the test rows and for the folds: remove the line, and set that one."}
    )


class Averaging(Settings, frozen=True):
    """The keys of ``evaluate`` that the stages ``tune`` and ``cross_validate`` need: folds and test rows are scored
    alike. DVC tracks them by name, so that both must be there: Averaged."""

    average: Average
    metrics: tuple[str, ...] = ()


class Averaged(Averaging, frozen=True):
    """The same, none of them left out."""

    metrics: tuple[str, ...]


class FoldScores(NamedTuple):
    """The metrics of one fold, computed on ``n_test`` rows by a pipeline fitted on ``n_train`` others.

    Attributes:
        predictions: (n_test, ...): repeat, fold, row (its number in the raw data), actual and, where rows have them,
            WEIGHT; then the columns of ``prediction_columns`` and, if the model is to be calibrated, of
            ``decision_columns``.
    """

    repeat: int
    fold: int
    n_train: int
    n_test: int
    metrics: dict[str, float]
    predictions: pd.DataFrame


class PipelineSettings(NamedTuple):
    """How preprocessor and estimator are fitted.

    Attributes:
        preprocess: the section ``preprocess``.
        model: the section ``train``.
        features: the user's own, or None.
    """

    preprocess: PreprocessSettings
    model: TrainSettings
    features: OwnFeatures | None = None


def make_folds(train: Table, settings: CrossValidateSettings, *, log: bool = True) -> list[Fold]:
    """Cut the training rows into folds, repeat after repeat.

    They are made as the split was: by time (each fold is scored by a model of earlier rows only), by group, else
    stratified by class, else at random.

    Args:
        train: the raw training rows.
        settings: the section ``cross_validate``.
        log: whether to warn of a class of fewer rows than folds.

    Raises:
        DataError: fewer rows, groups or time stamps than folds.
        SettingsError: repeats of folds by time.
    """
    if len(train) < 2 * settings.folds:
        raise _too_few(len(train), "training row", "", settings)
    stratified = train.task == "classification" and not _has_rare_class(train, settings.folds, log=log)
    if train.time is not None:
        return _folds_by_time(train, settings)
    if train.group is not None:
        return _folds_by_group(train, settings, StratifiedGroupKFold if stratified else GroupKFold)
    splitter = (RepeatedStratifiedKFold if stratified else RepeatedKFold)(
        n_splits=settings.folds, n_repeats=settings.repeats, random_state=settings.seed
    )
    return list(splitter.split(train.frame, train.labels))


def _too_few(count: int, noun: str, of_what: str, settings: CrossValidateSettings) -> DataError:
    are = "is" if count == 1 else "are"
    return DataError(f"{plural(count, noun)}{of_what} {are} too few for {settings.folds} folds. Lower ", _FOLDS, ".")


def _has_rare_class(train: Table, n_folds: int, *, log: bool) -> bool:
    """Whether a class has fewer rows than there are folds, which is warned of."""
    classes, counts = np.unique(train.labels, return_counts=True)
    if counts.min() >= n_folds:
        return False
    if log:
        rows = plural(counts.min(), "training row")
        rare = f"class {classes[counts.argmin()]} has {rows}, fewer than the {n_folds} folds: not every fold has it"
        can_be_stratified = counts.min() > 1 and train.time is None
        way_out = (". Lower ", _FOLDS, " to have folds stratified") if can_be_stratified else ()
        logger.warning(Message(rare, *way_out))
    return True


def _folds_by_time(train: Table, settings: CrossValidateSettings) -> list[Fold]:
    if settings.repeats > 1:
        shuffled = ": rows in order of time cannot be shuffled."
        raise SettingsError(_REPEATS, " must be 1 with ", Setting("split.time"), shuffled)
    # Over the time stamps, not the rows: rows of the same time are never separated.
    stamps, stamp_of_row = np.unique(train.time_stamps, return_inverse=True)
    if len(stamps) <= settings.folds:
        raise _too_few(len(stamps), "different value", f" of '{train.time}'", settings)
    return [
        (np.flatnonzero(np.isin(stamp_of_row, before)), np.flatnonzero(np.isin(stamp_of_row, after)))
        for before, after in TimeSeriesSplit(settings.folds).split(stamps)
    ]


def _folds_by_group(
    train: Table, settings: CrossValidateSettings, splitter: type[GroupKFold | StratifiedGroupKFold]
) -> list[Fold]:
    groups = train.frame[train.group]
    if groups.nunique() < settings.folds:
        raise _too_few(groups.nunique(), "group", f" of '{train.group}'", settings)
    seeds = [(settings.seed + repeat) % 2**32 for repeat in range(settings.repeats)]
    return [
        fold
        for seed in seeds
        for fold in splitter(settings.folds, shuffle=True, random_state=seed).split(train.frame, train.labels, groups)
    ]


def inner_folds(rows: Table, model: TrainSettings) -> list[Fold]:
    """Folds of the rows that a vote is fitted on, for its weights; cut as make_folds does, fewer where there are too
    few rows, groups or time stamps. None for other model types, or where there are too few for two."""
    if model.model != VOTING:
        return []
    most = [read_voting(model.hyperparameters, "train.hyperparameters").folds, len(rows) // 2]
    if rows.time is not None:
        most.append(len(np.unique(rows.time_stamps)) - 1)
    elif rows.group is not None:
        most.append(rows.frame[rows.group].nunique())
    folds = min(most)
    return make_folds(rows, CrossValidateSettings(folds=folds, seed=model.seed), log=False) if folds > 1 else []


def encode_fitted(train: Table, fitted_on: np.ndarray, pipeline: PipelineSettings) -> tuple[Preprocessor, EncodedRows]:
    """Fit a preprocessor on the rows at the positions ``fitted_on``, and encode them; see fit_preprocessor.

    Raises:
        DataError: rows of one class, or without a feature to learn from.
    """
    preprocess, model, features = pipeline
    rows = train.rows(fitted_on)
    check_classes(rows, f"the {len(rows)} training rows that a fold is fitted on")
    folds = inner_folds(rows, model)
    copied = len(rows) < len(train)  # pandas copies no cells for all rows in their order
    preprocessor, encoded = fit_preprocessor(
        rows, preprocess, model.model, features=features, log=False, overwrite=copied
    )
    y, weights = rows.labels, rows.weights
    del rows  # as large as the encoded ones
    X = encoded.to_numpy(dtype=model_type(model.model).precision)
    return preprocessor, EncodedRows(X, y, categories_of(preprocessor), weights, folds)


def encode_rows(train: Table, positions: np.ndarray, preprocessor: Preprocessor) -> EncodedRows:
    """Encode the rows at ``positions`` by a preprocessor that was fitted on others."""
    rows = train.rows(positions)
    encoded = preprocessor.transform(rows.features)
    return EncodedRows(encoded, rows.labels, categories_of(preprocessor), rows.weights)


def fit_encoded(rows: EncodedRows, unfitted: BaseEstimator, model: TrainSettings, n_jobs: int) -> BaseEstimator:
    """Fit a copy of the estimator that ``model`` describes on encoded rows: it is built, and its settings are tried,
    once for all folds. Raises as fit_estimator."""
    estimator = copy.deepcopy(unfitted)
    fit_estimator(estimator, rows, model, n_jobs)
    return estimator


def score_encoded(
    estimator: BaseEstimator,
    rows: EncodedRows,
    task: Task,
    average: Average,
    positive: Any = None,
    own: Sequence[Scorer] = (),
) -> dict[str, float]:
    """Compute the metrics of the estimator's predictions of encoded rows. Raises as predict and metrics_of."""
    return metrics_of(rows.y, predict(estimator, rows.X, task, positive), task, average, own, rows.weights)


def fit_fold(
    train: Table, fitted_on: np.ndarray, pipeline: PipelineSettings, n_jobs: int
) -> tuple[Preprocessor, BaseEstimator]:
    """Fit preprocessor and estimator on some of the training rows.

    Args:
        train: the raw training rows.
        fitted_on: the positions (0-based) of those that are fitted on.
        pipeline: what is fitted.
        n_jobs: threads of the estimator's fit; see fit_estimator.

    Raises:
        DataError: rows that scikit-learn cannot fit, or of one class.
        SettingsError: see build_estimator.
    """
    preprocessor, rows = encode_fitted(train, fitted_on, pipeline)
    return preprocessor, fit_encoded(rows, build_estimator(pipeline.model, train.task), pipeline.model, n_jobs)


def score_fold(
    train: Table, scored_on: np.ndarray, preprocessor: Preprocessor, estimator: BaseEstimator, average: Average
) -> dict[str, float]:
    """Compute the metrics of what fit_fold gave, on the training rows at the positions ``scored_on``.

    Raises:
        DataError: rows that scikit-learn cannot predict.
        SettingsError: see metrics_of.
    """
    return score_encoded(estimator, encode_rows(train, scored_on, preprocessor), train.task, average, train.positive)


def cross_validate(
    train: Table,
    settings: CrossValidateSettings,
    pipeline: PipelineSettings,
    average: Average = "macro",
    metrics: Sequence[str] = (),
    kept: KeptResults | None = None,
) -> list[FoldScores]:
    """Refit preprocessor and estimator on the rows outside each fold, and score them on the fold's rows.

    Args:
        train: the raw training rows.
        settings: the section ``cross_validate``.
        pipeline: what is refitted.
        average: of precision, recall and F1 over the classes; of no effect in a regression.
        metrics: the names of those beside the built-in ones.
        kept: the folds of a run that was interrupted, and where to keep those of this one.

    Raises:
        DataError: see encode_fitted, fit_encoded, predict and make_folds.
        SettingsError: see make_folds, build_estimator, make_scorers and metrics_of.
        MachineError: see workers.
    """
    # A wrong setting is an error before the first fold, not in a worker.
    build_estimator(pipeline.model, train.task)
    make_scorers(metrics, train.task, weighted=train.weight is not None)
    folds = make_folds(train, settings)
    scores = {} if kept is None else {int(name): _unpacked(found) for name, found in kept.found.items()}
    if scores:
        logger.info("%d of %d folds are from the run that was interrupted", len(scores), len(folds))
    with (
        heartbeat(f"cross-validation on {len(train)} rows", len(folds), "folds") as progress,
        workers(_at_once(train)) as able,
    ):
        progress.advance(len(scores), found=True)

        def arrived(fold: FoldScores) -> None:
            progress.advance()
            if kept is not None:
                kept.keep(str(_number(fold, settings)), partial(_packed, fold))

        # The table without what it has computed of itself, which would be sent with it.
        work = _Work(replace(train), settings.folds, pipeline, average, tuple(metrics))
        todo = [numbered for numbered in enumerate(folds) if numbered[0] not in scores]
        scores |= {_number(fold, settings): fold for fold in able.each(_score, able.share(work), todo, arrived)}
    return [scores[number] for number in range(len(folds))]


def _at_once(train: Table) -> int:
    """How many folds are computed at a time: one for each processor, as far as the memory has room for their copies."""
    sizes = train.frame.memory_usage(index=False)
    copies = [TEXT_COPIES if column_type(train.frame[name]) == "text" else COPIES for name in train.frame]
    most = int(memory_limit() / SHARE / (sizes * copies).sum())
    return max(1, min(int(joblib.cpu_count()), most))


def _number(fold: FoldScores, settings: CrossValidateSettings) -> int:
    """The place of a fold among all, from 0."""
    return (fold.repeat - 1) * settings.folds + fold.fold - 1


def _packed(fold: FoldScores) -> bytes:
    """A fold as a parquet file of its predictions, with the rest in its metadata; floats to the bit."""
    types = {name: str(kind) for name, kind in fold.predictions.dtypes.items()}
    about = {**fold._asdict(), "predictions": types}
    table = pa.Table.from_pandas(fold.predictions, preserve_index=False)
    buffer = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata({"lockstep": json.dumps(about)}), buffer, compression="zstd")
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def _unpacked(content: bytes) -> FoldScores:
    """The fold that _packed was given."""
    table = pq.read_table(pa.BufferReader(content))
    about = json.loads(table.schema.metadata[b"lockstep"])
    predictions = table.replace_schema_metadata().to_pandas().astype(about["predictions"])
    return FoldScores(**{**about, "predictions": predictions})


class _Work(NamedTuple):
    """What all folds have in common; metrics beside the built-in ones by their names."""

    train: Table
    folds: int
    pipeline: PipelineSettings
    average: Average
    metrics: tuple[str, ...]


def _score(work: _Work, numbered: tuple[int, Fold], n_jobs: int) -> FoldScores:
    """Fit and score one fold."""
    train, model, (number, (fitted_on, scored_on)) = work.train, work.pipeline.model, numbered
    repeat, fold = number // work.folds + 1, number % work.folds + 1
    preprocessor, fitted = encode_fitted(train, fitted_on, work.pipeline)
    estimator = fit_encoded(fitted, make_estimator(model, train.task), model, n_jobs)
    del fitted  # as large as the table
    rows = encode_rows(train, scored_on, preprocessor)
    found = predict(estimator, rows.X, train.task, train.positive)
    own = make_scorers(work.metrics, train.task, weighted=train.weight is not None)
    metrics = metrics_of(rows.y, found, train.task, work.average, own, rows.weights)
    about = {"repeat": repeat, "fold": fold, "row": train.frame.index[scored_on], "actual": rows.y}
    about |= {} if rows.weights is None else {WEIGHT: rows.weights}
    outputs = decision_columns(estimator, rows.X) if model.calibrate != "none" else {}
    predictions = pd.DataFrame({**about, **prediction_columns(found), **outputs})
    return FoldScores(repeat, fold, len(fitted_on), len(scored_on), metrics, predictions)


def out_of_fold(scores: Sequence[FoldScores]) -> pd.DataFrame:
    """What was predicted for each row by models that had not seen it, the folds' predictions one below the other; see
    FoldScores. A probability is missing where the fold's model has not seen a row of that class."""
    return pd.concat([fold.predictions for fold in scores], ignore_index=True)


def fold_summary(scores: Sequence[FoldScores]) -> dict[str, float]:
    """Summarise the folds: mean and standard deviation (n - 1) of each metric that every fold has."""
    names = [name for name in scores[0].metrics if all(name in fold.metrics for fold in scores)]
    found = {name: mean_and_std([fold.metrics[name] for fold in scores]) for name in names}
    return {
        f"{name}_{statistic}": number
        for name in names
        for statistic, number in zip(("mean", "std"), found[name], strict=True)
    }


def mean_and_std(values: Sequence[float]) -> tuple[float, float]:
    """Compute the mean of the folds' values, and their standard deviation (n - 1), 0 where it is rounding alone."""
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1))
    return mean, std if std > ROUNDING * abs(mean) else 0.0
