"""How far a fit has come is said, and leaves no trace in what is fitted."""

import os
import pickle
import re

from lockstep.kernel.log import heartbeat
from lockstep.learning.computing.fit_progress import fit_counted
from lockstep.learning.estimators import EncodedRows, TrainSettings, build_estimator, fit_estimator
from lockstep.learning.voting import member_of

import numpy as np
import pytest
from joblib import Parallel, delayed
from sklearn.ensemble import RandomForestClassifier

KINDS = {"classification": "classifier", "regression": "regressor"}
MODELS = {
    "random_forest": ({"n_estimators": 7}, "7 of 7 trees"),
    "extra_trees": ({"n_estimators": 7}, "7 of 7 trees"),
    "hist_gradient_boosting": ({"max_iter": 7}, "7 of 7 iterations"),
    "gradient_boosting": ({"n_estimators": 7}, "7 of 7 iterations"),
    "lightgbm": ({"n_estimators": 7}, "7 of 7 iterations"),
    "xgboost": ({"n_estimators": 7}, "7 of 7 iterations"),
    "mlp": ({"max_iter": 7}, "7 of at most 7 epochs"),
}


@pytest.fixture(params=list(KINDS))
def task(request):
    return request.param


def rows(task):
    random = np.random.default_rng(0)
    X = random.normal(size=(300, 4)).astype("float32")
    numbers = X[:, 0] + random.normal(size=300)
    return X, (np.digitize(numbers, [-0.5, 0.5]) if task == "classification" else numbers)


def settings_of(model, task, **hyperparameters):
    return TrainSettings(model=model, kind=KINDS[task], version=1, hyperparameters=hyperparameters)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("model", MODELS)
def test_the_count_reaches_the_total_and_leaves_no_trace(model, task):
    (hyperparameters, said), (X, y) = MODELS[model], rows(task)
    settings = settings_of(model, task, **hyperparameters)
    plain, seen, unseen = (build_estimator(settings, task) for _ in range(3))
    if model.endswith(("forest", "trees")):  # which grow in threads
        for estimator in (plain, seen, unseen):
            estimator.set_params(n_jobs=2)
    plain.fit(X, y)
    with heartbeat("fit") as progress, fit_counted(seen, len(X)) as given:
        seen.fit(X, y, **given)
    assert str(progress).startswith(f"{said}, ")
    with fit_counted(unseen, len(X)) as given:
        unseen.fit(X, y, **given)
    assert pickle.dumps(seen) == pickle.dumps(unseen) == pickle.dumps(plain)


@pytest.mark.parametrize("model", ["random_forest", "xgboost"])
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(model, task):
    settings = settings_of(model, task)
    estimator = build_estimator(settings, task)
    kind, before = type(member_of(estimator)), estimator.get_params()
    with pytest.raises(ValueError), heartbeat("fit"), fit_counted(estimator, 2):
        estimator.fit(np.full((2, 1), np.inf), [0, 1])
    assert type(member_of(estimator)) is kind
    assert str(estimator.get_params()) == str(before)


@pytest.mark.parametrize(
    ("model", "hyperparameters"),
    [
        ("hist_gradient_boosting", {"max_iter": 500, "early_stopping": True, "n_iter_no_change": 2}),
        ("gradient_boosting", {"n_estimators": 500, "n_iter_no_change": 2}),
    ],
)
def test_a_fit_that_may_stop_early_has_a_bound(model, hyperparameters, task):
    X, y = rows(task)
    settings = settings_of(model, task, **hyperparameters)
    estimator = build_estimator(settings, task)
    with heartbeat("fit") as progress:
        fit_estimator(estimator, EncodedRows(X, y), settings, 1)
    done = getattr(estimator, "n_iter_", None) or len(estimator.estimators_)
    assert 0 < done < 500
    assert re.match(rf"{done} of at most 500 iterations, \d+ s so far, at most about \d", str(progress))


def test_histogram_boosting_left_to_itself_stops_early_on_many_rows():
    estimator = build_estimator(settings_of("hist_gradient_boosting", "regression"), "regression")
    for rows, said in ((10_000, "0 of 100 "), (10_001, "0 of at most 100 ")):
        with heartbeat("fit") as progress, fit_counted(estimator, rows):
            assert str(progress).startswith(said)


@pytest.mark.parametrize("model", ["ridge", "k_neighbors", "svm"])
def test_what_is_fitted_in_one_piece_tells_nothing(model):
    X, y = rows("regression")
    settings = settings_of(model, "regression")
    with heartbeat("fit") as progress:
        fit_estimator(build_estimator(settings, "regression"), EncodedRows(X, y), settings, 1)
    assert re.fullmatch(r"\d+ s so far", str(progress))


def test_a_vote_counts_its_members_fits_and_how_far_each_has_come(task, monkeypatch):
    X, y = rows(task)
    members = [
        {"model": "random_forest", "n_estimators": 4},
        {"model": "xgboost", "n_estimators": 4},
        {"model": "k_neighbors"},
    ]
    settings = settings_of("voting", task, members=members, folds=2)
    vote = build_estimator(settings, task)
    folds = [(np.arange(150), np.arange(150, 300)), (np.arange(150, 300), np.arange(150))]
    seen = []
    with heartbeat("fit") as progress:
        said = progress.advance

        def advance(*args, **given):
            seen.append((str(progress).partition(",")[0], round(progress.so_far, 2)))
            said(*args, **given)

        monkeypatch.setattr(progress, "advance", advance)
        fit_estimator(vote, EncodedRows(X, y, folds=folds), settings, 1)
    fits = 6 + len(vote.estimators_)
    assert str(progress).startswith(f"{fits} of {fits} fits, ")
    assert seen[:2] == [("0 of at most 9 fits", 0.0), ("1 of at most 9 fits", 2.0)]
    assert seen[-1][0] == f"{fits - 1} of {fits} fits"


class ForestOfTheirOwn(RandomForestClassifier):
    """Looks in processes of its own at something, then grows."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = Parallel(n_jobs=2)(delayed(os.getpid)() for _ in range(4))
        return super().fit(X, y, sample_weight)


def test_what_a_class_derived_from_a_forest_does_beside_is_left_alone():
    """Its own processes do not become threads, and are no trees."""
    X, y = rows("classification")
    forest = ForestOfTheirOwn(n_estimators=3, n_jobs=2)
    with heartbeat("fit") as progress, fit_counted(forest, len(X)):
        forest.fit(X, y)
    assert os.getpid() not in forest.seen_
    assert re.fullmatch(r"\d+ s so far", str(progress))


def test_a_forest_of_xgboosts_which_refuses_callbacks_is_fitted():
    X, y = rows("regression")
    settings = TrainSettings(model="custom", kind="regressor", version=1, estimator="xgboost:XGBRFRegressor")
    estimator = build_estimator(settings, "regression")
    fit_estimator(estimator, EncodedRows(X, y), settings, 1)
    assert estimator.get_booster().num_boosted_rounds() == 1
