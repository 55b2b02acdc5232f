"""python -m lockstep watch: reads as predict does, says what it finds, records it once."""

import json
import shutil

from lockstep.__main__ import main
from lockstep.intake.problems.contract_inference import infer_contract, write_contract
from lockstep.learning.model_file import sidecar_of
from lockstep.learning.model_types import KINDS

import numpy as np
import pandas as pd
import pytest
from small import make_table, run_stages


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder in which the stages have run for the problem p."""
    folder = tmp_path_factory.mktemp("built")
    frame = make_table("regression", rows=600).frame
    frame.to_csv(folder / "data.csv", index=False)
    sections = {name: {} for name in ("split", "preprocess", "tune", "cross_validate")}
    sections["load"] = {"path": "data.csv", "task": "regression", "target": "y"}
    sections["evaluate"] = {"average": "macro"}
    train = {"model": "ridge", "kind": KINDS["regression"], "version": 1}
    with pytest.MonkeyPatch.context() as monkeypatch:
        saved = run_stages(folder, monkeypatch, {**sections, "train": train})
    for place in ("models/p", "data/contracts", "data/split/p", "data/predictions"):
        (folder / place).mkdir(parents=True)
    for path in (saved, sidecar_of(saved)):
        path.rename(folder / "models/p" / path.name)
    for name in ("train", "test"):
        (folder / f"{name}.parquet").rename(folder / f"data/split/p/{name}.parquet")
    (folder / "predictions.parquet").rename(folder / "data/predictions/p.parquet")
    write_contract(infer_contract(frame), folder / "data/contracts/p.yaml")
    return folder


@pytest.fixture
def folder(built, tmp_path, monkeypatch):
    shutil.copytree(built, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(change=lambda frame: frame, count=150):
    """A batch of the distribution of the training rows, once ``change`` is made to it, in new.csv."""
    change(make_table("regression", rows=count, seed=7).frame).to_csv("new.csv", index=False)
    return "new.csv"


def watch(capsys, *words):
    capsys.readouterr()
    code = main(["watch", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_rows_like_those_of_the_training(folder, capsys):
    code, out, _ = watch(capsys, "p", rows(), "--actual", "y", "--date", "2024-01-31", "--fail-if", "shifted,worse")
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "p: no detectable shift, no detectable difference"
    assert "Recorded: new.csv of 2024-01-31, in metrics/p_watch.csv." in lines
    (line,) = pd.read_csv("metrics/p_watch.csv").to_dict("records")
    assert (line["date"], line["rows"], line["columns_shifted"]) == ("2024-01-31", 150, 0)
    assert {"mae", "rmse", "r2_score"} <= line.keys()
    assert "its line was replaced" in watch(capsys, "p", "new.csv", "--date", "2024-01-31")[1]
    again = watch(capsys, "p", "new.csv", "--date", "2024-01-31")[1]
    assert "metrics/p_watch.csv has new.csv of 2024-01-31 already, with this result: nothing was added." in again
    assert len(pd.read_csv("metrics/p_watch.csv")) == 1


def test_what_is_found_decides_on_the_exit_code(folder, capsys):
    def moved(frame):
        return frame.assign(number=frame["number"] + 1, y=frame["y"] + 3)

    name = rows(moved)
    assert watch(capsys, "p", name)[0] == 0
    code, out, _ = watch(capsys, "p", name, "--fail-if", "shifted")
    assert (code, out.splitlines()[0]) == (1, "p: shifted")
    code, out, err = watch(capsys, "p", name, "--actual", "y", "--fail-if", "worse", "--json")
    found = json.loads(out)
    assert "metrics/p_watch.csv has new.csv of " in err
    assert (code, found["found"], found["verdict"]) == (1, ["shifted", "worse"], "shifted, worse")
    assert {item["verdict"] for item in found["metrics"]} == {"worse"}
    assert watch(capsys, "p", rows(lambda frame: frame.assign(y=frame["y"] + 3)), "--fail-if", "shifted")[0] == 0


def test_the_truth_of_some_rows_in_a_column_of_another_name(folder, capsys):
    def late(frame):
        return frame.assign(paid=frame["y"].where(np.arange(len(frame)) < 60)).drop(columns="y")

    code, out, _ = watch(capsys, "p", rows(late), "--actual", "paid")
    assert code == 0
    assert "Metrics of 60 rows, against the test rows" in out
    few = rows(lambda frame: late(frame).assign(paid=frame["y"].where(np.arange(len(frame)) < 6)))
    assert (
        "Metrics are not compared: 6 rows with the truth are too few, at least 10 independent rows are needed."
        in watch(capsys, "p", few, "--actual", "paid")[1]
    )


def test_of_many_columns_only_those_that_say_something_have_a_line(folder, capsys, monkeypatch):
    monkeypatch.setattr("lockstep.deployment.watching.words._MANY_COLUMNS", 2)
    out = watch(capsys, "p", rows(lambda frame: frame.assign(number=frame["number"] + 1)))[1]
    assert "Columns, against the training rows: 1 of 3 shifted" in out
    assert "2 other columns: no detectable shift, no odd row." in out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["q", "new.csv"], 2, "params.yaml has no problem 'q'"),
        (["p", "none.csv"], 2, "none.csv does not exist"),
        (["p", "new.csv", "--actual", "z"], 2, "new.csv has no column 'z', which --actual names. Name the column with"),
        (["p", "new.csv", "--actual", "number"], 2, "--actual number is a column that the model sees"),
        (["p", "new.csv", "--actual", "word"], 2, "column 'word'"),
        (["p", "new.csv", "--actual", "nothing"], 2, "new.csv has no value in 'nothing', which --actual names"),
        (["p", "new.csv", "--fail-if", "worse"], 2, "--fail-if worse needs the truth: name its column with --actual"),
        (["p", "few.csv"], 2, "few.csv has 3 rows, too few to tell a shift from chance: at least 10 are needed"),
        (["p", "empty.csv"], 2, "empty.csv"),
        (["p", "header.csv"], 2, "header.csv has no rows below its header"),
    ],
)
def test_what_cannot_be_watched_is_said_and_not_recorded(folder, capsys, words, code, message):
    rows(count=3)
    (folder / "new.csv").rename("few.csv")
    (folder / "empty.csv").touch()
    (folder / "header.csv").write_text("number,text,flag,constant\n")
    rows(lambda frame: frame.assign(word="yes", nothing=None))
    found, out, err = watch(capsys, *words)
    assert (found, out) == (code, "")
    assert message in err
    assert not (folder / "metrics/p_watch.csv").exists()


@pytest.mark.parametrize("words", [["--date", "31.1.2024"], ["--fail-if", "better"]])
def test_words_that_mean_nothing(folder, capsys, words):
    with pytest.raises(SystemExit, match="2"):
        main(["watch", "p", rows(), *words])
    assert words[1] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("models/p/ridge_regressor_v1.joblib", "it is not built yet. Run 'dvc repro evaluate@p'"),
        ("data/split/p/train.parquet", "watch compares with the training rows, but"),
        ("data/split/p/test.parquet", "watch compares with the test rows, but"),
        ("data/predictions/p.parquet", "watch compares with the test rows, but"),
    ],
)
def test_what_is_not_built_is_said(folder, capsys, path, message):
    (folder / path).unlink()
    code, out, err = watch(capsys, "p", rows())
    assert (code, out) == (2, "")
    assert message in err


def test_predictions_of_another_model_are_refused(folder, capsys):
    path = folder / "data/predictions/p.parquet"
    frame = pd.read_parquet(path)
    frame.assign(predicted=frame["predicted"] + 1).to_parquet(path)
    code, _, err = watch(capsys, "p", rows())
    assert code == 2
    assert "holds predictions of other rows" in err
