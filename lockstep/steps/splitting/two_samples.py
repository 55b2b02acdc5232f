"""Whether a column differs between two tables: the one answer, for training and test rows and for two revisions."""

from collections.abc import Sequence
from typing import NamedTuple

from lockstep.tables.statistics import has_more_levels, sorted_values, spans_of
from lockstep.tables.table import column_type

import numpy as np
import pandas as pd
from scipy import stats

FEW_VALUES = 10
"""Numbers of at most so many different values are tested as categories: Kolmogorov-Smirnov hardly finds a shift of so
few, whereas among more of them chi-squared does not see that near ones are alike."""
LEAST_EXPECTED = 5.0
"""A chi-squared test needs this expected count in each cell (W. G. Cochran, Biometrics 10 (1954) 417-451)."""


class Codes(NamedTuple):
    """One column of two tables as whole numbers: equal cells have equal codes, 0 is missing.

    Attributes:
        column: its name, in the table after.
        before: (n_rows_before,).
        after: (n_rows_after,).
        levels: (n_levels,) the cell values; level i has code i + 1.
    """

    column: str
    before: np.ndarray
    after: np.ndarray
    levels: np.ndarray

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_levels + 1,) each: rows by code, before and after."""
        size = len(self.levels) + 1
        return np.bincount(self.before, minlength=size), np.bincount(self.after, minlength=size)


class Difference(NamedTuple):
    """What a test says of two samples: its name, what measures the difference, how large that is, 0 to 1, and p."""

    test: str
    effect: str
    size: float
    p: float


def shared_codes(before: pd.Series, after: pd.Series) -> Codes:
    """Encode a column that both tables have with one type; whole and decimal numbers count as one."""
    whole = before.dtype.kind in "iu" and after.dtype.kind in "iu"
    both = pd.concat([_plain(before, whole), _plain(after, whole)], ignore_index=True)
    codes, levels = pd.factorize(both)
    codes = (codes + 1).astype(np.int64 if len(both) > 2**31 - 2 else np.int32)
    return Codes(str(after.name), codes[: len(before)], codes[len(before) :], np.asarray(levels))


def _plain(column: pd.Series, whole: bool) -> pd.Series:
    """The column in a form that both tables' versions of it share: text, dates, whole numbers, or float64 (booleans
    too)."""
    if column_type(column) in ("text", "date"):
        return column
    if column_type(column) == "boolean":
        column = column.astype("boolean")
    return column if whole else pd.Series(column.to_numpy(dtype="float64", na_value=np.nan))


def values_differ(
    before: pd.Series, after: pd.Series, codes: Codes | None = None, *, as_classes: bool
) -> Difference | str:
    """Test whether the values that are present have the same distribution in both samples, or say why not.

    Args:
        before, after: the samples, of one type.
        codes: of both, if they are known.
        as_classes: whether numbers are classes, whose order means nothing.
    """
    lacking = [side for side, column in (("before", before), ("now", after)) if not column.notna().any()]
    if lacking:
        return f"no value {' or '.join(lacking)}"
    is_ordered = column_type(after) in ("number", "date") and not as_classes
    if is_ordered and any(has_more_levels(column, FEW_VALUES) for column in (before, after)):
        return Difference("Kolmogorov-Smirnov", "KS distance", *smirnov(before, after))
    codes = codes or shared_codes(before, after)
    if is_ordered and len(codes.levels) > FEW_VALUES:
        return Difference("Kolmogorov-Smirnov", "KS distance", *smirnov(before, after))
    first, second = (counts[1:] for counts in codes.counts())
    tested = homogeneity(first, second)
    if tested is None:
        return "one category only" if len(first) == 1 else "each category is too rare for a test"
    return tested


def missing_differ(before: pd.Series, after: pd.Series) -> float | None:
    """The p-value of the test whether both samples lack as large a share of their values; None if none can be made."""
    missing, sizes = np.array([before.isna().sum(), after.isna().sum()]), np.array([len(before), len(after)])
    tested = homogeneity(*np.column_stack([missing, sizes - missing]))
    return None if tested is None else tested.p


def smirnov(before: pd.Series, after: pd.Series) -> tuple[float, float]:
    """The two-sample Kolmogorov-Smirnov distance of the numbers or dates that are present, 0 to 1, and its p-value.

    Asymptotic, hence quick at a million rows; conservative where values repeat
    (https://docs.scipy.org/doc/scipy/reference/generated/scipy.stats.ks_2samp.html).
    """
    first, second = sorted((sorted_values(column) for column in (before, after)), key=len)
    # Between two values of the smaller sample its own distribution is constant: the distance is largest at one of its
    # values, or just before one. To look there alone takes a fraction of the time that ks_2samp takes.
    sizes, distance = (len(first), len(second)), 0.0
    begins, ends = spans_of(first)
    values = first[begins]
    for below, others in (
        (begins, np.searchsorted(second, values, side="left")),
        (ends, np.searchsorted(second, values, side="right")),
    ):
        shares = below / len(first), others / len(second)
        distance = max(distance, float(np.abs(shares[0] - shares[1]).max()))
    effective = max(sizes) * min(sizes) / (max(sizes) + min(sizes))
    return distance, min(1.0, float(stats.kstwo.sf(distance, np.round(effective))))


def homogeneity(before: np.ndarray, after: np.ndarray) -> Difference | None:
    """Whether two samples have the same shares of each category.

    Pearson's chi-squared test; categories whose expected count is below LEAST_EXPECTED are pooled. Two categories that
    are too rare for it are tested by Fisher's exact test.

    Args:
        before, after: (n_levels,) rows of each category.

    Returns:
        With Cramer's V (H. Cramer, Mathematical Methods of Statistics (1946), ch. 21; of two samples it is the square
        root of chi-squared by the number of rows). None if nothing can be tested.
    """
    table = np.array([before, after])[:, (before > 0) | (after > 0)]
    rows = table.sum(axis=1)
    if table.shape[1] < 2 or not rows.all():
        return None
    smaller = rows.min() / rows.sum()
    expected = table.sum(axis=0) * smaller
    is_exact = table.shape[1] == 2 and expected.min() < LEAST_EXPECTED
    if not is_exact:
        table = table[:, np.argsort(-expected, kind="stable")]
        kept = int((expected >= LEAST_EXPECTED).sum())
        if kept < table.shape[1]:
            if table[:, kept:].sum() * smaller < LEAST_EXPECTED:
                kept -= 1  # the pool is too rare as well: it takes in the rarest of the others
            if kept < 1:
                return None
            table = np.column_stack([table[:, :kept], table[:, kept:].sum(axis=1)])
    chi2, p, *_ = stats.chi2_contingency(table, correction=False)
    test = "Fisher's exact" if is_exact else "chi-squared"
    p = stats.fisher_exact(table).pvalue if is_exact else p
    return Difference(test, "Cram\u00e9r's V", float(np.sqrt(chi2 / rows.sum())), float(p))


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
