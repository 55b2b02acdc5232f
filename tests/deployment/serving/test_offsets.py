"""Times that say their offset from UTC, or do not: a model takes new rows as it was fitted, wherever it is."""

import dataclasses
import json
import shutil
from pathlib import Path

from lockstep import ModelConfig, predict_rows, run_pipeline
from lockstep.__main__ import main
from lockstep.deployment.serving.json_rows import read_rows
from lockstep.deployment.serving.predicting import make_scorer
from lockstep.deployment.serving.row_schema import allowed, example_row, row_schema
from lockstep.intake.problems.contract_inference import infer_contract, write_contract
from lockstep.kernel.errors import DataError
from lockstep.learning.model_file import sidecar_of
from lockstep.reading.column_types import Format
from lockstep.reading.contract import read_contract
from lockstep.reading.loading import LoadSettings, load_file
from lockstep.reading.number_marks import Marks
from lockstep.tables.table import read_table, table_sha256, write_table

import jsonschema
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from msgspec import structs
from small import run_stages, widened

WITHOUT = "column 'when' has times without an offset from UTC, and the model was fitted on times that have one"
WITH = "column 'when' has times with an offset from UTC, and no sidecar of the model lists the column"
CONFIG = {"task_type": "regression", "target": "y", "hyperparameters": {"n_estimators": 4}}


def frame_of(zone, rows=150):
    """A target that follows from the hour in UTC; times of that zone, or without one."""
    when = pd.Series(pd.date_range("2024-01-31", periods=rows, freq="97min"))
    y = when.dt.hour + np.random.default_rng(0).normal(scale=0.1, size=rows)
    shown = when if zone is None else when.dt.tz_localize("UTC").dt.tz_convert(zone)
    return pd.DataFrame({"when": shown, "number": np.arange(rows) % 7 * 1.5, "y": y})


def texts_of(frame):
    return frame.assign(when=[time.isoformat() for time in frame["when"]])


def written(frame, folder):
    """The rows in every form, each by its name: a DataFrame, one of texts, one of objects, CSV, parquet."""
    folder.mkdir(exist_ok=True)
    texts_of(frame).to_csv(folder / "rows.csv", index=False)
    frame.to_parquet(folder / "rows.parquet")
    return {
        "frame": frame,
        "texts": texts_of(frame),
        "objects": frame.assign(when=frame["when"].astype(object)),
        "csv": folder / "rows.csv",
        "parquet": folder / "rows.parquet",
    }


def in_json(frame):
    rows = texts_of(frame)[["when", "number"]].to_dict("records")
    return json.dumps(rows).encode(), "\n".join(map(json.dumps, rows))


@pytest.mark.parametrize("fitted", widened(["Asia/Kolkata", None], ["Asia/Kolkata"]))
def test_a_model_without_a_contract_takes_times_as_it_was_fitted_on(tmp_path, monkeypatch, capsys, fitted):
    monkeypatch.chdir(tmp_path)
    result = run_pipeline(frame_of(fitted), ModelConfig(**CONFIG))
    about = json.loads(sidecar_of(result.model_path).read_text())
    assert about["features"] == {"when": "date", "number": "number"}
    assert about.get("times_with_offset") == (["when"] if fitted else None)
    expected = predict_rows(result.model_path, frame_of(fitted))
    alike = {None: (None,)}.get(fitted, ("Asia/Kolkata", "UTC", "America/New_York"))
    for place, zone in enumerate(alike):
        for form, rows in written(frame_of(zone), tmp_path / f"{place}").items():
            found = predict_rows(result.model_path, rows)
            pd.testing.assert_frame_equal(found, expected, check_exact=True, obj=form)
    other = frame_of(None if fitted else "UTC")
    for rows in written(other, tmp_path / "other").values():
        with pytest.raises(DataError, match=WITHOUT if fitted else WITH) as error:
            predict_rows(result.model_path, rows)
        assert "contract is" not in str(error.value) and "Leave the offset out" not in str(error.value)
    scorer = make_scorer(result.model_path)
    body, lines = in_json(frame_of(fitted))
    assert len(read_rows(body, scorer, 1000, "id").frame) == 150
    Path("rows.jsonl").write_text(lines)
    assert main(["predict", str(result.model_path), "rows.jsonl", "-o", "out.csv"]) == 0
    assert pd.read_csv("out.csv")["predicted"].tolist() == expected["predicted"].tolist()
    body, lines = in_json(other)
    with pytest.raises(DataError, match=WITHOUT if fitted else WITH):
        read_rows(body, scorer, 1000, "id")
    Path("rows.jsonl").write_text(lines)
    assert main(["predict", str(result.model_path), "rows.jsonl", "-o", "out.csv"])
    assert (WITHOUT if fitted else WITH) in capsys.readouterr().err


def test_rows_without_a_time_are_of_either_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = frame_of("UTC")
    frame.loc[::5, "when"] = pd.NaT
    model = run_pipeline(frame, ModelConfig(**CONFIG)).model_path
    none = frame.assign(when=pd.Series(pd.NaT, index=frame.index))
    for rows in (none, none.assign(when=none["when"].dt.tz_localize("UTC")), none.assign(when=None)):
        assert predict_rows(model, rows)["predicted"].nunique() <= 7


def test_days_have_no_offset_either(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = run_pipeline(frame_of("UTC"), ModelConfig(**CONFIG)).model_path
    days = frame_of(None)
    for rows in (days.assign(when=days["when"].dt.date), days.assign(when=days["when"].dt.strftime("%Y-%m-%d"))):
        with pytest.raises(DataError, match=WITHOUT):
            predict_rows(model, rows)


@pytest.mark.parametrize("time", widened([None, "when"], ["when"]))
def test_the_stages_write_the_sidecar_of_the_api(tmp_path, monkeypatch, time):
    frame = frame_of("Asia/Kolkata")
    frame.to_parquet(tmp_path / "data.parquet")
    sections = {name: {} for name in ("preprocess", "tune", "cross_validate")} | {"split": {"time": time}}
    model = {"model": "random_forest", "kind": "regressor", "version": 1, "hyperparameters": CONFIG["hyperparameters"]}
    load = {"path": "data.parquet", "task": "regression", "target": "y"}
    saved = run_stages(
        tmp_path, monkeypatch, {"load": load, **sections, "evaluate": {"average": "macro"}, "train": model}
    )
    own = run_pipeline(frame, ModelConfig(**CONFIG, split={"time": time})).model_path
    assert sidecar_of(own).read_bytes() == sidecar_of(saved).read_bytes()
    about = json.loads(sidecar_of(own).read_text())
    assert about.get("times_with_offset") == (None if time else ["when"])


def contract_of(path, marks, dates="default"):
    frame = texts_of(frame_of("UTC"))
    found = infer_contract(frame)
    fields = [
        structs.replace(field, type="datetime", format=dates, lockstep=marks) if field.name == "when" else field
        for field in found.fields
    ]
    write_contract(structs.replace(found, fields=tuple(fields)), path)
    return read_contract(path)


def test_an_exported_twin_elsewhere_goes_by_its_sidecar_and_in_its_place_by_the_contract(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    texts_of(frame_of("Asia/Kolkata")).to_csv("data.csv", index=False)
    contract_of(tmp_path / "c.yaml", Marks(offset=True))
    model = run_pipeline("data.csv", ModelConfig(**CONFIG, contract="c.yaml")).model_path
    twin = tmp_path / "twin" / "model.skops"
    twin.parent.mkdir()
    assert main(["export", str(model), "--format", "skops", "-o", str(twin)]) == 0
    moved = tmp_path / "elsewhere" / "model.skops"
    moved.parent.mkdir()
    for path in (twin, sidecar_of(twin)):
        shutil.copyfile(path, moved.with_name(path.name))
    expected = predict_rows(model, "data.csv")
    for path in (twin, moved):
        pd.testing.assert_frame_equal(predict_rows(path, "data.csv"), expected, check_exact=True)
        pd.testing.assert_frame_equal(predict_rows(path, frame_of("Asia/Kolkata")), expected, check_exact=True)
        with pytest.raises(DataError, match=WITHOUT):
            predict_rows(path, frame_of(None))
    Path("data/contracts").mkdir(parents=True)
    contract_of(tmp_path / "data/contracts/p.yaml", Marks(offset=True))
    Path("params.yaml").write_text("problems:\n  p:\n    load: {path: data.csv, task: regression, target: y}\n")
    pd.testing.assert_frame_equal(predict_rows(moved, "data.csv", problem="p"), expected, check_exact=True)
    with pytest.raises(DataError, match=r"its contract is of times that have one \(lockstep: {offset: true}\)"):
        predict_rows(moved, frame_of(None), problem="p")
    Path("data/contracts/p.yaml").unlink()
    pd.testing.assert_frame_equal(predict_rows(moved, "data.csv", problem="p"), expected, check_exact=True)


def test_tables_say_which_times_had_an_offset_and_others_keep_their_bytes(tmp_path):
    settings = LoadSettings("data.csv", "regression", target="y")
    data = texts_of(frame_of("Asia/Kolkata"))
    data.to_csv(tmp_path / "data.csv", index=False)
    zoned = load_file(tmp_path / "data.csv", settings, contract_of(tmp_path / "c.yaml", Marks(offset=True))).table
    assert zoned.with_offset == ("when",)
    write_table(zoned, tmp_path / "t.parquet")
    assert [*read_table(tmp_path / "t.parquet").with_offset] == ["when"]
    data.assign(when=data["when"].str[:19]).to_csv(tmp_path / "data.csv", index=False)
    plain = load_file(tmp_path / "data.csv", settings, contract_of(tmp_path / "c.yaml", Marks())).table
    assert plain.with_offset == ()
    write_table(plain, tmp_path / "t.parquet")
    own = json.loads(pq.read_schema(tmp_path / "t.parquet").metadata[b"lockstep"])
    assert own == {"target": "y", "task": "regression", "group": None, "time": None, "stratified": False}
    assert table_sha256(plain) != table_sha256(dataclasses.replace(plain, with_offset=("when",)))
    data.assign(when=data["when"].str.replace("T", " ")).to_csv(tmp_path / "data.csv", index=False)
    pattern = contract_of(tmp_path / "c.yaml", Marks(), "%Y-%m-%d %H:%M:%S%z")
    assert load_file(tmp_path / "data.csv", settings, pattern).table.with_offset == ("when",)


@pytest.mark.parametrize("zone", ["UTC", None])
@pytest.mark.parametrize("limit", widened(["2024-01-31", "2024-01-31T00:00:00", None], ["2024-01-31"]))
def test_the_example_of_a_request_is_one_that_is_taken(tmp_path, monkeypatch, zone, limit):
    monkeypatch.chdir(tmp_path)
    scorer = make_scorer(run_pipeline(frame_of(zone), ModelConfig(**CONFIG)).model_path)
    if limit is not None:
        contract = contract_of(tmp_path / "c.yaml", Marks(offset=zone is not None))
        fields = [
            structs.replace(field, constraints=structs.replace(field.constraints, minimum=limit))
            if field.name == "when"
            else field
            for field in contract.fields
        ]
        scorer = scorer._replace(contract=structs.replace(contract, fields=tuple(fields)), form=Format())
    row = example_row(scorer)
    jsonschema.Draft202012Validator(row_schema(scorer)).validate(row)
    assert len(read_rows(json.dumps(row).encode(), scorer, 10, "id").frame) == 1
    assert ("with its offset from UTC" in allowed(scorer, "when")) == (zone is not None)


def test_what_is_said_of_cells_without_a_contract_speaks_of_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = run_pipeline(frame_of(None), ModelConfig(**CONFIG)).model_path
    rows = texts_of(frame_of(None))
    for wrong, what in (
        (rows.assign(when="31.01.2024"), "are not of the type datetime, written as ISO 8601 says, .* the model takes"),
        (rows.assign(number="x"), "are not of the type number that the model takes"),
        (rows.assign(number="12345678901234567891"), r"but the model takes number\. Correct them\."),
        (rows[["number"]], r"lacks columns that the model uses: when\. Add them\.$"),
    ):
        wrong.to_csv("rows.csv", index=False)
        with pytest.raises(DataError, match=what) as error:
            predict_rows(model, "rows.csv")
        assert "contract" not in str(error.value)
