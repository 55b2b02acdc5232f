"""What differs between two fitted models."""

from lockstep.learning.estimators import build_estimator, fit_estimator
from lockstep.learning.model_types import MODELS
from lockstep.provenance.model_differences import model_differences

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X = np.random.default_rng(0).random((60, 4))
Y = X @ [1.0, 2.0, 3.0, 4.0]


def fit(estimator):
    return make_pipeline(StandardScaler(), estimator).fit(X, Y)


def test_the_step_the_attribute_and_how_large():
    one, other = fit(LinearRegression()), fit(LinearRegression())
    assert list(model_differences(one, other)) == []
    other[-1].coef_ = other[-1].coef_ + np.array([0, 1e-9, 0, 1e-8])
    other[0].with_mean = False
    other[0].copy = None
    assert list(model_differences(one, other)) == [
        "model.standardscaler.with_mean: True → False",
        "model.standardscaler.copy: bool → NoneType",
        "model.linearregression.coef_: 2 of 4 numbers, by at most 1e-08",
    ]


def test_inside_the_trees_of_a_forest():
    one, other = (fit(RandomForestRegressor(2, random_state=0, max_depth=2)) for _ in range(2))
    assert list(model_differences(one, other)) == []
    other[-1].estimators_[1].tree_.value[0, 0, 0] += 0.5
    (line,) = model_differences(one, other)
    assert line.startswith("model.randomforestregressor.estimators_[1].tree_.values: 1 of 7 numbers, by at most 0.5")


def test_values_of_every_kind():
    before = {"n": 1, "t": "a", "f": float("nan"), "l": [1, 2], "o": np.array([1, "x"], object), "gone": 1, "s": X}
    after = {"n": 2, "t": "b", "f": float("nan"), "l": [1], "o": np.array([1, "y"], object), "new": 1, "s": X[:2]}
    assert list(model_differences(before, after)) == [
        "model['n']: 1 → 2",
        "model['t']: 'a' → 'b'",
        "model['l']: 2 → 1 elements",
        "model['o'][1]: 'x' → 'y'",
        "model['gone']: gone",
        "model['s']: float64 of shape (60, 4) → float64 of shape (2, 4)",
        "model['new']: new",
    ]
    assert list(model_differences(np.array([1.0, np.nan]), np.array([1.0, np.nan]))) == []
    assert list(model_differences(np.array([1, 2]), np.array([1, 3]))) == ["model: 1 of 2 elements"]
    assert list(model_differences(1.5, 2.0)) == ["model: 1.5 → 2.0, by 0.5"]


@pytest.mark.parametrize("name", sorted(name for name, entry in MODELS.items() if "regression" in entry.estimators))
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_every_model_type_can_be_compared(name, make_settings):
    """Fitted on other rows, something differs; fitted alike, nothing does."""
    settings = make_settings(name, "regression")
    one, alike, other = (build_estimator(settings, "regression") for _ in range(3))
    for estimator, rows in ((one, 60), (alike, 60), (other, 50)):
        fit_estimator(estimator, X[:rows], Y[:rows], settings, n_jobs=1)
    assert list(model_differences(one, alike)) == []
    assert list(model_differences(one, other))
