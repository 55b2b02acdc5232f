"""The threshold from which on a row is given the positive class, chosen on out-of-fold predictions."""

from collections.abc import Callable
from typing import Any

from lockstep.deciding.decision import ChosenThreshold
from lockstep.deciding.out_of_fold import OutOfFold
from lockstep.kernel.errors import SettingsError
from lockstep.learning.estimators import Costs

import numpy as np

POINTS = 60
"""Of the curve that is kept for the report."""

Counts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""(n_thresholds,) each: positive rows flagged, others flagged, positive ones missed, others left alone."""
_TINY = np.finfo(np.float64).tiny
"""Divides a 0 where a class has no rows."""


def choose_threshold(given: OutOfFold, by: str | float, costs: Costs | None) -> ChosenThreshold:
    """Choose the threshold at which the out-of-fold predictions are best; of equally good ones the nearest to the
    model's own.

    Every cut between two different scores is tried. Were the probabilities exact, the cheapest cut would be at
    false_positive / (false_positive + false_negative) (C. Elkan, "The foundations of cost-sensitive learning", IJCAI
    (2001)); those of a model are not, so the rows decide.

    Args:
        given: of two classes.
        by: "cost", "accuracy", "balanced_accuracy", "f1_score" (of the positive class), or the threshold itself.
        costs: of either mistake; needed by "cost".

    Raises:
        SettingsError: there are not two classes, or the model gives neither probabilities nor scores, or a number is
            given and it has no probabilities.
    """
    predictions = given.predictions
    classes, place, scores = predictions.classes, predictions.positive_place, predictions.scores
    if classes is None or place is None:
        raise SettingsError(f"train.threshold is {by}, but there are not two classes. Set it to 0.5.")
    if scores is None or not len(scores) or (not isinstance(by, str) and predictions.probabilities is None):
        raise SettingsError(
            f"train.threshold is {by}, but the model gives no probabilities to compare it with. Set train.calibrate to "
            "sigmoid, which makes some of its scores, or train.threshold to 0.5."
        )
    if predictions.probabilities is not None:
        default, scores = 0.5, predictions.probabilities[:, place]
    else:
        default, scores = 0.0, scores if place else -scores
    metric = by if isinstance(by, str) else "f1_score" if costs is None else "cost"
    actual, judge = given.y == classes[place], judge_of(metric, costs)
    if isinstance(by, str):
        cuts = _cuts(scores)
        worth = judge(_counts(actual, scores, cuts, given.weights)) * (-1 if metric == "cost" else 1)
        best = np.flatnonzero(worth == worth.max())
        value = float(cuts[best[np.argmin(np.abs(cuts[best] - default))]])
    else:
        value = by
    # Half of them evenly spaced, half where the rows are: most probabilities of a rare class are small.
    marks = np.linspace(0, 1, POINTS // 2)
    spaced = np.linspace(scores.min(), scores.max(), POINTS // 2)
    grid = np.unique(np.concatenate([spaced, np.quantile(scores, marks, method="inverted_cdf"), [value]]))
    reached = judge(_counts(actual, scores, np.array([value, default]), given.weights))
    return ChosenThreshold(
        value=value,
        by=by if isinstance(by, str) else "given",
        positive=str(classes[place]),
        default=default,
        false_positive=None if costs is None else costs.false_positive,
        false_negative=None if costs is None else costs.false_negative,
        rows=len(scores),
        reached=float(reached[0]),
        reached_by_default=float(reached[1]),
        curve=list(zip(grid.tolist(), judge(_counts(actual, scores, grid, given.weights)).tolist(), strict=True)),
    )


def judge_of(by: str, costs: Costs | None) -> Callable[[Counts], np.ndarray]:
    """How a metric, or "cost", the mean cost of a row, follows from the counts."""

    def cost(counts: Counts) -> Any:
        assert costs is not None  # build_estimator has refused settings without them
        _, fp, fn, _ = counts
        return (costs.false_positive * fp + costs.false_negative * fn) / sum(counts)

    def accuracy(counts: Counts) -> Any:
        tp, _, _, tn = counts
        return (tp + tn) / sum(counts)

    def balanced_accuracy(counts: Counts) -> Any:
        tp, fp, fn, tn = counts
        return (tp / np.maximum(tp + fn, _TINY) + tn / np.maximum(tn + fp, _TINY)) / 2

    def f1_score(counts: Counts) -> Any:
        tp, fp, fn, _ = counts
        return 2 * tp / np.maximum(2 * tp + fp + fn, _TINY)

    known = {"cost": cost, "accuracy": accuracy, "balanced_accuracy": balanced_accuracy, "f1_score": f1_score}
    return known[by]


def _cuts(scores: np.ndarray) -> np.ndarray:
    """(n_cuts,) rising: one below all scores, one between each two different ones, one above all."""
    distinct = np.unique(scores)
    middles = (distinct[:-1] + distinct[1:]) / 2
    middles = np.where(middles > distinct[:-1], middles, distinct[1:])  # of neighbouring floats
    return np.concatenate([distinct[:1], middles, np.nextafter(distinct[-1:], np.inf)])


def _counts(actual: np.ndarray, scores: np.ndarray, thresholds: np.ndarray, weights: np.ndarray | None) -> Counts:
    """What flagging the rows from each of the ``thresholds`` on gives; a row counts as ``weights`` say."""
    counted = np.ones(len(scores)) if weights is None else weights
    (fn, positive), (tn, other) = (_below(scores[rows], counted[rows], thresholds) for rows in (actual, ~actual))
    return positive - fn, other - tn, fn, tn


def _below(scores: np.ndarray, weights: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, float]:
    """((n_thresholds,) the weight of the rows whose score is below each threshold, the weight of all)"""
    order = np.argsort(scores, kind="stable")
    upto = np.concatenate([[0.0], np.cumsum(weights[order])])
    return upto[np.searchsorted(scores[order], thresholds)], float(upto[-1])
