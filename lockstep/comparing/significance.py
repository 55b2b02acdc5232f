"""P-values of a difference between two models: on the same rows, and over the same folds."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from lockstep.steps.evaluating.design import Design, chunks
from lockstep.steps.evaluating.resampling import (
    LEAST_DEFINED,
    SEED,
    ClassRows,
    NumberRows,
    Rows,
    resample_count,
)

import numpy as np
from scipy import special, stats

POWER = 0.8
"""Of the difference that is called detectable."""
MOST_EXCHANGED = 10_000
"""With more rows than that the bootstrap's p-value needs no guard, and exchanges would take longer than all else."""


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact p-value of the hypothesis that two classifiers are right equally often on the same rows.

    Only the rows that one of them gets right and the other wrong say anything; if neither is better, each of those is a
    toss of a coin (Q. McNemar, Psychometrika 12 (1947) 153-157; exact, as the binomial test: B. Everitt, "The Analysis
    of Contingency Tables" (1977), section 2.5).

    Args:
        only_a, only_b: how many rows only the first, only the second classifier gets right.
    """
    return float(stats.binomtest(only_b, only_a + only_b).pvalue) if only_a + only_b else 1.0


def bootstrap_p(values: np.ndarray, design: Design) -> float | None:
    """The p-value of the hypothesis that a difference is 0: the least level whose ``interval`` leaves 0 out.

    Args:
        values: (n_resamples,) the difference in each resample; NaN where undefined.
    """
    defined = values[~np.isnan(values)]
    if not design.enough or len(defined) < LEAST_DEFINED * len(values):
        return None
    tail = (1 + min(int((defined <= 0).sum()), int((defined >= 0).sum()))) / (1 + len(defined))
    student = special.ndtri(min(tail, 0.5)) / design.widening
    return float(2 * special.stdtr(design.degrees_of_freedom, student))


def exchange_p(rows: tuple[Rows, Rows], design: Design) -> dict[str, float | None]:
    """Of each metric, the p-value of the hypothesis that two models' predictions of a row could be exchanged.

    The share of random exchanges, of whole units, that make the models differ by as much as they do: E. Noreen,
    "Computer-Intensive Methods for Testing Hypotheses" (1989), ch. 2; for precision, recall and F1 A. Yeh, COLING 2000,
    947-953; for areas under ROC curves, by ranks, E. Venkatraman, C. Begg, Biometrika 83 (1996) 835-848; never 0: B.
    Phipson, G. Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010) 39. For accuracy, and no
    groups, it is McNemar's test. Exact, where the bootstrap is not, when the models differ on a handful of rows.
    """
    both = _stacked(*rows)
    n, count = len(design.units), resample_count(2 * len(design.units), rows[0].n_curves)
    first, weights = np.concatenate([np.ones(n), np.zeros(n)])[None, :], np.tile(design.all_rows, 2)
    exchanges = _exchanges(design, count, np.random.default_rng(SEED))
    return _as_extreme(both, weights, first, exchanges, count)


def permutation_p(pooled: Rows, first: Design, second: Design) -> dict[str, float | None]:
    """Of each metric, the p-value of the hypothesis that two independent samples of rows are of one distribution.

    The share of random divisions of all rows, by whole units, into two samples of as many units that make the metric
    differ by as much as it does (E. Pitman, Supplement to the Journal of the Royal Statistical Society 4 (1937)
    119-130). As exchange_p, it is exact where the bootstrap is not: where one sample has no wrong prediction.

    Args:
        pooled: the rows of both samples, those of the first one first.
        first, second: their designs.
    """
    units = np.concatenate([first.units, second.units + first.n_units])
    weights = np.concatenate([first.all_rows, second.all_rows], axis=1)
    count, random = resample_count(len(units), pooled.n_curves), np.random.default_rng(SEED)

    def divisions() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        begin = (np.arange(first.n_units + second.n_units) < first.n_units).astype(float)
        for size in chunks(count, len(units)):
            inside = random.permuted(np.tile(begin, (size, 1)), axis=1)[:, units]
            yield inside, 1 - inside

    own = (np.arange(len(units)) < len(first.units)).astype(float)[None, :]
    return _as_extreme(pooled, weights, own, divisions(), count)


def _as_extreme(
    rows: Rows,
    weights: np.ndarray,
    first: np.ndarray,
    divisions: Iterator[tuple[np.ndarray, np.ndarray]],
    count: int,
) -> dict[str, float | None]:
    """Of each metric, the share of ``count`` divisions of the rows in two that differ by as much as the one that was
    observed; None where too many leave it undefined.

    Args:
        rows: (n_rows,) of both sides.
        weights: (1, n_rows) how much each counts.
        first: (1, n_rows) 1 for those of the first side, as observed, 0 for the others.
        divisions: in chunks, the two sides as ``first`` and its complement, (n_chunk, n_rows) each.
    """
    start, end = rows.metrics(first * weights), rows.metrics((1 - first) * weights)
    observed = {name: abs(float(end[name][0] - start[name][0])) for name in start}
    extreme, defined = dict.fromkeys(observed, 1), dict.fromkeys(observed, 1)
    for one, other in divisions:
        a, b = rows.metrics(one * weights), rows.metrics(other * weights)
        for name, size in observed.items():
            difference = np.abs(b[name] - a[name])
            extreme[name] += int((difference >= size * (1 - 1e-9) - 1e-12).sum())
            defined[name] += int((~np.isnan(difference)).sum())
    return {name: extreme[name] / defined[name] if defined[name] > LEAST_DEFINED * count else None for name in observed}


def _exchanges(design: Design, count: int, random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """``count`` random exchanges of two models' predictions, a whole unit at a time, in chunks.

    Each is a pair of weights (n_chunk, 2 n_rows) of the two models' rows, the first model's first: what counts as the
    first model's prediction, and what as the second's.
    """
    for size in chunks(count, 2 * len(design.units)):
        swapped = random.integers(0, 2, (size, design.n_units), dtype=np.int8)[:, design.units].astype(float)
        yield np.hstack([1 - swapped, swapped]), np.hstack([swapped, 1 - swapped])


def _stacked(one: Rows, other: Rows) -> Rows:
    """The rows with a model's predictions, then the same rows with another's, (2 n_rows,)."""
    if isinstance(one, NumberRows) and isinstance(other, NumberRows):
        return NumberRows(np.concatenate([one.actual, other.actual]), np.concatenate([one.errors, other.errors]))
    assert isinstance(one, ClassRows)
    assert isinstance(other, ClassRows)
    return replace(
        one,
        actual=np.concatenate([one.actual, other.actual]),
        predicted=np.concatenate([one.predicted, other.predicted]),
        losses=_joined(one.losses, other.losses),
        ranks=_joined(one.ranks, other.ranks),
    )


def _joined(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    """Two arrays along the rows, the last axis; None unless both are there, with as many curves."""
    if one is None or other is None or one.shape[:-1] != other.shape[:-1]:
        return None
    return np.concatenate([one, other], axis=-1)


class FoldTest(NamedTuple):
    """A difference over cross-validation folds: its mean, interval and p-value; None where nothing can be said."""

    difference: float
    interval: tuple[float, float] | None
    p: float | None


def corrected_t_test(differences: np.ndarray, n_train: np.ndarray, n_test: np.ndarray, level: float = 0.95) -> FoldTest:
    """The corrected resampled t-test of the hypothesis that two ways of training are equally good.

    The folds' differences are not independent, since their training rows overlap: the variance of their mean is
    s^2 (1/k + n_test/n_train) rather than s^2/k (C. Nadeau, Y. Bengio, "Inference for the generalization error",
    Machine Learning 52 (2003) 239-281, section 3). For repeated cross-validation k counts the folds of all repeats
    (R. Bouckaert, E. Frank, PAKDD 2004, LNCS 3056, 3-12).

    Args:
        differences: (k,) of each fold.
        n_train, n_test: (k,) rows of each fold.

    Returns:
        Without interval and p if all folds differ by the same amount, other than 0: there is no spread to judge it by.
    """
    k, mean, variance = len(differences), float(np.mean(differences)), float(np.var(differences, ddof=1))
    if np.ptp(differences) <= 1e-12 * np.abs(differences).max():
        return FoldTest(mean, (0.0, 0.0), 1.0) if mean == 0 else FoldTest(mean, None, None)
    error = np.sqrt(variance * (1 / k + float(np.mean(n_test / n_train))))
    reach = float(special.stdtrit(k - 1, (1 + level) / 2) * error)
    return FoldTest(mean, (mean - reach, mean + reach), float(2 * special.stdtr(k - 1, -abs(mean) / error)))


def detectable(error: float, degrees_of_freedom: int, level: float) -> float:
    """The minimum detectable effect: the true difference that a two-sided test at ``level`` finds with POWER.

    (t_(1 - level/2) + t_power) times the standard error (H. Bloom, "Minimum detectable effects", Evaluation Review 19
    (1995) 547-556).

    Args:
        error: the standard error of the difference.
    """
    quantiles = special.stdtrit(degrees_of_freedom, [1 - level / 2, POWER])
    return float(quantiles.sum() * error)
