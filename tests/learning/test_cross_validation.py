"""Cross-validation of the whole pipeline: folds, scores, nothing learned from the rows that are scored."""

import tracemalloc
from pathlib import Path

from lockstep.kernel.errors import DataError, SettingsError
from lockstep.learning import cross_validation as module
from lockstep.learning.computing import kept_results
from lockstep.learning.computing.kept_results import KeptResults
from lockstep.learning.computing.workers import workers
from lockstep.learning.cross_validation import (
    CrossValidateSettings,
    PipelineSettings,
    cross_validate,
    fit_fold,
    fold_summary,
    make_folds,
    mean_and_std,
    out_of_fold,
    score_fold,
)
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.scoring import metrics_of, predictions_of
from lockstep.steps.splitting.parts import SplitSettings, split_table
from lockstep.tables.table import ROW, Table

import joblib
import numpy as np
import pandas as pd
import pytest
from small import make_table, model_settings, widened


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_cross_validation_scores_every_fold(task):
    table = split_table(make_table(task), SplitSettings()).train
    settings = CrossValidateSettings(folds=3, repeats=2)
    folds = cross_validate(
        table, settings, PipelineSettings(PreprocessSettings(), model_settings("random_forest", task))
    )
    assert [(fold.repeat, fold.fold) for fold in folds] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert all(fold.n_train + fold.n_test == len(table) for fold in folds)
    name = "accuracy" if task == "classification" else "r2_score"
    values = [fold.metrics[name] for fold in folds]
    assert len(set(values)) > 3
    means = fold_summary(folds)
    assert means[f"{name}_mean"] == pytest.approx(np.mean(values))
    assert means[f"{name}_std"] == pytest.approx(np.std(values, ddof=1))
    again = cross_validate(
        table, settings, PipelineSettings(PreprocessSettings(), model_settings("random_forest", task))
    )
    assert [fold.metrics for fold in again] == [fold.metrics for fold in folds]


@pytest.mark.parametrize(("task", "model"), [("classification", "extra_trees"), ("regression", "ridge")])
def test_every_row_is_predicted_once_per_repeat_by_a_model_that_has_not_seen_it(task, model):
    table = split_table(make_table(task), SplitSettings()).train
    settings = CrossValidateSettings(folds=3, repeats=2)
    scores = cross_validate(table, settings, PipelineSettings(PreprocessSettings(), model_settings(model, task)))
    found = out_of_fold(scores)
    for repeat, rows in found.groupby("repeat"):
        assert sorted(rows["row"]) == sorted(table.frame.index), repeat
    truth = pd.Series(table.labels, index=table.frame.index)
    assert list(found["actual"]) == list(truth[found["row"]])
    for fold in scores:
        rows = found[(found["repeat"] == fold.repeat) & (found["fold"] == fold.fold)]
        seen = np.unique(table.labels) if task == "classification" else None
        again = metrics_of(rows["actual"].to_numpy(), predictions_of(rows, seen), task, "macro")
        assert again == pytest.approx(fold.metrics)


def some_tables():
    """Of every type that targets and predictions have."""
    texts = make_table()
    once = np.where(np.arange(300) < 1, "once", texts.labels)
    weights = Table(make_table("regression").frame.assign(w=2.5), "y", "regression", weight="w")
    return {
        "texts, calibrated": (texts, {"calibrate": "sigmoid"}),
        "a class that is not in every fold": (Table(texts.frame.assign(y=once), "y", "classification"), {}),
        "booleans": (Table(texts.frame.assign(y=texts.labels == "c0"), "y", "classification"), {}),
        "weights": (weights, {}),
        "whole numbers": (Table(texts.frame.assign(y=np.arange(300) % 3), "y", "classification"), {}),
    }


SOME_TABLES = some_tables()


@pytest.mark.parametrize("name", widened(SOME_TABLES, ("texts, calibrated", "weights")))
def test_folds_of_a_run_that_was_interrupted_are_the_same_to_the_bit(name, tmp_path, monkeypatch):
    table, values = SOME_TABLES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kept_results, "KEPT_AFTER", 0.0)
    model = model_settings("extra_trees" if table.task == "classification" else "ridge", table.task, **values)

    def run(kept):
        folds = CrossValidateSettings(folds=3, repeats=2)
        scores = cross_validate(table, folds, PipelineSettings(PreprocessSettings(), model), kept=kept)
        out_of_fold(scores).to_parquet("folds.parquet", index=False)
        return Path("folds.parquet").read_bytes(), repr([fold[:-1] for fold in scores])

    expected = run(KeptResults("p", []))
    kept = KeptResults("p", [])
    assert sorted(kept.found) == ["0", "1", "2", "3", "4", "5"]
    del kept.found["1"], kept.found["5"]  # as if they had not been finished
    assert run(kept) == expected
    monkeypatch.setattr(module, "_score", None)
    assert run(KeptResults("p", [])) == expected


@pytest.mark.parametrize("model", ["hist_gradient_boosting", "random_forest"])
def test_folds_come_as_many_at_a_time_as_memory_has_room_for_and_score_the_same(monkeypatch, model):
    table, settings = make_table("classification"), CrossValidateSettings(folds=3)
    pipeline = PipelineSettings(PreprocessSettings(), model_settings(model, "classification"))
    asked, used = [], []
    monkeypatch.setattr(module, "workers", lambda most: asked.append(most) or workers(most))
    monkeypatch.setattr(joblib, "cpu_count", lambda: 2)
    fit = module.fit_encoded
    monkeypatch.setattr(module, "fit_encoded", lambda *given: used.append(given[-1]) or fit(*given))

    def metrics():
        return [fold.metrics for fold in cross_validate(table, settings, pipeline)]

    two = metrics()
    monkeypatch.setattr(module, "memory_limit", lambda: 2 * table.frame.memory_usage().sum())
    assert metrics() == two
    assert asked == [2, 1]
    assert sorted(used[:3]) == [1, 1, 2]  # the last one has both processors
    assert used[3:] == [2, 2, 2]


@pytest.mark.parametrize(("texts", "expected"), [(0, 12), (1, 1)])
def test_folds_of_texts_take_more_memory_than_those_of_numbers(monkeypatch, texts, expected):
    monkeypatch.setattr(joblib, "cpu_count", lambda: 99)
    monkeypatch.setattr(module, "memory_limit", lambda: 100 * 8 * 2000)
    frame = pd.DataFrame({"y": np.arange(2000.0), **{str(number): ["a level"] * 2000 for number in range(texts)}})
    assert module._at_once(Table(frame, "y", "regression")) == expected


def test_a_class_that_a_fold_has_not_seen_has_no_probability_there():
    table, model = make_table(rows=200), model_settings("extra_trees", "classification")
    once = Table(table.frame.assign(y=np.where(np.arange(200) < 1, "once", table.labels)), "y", "classification")
    found = out_of_fold(cross_validate(once, CrossValidateSettings(), PipelineSettings(PreprocessSettings(), model)))
    unseen = found["probability_once"].isna()
    assert list(found["fold"][unseen].unique()) == list(found["fold"][found["actual"] == "once"])
    assert not found.drop(columns="probability_once").isna().any(axis=None)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_fold_by_hand_has_the_scores_of_cross_validate(n_jobs):
    table, settings, preprocess = make_table(), CrossValidateSettings(folds=3), PreprocessSettings(encode="target")
    model = model_settings("extra_trees", "classification", class_weight="balanced")
    expected = [
        fold.metrics for fold in cross_validate(table, settings, PipelineSettings(preprocess, model), "weighted")
    ]
    found = [
        score_fold(
            table, scored_on, *fit_fold(table, fitted_on, PipelineSettings(preprocess, model), n_jobs), "weighted"
        )
        for fitted_on, scored_on in make_folds(table, settings)
    ]
    assert found == expected


def test_rows_that_scikit_learn_cannot_encode():
    """Target encoding cross-fits on five folds: three rows are too few for them."""
    table, few = make_table("regression"), np.array([0, 1, 3])
    with pytest.raises(DataError, match=r"^scikit-learn cannot fit ColumnTransformer .*n_splits=5 greater than"):
        fit_fold(
            table,
            few,
            PipelineSettings(PreprocessSettings(encode="target"), model_settings("ridge", "regression")),
            n_jobs=1,
        )


def test_folds_learn_nothing_from_the_rows_they_are_scored_on():
    """A column that is the target's own hash: target encoding fitted on all rows would make noise look perfect."""
    table = make_table(rows=200)
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"id": [f"id{i}" for i in range(200)], "x": rng.normal(size=200)}, index=table.frame.index)
    frame["y"] = rng.choice(["a", "b"], size=200)
    noise = Table(frame, "y", "classification")
    folds = cross_validate(
        noise,
        CrossValidateSettings(),
        PipelineSettings(PreprocessSettings(), model_settings("random_forest", "classification")),
    )
    assert fold_summary(folds)["accuracy_mean"] < 0.65


def test_folds_follow_groups_and_time(caplog):
    data = make_table("regression")
    frame = data.frame.assign(g=[f"g{i % 30}" for i in range(300)], t=np.arange(300))
    model, fast = model_settings("ridge", "regression"), PreprocessSettings()
    by_group = split_table(Table(frame, "y", "regression"), SplitSettings(group="g")).train
    assert len(cross_validate(by_group, CrossValidateSettings(), PipelineSettings(fast, model))) == 5
    by_time = split_table(Table(frame, "y", "regression"), SplitSettings(time="t")).train
    sizes = [
        (fold.n_train, fold.n_test)
        for fold in cross_validate(by_time, CrossValidateSettings(), PipelineSettings(fast, model))
    ]
    assert sizes == [(40, 40), (80, 40), (120, 40), (160, 40), (200, 40)]
    with pytest.raises(SettingsError, match=r"repeats must be 1 with split\.time"):
        cross_validate(by_time, CrossValidateSettings(repeats=2), PipelineSettings(fast, model))
    same = by_time.rows(np.repeat([0, 1, 2], 30))
    with pytest.raises(DataError, match=r"^3 different values of 't' are too few for 5 folds\."):
        cross_validate(same, CrossValidateSettings(), PipelineSettings(fast, model))
    with pytest.raises(DataError, match=r"^1 different value of 't' is too few for 5 folds\."):
        cross_validate(same.rows(np.arange(30)), CrossValidateSettings(), PipelineSettings(fast, model))
    with pytest.raises(DataError, match=r"24 groups of 'g' are too few for 25 folds"):
        cross_validate(by_group, CrossValidateSettings(folds=25), PipelineSettings(fast, model))


def test_a_class_rarer_than_the_folds_is_said(caplog):
    table = make_table(rows=200)
    labels = np.where(np.arange(200) < 3, "rare", table.labels)
    rare = Table(table.frame.assign(y=labels), "y", "classification")
    model = model_settings("random_forest", "classification")
    folds = cross_validate(rare, CrossValidateSettings(), PipelineSettings(PreprocessSettings(), model))
    said = "class rare has 3 training rows, fewer than the 5 folds: not every fold has it"
    assert f"{said}. Lower cross_validate.folds to have folds stratified" in caplog.text
    assert "accuracy_mean" in fold_summary(folds)


@pytest.mark.parametrize(("n_rare", "time"), [(1, None), (3, "when")])
def test_nothing_is_advised_of_a_rare_class_where_folds_cannot_be_stratified(caplog, n_rare, time):
    table = make_table(rows=200)
    labels = np.where(np.arange(200) < n_rare, "rare", table.labels)
    rare = Table(table.frame.assign(y=labels, when=np.arange(200)), "y", "classification", time=time)
    make_folds(rare, CrossValidateSettings())
    rows = "1 training row" if n_rare == 1 else "3 training rows"
    assert caplog.messages == [f"class rare has {rows}, fewer than the 5 folds: not every fold has it"]


def test_a_model_that_can_be_fitted_and_cannot_predict():
    model = model_settings("k_neighbors", "classification", hyperparameters={"n_neighbors": 500})
    with pytest.raises(DataError, match=r"^scikit-learn cannot predict by KNeighborsClassifier .* n_neighbors = 500"):
        cross_validate(make_table(), CrossValidateSettings(), PipelineSettings(PreprocessSettings(), model))


def test_a_deviation_that_is_rounding_alone_is_none():
    assert mean_and_std([0.1 + 0.2, 0.3, 0.3]) == (pytest.approx(0.3), 0.0)
    assert mean_and_std([0.3, 0.4])[1] == pytest.approx(0.0707, abs=1e-4)
    assert mean_and_std([0.0, 0.0]) == (0.0, 0.0)


def test_a_fold_takes_its_raw_rows_and_what_the_model_reads_and_leaves_the_table():
    cells = np.random.default_rng(0).random((20, 100_000))
    frame = pd.DataFrame(cells.T, columns=[f"x{place}" for place in range(20)], copy=False)
    frame.index = pd.RangeIndex(1, 100_001, name=ROW)
    frame["y"] = np.arange(100_000) % 2
    train, before = Table(frame, "y", "classification"), frame.copy()
    model = model_settings("random_forest", "classification")
    tracemalloc.start()
    try:
        _, rows = module.encode_fitted(train, np.arange(80_000), PipelineSettings(PreprocessSettings(), model))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows.X.dtype == np.float32
    assert peak < 1.6 * cells.nbytes  # the raw rows 0.8, what the model reads 0.4
    module.encode_fitted(train, np.arange(100_000), PipelineSettings(PreprocessSettings(), model))
    pd.testing.assert_frame_equal(frame, before, check_exact=True)
