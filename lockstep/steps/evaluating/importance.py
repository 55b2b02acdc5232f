"""Permutation importance: how much worse a model gets when the values of one feature are shuffled among the rows."""

from collections.abc import Callable
from typing import Any

from lockstep.kernel.log import heartbeat
from lockstep.kernel.portable import fixed_threads
from lockstep.kernel.settings import Task
from lockstep.learning.scoring import given_to_actual, log_losses

import numpy as np
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.metrics import r2_score, recall_score, roc_auc_score

IMPORTANCE_COLUMNS = ("feature", "importance", "std", "metric")
_MAX_ROWS = 2000
"""It is measured on at most so many rows."""

Score = Callable[..., float]
"""Of a model, (n_rows, n_features) rows, their (n_rows,) targets and, as sample_weight, their (n_rows,) weights; higher
is better."""


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
    # One sample, for the score before the shuffling and after it: scikit-learn's max_samples takes all rows before.
    sample = np.sort(np.random.default_rng(seed).permutation(len(y))[:_MAX_ROWS])
    X, y, weights = X.iloc[sample], y[sample], None if weights is None else weights[sample]
    metric, score = _score(model, y, task)
    # The score is computed once of the rows as they are.
    with heartbeat(f"importance of {X.shape[1]} features", 1 + X.shape[1] * repeats, "scores") as progress:

        def counted(*rows: Any, **values: Any) -> float:
            progress.advance()
            return score(*rows, **values)

        with fixed_threads(model):
            found = permutation_importance(
                model, X, y, scoring=counted, n_repeats=repeats, random_state=seed, sample_weight=weights
            )
    order = np.lexsort((np.arange(X.shape[1]), -found.importances_mean))
    return [
        (str(X.columns[i]), float(found.importances_mean[i]), float(found.importances_std[i]), metric) for i in order
    ]


def _score(model: Any, y: np.ndarray, task: Task) -> tuple[str, Score]:
    """The metric (a key of METRICS) that the model can be scored by on rows of these targets, and the score."""
    if task == "regression":
        return "r2_score", lambda fitted, X, y, sample_weight=None: float(
            r2_score(y, fitted.predict(X), sample_weight=sample_weight)
        )
    if hasattr(model, "predict_proba"):
        return (
            "log_loss",
            lambda fitted, X, y, sample_weight=None: (
                -_log_loss(y, fitted.predict_proba(X), fitted.classes_, sample_weight)
            ),
        )
    if len(model.classes_) == 2 and len(np.unique(y)) == 2 and hasattr(model, "decision_function"):
        positive = model.classes_[1]
        return "roc_auc", lambda fitted, X, y, sample_weight=None: float(
            roc_auc_score(y == positive, fitted.decision_function(X), sample_weight=sample_weight)
        )
    return "balanced_accuracy", lambda fitted, X, y, sample_weight=None: float(
        recall_score(y, fitted.predict(X), labels=np.unique(y), average="macro", sample_weight=sample_weight)
    )


def _log_loss(
    y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """scikit-learn's ``log_loss``, but for rows of a class that the model does not know, too: it gives them nothing."""
    return float(np.average(log_losses(given_to_actual(y, probabilities, classes)), weights=weights))
