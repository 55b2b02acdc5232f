"""What a search may choose from: what is accepted, what each error says."""

from lockstep.kernel.errors import SettingsError
from lockstep.steps.tuning.search_space import Range, ends, parse_space

import pytest


def test_ranges_and_lists_sorted_by_name():
    given = {"c": ["x", None, [8, 8], True], "b": {"low": 0.1, "high": 1, "log": True}, "a": {"low": 1, "high": 9}}
    space = parse_space(given, "here")
    assert space == {"a": Range(1, 9, False), "b": Range(0.1, 1, True), "c": ["x", None, [8, 8], True]}
    assert list(space) == ["a", "b", "c"]
    assert ends(space["a"]) == [1, 9]
    assert ends(space["c"]) == given["c"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            5,
            "here.x is 5. Allowed: a range such as {low: 1, high: 20}, with log: true for a logarithmic one, or a list",
        ),
        (None, "here.x is None. Allowed: a range"),
        ("1-9", "here.x is '1-9'. Allowed: a range"),
        ([], "here.x is an empty list: there is nothing to choose from. Allowed: a range"),
        ([{"a": 1}], "here.x has a value that is no number, text, boolean, null or list of these."),
        ([[float("nan")]], "here.x has a value that is no number"),
        ({"low": 1, "hihg": 2}, "here.x.hihg is not a setting. Allowed, nearest first: high, "),
        ({"low": 1}, "here.x.high is missing. Allowed: a number."),
        ({"low": "1", "high": 2}, "here.x.low is '1'. Allowed: a number."),
        ({"low": True, "high": 2}, "here.x.low is True. Allowed: a number."),
        ({"low": 1, "high": float("inf")}, "here.x.high is inf. Allowed: a number."),
        ({"low": 2, "high": 1}, "here.x: low, 2, must be below high, 1. Allowed: a range"),
        ({"low": 1, "high": 1}, "here.x: low, 1, must be below high, 1."),
        ({"low": 0, "high": 1, "log": True}, "here.x.low is 0. Allowed with log: true: a number above 0."),
        ({"low": 1, "high": 2, "log": "yes"}, "here.x.log is 'yes'. Allowed: true or false."),
    ],
)
def test_what_is_refused(entry, message):
    with pytest.raises(SettingsError) as caught:
        parse_space({"x": entry}, "here")
    assert str(caught.value).startswith(message)
