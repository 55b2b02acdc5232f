"""The Python API, and that it gives the bytes of the pipeline."""

import dataclasses
import json
import re
from pathlib import Path

from lockstep import ModelConfig, api, load_model, run_pipeline
from lockstep.intake.problems.contract_inference import infer_contract, write_contract
from lockstep.kernel import files
from lockstep.kernel.errors import SettingsError
from lockstep.learning.model_file import sidecar_of
from lockstep.learning.model_types import KINDS, MODELS
from stages import cross_validate, evaluate, load, preprocess, split, train, tune

import numpy as np
import pandas as pd
import pytest
import yaml
from small import EACH_TYPE, SMALL, make_table, run_stages
from workspace import ROOT

IRIS = ROOT / "data/raw/iris.csv"


@pytest.fixture
def config(tmp_path):
    def make(**values):
        return ModelConfig(**({"models": tmp_path / "models", "logs": tmp_path / "logs"} | values))

    return make


def test_the_example_of_the_specification(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = ModelConfig(
        model_type="random_forest",
        task_type="classification",
        hyperparameters={"n_estimators": 100, "max_depth": 10},
    )
    result = run_pipeline(str(IRIS), config)
    assert result.model_path == Path("models/random_forest_classifier_v1.joblib")
    model, metrics, *rest = result
    assert metrics["accuracy"] >= 0.9
    assert {"accuracy", "precision", "recall", "f1_score"} <= set(metrics)
    assert rest[0] == result.model_path
    raw = pd.read_csv(IRIS)
    assert (model.predict(raw) == raw["target"]).mean() > 0.95
    assert (load_model(result.model_path).predict(raw) == model.predict(raw)).all()
    assert json.loads(Path("models/random_forest_classifier_v1_metrics.json").read_text()) == metrics
    assert len(pd.read_csv("models/random_forest_classifier_v1_history.csv")) == len(result.history) == 100
    assert "120 rows" in Path("logs/random_forest_classifier.log").read_text()


def test_rows_without_a_target_are_left_out_of_files_and_frames_alike(config, tmp_path):
    frame = make_table(rows=150).frame.reset_index(drop=True)
    frame.loc[[3, 77], "y"] = None
    frame.to_csv(tmp_path / "data.csv", index=False)
    settings = config(target="y", hyperparameters={"n_estimators": 2}, load={"missing_target": "drop"})
    of_frame, of_file = run_pipeline(frame, settings), run_pipeline(tmp_path / "data.csv", settings)
    pd.testing.assert_frame_equal(of_frame.predictions, of_file.predictions)
    assert of_frame.model_path.read_bytes() == of_file.model_path.read_bytes()
    of_data = frame["y"].set_axis(range(1, 151)).loc[of_frame.predictions["row"]]
    assert of_data.tolist() == of_frame.predictions["actual"].tolist()  # the numbers of rows are those of the data
    with pytest.raises(ValueError, match=r"set load\.missing_target to drop, which leaves the rows out"):
        run_pipeline(frame, config(target="y"))


@pytest.mark.parametrize("source", ["frame", "file"])
def test_a_boolean_target_with_a_missing_cell(config, tmp_path, source):
    frame = make_table(rows=150).frame.reset_index(drop=True)
    frame["y"] = (frame["y"] == frame["y"].iloc[0]).astype(object)
    frame.loc[3, "y"] = None
    frame.to_csv(tmp_path / "data.csv", index=False)
    settings = config(target="y", hyperparameters={"n_estimators": 2}, load={"missing_target": "drop"})
    result = run_pipeline(frame if source == "frame" else tmp_path / "data.csv", settings)
    assert result.predictions["actual"].dtype == bool


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pd.Series([1, 2]), "pandas DataFrame; this is of type 'Series'. Make a DataFrame of it, with the target"),
        (np.zeros((200, 3)), "pandas DataFrame; this is of type 'ndarray'. Make"),
        ({"a": [1]}, "pandas DataFrame; this is of type 'dict'. Make"),
        (None, "pandas DataFrame; this is of type 'NoneType'. Make"),
        (b"data.csv", "pandas DataFrame; this is of type 'bytes'. Make"),
        (pd.DataFrame({"": [1], "target": [0]}), "column names must be texts that are not blank, unlike ''"),
        (pd.DataFrame(np.zeros((200, 2))), "column names must be texts that are not blank, unlike 0, 1"),
    ],
)
def test_data_that_are_no_table(config, data, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run_pipeline(data, config())


def test_versions_count_up_and_never_over_another_file(config, tmp_path):
    data, settings = make_table().frame, config(target="y", hyperparameters={"n_estimators": 2})
    names = [run_pipeline(data, settings).model_path.name for _ in range(2)]
    assert names == ["random_forest_classifier_v1.joblib", "random_forest_classifier_v2.joblib"]
    (tmp_path / "models/random_forest_classifier_v9.joblib").write_text("mine")
    assert run_pipeline(data, settings).model_path.name == "random_forest_classifier_v10.joblib"
    assert (tmp_path / "models/random_forest_classifier_v9.joblib").read_text() == "mine"
    assert not [path for path in (tmp_path / "models").iterdir() if path.suffix == ".tmp"]


@pytest.mark.parametrize(
    ("name", "task", "source"),
    [
        *[pytest.param(*each.values, "csv", marks=each.marks) for each in EACH_TYPE],
        ("random_forest", "classification", "frame"),
        ("ridge", "regression", "frame"),
    ],
)
def test_api_and_stages_give_the_same_bytes(config, tmp_path, monkeypatch, name, task, source):
    data = make_table(task, rows=200).frame
    data.to_csv(tmp_path / "data.csv", index=False)
    native = {"numeric_impute": "native", "encode": "native"} if MODELS[name].native_missing else {"encode": "target"}
    sections = {
        "split": {"validation_size": 0.1, "seed": 3},
        "preprocess": native,
        "tune": {},
        "cross_validate": {"folds": 2},
        "evaluate": {"average": "weighted", "importance_repeats": 1},
    }
    weight = "balanced" if task == "classification" else None
    model = {
        "model": name,
        "kind": KINDS[task],
        "version": 1,
        "hyperparameters": SMALL.get(name, {}),
        "class_weight": weight,
    }
    params = {"load": {"path": "data.csv", "task": task, "target": "y"}, **sections, "train": model}
    saved = run_stages(tmp_path, monkeypatch, params)
    settings = config(
        model_type=name,
        task_type=task,
        target="y",
        hyperparameters=SMALL.get(name, {}),
        train={"class_weight": weight},
        **sections,
    )
    result = run_pipeline(tmp_path / "data.csv" if source == "csv" else data, settings)
    assert result.model_path.read_bytes() == saved.read_bytes()
    assert sidecar_of(result.model_path).read_bytes() == sidecar_of(saved).read_bytes()
    assert result.metrics == json.loads((tmp_path / "m.json").read_text())
    scores = json.loads((tmp_path / "s.json").read_text())
    assert result.cross_validation == {name: value for name, value in scores.items() if name != "average"}
    pd.testing.assert_frame_equal(result.predictions, pd.read_parquet(tmp_path / "predictions.parquet"))


def test_a_search_gives_the_same_best_trial_table_and_model(config, tmp_path, monkeypatch):
    data = make_table("regression", rows=200).frame
    data.to_csv(tmp_path / "data.csv", index=False)
    search = {
        "trials": 4,
        "metric": "mae",
        "space": {"alpha": {"low": 1e-3, "high": 1e3, "log": True}, "tol": [0.1, 1e-4]},
    }
    given = {"alpha": 1e6, "fit_intercept": False}
    params = {
        "load": {"path": "data.csv", "task": "regression", "target": "y"},
        **{name: {} for name in ("split", "preprocess", "cross_validate")},
        "evaluate": {"average": "macro"},
        "tune": search,
        "train": {"model": "ridge", "kind": "regressor", "version": 1, "hyperparameters": given},
    }
    saved = run_stages(tmp_path, monkeypatch, params)
    result = run_pipeline(
        data, config(model_type="ridge", task_type="regression", target="y", hyperparameters=given, tune=search)
    )
    assert result.model_path.read_bytes() == saved.read_bytes()
    assert sidecar_of(result.model_path).read_bytes() == sidecar_of(saved).read_bytes()
    best = json.loads((tmp_path / "w.json").read_text())
    fitted = result.model[-1].get_params()
    assert best["hyperparameters"] == {name: fitted[name] for name in ("alpha", "tol")}
    assert fitted["alpha"] < 1e6
    assert not fitted["fit_intercept"]
    written = pd.read_csv(tmp_path / "trials.csv", dtype={"alpha": str, "tol": str}, keep_default_na=False)
    assert written.to_dict("list") == result.trials.to_dict("list")
    # cross_validate scores the best trial, on the same folds.
    assert result.cross_validation["mae_mean"] == best["mean"] == result.trials["best"].iloc[-1]


def test_a_search_of_a_vote_gives_the_same_model_whose_members_have_what_was_found(config, tmp_path, monkeypatch):
    data = make_table("regression", rows=120).frame
    data.to_csv(tmp_path / "data.csv", index=False)
    given = {"members": [{"model": "ridge", "alpha": 1e6}, {"model": "k_neighbors"}], "folds": 0}
    search = {"trials": 4, "space": {"ridge_1.alpha": [0.1, 1.0], "k_neighbors_2.n_neighbors": {"low": 2, "high": 9}}}
    params = {
        "load": {"path": "data.csv", "task": "regression", "target": "y"},
        **{name: {} for name in ("split", "preprocess", "cross_validate")},
        "evaluate": {"average": "macro"},
        "tune": search,
        "train": {"model": "voting", "kind": "regressor", "version": 1, "hyperparameters": given},
    }
    saved = run_stages(tmp_path, monkeypatch, params)
    result = run_pipeline(
        data, config(model_type="voting", task_type="regression", target="y", hyperparameters=given, tune=search)
    )
    assert result.model_path.read_bytes() == saved.read_bytes()
    assert sidecar_of(result.model_path).read_bytes() == sidecar_of(saved).read_bytes()
    best = json.loads((tmp_path / "w.json").read_text())
    ridge = dict(result.model[-1].estimators)["ridge_1"]
    assert best["hyperparameters"]["ridge_1.alpha"] == ridge.alpha < 1e6
    assert result.cross_validation["mse_mean"] == best["mean"] == result.trials["best"].iloc[-1]


def test_the_committed_model_is_the_apis_too(config):
    """The hash that dvc.lock records for iris, from the API."""
    import hashlib

    lock = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]["train@iris"]["outs"]
    recorded = next(out["md5"] for out in lock if out["path"].endswith("_v1.joblib"))
    values = ModelConfig.from_params("iris", ROOT / "params.yaml")
    settings = config(hyperparameters=values.hyperparameters, train=values.train)
    result = run_pipeline(IRIS, settings)
    assert hashlib.md5(result.model_path.read_bytes()).hexdigest() == recorded


def test_a_stage_reads_no_setting_that_it_does_not_track(tmp_path, monkeypatch):
    """Each stage runs with a params.yaml that holds what dvc.yaml says it tracks, and nothing else."""
    tracked = {
        name: [key.removeprefix("problems.${key}.").split(".") for key in stage["do"]["params"] if isinstance(key, str)]
        for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
    }
    make_table(rows=200).frame.to_csv(tmp_path / "data.csv", index=False)
    model = {"model": "random_forest", "kind": "classifier", "version": 1, "hyperparameters": {"n_estimators": 2}}
    params = {
        "load": {"path": "data.csv", "task": "classification", "target": "y"},
        **{name: {} for name in ("split", "tune", "cross_validate")},
        "preprocess": {"text_columns": []},
        "evaluate": {"average": "macro", "metrics": []},
        "train": model,
    }
    for module in (load, split, preprocess, tune, cross_validate, train, evaluate):
        name, original = module.__name__.split(".")[1], module.main

        def main(argv, name=name, original=original):
            kept = {}
            for section, *keys in tracked[name]:
                kept.setdefault(section, {}).update(
                    {key: params[section][key] for key in keys} if keys else params[section]
                )
            Path("params.yaml").write_text(json.dumps({"problems": {"p": kept}}))
            return original(argv)

        monkeypatch.setattr(module, "main", main)
    assert run_stages(tmp_path, monkeypatch, params).exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "random_florest"}, "Supported, nearest first: random_forest"),
        ({"hyperparameters": {"depth": 3}}, "depth is not a hyperparameter of RandomForestClassifier.*nearest first: "),
        ({"split": {"test_size": 2}}, r"ModelConfig\.split\.test_size is 2\. Allowed: a number above 0 and below 1"),
        (
            {"split": {"tset_size": 0.1}},
            r"ModelConfig\.split\.tset_size is not a setting\. Allowed, nearest first: test_size",
        ),
        ({"task_type": "ranking"}, "one of classification, regression"),
    ],
)
def test_a_wrong_config_is_a_value_error_when_it_is_made(values, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**values)


def test_a_failed_run_leaves_no_model(config, tmp_path):
    with pytest.raises(ValueError, match="has only one class"):
        run_pipeline(make_table().frame.assign(y="same"), config(target="y"))
    assert not (tmp_path / "models").exists()


def test_from_params_is_the_problem():
    values = ModelConfig.from_params("housing", ROOT / "params.yaml")
    assert (values.model_type, values.task_type, values.target, values.drop) == (
        "gradient_boosting",
        "regression",
        "price",
        ("avalue",),
    )
    assert values.hyperparameters == {"n_estimators": 200, "learning_rate": 0.1}
    assert values.sections.load.path == "data/raw/housing.csv"
    # A copy with another setting is checked anew, and is what the same arguments make.
    other = dataclasses.replace(values, split={**values.split, "test_size": 0.3})
    assert other.sections.split.test_size == 0.3
    assert other.sections.tune == values.sections.tune
    assert dataclasses.replace(values) == values
    with pytest.raises(ValueError, match=r"ModelConfig\.split\.test_size is 3\."):
        dataclasses.replace(values, split={"test_size": 3})


def test_the_model_of_a_killed_run_is_known_as_a_leftover(tmp_path, monkeypatch):
    with api._unnamed({"a": 1}, tmp_path, "random_forest_classifier") as path:
        assert files.leftovers(tmp_path) == []
        monkeypatch.setattr(files, "is_alive", lambda _: False)
        assert files.leftovers(tmp_path) == [path]
    assert not path.exists()


@pytest.mark.parametrize("calibrate", ["sigmoid", "temperature"])
def test_decisions_of_the_api_are_those_of_the_stages_in_every_byte(calibrate, config, tmp_path, monkeypatch):
    data = make_table(rows=300).frame.reset_index(drop=True)
    data.to_csv(tmp_path / "data.csv", index=False)
    decided = {"calibrate": calibrate, "threshold": "cost", "costs": {"false_positive": 1, "false_negative": 12}}
    sections = {name: {} for name in ("split", "preprocess", "tune")} | {"cross_validate": {"folds": 3}}
    sections["evaluate"] = {"average": "binary", "importance_repeats": 1}
    hyperparameters = SMALL["gradient_boosting"]
    model = {"model": "gradient_boosting", "kind": "classifier", "version": 1, "hyperparameters": hyperparameters}
    load = {"path": "data.csv", "task": "classification", "target": "y", "positive": "c0"}
    saved = run_stages(tmp_path, monkeypatch, {"load": load, **sections, "train": model | decided})
    settings = config(
        model_type="gradient_boosting", target="y", load={"positive": "c0"}, hyperparameters=hyperparameters,
        train=decided, **sections,
    )  # fmt: skip
    result = run_pipeline(data, settings)
    assert result.model_path.read_bytes() == saved.read_bytes()
    assert sidecar_of(result.model_path).read_bytes() == sidecar_of(saved).read_bytes()
    assert result.metrics == json.loads((tmp_path / "m.json").read_text())
    assert result.metrics["threshold_cost"] <= result.metrics["default_cost"]
    assert result.model[-1].pos_label == "c0"


def test_an_ordered_categorical_has_its_levels_in_their_order(config, tmp_path):
    frame = make_table(rows=200).frame.reset_index(drop=True)
    frame["size"] = np.random.default_rng(0).choice(["small", "large", "huge"], len(frame))
    path = tmp_path / "c.yaml"
    write_contract(infer_contract(frame, levels={"size": ["small", "large", "huge"]}), path)
    ordered = frame.assign(size=pd.Categorical(frame["size"], ["small", "large", "huge"], ordered=True))

    def model_of(frame, **own):
        own |= {"target": "y", "hyperparameters": {"n_estimators": 5}, "cross_validate": {"folds": 2}}
        return run_pipeline(frame, config(**own)).model_path.read_bytes()

    assert model_of(ordered) == model_of(frame, contract=path) != model_of(frame)


def test_weights_of_rows_reach_the_fit_the_folds_the_metrics_and_the_decision(config):
    frame = make_table(rows=400).frame.reset_index(drop=True)
    frame["w"] = np.random.default_rng(3).uniform(0.1, 10, len(frame))
    own = {"target": "y", "hyperparameters": {"n_estimators": 5, "max_depth": 2}, "train": {"threshold": "f1_score"}}
    plain = run_pipeline(frame.drop(columns="w"), config(**own))
    found = run_pipeline(frame, config(load={"weight": "w"}, **own))
    assert found.model_path.read_bytes() != plain.model_path.read_bytes()
    assert "w" not in found.model.feature_names_in_
    rows = found.predictions
    assert rows["weight"].tolist() == frame["w"].to_numpy()[rows["row"] - 1].tolist()
    right = rows["actual"] == rows["predicted"]
    assert found.metrics["accuracy"] == pytest.approx(np.average(right, weights=rows["weight"]))
    assert found.metrics["baseline_accuracy"] != plain.metrics["baseline_accuracy"]
    assert found.cross_validation != plain.cross_validation
    assert found.history["loss"].tolist() != plain.history["loss"].tolist()
    with pytest.raises(SettingsError, match="KNeighborsClassifier knows no weights of rows"):
        config(model_type="k_neighbors", target="y", load={"weight": "w"})
