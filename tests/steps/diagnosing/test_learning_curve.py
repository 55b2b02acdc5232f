"""The model refitted on fewer rows."""

from lockstep.learning.cross_validation import PipelineSettings
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.steps.diagnosing.learning_curve import learning_curve_of, learning_sizes
from reports import noisy, table_of

import numpy as np
import pandas as pd
import pytest

RNG = np.random.default_rng(0)


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
    points = learning_curve_of(table, PipelineSettings(PreprocessSettings(), settings), "r2_score", 400, 0)
    assert [point.rows for point in points] == [50, 100, 200, 400]
    assert points[-1].others > points[0].others
    assert all(point.fitted > point.others for point in points)
    assert {point.fits for point in points} == {1 if own.get("time") else 3}
    again = learning_curve_of(table, PipelineSettings(PreprocessSettings(), settings), "r2_score", 400, 0)
    assert points == again


def test_a_size_that_cannot_be_fitted_is_left_out():
    table = noisy(rows=150)
    settings = TrainSettings(model="k_neighbors", kind="classifier", version=1, hyperparameters={"n_neighbors": 50})
    points = learning_curve_of(table, PipelineSettings(PreprocessSettings(), settings), "roc_auc", 120, 0)
    assert [point.rows for point in points] == [60, 120]


def test_it_is_of_the_metric_that_is_asked_for():
    """A forest ranks the rows that it was fitted on better than it names them."""
    settings = TrainSettings(model="random_forest", kind="classifier", version=1, hyperparameters={"n_estimators": 20})
    table = noisy(rows=150)
    ranked, named = (
        learning_curve_of(table, PipelineSettings(PreprocessSettings(), settings), metric, 120, 0)
        for metric in ("roc_auc", "accuracy")
    )
    assert [point.rows for point in ranked] == [point.rows for point in named] == [30, 60, 120]
    assert all(one.fitted > other.fitted for one, other in zip(ranked, named, strict=True))


def test_one_large_group_does_not_take_all_rows():
    table = noisy(rows=400)
    groups = np.where(np.arange(400) < 40, "few", "many")
    table = table_of(table.frame.assign(g=groups), group="g")
    settings = TrainSettings(model="k_neighbors", kind="classifier", version=1)
    for seed in range(4):  # the larger group comes first in most of them
        assert learning_curve_of(table, PipelineSettings(PreprocessSettings(), settings), "accuracy", 30, seed)


def test_rows_of_one_time_are_on_one_side(monkeypatch):
    table = table_of(noisy(rows=400).frame.assign(t=np.arange(400) // 100), time="t")
    settings = TrainSettings(model="k_neighbors", kind="classifier", version=1)
    (point,) = learning_curve_of(table, PipelineSettings(PreprocessSettings(), settings), "accuracy", 300, 0)[-1:]
    assert point.rows == 300  # the last hundred are of one time, though a fifth are only 80
