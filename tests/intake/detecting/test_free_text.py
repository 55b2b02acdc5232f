"""Which columns ``add`` takes for free text."""

from lockstep.intake.detecting.column_roles import find_roles
from lockstep.intake.detecting.free_text import free_texts
from lockstep.reading.dataframes import normalised_frame

import numpy as np
import pandas as pd
import pytest

ROWS = 300
RANDOM = np.random.default_rng(0)
GRADES, JOBS = ("Junior", "Senior", "Master", "Chief"), [f"{job}er" for job in "abcdefghijklm"]
NAMES = [f"{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(ROWS)]
WORDS = "the food was not as good as we had been told but very warm and cheap so come again with friends"


def of(make):
    return [make(number) for number in range(ROWS)]


def found(values, name="x", without=()):
    columns = {name: values, "y": RANDOM.normal(size=ROWS)}
    frame = normalised_frame(pd.DataFrame(columns))
    roles = find_roles(frame, "y", "regression")
    return free_texts(frame, roles, ["y", *without]), roles


@pytest.mark.parametrize(
    "values",
    [
        of(lambda i: f"{GRADES[i % 4]} {JOBS[i % 13]}"),
        of(lambda i: f"{GRADES[i % 4]} {JOBS[i % 13]}" if i % 3 else None),
        of(
            lambda _: " ".join(RANDOM.permutation(WORDS.split())[: RANDOM.integers(8, 15)])
        ),  # all differ, and say something
        of(lambda i: " ".join(RANDOM.permutation(WORDS.split())) + f" {i}"),
        of(lambda _: " ".join(RANDOM.permutation(WORDS.split())[: RANDOM.integers(3, 6)])),  # nearly all differ
    ],
    ids=["titles", "titles with gaps", "remarks", "remarks with a number", "short titles"],
)
def test_free_text(values):
    names, roles = found(values)
    assert (names, roles.identifiers) == (["x"], {})
    assert found(values, without=["x"])[0] == []


@pytest.mark.parametrize(
    "values",
    [
        of(lambda i: f"{GRADES[i % 4]} {JOBS[i % 5]}"),  # few levels
        of(lambda i: JOBS[i % 13] + GRADES[i % 4]),  # one word
        of(lambda i: f"{i % 140 + 1} {JOBS[i % 13]} Street"),
        of(lambda i: f"{JOBS[i % 13]} Avenue {i % 140 + 1}, Apt {i % 7}, {30000 + i % 90} Springfield"),
        of(lambda i: f"{i % 28 + 1}.{i % 12 + 1}.2024 at noon"),
        of(lambda i: f"Nov {i % 28 + 1} {2000 + i % 20}"),
        of(lambda i: f"+49 {i % 90} 555 {i % 70}"),
        of(lambda i: f"AB {i % 90}/X {i % 50}"),
        of(
            lambda i: f"{GRADES[i % 4]} {chr(97 + i // 26) * 2}son {chr(97 + i % 26) * 2}ov{chr(97 + i // 26)}"
        ),  # a name for each row
        of(lambda i: i % 90),
    ],
    ids=["few", "words", "streets", "addresses", "dates", "days", "telephones", "codes", "names", "numbers"],
)
def test_what_is_none(values):
    assert found(values)[0] == []
