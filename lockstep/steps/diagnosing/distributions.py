"""How targets, scores and predictions are spread, counted so that it stays small for any number of rows."""

from typing import Any

from lockstep.steps.diagnosing.diagnosis import Cloud, Histogram, Scores, Threshold

import numpy as np

_MAX_POINTS = 400
"""Rows given as points; more are counted in CELLS x CELLS cells."""
CELLS = 26
"""Across and down."""
_BINS, _SCORE_BINS = 30, 20
"""Of the histograms of the target and of the scores."""


def target_histogram(train: np.ndarray, test: np.ndarray) -> Histogram:
    """The targets, (n_train,) and (n_test,), in bins from the first to the last half percent of the training rows."""
    low, high = np.quantile(train, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + max(1.0, abs(low)), _BINS + 1)
    return Histogram(edges.tolist(), {"training": _shares(train, edges), "test": _shares(test, edges)})


def scores_of(actual: np.ndarray, scores: np.ndarray, positive: Any) -> Scores:
    """The probabilities that the model gave the class ``positive``, (n_rows,), against the actual classes."""
    edges, truth = np.linspace(0, 1, _SCORE_BINS + 1), actual == positive
    shares = {"other": _shares(scores[~truth], edges), "positive": _shares(scores[truth], edges)}
    return Scores(Histogram(edges.tolist(), shares), thresholds_of(actual, scores, positive))


def _shares(values: np.ndarray, edges: np.ndarray) -> list[float]:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return [float(count) / max(1, len(values)) for count in counts]


def thresholds_of(actual: np.ndarray, scores: np.ndarray, positive: Any) -> list[Threshold]:
    """What each threshold from 0.05 to 0.95 gives: rows of more than that probability of ``positive`` are flagged, so
    that 0.5 flags what the model does, but for rows whose two classes are equally likely."""
    truth = actual == positive
    found = []
    for threshold in np.round(np.arange(0.05, 0.96, 0.05), 2):
        flagged = scores > threshold
        tp, fp, fn = (int(np.sum(rows)) for rows in (flagged & truth, flagged & ~truth, ~flagged & truth))
        found.append(
            Threshold(
                threshold=float(threshold),
                true_positives=tp,
                false_positives=fp,
                false_negatives=fn,
                precision=tp / (tp + fp) if tp + fp else None,
                recall=tp / (tp + fn) if tp + fn else 0.0,
                f1_score=2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
            )
        )
    return found


def cloud_of(x: np.ndarray, y: np.ndarray) -> Cloud:
    """Points, or counts of cells; the extreme half percent on each side may lie outside."""
    ranges = []
    for values in (x, y):
        low, high = np.quantile(values, [0.005, 0.995]) if len(values) > _MAX_POINTS else (values.min(), values.max())
        margin = 0.04 * (high - low) or max(1.0, abs(float(low)) * 0.1)
        ranges.append((float(low - margin), float(high + margin)))
    (left, right), (bottom, top) = ranges
    inside = (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
    outside = int(np.sum(~inside))
    width, height = (right - left) / CELLS, (top - bottom) / CELLS
    if len(x) <= _MAX_POINTS:
        points = list(zip(x[inside].tolist(), y[inside].tolist(), strict=True))
        return Cloud(points, [], width, height, ranges[0], ranges[1], outside)
    counts, x_edges, y_edges = np.histogram2d(x[inside], y[inside], CELLS, ranges)
    cells = [(float(x_edges[i]), float(y_edges[j]), int(counts[i, j])) for i, j in np.argwhere(counts > 0).tolist()]
    return Cloud([], cells, width, height, ranges[0], ranges[1], outside)
