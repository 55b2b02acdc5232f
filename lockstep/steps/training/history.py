"""The training history: how the loss fell while a model was fitted."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from lockstep.kernel.log import counted, counting
from lockstep.kernel.portable import fixed_threads
from lockstep.kernel.settings import Task
from lockstep.learning.refusals import refusals_of
from lockstep.learning.scoring import log_losses
from lockstep.learning.voting import member_of

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

HISTORY_COLUMNS = ("iteration", "part", "loss")
_MAX_ROWS = 20_000
"""Losses are computed on at most so many rows of a part, evenly spaced."""
MAX_ITERATIONS, MAX_PREFIXES = 500, 50
"""At most so many iterations are recorded, evenly spaced, the last one among them; fewer where the first trees of a
model predict anew for each of them."""

_FORESTS = (ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor)
HistoryRow = tuple[int, str, float]


class Part(NamedTuple):
    """Encoded rows whose loss is looked at: X (n_rows, n_encoded), y (n_rows,), and how much each row counts, (n_rows,)
    or None."""

    X: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None = None


def history_of(estimator: Any, parts: Mapping[str, Part], task: Task) -> list[HistoryRow]:
    """Compute rows of HISTORY_COLUMNS: the loss (log loss, or mean squared error) on each part after each iteration.

    An iteration is a tree for boosting and forests (for forests: of the mean over the trees so far) and an epoch for
    mlp, whose own loss curve, penalty included, is given for the training rows. Models fitted in one go have one row
    per part, the iteration being the number that their solver took, or 1.

    Args:
        estimator: fitted.
        parts: {"train": ..., "validation": ...}; one of no rows is left out.

    Raises:
        DataError: what scikit-learn says of an estimator that was fitted and cannot predict.
    """
    with fixed_threads(estimator), refusals_of(estimator, "predict by"):
        return _rows(estimator, parts, task)


def _rows(estimator: Any, parts: Mapping[str, Part], task: Task) -> list[HistoryRow]:
    rows: list[HistoryRow] = []
    for part, (X, y, weights) in counted(parts.items(), "parts"):
        # A class of the validation rows may be absent from the training rows.
        usable = np.flatnonzero(np.isin(y, estimator.classes_)) if task == "classification" else np.arange(len(y))
        if not len(usable):
            continue
        keep = usable[np.unique(np.linspace(0, len(usable) - 1, min(len(usable), _MAX_ROWS)).astype(int))]
        own = None if weights is None else weights[keep]
        prefix, stages = _prefix(estimator, X[keep], task), _stages(estimator, X[keep], task)
        if prefix is not None:
            wanted = np.unique(np.linspace(1, _iterations(estimator), MAX_PREFIXES).astype(int)).tolist()
            loss = _loss(estimator, y[keep], task, own)
            rows += [(i, part, loss(prefix(i))) for i in counted(wanted, "iterations looked at")]
        elif stages is not None:
            total = estimator.n_estimators_ if hasattr(estimator, "n_estimators_") else _iterations(estimator)
            wanted = np.unique(np.linspace(1, total, min(total, MAX_ITERATIONS)).astype(int)).tolist()
            loss, recorded = _loss(estimator, y[keep], task, own), set(wanted)
            with counting(total, "iterations looked at") as progress:
                for i, stage in enumerate(stages, 1):
                    rows += [(i, part, loss(stage))] if i in recorded else []
                    progress.advance()
        elif hasattr(estimator, "loss_curve_"):
            if part == "train":  # with its penalty: the loss of other rows would not compare
                rows += [(i, part, float(loss)) for i, loss in enumerate(estimator.loss_curve_, 1)]
        elif task == "regression" or hasattr(estimator, "predict_proba"):
            output = estimator.predict(X[keep]) if task == "regression" else estimator.predict_proba(X[keep])
            rows.append((_iterations(estimator), part, _loss(estimator, y[keep], task, own)(output)))
        else:
            errors = np.average(
                estimator.predict(X[keep]) != y[keep], weights=own
            )  # no probabilities: the share of errors
            rows.append((_iterations(estimator), part, float(errors)))
    return rows


def _iterations(estimator: Any) -> int:
    estimator = member_of(estimator)
    for name in ("n_iter_", "n_estimators"):
        value = getattr(estimator, name, None)
        if value is not None:
            return int(np.max(value))
    return 1


def _prefix(estimator: Any, X: np.ndarray, task: Task) -> Callable[[int], np.ndarray] | None:
    """What predicts X with so many of the estimator's first iterations, as LightGBM and XGBoost can; else None."""
    member = member_of(estimator)
    method = getattr(member, "predict" if task == "regression" else "predict_proba", None)
    if method is None:
        return None
    parameters = inspect.signature(method).parameters
    if "num_iteration" in parameters:
        return lambda number: np.asarray(method(X, num_iteration=number))
    if "iteration_range" in parameters:
        return lambda number: np.asarray(method(X, iteration_range=(0, number)))
    return None


def _stages(estimator: Any, X: np.ndarray, task: Task) -> Iterator[np.ndarray] | None:
    """The estimator's output on X after each iteration, or None if it has no iterations to look at."""
    staged = getattr(estimator, "staged_predict" if task == "regression" else "staged_predict_proba", None)
    if staged is not None:
        return map(np.asarray, staged(X))
    if isinstance(estimator, _FORESTS):
        return _running_mean(estimator, X, task)
    return None


def _running_mean(forest: Any, X: np.ndarray, task: Task) -> Iterator[np.ndarray]:
    X = X.astype(np.float32)  # what forests are fitted on
    total = np.zeros(())
    for number, tree in enumerate(forest.estimators_, 1):
        total = total + (tree.predict(X) if task == "regression" else tree.predict_proba(X))
        yield total / number


def _loss(estimator: Any, y: np.ndarray, task: Task, weights: np.ndarray | None) -> Callable[[np.ndarray], float]:
    if task == "regression":
        return lambda output: float(np.average((output - y) ** 2, weights=weights))
    # scikit-learn's log_loss, without its checks of the labels: it is called once per tree.
    rows, columns = np.arange(len(y)), np.searchsorted(estimator.classes_, y)
    return lambda output: float(np.average(log_losses(output[rows, columns]), weights=weights))
