"""How the prediction depends on one feature at a time."""

from dataclasses import replace

from lockstep.steps.diagnosing.dependence import dependence_of
from reports import made_of, noisy, table_of

import numpy as np
import pandas as pd
import pytest


class Sum:
    """A model whose predictions are known: x, and 10 where the text is 'high'."""

    def predict(self, rows):
        return rows["x"].astype("float64").to_numpy() + 10 * (rows["t"] == "high").to_numpy()


def test_the_dependence_of_a_known_model_is_its_own_slope():
    frame = pd.DataFrame({"x": np.arange(100), "t": ["high", "low"] * 50, "y": np.zeros(100)})
    table = table_of(frame, "regression")
    found = {entry.feature: entry for entry in dependence_of(Sum(), table, table, ["x", "t"], [], 0)}
    x = found["x"]
    assert np.diff(x.series[""]) == pytest.approx(np.diff(x.grid))
    assert x.series[""][0] == pytest.approx(x.grid[0] + 5)
    assert (x.low, x.high) == (pytest.approx(4.95), pytest.approx(94.05))
    assert found["t"].grid == ["high", "low"]
    assert found["t"].series[""][0] - found["t"].series[""][1] == pytest.approx(10)


def test_the_levels_tried_are_those_most_frequent_in_training():
    many = [f"l{i:02d}" for i in range(40) for _ in range(1 + i)]
    train = table_of(pd.DataFrame({"x": 1, "t": many, "y": np.zeros(len(many))}), "regression")
    test = table_of(pd.DataFrame({"x": 1, "t": ["l00", "unseen"] * 10, "y": np.zeros(20)}), "regression")
    (entry,) = dependence_of(Sum(), train, test, ["t"], [], 0)
    assert (entry.grid, entry.levels) == ([f"l{i}" for i in range(28, 40)], 40)


def test_a_model_without_probabilities_depends_by_the_share_of_its_answers():
    given = made_of(noisy(), "svm")
    (entry,) = dependence_of(given.model, given.train, given.test, ["number"], ["c1"], 0)
    assert all(0 <= value <= 1 for value in entry.series["c1"])
    assert entry.series["c1"][-1] > entry.series["c1"][0]


def test_levels_that_have_an_order_are_tried_in_it():
    frame = pd.DataFrame({"x": 1.0, "t": ["high", "low", "middle", "odd"] * 5, "y": np.zeros(20)})
    table = replace(table_of(frame, "regression"), levels={"t": ["low", "middle", "high"]})
    (entry,) = dependence_of(Sum(), table, table, ["t"], [], 0)
    assert entry.grid == ["low", "middle", "high", "odd"]
