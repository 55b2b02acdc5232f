"""Intervals of shares and of means, in closed form: of bins of test rows, of subgroups, of the accuracy."""

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
"""Of every interval."""


def wilson(hits: int, rows: int, level: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of the share ``hits`` / ``rows``: it keeps its level for few rows and for shares near 0 and 1, and
    knows that 30 of 30 is not certainty (E. Wilson, JASA 22 (1927) 209-212; L. Brown, T. Cai, A. DasGupta, Statistical
    Science 16 (2001) 101-133).
    """
    interval = stats.binomtest(hits, rows).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def clopper_pearson(hits: int, rows: int) -> tuple[float, float]:
    """The exact interval of the share ``hits`` / ``rows``: it covers at least its level, whatever the share."""
    interval = stats.binomtest(hits, rows).proportion_ci(CONFIDENCE, method="exact")
    return float(interval.low), float(interval.high)


def mean_interval(
    values: np.ndarray, level: float = CONFIDENCE, weights: np.ndarray | None = None, units: np.ndarray | None = None
) -> tuple[float, float]:
    """The interval of the mean of at least two ``values``, by Student's t.

    With ``weights``, (n_values,), of the weighted mean, whose standard error is W. Cochran's of a ratio, as D. Gatz and
    L. Smith compare it with the bootstrap's (Atmospheric Environment 29 (1995) 1185-1193); equal weights give the same.
    With ``units``, (n_values,) numbers from 0, values of one unit depend on each other, and the units, at least two,
    are what is independent: the same, of their means (W. Cochran, Sampling Techniques, 3rd ed. (1977), section 9A.1).
    """
    if units is not None:
        units = np.unique(units, return_inverse=True)[1]
        totals = np.bincount(units, weights)
        values = np.bincount(units, values if weights is None else values * weights) / totals
        weights = totals
    mean = float(np.average(values, weights=weights))
    if weights is None:
        error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    else:
        squares = float(np.sum((weights * (values - mean)) ** 2)) * len(values) / (len(values) - 1)
        error = squares**0.5 / float(np.sum(weights))
    half = float(stats.t.ppf(0.5 + level / 2, len(values) - 1)) * error
    return mean - half, mean + half
