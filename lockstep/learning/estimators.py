"""How an estimator of each model type is built from the settings, and fitted."""

import inspect
from typing import Annotated, Any, Literal

from lockstep.kernel.errors import DataError, Setting, SettingsError, nearest
from lockstep.kernel.log import logger
from lockstep.kernel.settings import Seed, Settings, Task
from lockstep.learning.model_file import ModelFile
from lockstep.learning.model_types import KINDS, MODELS, model_type
from lockstep.learning.refusals import refusals_of
from lockstep.learning.search_result import BestTrial
from lockstep.tables.table import Table

import msgspec
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_sample_weight

_OWN_SETTINGS = {"random_state": "train.seed", "class_weight": "train.class_weight"}
_NOT_SETTINGS = {
    "n_jobs": "all processors are used, and it changes no result",
    "verbose": "the log says how long a fit takes",
    "warm_start": "every fit is from scratch",
}


DEFAULT_THRESHOLD = 0.5
"""Leaves the decision to the model, which names the most probable class."""


class Costs(Settings, frozen=True):
    """What a row costs that is given the positive class wrongly, or wrongly not; in any unit."""

    false_positive: Annotated[float, msgspec.Meta(gt=0)]
    false_negative: Annotated[float, msgspec.Meta(gt=0)]


class TrainSettings(ModelFile, frozen=True):
    """The section ``train``; what each key means stands in params.yaml."""

    seed: Seed = 42
    class_weight: Literal["balanced"] | None = None
    hyperparameters: dict[str, Any] = msgspec.field(default_factory=dict)
    calibrate: Literal["none", "sigmoid", "isotonic"] = "none"
    threshold: (
        Annotated[float, msgspec.Meta(gt=0, lt=1)] | Literal["accuracy", "balanced_accuracy", "f1_score", "cost"]
    ) = DEFAULT_THRESHOLD
    costs: Costs | None = None
    interval_level: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.9


def with_best_trial(settings: TrainSettings, best: BestTrial | None) -> TrainSettings:
    """Put the best trial's hyperparameters in place of, or beside, those of the section ``train``."""
    if best is None or not best.hyperparameters:
        return settings
    logger.info("hyperparameters that the search chose: %s", best.hyperparameters)
    return msgspec.structs.replace(settings, hyperparameters={**settings.hyperparameters, **best.hyperparameters})


def build_estimator(settings: TrainSettings, task: Task, where: str = "train.hyperparameters") -> BaseEstimator:
    """Build the unfitted estimator that the settings describe.

    Args:
        settings: the section ``train``.
        task: of the problem.
        where: the setting that the hyperparameters come from, for messages.

    Raises:
        SettingsError: an unknown model type, one that cannot do the task, a kind that contradicts the task, an unknown
            hyperparameter.
    """
    kinds = model_type(settings.model).estimators
    if task not in kinds:
        able = [name for name, entry in MODELS.items() if task in entry.estimators]
        raise SettingsError(
            Setting("train.model"), f": '{settings.model}' cannot do {task}. Those that can: {', '.join(able)}."
        )
    if settings.kind != KINDS[task]:
        raise SettingsError(f"train.kind is {settings.kind}, but load.task is {task}. Set train.kind to {KINDS[task]}.")
    if settings.class_weight is not None and task == "regression":
        raise SettingsError("train.class_weight is for classification. Set it to null.")
    _check_decision(settings, task)
    estimator = kinds[task]
    known = set(inspect.signature(estimator).parameters) - set(_NOT_SETTINGS)
    for name in settings.hyperparameters:
        if name in _OWN_SETTINGS and name in known:
            raise SettingsError(f"{where}.{name} has a setting of its own: set {_OWN_SETTINGS[name]}.")
        if name in _NOT_SETTINGS:
            raise SettingsError(f"{where}.{name} cannot be set: {_NOT_SETTINGS[name]}. Remove it.")
        if name not in known:
            near = nearest(name, sorted(known - set(_OWN_SETTINGS)))
            raise SettingsError(
                f"{where}.{name} is not a hyperparameter of {estimator.__name__}. Allowed, nearest "
                f"first: {', '.join(near)}."
            )
    own: dict[str, Any] = {}
    if "random_state" in known:
        own["random_state"] = settings.seed
    if settings.class_weight is not None and "class_weight" in known:
        own["class_weight"] = settings.class_weight
    built = estimator(**settings.hyperparameters, **own)
    try:
        built._validate_params()
    except ValueError as error:
        raise SettingsError(f"{where}: {error}") from None
    return built


def _check_decision(settings: TrainSettings, task: Task) -> None:
    """Raise SettingsError for settings of what is decided after the fit that contradict the task, or each other."""
    if task == "regression":
        for name, value in {"calibrate": "none", "threshold": DEFAULT_THRESHOLD, "costs": None}.items():
            if getattr(settings, name) != value:
                raise SettingsError(f"train.{name} is for classification. Set it to {value or 'null'}.")
    if settings.threshold == "cost" and settings.costs is None:
        raise SettingsError(
            "train.threshold is cost, but train.costs says none. Set it, for instance to {false_positive: 1, "
            "false_negative: 12}."
        )


def check_classes(table: Table, what: str) -> None:
    """Raise DataError if ``what``, the rows of ``table``, are of one class only."""
    if table.task == "classification" and len(np.unique(table.labels)) == 1:
        raise DataError(
            f"{what} are all of the class {table.labels[0]!r}: there is nothing to learn from them. Change the "
            "settings of split (time, group, seed) or lower cross_validate.folds."
        )


def fit_estimator(estimator: BaseEstimator, X: np.ndarray, y: np.ndarray, settings: TrainSettings, n_jobs: int) -> None:
    """Fit ``estimator`` in place with ``n_jobs`` threads (-1: as many as there are processors); it keeps no trace of
    them.

    ``class_weight: balanced`` weighs each row by n_rows / (n_classes * rows of its class) (King and Zeng 2001, as in
    scikit-learn's ``compute_class_weight``): through the estimator's own argument, else as weights of the rows, else,
    for k_neighbors, which knows no weights, by drawing the rows of rarer classes anew until all classes have as many.

    Args:
        X: (n_rows, n_encoded) float64.
        y: (n_rows,).

    Raises:
        DataError: what scikit-learn says of rows that it cannot fit.
    """
    weights = {}
    if settings.class_weight is not None and "class_weight" not in estimator.get_params(deep=False):
        if "sample_weight" in inspect.signature(estimator.fit).parameters:
            weights["sample_weight"] = compute_sample_weight(settings.class_weight, y)
        else:
            rows = _oversampled(y, settings.seed)
            X, y = X[rows], y[rows]
    parallel = "n_jobs" in estimator.get_params(deep=False) and not isinstance(estimator, LogisticRegression)
    if parallel:
        estimator.set_params(n_jobs=n_jobs)
    try:
        with refusals_of(estimator, "fit"):
            estimator.fit(X, y, **weights)
    finally:
        if parallel:
            estimator.set_params(n_jobs=None)
    # Histogram boosting remembers how many threads fitted it: of no effect on what it predicts, but on its bytes.
    if hasattr(estimator, "_bin_mapper"):
        estimator._bin_mapper.n_threads = 1


def _oversampled(y: np.ndarray, seed: int) -> np.ndarray:
    """Row numbers, (n_classes * largest class,), in which every class stands as often as the largest one."""
    random = np.random.default_rng(seed)
    classes, counts = np.unique(y, return_counts=True)
    extra = [
        random.choice(np.flatnonzero(y == name), size=counts.max() - count)
        for name, count in zip(classes, counts, strict=True)
    ]
    return np.sort(np.concatenate([np.arange(len(y)), *extra]))
