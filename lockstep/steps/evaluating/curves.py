"""The small tables behind the plots of an evaluation; ``dvc plots show`` draws them with the templates in
.dvc/plots."""

from lockstep.kernel.settings import Task
from lockstep.learning.scoring import Predictions, rare_class
from lockstep.steps.evaluating.design import Design
from lockstep.steps.evaluating.intervals import mean_interval, wilson

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

PREDICTIONS_COLUMNS = ("actual", "predicted", "count")
CURVES_COLUMNS = ("curve", "series", "x", "y", "count", "low", "high")
_BINS = 10
MIN_BIN = 10
"""Rows that a bin has at least, where there are so many: there are fewer than _BINS then."""
MAX_POINTS = 200
"""Points of a curve, evenly spaced among those that there are."""
_MAX_ROWS = 1000
"""Rows shown one by one, evenly spaced in the table's order."""
UNCALIBRATED = "calibration before"
"""The curve of the estimator's own probabilities, where the model calibrates them."""
_MAX_CLASSES = 10
"""Classes with curves of their own: the most frequent ones."""

PlotCell = str | float | int | None


def prediction_rows(y: np.ndarray, predictions: Predictions) -> list[tuple[PlotCell, ...]]:
    """Rows of PREDICTIONS_COLUMNS: each pair of classes with its count (a confusion matrix), or single rows (count
    1)."""
    if predictions.classes is None:
        rows = _spaced(len(y), _MAX_ROWS)
        return [(float(y[row]), float(predictions.values[row]), 1) for row in rows]
    names = sorted(set(y.tolist()) | set(predictions.classes.tolist()))
    matrix = pd.crosstab(pd.Categorical(y, names), pd.Categorical(predictions.values, names), dropna=False)
    return [(str(a), str(p), int(matrix.loc[a, p])) for a in names for p in names]


def curve_rows(
    y: np.ndarray,
    predictions: Predictions,
    task: Task,
    uncalibrated: Predictions | None = None,
    design: Design | None = None,
) -> list[tuple[PlotCell, ...]]:
    """Rows of CURVES_COLUMNS; low and high are the 95 % interval of y in bins, and empty elsewhere.

    Classification: ROC (false against true positive rate), precision-recall (recall against precision) and calibration
    (mean predicted probability against the share of positives, in bins of as many rows each) of each class against the
    rest, of two classes one (followed_classes). A model without probabilities has no calibration, and with several
    classes no curve. Beside the curves, with no x: the "area under the ROC curve" and the "average precision" of every
    class, of two also of the one without curves; both of all rows, not of the points of the curve. Last the calibration
    of ``uncalibrated``, what the model said before it was calibrated, under the name UNCALIBRATED.
    Regression: residuals (predicted against actual - predicted), calibration (mean predicted against mean actual) and
    the mean absolute error by size of the target, both in bins of as many rows each.

    Where the ``design`` of the test rows has weights, rates, areas and means are weighted; counts are of rows. Where it
    has units of several rows, these are what intervals take as independent. None: all alike, each by itself.
    """
    design = design or Design.of(y, stratified=False, groups=None, in_time=False)
    weights = design.weights
    if task == "regression":
        return _regression_rows(y, predictions.values, design)
    classes = predictions.classes
    assert classes is not None
    drawn = followed_classes(y, predictions, _MAX_CLASSES)
    rows: list[tuple[PlotCell, ...]] = []
    for index, label in enumerate(classes):
        positive, score, name = y == label, _ranking(predictions, index), str(label)
        if score is None or positive.all() or not positive.any():
            continue
        count = int(positive.sum())
        area = float(roc_auc_score(positive, score, sample_weight=weights))
        rows.append(("area under the ROC curve", name, None, area, count, None, None))
        average_precision = float(average_precision_score(positive, score, sample_weight=weights))
        rows.append(("average precision", name, None, average_precision, count, None, None))
        if index not in drawn:
            continue
        false_positive_rate, true_positive_rate, _ = roc_curve(positive, score, sample_weight=weights)
        precision, recall, _ = precision_recall_curve(positive, score, sample_weight=weights)
        rows += _points("ROC", name, false_positive_rate, true_positive_rate)
        rows += _points("precision-recall", name, recall[::-1], precision[::-1])
        if predictions.probabilities is not None:
            rows += _binned("calibration", name, score, score, positive, design)
    return rows if uncalibrated is None else rows + _calibration_rows(y, uncalibrated, UNCALIBRATED, design)


def _calibration_rows(
    y: np.ndarray, predictions: Predictions, curve: str, design: Design
) -> list[tuple[PlotCell, ...]]:
    """Rows of CURVES_COLUMNS with the calibration alone, under the name ``curve``; none without probabilities."""
    classes, probabilities = predictions.classes, predictions.probabilities
    if classes is None or probabilities is None:
        return []
    return [
        row
        for place in followed_classes(y, predictions, _MAX_CLASSES)
        for row in _binned(
            curve, str(classes[place]), probabilities[:, place], probabilities[:, place], y == classes[place], design
        )
    ]


def followed_classes(y: np.ndarray, predictions: Predictions, most: int) -> list[int]:
    """The places of the classes to show one by one: of two the positive one or, where the settings name none, the one
    that is rare in ``y``, else the second; of more the ``most`` that are most frequent in ``y``."""
    classes = predictions.classes
    assert classes is not None
    if (positive := predictions.positive_place) is not None:
        rare = None if predictions.positive is not None else rare_class(y, classes)
        return [positive if rare is None else rare]
    counts = np.array([np.sum(y == name) for name in classes])
    places: list[int] = np.argsort(-counts, kind="stable")[:most].tolist()
    return sorted(places)


def _ranking(predictions: Predictions, index: int) -> np.ndarray | None:
    """(n_rows,): the higher, the more likely the class at ``index``; None where the model ranks nothing."""
    if predictions.probabilities is not None:
        return predictions.probabilities[:, index]
    if predictions.scores is not None:  # of the second of two classes
        return predictions.scores if index else -predictions.scores
    return None


def _regression_rows(y: np.ndarray, predicted: np.ndarray, design: Design) -> list[tuple[PlotCell, ...]]:
    rows: list[tuple[PlotCell, ...]] = [
        ("residuals", "rows", float(predicted[row]), float(y[row] - predicted[row]), 1, None, None)
        for row in _spaced(len(y), _MAX_ROWS)
    ]
    rows += _binned("calibration", "tenths of the rows", predicted, predicted, y, design)
    rows += _binned("absolute error by size of the target", "tenths of the rows", y, y, np.abs(y - predicted), design)
    return rows


def _binned(
    curve: str, series: str, by: np.ndarray, x: np.ndarray, y: np.ndarray, design: Design
) -> list[tuple[PlotCell, ...]]:
    """The means of x and y in at most _BINS bins of (nearly) as many rows each, sorted by ``by``. The mean of booleans
    that count alike, each by itself, has Wilson's interval, any other Student's."""
    found: list[tuple[PlotCell, ...]] = []
    for rows in np.array_split(np.argsort(by, kind="stable"), min(_BINS, max(2, len(by) // MIN_BIN), len(by))):
        low: float | None = None
        high: float | None = None
        own = None if design.weights is None else design.weights[rows]
        units = design.units[rows]
        if y.dtype == bool and design.shares:
            low, high = wilson(int(y[rows].sum()), len(rows))
        elif units.min() < units.max():
            low, high = mean_interval(y[rows], weights=own, units=None if design.kind == "rows" else units)
            if y.dtype == bool:
                low, high = max(0.0, low), min(1.0, high)
        means = float(np.average(x[rows], weights=own)), float(np.average(y[rows], weights=own))
        found.append((curve, series, *means, len(rows), low, high))
    return found


def _points(curve: str, series: str, x: np.ndarray, y: np.ndarray) -> list[tuple[PlotCell, ...]]:
    return [
        (curve, series, float(x[point]), float(y[point]), None, None, None) for point in _spaced(len(x), MAX_POINTS)
    ]


def _spaced(length: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, length - 1, min(length, most)).astype(int)) if length else np.array([], dtype=int)
