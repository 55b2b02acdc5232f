"""XGBoost's bins of a large table, cut at the quantiles of some of its rows."""

import pickle

from lockstep.kernel.errors import DataError
from lockstep.learning import sampled_bins
from lockstep.learning.estimators import EncodedRows, TrainSettings, build_estimator, fit_estimator
from lockstep.learning.model_types import KINDS
from lockstep.learning.sampled_bins import rows_for_bins
from lockstep.learning.voting import member_of

import numpy as np
import pandas as pd
import pytest
import xgboost

TREES = {"n_estimators": 5, "max_depth": 3}


@pytest.fixture
def fit(monkeypatch):
    """A function that fits XGBoost, on bins of a sample of 500 or of all rows."""

    def fit(task, X, y, sampled, weights=None, categories=None, n_jobs=1):
        monkeypatch.setattr("lockstep.learning.estimators.FROM_ROWS", 0 if sampled else len(X) + 1)
        monkeypatch.setattr(sampled_bins, "SAMPLED_ROWS", 500)
        monkeypatch.setattr(sampled_bins, "_FEW_VALUES", 200)
        settings = TrainSettings(model="xgboost", kind=KINDS[task], version=1, hyperparameters=TREES)
        estimator = build_estimator(settings, task)
        fit_estimator(estimator, EncodedRows(X, y, categories, weights), settings, n_jobs)
        return estimator

    return fit


def rows(n=5000, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)).astype("float32")
    X[rng.random(n) < 0.1, 2] = np.nan
    X[:, 3] = X[:, 3].round(1)
    return X, X[:, 0] + 2 * (X[:, 3] > 1)


def test_rare_values_of_a_column_of_few_are_among_the_rows(monkeypatch):
    monkeypatch.setattr(sampled_bins, "SAMPLED_ROWS", 200)
    monkeypatch.setattr(sampled_bins, "_FEW_VALUES", 50)
    rare = np.zeros(20_000)
    rare[[7, 9, 19_000]] = 1, 2, np.nan
    frame = pd.DataFrame({"rare": rare, "different": np.arange(20_000.0), "empty": np.nan})
    found = rows_for_bins(frame)
    assert {7, 9, 19_000} <= set(found)
    assert 200 <= len(found) <= 204
    assert (np.diff(found) > 0).all()
    assert rows_for_bins(frame.head(100)).tolist() == list(range(100))


@pytest.mark.parametrize("labels", [None, [0, 1], ["no", "yes"]])
def test_the_model_is_as_good_and_of_xgboosts_own_class(fit, labels):
    task = "regression" if labels is None else "classification"
    X, y = rows()
    X_new, y_new = rows(seed=1)
    if labels is not None:
        y, y_new = (np.array(labels, dtype=object if labels[0] == "no" else None)[1 * (t > 0)] for t in (y, y_new))
    all_rows, sampled = (fit(task, X, y, sampled) for sampled in (False, True))
    assert sampled.score(X_new, y_new) == pytest.approx(all_rows.score(X_new, y_new), abs=0.02)
    for estimator in (all_rows, sampled):
        assert type(member_of(estimator)) in (xgboost.XGBRegressor, xgboost.XGBClassifier)
    texts = [member_of(estimator).get_booster().get_dump() for estimator in (all_rows, sampled)]
    assert texts[0] != texts[1]
    assert pickle.loads(pickle.dumps(sampled)).predict(X_new).tolist() == sampled.predict(X_new).tolist()


def test_rows_of_few_values_give_the_same_bits_with_and_without_weights(fit):
    X, y = rows()
    X = X.round(1)
    for weights in (None, np.random.default_rng(2).uniform(1, 2, len(X))):
        models = [fit("regression", X, y, sampled, weights) for sampled in (False, True)]
        assert pickle.dumps(models[0]) == pickle.dumps(models[1])


def test_threads_leave_no_trace(fit):
    X, y = rows()
    one, three = (fit("regression", X, y, sampled=True, n_jobs=n_jobs) for n_jobs in (1, 3))
    assert pickle.dumps(one) == pickle.dumps(three)


def test_categories_are_looked_at_in_all_rows(fit):
    X, y = rows()
    X[:, 3] = np.arange(len(X)) % 7
    models = [fit("regression", X, y, sampled, categories=(3,)) for sampled in (False, True)]
    assert pickle.dumps(models[0]) == pickle.dumps(models[1])


def test_a_fit_that_fails_leaves_the_class_as_it_was(fit, monkeypatch):
    X, y = rows()
    monkeypatch.setattr(sampled_bins, "rows_for_bins", lambda data: 1 / 0)
    seen = []
    monkeypatch.setattr("lockstep.learning.estimators.member_of", lambda given: seen.append(given) or member_of(given))
    with pytest.raises(DataError, match="xgboost cannot fit XGBRegressor"):
        fit("regression", X, y, sampled=True)
    assert {type(estimator) for estimator in seen} == {xgboost.XGBRegressor}
