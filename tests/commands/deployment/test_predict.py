"""python -m lockstep predict: the pipeline's own predictions again, whole or not at all."""

import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from lockstep import predict_rows
from lockstep.__main__ import main
from lockstep.deployment.serving.predicting import blocks_of, make_scorer
from lockstep.intake.problems.contract_inference import infer_contract, write_contract
from lockstep.kernel.errors import DataError
from lockstep.reading import csvfile
from lockstep.reading.csvfile import Dialect
from lockstep.reading.number_marks import Marks

import pandas as pd
import pytest
import yaml
from msgspec import structs
from small import make_table, problem_with_model, run_stages, widened
from workspace import ROOT


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that gives the folder in which the stages have run for a task, once for all tests."""

    @cache
    def run(task):
        folder = tmp_path_factory.mktemp(task)
        with pytest.MonkeyPatch.context() as monkeypatch:
            problem_with_model(folder, monkeypatch, task)
        return folder

    return run


@pytest.fixture(params=widened(["classification", "regression"], ("classification",)))
def trained(run, tmp_path, monkeypatch, request):
    """A folder with a model of the problem p, its rows in data.csv, its contract, and the test rows' predictions."""
    shutil.copytree(run(request.param), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    (model,) = (tmp_path / "models/p").glob("*.joblib")
    return tmp_path, model, pd.read_parquet(tmp_path / "predictions.parquet")


def test_the_same_predictions_as_the_pipeline_in_any_blocks(trained, monkeypatch):
    folder, model, expected = trained
    for chunk in (200, 5000, csvfile.CHUNK):
        monkeypatch.setattr(csvfile, "CHUNK", chunk)
        assert main(["predict", str(model), "data.csv", "-o", "out.csv"]) == 0
        found = pd.read_csv(folder / "out.csv")
        assert found["row"].tolist() == list(range(1, 301))
        mine = found.set_index("row").loc[expected["row"]]
        assert mine["predicted"].tolist() == expected["predicted"].tolist()
        for name in expected.columns[expected.columns.str.startswith("probability_")]:
            assert mine[name].tolist() == expected[name].tolist()


@pytest.mark.parametrize(
    "preprocess",
    [{"encode": "native", "numeric_impute": "native"}, {"missing_indicator": True}],
    ids=["native", "flag"],
)
def test_missing_values_and_categories_as_they_are(tmp_path, monkeypatch, preprocess):
    """All columns that the model was fitted on are read, as the types that they had: codes are texts, and of a column
    that is constant but for its missing values the model sees which those are."""
    frame = make_table("classification", rows=300).frame
    frame["code"] = [f"{number % 7:03}" for number in range(300)]
    frame["only_when"] = [1.5 if number % 3 else None for number in range(300)]
    frame["flag"] = pd.Series([True if number % 4 else None for number in range(300)], index=frame.index)
    frame.to_csv(tmp_path / "data.csv", index=False)
    sections = {name: {} for name in ("split", "tune", "cross_validate")} | {"preprocess": preprocess}
    sections |= {
        "load": {"path": "data.csv", "task": "classification", "target": "y"},
        "evaluate": {"average": "macro"},
    }
    train = {"model": "hist_gradient_boosting", "kind": "classifier", "version": 1, "hyperparameters": {"max_iter": 9}}
    saved = run_stages(tmp_path, monkeypatch, {**sections, "train": train})
    monkeypatch.chdir(tmp_path)
    assert main(["predict", str(saved), "data.csv", "-o", "out.csv"]) == 0
    expected = pd.read_parquet(tmp_path / "predictions.parquet")
    found = pd.read_csv(tmp_path / "out.csv").set_index("row").loc[expected["row"]]
    for name in expected.columns[expected.columns.str.startswith("probability_")]:
        assert found[name].tolist() == expected[name].tolist()


@pytest.mark.parametrize("model", widened(["random_forest", "gradient_boosting", "svm"], ("gradient_boosting",)))
@pytest.mark.parametrize("weight", widened(["balanced", None], ("balanced",)))
def test_probabilities_of_weighted_classes_are_said_to_be_such(tmp_path, monkeypatch, capsys, model, weight):
    """Only some estimators know it themselves: of the others the sidecar does."""
    make_table("classification", rows=150).frame.to_csv(tmp_path / "data.csv", index=False)
    train = {"model": model, "kind": "classifier", "version": 1, "class_weight": weight}
    sections = {name: {} for name in ("split", "preprocess", "tune", "cross_validate")}
    sections["evaluate"] = {"average": "macro"}
    load = {"path": "data.csv", "task": "classification", "target": "y"}
    saved = run_stages(tmp_path, monkeypatch, {"load": load, **sections, "train": train})
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["predict", str(saved), "data.csv", "-o", "out.csv"]) == 0
    said = "The probabilities are those of equally frequent classes, not of the data (train.class_weight: balanced).\n"
    has_probabilities = "probability_" in (tmp_path / "out.csv").read_text().splitlines()[0]
    assert has_probabilities == (model != "svm")
    assert (said in capsys.readouterr().err) == (has_probabilities and weight is not None)


def test_rows_are_read_by_the_forms_that_the_contract_declares(trained, capsys):
    """The same predictions for numbers with marks, and none for a row in another form."""
    folder, model, _ = trained
    frame = pd.read_csv(folder / "data.csv")
    main(["predict", str(model), "data.csv", "-o", "expected.csv"])
    contract = infer_contract(frame)
    column = next(field.name for field in contract.fields if field.type == "number" and field.name != "y")
    fields = [
        structs.replace(field, bare_number=False, lockstep=Marks(prefix="$", negative="parentheses"))
        if field.name == column
        else field
        for field in contract.fields
    ]
    write_contract(structs.replace(contract, fields=tuple(fields)), folder / "data/contracts/p.yaml")
    texts = [f"(${-value!r})" if value < 0 else f"${value!r}" for value in frame[column]]
    frame[column] = pd.Series(texts).where(frame[column].notna(), "")
    frame.to_csv("rows.csv", index=False)
    frame.to_parquet("rows.parquet")
    for rows in ("rows.csv", "rows.parquet"):
        assert main(["predict", str(model), rows, "-o", "out.csv"]) == 0
        assert (folder / "out.csv").read_text() == (folder / "expected.csv").read_text()
    frame.loc[200, column] = "€1.5"
    frame.to_csv("rows.csv", index=False)
    assert main(["predict", str(model), "rows.csv", "-o", "other.csv"]) == 2
    assert re.search(
        rf"rows.csv column '{column}': 1 of 300 cells .*line 202, the first '€1\.5'", capsys.readouterr().err
    )
    assert not (folder / "other.csv").exists()


def test_parquet_packed_and_stdin_to_stdout(trained):
    folder, model, _ = trained
    frame = pd.read_csv(folder / "data.csv")
    frame.to_parquet(folder / "data.parquet")
    frame.to_csv(folder / "data.csv.gz", index=False)
    main(["predict", str(model), "data.csv", "-o", "expected.csv"])
    expected = (folder / "expected.csv").read_text()
    for rows in ("data.parquet", "data.csv.gz"):
        assert main(["predict", str(model), rows, "-o", "out.csv"]) == 0
        assert (folder / "out.csv").read_text() == expected
    command = [sys.executable, "-m", "lockstep", "predict", str(model), "-"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    text = (folder / "data.csv").read_text()
    done = subprocess.run(command, input=text, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == expected
    assert done.stderr == "300 rows scored\n"


def test_rows_without_target_with_new_levels_gaps_and_more_columns(trained, caplog):
    folder, model, _ = trained
    rows = "extra,number,text,flag\n1,,never seen,True\n2,0.5,,False\n"
    (folder / "new.csv").write_text(rows)
    assert main(["predict", str(model), "new.csv", "-o", "out.csv"]) == 0
    assert len(pd.read_csv(folder / "out.csv")) == 2
    assert "not in the list of categories: 'never seen', in line 2" in caplog.text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("number,text\n1,low\n", "new.csv lacks columns that the model uses: flag. Add them, or set lockstep.severity"),
        ("number,text,flag\n1,low,True\nx,low,True\n", "1 of 2 cells are not of the type number"),
        ("number,text,flag\n1,low,True\n1,low\n", "new.csv line 3: 2 cells, the header has 3"),
        ("number,text,flag\n1,low,True\n1e39,low,True\n", "new.csv column 'number': 1e+39 in line 3 is beyond 3.4e+38"),
        ("number,text,flag\n", "new.csv has no rows below its header"),
    ],
)
def test_a_mistake_writes_nothing(trained, capsys, rows, message):
    folder, model, _ = trained
    (folder / "new.csv").write_text(rows)
    (folder / "out.csv").write_text("old")
    assert main(["predict", str(model), "new.csv", "-o", "out.csv"]) == 2
    assert message in capsys.readouterr().err
    assert (folder / "out.csv").read_text() == "old"
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize("trained", ["classification"], indirect=True)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_fraction_where_the_contract_declares_whole_numbers(trained, capsys, kind):
    """As load refuses it."""
    folder, model, _ = trained
    contract = folder / "data/contracts/p.yaml"
    contract.write_text(contract.read_text().replace("name: number\n  type: number", "name: number\n  type: integer"))
    rows = pd.DataFrame({"number": [1.0, 30.5], "text": "low", "flag": True})
    rows.to_csv("new.csv", index=False)
    rows.to_parquet("new.parquet")
    assert main(["predict", str(model), f"new.{kind}", "-o", "out.csv"]) == 2
    assert "integer" in capsys.readouterr().err
    rows.iloc[:1].to_csv("new.csv", index=False)
    rows.iloc[:1].to_parquet("new.parquet")
    assert main(["predict", str(model), f"new.{kind}", "-o", "out.csv"]) == 0


def test_missing_columns_are_imputed_if_the_contract_allows_it(trained, caplog):
    folder, model, _ = trained
    contract = folder / "data/contracts/p.yaml"
    contract.write_text(contract.read_text().replace("columns: error", "columns: warning"))
    (folder / "new.csv").write_text("number,text\n1,low\n")
    assert main(["predict", str(model), "new.csv", "-o", "out.csv"]) == 0
    assert "lacks columns that the model uses, they are imputed: flag" in caplog.text


@pytest.mark.parametrize("trained", ["classification"], indirect=True)
@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("text", 105, "'text' is number, the model takes text. Convert them where they come from: the zeros of a code"),
        ("number", "x", "'number' is text, the model takes number. Convert them.\n"),
        ("flag", 1, "'flag' is number, the model takes boolean. Convert them.\n"),
    ],
)
def test_a_parquet_column_of_another_type_than_the_model_was_fitted_on(trained, capsys, column, value, message):
    folder, model, _ = trained
    rows = pd.read_csv(folder / "data.csv")
    rows[column] = value
    rows.to_parquet(folder / "new.parquet")
    assert main(["predict", str(model), "new.parquet", "-o", "out.csv"]) == 2
    assert f"ERROR predict: new.parquet has columns of the wrong type: {message}" in capsys.readouterr().err
    assert not (folder / "out.csv").exists()


@pytest.mark.parametrize("trained", ["classification"], indirect=True)
def test_parquet_columns_that_the_model_does_not_use_are_not_looked_at(trained, capsys):
    folder, model, _ = trained
    rows = pd.read_csv(folder / "data.csv")
    rows["text"] = None  # of no type: gaps
    rows["when"] = pd.Timestamp("2024-01-31")
    rows.to_parquet(folder / "new.parquet")
    rows.to_csv(folder / "new.csv", index=False)
    for name in ("new.parquet", "new.csv"):
        assert main(["predict", str(model), name, "-o", f"{name}.out"]) == 0
    assert (folder / "new.parquet.out").read_text() == (folder / "new.csv.out").read_text()
    rows[["when"]].to_parquet(folder / "new.parquet")
    assert main(["predict", str(model), "new.parquet"]) == 2
    assert "new.parquet lacks columns that the model uses: " in capsys.readouterr().err
    rows.assign(number=float("inf")).to_parquet(folder / "new.parquet")
    assert main(["predict", str(model), "new.parquet"]) == 2
    assert "ERROR predict: new.parquet: column 'number' has infinite numbers" in capsys.readouterr().err


@pytest.mark.usefixtures("trained")
def test_what_is_no_model(capsys):
    assert main(["predict", "data.csv", "data.csv"]) == 3
    assert (
        "data.csv is recorded nowhere: dvc.lock does not list it, and no sidecar data.csv.json"
        in capsys.readouterr().err
    )
    assert main(["predict", "none.joblib", "data.csv"]) == 2
    assert "none.joblib is neither a model file nor the name of a problem." in capsys.readouterr().err
    assert main(["predict", "p.joblib", "data.csv"]) == 3  # a preprocessor
    assert "is not a model of Lockstep's" in capsys.readouterr().err


@pytest.mark.parametrize("trained", ["classification"], indirect=True)
def test_a_problems_name_stands_for_its_model(trained, capsys):
    _, model, _ = trained
    load = {"path": "data.csv", "task": "classification", "target": "y"}
    train = {"model": "random_forest", "kind": "classifier", "version": 1}
    Path("params.yaml").write_text(yaml.safe_dump({"problems": {"p": {"load": load, "train": train}}}))
    assert main(["predict", str(model), "data.csv"]) == main(["predict", "p", "data.csv"]) == 0
    of_path, of_name = capsys.readouterr().out.split("row,")[1:]
    assert of_name == of_path
    assert main(["export", "p", "--format", "skops"]) == 0
    assert str(model.relative_to(Path.cwd()).with_suffix(".skops")) in capsys.readouterr().out
    assert main(["predict", "P", "data.csv"]) == 2
    said = "P is neither a model file nor the name of a problem. params.yaml has: p. Did you mean 'p'?\n"
    assert capsys.readouterr().err == f"ERROR predict: {said}"
    model.unlink()
    for given in "p", str(model.relative_to(Path.cwd())):
        assert main(["predict", given, "data.csv"]) == 2
        said = f"{model.relative_to(Path.cwd())} does not exist: it is not built yet. Run 'dvc repro train@p', which"
        assert said in capsys.readouterr().err


def test_output_reads_back(trained, capsys):
    _, model, _ = trained
    assert main(["predict", str(model), "data.csv"]) == 0
    assert len(pd.read_csv(io.StringIO(capsys.readouterr().out))) == 300


@pytest.mark.parametrize("trained", ["classification"], indirect=True)
def test_outputs_and_rows_that_will_not_do(trained, capsys):
    folder, model, _ = trained
    before = (folder / "data.csv").read_bytes(), model.read_bytes()
    for arguments, code, message in (
        (["data.csv", "-o", "./data.csv"], 2, "-o data.csv would replace the rows."),
        (["data.csv", "-o", str(model)], 2, "would replace the model."),
        (["data.csv", "-o", "models"], 2, "models is a directory."),
        (["data.csv", "-o", "data.csv/out.csv"], 4, "data.csv: File exists. Correct that, then run it again."),
        (["none.csv"], 2, "none.csv does not exist. Give a CSV file (also .gz"),
        (["models"], 2, "models is not a file."),
    ):
        assert main(["predict", str(model), *arguments]) == code
        assert message in capsys.readouterr().err
    assert ((folder / "data.csv").read_bytes(), model.read_bytes()) == before


@pytest.mark.parametrize("trained", ["classification"], indirect=True)
def test_a_pipe_or_device_is_written_to_and_not_replaced(trained):
    folder, model, _ = trained
    os.mkfifo(folder / "pipe")
    reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert main(["predict", str(model), "data.csv", "-o", "pipe"]) == 0
        assert os.read(reader, 4) == b"row,"
    finally:
        os.close(reader)
    assert (folder / "pipe").is_fifo()


@pytest.mark.exhaustive
@pytest.mark.parametrize("trained", ["classification"], indirect=True)
def test_a_stdout_that_takes_no_more(trained):
    folder, model, _ = trained
    (folder / "many.csv").write_text("number,text,flag\n" + "1,low,True\n" * 5000)
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    for shell in ("| head -n 1", "> /dev/full"):
        command = f"set -o pipefail; {sys.executable} -m lockstep predict {model} many.csv {shell}"
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (4, False), done.stderr


def test_each_prediction_has_its_interval_or_set(trained):
    folder, model, expected = trained
    assert main(["predict", str(model), "data.csv", "-o", "out.csv"]) == 0
    mine = pd.read_csv(folder / "out.csv").set_index("row").loc[expected["row"]]
    for name in {"low", "high", "set"} & set(expected):
        assert mine[name].tolist() == expected[name].tolist()
    if "set" in expected:
        assert all(said in json.loads(names) for said, names in zip(mine["predicted"], mine["set"], strict=True))
    else:
        assert (mine["low"] < mine["predicted"]).all()


def test_reasons_need_the_training_rows_and_name_columns(trained, capsys):
    folder, model, _ = trained
    assert main(["predict", str(model), "data.csv", "--explain"]) == 2
    assert "data/split/p/train.parquet is not here. Run 'dvc checkout" in capsys.readouterr().err
    (folder / "data/split/p").mkdir(parents=True)
    shutil.copyfile("train.parquet", "data/split/p/train.parquet")
    assert main(["predict", str(model), "data.csv", "-o", "out.csv", "--explain"]) == 0
    found = pd.read_csv(folder / "out.csv")
    assert set(found["reason_1"]) <= {"number", "text", "flag"}
    assert (found["contribution_1"].abs() >= found["contribution_2"].abs()).all()
    shutil.copyfile("test.parquet", "data/split/p/train.parquet")
    assert main(["predict", str(model), "data.csv", "--explain"]) == 2
    assert "holds other rows than" in capsys.readouterr().err


def test_rows_of_a_workbook_and_of_json_lines_are_predicted_as_those_of_a_csv_file(trained, capsys):
    folder, model, _ = trained
    rows = pd.read_csv("data.csv").head(20)
    rows.to_csv("rows.csv", index=False)
    rows.to_json("rows.jsonl", orient="records", lines=True, double_precision=15)
    (folder / "bad.jsonl").write_text(rows.to_json(orient="records", lines=True).replace("{", '{"x":{},', 1))
    files = ["rows.jsonl"]
    if importlib.util.find_spec("openpyxl"):
        with pd.ExcelWriter("rows.xlsx") as book:
            rows.to_excel(book, sheet_name="May", index=False)
            rows.head(3).to_excel(book, sheet_name="June", index=False)
        files.append("rows.xlsx --sheet May")
    assert main(["predict", str(model), "rows.csv", "-o", "expected.csv"]) == 0
    expected = predict_rows(model, "rows.csv")
    for file in files:
        assert main(["predict", str(model), *file.split(), "-o", "found.csv"]) == 0
        assert (folder / "found.csv").read_text() == (folder / "expected.csv").read_text()
        if "--sheet" not in file:
            pd.testing.assert_frame_equal(predict_rows(model, file), expected, check_exact=True)
    capsys.readouterr()
    assert main(["predict", str(model), "bad.jsonl"])
    assert "bad.jsonl line 1: the key 'x' holds another object" in capsys.readouterr().err
    assert main(["predict", str(model), "rows.csv", "--text", "x"])
    assert "--text is of workbooks and JSON lines" in capsys.readouterr().err


def test_from_python_it_is_what_the_command_writes(trained):
    folder, model, _ = trained
    assert main(["predict", str(model), "data.csv", "-o", "out.csv"]) == 0
    expected = pd.read_csv(folder / "out.csv")
    for rows in ("data.csv", pd.read_csv("data.csv")):
        found = predict_rows(model, rows)
        assert list(found) == list(expected)
        assert all(found[name].tolist() == expected[name].tolist() for name in found)
    with pytest.raises(DataError, match="the DataFrame has no rows"):
        predict_rows(model, pd.read_csv("data.csv").iloc[:0])
    with pytest.raises(DataError, match="explain=True compares with the training rows, but"):
        predict_rows(model, "data.csv", explain=True)
    for rows, said in (
        ([1, 2], "is of type 'list'. Make a DataFrame of it, a row for each one to predict: pandas.DataFrame(rows"),
        (pd.read_csv("data.csv").iloc[0], "is of type 'Series'. Make a DataFrame of it, a row for each one to predict"),
        ("none.csv", "none.csv does not exist. Give a CSV file"),
    ):
        with pytest.raises(DataError, match=re.escape(said)):
            predict_rows(model, rows)
    one = pd.read_csv("data.csv").iloc[0].to_frame().T
    assert predict_rows(model, one)["predicted"].tolist() == predict_rows(model, "data.csv")["predicted"][:1].tolist()


def test_new_rows_may_do_without_the_title_and_the_total_of_the_table(trained, caplog):
    """And no row is taken for a total, which would be lost without a word."""
    _, model, _ = trained
    scorer = make_scorer(model)._replace(dialect=Dialect(skip_lines=2, skip_footer_lines=1))
    rows, width = Path("data.csv").read_text(), len(pd.read_csv("data.csv").columns)
    rows = "".join(f"{line}{',' if number else ',empty'}\n" for number, line in enumerate(rows.splitlines()))
    totals = {"": "", "word": f"Total{',' * width}\n", "note": "(300 rows)\n"}
    for title in ("", "A title\n\n"):
        for name, total in totals.items():
            caplog.clear()
            Path("new.csv").write_text(f"{title}{rows}{total}")
            assert sum(len(block.frame) for block in blocks_of(scorer, Path("new.csv"), "new.csv")) == 300
            assert ("the last line left out, as in the problem's table" in caplog.text) == bool(name)


def test_new_rows_written_in_another_way_are_to_be_changed_and_not_the_setting(trained):
    _, model, _ = trained
    scorer = make_scorer(model)
    written = {"delimiter: ','": b"text;number\nb;1\n", "encoding: 'utf-8'": b"text,number\n\xe9,1\n"}
    for setting, content in written.items():
        Path("new.csv").write_bytes(content)
        said = f"New rows are read as the problem's table is (load.{setting}): write them so."
        with pytest.raises(DataError, match=re.escape(said)) as error:
            list(blocks_of(scorer, Path("new.csv"), "new.csv"))
        assert "Set load" not in str(error.value)


def test_a_column_that_is_nearly_named_so_is_asked_about(trained, capsys):
    _, model, _ = trained
    frame = pd.read_csv("data.csv")
    frame.rename(columns={"number": "Number"}).to_csv("new.csv", index=False)
    assert main(["predict", str(model), "new.csv"]) == 2
    assert "number (is it Number?)" in capsys.readouterr().err
