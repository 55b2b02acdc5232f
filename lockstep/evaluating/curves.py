"""The small tables behind the plots of an evaluation; ``dvc plots show`` draws them with the templates in
.dvc/plots."""

from lockstep.kernel.settings import Task
from lockstep.learning.scoring import Predictions

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

PREDICTIONS_COLUMNS = ("actual", "predicted", "count")
CURVES_COLUMNS = ("curve", "series", "x", "y", "count")
BINS = 10
MAX_POINTS = 200
"""Points of a curve, evenly spaced among those that there are."""
MAX_ROWS = 1000
"""Rows shown one by one, evenly spaced in the table's order."""
MAX_CLASSES = 10
"""Classes with curves of their own: the most frequent ones."""

Cell = str | float | int | None


def prediction_rows(y: np.ndarray, predictions: Predictions) -> list[tuple[Cell, ...]]:
    """Rows of PREDICTIONS_COLUMNS: each pair of classes with its count (a confusion matrix), or single rows (count
    1)."""
    if predictions.classes is None:
        rows = _spaced(len(y), MAX_ROWS)
        return [(float(y[row]), float(predictions.values[row]), 1) for row in rows]
    names = sorted(set(y.tolist()) | set(predictions.classes.tolist()))
    matrix = pd.crosstab(pd.Categorical(y, names), pd.Categorical(predictions.values, names), dropna=False)
    return [(str(a), str(p), int(matrix.loc[a, p])) for a in names for p in names]


def curve_rows(y: np.ndarray, predictions: Predictions, task: Task) -> list[tuple[Cell, ...]]:
    """Rows of CURVES_COLUMNS.

    Classification: ROC (false against true positive rate), precision-recall (recall against precision) and calibration
    (mean predicted probability against the share of positives, in bins of as many rows each) of each class against the
    rest, of two classes the second one. A model without probabilities has no calibration, and with several classes no
    curve.
    Regression: residuals (predicted against actual - predicted), calibration (mean predicted against mean actual) and
    the mean absolute error by size of the target, both in bins of as many rows each.
    """
    if task == "regression":
        return _regression_rows(y, predictions.values)
    classes = predictions.classes
    assert classes is not None
    rows: list[tuple[Cell, ...]] = []
    for index, name in _shown_classes(y, classes):
        positive = y == name
        if predictions.probabilities is not None:
            score = predictions.probabilities[:, index]
        elif predictions.scores is not None:
            score = predictions.scores
        else:
            continue
        false_positive_rate, true_positive_rate, _ = roc_curve(positive, score)
        precision, recall, _ = precision_recall_curve(positive, score)
        rows += _points("ROC", str(name), false_positive_rate, true_positive_rate)
        rows += _points("precision-recall", str(name), recall[::-1], precision[::-1])
        if predictions.probabilities is not None:
            rows += _binned("calibration", str(name), score, score, positive)
    return rows


def _shown_classes(y: np.ndarray, classes: np.ndarray) -> list[tuple[int, object]]:
    """(index, class) of the classes to draw: those that some but not all rows have; of two, the second."""
    if len(classes) == 2:
        candidates = [1]
    else:
        counts = np.array([np.sum(y == name) for name in classes])
        candidates = sorted(np.argsort(-counts, kind="stable")[:MAX_CLASSES].tolist())
    return [(index, classes[index]) for index in candidates if 0 < np.sum(y == classes[index]) < len(y)]


def _regression_rows(y: np.ndarray, predicted: np.ndarray) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = [
        ("residuals", "rows", float(predicted[row]), float(y[row] - predicted[row]), 1)
        for row in _spaced(len(y), MAX_ROWS)
    ]
    rows += _binned("calibration", "tenths of the rows", predicted, predicted, y)
    rows += _binned("absolute error by size of the target", "tenths of the rows", y, y, np.abs(y - predicted))
    return rows


def _binned(curve: str, series: str, by: np.ndarray, x: np.ndarray, y: np.ndarray) -> list[tuple[Cell, ...]]:
    """The means of x and y in BINS bins of (nearly) as many rows each, sorted by ``by``."""
    order = np.argsort(by, kind="stable")
    return [
        (curve, series, float(np.mean(x[rows])), float(np.mean(y[rows])), len(rows))
        for rows in np.array_split(order, min(BINS, len(order)))
    ]


def _points(curve: str, series: str, x: np.ndarray, y: np.ndarray) -> list[tuple[Cell, ...]]:
    return [(curve, series, float(x[point]), float(y[point]), None) for point in _spaced(len(x), MAX_POINTS)]


def _spaced(length: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, length - 1, min(length, most)).astype(int)) if length else np.array([], dtype=int)
