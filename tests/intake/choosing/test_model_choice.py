"""The model type that add chooses, and what goes with it."""

import pickle

from lockstep.intake.choosing.model_choice import (
    CLASSES_STEPS,
    EIGHT_LEVELS,
    FEW_LEAVES,
    FIVE_LEVELS,
    FIXED,
    FIXED_FEW,
    FOUR_ROWS,
    LARGE_ROWS,
    LARGE_STEPS,
    LARGER_ROWS,
    LARGER_STEPS,
    LEAVES_TREES,
    LINEAR,
    MANY_LEAVES,
    MANY_LEAVES_TREES,
    MANY_ROWS,
    MORE_FEATURES,
    SHALLOW,
    VOTE_FOLDS,
    VOTE_ROWS,
    VOTERS,
    choose_calibration,
    choose_model,
    choose_settings,
)
from lockstep.learning.estimators import EncodedRows, TrainSettings, build_estimator, fit_estimator
from lockstep.learning.model_types import KINDS
from lockstep.learning.voting import member_of, tally_of
from lockstep.reading.loading import MINIMUM_ROWS

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

NATIVE = {"numeric_impute": "native", "encode": "native"}


def boosting(target, task="classification", *, shuffled=True):
    found = choose_settings("hist_gradient_boosting", pd.Series(target), task, shuffled=shuffled)
    assert found.preprocess == NATIVE
    return found.hyperparameters


@pytest.mark.parametrize(
    ("rows", "classes", "model", "why"),
    [
        (MINIMUM_ROWS, None, "voting", "up to 10,000 rows the mean of several models tells more than one of them"),
        (300, 100, "voting", "up to 10,000 rows"),
        (VOTE_ROWS, 12, "voting", "up to 10,000 rows"),
        (VOTE_ROWS, 13, "hist_gradient_boosting", "it learns best in small steps"),
        (3_750, 32, "voting", "up to 10,000 rows"),
        (VOTE_ROWS + 1, 2, "voting", "below 100,000 rows the mean of several boostings tells more than one of them"),
        (VOTE_ROWS + 1, None, "voting", "below 100,000 rows the mean of several boostings"),
        (LARGE_ROWS - 1, None, "voting", "below 100,000 rows"),
        (LARGE_ROWS - 1, 2, "voting", "below 100,000 rows"),
        (LARGE_ROWS, 2, "xgboost", "there are 100,000 rows or more"),
        (VOTE_ROWS, 3, "voting", "up to 10,000 rows"),
        (VOTE_ROWS + 1, 3, "xgboost", "there are more than 10,000 rows of more than two classes, which it learns as "),
        (LARGE_ROWS - 1, 3, "xgboost", "there are more than 10,000 rows of more than two classes"),
        (
            LARGE_ROWS,
            None,
            "xgboost",
            "there are 100,000 rows or more, where it learns about as well as hist_gradient_boosting",
        ),
    ],
)
def test_the_numbers_of_rows_and_classes_decide_the_model_type(rows, classes, model, why):
    target = pd.Series(np.arange(rows) % classes if classes else np.arange(rows) / 7)
    found, reason = choose_model(target, "classification" if classes else "regression", shuffled=True)
    assert found == model
    assert reason.startswith(why)


@pytest.mark.parametrize(
    ("model", "rows", "classes", "calibrates"),
    [
        ("voting", MANY_ROWS, 2, True),
        ("voting", MANY_ROWS - 1, 2, False),
        ("voting", VOTE_ROWS, 10, True),
        ("voting", VOTE_ROWS + 1, 2, False),
        ("xgboost", VOTE_ROWS + 1, 3, True),
        ("xgboost", VOTE_ROWS + 1, 2, False),
        ("xgboost", VOTE_ROWS, 3, False),
        ("hist_gradient_boosting", MANY_ROWS, 2, False),
    ],
)
def test_probabilities_are_calibrated_where_that_was_measured_to_help(model, rows, classes, calibrates):
    target = pd.Series(np.arange(rows) % classes)
    chosen, why = choose_calibration(model, target, "classification", shuffled=True)
    assert chosen == ("temperature" if calibrates else None)
    assert bool(why) == calibrates
    assert choose_calibration(model, target, "classification", shuffled=False) == (None, "")
    assert choose_calibration(model, target, "regression", shuffled=True) == (None, "")
    rare = pd.concat([target, pd.Series([classes] * 9)], ignore_index=True)
    assert choose_calibration(model, rare, "classification", shuffled=True) == (None, "")


def test_what_a_model_type_can_take_is_left_as_it_is():
    for model, expected in (("random_forest", NATIVE), ("ridge", {})):
        assert choose_settings(model, pd.Series([1.0, 2.0]), "regression", shuffled=True) == ({}, expected)


@pytest.mark.parametrize("task", list(KINDS))
def test_large_tables_get_settings_of_their_own_that_can_be_fitted(task):
    y = pd.Series(np.arange(LARGER_ROWS) % 3)
    assert choose_settings("xgboost", y[:VOTE_ROWS], task, shuffled=True) == ({}, NATIVE)
    below = CLASSES_STEPS if task == "classification" else {}
    assert choose_settings("xgboost", y[: LARGE_ROWS - 1], task, shuffled=True) == (below, NATIVE)
    assert choose_settings("xgboost", y[: LARGE_ROWS - 1] % 2, task, shuffled=True) == ({}, NATIVE)
    for rows, steps in ((LARGE_ROWS, LARGE_STEPS), (LARGER_ROWS - 1, LARGE_STEPS), (LARGER_ROWS, LARGER_STEPS)):
        found = choose_settings("xgboost", y[:rows], task, shuffled=True)
        assert found == (steps, NATIVE)
        model = TrainSettings(model="xgboost", kind=KINDS[task], version=1, hyperparameters=found.hyperparameters)
        estimator = build_estimator(model, task)
        fit_estimator(estimator, EncodedRows(np.arange(90.0)[:, None] % 4, y.to_numpy()[:90]), model, n_jobs=1)
        assert member_of(estimator).get_booster().num_boosted_rounds() == steps["n_estimators"]


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
    fit_estimator(estimator, EncodedRows(X, y, categories=[1]), model, n_jobs=1)
    assert estimator.n_iter_ < estimator.max_iter


@pytest.mark.parametrize(
    ("rows", "classes", "first"),
    [
        (299, None, ["linear", "few leaves"]),
        (300, None, ["linear", "boosting", "few leaves"]),
        (2499, None, ["linear", "boosting", "few leaves"]),
        (2500, None, ["boosting", "few leaves", "many leaves"]),
        (999, 2, ["linear", "shallow", "few leaves"]),
        (1000, 2, ["linear", "shallow", "many leaves"]),
        (9000, 3, ["linear", "shallow", "many leaves"]),
    ],
)
def test_the_numbers_of_rows_and_the_task_decide_the_members_of_a_vote(rows, classes, first):
    task = "classification" if classes else "regression"
    y = pd.Series(np.arange(rows) % classes if classes else np.arange(rows) / 7)
    hyperparameters, preprocess = choose_settings("voting", y, task, shuffled=True)
    assert preprocess == NATIVE
    assert hyperparameters["folds"] == VOTE_FOLDS
    known = {
        "linear": LINEAR[task],
        "boosting": {"model": "hist_gradient_boosting", **boosting(y, task)},
        "shallow": SHALLOW,
        "few leaves": FEW_LEAVES | LEAVES_TREES[task],
        "many leaves": MANY_LEAVES | MANY_LEAVES_TREES[task],
    }
    assert hyperparameters["members"] == [*(known[name] for name in first), *VOTERS]


def test_the_mean_of_three_boostings_for_two_classes():
    y = pd.Series(np.arange(VOTE_ROWS + 1) % 2)
    found = choose_settings("voting", y, "classification", shuffled=True).hyperparameters
    many_leaves = MANY_LEAVES | MANY_LEAVES_TREES["classification"]
    first = {"model": "hist_gradient_boosting", **boosting(y)}
    assert found == {"members": [first, many_leaves, FIVE_LEVELS], "folds": 0}
    assert choose_model(y, "classification", shuffled=False)[0] == "hist_gradient_boosting"


def test_the_mean_of_boostings_has_no_weights_and_is_for_rows_that_are_split_at_random():
    y = pd.Series(np.arange(FOUR_ROWS + 1) / 7)
    first = {"model": "hist_gradient_boosting", **boosting(y, "regression")}
    few_leaves = FEW_LEAVES | LEAVES_TREES["regression"]
    many_leaves = MANY_LEAVES | MANY_LEAVES_TREES["regression"]
    for rows, others in (
        (FOUR_ROWS, [{**first, **MORE_FEATURES}, few_leaves, EIGHT_LEVELS]),
        (FOUR_ROWS + 1, [many_leaves, EIGHT_LEVELS]),
    ):
        found = choose_settings("voting", y[:rows], "regression", shuffled=True).hyperparameters
        assert found == {"members": [first, *others], "folds": 0}
    y = y[: VOTE_ROWS + 1]
    assert choose_model(y, "regression", shuffled=False)[0] == "hist_gradient_boosting"
    assert choose_model(y[:VOTE_ROWS], "regression", shuffled=False)[0] == "voting"


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        ("classification", 300),
        ("regression", 300),
        pytest.param("classification", MANY_ROWS, marks=pytest.mark.exhaustive),
        pytest.param("regression", 2500, marks=pytest.mark.exhaustive),
    ],
)
def test_a_vote_has_the_same_bytes_with_any_number_of_threads(task, rows):
    y = pd.Series(np.arange(rows) % 3 if task == "classification" else np.arange(rows) / 7)
    hyperparameters, _ = choose_settings("voting", y, task, shuffled=True)
    X = np.column_stack([np.where(np.arange(rows) % 7, np.arange(rows) % 11, np.nan), np.arange(rows) % 5])
    model = TrainSettings(model="voting", kind=KINDS[task], version=1, hyperparameters=hyperparameters)
    halves = np.arange(len(y)) % 2
    folds = [(np.flatnonzero(halves == part), np.flatnonzero(halves != part)) for part in (0, 1)]
    found = []
    for threads in (1, 3):
        estimator = build_estimator(model, task)
        with threadpool_limits(threads, user_api="openmp"):
            fit_estimator(estimator, EncodedRows(X, y.to_numpy(), categories=[1], folds=folds), model, n_jobs=threads)
        found.append(pickle.dumps(estimator))
    assert found[0] == found[1]
    assert tally_of(estimator).rows == len(y)
