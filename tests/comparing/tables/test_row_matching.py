"""Which rows were added, removed and changed, by a key, dropped or not, or by content."""

from lockstep.comparing.tables.changes import Side, compare_tables
from lockstep.comparing.tables.row_matching import Key
from lockstep.reading.dataframes import normalised_frame
from lockstep.tables.table import Table

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import drawn

N = 200


@pytest.fixture(scope="module")
def people():
    """A table of N rows with an identifier that counts, one of texts, and columns of few and of many values."""
    random = np.random.default_rng(0)
    columns = {
        "id": np.arange(1, N + 1),
        "code": [f"c{i:04}" for i in random.permutation(9999)[:N]],
        "income": np.round(random.lognormal(3, 1, N), 2),
        "age": random.integers(18, 80, N),
        "sex": random.choice(["f", "m"], N),
        "y": random.choice(["no", "yes"], N),
    }
    return pd.DataFrame(columns)


def side(raw, drop=()):
    """What ``load`` makes of a raw table, and what it drops."""
    frame = normalised_frame(raw.reset_index(drop=True))
    return Side(Table(frame.drop(columns=list(drop)), "y", "classification"), frame[list(drop)])


def counts(found):
    rows = found.rows
    changed = None if rows.changed is None else (rows.changed.count, sum(rows.changed.by_column.values()))
    return rows.added, rows.removed, changed, rows.same


def edited(people, rows, column="income", value=-1.0):
    people = people.copy()
    people.loc[list(rows), column] = value
    return people


@pytest.mark.parametrize("drop", [(), ("code",), ("id", "code")])
def test_a_key_counts_the_same_dropped_or_not(people, drop):
    """Removed, edited and added rows: a case in which, by content, all are added or removed."""
    more = people.head(5).assign(id=range(900, 905), code=[f"new{i}" for i in range(5)])
    after = pd.concat([edited(people, range(20, 60)).drop(index=range(10)), more])
    found = compare_tables(side(people, drop), side(after, drop))
    assert counts(found) == (5, 10, (40, 40), 150)
    assert found.rows.key == (Key("id", "id", (True, True)) if "id" in drop else Key("id", "id"))
    assert found.rows.changed.by_column == {"income": 40}
    assert found.rows.changed.examples[0].key == 21
    assert found.rows.removed_row_numbers == (1, 2, 3, 4, 5)


@drawn(60)
@given(
    seed=st.integers(0, 2**32 - 1),
    removed=st.integers(0, 100),
    added=st.integers(0, 100),
    edits=st.integers(0, 60),
    shuffled=st.booleans(),
    dropped=st.booleans(),
    texts=st.booleans(),
)
def test_random_edits_removals_and_additions_are_counted_exactly(
    people, seed, removed, added, edits, shuffled, dropped, texts
):
    random = np.random.default_rng(seed)
    before = people.drop(columns="id" if texts else "code")
    key = "code" if texts else "id"
    kept = before.iloc[np.sort(random.permutation(N)[removed:])].copy()
    rows = np.sort(random.permutation(len(kept))[:edits])
    kept.iloc[rows, kept.columns.get_loc("income")] += 1.0
    more = before.sample(added, replace=True, random_state=seed % 1000)  # in all but the key as rows that are there
    more[key] = [f"n{i}" for i in range(added)] if texts else range(1000, 1000 + added)
    after = pd.concat([kept, more])
    after = after.sample(frac=1.0, random_state=1) if shuffled else after
    drop = (key,) if dropped else ()
    found = compare_tables(side(before, drop), side(after, drop))
    assert found.rows.key == Key(key, key, (dropped, dropped))
    n_edits = len(rows)
    assert counts(found) == (added, removed, (n_edits, n_edits), N - removed - n_edits)


def test_of_several_keys_the_one_by_which_most_cells_are_the_same(people):
    """``id`` was made anew, in another order, and is named like the better one."""
    after = edited(people, range(30)).assign(id=np.random.default_rng(1).permutation(N) + 1)
    found = compare_tables(side(people, ("id", "code")), side(after, ("id", "code")))
    assert found.rows.key == Key("code", "code", (True, True))
    assert counts(found) == (0, 0, (30, 30), N - 30)


def test_row_numbers_made_anew_are_no_key(people):
    people = people.drop(columns="code")
    after = people.drop(index=range(10)).assign(id=np.arange(1, N - 9))
    found = compare_tables(side(people, ("id",)), side(after, ("id",)))
    assert found.rows.key is None
    assert counts(found) == (0, 10, None, N - 10)


def test_row_numbers_are_a_key_where_rows_keep_them(people):
    people = people.drop(columns="code")
    more = people.head(5).assign(id=np.arange(N + 1, N + 6), income=-5.0)
    found = compare_tables(side(people, ("id",)), side(pd.concat([edited(people, range(40)), more]), ("id",)))
    assert counts(found) == (5, 0, (40, 40), N - 40)


@pytest.mark.parametrize("drop", [(), ("id",)])
def test_a_key_that_repeats_in_one_revision(people, drop):
    """Rows were doubled, and one of two equal keys edited: it is the other one that is the same."""
    people = people.drop(columns="code")
    after = pd.concat([edited(people.head(8), range(4)), people])
    found = compare_tables(side(people, drop), side(after, drop))
    assert found.rows.key == Key("id", "id", (bool(drop), bool(drop)))
    assert counts(found) == (8, 0, (0, 0), N)
    back = compare_tables(side(after, drop), side(people, drop))
    assert counts(back) == (0, 8, (0, 0), N)


def test_a_key_that_some_rows_lack(people):
    before = people.drop(columns="id")
    before["code"] = before["code"].where(np.arange(N) >= 10)
    found = compare_tables(side(before, ("code",)), side(edited(before, [3, 50, 51]), ("code",)))
    assert counts(found) == (1, 1, (2, 2), N - 3)  # a row without a key is matched by content


def test_a_key_of_another_name(people):
    before = people.drop(columns="id")
    after = edited(before, range(30)).drop(index=range(30, 35)).rename(columns={"code": "customer"})
    found = compare_tables(side(before), side(after, ("customer",)))
    assert found.rows.key == Key("code", "customer", (False, True))
    assert counts(found) == (0, 5, (30, 30), N - 35)


def test_a_key_whose_numbers_became_texts(people):
    people = people.drop(columns="code")
    after = edited(people, range(30)).assign(id=[*map(str, people["id"][1:]), "X7"]).iloc[:-1]
    after["id"] = people["id"].astype(str).iloc[:-1]
    after = pd.concat([after, people.tail(1).assign(id="X7")])
    found = compare_tables(side(people, ("id",)), side(after, ("id",)))
    assert counts(found) == (1, 1, (30, 30), N - 31)


def test_what_is_continuous_is_no_key(people):
    """The income identifies nearly every row, but the one that was edited is another number."""
    columns = ["income", "age", "y"]
    found = compare_tables(side(people[columns]), side(edited(people[columns], range(3))))
    assert (found.rows.key, counts(found)) == (None, (3, 3, None, N - 3))


def test_other_rows_with_values_in_common_by_chance(people):
    """Of two samples without a row in common a few whole numbers are the same: no key."""
    random = np.random.default_rng(2)
    first, second = (
        people[["income", "sex", "y"]].assign(income=random.normal(size=N), visits=random.permutation(20_000)[:N])
        for _ in range(2)
    )
    second.loc[0, "visits"] = first.loc[5, "visits"]
    assert compare_tables(side(first), side(second)).rows.key is None


def test_many_keys_and_contents_are_told_apart():
    """Codes of 32 bits, multiplied, would wrap from some 46,000 keys on, and pair rows of different keys."""
    random = np.random.default_rng(0)
    ids = [f"k{i}" for i in range(150_000)]
    frame = pd.DataFrame({"id": ids, "x": random.normal(size=150_000), "y": random.choice(["no", "yes"], 150_000)})
    found = compare_tables(side(frame), side(frame.assign(x=frame["x"] + 1).sample(frac=1, random_state=0))).rows
    assert (found.added, found.removed) == (0, 0)
    assert found.changed.by_column == {"x": 150_000}
