"""The model type voting: what its settings may say, how weights are chosen, what comes out."""

import itertools
import pickle
from dataclasses import replace

from lockstep.kernel.errors import SettingsError
from lockstep.learning.cross_validation import (
    CrossValidateSettings,
    PipelineSettings,
    cross_validate,
    inner_folds,
    make_folds,
)
from lockstep.learning.estimators import EncodedRows, build_estimator, fit_estimator
from lockstep.learning.preprocessing import PreprocessSettings, categories_of
from lockstep.learning.voting import DEFAULT_MEMBERS, STEPS, choose_weights, tally_of
from stages.preprocess import preprocess
from stages.train import libraries_of, train

import numpy as np
import pytest
from small import make_table, model_settings

HGB = {"model": "hist_gradient_boosting", "max_iter": 8}
FOREST = {"model": "random_forest", "n_estimators": 8}
NEIGHBOURS = {"model": "k_neighbors"}
WHERE = "train.hyperparameters"


def voting(task, *members, folds=3, **own):
    return model_settings("voting", task, hyperparameters={"members": list(members), "folds": folds}, **own)


def fitted(settings, task, X, y, n_jobs=1, folds=None, categories=(), weights=None):
    estimator = build_estimator(settings, task)
    parts = np.array_split(np.random.default_rng(0).permutation(len(y)), 3)
    folds = [(np.setdiff1d(np.arange(len(y)), part), part) for part in parts] if folds is None else folds
    fit_estimator(estimator, EncodedRows(X, y, categories, weights, folds), settings, n_jobs)
    return estimator


def data(task, rows=120):
    random = np.random.default_rng(0)
    X = random.normal(size=(rows, 3))
    signal = X[:, 0] + X[:, 1] ** 2 + random.normal(scale=0.3, size=rows)
    return X, signal if task == "regression" else np.array(["lo", "mid", "up"], object)[np.digitize(signal, [0, 1.5])]


def test_the_weights_are_the_best_there_are_for_two_members():
    """Against every mixture of as fine a grid: the squared error of a mean of two has one least value."""
    random = np.random.default_rng(0)
    y = random.normal(size=200)
    outputs = np.stack([y + random.normal(scale=scale, size=200) for scale in (0.5, 0.7)])

    def loss(output):
        return float(np.mean((output - y) ** 2))

    found = choose_weights(outputs, loss)
    mixtures = [(step / total, 1 - step / total) for total in range(1, STEPS + 1) for step in range(total + 1)]
    best = min(mixtures, key=lambda weights: loss(np.asarray(weights) @ outputs))
    assert loss(found @ outputs) == pytest.approx(loss(np.asarray(best) @ outputs), rel=1e-3)
    assert found.sum() == pytest.approx(1)
    assert 0 < found[1] < found[0]


def test_each_step_adds_the_member_that_helps_most():
    """Against a search of three members that tries every sequence of three steps the greedy one may take."""
    outputs = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 4.0]])

    def loss(output):
        return float(np.sum((output - [0.6, 0.4, 0.0]) ** 2))

    found = choose_weights(outputs, loss)
    assert found.tolist() == pytest.approx([0.6, 0.4, 0.0])
    grid = [w for w in itertools.product(np.arange(0, 1.01, 0.1), repeat=3) if abs(sum(w) - 1) < 1e-9]
    assert loss(found @ outputs) <= min(loss(np.asarray(w) @ outputs) for w in grid) + 1e-12


def test_equal_members_leave_the_first():
    assert choose_weights(np.ones((3, 5)), lambda output: float(np.mean(output))).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_model_is_the_weighted_mean_of_members_fitted_on_all_rows(task):
    X, y = data(task)
    members = HGB, FOREST, NEIGHBOURS
    vote = fitted(voting(task, *members), task, X, y)
    expected = 0
    codes = np.unique(y, return_inverse=True)[1] if task == "classification" else y
    for weight, member in zip(vote.weights, members, strict=True):
        own = {key: value for key, value in member.items() if key != "model"}
        settings = model_settings(member["model"], task, hyperparameters=own)
        alone = build_estimator(settings, task)
        fit_estimator(alone, EncodedRows(X, codes), settings, 1)
        expected = expected + weight * (alone.predict_proba(X) if task == "classification" else alone.predict(X))
    found = vote.predict_proba(X) if task == "classification" else vote.predict(X)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    if task == "classification":
        assert set(vote.predict(X)) <= {"lo", "mid", "up"}
        assert vote.classes_.tolist() == ["lo", "mid", "up"]
    tally = tally_of(vote)
    assert tally.metric == ("log_loss" if task == "classification" else "mse")
    assert (tally.rows, [one.weight for one in tally.members]) == (len(y), vote.weights)
    assert tally.loss <= min(one.loss for one in tally.members)
    assert len(vote.estimators_) == sum(weight > 0 for weight in vote.weights)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_members_of_all_libraries_with_categories_and_missing_values(task):
    X, y = data(task)
    X[::7, 0], X[:, 2] = np.nan, np.arange(len(y)) % 5
    libraries = [{"model": name, "n_estimators": 8} for name in ("lightgbm", "xgboost", "extra_trees", "random_forest")]
    members = HGB, *libraries
    settings = voting(task, *members)
    first, second = (fitted(settings, task, X, y, n_jobs, categories=[2]) for n_jobs in (1, 2))
    assert pickle.dumps(first) == pickle.dumps(second)
    assert len(first.predict(X)) == len(y)
    assert {"lightgbm", "xgboost", "scikit-learn"} <= set(libraries_of(settings))


def test_a_class_that_a_fold_lacks_has_no_probability_there():
    X, y = data("classification")
    y[:2] = "rare"
    halves = np.arange(60), np.arange(60, 120)
    settings = voting("classification", HGB, {"model": "xgboost"})
    vote = fitted(settings, "classification", X, y, folds=[halves[::-1], halves])
    assert np.isfinite(tally_of(vote).loss)
    assert vote.classes_.tolist() == ["lo", "mid", "rare", "up"]


def test_folds_of_one_class_are_left_out_and_without_folds_all_weigh_the_same():
    X, y = data("classification")
    one_class = np.flatnonzero(y == "lo"), np.flatnonzero(y != "lo")
    for folds in ([one_class], []):
        vote = fitted(voting("classification", HGB, FOREST), "classification", X, y, folds=folds)
        assert vote.weights == [0.5, 0.5]
        assert (tally_of(vote).rows, tally_of(vote).loss) == (0, None)


def test_weights_of_classes_reach_the_members():
    X, y = data("classification")
    plain, balanced = (
        fitted(voting("classification", HGB, NEIGHBOURS, class_weight=weight), "classification", X, y)
        for weight in (None, "balanced")
    )
    assert (plain.estimators_[0].predict_proba(X) != balanced.estimators_[0].predict_proba(X)).any()


def test_inner_folds_are_cut_by_group_and_time_and_are_fewer_where_rows_are_few():
    settings, table = voting("classification", HGB, FOREST, folds=5), make_table(rows=60)
    assert inner_folds(table, model_settings("ridge", "regression")) == []
    assert inner_folds(table, voting("classification", HGB, FOREST, folds=0)) == []
    assert len(inner_folds(table, settings)) == 5
    assert len(inner_folds(table.rows(np.arange(6)), settings)) == 3
    assert inner_folds(table.rows(np.arange(3)), settings) == []
    groups = replace(table, frame=table.frame.assign(house=np.arange(60) % 4), group="house")
    found = inner_folds(groups, settings)
    assert len(found) == 4
    house = groups.frame["house"].to_numpy()
    assert all(not set(house[fit]) & set(house[other]) for fit, other in found)
    times = replace(table, frame=table.frame.assign(at=np.arange(60)[::-1] // 2), time="at")
    at = times.frame["at"].to_numpy()
    assert all(at[fit].max() < at[other].min() for fit, other in inner_folds(times, settings))
    expected = make_folds(times, CrossValidateSettings(folds=5, seed=settings.seed))
    for one, other in zip(inner_folds(times, settings), expected, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("kind", ["group", "time"])
def test_the_stage_train_sees_groups_and_times_though_they_are_no_features(kind):
    table = make_table("regression", rows=90)
    table = replace(table, frame=table.frame.assign(beside=np.arange(90) // 3), **{kind: "beside"})
    settings = voting("regression", HGB, NEIGHBOURS)
    preprocessor, processed = preprocess(table, PreprocessSettings(), "voting")
    assert "beside" not in processed.features
    model = train(processed, preprocessor, table.rows(np.arange(0)), settings).model
    assert tally_of(model[-1]).rows == (90 if kind == "group" else 63)  # the first 9 of 30 times are never predicted
    assert len(model.predict(table.features)) == 90


def test_a_group_that_is_called_as_an_encoded_column():
    table = make_table("regression", rows=30)
    table = replace(table, frame=table.frame.assign(number__number=np.arange(30) // 3), group="number__number")
    processed = preprocess(table, PreprocessSettings(), "voting")[1]
    assert {"number__number", "number__number_2"} <= set(processed.frame)


def test_it_is_cross_validated_and_the_folds_differ_from_the_members_alone(caplog):
    table = make_table(rows=90)
    settings = voting("classification", HGB, FOREST)
    scores = cross_validate(table, CrossValidateSettings(folds=2), PipelineSettings(PreprocessSettings(), settings))
    assert [round(fold.metrics["log_loss"], 3) for fold in scores] == [
        round(fold.metrics["log_loss"], 3)
        for fold in cross_validate(
            table, CrossValidateSettings(folds=2), PipelineSettings(PreprocessSettings(), settings)
        )
    ]
    assert all(fold.metrics["accuracy"] > 0.7 for fold in scores)


@pytest.mark.parametrize(
    ("hyperparameters", "said"),
    [
        ({"members": [HGB]}, f"{WHERE}.members has 1: a mean needs two. Add one, or set train.model to its type."),
        ({"members": []}, f"{WHERE}.members has 0: a mean needs two."),
        ({"members": "all"}, f'{WHERE}.members is "all". Allowed: a list, each item a mapping'),
        ({"folds": 1}, f"{WHERE}.folds is 1. Allowed: 0, for members that all weigh the same, or 2 and more."),
        ({"folds": -1}, f"{WHERE}.folds is -1. Allowed: a whole number at least 0."),
        ({"fold": 3}, f"{WHERE}.fold is not a setting. Allowed, nearest first: folds, members."),
        ({"n_estimators": 3}, f"{WHERE}.n_estimators is not a setting. Allowed"),
        ({"members": [HGB, {"max_iter": 3}]}, f"{WHERE}.members[1].model is missing. Allowed, nearest first: "),
        ({"members": [HGB, {"model": "voting"}]}, f"{WHERE}.members[1].model: 'voting' cannot be a member of a vote"),
        ({"members": [HGB, {"model": "custom"}]}, f"{WHERE}.members[1].model: 'custom' cannot be a member of a vote"),
        ({"members": [{"model": "ridge"}, HGB]}, f"{WHERE}.members[0].model: 'ridge' cannot be a member of a vote f"),
        ({"members": [HGB, {"model": "svm"}]}, f"{WHERE}.members[1]: svm gives no probabilities, which are what is av"),
        ({"members": [{**HGB, "rate": 1}, HGB]}, f"{WHERE}.members[0].rate is not a hyperparameter of HistGradientB"),
        ({"members": [{**HGB, "max_iter": -1}, HGB]}, f"{WHERE}.members[0]: The 'max_iter' parameter of HistGradientB"),
        ({"members": [HGB, {**HGB, "random_state": 1}]}, f"{WHERE}.members[1].random_state has a setting of its own"),
    ],
)
def test_settings_that_are_refused(hyperparameters, said):
    settings = model_settings("voting", "classification", hyperparameters=hyperparameters)
    with pytest.raises(SettingsError) as caught:
        build_estimator(settings, "classification")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_member_that_takes_no_missing_values_or_categories_gets_numbers_in_their_place(task):
    from lockstep.api import ModelConfig

    native = {"encode": "native", "numeric_impute": "native"}
    linear = {"model": "logistic_regression" if task == "classification" else "ridge"}
    ModelConfig("voting", task, {"members": [HGB, linear]}, preprocess=native)  # is not refused
    table = make_table(task, rows=120)
    complete = table.frame.fillna({"number": 0.0, "text": "low"})
    settings = voting(task, HGB, linear, folds=0)
    for learnt in (table, replace(table, frame=complete)):  # what misses nothing in training may later
        preprocessor, processed = preprocess(learnt, PreprocessSettings(**native), "voting")
        model = train(processed, preprocessor, table.rows(np.arange(0)), settings).model
        rows = table.features.assign(text=table.features["text"].replace("low", "unheard of"))
        assert len(model.predict(rows)) == len(rows)
    encoder, alone = model[-1].estimators_[1].named_steps.values()
    codes = preprocessor.transform(table.features)
    numbers = encoder.transform(codes)
    assert numbers.shape[1] == codes.shape[1] - 1 + table.features["text"].nunique()
    assert alone.n_features_in_ == numbers.shape[1]


def test_members_get_what_is_encoded_for_all_unless_something_is_left_as_it_is():
    table = make_table("regression", rows=60)
    settings = voting("regression", HGB, {"model": "ridge"}, folds=0)
    for given, kind in (({}, "Ridge"), ({"numeric_impute": "native"}, "Pipeline"), ({"encode": "native"}, "Pipeline")):
        preprocessor, processed = preprocess(table, PreprocessSettings(**given), "voting")
        assert (categories_of(preprocessor) is None) == (not given)
        vote = train(processed, preprocessor, table.rows(np.arange(0)), settings).model[-1]
        assert type(vote.estimators_[1]).__name__ == kind


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_members_that_all_weigh_the_same_are_each_fitted_once(task, caplog):
    table = make_table(task, rows=60)
    settings = voting(task, HGB, FOREST, folds=0)
    preprocessor, processed = preprocess(table, PreprocessSettings(), "voting")
    vote = train(processed, preprocessor, table.rows(np.arange(0)), settings).model[-1]
    assert vote.weights == [0.5, 0.5]
    assert tally_of(vote).loss is None
    assert "too few rows" not in caplog.text  # nobody asked for weights


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_default_members_take_values_as_they_are(task):
    from lockstep.api import ModelConfig

    ModelConfig("voting", task, preprocess={"encode": "native", "numeric_impute": "native"})
    assert len(DEFAULT_MEMBERS) > 1


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_members_like_the_default_ones_have_the_same_bytes_with_any_number_of_threads(task):
    from threadpoolctl import threadpool_limits

    X, y = data(task)
    short = [{**one, next(key for key in ("max_iter", "n_estimators") if key in one): 10} for one in DEFAULT_MEMBERS]
    settings = voting(task, *short)
    found = []
    for threads in (1, 3):
        with threadpool_limits(threads, user_api="openmp"):
            found.append(pickle.dumps(fitted(settings, task, X, y)))
    assert found[0] == found[1]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_weights_of_rows_reach_the_members_and_the_loss_that_weights_them(task):
    X, y = data(task)
    weights = np.where(X[:, 0] > 0, 5.0, 0.1)
    plain, same, weighted = (
        fitted(voting(task, HGB, FOREST), task, X, y, weights=given) for given in (None, np.full(len(y), 2.0), weights)
    )
    losses = [[one.loss for one in tally_of(vote).members] for vote in (plain, same, weighted)]
    assert losses[0][0] == pytest.approx(losses[1][0])  # of a forest, ties may fall otherwise
    assert losses[0] != pytest.approx(losses[2])
    with pytest.raises(SettingsError, match=r"is set, and KNeighbors.* knows no weights of rows"):
        fitted(voting(task, HGB, NEIGHBOURS), task, X, y, weights=weights)
