"""A small table with everything in it, small models of every type, and the stages run by hand."""

import json
from pathlib import Path

from lockstep.intake.problems.contract_inference import infer_contract, write_contract
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.model_file import sidecar_of
from lockstep.learning.model_types import KINDS, MODELS
from lockstep.tables.table import Table
from stages import cross_validate, evaluate, load, preprocess, split, train, tune

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings

every_example = True
"""False where the exhaustive tests are left out: pytest_configure says so before a test is imported."""
SMALL = {
    "random_forest": {"n_estimators": 8},
    "extra_trees": {"n_estimators": 8},
    "gradient_boosting": {"n_estimators": 8},
    "hist_gradient_boosting": {"max_iter": 8},
    "lightgbm": {"n_estimators": 8},
    "xgboost": {"n_estimators": 8},
    "mlp": {"hidden_layer_sizes": [8], "max_iter": 500, "tol": 0.001, "learning_rate_init": 0.02},
    "logistic_regression": {"max_iter": 500},
    "voting": {
        "members": [{"model": "hist_gradient_boosting", "max_iter": 8, "learning_rate": rate} for rate in (0.2, 0.4)],
        "folds": 3,
    },
}
"""Hyperparameters of each model type that make it small and quick."""
TYPES = [(name, task) for name, entry in MODELS.items() for task in entry.estimators]
_FEW = [("logistic_regression", "classification"), ("random_forest", "classification"), ("voting", "regression")]


def widened(values, few):
    """Parameters of a test: the ``few`` for every run, all ``values`` for 'make test-all'."""
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else [value]), marks=() if value in few else pytest.mark.exhaustive
        )
        for value in values
    ]


def drawn(examples=100):
    """Of a test whose values Hypothesis draws: how many examples it tries; an eighth of them where 'make test' leaves
    the exhaustive tests out. The same ones each time, so that a change is what makes it fail."""
    few = max(examples // 8, 5)
    return settings(
        max_examples=examples if every_example else few,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


EACH_TYPE = widened(TYPES, _FEW)
"""The same as parameters of a test: some of them for every run, all for 'make test-all'."""


def make_table(task="classification", rows=300, classes=2, seed=0):
    """Rows with a number and a text that miss values, a boolean, a constant, and a target that follows from them."""
    rng = np.random.default_rng(seed)
    number, text = rng.normal(size=rows), rng.choice(["low", "mid", "high"], size=rows)
    flag = rng.random(rows) < 0.5
    signal = number + (text == "high") * 2 - (text == "low") * 2 + flag
    y = signal + rng.normal(scale=0.1, size=rows)
    if task == "classification":
        y = np.array(["c0", "c1", "c2", "c3"])[np.searchsorted(np.quantile(y, np.arange(1, classes) / classes), y)]
    frame = pd.DataFrame({"number": number, "text": text, "flag": flag, "constant": 1, "y": y})
    frame.loc[rng.random(rows) < 0.1, "number"] = np.nan
    frame.loc[rng.random(rows) < 0.1, "text"] = None
    frame.index = pd.Index(np.arange(1, rows + 1), name="__row__")
    return Table(frame, "y", task)


def model_settings(name, task, **values):
    values = {"hyperparameters": SMALL.get(name, {})} | values
    return TrainSettings(model=name, kind=KINDS[task], version=1, **values)


def run_stages(folder, monkeypatch, params):
    """What dvc.yaml runs, in ``folder``; the model file."""
    monkeypatch.chdir(folder)
    Path("params.yaml").write_text(json.dumps({"problems": {"p": params}}))
    Path("c.yaml").write_text(json.dumps({"fields": [], "lockstep": {"severity": {"columns": "off"}}}))
    runs = {
        load: {"contract": "c.yaml", "table": "t.parquet", "profile": "p.json"},
        split: {
            "table": "t.parquet",
            "profile": "p.json",
            "train": "train.parquet",
            "validation": "validation.parquet",
            "test": "test.parquet",
            "checks": "c.json",
        },
        preprocess: {"train": "train.parquet", "preprocessor": "p.joblib", "processed": "processed.parquet"},
        tune: {"train": "train.parquet", "best-trial": "w.json", "trials": "trials.csv"},
        cross_validate: {
            "train": "train.parquet",
            "best-trial": "w.json",
            "scores": "s.json",
            "folds": "f.csv",
            "predictions": "folds.parquet",
        },
        train: {
            "processed": "processed.parquet",
            "preprocessor": "p.joblib",
            "validation": "validation.parquet",
            "best-trial": "w.json",
            "out-of-fold": "folds.parquet",
            "models": ".",
            "history": "h.csv",
        },
        evaluate: {
            "models": ".",
            "test": "test.parquet",
            "train": "train.parquet",
            "metrics": "m.json",
            "predictions": "predictions.parquet",
            "plots": "plots",
        },
    }
    for stage, arguments in runs.items():
        argv = [word for name, value in arguments.items() for word in (f"--{name}", value)]
        assert stage.main(["--problem", "p", *argv]) == 0
    return next(folder.glob("*_v1.joblib"))


def problem_with_model(folder, monkeypatch, task, **train):
    """Make ``folder`` one in which the stages have run for a problem p: a model in models/p, a contract, the rows in
    data.csv; the model file. ``train``: settings of that section."""
    frame = make_table(task, rows=300).frame
    frame.to_csv(folder / "data.csv", index=False)
    model = {"model": "random_forest", "kind": KINDS[task], "version": 1, "hyperparameters": {"n_estimators": 5}}
    load = {"path": "data.csv", "task": task, "target": "y"}
    sections = {name: {} for name in ("split", "preprocess", "tune", "cross_validate")}
    sections["evaluate"] = {"average": "macro"}
    saved = run_stages(folder, monkeypatch, {"load": load, **sections, "train": model | train})
    (folder / "models/p").mkdir(parents=True)
    for path in (saved, sidecar_of(saved)):
        path.rename(folder / "models/p" / path.name)
    (folder / "data/contracts").mkdir(parents=True)
    write_contract(infer_contract(frame), folder / "data/contracts/p.yaml")
    return folder / "models/p" / saved.name
