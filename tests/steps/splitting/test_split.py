"""The split: the shares, the seed, the strata, groups and time."""

import tracemalloc

from lockstep.kernel.errors import DataError, SettingsError
from lockstep.steps.splitting.data_checks import CheckSettings
from lockstep.steps.splitting.parts import SplitSettings, split_table
from lockstep.tables.table import Table

import numpy as np
import pandas as pd
import pytest
from small import widened


def table(rows=1000, task="classification", **columns):
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=rows), "y": rng.choice(["a", "b", "c"], size=rows, p=[0.7, 0.2, 0.1])}
    if task == "regression":
        data["y"] = rng.normal(size=rows)
    frame = pd.DataFrame(data | columns)
    frame.index = pd.Index(np.arange(1, rows + 1), name="__row__")
    return Table(frame, "y", task)


def rows_of(part):
    return part.frame.index.tolist()


def settings(**values):
    return SplitSettings(**values)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_80_20_by_default_each_row_once_in_order(task):
    data = table(task=task)
    parts = split_table(data, settings())
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (800, 0, 200)
    assert sorted(rows_of(parts.train) + rows_of(parts.test)) == rows_of(data)
    assert rows_of(parts.train) == sorted(rows_of(parts.train))
    assert list(parts.validation.frame.columns) == list(data.frame.columns)


def test_the_validation_part_is_a_share_of_all_rows_and_leaves_the_test_rows_as_they_are():
    data = table()
    parts = split_table(data, settings(validation_size=0.1))
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (700, 100, 200)
    assert rows_of(parts.test) == rows_of(split_table(data, settings()).test)


def test_the_seed_decides():
    data = table()
    assert rows_of(split_table(data, settings(seed=1)).test) == rows_of(split_table(data, settings(seed=1)).test)
    assert rows_of(split_table(data, settings(seed=1)).test) != rows_of(split_table(data, settings(seed=2)).test)


def test_classes_keep_their_shares():
    data = table()
    parts = split_table(data, settings(validation_size=0.2))
    for part in parts:
        shares = pd.Series(part.labels).value_counts(normalize=True)
        assert np.allclose(
            shares.sort_index(), pd.Series(data.labels).value_counts(normalize=True).sort_index(), atol=0.01
        )


def test_stratify_can_be_switched_off():
    y = np.array(["rare"] + ["b"] * 99)
    parts = split_table(table(100, y=y), settings(stratify=False))
    assert len(parts.test) == 20


@pytest.mark.parametrize(
    ("data", "values", "message"),
    [
        (
            table(100, y=["rare"] + ["b"] * 99),
            {},
            r"only one row of class rare: one row cannot be in two parts\. Add rows of that class, or set load\.target",
        ),
        (
            table(100, y=["rare"] + ["b"] * 59 + ["c"] * 40),
            {},
            r"only one row of class rare: one row .* or set load\.rare_classes to drop, which leaves the row out; or",
        ),
        (
            table(100, y=["r", "s"] + ["b"] * 98),
            {},
            "load.rare_classes to drop, which leaves these rows out, or to merge",
        ),
        (
            table(100, y=np.arange(100) % 30),
            {},
            "split.test_size leaves a part of 20 rows for the 30 classes of the target",
        ),
        (table(task="regression"), {"stratify": True}, "split.stratify is true, but only classes can be stratified"),
        (table(g=1), {"stratify": True, "group": "g"}, "split.stratify cannot be true with split.group"),
        (table(), {"test_size": 0.6, "validation_size": 0.4}, "leave no training rows. Their sum must be below 1"),
        (table(), {"group": "x", "time": "x"}, "cannot both be set"),
        (table(), {"group": "nope"}, "split.group: there is no column 'nope'. The table has: x, y"),
        (table(), {"time": "y"}, "split.time is the target 'y'"),
        (table(g=[1.0] * 999 + [None]), {"group": "g"}, "'g' is empty in 1 row, the first being data row 1000"),
        (table(g=[1, 2] * 500), {"group": "g"}, "'g' has 2 groups; at least 3 are needed"),
        (
            table(t=["31/12/2020"] * 1000),
            {"time": "t"},
            r"'31/12/2020' in data row 1 of column 't' is neither a number nor an",
        ),
        (table(t=1), {"time": "t"}, "'t' has the same value in too many rows for split.test_size"),
        (table(), {"group": "x"}, "no feature is left"),
    ],
)
def test_what_cannot_be_split(data, values, message):
    with pytest.raises((DataError, SettingsError), match=message):
        split_table(data, settings(**values))


def test_groups_stay_together_and_are_no_feature():
    data = table(g=[f"house {i % 100}" for i in range(1000)])
    parts = split_table(data, settings(group="g", validation_size=0.1))
    groups = [set(part.frame["g"]) for part in parts]
    assert groups[0] | groups[1] | groups[2] == set(data.frame["g"])
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert len(groups[2]) == 20
    assert list(parts.train.features) == ["x"]


@pytest.mark.parametrize("dates", [False, True])
def test_the_last_rows_are_the_test(dates):
    moments = np.random.default_rng(1).permutation(500) // 2
    column = [f"{2000 + moment // 12:04}-{moment % 12 + 1:02}-15" for moment in moments] if dates else moments
    data = table(500, "regression", t=column)
    parts = split_table(data, settings(time="t", validation_size=0.2))
    latest = [part.frame["t"].max() for part in parts]
    earliest = [part.frame["t"].min() for part in parts]
    assert latest[0] < earliest[1] <= latest[1] < earliest[2]
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (300, 100, 100)
    assert parts.train.frame["t"].tolist() == sorted(parts.train.frame["t"])
    assert list(parts.train.features) == ["x"]


def test_one_moment_is_never_cut_in_two():
    data = table(100, "regression", t=[0] * 50 + [1] * 50)
    parts = split_table(data, settings(time="t"))
    assert (len(parts.train), len(parts.test)) == (50, 50)


@pytest.mark.parametrize("validation", [0, 0.2])
def test_test_rows_that_are_training_rows_too_are_known_whatever_is_checked(validation):
    once = table(60).frame
    twice = Table(pd.concat([once, once]).set_axis(pd.RangeIndex(1, 121, name="__row__")), "y", "classification")
    off = CheckSettings(duplicate_rows="off")
    parts = split_table(twice, SplitSettings(validation_size=validation, checks=off))
    trained = set(map(tuple, parts.train.frame.to_numpy()))
    expected = [row for row, cells in parts.test.frame.iterrows() if tuple(cells) in trained]
    assert list(parts.test.copies) == expected != []
    assert parts.train.copies == parts.validation.copies == ()


@pytest.mark.parametrize("values", widened([{}, {"validation_size": 0.2}, {"time": "t"}], [{}]))
def test_a_table_that_nobody_else_has_is_there_once(values):
    def made():
        rng = np.random.default_rng(0)
        columns = {"t": np.arange(100_000), "y": np.arange(100_000) % 2}
        columns |= {f"x{place}": rng.random(100_000) for place in range(40)}
        # Each column a piece of memory of its own, as read_table gives them.
        frame = pd.DataFrame(columns, index=pd.RangeIndex(1, 100_001, name="__row__"), copy=False)
        return Table(frame, "y", "classification")

    tracemalloc.start()
    try:
        split_table(made(), settings(**values))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * made().frame.memory_usage().sum()


@pytest.mark.parametrize("values", [{}, {"validation_size": 0.2}, {"time": "t"}, {"group": "g"}])
def test_the_rows_and_types_of_the_parts_are_those_of_the_table_which_stays_as_it_is(values):
    flags = pd.Series([True, None, False, False] * 250, dtype="object")
    days = pd.Series(np.datetime64("2020-01-01") + np.arange(1000)).astype("datetime64[us]")
    data = table(flag=flags, day=days, t=np.arange(1000)[::-1], g=np.arange(1000) % 50, whole=np.arange(1000) < 500)
    before = data.frame.copy()
    for part in split_table(data, settings(**values)):
        pd.testing.assert_frame_equal(part.frame, before.loc[part.frame.index], check_exact=True)
    pd.testing.assert_frame_equal(data.frame, before)
