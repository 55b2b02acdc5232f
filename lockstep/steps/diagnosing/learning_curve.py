"""Would more rows help? The model refitted on fewer of them."""

import warnings

from lockstep.kernel.log import heartbeat, logger
from lockstep.learning.cross_validation import PipelineSettings, fit_fold, score_fold
from lockstep.steps.diagnosing.diagnosis import LearningPoint
from lockstep.tables.table import Table

import numpy as np
import pandas as pd

HELD_OUT = 2000
"""Training rows, at most, that the refits are scored on."""
REFITS = 3
"""Fits, each on other rows, behind each point."""
SMALLEST_FIT = 20
"""The least rows a refit is made on."""


def learning_sizes(rows: int, most: int) -> list[int]:
    """Halves of the largest number of rows to refit on, four of them at most, none below SMALLEST_FIT."""
    sizes: list[int] = []
    size = min(most, rows)
    while size >= SMALLEST_FIT and len(sizes) < 4:
        sizes.append(size)
        size //= 2
    return sizes[::-1]


def learning_curve_of(
    train: Table, pipeline: PipelineSettings, metric: str, most: int, seed: int
) -> list[LearningPoint]:
    """The ``metric`` on other rows, and on the fitted ones, as the model is refitted on fewer rows.

    Held-out rows are cut off the training rows once per refit, as the split does it: later rows by time, whole groups
    by group, else at random. The preprocessor is refitted too. A refit that fails, or cannot be scored, is left out.

    Args:
        train: the raw training rows.
        pipeline: what is refitted.
        metric: a key of METRICS, none that is averaged.
        most: rows of the largest refit; 0 for no curve.
        seed: of the choice of rows.
    """
    folds = [_held_out(train, seed + number) for number in range(1 if train.time else REFITS)]
    sizes = learning_sizes(min((len(rest) for rest, _ in folds), default=0), most)
    if not sizes:
        return []
    points = []
    # In rows, since a refit on twice as many takes twice as long, or longer.
    with heartbeat("learning curve", sum(sizes) * len(folds), "rows refitted") as progress:
        for size in sizes:
            scores = []
            for rest, held in folds:
                # With time, the rows nearest to the held-out ones: they come last.
                fitted_on = np.sort(rest[-size:] if train.time else rest[:size])
                try:
                    score = _fit_and_score(train, fitted_on, held, pipeline, metric)
                except (ValueError, KeyError) as error:  # few rows may lack a class, or what a model or a metric needs
                    logger.info("the learning curve lacks a refit on %d rows: %r", size, error)
                else:
                    if np.isfinite(score).all():  # R2 of a single row is not
                        scores.append(score)
                progress.advance(size)
            if scores:
                means, spread = np.mean(scores, axis=0).tolist(), np.std(scores, axis=0).tolist()
                points.append(LearningPoint(size, means[0], spread[0], means[1], spread[1], len(scores)))
    return points


def _held_out(train: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows to fit on, rows to score on), both shuffled, but by time in order."""
    order = np.random.default_rng(seed % 2**32).permutation(len(train))
    held = min(HELD_OUT, len(train) // 5)
    if train.time is not None:
        order = np.argsort(train.time_stamps, kind="stable")
        cut = train.rows(order).first_of_its_time(len(train) - held)
        return order[:cut], order[cut:]
    if train.group is None:
        return order[held:], order[:held]
    groups, _ = pd.factorize(train.frame[train.group].astype(object))
    first = np.random.default_rng(seed % 2**32).permutation(groups.max() + 1)
    rank = first[groups]  # whole groups, in random order, until there are enough rows
    counts = np.bincount(rank)
    inside = rank < min(np.searchsorted(np.cumsum(counts), held) + 1, groups.max())  # one is left to fit on
    return order[~inside[order]], order[inside[order]][:HELD_OUT]


def _fit_and_score(
    train: Table, fitted_on: np.ndarray, held: np.ndarray, pipeline: PipelineSettings, metric: str
) -> tuple[float, float]:
    """(score on the rows that were fitted, score on the held-out ones)"""
    with warnings.catch_warnings():
        # A fit on few rows may not converge, or meet rare classes: that is what the curve shows.
        warnings.simplefilter("ignore", UserWarning)
        preprocessor, estimator = fit_fold(train, fitted_on, pipeline, -1)
        # Whatever the average: the score is none of those that are averaged.
        fitted, others = (
            score_fold(train, rows, preprocessor, estimator, "macro")[metric] for rows in (fitted_on, held)
        )
    return fitted, others
