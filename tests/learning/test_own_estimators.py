"""Estimators by their import path: what is accepted, what is refused, and that none of it runs before it is used."""

import hashlib
import json

from lockstep.kernel.errors import DataError, MachineError, SettingsError
from lockstep.learning.estimators import EncodedRows, build_estimator, check_train, fit_estimator
from lockstep.learning.own_estimators import untracked_library
from lockstep.learning.scoring import metrics_of, predict
from lockstep.saving.joblib_file import load_joblib, save_model
from lockstep.saving.sidecar import sidecar
from lockstep.steps.evaluating.importance import importance_of

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

MINE = """
import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

class Mine(ClassifierMixin, BaseEstimator):
    def __init__(self, shrink=1.0, random_state=None, n_jobs=3):
        self.shrink, self.random_state, self.n_jobs = shrink, random_state, n_jobs

    def fit(self, X, y):
        self.seen_ = self.n_jobs
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == name].mean(axis=0) for name in self.classes_]) * self.shrink
        return self

    def predict(self, X):
        return self.classes_[((X[:, None] - self.means_) ** 2).sum(axis=2).argmin(axis=1)]

class Blunt(Mine):
    def fit(self, X, y):
        raise RuntimeError("not today")

class Shy(Mine):
    def fit(self, X, y):
        return self

class Unsure(Mine):
    def predict_proba(self, X):
        return np.full((len(X), 2), np.nan)

class Starred(Mine):
    def __init__(self, *values):
        super().__init__()
"""


@pytest.fixture
def custom(tmp_path, monkeypatch, make_settings):
    """The section train of an estimator of that name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "estimators").mkdir()
    (tmp_path / "estimators/mine.py").write_text(MINE)

    def custom(name, task="classification", **own):
        return make_settings("custom", task, estimator=name, **own)

    return custom


X = np.random.default_rng(0).normal(size=(60, 3))
y = np.repeat(["a", "b"], 30)


def test_a_class_of_the_repository_is_fitted_with_the_seed_and_keeps_no_trace_of_threads(custom, tmp_path):
    settings = custom("estimators/mine.py:Mine", seed=7, hyperparameters={"shrink": 0.5})
    built = build_estimator(settings, "classification")
    assert (built.random_state, built.shrink) == (7, 0.5)
    fit_estimator(built, EncodedRows(X, y), settings, n_jobs=1)
    assert (built.seen_, built.n_jobs) == (1, 3)
    code = {"estimators/mine.py": hashlib.sha256(MINE.encode()).hexdigest()}
    model = tmp_path / "m.joblib"
    save_model(built, model, code)
    (tmp_path / "m.joblib.json").write_text(json.dumps(sidecar(model.read_bytes(), model.name, {"code": code})))
    assert load_joblib(model).predict(X).tolist() == built.predict(X).tolist()


def test_a_class_of_a_library_takes_the_seed_if_it_knows_one(custom):
    built = build_estimator(
        custom("sklearn.linear_model:ElasticNet", "regression", hyperparameters={"alpha": 0.1}), "regression"
    )
    assert (built.random_state, built.alpha) == (42, 0.1)
    assert untracked_library("sklearn.linear_model:ElasticNet") is None
    assert untracked_library("rich.table:Table").startswith("rich.table==")


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        (None, SettingsError, "train.estimator is missing"),
        ("ElasticNet", SettingsError, "'ElasticNet' names no class. Allowed: a class of an installed library"),
        ("os:system", SettingsError, "no installed library has a package 'os'"),
        ("lockstep.api:run_pipeline", SettingsError, "no installed library has a package 'lockstep'"),
        ("sklaern.svm:SVC", SettingsError, "no installed library has a package 'sklaern'. Nearest: sklearn."),
        ("sklearn==0.1:SVC", MachineError, "is of scikit-learn 0.1; here is"),
        ("estimators/mine.py:Mien", SettingsError, "estimators/mine.py defines no 'Mien'. Nearest: Mine"),
        ("estimators/my.py:Mine", SettingsError, "estimators/my.py does not exist. There are, nearest first: mine.py"),
        ("../mine.py:Mine", SettingsError, "is not in the folder estimators/"),
        ("/tmp/mine.py:Mine", SettingsError, "is not in the folder estimators/"),
        ("features/p.py:Mine", SettingsError, "is not in the folder estimators/"),
    ],
)  # fmt: skip
def test_names_are_checked_before_anything_runs(custom, name, kind, message):
    with pytest.raises(kind, match=message):
        check_train(custom(name), "classification")


@pytest.mark.parametrize(
    ("name", "hyperparameters", "message"),
    [
        ("sklearn.linear_model:ElasticNets", {}, "sklearn.linear_model has no 'ElasticNets'. Nearest: ElasticNet"),
        ("sklearn.nothing:SVC", {}, "sklearn.nothing cannot be imported: ModuleNotFoundError"),
        ("sklearn.preprocessing:StandardScaler", {}, "'StandardScaler' of sklearn.preprocessing lacks predict"),
        ("sklearn.metrics:r2_score", {}, "'r2_score' of sklearn.metrics lacks|is no class"),
        ("sklearn.linear_model:ElasticNet", {}, "ElasticNet is no classifier, and load.task is classification"),
        ("estimators/mine.py:Mine", {"srink": 2}, "srink is not a hyperparameter of Mine.*: shrink"),
        ("estimators/mine.py:Mine", {"random_state": 2}, "set train.seed"),
        ("sklearn.svm:LinearSVC", {"C": -1}, "train.hyperparameters: The 'C' parameter of LinearSVC must be"),
    ],
)  # fmt: skip
def test_what_is_no_estimator_of_the_task_is_refused(custom, name, hyperparameters, message):
    with pytest.raises(SettingsError, match=message):
        build_estimator(custom(name, hyperparameters=hyperparameters), "classification")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Blunt", r"estimators/mine.py line \d+, in fit: RuntimeError: not today. Correct the file."),
        ("Shy", "Shy has no classes_ once it is fitted"),
    ],
)
def test_errors_of_ones_own_estimator_are_said_with_its_line(custom, name, message):
    settings = custom(f"estimators/mine.py:{name}")
    with pytest.raises(DataError, match=message):
        fit_estimator(build_estimator(settings, "classification"), EncodedRows(X, y), settings, n_jobs=1)


def test_an_estimator_beside_another_model_type_is_a_mistake(make_settings):
    with pytest.raises(SettingsError, match=r"Set train.model to custom to have it used, or remove it"):
        check_train(make_settings("svm", "classification", estimator="sklearn.svm:SVC"), "classification")


def test_check_runs_nothing_of_the_file(custom, tmp_path):
    (tmp_path / "estimators/mine.py").write_text("raise SystemExit\nclass Mine: ...\n")
    check_train(custom("estimators/mine.py:Mine"), "classification")


def test_a_classifier_that_only_predicts_is_used_as_it_is(custom):
    settings = custom("estimators/mine.py:Mine")
    built = build_estimator(settings, "classification")
    fit_estimator(built, EncodedRows(X, y), settings, n_jobs=1)
    found = predict(built, X, "classification")
    assert (found.probabilities, found.scores) == (None, None)
    metrics = metrics_of(y.astype(object), found, "classification", "macro")
    assert {"accuracy", "f1_score"} < set(metrics)
    assert "roc_auc" not in metrics
    model = Pipeline([("array", FunctionTransformer(np.asarray)), ("model", built)])
    rows = importance_of(model, pd.DataFrame(X), y, "classification", 1, 0)
    assert {metric for *_, metric in rows} == {"balanced_accuracy"}


def test_what_are_no_probabilities_is_said_of_the_file(custom):
    settings = custom("estimators/mine.py:Unsure")
    built = build_estimator(settings, "classification")
    fit_estimator(built, EncodedRows(X, y), settings, n_jobs=1)
    message = r"^estimators/mine.py: Unsure cannot predict these rows: predict_proba gives what are no probabilities"
    with pytest.raises(DataError, match=message):
        predict(built, X, "classification")


def test_a_constructor_that_names_nothing_is_refused(custom):
    with pytest.raises(SettingsError, match="should always specify their parameters in the signature"):
        build_estimator(custom("estimators/mine.py:Starred"), "classification")


@pytest.mark.parametrize(("model", "objective"), [("xgboost", "reg:squarederror"), ("lightgbm", "regression")])
def test_an_objective_of_another_task_is_refused(make_settings, model, objective):
    settings = make_settings(model, "classification", hyperparameters={"objective": objective})
    with pytest.raises(SettingsError, match=f"objective is {objective}, which is none of classes"):
        build_estimator(settings, "classification")
