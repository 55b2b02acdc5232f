"""Cross-validation of the whole pipeline: preprocessor and estimator are refitted in every fold.

The stage ``cross_validate`` scores the model's settings with it, the stage ``tune`` those that it tries.
"""

from typing import Annotated, NamedTuple

from lockstep.kernel.errors import DataError, SettingsError
from lockstep.kernel.log import logger
from lockstep.kernel.settings import Seed, Settings
from lockstep.learning.estimators import TrainSettings, build_estimator, check_classes, fit_estimator
from lockstep.learning.model_types import model_type
from lockstep.learning.preprocessing import PreprocessSettings, fit_preprocessor
from lockstep.learning.scoring import Average, metrics_of, predict
from lockstep.tables.table import Table

import joblib
import msgspec
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import (
    GroupKFold,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    StratifiedGroupKFold,
    TimeSeriesSplit,
)
from tqdm import tqdm

Fold = tuple[np.ndarray, np.ndarray]
"""Positions of the rows that are fitted on, and of those that are scored."""


class CrossValidateSettings(Settings, frozen=True):
    """The section ``cross_validate``; what each key means stands in params.yaml."""

    folds: Annotated[int, msgspec.Meta(ge=2)] = 5
    repeats: Annotated[int, msgspec.Meta(ge=1)] = 1
    seed: Seed = 42
    average: Average = "macro"


class FoldScores(NamedTuple):
    """The metrics of one fold, computed on ``n_test`` rows by a pipeline fitted on ``n_train`` others."""

    repeat: int
    fold: int
    n_train: int
    n_test: int
    metrics: dict[str, float]


def make_folds(train: Table, settings: CrossValidateSettings) -> list[Fold]:
    """The folds, repeat after repeat.

    They are made as the split was: by time (each fold is scored by a model of earlier rows only), by group, else
    stratified by class, else at random.

    Raises:
        DataError: fewer rows, groups or moments than folds.
        SettingsError: repeats of folds by time.
    """
    n_folds, n_repeats, seed = settings.folds, settings.repeats, settings.seed
    labels = train.labels
    classes, counts = np.unique(labels, return_counts=True)
    rare = train.task == "classification" and counts.min() < n_folds
    if len(train) < 2 * n_folds:
        raise DataError(f"{len(train)} training rows are too few for {n_folds} folds. Lower cross_validate.folds.")
    if rare:
        logger.warning(
            "class %s has %d training rows, fewer than the %d folds: not every fold has it. Lower "
            "cross_validate.folds to have "
            "folds stratified", classes[counts.argmin()], counts.min(), n_folds,
        )  # fmt: skip
    if train.time is not None:
        if n_repeats > 1:
            raise SettingsError(
                "cross_validate.repeats must be 1 with split.time: rows in order of time cannot be shuffled."
            )
        # Over the moments, not the rows: one moment is never cut in two.
        moments, moment_of_row = np.unique(train.time_stamps, return_inverse=True)
        if len(moments) <= n_folds:
            raise DataError(f"{len(moments)} moments of '{train.time}' are too few for {n_folds} folds. Lower them.")
        return [
            (np.flatnonzero(np.isin(moment_of_row, before)), np.flatnonzero(np.isin(moment_of_row, after)))
            for before, after in TimeSeriesSplit(n_folds).split(moments)
        ]
    if train.group is not None:
        groups = train.frame[train.group]
        if groups.nunique() < n_folds:
            raise DataError(
                f"{groups.nunique()} groups of '{train.group}' are too few for {n_folds} folds. Lower "
                "cross_validate.folds."
            )
        splitter = GroupKFold if train.task == "regression" or rare else StratifiedGroupKFold
        return [
            fold
            for repeat in range(n_repeats)
            for fold in splitter(n_folds, shuffle=True, random_state=(seed + repeat) % 2**32).split(
                train.frame, labels, groups
            )
        ]
    splitter = RepeatedKFold if train.task == "regression" or rare else RepeatedStratifiedKFold
    return list(splitter(n_splits=n_folds, n_repeats=n_repeats, random_state=seed).split(train.frame, labels))


def fit_fold(
    train: Table, fitted_on: np.ndarray, preprocess: PreprocessSettings, model: TrainSettings, n_jobs: int
) -> tuple[ColumnTransformer, BaseEstimator]:
    """The whole pipeline, fitted on the rows of ``train`` at the positions ``fitted_on``: preprocessor and estimator.

    Args:
        train: the raw training rows.
        fitted_on: (n_fitted,), from 0.
        preprocess: the section ``preprocess``.
        model: the section ``train``.
        n_jobs: threads of the estimator.

    Raises:
        DataError: rows that scikit-learn cannot fit.
        SettingsError: see build_estimator.
    """
    rows = train.rows(fitted_on)
    preprocessor, encoded = fit_preprocessor(rows, preprocess, model_type(model.model).scale_free, report=False)
    estimator = build_estimator(model, train.task)
    fit_estimator(estimator, encoded.to_numpy(), rows.labels, model, n_jobs=n_jobs)
    return preprocessor, estimator


def cross_validate(
    train: Table,
    settings: CrossValidateSettings,
    preprocess: PreprocessSettings,
    model: TrainSettings,
    folds: list[Fold] | None = None,
    *,
    progress: bool = True,
) -> list[FoldScores]:
    """Refit preprocessor and estimator on the rows outside each fold, and score them on the fold's rows.

    Args:
        train: the raw training rows.
        settings: the section ``cross_validate``.
        preprocess: the section ``preprocess``.
        model: the section ``train``.
        folds: what make_folds gives for the same rows and settings; None to make them.
        progress: whether to show how many folds are done, where a person is watching.

    Raises:
        DataError: rows that scikit-learn cannot fit, or of one class; see make_folds.
        SettingsError: see make_folds and build_estimator.
    """
    build_estimator(model, train.task)  # a wrong setting is an error before the first fold, not in a worker
    folds = make_folds(train, settings) if folds is None else folds

    def score(fitted_on: np.ndarray, scored_on: np.ndarray) -> dict[str, float]:
        inside, outside = train.rows(scored_on), train.rows(fitted_on)
        check_classes(outside, f"the training rows of a fold that is scored on {len(inside)} rows")
        preprocessor, estimator = fit_fold(train, fitted_on, preprocess, model, n_jobs=1)
        predictions = predict(estimator, preprocessor.transform(inside.features), train.task)
        return metrics_of(inside.labels, predictions, train.task, settings.average)

    jobs = (joblib.delayed(score)(fitted_on, scored_on) for fitted_on, scored_on in folds)
    # Threads: scikit-learn's fits release the lock, nothing is copied, and no worker has to import scikit-learn again.
    results = joblib.Parallel(n_jobs=-1, prefer="threads", return_as="generator")(jobs)
    scores = list(
        tqdm(results, total=len(folds), desc="folds", unit="fold", disable=None if progress else True, leave=False)
    )
    return [
        FoldScores(
            number // settings.folds + 1,
            number % settings.folds + 1,
            len(folds[number][0]),
            len(folds[number][1]),
            metrics,
        )
        for number, metrics in enumerate(scores)
    ]


def summary(scores: list[FoldScores]) -> dict[str, float]:
    """Mean and standard deviation (n - 1) over the folds of each metric that every fold has."""
    names = [name for name in scores[0].metrics if all(name in fold.metrics for fold in scores)]
    values = {name: np.array([fold.metrics[name] for fold in scores]) for name in names}
    return {
        f"{name}_{statistic}": float(number)
        for name in names
        for statistic, number in (("mean", values[name].mean()), ("std", values[name].std(ddof=1)))
    }
