"""The model type that add chooses, and what goes with it."""

from lockstep.intake.model_choice import (
    FIXED,
    FIXED_FEW,
    LARGE_ROWS,
    LARGE_STEPS,
    VOTE_ROWS,
    choose_model,
    choose_settings,
    propose_vote,
)
from lockstep.learning.estimators import TrainSettings, build_estimator, fit_estimator, member_of
from lockstep.learning.model_types import KINDS

import numpy as np
import pandas as pd
import pytest

NATIVE = {"numeric_impute": "native", "encode": "native"}


def boosting(target, task="classification", *, shuffled=True):
    found = choose_settings("hist_gradient_boosting", pd.Series(target), task, shuffled=shuffled)
    assert found.preprocess == NATIVE
    return found.hyperparameters


@pytest.mark.parametrize(
    ("rows", "model", "why"),
    [
        (299, "random_forest", "there are fewer than 300 rows"),
        (300, "hist_gradient_boosting", "there are 300 rows or more, and it learns best in small steps"),
        (
            1000,
            "hist_gradient_boosting",
            "there are 300 rows or more, and it learns best in small steps, ended where held",
        ),
        (99_999, "hist_gradient_boosting", "there are 300 rows or more"),
        (100_000, "xgboost", "there are 100,000 rows or more, where it learns about as well as hist_gradient_boosting"),
    ],
)
def test_the_number_of_rows_decides_the_model_type(rows, model, why):
    found, reason = choose_model(rows)
    assert found == model
    assert reason.startswith(why)


def test_what_a_model_type_can_take_is_left_as_it_is():
    for model in ("random_forest", "ridge"):
        assert choose_settings(model, pd.Series([1.0, 2.0]), "regression", shuffled=True) == ({}, {})


@pytest.mark.parametrize("task", list(KINDS))
def test_large_tables_get_settings_of_their_own_that_can_be_fitted(task):
    y = pd.Series(np.arange(LARGE_ROWS) % 3)
    found = choose_settings("xgboost", y, task, shuffled=True)
    assert found == (LARGE_STEPS, NATIVE)
    assert choose_settings("xgboost", y[1:], task, shuffled=True) == ({}, NATIVE)
    model = TrainSettings(model="xgboost", kind=KINDS[task], version=1, hyperparameters=found.hyperparameters)
    estimator = build_estimator(model, task)
    fit_estimator(estimator, np.arange(90.0)[:, None] % 4, y.to_numpy()[:90], model, n_jobs=1)
    assert member_of(estimator).get_booster().num_boosted_rounds() == LARGE_STEPS["n_estimators"]


def test_boosting_ends_by_itself_where_rows_can_be_spared():
    assert boosting(np.arange(1000.0), "regression")["max_iter"] == 3000
    assert boosting(np.arange(1000.0), "regression", shuffled=False)["early_stopping"]
    assert boosting(["a", "b"] * 500)["max_iter"] == 3000
    assert [boosting(np.arange(2600) % classes)["max_iter"] for classes in (3, 10, 26)] == [1000, 300, 200]
    small = boosting(["a", "b"] * 499)
    assert (small["early_stopping"], small["max_iter"]) == (False, FIXED_FEW)


def test_where_a_class_may_be_missing_among_the_rows_that_say_when_it_ends_it_does_not_end_by_itself():
    """scikit-learn refuses to cut them off then."""
    for target, shuffled in ((["a", "c"] * 496 + ["b"] * 8, True), (["a", "b"] * 500, False)):
        found = boosting(target, shuffled=shuffled)
        assert (found["early_stopping"], found["max_iter"]) == (False, FIXED)
    assert boosting(["a", "c"] * 495 + ["b"] * 10)["early_stopping"]


def test_where_one_of_two_classes_has_few_rows_a_tenth_of_them_does_not_tell_when_to_end():
    few = boosting(["a"] * 2000 + ["b"] * 399)
    assert (few["early_stopping"], few["max_iter"]) == (False, FIXED_FEW)
    assert boosting(["a"] * 2000 + ["b"] * 400)["early_stopping"]
    assert boosting(["a"] * 4601 + ["b"] * 399)["early_stopping"]


@pytest.mark.parametrize("task", list(KINDS))
def test_the_settings_are_ones_that_can_be_fitted(task):
    rows = 1000
    y = np.arange(rows) % 3 if task == "classification" else np.arange(rows) / 7
    X = np.column_stack([np.arange(rows) % 2 + 0.1, np.arange(rows) % 5])
    model = TrainSettings(
        model="hist_gradient_boosting", kind=KINDS[task], version=1, hyperparameters=boosting(y, task)
    )
    estimator = build_estimator(model, task)
    fit_estimator(estimator, X, y, model, n_jobs=1, categories=[1])
    assert estimator.n_iter_ < estimator.max_iter


def test_a_vote_is_proposed_where_it_was_better():
    numbers, three = pd.Series(np.arange(VOTE_ROWS) / 7), pd.Series(np.arange(VOTE_ROWS) % 3)
    (said,) = propose_vote("hist_gradient_boosting", numbers, "regression")
    assert said.startswith("--model voting averages three boostings (docs/voting.md)")
    assert propose_vote("hist_gradient_boosting", three % 2, "classification")
    assert not propose_vote("hist_gradient_boosting", three, "classification")
    assert not propose_vote("hist_gradient_boosting", pd.Series(np.arange(VOTE_ROWS + 1) / 7), "regression")
    assert not propose_vote("random_forest", numbers, "regression")
    assert choose_settings("voting", numbers, "regression", shuffled=True) == ({}, NATIVE)
