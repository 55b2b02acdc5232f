"""Why a row is predicted so: how much each raw column moved its prediction away from that of training rows.

Shapley values by sampled permutations (E. Strumbelj, I. Kononenko, Knowledge and Information Systems 41 (2014)
647-665): from a training row, the columns are set to the row's values one after another, in a random order, and what
each step changes is the column's. Every order is also gone through backwards, which halves the noise (R. Mitchell, J.
Cooper, E. Frank, G. Holmes, JMLR 23 (2022) 43). The contributions of a row add up exactly to its prediction less the
mean prediction of the training rows taken. It works for every model type and on raw columns, texts included, through
the whole pipeline, and needs no library.
"""

from typing import Any, NamedTuple

from lockstep.kernel.log import counted, counted_parts
from lockstep.kernel.settings import Task
from lockstep.learning.scoring import Predictions, predict, rows_at_once

import numpy as np
import pandas as pd

ORDERS = 25
"""Random orders, each gone through in both directions, each from a training row of its own."""


class Background(NamedTuple):
    """The training rows that contributions start from.

    Attributes:
        rows: (ORDERS, n_columns) raw; of each order its own.
        drawn_from: the number of training rows that they were drawn from.
        positive: see Predictions.
    """

    rows: pd.DataFrame
    drawn_from: int
    positive: Any = None


def drawn(train: pd.DataFrame, positive: Any = None) -> Background:
    """Draw the rows to start from, with a fixed seed.

    Args:
        train: (n_rows, n_columns) raw training rows; the columns are those of the rows to explain.
        positive: see Predictions.
    """
    return Background(train.iloc[[start for _, start in _draws(train.shape[1], len(train))]], len(train), positive)


def _draws(n_columns: int, n_rows: int) -> list[tuple[np.ndarray, int]]:
    """Each order of the columns, and the training row that it starts from: always the same ones of so many."""
    random = np.random.default_rng(0)
    return [(random.permutation(n_columns), int(random.integers(n_rows))) for _ in range(ORDERS)]


def reasons_of(model: Any, rows: pd.DataFrame, background: Background, task: Task) -> np.ndarray:
    """Compute the contribution of each column to each row's prediction, (n_rows, n_columns).

    What is explained is the number predicted; of two classes the probability of the positive one, of more that of the
    class predicted; of a model without probabilities its score, or whether it names the class.

    Args:
        model: takes raw rows.
        rows: (n_rows, n_columns) raw, to be explained.
        background: with the same columns.
        task: of the problem.
    """
    n_columns = rows.shape[1]
    step = max(1, rows_at_once(n_columns) // (n_columns + 1))  # at least one order at once
    chunks = [rows.iloc[start : start + step] for start in range(0, len(rows), step)]
    found = [_contributions(model, chunk, background, task) for chunk in counted(chunks, "blocks of rows")]
    return np.concatenate(found) if found else np.zeros((0, n_columns))


def _contributions(model: Any, rows: pd.DataFrame, background: Background, task: Task) -> np.ndarray:
    n_rows, n_columns = rows.shape
    own = predict(model, rows, task, background.positive)
    pool = pd.concat([rows, background.rows[list(rows)]], ignore_index=True)
    draws = _draws(n_columns, background.drawn_from)
    ways = [(way, start) for start, (order, _) in enumerate(draws, n_rows) for way in (order, order[::-1])]
    at_once = max(1, rows_at_once(n_columns) // (n_rows * (n_columns + 1)))
    found = np.zeros((n_rows, n_columns))
    for some in counted_parts(ways, at_once, "orders of the columns"):
        # of each order (n_columns + 1) blocks of all rows: in block k, the first k columns have the row's values
        places = np.array([np.argsort(way) for way, _ in some])  # of each column in the order
        starts_of = np.array([start for _, start in some])[:, None, None]
        done = np.arange(n_columns + 1)[:, None] > places.T[:, :, None, None]
        taken = np.where(done, np.arange(n_rows), starts_of).reshape(n_columns, -1)
        mixed = pd.DataFrame({name: pool[name].array.take(taken[i]) for i, name in enumerate(pool)})
        outputs = _explained(predict(model, mixed, task, background.positive), own).reshape(
            len(some), n_columns + 1, n_rows
        )
        for (way, _), moved in zip(some, np.diff(outputs, axis=1), strict=True):
            found[:, way] += moved.T
    return found / (2 * ORDERS)


def _explained(predictions: Predictions, own: Predictions) -> np.ndarray:
    """(n_blocks * n_rows,) what is explained; ``own`` are the predictions of the n_rows themselves."""
    classes, place = predictions.classes, predictions.positive_place
    if classes is None:
        return predictions.values
    blocks = len(predictions.values) // len(own.values)
    if place is not None and predictions.probabilities is not None:
        return predictions.probabilities[:, place]
    if place is not None and predictions.scores is not None:
        return predictions.scores if place else -predictions.scores
    named = np.tile(own.values, blocks)
    if predictions.probabilities is None:
        same: np.ndarray = (predictions.values == named).astype(float)
        return same
    places = np.searchsorted(classes, named)
    return predictions.probabilities[np.arange(len(named)), places]


def strongest(contributions: np.ndarray, names: list[str], most: int) -> list[list[tuple[str, float]]]:
    """Of each row the ``most`` columns that moved its prediction furthest, either way, the furthest first."""
    order = np.argsort(-np.abs(contributions), axis=1, kind="stable")[:, :most]
    return [
        [(names[place], float(row[place])) for place in places]
        for row, places in zip(contributions, order, strict=True)
    ]
