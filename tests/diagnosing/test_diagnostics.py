"""Subgroups, single rows, responses, thresholds, the learning curve."""

from lockstep.diagnosing.diagnostics import (
    dependence_of,
    errors_of,
    learning_curve_of,
    learning_sizes,
    mean_interval,
    slices_of,
    thresholds_of,
    wilson,
    worst_of,
)
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.preprocessing import PreprocessSettings
from reports import noisy, sources_of, table_of

import numpy as np
import pandas as pd
import pytest
from scipy import stats

RNG = np.random.default_rng(0)


def test_intervals_are_the_known_ones():
    assert wilson(2, 30) == pytest.approx((0.0184771, 0.2132346), abs=1e-6)
    assert wilson(0, 10)[0] == 0
    values = RNG.normal(size=50)
    expected = stats.t.interval(0.95, 49, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)


def test_errors_are_absolute_or_wrong_classes():
    assert errors_of(np.array([1.0, 2.0]), np.array([3.0, 1.5]), "regression").tolist() == [2.0, 0.5]
    wrong = errors_of(np.array(["a", "b"], dtype=object), np.array(["a", "a"], dtype=object), "classification")
    assert wrong.tolist() == [0.0, 1.0]


def test_the_bad_subgroup_comes_first_and_stands_out():
    rows = 1000
    group = RNG.choice(["north", "south", "east"], rows)
    features = pd.DataFrame({"region": group, "x": RNG.normal(size=rows), "tiny": ["t"] * 5 + ["u"] * (rows - 5)})
    errors = (RNG.random(rows) < np.where(group == "south", 0.6, 0.1)).astype(float)
    found = slices_of(features.astype({"region": "str", "tiny": "str"}), errors, "classification", 20, 10)
    first = found.worst[0]
    assert (first.column, first.level, first.rows) == ("region", "south", int(np.sum(group == "south")))
    assert first.stands_out
    assert first.low > found.overall
    assert not any(entry.stands_out for entry in found.worst[1:])
    assert not any(entry.level == "t" for entry in found.worst)  # 5 rows say nothing
    assert found.looked_at == 3 + 4 + 1  # the regions, the quarters of x, the many of tiny


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_worst_of_many_subgroups_of_noise_does_not_stand_out(task):
    """What the widened intervals are for: of 20 tables of pure noise, about one may have a subgroup that does."""
    outstanding = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        features = pd.DataFrame({f"c{i}": rng.choice(list("abcdefgh"), 800) for i in range(10)}).astype("str")
        errors = rng.random(800) if task == "regression" else (rng.random(800) < 0.3).astype(float)
        found = slices_of(features, errors, task, 20, 10)
        assert found.looked_at == 80
        outstanding += any(entry.stands_out for entry in found.worst)
    assert outstanding <= 3


def test_rows_without_a_value_are_a_subgroup():
    features = pd.DataFrame({"x": [np.nan] * 50 + list(range(150)), "b": pd.Series([None, True, False, True] * 50)})
    errors = np.array([1.0] * 50 + [0.0] * 150)
    worst = slices_of(features, errors, "regression", 20, 10).worst
    assert (worst[0].column, worst[0].level, worst[0].error) == ("x", "(missing)", 1.0)
    assert ("b", "(missing)") in {(entry.column, entry.level) for entry in slices_of(
        features, np.array([1.0, 0, 0, 0] * 50), "regression", 20, 10).worst}  # fmt: skip


def test_the_same_rows_under_another_name_are_one_subgroup_and_nearly_average_ones_are_no_weak_spot():
    level = np.array(["a", "b"] * 100)
    features = pd.DataFrame({"short": level, "long": np.char.add("name ", level)}).astype("str")
    found = slices_of(features, (level == "a").astype(float), "regression", 20, 10)
    assert [(entry.column, entry.level) for entry in found.worst] == [("short", "a")]
    assert found.looked_at == 2
    assert slices_of(features, 1 + 0.02 * (level == "a"), "regression", 20, 10).worst == []


def predictions(**columns):
    rows = len(next(iter(columns.values())))
    return pd.DataFrame({"row": range(1, rows + 1), **columns})


def test_the_worst_rows_of_a_classification_are_the_most_confident_mistakes():
    test = table_of(pd.DataFrame({"x": [1.0, 2.0, np.nan, 4.0], "y": ["a", "a", "b", "b"]}))
    found = worst_of(
        test,
        predictions(
            actual=["a", "a", "b", "b"], predicted=["a", "b", "a", "a"], probability_a=[0.9, 0.4, 0.95, 0.6],
            probability_b=[0.1, 0.6, 0.05, 0.4],
        ),
        ["x"],
        2,
    )  # fmt: skip
    assert [(entry.row, entry.actual, entry.predicted, entry.off, entry.values) for entry in found] == [
        (3, "b", "a", 0.05, (None,)),
        (2, "a", "b", 0.4, (2.0,)),
    ]


def test_the_worst_rows_without_probabilities_and_of_an_unknown_class():
    test = table_of(pd.DataFrame({"x": [1, 2, 3], "y": ["a", "z", "b"]}))
    plain = worst_of(test, predictions(actual=["a", "z", "b"], predicted=["b", "a", "b"]), ["x"], 5)
    assert [(entry.row, entry.off) for entry in plain] == [(1, None), (2, None)]
    known = predictions(actual=["a", "z", "b"], predicted=["b", "a", "b"], probability_a=[0.3, 1, 0],
                        probability_b=[0.7, 0, 1])  # fmt: skip
    assert [(entry.row, entry.off) for entry in worst_of(test, known, ["x"], 5)] == [(2, 0.0), (1, 0.3)]


def test_the_worst_rows_of_a_regression_are_the_largest_errors():
    test = table_of(pd.DataFrame({"x": [1, 2, 3], "y": [1.0, 2.0, 3.0]}), "regression")
    found = worst_of(test, predictions(actual=[1.0, 2.0, 3.0], predicted=[1.0, 5.0, 2.0]), ["x"], 5)
    assert [(entry.row, entry.off) for entry in found] == [(2, -3.0), (3, 1.0)]


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


def test_learning_sizes_are_halves():
    assert learning_sizes(10_000, 2000) == [250, 500, 1000, 2000]
    assert learning_sizes(90, 2000) == [22, 45, 90]
    assert learning_sizes(15, 2000) == []


@pytest.mark.parametrize("own", [{}, {"time": "t"}, {"group": "g"}])
def test_more_rows_help_a_model_that_can_learn(own):
    rows = 600
    x = RNG.normal(size=(rows, 4))
    frame = pd.DataFrame(x, columns=list("abcd")).assign(
        y=x @ [1.0, -1, 2, 0] + RNG.normal(scale=0.1, size=rows),
        t=np.arange(rows),
        g=[f"g{i % 40}" for i in range(rows)],
    )
    unused = [name for name in ("t", "g") if name not in own.values()]
    table = table_of(frame.drop(columns=unused), "regression", **own)
    settings = TrainSettings(model="k_neighbors", kind="regressor", version=1)
    points = learning_curve_of(table, PreprocessSettings(), settings, 400, 0, None, "r2_score")
    assert [point.rows for point in points] == [50, 100, 200, 400]
    assert points[-1].others > points[0].others
    assert all(point.fitted > point.others for point in points)
    assert {point.fits for point in points} == {1 if own.get("time") else 3}
    again = learning_curve_of(table, PreprocessSettings(), settings, 400, 0, None, "r2_score")
    assert points == again


def test_a_size_that_cannot_be_fitted_is_left_out():
    table = noisy(rows=150)
    settings = TrainSettings(model="k_neighbors", kind="classifier", version=1, hyperparameters={"n_neighbors": 50})
    points = learning_curve_of(table, PreprocessSettings(), settings, 120, 0, "macro", "accuracy")
    assert [point.rows for point in points] == [60, 120]


def test_thresholds_count_every_row():
    actual = np.array(["n", "n", "p", "p"], dtype=object)
    found = {entry.threshold: entry for entry in thresholds_of(actual, np.array([0.1, 0.6, 0.4, 0.9]), "p")}
    assert list(found) == pytest.approx(np.arange(0.05, 0.96, 0.05))
    half = found[0.5]
    assert (half.true_positives, half.false_positives, half.false_negatives, half.true_negatives) == (1, 1, 1, 1)
    assert (half.precision, half.recall, half.f1_score) == (0.5, 0.5, 0.5)
    assert found[0.95].precision is None
    assert found[0.95].f1_score == 0


def test_a_row_on_the_threshold_is_not_flagged():
    """As the model does it, which names the first of two classes that are equally likely."""
    half = next(
        entry for entry in thresholds_of(np.array(["n", "p"]), np.array([0.5, 0.5]), "p") if entry.threshold == 0.5
    )
    assert (half.true_positives, half.false_positives) == (0, 0)


def test_the_levels_tried_are_those_most_frequent_in_training():
    many = [f"l{i:02d}" for i in range(40) for _ in range(1 + i)]
    train = table_of(pd.DataFrame({"x": 1, "t": many, "y": np.zeros(len(many))}), "regression")
    test = table_of(pd.DataFrame({"x": 1, "t": ["l00", "unseen"] * 10, "y": np.zeros(20)}), "regression")
    (entry,) = dependence_of(Sum(), train, test, ["t"], [], 0)
    assert (entry.grid, entry.levels) == ([f"l{i}" for i in range(28, 40)], 40)


def test_a_model_without_probabilities_depends_by_the_share_of_its_answers():
    given = sources_of(noisy(), "svm")
    (entry,) = dependence_of(given.model, given.train, given.test, ["number"], ["c1"], 0)
    assert all(0 <= value <= 1 for value in entry.series["c1"])
    assert entry.series["c1"][-1] > entry.series["c1"][0]
