"""The rows that reasons start from, kept beside a model of run_pipeline: the same reasons as a stage's model has."""

import shutil

from lockstep import ModelConfig, predict_rows, run_pipeline
from lockstep.__main__ import main
from lockstep.deployment.serving.background import background_file, background_of, write_background
from lockstep.kernel.errors import DataError
from lockstep.learning.model_file import sidecar_of
from lockstep.steps.diagnosing.reasons import ORDERS, drawn
from lockstep.tables.table import Table

import numpy as np
import pandas as pd
import pytest
from small import make_table, problem_with_model, widened


@pytest.mark.parametrize("task", widened(["classification", "regression"], ["classification"]))
def test_reasons_are_those_of_the_stages_model(tmp_path, monkeypatch, task, capsys):
    theirs = problem_with_model(tmp_path, monkeypatch, task)
    (tmp_path / "data/split/p").mkdir(parents=True)
    shutil.copyfile("train.parquet", "data/split/p/train.parquet")
    config = ModelConfig.from_params("p")
    own, again = (run_pipeline("data.csv", config).model_path for _ in range(2))
    assert own.read_bytes() == theirs.read_bytes()
    assert background_file(own).read_bytes() == background_file(again).read_bytes()
    expected = predict_rows(theirs, "data.csv", explain=True)
    pd.testing.assert_frame_equal(predict_rows(own, "data.csv", explain=True), expected, check_exact=True)
    assert main(["predict", str(own), "data.csv", "--explain"]) == 0
    assert capsys.readouterr().out == expected.to_csv(index=False, lineterminator="\n")


def test_rows_that_are_missing_damaged_or_of_another_model_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = make_table().frame
    config = ModelConfig(target="y", hyperparameters={"n_estimators": 2})
    one, other = run_pipeline(data, config).model_path, run_pipeline(data.iloc[:200], config).model_path
    file = background_file(one)
    content = file.read_bytes()
    shutil.copyfile(background_file(other), file)
    with pytest.raises(DataError, match=r"holds other rows than models/random_forest_classifier_v1\.joblib was"):
        predict_rows(one, data, explain=True)
    for damaged in (content[:-100], content[:4] + bytes(200) + content[204:], b""):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match="is not what 'run_pipeline' wrote beside models/random_forest"):
            predict_rows(one, data, explain=True)
    file.unlink()
    with pytest.raises(DataError, match=r"_v1_background\.parquet, which 'run_pipeline' writes beside .* is not here"):
        predict_rows(one, data, explain=True)
    assert len(predict_rows(one, data)) == 300  # which needs none
    file.write_bytes(content)
    moved = tmp_path / "elsewhere" / one.name
    moved.parent.mkdir()
    for path in (one, sidecar_of(one), file):
        shutil.copyfile(path, moved.with_name(path.name))
    pd.testing.assert_frame_equal(predict_rows(moved, data, explain=True), predict_rows(one, data, explain=True))


def test_rows_of_every_type_are_read_as_they_were(tmp_path, monkeypatch):
    flags = np.array([True, False, None] * 20, dtype=object)
    dates = pd.date_range("2024-01-31", periods=60, unit="us").where(np.arange(60) % 7 > 0)
    texts = pd.Series(["a", None, "c "] * 20, dtype="str")
    numbers = np.where(np.arange(60) % 5, np.random.default_rng(0).normal(size=60), np.nan)
    frame = pd.DataFrame(
        {"whole": range(60), "number": numbers, "flag": flags, "date": dates, "text": texts, "never": None, "y": 1.0}
    )
    names = ["text", "flag", "date", "number", "whole", "never"]
    file = background_file(tmp_path / "m.joblib")
    write_background(file, Table(frame, "y", "regression"), names, "abc")
    about = {"training_rows": {"rows": 60, "sha256": "abc"}}
    monkeypatch.setattr("lockstep.deployment.serving.background.read_about", lambda _: about)
    found, expected = background_of(tmp_path / "m.joblib", names, None, "--explain"), drawn(frame[names])
    pd.testing.assert_frame_equal(found.rows, expected.rows.reset_index(drop=True), check_exact=True)
    assert (len(found.rows), found.drawn_from) == (ORDERS, 60)
