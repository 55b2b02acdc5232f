"""Permutation importance: how much worse a model gets when the values of one feature are shuffled among the rows."""

from collections.abc import Callable, Iterator
from typing import Any

from lockstep.kernel.log import counted_parts, heartbeat
from lockstep.kernel.settings import Task
from lockstep.learning.scoring import Predictions, given_to_actual, log_losses, predict, rows_at_once

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score, recall_score, roc_auc_score

IMPORTANCE_COLUMNS = ("feature", "importance", "std", "metric")
_MAX_ROWS = 2000
"""It is measured on at most so many rows."""

Score = Callable[[np.ndarray, Predictions, np.ndarray | None], float]
"""Of (n_rows,) targets, what is predicted of these rows, and their (n_rows,) weights or None; higher is better."""


def importance_of(
    model: Any,
    X: pd.DataFrame,
    y: np.ndarray,
    task: Task,
    repeats: int,
    seed: int,
    weights: np.ndarray | None = None,
) -> list[tuple[str, float, float, str]]:
    """Rows of IMPORTANCE_COLUMNS, the most important feature first: by how much the metric gets worse when the feature
    is shuffled, its mean over the ``repeats`` and their standard deviation, in the metric's unit (Breiman 2001).

    The shuffles, and so the numbers, are those of scikit-learn's ``permutation_importance``, which has each shuffle of
    each feature predicted by itself.

    Accuracy would not do: of a rare class that no row is given, shuffling changes no prediction, only probabilities.
    The log loss is a proper score (T. Gneiting, A. Raftery, JASA 102 (2007) 359-378): it sees every change of them.
    Where a classifier gives none, the area under the ROC curve is taken of two classes and the balanced accuracy of
    more; of a regression, R².

    Args:
        model: fitted; takes raw rows.
        X: (n_rows, n_features) raw.
        y: (n_rows,).
        task: of the problem.
        repeats: how often each feature is shuffled.
        seed: of the shuffling, and of the rows that are taken if there are more than _MAX_ROWS.
        weights: (n_rows,) how much each row counts in the metric; None: all alike.
    """
    sample = np.sort(np.random.default_rng(seed).permutation(len(y))[:_MAX_ROWS])
    X, y, weights = X.iloc[sample], y[sample], None if weights is None else weights[sample]
    orders = _shuffled(len(y), repeats, seed)
    asked = [(column, order) for column in range(X.shape[1]) for order in orders]
    with heartbeat(f"importance of {X.shape[1]} features"):
        (plain,) = _predicted(model, X, task, [(0, np.arange(len(y)))])
        metric, score = _score(plain, y, task)
        scores = [score(y, found, weights) for found in _predicted(model, X, task, asked)]
        worse = score(y, plain, weights) - np.array(scores).reshape(X.shape[1], repeats)
    means, spreads = worse.mean(axis=1), worse.std(axis=1)
    order = np.lexsort((np.arange(X.shape[1]), -means))
    return [(str(X.columns[i]), float(means[i]), float(spreads[i]), metric) for i in order]


def _shuffled(n_rows: int, repeats: int, seed: int) -> list[np.ndarray]:
    """(n_rows,) from which row each one has its value, of each shuffle: the same ones for all features."""
    random = np.random.RandomState(np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1))
    shuffling, order, found = np.arange(n_rows), np.arange(n_rows), []
    for _ in range(repeats):
        random.shuffle(shuffling)
        order = order[shuffling]
        found.append(order)
    return found


def _predicted(model: Any, X: pd.DataFrame, task: Task, asked: list[tuple[int, np.ndarray]]) -> Iterator[Predictions]:
    """What is predicted of the rows with the values of one column in another order, for each (column, order) asked."""
    n_rows, plain = len(X), np.arange(len(X))
    at_once = max(1, rows_at_once(X.shape[1]) // n_rows)
    repeated = X.iloc[np.tile(plain, min(at_once, len(asked)))].reset_index(drop=True)
    for some in counted_parts(asked, at_once, "scores"):
        mixed = repeated.iloc[: len(some) * n_rows].copy(deep=False)
        for column in {column for column, _ in some}:
            taken = np.concatenate([order if one == column else plain for one, order in some])
            mixed.isetitem(column, X.iloc[:, column].array.take(taken))
        found = predict(model, mixed, task)
        arrays = (found.values, found.probabilities, found.scores)
        for begin in range(0, len(mixed), n_rows):
            values, probabilities, scores = (None if one is None else one[begin : begin + n_rows] for one in arrays)
            assert values is not None
            yield found._replace(values=values, probabilities=probabilities, scores=scores)


def _score(found: Predictions, y: np.ndarray, task: Task) -> tuple[str, Score]:
    """The metric (a key of METRICS) that what a model says of rows of these targets can be scored by, and the score."""
    if task == "regression":
        return "r2_score", lambda y, found, weights: float(r2_score(y, found.values, sample_weight=weights))
    if found.probabilities is not None:
        return "log_loss", _negative_log_loss
    assert found.classes is not None
    if found.scores is not None and len(np.unique(y)) == 2:
        positive = found.classes[1]
        return "roc_auc", lambda y, found, weights: float(
            roc_auc_score(y == positive, found.scores, sample_weight=weights)
        )
    return "balanced_accuracy", lambda y, found, weights: float(
        recall_score(y, found.values, labels=np.unique(y), average="macro", sample_weight=weights)
    )


def _negative_log_loss(y: np.ndarray, found: Predictions, weights: np.ndarray | None) -> float:
    """scikit-learn's ``log_loss``, but for rows of a class that the model does not know, too: it gives them nothing."""
    assert found.probabilities is not None
    assert found.classes is not None
    return -float(np.average(log_losses(given_to_actual(y, found.probabilities, found.classes)), weights=weights))
