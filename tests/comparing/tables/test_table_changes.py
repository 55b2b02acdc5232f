"""What changed from one table to another."""

import json

from lockstep.comparing.tables.changes import NO_SHIFT, NOT_TESTED, SHIFTED, ColumnType, Level, Retyped, compare_tables
from lockstep.comparing.tables.row_matching import CellChange, Key
from lockstep.steps.splitting.data_checks import SHIFT_LEVEL, CheckSettings, run_checks

import msgspec
import numpy as np
import pandas as pd
import pytest
from scipy import stats

N = 300


@pytest.fixture
def table(make_table):
    """A function: the table of N rows with every type of column, some of them replaced; None leaves one out."""
    random = np.random.default_rng(0)
    columns = {
        "size": random.normal(size=N),
        "gaps": np.where(random.random(N) < 0.1, np.nan, random.normal(size=N)),
        "count": random.integers(0, 9, N),
        "mark": random.integers(0, 5, N),
        "flag": random.random(N) < 0.5,
        "flaw": pd.Series(np.where(random.random(N) < 0.1, None, random.random(N) < 0.5), dtype="object"),
        "colour": random.choice(["red", "green", "blue"], N).astype(object),
        "y": random.choice(["no", "yes"], N).astype(object),
    }

    def make(task="classification", **changes):
        return make_table({k: v for k, v in (columns | changes).items() if v is not None}, task)

    make.columns = columns
    return make


def feature(found, name):
    return next(column for column in found.features if column.column == name)


def rows(found):
    counts = {key: getattr(found.rows, key) for key in ("added", "removed", "same", "reordered")}
    return counts | {"changed": found.rows.changed and found.rows.changed.count}


def test_nothing_changed(table):
    found = compare_tables(table(), table())
    assert found.status == "unchanged"
    assert rows(found) == {"added": 0, "removed": 0, "changed": None, "same": N, "reordered": False}
    assert all(column.same_values and column.verdict == NO_SHIFT for column in found.features)
    assert found.target.shift.verdict == NO_SHIFT
    json.dumps(msgspec.to_builtins(found), allow_nan=False)


def test_permuted_rows_are_the_same_rows_in_another_order(table):
    found = compare_tables(table(), table().rows(np.random.default_rng(1).permutation(N)))
    assert found.status == "reordered"
    assert rows(found) == {"added": 0, "removed": 0, "changed": None, "same": N, "reordered": True}
    assert all(column.same_values for column in found.features)


def test_columns_in_another_order(table):
    before, after = table(), table()
    after = type(after)(after.frame[list(after.frame)[::-1]], "y", "classification")
    found = compare_tables(before, after)
    assert (found.status, found.columns.reordered, found.rows.same) == ("reordered", True, N)


def test_rows_added_and_removed(table):
    before, after = table().rows(np.arange(280)), table().rows(np.arange(5, N))
    found = compare_tables(before, after)
    assert found.status == "changed"
    assert rows(found) == {"added": 20, "removed": 5, "changed": None, "same": 275, "reordered": False}
    assert found.rows.added_row_numbers == (281, 282, 283, 284, 285)
    assert found.rows.removed_row_numbers == (1, 2, 3, 4, 5)


def test_rows_count_as_often_as_they_stand(make_table):
    before = make_table({"a": [1, 1, 1, 2, 2, 3], "b": [np.nan, np.nan, np.nan, 0, 0, 0], "y": ["u"] * 6})
    after = make_table({"a": [1, 3, 2, 2, 2, 4], "b": [np.nan, 0, 0, 0, 0, 0], "y": ["u"] * 6})
    found = compare_tables(before, after)
    assert rows(found) == {"added": 2, "removed": 2, "changed": None, "same": 4, "reordered": None}
    assert found.rows.added_row_numbers == (5, 6)
    assert found.rows.removed_row_numbers == (2, 3)


def test_rows_are_matched_as_pandas_would_match_them(make_table):
    """Against a plain multiset of tuples, on small tables of many equal rows and many columns."""
    from collections import Counter

    for seed in range(30):
        random = np.random.default_rng(seed)

        def draw(random=random):
            n = random.integers(1, 40)
            columns = {f"c{i}": random.choice([0.0, 1.5, np.nan], n, p=[0.8, 0.1, 0.1]) for i in range(6)}
            return make_table(columns | {"t": random.choice(["a", None], n), "y": random.choice(["u", "v"], n)})

        before, after = draw(), draw()
        bags = [
            Counter(t.frame.fillna({"t": ""}).fillna(-1).itertuples(index=False, name=None)) for t in (before, after)
        ]
        found = compare_tables(before, after).rows
        assert found.added == (bags[1] - bags[0]).total()
        assert found.removed == (bags[0] - bags[1]).total()
        assert found.same == (bags[0] & bags[1]).total()


def test_many_columns_do_not_overflow(make_table):
    random = np.random.default_rng(0)
    columns = {f"c{i}": random.normal(size=1000) for i in range(40)} | {"y": ["u"] * 1000}
    edited = columns | {"c39": columns["c39"].copy()}
    edited["c39"][7] = 0.0
    found = compare_tables(make_table(columns), make_table(edited))
    assert rows(found) == {"added": 1, "removed": 1, "changed": None, "same": 999, "reordered": False}
    assert found.rows.added_row_numbers == (8,)


def test_a_key_tells_which_rows_changed(table):
    ids = [f"id{i}" for i in range(N)]
    before = table(id=ids)
    sizes, colours = table.columns["size"].copy(), table.columns["colour"].copy()
    sizes[[3, 4]], colours[4] = [9.5, 8.5], "pink"
    after = table(id=[*ids[:-1], "new"], size=sizes, colour=colours).rows(np.arange(N)[::-1])
    found = compare_tables(before, after)
    assert found.rows.key == Key("id", "id")
    assert rows(found) == {"added": 1, "removed": 1, "changed": 2, "same": N - 3, "reordered": True}
    assert found.rows.changed.by_column == {"size": 2, "colour": 1}
    assert [example.key for example in found.rows.changed.examples] == ["id4", "id3"]
    assert found.rows.changed.examples[0].cells[1].after == "pink"
    assert feature(found, "id").why_not_tested == "the key"


def test_cells_of_numbers_keep_their_type(make_table):
    """A row of whole and decimal numbers alone, whose key is beyond what a decimal number can hold."""
    ids = [2**53 + 1, 7]
    found = compare_tables(*(make_table({"id": ids, "v": [value, 2.5], "y": [0, 1]}) for value in (0.5, 1.5)))
    (example,) = found.rows.changed.examples
    assert (example.key, example.cells) == (2**53 + 1, (CellChange("v", 0.5, 1.5),))
    assert type(example.key) is int


@pytest.mark.parametrize(
    "columns",
    [
        {"size": np.arange(N) / 7},  # a decimal number is no key, however unique
        {"id": np.arange(N) // 2},
        {"id": [*map(str, range(N // 3)), *[None] * (N - N // 3)]},
        {"y": np.arange(N), "task": "regression"},  # nor is the target
    ],
)
def test_what_is_no_key(table, columns):
    assert compare_tables(table(**columns), table(**columns)).rows.key is None


def test_columns_added_removed_and_of_another_type(table):
    before = table(count=[str(i) + "x" for i in table.columns["count"]], flag=np.arange(N) % 2)
    after = table(gaps=None, extra=np.arange(N) % 3, flag=np.arange(N) % 2 * 1.0)
    found = compare_tables(before, after)
    assert found.status == "changed"
    assert found.columns.added == (ColumnType("extra", "whole number"),)
    assert found.columns.removed == (ColumnType("gaps", "number"),)
    assert found.columns.retyped == (
        Retyped("count", "text", "whole number"),
        Retyped("flag", "whole number", "number"),
    )
    assert "count" not in found.columns.compared
    assert found.rows.same == N  # on the columns that can be compared
    assert (feature(found, "count").verdict, feature(found, "count").why_not_tested) == (
        NOT_TESTED,
        "text before, whole number now",
    )


def test_no_column_in_common(make_table):
    found = compare_tables(make_table({"a": [1, 2], "y": ["u", "v"]}), make_table({"b": [1, 2, 3], "y": [1, 2, 3]}))
    assert rows(found) == {"added": 3, "removed": 2, "changed": None, "same": 0, "reordered": None}


def test_new_and_vanished_categories(table):
    colours = table.columns["colour"].copy()
    colours[colours == "red"] = "pink"
    colours[:2] = ["a|b", "a|b"]
    levels = feature(compare_tables(table(), table(colour=colours)), "colour").categories
    assert levels.new.count == 2
    assert levels.new.first[1] == Level("a|b", 2)
    assert [level.value for level in levels.vanished.first] == ["red"]


def test_missing_cells_shift(table):
    gaps = table.columns["gaps"].copy()
    gaps[:100] = np.nan
    column = feature(compare_tables(table(), table(gaps=gaps)), "gaps")
    assert column.missing.before < 0.15 < 0.35 < column.missing.after
    assert column.missing.p_adjusted < 1e-6
    assert column.values.p_adjusted > 0.05
    assert column.verdict == SHIFTED


def test_a_column_without_a_value(table):
    column = feature(compare_tables(table(), table(gaps=np.full(N, np.nan))), "gaps")
    assert (column.values, column.why_not_tested, column.range.after) == (None, "no value now", None)


@pytest.mark.parametrize(
    ("name", "values", "test"),
    [
        ("size", lambda old, random: old + 0.6, "Kolmogorov-Smirnov"),
        ("count", lambda old, random: old + 2, "Kolmogorov-Smirnov"),  # 11 values in both tables
        ("mark", lambda old, random: np.minimum(old + 1, 4), "chi-squared"),
        ("flag", lambda old, random: random.random(N) < 0.8, "chi-squared"),
        ("flaw", lambda old, random: pd.Series(random.random(N) < 0.8, dtype=object), "chi-squared"),
        ("colour", lambda old, random: random.choice(["red", "green", "blue"], N, p=[0.7, 0.2, 0.1]), "chi-squared"),
    ],
)
def test_a_real_shift_is_found_in_its_column_alone(table, name, values, test):
    found = compare_tables(table(), table(**{name: values(table.columns[name], np.random.default_rng(5))}))
    assert {c.column for c in found.features if c.verdict == SHIFTED} == {name}
    assert feature(found, name).values.test == test
    assert feature(found, name).values.size > 0.15


def test_the_target_shifts(table):
    found = compare_tables(table(), table(y=["no"] * 250 + ["yes"] * 50))
    assert found.target.shift.verdict == SHIFTED
    assert found.target.shift.values.test == "chi-squared"
    assert all(column.verdict != SHIFTED for column in found.features)


def test_classes_that_are_numbers_are_categories(table):
    before, after = np.arange(N) % 15, np.arange(N) % 16
    shift = compare_tables(table(y=before), table(y=after)).target.shift
    assert shift.values.test == "chi-squared"
    assert shift.categories.new.first == (Level(15, 18),)
    shift = compare_tables(table("regression", y=before), table("regression", y=after)).target.shift
    assert (shift.values.test, shift.categories) == ("Kolmogorov-Smirnov", None)


def test_the_checks_of_the_split_say_the_same_of_two_tables(table):
    """Training and test rows as two revisions: each column and its missing values are shifted in both, with one p."""
    random = np.random.default_rng(7)
    changes = {
        "size": table.columns["size"] + 0.6,
        "mark": np.minimum(table.columns["mark"] + 1, 4),
        "flag": random.random(N) < 0.8,
        "gaps": np.where(random.random(N) < 0.5, np.nan, table.columns["gaps"]),
        "colour": random.choice(["red", "green", "pink", "grey"], N, p=[0.7, 0.25, 0.03, 0.02]),
        "y": random.choice(["no", "yes"], N, p=[0.8, 0.2]),
    }
    before, after = table(), table(**changes)
    found = compare_tables(before, after)
    tests = {f"'{item.column}'": item.values.p_adjusted for item in [*found.features, found.target.shift]}
    tests |= {
        f"missing values of '{item.column}'": item.missing.p_adjusted
        for item in found.features
        if item.missing.p_adjusted is not None
    }
    expected = [f"{name} (p {p:.1g})" for name, p in tests.items() if p < SHIFT_LEVEL]
    assert len(expected) >= 6
    (finding,) = [item for item in run_checks(before, after, CheckSettings()) if item.check == "shifted_column"]
    said, _, shifted = finding.message.partition(": ")
    assert said == f"{len(expected)} columns differ between training and test rows"
    assert sorted(shifted.split(", ")) == sorted(expected)


def test_another_target(table):
    found = compare_tables(table(), type(table())(table().frame, "colour", "classification"))
    assert found.status == "changed"
    assert (found.target.before.column, found.target.after.column) == ("y", "colour")
    assert found.target.shift is None


@pytest.mark.exhaustive
def test_families_without_a_shift_are_rarely_called_shifted(make_table):
    """Family-wise: in at most 5 % of problems may any column be called shifted, by chance (binomial bound, 99.9 %)."""
    random, trials, false = np.random.default_rng(3), 100, 0

    def draw():
        n = 120
        columns = {f"n{i}": random.normal(size=n) for i in range(4)}
        columns |= {f"t{i}": random.choice(["a", "b", "c", "d"], n, p=[0.6, 0.3, 0.07, 0.03]) for i in range(4)}
        columns |= {f"b{i}": random.random(n) < 0.5 for i in range(2)}
        columns |= {f"g{i}": np.where(random.random(n) < 0.3, np.nan, random.normal(size=n)) for i in range(2)}
        return make_table(columns | {"y": random.choice(["u", "v"], n)})

    for _ in range(trials):
        found = compare_tables(draw(), draw())
        false += any(c.verdict == SHIFTED for c in [*found.features, found.target.shift])
    assert false <= stats.binom.ppf(0.999, trials, 0.05)


def test_many_rows(make_table):
    random, n = np.random.default_rng(0), 200_000
    columns = {f"n{i}": random.normal(size=n) for i in range(10)}
    columns |= {f"i{i}": random.integers(0, 1000, n) for i in range(5)}
    columns |= {f"t{i}": random.choice(["a", "bb", "ccc"], n) for i in range(4)} | {"y": random.random(n) < 0.5}
    before = make_table(columns)
    after = before.rows(np.concatenate([np.arange(10, n), np.arange(5)]))
    assert rows(compare_tables(before, after)) == {
        "added": 0, "removed": 5, "changed": None, "same": n - 5, "reordered": True,
    }  # fmt: skip


def test_columns_are_counted(table, counts):
    compare_tables(table(), table())
    columns = table().frame.shape[1]
    assert counts() == [f"{columns} of {columns} columns"] * 2
