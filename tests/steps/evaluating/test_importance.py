"""Permutation importance, by a score that sees what a model says of a rare class."""

from lockstep.learning import scoring
from lockstep.learning.metrics import ALL
from lockstep.steps.evaluating import importance
from lockstep.steps.evaluating.importance import IMPORTANCE_COLUMNS, importance_of

import numpy as np
import pandas as pd
import pytest
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.svm import SVC


def rare_class(classes=2, rows=1500, share=0.04, seed=0):
    """Rows of which few are of any class but the first; ``signal`` tells of it, ``noise`` nothing."""
    rng = np.random.default_rng(seed)
    signal, noise = rng.normal(size=rows), rng.normal(size=rows)
    odds = rng.random(rows) < 2 * share / (1 + np.exp(-2 * signal))
    kinds = np.array(["common", "rare", "odd"], dtype=object)
    return pd.DataFrame({"noise": noise, "signal": signal}), kinds[odds * rng.integers(1, classes, rows)]


def by_name(rows):
    return {row[0]: row[1] for row in rows}


def test_the_feature_that_a_rare_class_depends_on_is_found():
    """No row is given the class, so that accuracy does not fall when the feature is shuffled."""
    X, y = rare_class()
    model = LogisticRegression().fit(X, y)
    assert set(model.predict(X)) == {"common"}
    assert not permutation_importance(model, X, y, random_state=0).importances_mean.any()
    (first, largest, std, metric), second = importance_of(model, X, y, "classification", 5, 42)
    assert (first, metric) == ("signal", "log_loss")
    assert largest > 5 * std > 0
    assert largest > 5 * abs(second[1])


def test_the_unit_is_the_rise_of_the_log_loss():
    X, y = rare_class(classes=3)
    model = LogisticRegression().fit(X, y)
    found = by_name(importance_of(model, X, y, "classification", 3, 7))
    theirs = permutation_importance(model, X, y, scoring="neg_log_loss", n_repeats=3, random_state=7).importances_mean
    assert list(found.values()) == pytest.approx([theirs[1], theirs[0]])
    assert list(found) == ["signal", "noise"]
    assert log_loss(y, model.predict_proba(X)) < log_loss(y, np.full((len(y), 3), 1 / 3))


def test_rows_of_an_unknown_class_do_no_harm():
    X, y = rare_class()
    model = LogisticRegression().fit(X, y)
    other = y.copy()
    other[:30] = "unknown"
    rows = importance_of(model, X, other, "classification", 5, 42)
    assert rows[0][0] == "signal"
    assert all(np.isfinite(row[1:3]).all() for row in rows)


@pytest.mark.parametrize(
    ("classes", "lacking", "metric"),
    [(2, False, "roc_auc"), (2, True, "balanced_accuracy"), (3, False, "balanced_accuracy")],
)
def test_a_model_without_probabilities(classes, lacking, metric):
    X, y = rare_class(classes, share=0.3)
    model = SVC(class_weight="balanced").fit(X, y)
    if lacking:
        X, y = X[y == "common"], y[y == "common"]
    rows = importance_of(model, X, y, "classification", 5, 42)
    assert {row[3] for row in rows} == {metric}
    assert rows[0][0] == "signal"
    assert rows[0][1] > 0


def test_a_regression_is_scored_by_r2():
    X, _ = rare_class()
    model = Ridge().fit(X, 3 * X["signal"])
    theirs = permutation_importance(model, X, 3 * X["signal"], n_repeats=2, random_state=1).importances_mean
    rows = importance_of(model, X, (3 * X["signal"]).to_numpy(), "regression", 2, 1)
    assert [row[1] for row in rows] == pytest.approx([theirs[1], theirs[0]])
    assert {row[3] for row in rows} == {"r2_score"} <= set(ALL)
    assert len(IMPORTANCE_COLUMNS) == len(rows[0])


class Linear(Ridge):
    """Says of how many rows and columns it is asked at once."""

    def predict(self, X):
        self.asked_.append(X.shape)
        return super().predict(X)


def test_of_a_wide_table_few_rows_are_predicted_at_once(monkeypatch):
    """Their copies would need memory: of 2,000 columns 764 MiB more than one by one."""
    monkeypatch.setattr(scoring, "_CELLS_AT_ONCE", 1000)
    random = np.random.default_rng(0)
    for columns, repeats, most in ((20, 2, 50), (2, 30, 500), (200, 1, 10)):
        X = pd.DataFrame(random.normal(size=(10, columns)), columns=[f"x{number}" for number in range(columns)])
        model = Linear().fit(X, random.normal(size=10))
        model.asked_ = []
        rows = importance_of(model, X, random.normal(size=10), "regression", repeats, 1)
        assert len(rows) == columns
        assert max(rows for rows, _ in model.asked_) == most


def test_the_rows_are_left_as_they_are():
    X, y = rare_class()
    before = X.copy()
    importance_of(LogisticRegression().fit(X, y), X, y, "classification", 2, 3)
    pd.testing.assert_frame_equal(X, before)


def test_of_many_rows_a_sample_is_taken(monkeypatch):
    X, y = rare_class()
    model = LogisticRegression().fit(X, y)
    monkeypatch.setattr(importance, "_MAX_ROWS", 400)
    sample = np.sort(np.random.default_rng(3).permutation(len(y))[:400])
    alone = importance_of(model, X.iloc[sample], y[sample], "classification", 2, 3)
    assert importance_of(model, X, y, "classification", 2, 3) == alone
