"""The training history of each model type, against scikit-learn's own losses."""

from lockstep.kernel.errors import DataError
from lockstep.kernel.log import heartbeat
from lockstep.learning.estimators import EncodedRows, build_estimator, fit_estimator
from lockstep.learning.model_types import MODELS
from lockstep.steps.training import history
from lockstep.steps.training.history import HISTORY_COLUMNS, Part

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_squared_error

TYPES = [(name, task) for name, entry in MODELS.items() for task in entry.estimators]
STAGED = {"random_forest", "extra_trees", "gradient_boosting", "hist_gradient_boosting", "lightgbm", "xgboost"}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # small mlps


@pytest.fixture
def fitted(make_settings):
    def fitted(model, task, X, y, hyperparameters=None):
        settings = make_settings(model, task, hyperparameters)
        estimator = build_estimator(settings, task)
        fit_estimator(estimator, EncodedRows(X, y), settings, n_jobs=1)
        return estimator

    return fitted


def data(task, rows=200, classes=3, seed=0):
    X = np.random.default_rng(seed).normal(size=(rows, 3))
    y = X[:, 0] + 0.1 * X[:, 1] ** 2
    if task == "classification":
        y = np.array(["a", "b", "c"], dtype=object)[np.digitize(y, [-0.4, 0.4] if classes == 3 else [0.4])]
    return X, y


def parts(task, classes=3):
    return {"train": data(task, 200, classes), "validation": data(task, 80, classes, seed=1)}


def history_of(estimator, given, task):
    return history.history_of(estimator, {name: Part(*rows) for name, rows in given.items()}, task)


def of(rows, part):
    """(iterations, losses) of a part."""
    return tuple(zip(*((iteration, loss) for iteration, name, loss in rows if name == part), strict=True))


def loss(estimator, X, y, task):
    if task == "regression":
        return mean_squared_error(y, estimator.predict(X))
    if hasattr(estimator, "predict_proba"):
        return log_loss(y, estimator.predict_proba(X), labels=estimator.classes_)
    return np.mean(estimator.predict(X) != y)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("model", "task"), TYPES)
def test_the_last_loss_is_that_of_the_fitted_model(fitted, model, task, classes):
    given = parts(task, classes)
    estimator = fitted(model, task, *given["train"])
    rows = history_of(estimator, given, task)
    assert {tuple(map(type, row)) for row in rows} == {(int, str, float)}
    assert len(HISTORY_COLUMNS) == 3
    assert {part for _, part, _ in rows} == ({"train"} if model == "mlp" else set(given))
    if model == "mlp":  # its own loss includes a penalty, so that other rows' would not compare
        given.pop("validation")
    for part, (X, y) in given.items():
        iterations, losses = of(rows, part)
        if model in STAGED:
            assert iterations == tuple(range(1, 9))
        elif model == "mlp":
            assert iterations == tuple(range(1, estimator.n_iter_ + 1))
            assert losses == pytest.approx(estimator.loss_curve_)
            continue
        else:
            taken = getattr(estimator, "n_iter_", None)
            assert iterations == (1 if taken is None else np.max(taken),)
        assert losses[-1] == pytest.approx(loss(estimator, X, y, task))


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("model", sorted(STAGED))
def test_losses_after_fewer_iterations_are_those_of_a_smaller_model(fitted, model, task):
    given = parts(task)
    losses = of(history_of(fitted(model, task, *given["train"]), given, task), "validation")[1]
    trees = "max_iter" if model == "hist_gradient_boosting" else "n_estimators"
    smaller = fitted(model, task, *given["train"], {trees: 3})
    assert losses[2] == pytest.approx(loss(smaller, *given["validation"], task))


def test_boosting_that_stops_early_has_only_the_trees_that_it_made(fitted):
    given = parts("regression")
    settings = {"n_estimators": 300, "n_iter_no_change": 3, "learning_rate": 0.5}
    estimator = fitted("gradient_boosting", "regression", *given["train"], settings)
    iterations, losses = of(history_of(estimator, given, "regression"), "validation")
    assert len(iterations) == estimator.n_estimators_ < 300
    assert losses[-1] == pytest.approx(loss(estimator, *given["validation"], "regression"))


def test_long_histories_are_thinned_evenly_to_the_last(fitted, monkeypatch):
    monkeypatch.setattr(history, "MAX_ITERATIONS", 5)
    given = {"train": data("regression")}
    estimator = fitted("gradient_boosting", "regression", *given["train"], {"n_estimators": 41})
    assert of(history_of(estimator, given, "regression"), "train")[0] == (1, 11, 21, 31, 41)


def test_long_parts_are_thinned_evenly(fitted, monkeypatch):
    X, y = data("regression")
    estimator = fitted("ridge", "regression", X, y)
    monkeypatch.setattr(history, "_MAX_ROWS", 100)
    ((_, _, found),) = history_of(estimator, {"train": (X, y)}, "regression")
    rows = np.linspace(0, 199, 100).astype(int)
    assert found == pytest.approx(loss(estimator, X[rows], y[rows], "regression"))


def test_a_part_of_no_rows_is_left_out(fitted):
    X, y = data("classification")
    rows = history_of(
        fitted("svm", "classification", X, y), {"train": (X, y), "validation": (X[:0], y[:0])}, "classification"
    )
    assert [part for _, part, _ in rows] == ["train"]


@pytest.mark.parametrize("model", ["logistic_regression", "random_forest", "svm"])
def test_a_validation_class_that_was_not_trained_on(fitted, model):
    """Rows of it have no loss, and are left out."""
    X, y = data("classification", classes=2)
    estimator = fitted(model, "classification", X, y)
    strange = np.where(np.arange(200) % 4 == 0, "new", y).astype(object)
    found = of(history_of(estimator, {"validation": (X, strange)}, "classification"), "validation")[1][-1]
    keep = strange != "new"
    assert found == pytest.approx(loss(estimator, X[keep], strange[keep], "classification"))


def test_validation_rows_of_new_classes_only(fitted):
    X, y = data("classification")
    estimator = fitted("logistic_regression", "classification", X, y)
    assert history_of(estimator, {"validation": (X[:5], np.array(["new"] * 5, dtype=object))}, "classification") == []


def test_a_model_that_can_be_fitted_and_cannot_predict(fitted):
    X, y = data("regression")
    estimator = fitted("k_neighbors", "regression", X, y, {"n_neighbors": 500})
    with pytest.raises(DataError, match=r"^scikit-learn cannot predict by KNeighborsRegressor .* = 500"):
        history_of(estimator, {"train": (X, y)}, "regression")


@pytest.mark.parametrize(
    ("model", "said"), [("xgboost", "7 of 7"), ("gradient_boosting", "7 of 7"), ("random_forest", "7 of 7")]
)
def test_iterations_are_counted(fitted, model, said):
    X, y = data("regression")
    estimator = fitted(model, "regression", X, y, {"n_estimators": 7})
    with heartbeat("history") as progress:
        history_of(estimator, {"train": (X, y)}, "regression")
    assert str(progress).startswith(f"{said} iterations looked at, ")
    with heartbeat("history") as progress:
        history_of(estimator, {"train": (X, y), "validation": (X, y)}, "regression")
    assert str(progress).startswith("2 of 2 parts, ")
