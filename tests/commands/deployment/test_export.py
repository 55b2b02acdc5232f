"""python -m lockstep export: the twin beside the model, its sidecar, and what is refused."""

import hashlib
import json
from pathlib import Path

from lockstep import ModelConfig, load_model, run_pipeline
from lockstep.__main__ import main
from lockstep.saving.joblib_file import save_model

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor

ROWS = pd.DataFrame({"a": np.arange(120.0), "b": ["x", "y", "z"] * 40, "y": ["no", "yes"] * 60})


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model of the API's, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    ROWS.to_csv("rows.csv", index=False)
    return run_pipeline(ROWS, ModelConfig(target="y", hyperparameters={"n_estimators": 3})).model_path


def test_the_twin_predicts_the_same_and_says_where_it_comes_from(model, capsys):
    assert main(["export", str(model), "--format", "skops"]) == 0
    twin = model.with_suffix(".skops")
    assert capsys.readouterr().out.startswith(f"{twin}: {twin.stat().st_size:,} bytes, and {twin.name}.json beside it")
    assert (load_model(twin).predict_proba(ROWS) == load_model(model).predict_proba(ROWS)).all()
    for file in (model, twin):
        assert main(["predict", str(file), "rows.csv", "-o", f"{file.suffix}.csv"]) == 0
    assert Path(".skops.csv").read_bytes() == Path(".joblib.csv").read_bytes()
    own, its = (json.loads(Path(f"{file}.json").read_text()) for file in (model, twin))
    assert its["sha256"] == hashlib.sha256(twin.read_bytes()).hexdigest()
    assert its["made_from"] == {"file": model.name, "sha256": own["sha256"]}
    assert {key: its[key] for key in ("task", "target", "features", "training_rows", "settings")}.items() <= own.items()
    assert set(its["libraries"]) - set(own["libraries"]) == {"skops"}
    assert own["features"] == {"a": "number", "b": "text"}


def test_a_vote_of_boostings_has_a_twin_too(tmp_path, monkeypatch):
    """What add chooses for most tables; the sidecar has the versions of their libraries."""
    monkeypatch.chdir(tmp_path)
    members = [{"model": name, "n_estimators": 3} for name in ("lightgbm", "xgboost")]
    config = ModelConfig(target="y", model_type="voting", hyperparameters={"members": members, "folds": 0})
    model = run_pipeline(ROWS, config).model_path
    assert main(["export", str(model), "--format", "skops"]) == 0
    twin = model.with_suffix(".skops")
    assert (load_model(twin).predict_proba(ROWS) == load_model(model).predict_proba(ROWS)).all()
    own, its = (json.loads(Path(f"{file}.json").read_text())["libraries"] for file in (model, twin))
    assert its == own | {"skops": its["skops"]}
    assert {"lightgbm", "xgboost"} <= set(its)


def test_a_model_from_elsewhere_by_its_digest(model):
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    Path(f"{model}.json").unlink()
    assert main(["export", str(model), "--format", "skops", "-o", "out/m.skops"]) == 3
    assert main(["export", str(model), "--format", "skops", "-o", "out/m.skops", "--sha256", digest]) == 0
    assert load_model("out/m.skops").predict(ROWS).tolist() == load_model(model, sha256=digest).predict(ROWS).tolist()


def test_an_altered_twin_is_refused(model, capsys):
    assert main(["export", str(model), "--format", "skops", "-o", "m.skops"]) == 0
    data = bytearray(Path("m.skops").read_bytes())
    data[len(data) // 2] ^= 1
    Path("m.skops").write_bytes(data)
    assert main(["predict", "m.skops", "rows.csv"]) == 3
    assert "is not the file that its sidecar m.skops.json describes" in capsys.readouterr().err


def test_what_cannot_be_written(model, capsys):
    assert main(["export", str(model), "--format", "skops", "-o", "m.zip"]) == 2
    assert "give the name of a file that ends in .skops" in capsys.readouterr().err
    save_model(GaussianProcessRegressor().fit(np.eye(3), [1, 2, 3]), Path("other.joblib"))
    digest = hashlib.sha256(Path("other.joblib").read_bytes()).hexdigest()
    assert main(["export", "other.joblib", "--format", "skops", "--sha256", digest]) == 2
    said = capsys.readouterr().err
    assert "GaussianProcessRegressor, which such a file of Lockstep's never has. Use its .joblib" in said
    assert not list(Path().glob("*.skops*"))
