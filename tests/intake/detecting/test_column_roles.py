"""What add finds out of columns beside the target: identifiers, dates, leaks."""

from lockstep.intake.detecting.column_roles import find_roles, one_hot_columns
from lockstep.reading.dataframes import normalised_frame

import numpy as np
import pandas as pd
import pytest

ROWS = 120


def inspect(target, task, **columns):
    frame = normalised_frame(pd.DataFrame(columns | {"y": target}))
    return find_roles(frame, "y", task)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_identifiers_constants_and_dates(random):
    found = inspect(
        ["u", "v"] * 60,
        "classification",
        row=np.arange(ROWS),
        customer_id=random.permutation(10**6)[:ROWS],
        ticket=[f"t{i}" for i in range(ROWS)],
        constant=7,
        empty=[None] * ROWS,
        sold=[f"2024-01-{1 + i % 28:02d}" for i in range(ROWS)],
        american=[f"{1 + i % 12}/15/2024" for i in range(ROWS)],
        size=random.normal(size=ROWS),
        integer=random.permutation(10**6)[:ROWS],
        colour=["red", "green", "blue"] * 40,
    )
    assert found.identifiers == {
        "row": "numbers the rows",
        "customer_id": "an identifier",
        "ticket": "nearly all values differ",
    }
    assert found.constants == {"constant": "constant", "empty": "empty"}
    assert found.dates == ["sold", "american"]
    assert (found.leaks, found.suspects, found.repeating) == ({}, [], [])


def test_numbers_that_nearly_are_two_classes(random):
    classes = random.choice(["u", "v"], ROWS)
    near = (classes == "u") + random.normal(0, 0.05, ROWS)
    found = inspect(classes, "classification", near=near, far=near + random.normal(size=ROWS))
    assert [(name, round(r, 1)) for name, r in found.suspects] == [("near", -1.0)]
    gaps = np.where(np.arange(ROWS) % 9, classes.astype(object), None)
    assert [name for name, _ in inspect(gaps, "classification", near=near).suspects] == ["near"]
    assert inspect(np.where(np.arange(ROWS) % 9, classes, "w"), "classification", near=near).suspects == []


def test_identifiers_that_repeat(random):
    """Where rows of one house are alike they belong together. A place such as a zip code is no such thing."""
    house, size = np.repeat(np.arange(60), 2), random.normal(size=ROWS)
    columns = {"house_id": house, "zip_code": house, "size": size}
    found = inspect(random.normal(size=ROWS), "regression", **columns, rooms=random.integers(1, 9, 60)[house])
    assert found.repeating == ["house_id"]
    assert found.identifiers == {}
    assert inspect(random.normal(size=ROWS), "regression", house_id=house, size=size).repeating == []


def test_an_identifier_with_one_repeat(random):
    codes = [f"c:{i}" for i in random.permutation(10**6)[:ROWS]]
    found = inspect(["u", "v"] * 60, "classification", object_id=[codes[1], *codes[1:]], size=random.normal(size=ROWS))
    assert (found.identifiers, found.repeating) == ({"object_id": "an identifier"}, [])


def test_an_identifier_needs_more_than_a_word_in_its_name(random):
    """order_value was dropped for the word order, and number_of_views grouped the rows for the word number."""
    found = inspect(
        random.normal(size=ROWS),
        "regression",
        order_value=random.permutation(10**4)[:ROWS],
        number_of_views=np.resize(np.arange(60), ROWS),
        score_id=random.normal(size=ROWS),
        key_figure=random.permutation(10**4)[:ROWS],
        customer_no=random.permutation(10**4)[:ROWS],
        when=pd.date_range("2024-01-01", periods=ROWS).astype(str),
        remark=[f"remark {i} of many" for i in range(ROWS)],
    )
    assert found.identifiers == {
        "customer_no": "an identifier",
        "when": "nearly all values differ",
        "remark": "nearly all values differ",
    }
    assert found.dates == ["when"]
    assert found.repeating == []


def test_leaks_of_a_class(random):
    target = random.choice(["u", "v"], ROWS)
    found = inspect(target, "classification", code=np.where(target == "u", 1, 2), other=random.choice(["a", "b"], ROWS))
    assert found.leaks == {"code": "gives the target away exactly"}


def test_leaks_of_a_number(random):
    day, night = random.integers(0, 100, ROWS), random.integers(0, 100, ROWS)
    found = inspect(day + night, "regression", day=day, night=night, size=random.normal(size=ROWS))
    assert found.leaks == dict.fromkeys(["day", "night"], "a part of the target, 'day' + 'night'")
    assert found.of("day") == ["a part of the target, 'day' + 'night'"]
    found = inspect(day - night, "regression", day=day, night=night, size=random.normal(size=ROWS))
    assert len(found.leaks) == 1  # without it nothing gives the target away, and the other one may have been known
    price = random.normal(size=ROWS)
    found = inspect(
        price, "regression", value=price + random.normal(scale=0.1, size=ROWS), size=random.normal(size=ROWS)
    )
    assert found.leaks == {}
    assert [name for name, _ in found.suspects] == ["value"]
    assert found.suspects[0][1] > 0.95


def test_a_number_column_of_one_value_does_not_disturb_the_search_for_leaks(random):
    target = random.normal(size=ROWS)
    found = inspect(target, "regression", same=3.5, copy=target * 2 + 1, gaps=[None] * ROWS)
    assert found.leaks == {"copy": "the target is 0.5 x 'copy' - 0.5"}
    assert found.constants == {"same": "constant", "gaps": "empty"}


def test_a_target_with_missing_values_still_shows_what_follows_it(random):
    target = pd.Series(random.normal(size=ROWS))
    copy, near = target * 2 + 1, target + random.normal(scale=0.01, size=ROWS)
    target[3] = None
    found = inspect(target, "regression", a=random.normal(size=ROWS), copy=copy, near=near)
    assert list(found.leaks) == ["copy"]
    assert [name for name, _ in found.suspects] == ["near"]


def test_one_hot_columns(random):
    kind = random.integers(0, 3, ROWS)
    frame = pd.DataFrame({f"kind of home_{name}": kind == number for number, name in enumerate(["a", "b b", "c"])})
    frame = frame.assign(is_new=kind == 1, is_old=kind == 2, size=kind)
    assert one_hot_columns(normalised_frame(frame)) == ["kind of home_a", "kind of home_b b", "kind of home_c"]
