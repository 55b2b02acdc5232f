"""Numbers that add up to the target, within the rounding of their digits."""

from lockstep.steps.splitting.exact_sums import exact_sums

import numpy as np
import pandas as pd
import pytest

ROWS = 300


@pytest.fixture
def random():
    return np.random.default_rng(0)


def found(y, **columns):
    """[(the columns of a sum, those to leave out)]"""
    sums = exact_sums(pd.DataFrame(columns), np.asarray(y, dtype="float64"))
    return [(sorted(one.weights), sorted(one.leaks)) for one in sums]


def test_parts_of_the_target(random):
    day, night = random.integers(0, 50, ROWS), random.integers(0, 50, ROWS)
    (one,) = exact_sums(
        pd.DataFrame({"day": day, "night": night, "size": random.normal(size=ROWS)}), 1.0 * (day + night)
    )
    assert one.formula == "'day' + 'night'"
    assert one.leaks == dict.fromkeys(["day", "night"], "a part of the target, 'day' + 'night'")
    assert one.weights == pytest.approx({"day": 1, "night": 1})


@pytest.mark.parametrize("digits", [0, 1, 2, 4, 15])
def test_a_sum_that_was_rounded(random, digits):
    """As of prices with tax, to the cent: the parts are rounded, and so is the target."""
    parts = random.lognormal(5, 1, (ROWS, 2)) * 100 ** (digits < 2)
    noise = random.normal(size=(ROWS, 20))
    y = np.round(parts @ [1.19, 1.07], digits)
    columns = {"net": np.round(parts[:, 0], digits), "food": np.round(parts[:, 1], digits)}
    columns |= {f"other{i}": noise[:, i] for i in range(20)}
    assert found(y, **columns) == [(["food", "net"], ["food", "net"])]


def test_single_precision_written_out(random):
    """The mean of two scores that were single-precision numbers: off by their rounding, which other numbers can fit."""
    scores = np.round(random.normal(650, 20, (ROWS, 2)), 1).astype("float32")
    mean = ((scores[:, 0] + scores[:, 1]) / 2).astype("float32")
    written = [[float(f"{cell:.12f}") for cell in column] for column in (*scores.T, mean)]
    others = {
        "pupils": random.integers(1, 9999, ROWS),
        "teachers": random.lognormal(5, 1, ROWS).astype("float32") * 1.0,
    }
    reading, maths, target = written
    assert found(target, reading=reading, maths=maths, **others) == [(["maths", "reading"], ["maths", "reading"])]


def test_a_copy_in_another_unit(random):
    miles = np.round(random.lognormal(2, 1, ROWS), 3)
    (one,) = exact_sums(pd.DataFrame({"miles": miles, "x": random.normal(size=ROWS)}), np.round(miles * 1.609344, 2))
    assert one.leaks == {"miles": "the target is 1.609 x 'miles'"}
    (one,) = exact_sums(pd.DataFrame({"celsius": miles}), miles * 1.8 + 32)
    assert one.formula == "1.8 x 'celsius' + 32"


def test_several_copies_are_all_found(random):
    y = np.round(random.normal(size=ROWS), 3)
    assert found(y, one=2 * y, two=y + 1, other=random.normal(size=ROWS)) in (
        [(["one"], ["one"]), (["two"], ["two"])],
        [(["two"], ["two"]), (["one"], ["one"])],
    )


def test_of_a_difference_one_column_is_a_leak_and_the_rest_is_kept(random):
    list_price = random.integers(500, 5000, ROWS)
    discount = (list_price * random.uniform(0.05, 0.6, ROWS)).astype(int)
    (one,) = exact_sums(pd.DataFrame({"list_price": list_price, "discount": discount}), 1.0 * (list_price - discount))
    assert one.formula == "'list_price' - 'discount'"
    assert one.leaks == {"discount": "with the others in 'list_price' - 'discount' it is the target"}


def test_nearly_is_not_exactly(random):
    value = random.normal(100, 10, ROWS)
    assert found(value + random.normal(scale=0.01, size=ROWS), value=value) == []
    off = np.round(value, 2)
    off[7] += 0.05
    assert found(off, value=np.round(value, 2)) == []


def test_coarse_numbers_are_no_sum_by_chance(random):
    """A target of a few whole numbers, which the others follow to less than their rounding."""
    x = random.normal(3, 1, ROWS)
    assert found(np.round(x), x=np.round(x + random.normal(scale=0.2, size=ROWS), 1)) == []
    columns = {f"x{i}": np.round(random.normal(size=ROWS)) for i in range(100)}
    assert found(np.round(random.normal(size=ROWS)), **columns) == []


def test_a_relation_of_the_first_rows_is_none(random):
    part, rest = random.integers(0, 9, (2, 20_000)) * 1.0
    y = part + rest
    y[-1] += 2
    assert found(y, part=part, rest=rest) == []


def test_missing_values_and_constants(random):
    y = random.normal(size=ROWS)
    copy, holes = 2 * y + 1, y.copy()
    y[3], holes[4] = np.nan, np.nan
    assert found(y, same=np.ones(ROWS), copy=copy, holes=holes) == [(["copy"], ["copy"])]
    assert found(y, same=np.ones(ROWS)) == []
    assert found(np.ones(ROWS), x=copy) == []
    assert exact_sums(pd.DataFrame({"text": ["a"] * ROWS}, dtype="str"), y) == []
