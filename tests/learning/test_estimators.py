"""Building and fitting an estimator of each model type."""

import pickle
import re
import sys

from lockstep.kernel.errors import DataError, MachineError, SettingsError
from lockstep.kernel.settings import convert
from lockstep.learning import estimators
from lockstep.learning.estimators import EncodedRows, TrainSettings, build_estimator, fit_estimator
from lockstep.learning.model_types import CUSTOM, KINDS, MODELS, model_type
from lockstep.learning.voting import member_of

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import recall_score
from sklearn.utils.class_weight import compute_sample_weight
from threadpoolctl import threadpool_info, threadpool_limits

TYPES = [(name, task) for name, entry in MODELS.items() for task in entry.estimators]
CLASSIFIERS = [name for name, task in TYPES if task == "classification"]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # small mlps


@pytest.fixture
def fitted(make_settings):
    def fitted(model, task, X, y, n_jobs=1, **own):
        settings = make_settings(model, task, **own)
        estimator = build_estimator(settings, task)
        fit_estimator(estimator, EncodedRows(X, y), settings, n_jobs)
        return estimator

    return fitted


def data(task, rows=400, seed=0):
    X = np.random.default_rng(seed).normal(size=(rows, 3))
    signal = 3 * X[:, 0] - X[:, 1]
    return X, signal if task == "regression" else np.where(signal > 0, "up", "down").astype(object)


def message(function, *args):
    with pytest.raises(SettingsError) as caught:
        function(*args)
    return str(caught.value)


@pytest.mark.parametrize(("model", "task"), TYPES)
def test_every_type_learns(fitted, model, task):
    estimator = fitted(model, task, *data(task))
    score = estimator.score(*data(task, seed=1))
    assert score > (0.6 if task == "regression" else 0.85)  # R2, accuracy; of the mean and of a coin: 0 and 0.5


@pytest.mark.parametrize("categories", [(), (1,)])
@pytest.mark.parametrize("task", list(KINDS))
def test_rows_taken_column_by_column_leave_no_trace(make_settings, task, categories):
    X, y = data(task)
    X[:, 1] = np.abs(X[:, 1]).round()
    settings = make_settings("xgboost", task)
    by_rows, by_columns = build_estimator(settings, task), build_estimator(settings, task)
    if categories:
        kinds = ["c" if number in categories else "q" for number in range(X.shape[1])]
        member_of(by_rows).set_params(feature_types=kinds)
    by_rows.fit(X, y)
    fit_estimator(by_columns, EncodedRows(X, y, categories), settings, 1)
    assert pickle.dumps(by_rows) == pickle.dumps(by_columns)


@pytest.mark.parametrize(("model", "task"), TYPES)
def test_threads_leave_no_trace_and_the_seed_decides(fitted, model, task):
    X, y = data(task)
    one, two, other = (fitted(model, task, X, y, n_jobs, seed=seed) for n_jobs, seed in ((1, 3), (2, 3), (1, 4)))
    assert pickle.dumps(one) == pickle.dumps(two)
    if "random_state" in one.get_params():
        assert (one.random_state, other.random_state) == (3, 4)


@pytest.mark.parametrize("model", [name for name, entry in MODELS.items() if entry.threaded])
def test_several_threads_are_left_to_many_cells(make_settings, monkeypatch, model):
    """Both fits give the same bits, and the threads are as many as before afterwards."""
    settings, found, bits = make_settings(model), [], []
    X, y = np.arange(400.0).reshape(100, 4) % 37, np.arange(100) % 2
    for cells in (X.size + 1, X.size):
        monkeypatch.setattr(estimators, "THREADS_PAY", cells)
        estimator = build_estimator(settings, "classification")
        kind = type(estimator)
        real = kind.fit

        def fit(self, *args, real=real, **more):
            found.append({one["num_threads"] for one in threadpool_info() if one["user_api"] == "openmp"})
            return real(self, *args, **more)

        with threadpool_limits(3, user_api="openmp"), monkeypatch.context() as patch:
            patch.setattr(kind, "fit", fit)
            fit_estimator(estimator, EncodedRows(X, y), settings, -1)
            found.append({one["num_threads"] for one in threadpool_info() if one["user_api"] == "openmp"})
        bits.append(pickle.dumps(estimator))
    assert found == [{1}, {3}, {3}, {3}]
    assert bits[0] == bits[1]


def test_another_seed_gives_another_forest(fitted):
    X, y = data("classification")
    first, second = (fitted("random_forest", "classification", X, y, seed=seed) for seed in (1, 2))
    assert (first.predict_proba(X) != second.predict_proba(X)).any()


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_balanced_class_weights_raise_the_recall_of_the_rare_class(fitted, model):
    """One row in ten is rare, and overlaps the others, so that a model without weights prefers the frequent class.

    Trees are kept shallow: in fully grown ones each leaf has rows of one class, and weights change little.
    """

    def imbalanced(rows, seed):
        rng = np.random.default_rng(seed)
        rare = np.arange(rows) % 10 == 0
        return rng.normal(size=(rows, 2)) + 1.5 * rare[:, None], np.where(rare, "rare", "usual").astype(object)

    X, y = imbalanced(600, seed=0)
    X_test, y_test = imbalanced(3000, seed=1)
    recall = {}
    for weight in (None, "balanced"):
        given = {"n_estimators": 30, "max_depth": 5} if model in ("random_forest", "extra_trees") else None
        estimator = fitted(model, "classification", X, y, class_weight=weight, hyperparameters=given)
        recall[weight] = recall_score(y_test, estimator.predict(X_test), pos_label="rare")
    assert recall["balanced"] > recall[None] + 0.1


def test_weights_are_those_of_scikit_learn(fitted):
    X, y = data("classification")
    y[:150] = "up"
    expected = GradientBoostingClassifier(n_estimators=8, random_state=42)
    expected.fit(X, y, sample_weight=compute_sample_weight("balanced", y))
    found = fitted("gradient_boosting", "classification", X, y, class_weight="balanced")
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


def test_k_neighbors_sees_as_many_rows_of_each_class(fitted):
    X, y = np.arange(10.0)[:, None], np.array(["a"] * 7 + ["b"] * 2 + ["c"], dtype=object)
    found = fitted("k_neighbors", "classification", X, y, class_weight="balanced")
    seen = found._fit_X[:, 0]
    assert len(seen) == 21
    assert {name: len(seen[np.isin(seen, X[y == name])]) for name in "abc"} == {"a": 7, "b": 7, "c": 7}
    assert set(seen) == set(range(10))
    assert found.classes_[found._y].tolist() == y[seen.astype(int)].tolist()  # each row with its own class


def test_hyperparameters_are_passed_on(make_settings):
    given = {"n_estimators": 7, "max_depth": 3, "max_features": 0.5}
    settings = make_settings("random_forest", hyperparameters=given, seed=5, class_weight="balanced")
    parameters = build_estimator(settings, "classification").get_params()
    assert {name: parameters[name] for name in given} == given
    assert (parameters["random_state"], parameters["class_weight"]) == (5, "balanced")


@pytest.mark.parametrize(("name", "first"), [("random_florest", "random_forest"), ("rigde", "ridge"), ("", None)])
def test_an_unknown_model_type_lists_all_the_nearest_first(make_settings, name, first):
    found = message(build_estimator, make_settings(name), "classification")
    listed = re.fullmatch(rf"train\.model: '{name}' is not a model type\. Supported, nearest first: (.*)\.", found)[1]
    assert sorted(listed.split(", ")) == sorted([*MODELS, CUSTOM])
    assert first in (None, listed.split(", ")[0])
    assert message(model_type, name) == found


@pytest.mark.parametrize(
    ("model", "task", "own", "expected"),
    [
        (
            "ridge",
            "classification",
            {},
            "train.model: 'ridge' cannot do classification. Those that can: random_forest, ",
        ),
        (
            "logistic_regression",
            "regression",
            {},
            "train.model: 'logistic_regression' cannot do regression. Those that",
        ),
        (
            "svm",
            "classification",
            {"kind": "regressor"},
            "train.kind is regressor, but load.task is classification. Set t",
        ),
        (
            "svm",
            "regression",
            {"class_weight": "balanced"},
            "train.class_weight is for classification. Set it to null.",
        ),
    ],
)
def test_settings_that_contradict_the_task(make_settings, model, task, own, expected):
    assert message(build_estimator, make_settings(model, task, **own), task).startswith(expected)


@pytest.mark.parametrize(("model", "task"), [pair for pair in TYPES if pair[0] != "voting"])
def test_an_unknown_hyperparameter_lists_the_valid_ones(make_settings, model, task):
    found = message(build_estimator, make_settings(model, task, {"tolerance_": 1}), task)
    estimator = MODELS[model].estimator(task)
    where, listed = found.removesuffix(".").split(". Allowed, nearest first: ")
    assert where == f"train.hyperparameters.tolerance_ is not a hyperparameter of {estimator.__name__}"
    known = {*estimator().get_params(), *MODELS[model].more} - set(MODELS[model].fixed)
    known -= {"n_jobs", "verbose", "warm_start", "random_state", "class_weight"}
    assert set(listed.split(", ")) == known


@pytest.mark.parametrize(
    ("model", "name", "nearest"),
    [
        ("random_forest", "n_estimator", "n_estimators"),
        ("random_forest", "depth", "max_depth"),
        ("gradient_boosting", "learning-rate", "learning_rate"),
        ("mlp", "hiden_layers", "hidden_layer_sizes"),
        ("k_neighbors", "k_neighbors", "n_neighbors"),
    ],
)
def test_the_nearest_hyperparameter_comes_first(make_settings, model, name, nearest):
    found = message(build_estimator, make_settings(model, hyperparameters={name: 1}), "classification")
    assert f"Allowed, nearest first: {nearest}, " in found


@pytest.mark.parametrize("name", ["n_jobs", "verbose", "warm_start"])
def test_what_changes_no_result_is_no_hyperparameter(make_settings, name):
    found = message(build_estimator, make_settings("random_forest", hyperparameters={name: 1}), "classification")
    assert re.fullmatch(rf"train\.hyperparameters\.{name} cannot be set: .+\. Remove it\.", found)


@pytest.mark.parametrize(("model", "name"), [("lightgbm", "deterministic"), ("xgboost", "tree_method")])
def test_what_the_same_model_everywhere_depends_on_is_no_hyperparameter(make_settings, model, name):
    found = message(build_estimator, make_settings(model, hyperparameters={name: "x"}), "classification")
    value = MODELS[model].fixed[name]
    where = f"train.hyperparameters.{name} cannot be set"
    assert found == f"{where}: Lockstep has it at {value}, for the same model everywhere. Remove it."


@pytest.mark.parametrize(("model", "name"), [("lightgbm", "num_leaves"), ("xgboost", "max_depth")])
def test_values_that_a_library_refuses_when_it_fits_are_refused_before(make_settings, model, name):
    found = message(build_estimator, make_settings(model, hyperparameters={name: -7}), "classification")
    assert found.startswith("train.hyperparameters: ")
    assert name in found


@pytest.mark.parametrize(
    ("model", "hyperparameters", "found"),
    [
        (
            "xgboost",
            {"max_depth": 3, "n_estimators": "many"},
            ".n_estimators is 'many': 'str' object cannot be interpreted as an integer",
        ),
        ("lightgbm", {"learning_rate": "x"}, ".learning_rate is 'x': Unknown token x in data file"),
        ("lightgbm", {"num_leaves": 1}, ": Check failed: (num_leaves) > (1)"),
        (
            "voting",
            {"members": [{"model": "xgboost"}, {"model": "lightgbm", "n_estimators": "many"}]},
            ".members[1].n_estimators is 'many': '<=' not supported between instances of 'str' and 'int'",
        ),
    ],
)
def test_the_value_that_a_library_means_is_named(make_settings, model, hyperparameters, found):
    settings = make_settings(model, hyperparameters=hyperparameters)
    assert message(build_estimator, settings, "classification") == f"train.hyperparameters{found}"


@pytest.mark.parametrize(
    ("model", "task"), [pair for pair in TYPES if pair[0] in ("hist_gradient_boosting", "lightgbm", "xgboost")]
)
def test_categories_are_taken_as_such(fitted, make_settings, model, task):
    """Every second of 10 codes is of one kind: trees that cut an order need 9 cuts, those that take categories one."""
    codes = np.random.default_rng(0).integers(0, 10, 2000).astype(float)
    codes[::50] = np.nan
    y = np.where(codes % 2 == 1, "odd", "even").astype(object) if task == "classification" else np.nan_to_num(codes) % 2
    stump = {"n_estimators" if model != "hist_gradient_boosting" else "max_iter": 1, "learning_rate": 1.0}
    leaves = {"lightgbm": "num_leaves", "xgboost": "max_leaves"}.get(model, "max_leaf_nodes")
    settings = make_settings(model, task, stump | {leaves: 3})
    scores = []
    for categories in ([1], []):
        estimator = build_estimator(settings, task)
        X = np.column_stack([np.zeros(2000), codes])
        fit_estimator(estimator, EncodedRows(X, y, categories), settings, 1)
        scores.append(estimator.score(X, y))
    assert scores[0] > 0.9 > 0.7 > scores[1]


def test_a_library_that_cannot_be_loaded(make_settings, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(MachineError, match=r"lightgbm cannot be loaded: .*\. Type 'make venv'"):
        build_estimator(make_settings("lightgbm"), "classification")


@pytest.mark.parametrize(("name", "own"), [("random_state", "train.seed"), ("class_weight", "train.class_weight")])
def test_what_has_a_setting_of_its_own(make_settings, name, own):
    found = message(build_estimator, make_settings("random_forest", hyperparameters={name: 1}), "classification")
    assert found == f"train.hyperparameters.{name} has a setting of its own: set {own}."


@pytest.mark.parametrize(
    ("model", "hyperparameters", "what"),
    [
        (
            "random_forest",
            {"n_estimators": -5},
            "The 'n_estimators' parameter of RandomForestClassifier must be an int",
        ),
        ("random_forest", {"max_depth": "ten"}, "The 'max_depth' parameter of RandomForestClassifier must be an int"),
        ("logistic_regression", {"solver": "sgd"}, "The 'solver' parameter of LogisticRegression must be a str among"),
    ],
)
def test_values_that_scikit_learn_refuses(make_settings, model, hyperparameters, what):
    settings = make_settings(model, hyperparameters=hyperparameters)
    assert message(build_estimator, settings, "classification").startswith(f"train.hyperparameters: {what}")


def test_what_scikit_learn_cannot_fit(make_settings):
    settings = make_settings("mlp", hyperparameters={"hidden_layer_sizes": [0]})
    estimator = build_estimator(settings, "classification")
    what = (
        "scikit-learn cannot fit MLPClassifier with these hyperparameters on these rows: hidden_layer_sizes must be > 0"
    )
    with pytest.raises(DataError, match=what):
        fit_estimator(estimator, EncodedRows(*data("classification")), settings, 2)
    assert estimator.get_params().get("n_jobs") is None


def test_costs_of_one_mistake_alone_are_refused_with_the_keys():
    with pytest.raises(SettingsError, match=r"train\.costs\.false_negative is missing. Allowed: a number above 0."):
        convert(
            {"model": "svm", "kind": "classifier", "version": 1, "costs": {"false_positive": 1}}, TrainSettings, "train"
        )


@pytest.mark.parametrize(("model", "task"), [entry for entry in TYPES if entry[0] != "k_neighbors"])
def test_weights_of_rows_change_every_model_and_their_unit_none(make_settings, model, task):
    X, y = data(task)
    noise = np.random.default_rng(1)
    y = y + noise.normal(size=len(y)) if task == "regression" else np.where(noise.random(len(y)) < 0.2, "up", y)
    weights = np.random.default_rng(2).uniform(0.1, 10, len(y))

    def fitted(given):
        settings = make_settings(model, task, {"min_samples_leaf": 20} if model == "extra_trees" else None)
        estimator = build_estimator(settings, task)
        fit_estimator(estimator, EncodedRows(X, y, weights=given), settings, 1)
        return estimator

    def output(estimator):
        if hasattr(estimator, "decision_function"):
            return estimator.decision_function(X)
        return estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else estimator.predict(X)

    alike, own, scaled = (output(fitted(given)) for given in (None, weights, weights * 1024))
    assert not np.allclose(alike, own)
    np.testing.assert_array_equal(own, scaled)


def test_a_model_that_knows_no_weights_says_so(make_settings):
    settings, (X, y) = make_settings("k_neighbors", "classification"), data("classification")
    with pytest.raises(SettingsError, match=r"load\.weight is set, and KNeighborsClassifier knows no weights of rows"):
        fit_estimator(
            build_estimator(settings, "classification"), EncodedRows(X, y, weights=np.ones(len(y))), settings, 1
        )


@pytest.mark.parametrize(("model", "task"), [one for one in TYPES if MODELS[one[0]].precision == "float32"])
def test_single_precision_is_what_these_models_read_anyway(fitted, model, task):
    X, y = data(task)
    double, single = (fitted(model, task, rows, y) for rows in (X, X.astype("float32")))
    assert pickle.dumps(single) == pickle.dumps(double)
    predicted = [one.predict(rows).tolist() for one in (double, single) for rows in (X, X.astype("float32"))]
    assert all(found == predicted[0] for found in predicted)
