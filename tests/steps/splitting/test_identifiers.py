"""What is an identifier, of rows or of what they belong to, and what is none."""

from lockstep.reading.dataframes import normalised_frame
from lockstep.steps.splitting.identifiers import (
    alike_in,
    are_dates,
    identifier_of_rows,
    is_code,
    is_group,
    is_named_as_identifier,
)

import numpy as np
import pandas as pd
import pytest

ROWS = 300
RANDOM = np.random.default_rng(0)
DISTINCT = RANDOM.permutation(10**6)[:ROWS]
WORDS = [f"{one}{other}" for one in ("lamp", "table", "chair", "shelf") for other in ("", "s", "top", "set", "kit")]


def column(values, name="x"):
    return normalised_frame(pd.DataFrame({name: values}))[name]


def one_repeat(values):
    return [values[1], *list(values)[1:]]


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("x", np.arange(ROWS), "numbers the rows"),
        ("x", np.arange(ROWS) * 10 + 1000, "numbers the rows"),
        ("x", np.sort(RANDOM.permutation(400)[:ROWS]), "numbers the rows"),  # a quarter of the rows is gone
        ("customer_id", DISTINCT, "an identifier"),
        ("customerId", DISTINCT, "an identifier"),
        ("Order No", DISTINCT, "an identifier"),
        ("object_code", one_repeat(DISTINCT), "an identifier"),
        ("id", [None, *DISTINCT[1:]], "an identifier"),  # a float column, for the one that is missing
        ("x", [f"t{i}" for i in range(ROWS)], "nearly all values differ"),
        ("object_id", one_repeat([f"c:{i}" for i in DISTINCT]), "an identifier"),
        ("x", [f"{i:05}" for i in range(ROWS)], "nearly all values differ"),
        ("x", [f"A-{i}" for i in DISTINCT], "nearly all values differ"),
        ("x", [f"192.168.{i // 200}.{i % 200}" for i in range(ROWS)], "nearly all values differ"),
    ],
)
def test_identifiers_of_rows(name, values, why):
    assert identifier_of_rows(column(values, name)) == why


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("amount_id", RANDOM.normal(size=ROWS)),
        ("price", np.round(RANDOM.lognormal(3, 1, ROWS), 2)),
        ("population", DISTINCT),  # whole, all different, and no word of an identifier
        ("price", np.sort(RANDOM.permutation(10**6)[:ROWS])),  # the rows are sorted by it
        ("cholesterol", np.round(RANDOM.normal(240, 50, ROWS))),
        ("order_value", DISTINCT),
        ("number_of_views", DISTINCT),
        ("zip_code", DISTINCT),
        ("id", [*DISTINCT[:100], *[None] * 200]),
        ("id", np.arange(ROWS) % 60),
        ("x", [f"${i:,.2f}" for i in DISTINCT]),
        ("x", [f"{i / 100:.1f} kg" for i in DISTINCT]),
        ("x", [f"({i / 100:.2f})" for i in DISTINCT]),
        ("x", [f"{i / 1000}%" for i in DISTINCT]),
        ("x", [f"{i // 10**5},{i // 1000 % 100:02},{i % 1000:03}" for i in DISTINCT]),
        ("x", [f"\u2212{i / 7:.3f}" for i in DISTINCT]),
        ("x", RANDOM.random(ROWS) < 0.5),
        ("x", [None] * ROWS),
        ("title", [" ".join(RANDOM.choice(WORDS, 4)) for _ in range(ROWS)]),
    ],
)
def test_what_is_no_identifier_of_rows(name, values):
    assert identifier_of_rows(column(values, name)) == ""


@pytest.mark.parametrize(
    ("cell", "is_date"),
    [
        *(
            (text, True)
            for text in ("2024-1-05", "5.1.2024", "1/31/2024", "31/12/24", "20240105T101010", "by 5.1.2024.")
        ),
        *((text, False) for text in ("10.20.30.40", "192.168.10.25", "0.13.25", "1.14.123", "13/13/2020", "5.1/2024")),
    ],
)
def test_a_date_in_a_text_is_told_from_an_address_and_a_version(cell, is_date):
    assert are_dates(pd.Series([cell])) == is_date


def test_words_that_name_an_identifier():
    named = ["id", "ID", "user_id", "userId", "uuid", "row", "idx", "account-no", "item.number", "sku", " id "]
    unnamed = [
        "width",
        "paid",
        "valid",
        "order_value",
        "number_of_views",
        "zip_code",
        "country_code",
        "nova",
        "keyboard",
    ]
    assert [name for name in [*named, *unnamed] if is_named_as_identifier(name)] == named


def households(random, rows=ROWS):
    """A number of each household, of two persons on average, and what they have in common, or have not."""
    number = random.integers(0, rows // 2, rows)
    return pd.DataFrame(
        {"id": number, "rooms": 1 + number % 7, "income": number * 37 % 101 + random.normal(size=rows)}
    ).assign(age=random.integers(1, 90, rows), sex=random.choice(["f", "m"], rows))


def test_rows_of_one_value_are_alike():
    frame = households(np.random.default_rng(1))
    assert alike_in(frame["id"], frame) == ["rooms", "income"]
    assert is_group(frame["id"], frame)


def test_rows_that_are_not_alike_are_no_group():
    """By chance in at most one of a thousand tables; here in none of a hundred."""
    for seed in range(100):
        frame = households(np.random.default_rng(seed))[["id", "age", "sex"]].assign(
            size=np.random.default_rng(seed).normal(size=ROWS), rare=np.arange(ROWS) < 2
        )
        assert alike_in(frame["id"], frame) == []
        assert not is_group(frame["id"], frame)


@pytest.mark.parametrize("name", ["zip_code", "code", "amount", "order", "rooms"])
def test_a_group_is_named_as_one(name):
    frame = households(np.random.default_rng(1)).rename(columns={"rooms": "size"})
    assert not is_group(frame["id"].rename(name), frame)


def test_a_group_is_neither_a_level_nor_the_rows_themselves():
    frame = households(np.random.default_rng(1))
    assert not is_group(frame["id"] % 40, frame)
    assert not is_group(pd.Series(np.arange(ROWS), name="id"), frame)
    assert not is_group(pd.Series(one_repeat([f"c{i}" for i in range(ROWS)]), dtype="str", name="id"), frame)


def test_dates_and_amounts_are_no_codes():
    assert not is_code(column([f"2024-01-{1 + i % 28:02d}" for i in range(ROWS)]))
    assert not is_code(column([f"{i} €" for i in DISTINCT]))
    assert not is_code(column([0.5, 1.0]))
    assert is_code(column(["7A", "8B"]))
    assert is_code(column([1.0, None, 3.0]))
