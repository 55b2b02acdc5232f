"""The stages behind the split: preprocess, train, evaluate, as functions of tables."""

import logging
import tracemalloc

from lockstep.learning.estimators import TrainSettings
from lockstep.learning.metrics import METRICS
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.steps.splitting.parts import SplitSettings, split_table
from lockstep.tables.table import Table
from stages.evaluate import EvaluateSettings, evaluate
from stages.preprocess import preprocess
from stages.train import train

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline
from small import EACH_TYPE, make_table, model_settings


def fit(table, name="random_forest", split=None, **values):
    """(parts, trained model, history)"""
    settings = model_settings(name, table.task, **values)
    parts = split_table(table, split or SplitSettings())
    preprocessor, processed = preprocess(parts.train, PreprocessSettings(), name)
    return parts, *train(processed, preprocessor, parts.validation, settings)


@pytest.mark.parametrize(("name", "task"), EACH_TYPE)
def test_every_model_type_takes_raw_rows_and_beats_the_baseline(name, task):
    parts, model, history = fit(make_table(task), name, SplitSettings(validation_size=0.1))
    assert isinstance(model, Pipeline)
    found = evaluate(model, parts.test, parts.train, EvaluateSettings())
    headline = "accuracy" if task == "classification" else "r2_score"
    assert found.metrics[headline] > found.metrics[f"baseline_{headline}"] + 0.2
    assert {part for _, part, _ in history} >= {"train"}
    assert all(np.isfinite(loss) for *_, loss in history)
    raw = parts.test.frame.drop(columns=["y", "constant"]).assign(new_column=1)  # as a user's rows: less, and more
    raw.loc[raw.index[0], "text"] = "never seen"
    assert len(model.predict(raw)) == len(raw)


@pytest.mark.parametrize("classes", [2, 3])
def test_metrics_are_those_of_the_specification_and_flat(classes):
    parts, model, _ = fit(make_table(classes=classes))
    metrics = evaluate(model, parts.test, parts.train, EvaluateSettings()).metrics
    assert list(metrics)[:4] == ["accuracy", "precision", "recall", "f1_score"]
    assert metrics["average"] == "macro"
    assert {"balanced_accuracy", "roc_auc", "log_loss", "baseline_accuracy"} < set(metrics)
    assert all(isinstance(value, float | int | str) for value in metrics.values())


def test_regression_metrics():
    parts, model, _ = fit(make_table("regression"), "ridge")
    metrics = evaluate(model, parts.test, parts.train, EvaluateSettings()).metrics
    assert list(metrics)[:3] == ["mse", "mae", "r2_score"]
    assert metrics["rmse"] == pytest.approx(metrics["mse"] ** 0.5)
    mean = parts.train.labels.mean()
    assert metrics["baseline_mse"] == pytest.approx(np.mean((parts.test.labels - mean) ** 2))


def test_predictions_name_their_row_and_find_it_again_in_other_data():
    parts, model, _ = fit(make_table())
    rows = evaluate(model, parts.test, parts.train, EvaluateSettings()).predictions
    assert rows["row"].tolist() == parts.test.frame.index.tolist()
    assert rows["actual"].tolist() == parts.test.labels.tolist()
    assert np.allclose(rows[["probability_c0", "probability_c1"]].sum(axis=1), 1)
    shifted = parts.test.frame.set_axis(parts.test.frame.index + 1)
    other = Table(shifted, "y", "classification")
    again = evaluate(model, other, parts.train, EvaluateSettings()).predictions
    assert again["row"].tolist() != rows["row"].tolist()
    assert again["row_hash"].tolist() == rows["row_hash"].tolist()


def test_what_a_comparison_needs_is_recorded():
    """The group of each row, and a score where there is no probability."""
    table = make_table()
    table.frame["customer"] = np.arange(300) // 3
    parts, model, _ = fit(table, "svm", split=SplitSettings(group="customer"))
    rows = evaluate(model, parts.test, parts.train, EvaluateSettings()).predictions
    assert rows["group"].tolist() == parts.test.frame["customer"].tolist()
    assert rows["score"].tolist() == model.decision_function(parts.test.features).tolist()
    parts, model, _ = fit(make_table())
    assert not {"group", "score"} & set(evaluate(model, parts.test, parts.train, EvaluateSettings()).predictions)


@pytest.mark.parametrize(("name", "task"), [("random_forest", "classification"), ("ridge", "regression")])
def test_every_metric_has_its_interval_and_its_baseline(name, task):
    parts, model, _ = fit(make_table(task), name)
    assert parts.test.stratified == (task == "classification")
    found = evaluate(model, parts.test, parts.train, EvaluateSettings())
    assert [row[0] for row in found.intervals] == [name for name in METRICS[task] if name in found.metrics]
    for metric, value, low, high, baseline in found.intervals:
        assert value == found.metrics[metric]
        assert low < value < high
        assert baseline is not None
        assert found.metrics.get(f"baseline_{metric}", baseline) == baseline


def test_the_important_feature_comes_first():
    parts, model, _ = fit(make_table())
    importance = evaluate(model, parts.test, parts.train, EvaluateSettings()).importance
    assert importance[0][0] in ("number", "text")
    assert importance[-1] == ("constant", 0.0, 0.0, "log_loss")


def test_constant_columns_are_named_in_the_log(caplog):
    with caplog.at_level(logging.INFO, "lockstep"):
        fit(make_table())
    assert "left out, being constant or empty in the training rows: 'constant'" in caplog.text
    assert "240 rows, 4 features encoded as 3" in caplog.text


def test_validation_rows_show_in_the_history_and_change_nothing_in_the_model():
    table = make_table()
    parts = split_table(table, SplitSettings(validation_size=0.2))
    settings = model_settings("gradient_boosting", "classification")
    preprocessor, processed = preprocess(parts.train, PreprocessSettings(), settings.model)
    with_validation = train(processed, preprocessor, parts.validation, settings)
    without = train(processed, preprocessor, parts.validation.rows(np.array([], dtype=int)), settings)
    assert joblib.hash(with_validation.model) == joblib.hash(without.model)
    assert [row for row in with_validation.history if row[1] == "train"] == without.history
    assert [row[0] for row in with_validation.history if row[1] == "validation"] == list(range(1, 9))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"model": "random_florest"},
            r"'random_florest' is not a model type\. Supported, nearest first: random_forest, ",
        ),
        ({"model": "ridge"}, "'ridge' cannot do classification. Those that can: random_forest"),
        (
            {"kind": "regressor"},
            "train.kind is regressor, but load.task is classification. Set train.kind to classifier",
        ),
        (
            {"hyperparameters": {"n_estimator": 5}},
            "n_estimator is not a hyperparameter of RandomForestClassifier.*first: n_est",
        ),
        ({"hyperparameters": {"random_state": 5}}, "random_state has a setting of its own: set train.seed"),
        (
            {"hyperparameters": {"n_estimators": -5}},
            r"train\.hyperparameters: The 'n_estimators' parameter .* Got -5",
        ),
    ],
)
def test_wrong_model_settings(values, message):
    parts = split_table(make_table(), SplitSettings())
    preprocessor, processed = preprocess(parts.train, PreprocessSettings(), "random_forest")
    settings = TrainSettings(**({"model": "random_forest", "kind": "classifier", "version": 1} | values))
    with pytest.raises(ValueError, match=message):
        train(processed, preprocessor, parts.validation, settings)


def test_training_holds_the_encoded_rows_once():
    def processed():
        random = np.random.default_rng(0)
        frame = pd.DataFrame({f"number__x{place}": random.random(100_000) for place in range(40)}, copy=False)
        frame["y"] = np.arange(100_000) % 2
        return Table(frame, "y", "classification")

    preprocessor, _ = preprocess(make_table(), PreprocessSettings(), "random_forest")
    settings = model_settings("random_forest", "classification", hyperparameters={"n_estimators": 1, "max_depth": 1})
    none = make_table().rows(np.array([], dtype=int))
    tracemalloc.start()
    try:
        train(processed(), preprocessor, none, settings)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The room for what the model reads, half of it, is counted from the start.
    assert peak < 1.7 * processed().frame.memory_usage().sum()
