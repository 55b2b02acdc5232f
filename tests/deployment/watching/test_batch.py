"""A batch beside training and test rows: odd cells, shifts, what is found."""

from lockstep.comparing.tables.changes import NO_SHIFT, SHIFTED
from lockstep.deployment.watching.batch import Batch, Reference, odd_cells, watch_batch
from lockstep.learning.scoring import Predictions
from lockstep.tables.table import Table

import numpy as np
import pandas as pd
import pytest


def columns(rows, seed):
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": random.normal(size=rows),
            "level": random.choice(["low", "high"], rows),
            "flag": random.random(rows) < 0.5,
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 300, rows), "D"),
        }
    )
    return frame.assign(y=frame["number"] + random.normal(scale=0.1, size=rows))


def watched(change=lambda frame: frame, rows=200, **own):
    """What a batch of the distribution of the training rows shows, once ``change`` is made to it; predictions are the
    number."""
    train, test = (Table(columns(size, seed), "y", "regression") for size, seed in ((600, 1), (300, 2)))
    batch = change(columns(rows, 3))
    reference = Reference(train, test, Predictions(test.frame["number"].to_numpy(), None, None, None))
    predictions = Predictions(batch["number"].fillna(0).to_numpy(), None, None, None)
    return watch_batch(reference, Batch(batch.drop(columns="y"), predictions, **own))


def verdicts(found):
    return {item.compared.column: item.compared.verdict for item in found.columns}


def test_rows_of_the_same_distribution_raise_no_alarm():
    found = watched()
    assert (found.found, found.verdict) == ((), NO_SHIFT)
    assert set(verdicts(found).values()) == {NO_SHIFT}


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("number", lambda frame: frame.assign(number=frame["number"] + 1)),
        ("number", lambda frame: frame.assign(number=frame["number"].mask(frame.index < 40))),
        ("number", lambda frame: frame.assign(number=np.nan)),
        ("level", lambda frame: frame.assign(level="low")),
        ("level", lambda frame: frame.assign(level=np.nan)),  # as predict fills in a column that is not there
        ("flag", lambda frame: frame.assign(flag=True)),
        ("flag", lambda frame: frame.assign(flag=np.nan)),
        ("when", lambda frame: frame.assign(when=frame["when"] + pd.Timedelta(days=200))),
        ("when", lambda frame: frame.assign(when=pd.NaT)),
    ],
)
def test_a_column_that_changed_is_named(column, change):
    found = watched(change)
    assert found.found == ("shifted",)
    assert [name for name, verdict in verdicts(found).items() if verdict == SHIFTED] == [column]
    assert found.shifted_columns == [column]


def test_predictions_are_compared_with_those_of_the_test_rows():
    assert [item.verdict for item in watched().predictions] == [NO_SHIFT]
    moved = watched(lambda frame: frame.assign(number=frame["number"] + 1))
    assert [item.verdict for item in moved.predictions] == [SHIFTED]


def test_odd_cells():
    known = pd.DataFrame(
        {
            "number": [1.0, 2.0, np.nan, 3.0],
            "level": pd.Series(["a", "b", "a", "b"], dtype="str"),
            "text": pd.Series(["one", "two", "three", "four"], dtype="str"),
            "flag": [True, True, True, True],
            "empty": [np.nan] * 4,
        }
    )
    rows = pd.DataFrame(
        {
            "number": [1.0, 3.1, np.nan],
            "level": pd.Series(["b", "c", None], dtype="str"),
            "text": pd.Series(["five", "six", "seven"], dtype="str"),
            "flag": [True, False, True],
            "empty": [np.nan, 1.0, np.nan],
        }
    )
    found = {name: cells.tolist() for name, cells in odd_cells(known, rows).items()}
    assert found == {
        "number": [False, True, False],  # training rows miss it, too
        "level": [False, True, True],
        "flag": [False, True, False],
        "empty": [False, True, False],
    }


def test_odd_rows_are_an_alarm_where_there_are_more_than_among_the_test_rows():
    found = watched(lambda frame: frame.assign(number=frame["number"].where(frame.index >= 20, 9.0)))
    assert found.odd.compared.verdict == SHIFTED
    assert found.odd.batch >= 0.1 > found.odd.test
    assert next(item.odd_rows for item in found.columns if item.compared.column == "number") >= 20


def test_a_worse_metric_is_found_where_the_truth_is_known():
    truth = columns(200, 3)["y"].to_numpy()
    assert watched(known=np.arange(200), y=truth).verdict == "no detectable shift, no detectable difference"
    found = watched(known=np.arange(100), y=truth[:100] + np.random.default_rng(0).normal(size=100))
    assert (found.found, found.verdict) == (("worse",), "no detectable shift, worse")
    assert found.rows_with_truth == 100


def test_groups_and_weights_of_the_test_rows_are_those_of_the_batch_too():
    """Where the batch has not their columns, it says what follows."""
    more = {"customer": np.arange(300) // 6, "times": np.ones(300)}
    test = Table(columns(300, 2).assign(**more), "y", "regression", group="customer", weight="times")
    train = Table(columns(600, 1), "y", "regression")
    reference = Reference(train, test, Predictions(test.frame["number"].to_numpy(), None, None, None))
    new = columns(200, 3)
    predictions = Predictions(new["number"].to_numpy(), None, None, None)
    batch = Batch(new.drop(columns="y"), predictions, np.arange(200), new["y"].to_numpy())
    assert [note.split(",")[0] for note in watch_batch(reference, batch).notes] == [
        "The rows of one 'customer' are not independent",
        "The test rows are weighted by 'times'",
    ]
    full = batch._replace(groups=np.arange(200) // 10, weights=np.ones(200))
    assert watch_batch(reference, full).notes == ()
    few = batch._replace(groups=np.arange(200) // 50, weights=np.ones(200))
    assert watch_batch(reference, few).metrics.why.startswith("200 rows with the truth in 4 groups are too few")


def test_columns_are_counted(counts):
    watched()
    assert counts()[0] == "6 of 6 columns"  # the four, the prediction, and which rows are odd
