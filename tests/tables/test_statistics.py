"""Statistics of columns, by one sort: the same as pandas', which takes longer."""

from lockstep.tables.statistics import are_whole, equal_bins, has_more_levels, n_distinct, n_duplicate_rows

import numpy as np
import pandas as pd
import pytest

RNG = np.random.default_rng(0)
N = 3_000
DAYS = pd.Series(np.datetime64("2020-01-01", "us") + RNG.integers(0, 400, N).astype("timedelta64[D]"))
COLUMNS = {
    "decimals": pd.Series(RNG.normal(size=N)),
    "ties": pd.Series(RNG.integers(0, 70, N) / 4),
    "mostly one value": pd.Series(np.where(RNG.random(N) < 0.9, 7.0, RNG.normal(size=N))),
    "gaps": pd.Series(RNG.normal(size=N).round(2)).where(RNG.random(N) < 0.8),
    "two zeros": pd.Series([0.0, -0.0, 1.0] * (N // 3)),
    "whole": pd.Series(RNG.integers(-(2**60), 2**60, N)),
    "days": DAYS.where(RNG.random(N) < 0.9),
    "empty": pd.Series(np.full(N, np.nan)),
    "texts": pd.Series(RNG.choice(["a", "b", None], N), dtype="str"),
    "flags": pd.Series(RNG.choice([True, False, None], N), dtype="object"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_distinct_values_are_counted_as_pandas_counts_them(name):
    column = COLUMNS[name]
    assert n_distinct(column) == column.nunique()
    for most in (0, 1, 2, 50, column.nunique() - 1, column.nunique()):
        assert has_more_levels(column, most) == (column.nunique() > most)


def test_a_level_far_below_is_seen():
    column = pd.Series([1.0] * 5_000 + [2.0])
    assert has_more_levels(column, 1)
    assert are_whole(column)
    column.iloc[-1] = 1.5
    assert not are_whole(column)


@pytest.mark.parametrize("name", [name for name, column in COLUMNS.items() if column.dtype.kind in "ifM"])
@pytest.mark.parametrize("n_bins", [10, 50])
def test_bins_are_those_of_the_mean_ranks(name, n_bins):
    column = COLUMNS[name]
    expected = np.ceil(column.rank(method="average", pct=True).fillna(0).to_numpy() * n_bins)
    assert equal_bins(column, n_bins).tolist() == expected.tolist()


def test_duplicate_rows_are_counted_as_pandas_counts_them():
    frame = pd.DataFrame({name: column.iloc[RNG.integers(0, 12, N)].to_numpy() for name, column in COLUMNS.items()})
    frame = frame[["ties", "gaps", "two zeros", "days", "texts", "flags"]]
    few = frame[["gaps", "two zeros"]]
    assert n_duplicate_rows(few) == few.duplicated().sum() > N / 2
    assert n_duplicate_rows(frame) == frame.duplicated().sum()
    assert n_duplicate_rows(pd.DataFrame(COLUMNS)) == 0
    assert n_duplicate_rows(pd.DataFrame({"x": [0.0, -0.0, np.nan, -np.nan]})) == 2
