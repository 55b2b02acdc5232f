"""Whether two samples differ: tests for numbers and for categories, and for many of these at once."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

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
