"""Statistics of two samples, of two models, and of many tests at once, where scikit-learn has none."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special, stats

LEAST_EXPECTED = 5.0
"""A chi-squared test needs this expected count in each cell (W. G. Cochran, Biometrics 10 (1954) 417-451)."""


def smirnov(before: pd.Series, after: pd.Series) -> tuple[float, float]:
    """The two-sample Kolmogorov-Smirnov distance of the numbers that are present, 0 to 1, and its p-value.

    Asymptotic, hence quick at a million rows; conservative where values repeat
    (https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.ks_2samp.html).
    """
    samples = [column.dropna().to_numpy(dtype="float64") for column in (before, after)]
    result = stats.ks_2samp(*samples, method="asymp")
    return float(result.statistic), min(1.0, float(result.pvalue))


def homogeneity(before: np.ndarray, after: np.ndarray) -> tuple[float, float] | None:
    """Whether two samples have the same shares of each category.

    Pearson's chi-squared test; categories whose expected count is below LEAST_EXPECTED are pooled. Two categories that
    are too rare for it are tested by Fisher's exact test.

    Args:
        before, after: (n_levels,) rows of each category.

    Returns:
        Cramer's V, 0 to 1 (H. Cramer, Mathematical Methods of Statistics (1946), ch. 21; of two samples it is the
        square root of chi-squared by the number of rows), and the p-value. None if nothing can be tested.
    """
    table = np.array([before, after])[:, (before > 0) | (after > 0)]
    rows = table.sum(axis=1)
    if table.shape[1] < 2 or not rows.all():
        return None
    smaller = rows.min() / rows.sum()
    expected = table.sum(axis=0) * smaller
    exact = None
    if table.shape[1] == 2 and expected.min() < LEAST_EXPECTED:
        exact = float(stats.fisher_exact(table).pvalue)
    else:
        table = table[:, np.argsort(-expected, kind="stable")]
        kept = int((expected >= LEAST_EXPECTED).sum())
        if kept < table.shape[1]:
            if table[:, kept:].sum() * smaller < LEAST_EXPECTED:
                kept -= 1  # the pool is too rare as well: it takes in the rarest of the others
            if kept < 1:
                return None
            table = np.column_stack([table[:, :kept], table[:, kept:].sum(axis=1)])
    chi2, p, *_ = stats.chi2_contingency(table, correction=False)
    return float(np.sqrt(chi2 / rows.sum())), float(p) if exact is None else exact


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted so that the chance of any false one below a level is at most that level.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979)
    65-70.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return [float(value) for value in adjusted]


def mcnemar(only_a: int, only_b: int) -> float:
    """The exact p-value of the hypothesis that two classifiers are right equally often on the same rows.

    Only the rows that one of them gets right and the other wrong say anything; if neither is better, each of those is a
    toss of a coin (Q. McNemar, Psychometrika 12 (1947) 153-157; exact, as the binomial test: B. Everitt, "The Analysis
    of Contingency Tables" (1977), section 2.5).

    Args:
        only_a, only_b: how many rows only the first, only the second classifier gets right.
    """
    return float(stats.binomtest(only_b, only_a + only_b).pvalue) if only_a + only_b else 1.0


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


def detectable(error: float, degrees_of_freedom: int, level: float, power: float = 0.8) -> float:
    """The minimum detectable effect: the true difference that a two-sided test at ``level`` finds with ``power``.

    (t_(1 - level/2) + t_power) times the standard error (H. Bloom, "Minimum detectable effects", Evaluation Review 19
    (1995) 547-556).

    Args:
        error: the standard error of the difference.
    """
    quantiles = special.stdtrit(degrees_of_freedom, [1 - level / 2, power])
    return float(quantiles.sum() * error)
