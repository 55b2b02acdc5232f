"""Prediction intervals of numbers and prediction sets of classes, from out-of-fold errors.

What they promise: docs/decisions.md. The quantile is that of split conformal prediction, with its correction for a
finite number of rows (A. Angelopoulos, S. Bates, "Conformal prediction: a gentle introduction", Foundations and Trends
in Machine Learning 16 (2023), section 1), but the errors are those of the folds' models, and the prediction is that of
the model of all training rows: "cross-validation without plus" (R. Barber, E. Candès, A. Ramdas, R. Tibshirani,
"Predictive inference with the jackknife+", Annals of Statistics 49 (2021) 486-507). CV+, which has a guarantee of
1 - 2 alpha, would need the folds' models beside the saved one.
"""

import json
import math

from lockstep.deciding.decision import ClassSets, Decision, NumberIntervals
from lockstep.deciding.out_of_fold import OutOfFold
from lockstep.learning.scoring import Predictions, given_to_actual

import numpy as np
import pandas as pd

MOST_BINS = 10
TAIL = 10
"""Errors beyond the quantile that a bin, or a class, is to have, where there are so many rows."""


def conformal_intervals(given: OutOfFold, level: float) -> NumberIntervals | ClassSets | None:
    """The intervals, or sets, at ``level``; None where there are too few rows for it, or no probabilities."""
    if given.predictions.classes is None:
        return _of_numbers(given.y, given.predictions.values, level, given.weights)
    if given.predictions.probabilities is None:
        return None
    return _of_classes(given, given.predictions.probabilities, given.predictions.classes, level)


def _of_numbers(
    y: np.ndarray, predicted: np.ndarray, level: float, weights: np.ndarray | None
) -> NumberIntervals | None:
    """In bins by the predicted value, since errors often grow with it: each bin has a quantile of its own (H. Boström,
    U. Johansson, "Mondrian conformal regressors", COPA (2020))."""
    count = int(np.clip(len(y) * (1 - level) / TAIL, 1, MOST_BINS))
    edges = np.unique(np.quantile(predicted, np.arange(1, count) / count))
    errors, places = np.abs(y - predicted), np.searchsorted(edges, predicted, side="right")
    inside = [places == place for place in range(len(edges) + 1)]
    widths = [upper_quantile(errors[rows], level, _part(weights, rows)) for rows in inside]
    if any(width is None for width in widths):
        width = upper_quantile(errors, level, weights)  # equal predictions leave a bin too few rows
        edges, widths = edges[:0], [width]
    found = [width for width in widths if width is not None]
    return NumberIntervals(level, len(y), edges.tolist(), found) if found else None


def _of_classes(given: OutOfFold, probabilities: np.ndarray, classes: np.ndarray, level: float) -> ClassSets | None:
    """Of each class a quantile of its own, so that a rare class is covered as a frequent one (M. Sadinle, J. Lei, L.
    Wasserman, "Least ambiguous set-valued classifiers with bounded error levels", JASA 114 (2019) 223-234): the score
    is the probability that was given to the actual class, the higher the better."""
    y, weights = given.y, given.weights
    # Not 1 less the probability: 1 - (1 - p) is above p for a quarter of all p, and rows of the quantile's very
    # probability, of which a forest gives many, would be left out of their sets.
    scores = -given_to_actual(y, probabilities, classes)
    overall = upper_quantile(scores, level, weights)
    if overall is None:
        return None
    least, pooled = {}, []
    for name in classes.tolist():
        quantile = upper_quantile(scores[y == name], level, _part(weights, y == name))
        if quantile is None:
            pooled.append(str(name))
        least[str(name)] = -(overall if quantile is None else quantile)
    return ClassSets(level, len(y), least, pooled)


def _part(weights: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if weights is None else weights[rows]


def upper_quantile(scores: np.ndarray, level: float, weights: np.ndarray | None = None) -> float | None:
    """The ceil((n + 1) level)-th smallest of n scores: a new one, exchangeable with them, is not above it with a
    probability of at least ``level``. None if n is too small.

    With ``weights``, (n_rows,), the smallest score at which the weights reach ``level`` of their sum and that of a new
    row, which is taken to weigh as much as these on average (R. Tibshirani, R. Barber, E. Candès, A. Ramdas,
    "Conformal prediction under covariate shift", NeurIPS (2019), lemma 2); equal weights give the same.
    """
    if weights is not None and len(scores):
        order = np.argsort(scores, kind="stable")
        upto = np.cumsum(weights[order]) / np.mean(weights)
        place = int(np.searchsorted(upto, level * (len(scores) + 1) * (1 - 1e-12)))
        return float(scores[order][place]) if place < len(scores) else None
    rank = math.ceil(round((len(scores) + 1) * level, 9))  # 0.9 * 10 is not above 9
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else None


def bounds_of(intervals: NumberIntervals, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(low, high), (n_rows,) each, of the predictions ``values``."""
    # The next number above the width, for it was rounded: the row whose error it is lies inside.
    widths = np.nextafter(intervals.widths, np.inf)[np.searchsorted(intervals.edges, values, side="right")]
    return values - widths, values + widths


def sets_of(sets: ClassSets, predictions: Predictions) -> np.ndarray:
    """(n_rows, n_classes) of bool: which classes are in each row's set; the most probable one always is, and the
    predicted one, which a threshold may make another."""
    probabilities, classes = predictions.probabilities, predictions.classes
    assert probabilities is not None and classes is not None
    least = np.array([sets.least[str(name)] for name in classes.tolist()])
    most: np.ndarray = probabilities == probabilities.max(axis=1, keepdims=True)
    predicted: np.ndarray = predictions.values[:, None] == classes
    found: np.ndarray = most | predicted | (probabilities >= least)
    return found


def interval_columns(decision: Decision, predictions: Predictions) -> dict[str, np.ndarray]:
    """The columns of a table of predictions, (n_rows,) each: ``low`` and ``high``, or ``set``, a list in JSON; none
    where the model has no intervals."""
    intervals = decision.intervals
    if isinstance(intervals, NumberIntervals):
        low, high = bounds_of(intervals, predictions.values)
        return {"low": low, "high": high}
    if intervals is None or predictions.classes is None:
        return {}
    names = predictions.classes.astype(object)
    rows = sets_of(intervals, predictions)
    # Of many rows, few sets: a set is known by its bits, a byte for eight classes.
    which, kinds = pd.factorize(np.array([row.tobytes() for row in np.packbits(rows, axis=1)], dtype=object))
    bits = np.frombuffer(b"".join(kinds), dtype=np.uint8).reshape(len(kinds), -(-len(names) // 8))
    places = map(np.flatnonzero, np.unpackbits(bits, axis=1, count=len(names)))
    texts = [json.dumps([names[place] for place in own], ensure_ascii=False) for own in places]
    return {"set": np.array(texts, dtype=object)[which]}
