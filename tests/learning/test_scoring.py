"""Predictions and metrics, against scikit-learn called directly."""

from lockstep.kernel.errors import DataError, SettingsError
from lockstep.learning.estimators import EncodedRows, build_estimator, fit_estimator
from lockstep.learning.metrics import METRICS
from lockstep.learning.model_types import MODELS
from lockstep.learning.scoring import Predictions, at, metrics_of, predict, prediction_columns, predictions_of

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

TYPES = [(name, task) for name, entry in MODELS.items() for task in entry.estimators]
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # small mlps
TRUE = np.array(list("aaabbbcccc"), dtype=object)
SAID = np.array(list("aabbbaccca"), dtype=object)


def said(values, classes, probabilities=None):
    classes = np.array(sorted(classes), dtype=object)
    return Predictions(np.array(values, dtype=object), classes, probabilities, None)


@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_several_classes(average):
    found = metrics_of(TRUE, said(SAID, "abc"), "classification", average)
    assert found == {
        "accuracy": metrics.accuracy_score(TRUE, SAID),
        "precision": metrics.precision_score(TRUE, SAID, average=average),
        "recall": metrics.recall_score(TRUE, SAID, average=average),
        "f1_score": metrics.f1_score(TRUE, SAID, average=average),
        "balanced_accuracy": metrics.balanced_accuracy_score(TRUE, SAID),
    }
    assert list(found) == ["accuracy", "precision", "recall", "f1_score", "balanced_accuracy"]
    assert set(map(type, found.values())) == {float}


@pytest.mark.parametrize(("no", "yes"), [("no", "yes"), (0, 1), (False, True), (7, 12)])
def test_the_positive_class_of_two_is_the_last(no, yes):
    y = np.array([yes, yes, yes, no, no, no, no, no])
    values = np.array([yes, yes, no, yes, no, no, no, no])
    if isinstance(no, str):
        y, values = y.astype(object), values.astype(object)
    found = metrics_of(y, Predictions(values, np.unique(y), None, None), "classification", "binary")
    assert (found["precision"], found["recall"], found["f1_score"]) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (found["accuracy"], found["balanced_accuracy"]) == (0.75, pytest.approx((2 / 3 + 4 / 5) / 2))


def test_a_class_that_is_never_predicted_counts_as_zero():
    found = metrics_of(TRUE, said(["a"] * 10, "abc"), "classification", "macro")
    assert found["precision"] == pytest.approx(0.3 / 3)
    assert found["recall"] == found["balanced_accuracy"] == pytest.approx(1 / 3)


def test_several_classes_have_no_positive_one():
    message = r"average is binary, but there are 3 classes\. Set it to macro, weighted or micro\."
    with pytest.raises(SettingsError, match=message):
        metrics_of(TRUE, said(SAID, "abc"), "classification", "binary")


@pytest.mark.parametrize(
    ("y", "given"),
    [
        (["a", "b", "a"], "abc"),  # the rows lack a class
        (["a", "a", "a"], "ab"),
        (["a", "b", "c"], "ab"),  # the rows have a class that the model has never seen
        (["c", "c", "c"], "ab"),
    ],
)
def test_what_needs_all_classes_is_left_out_else(y, given):
    probabilities = np.full((3, len(given)), 1 / len(given))
    found = metrics_of(np.array(y, dtype=object), said(["a"] * 3, given, probabilities), "classification", "macro")
    assert list(found) == ["accuracy", "precision", "recall", "f1_score", "balanced_accuracy"]
    assert found["accuracy"] == y.count("a") / 3
    assert found["balanced_accuracy"] == ("a" in y) / len(set(y))


@pytest.mark.parametrize("y", [["a", "b", "c"], ["a", "a", "c"]])
def test_binary_average_of_rows_with_an_unseen_class(y):
    found = metrics_of(np.array(y, dtype=object), said(["a"] * 3, "ab"), "classification", "binary")
    assert (found["recall"], found["precision"], found["accuracy"]) == (0, 0, y.count("a") / 3)


def test_regression():
    y, values = np.array([1.0, 2, 4, 9]), np.array([1.5, 2, 3, 5])
    found = metrics_of(y, Predictions(values, None, None, None), "regression", "macro")
    assert found == {
        "mse": metrics.mean_squared_error(y, values),
        "mae": metrics.mean_absolute_error(y, values),
        "r2_score": metrics.r2_score(y, values),
        "rmse": metrics.root_mean_squared_error(y, values),
        "median_absolute_error": 0.75,
    }
    assert set(map(type, found.values())) == {float}


def labelled(classes, rows=300, seed=0):
    X = np.random.default_rng(seed).normal(size=(rows, 3))
    codes = np.digitize(X[:, 0] + 0.3 * X[:, 1], np.linspace(-0.5, 0.5, classes - 1) if classes > 2 else [0.8])
    return X, np.array(["no", "perhaps", "yes"], dtype=object)[codes] if classes > 1 else X[:, 0]


@pytest.fixture
def fitted(make_settings):
    def fitted(model, task, X, y):
        settings = make_settings(model, task)
        estimator = build_estimator(settings, task)
        fit_estimator(estimator, EncodedRows(X, y), settings, n_jobs=1)
        return estimator

    return fitted


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(("model", "task"), TYPES)
def test_predictions_of_each_model_type(fitted, model, task, classes):
    X, y = labelled(classes if task == "classification" else 1)
    estimator = fitted(model, task, X, y)
    X, y = labelled(classes if task == "classification" else 1, seed=1)
    found = predict(estimator, X, task)
    np.testing.assert_array_equal(found.values, estimator.predict(X))
    scores = metrics_of(y, found, task, "macro")
    assert list(scores) == [name for name in METRICS[task] if name in scores]  # the order in which they are shown
    if task == "regression":
        assert set(scores) == set(METRICS[task])
        assert (found.classes, found.probabilities, found.scores) == (None, None, None)
        assert scores["r2_score"] == pytest.approx(estimator.score(X, y))
        return
    assert found.classes is estimator.classes_
    assert scores["accuracy"] == pytest.approx(estimator.score(X, y))
    if model == "svm":
        assert found.probabilities is None
        assert "log_loss" not in scores
        assert ("roc_auc" in scores) == (classes == 2)
        if classes == 2:
            assert scores["roc_auc"] == metrics.roc_auc_score(y == "perhaps", estimator.decision_function(X))
        return
    probabilities = estimator.predict_proba(X)
    if probabilities.dtype == np.float64:
        np.testing.assert_array_equal(found.probabilities, probabilities)
    else:  # of single precision; a row's add up to one in double precision, too
        np.testing.assert_allclose(found.probabilities, probabilities, rtol=1e-6)
        np.testing.assert_allclose(found.probabilities.sum(axis=1), 1, rtol=1e-15)
    probabilities = found.probabilities
    assert probabilities.dtype == np.float64
    assert (found.scores is None) == (classes == 3)
    expected = metrics.roc_auc_score(y, probabilities[:, 1] if classes == 2 else probabilities, multi_class="ovr")
    assert scores["roc_auc"] == pytest.approx(expected)
    assert scores["log_loss"] == pytest.approx(metrics.log_loss(y, probabilities))


RNG = np.random.default_rng(0)


@pytest.mark.filterwarnings("ignore:The `probability` parameter:FutureWarning")
@pytest.mark.parametrize(
    ("model", "X", "y"),
    [
        pytest.param(GradientBoostingClassifier(n_estimators=2), np.zeros((10, 1)), np.arange(10) % 2, id="tie"),
        pytest.param(SVC(probability=True), RNG.normal(size=(300, 2)), RNG.integers(0, 2, 300), id="svm"),
    ],
)
def test_predicted_values_are_the_models_own(model, X, y):
    """Of two classes as likely, gradient boosting predicts the second one; SVC goes by its decision function."""
    model.set_params(random_state=0).fit(X, y)
    np.testing.assert_array_equal(predict(model, X, "classification").values, model.predict(X))


class Contrary(RandomForestClassifier):
    """A forest that predicts what is least likely."""

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmin(axis=1)]


@pytest.mark.parametrize(
    "estimator",
    [
        ExtraTreesClassifier(3, max_depth=2, random_state=0),
        Contrary(3, random_state=0),
        CalibratedClassifierCV(RandomForestClassifier(3, random_state=0), cv=2),
        FixedThresholdClassifier(RandomForestClassifier(3, random_state=0), threshold=0.2, pos_label="perhaps"),
        VotingClassifier([("forest", RandomForestClassifier(3, random_state=0))], voting="soft"),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_rows_are_prepared_once_and_walked_through_once_for_the_same_predictions(estimator):
    """Classes by probabilities only where the estimator does so itself; ties among few trees included."""
    X, y = labelled(2)
    prepared = []
    note = FunctionTransformer(lambda rows: prepared.append(len(rows)) or rows)
    model = Pipeline([("note", note), ("nothing", "passthrough"), ("scale", StandardScaler()), ("model", estimator)])
    model.fit(X, y)
    X = labelled(2, seed=1)[0].round(0)
    prepared.clear()
    found = predict(model, X, "classification")
    assert prepared == [300]
    np.testing.assert_array_equal(found.values, model.predict(X))
    np.testing.assert_array_equal(found.probabilities, model.predict_proba(X))


def test_a_model_that_can_be_fitted_and_cannot_predict():
    X, y = np.arange(8.0).reshape(-1, 1), np.array(list("aabbaabb"), dtype=object)
    model = make_pipeline(KNeighborsClassifier(n_neighbors=9)).fit(X, y)
    with pytest.raises(DataError, match=r"^scikit-learn cannot predict by KNeighborsClassifier .* n_neighbors = 9"):
        predict(model, X, "classification")


@pytest.mark.parametrize("classes", [["no", "yes"], [3, 8, 11], [False, True]])
def test_predictions_come_back_from_their_columns(classes):
    """Also a class that no row has."""
    known = np.array(classes, dtype=object if isinstance(classes[0], str) else None)
    values = np.resize(known[:2], 6)
    probabilities = np.random.default_rng(0).dirichlet(np.ones(len(known)), 6)
    own = Predictions(values, known, probabilities, probabilities[:, 1] if len(known) == 2 else None)
    columns = prediction_columns(own)
    assert list(columns) == ["predicted", *(f"probability_{name}" for name in classes)]
    found = predictions_of(pd.DataFrame(columns), np.unique(values))
    for one, other in zip(own, found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_scores_without_probabilities_and_numbers_come_back_from_their_columns():
    scored = Predictions(
        np.array(["a", "b"], dtype=object), np.array(["a", "b"], dtype=object), None, np.array([-1.0, 2])
    )
    numbers = Predictions(np.array([1.5, 2.5]), None, None, None)
    for own, seen in ((scored, scored.classes), (numbers, None)):
        found = predictions_of(pd.DataFrame(prediction_columns(own)), seen)
        for one, other in zip(own, found, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("positive", ["no", "yes"])
def test_a_binary_average_is_of_the_positive_class(positive):
    y, values = (
        np.array(["yes"] * 3 + ["no"] * 5, dtype=object),
        np.array(["yes"] * 2 + ["no"] * 5 + ["yes"], dtype=object),
    )
    found = metrics_of(
        y, Predictions(values, np.array(["no", "yes"]), None, None, positive), "classification", "binary"
    )
    for name, score in (("precision", metrics.precision_score), ("recall", metrics.recall_score)):
        assert found[name] == score(y, values, pos_label=positive)


@pytest.mark.parametrize(("task", "classes", "average"), [
    ("regression", 0, "macro"), ("classification", 2, "binary"), ("classification", 3, "macro"),
    ("classification", 3, "weighted"), ("classification", 4, "micro"),
])  # fmt: skip
def test_a_row_that_weighs_three_counts_as_three_equal_rows(task, classes, average):
    random = np.random.default_rng(classes)
    if task == "regression":
        y = random.normal(size=60)
        found = Predictions(y + random.normal(size=60), None, None, None)
    else:
        known = np.array([f"c{number}" for number in range(classes)], dtype=object)
        y = random.choice(known, 60, p=[0.95, 0.05] if classes == 2 else None)
        y[:classes] = known
        given = random.dirichlet(np.ones(classes), 60)
        found = Predictions(known[given.argmax(axis=1)], known, given, given[:, 1] if classes == 2 else None)
    weights = random.integers(1, 4, 60)
    rows = np.repeat(np.arange(60), weights)
    weighted = metrics_of(y, found, task, average, weights=weights.astype(float))
    assert weighted == pytest.approx(metrics_of(y[rows], at(found, rows), task, average))
    assert weighted != pytest.approx(metrics_of(y, found, task, average))
