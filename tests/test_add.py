"""python -m lockstep add, in a copy of the repository: what it writes and leaves alone, and that repro then works."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from repository import Repository

from lockstep.__main__ import main


def table(rows=150):
    random = np.random.default_rng(0)
    size = random.normal(10, 3, rows).round(2)
    colour = random.choice(["rot", "grün", "blau"], rows)
    churned = np.where(size + 2 * (colour == "rot") + random.normal(size=rows) > 10.5, "ja", "nein")
    return pd.DataFrame(
        {
            "row": np.arange(1, rows + 1),
            "size": size,
            "colour": colour,
            "visits": random.integers(0, 9, rows),
            "churned": churned,
        }
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return Repository(tmp_path_factory.mktemp("add") / "copy")


@pytest.fixture
def copy(built):
    """The repository as it was committed; whatever a test leaves is removed."""
    yield built
    built.run("git", "reset", "-q", "--hard")
    built.run("git", "clean", "-qfd")
    for path in (built.folder / "data/raw").iterdir():
        if path.name.split(".")[0] not in ("iris", "housing") and path.name != ".gitignore":
            path.unlink()


@pytest.fixture
def customers(tmp_path):
    path = tmp_path / "customers.csv"
    table().to_csv(path, index=False)
    return path


def add(copy, *arguments, check=True):
    return copy.run("python", "-m", "lockstep", "add", *map(str, arguments), check=check)


def status(copy):
    return copy.run("git", "status", "--porcelain", "--untracked-files=all").stdout.splitlines()


def files(copy):
    """Every file outside git's and DVC's own folders, ignored ones included."""
    return {
        path.relative_to(copy.folder)
        for path in copy.folder.rglob("*")
        if path.is_file() and not {".git", ".dvc", "__pycache__"} & set(path.relative_to(copy.folder).parts)
    }


def problems(copy):
    return yaml.safe_load((copy.folder / "params.yaml").read_text())["problems"]


def artifact(copy, name):
    """What DVC makes of an entry of ``artifacts:``."""
    code = "import json, sys; from dvc.repo import Repo; a = Repo().artifacts.read()['dvc.yaml'][sys.argv[1]]; "
    code += "print(json.dumps({'path': a.path, 'type': a.type, 'desc': a.desc}))"
    return json.loads(copy.run("python", "-c", code, name).stdout)


def added_lines(before, after):
    """The lines that ``after`` has more than ``before``, whose lines all stand in it in their order."""
    old, more = iter(before.splitlines()), []
    line = next(old, None)
    for new in after.splitlines():
        if new == line:
            line = next(old, None)
        else:
            more.append(new)
    assert line is None, f"changed or lost: {line}"
    return more


def test_dry_run_shows_all_and_changes_nothing(copy, customers):
    before = files(copy)
    shown = add(copy, customers, "--dry-run").stdout
    assert status(copy) == []
    assert files(copy) == before
    for part in (
        f"{customers}: 150 rows, 5 columns; delimiter ','",
        "row: number, 150 distinct, numbers the rows: dropped",
        "churned: text, 2 distinct, the target",
        "Duplicate rows: 0",
        "Target: 'churned', since its name (--target COLUMN)",
        "Task: classification, since a text column (--task classification|regression)",
        "Dropped: row (--drop COLUMN ...)",
        "Would write data/raw/customers.csv, data/raw/customers.csv.dvc, data/contracts/customers.yaml",
        "Nothing was changed.",
    ):
        assert part in shown


@pytest.mark.slow
def test_add_then_repro_then_undo(copy, customers):
    before = {name: (copy.folder / name).read_text() for name in ("params.yaml", "dvc.yaml")}
    shown = add(copy, customers).stdout
    assert {line[3:] for line in status(copy)} == {
        "data/contracts/customers.yaml",
        "data/raw/.gitignore",
        "data/raw/customers.csv.dvc",
        "dvc.yaml",
        "params.yaml",
    }
    more = added_lines(before["params.yaml"], (copy.folder / "params.yaml").read_text())
    assert "  customers:" in more
    assert all(line.startswith("  ") or not line for line in more)
    more = added_lines(before["dvc.yaml"], (copy.folder / "dvc.yaml").read_text())
    keys = [line.split(":")[0] for line in more if line.strip()]
    assert keys == ["  customers", "    path", "    type", "    desc"]
    assert artifact(copy, "customers") == {
        "path": "models/customers/random_forest_classifier_v1.joblib",
        "type": "model",
        "desc": "churned of customers.csv",
    }
    assert problems(copy)["customers"]["load"] == {
        "path": "data/raw/customers.csv",
        "task": "classification",
        "target": "churned",
        "drop": ["row"],
    }
    assert (copy.folder / "data/raw/customers.csv").read_bytes() == customers.read_bytes()
    fields = yaml.safe_load((copy.folder / "data/contracts/customers.yaml").read_text())["fields"]
    assert [field["name"] for field in fields] == ["size", "colour", "visits", "churned"]
    (command,) = [line for line in shown.splitlines() if line.startswith("Next:")]
    assert command == "Next:  dvc repro report@customers && python -m lockstep summary"
    ran = copy.repro("report@customers")
    stages = ("load", "split", "preprocess", "tune", "cross_validate", "train", "evaluate", "report")
    assert {f"{name}@customers" for name in stages} <= set(ran)
    assert all(name.endswith("@customers") for name in ran)
    assert json.loads((copy.folder / "metrics/customers.json").read_text())["accuracy"] > 0.6
    assert "customers" in copy.run("python", "-m", "lockstep", "summary").stdout
    second = add(copy, customers, check=False)
    assert second.returncode == 2
    assert "params.yaml has a problem 'customers' already. Give another name: --name customers2." in second.stderr


def test_the_undo_line_undoes(copy, customers):
    before = files(copy)
    shown = add(copy, customers).stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("Undo:")]
    copy.run("sh", "-c", line.removeprefix("Undo:"))
    assert files(copy) == before
    assert status(copy) == []


def test_flags(copy, tmp_path):
    frame = table().assign(house=np.repeat(np.arange(50), 3), day=np.arange(150))
    frame.to_csv(tmp_path / "t.csv", index=False)
    add(
        copy,
        tmp_path / "t.csv",
        "--name",
        "sizes",
        "--target",
        "size",
        "--task",
        "regression",
        "--drop",
        "row",
        "visits",
        "--group",
        "house",
        "--model",
        "ridge",
    )
    found = problems(copy)["sizes"]
    assert found["load"] == {
        "path": "data/raw/sizes.csv",
        "task": "regression",
        "target": "size",
        "drop": ["row", "visits"],
    }
    assert found["split"]["group"] == "house"
    assert (found["train"]["model"], found["train"]["kind"]) == ("ridge", "regressor")
    assert artifact(copy, "sizes")["path"] == "models/sizes/ridge_regressor_v1.joblib"


def test_nothing_is_dropped_on_request(copy, customers):
    add(copy, customers, "--drop")
    assert problems(copy)["customers"]["load"]["drop"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "nothing"], "has no column 'nothing'. It has: row, size, colour, visits, churned."),
        (["--drop", "nothing"], "--drop: "),
        (["--name", "a b"], '"a b" is not a problem name.'),
        (["--name", "iris"], "params.yaml has a problem 'iris' already."),
        (["--delimiter", ";"], "there is nothing to predict from"),
    ],
)
def test_mistakes_change_nothing(copy, customers, arguments, message):
    before = files(copy)
    done = add(copy, customers, *arguments, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR add: ")
    assert message in done.stderr
    assert status(copy) == []
    assert files(copy) == before


@pytest.mark.parametrize("arguments", [["--group", "nothing"], ["--time", "nothing"], ["--model", "nothing"]])
def test_other_flags_are_checked(copy, customers, arguments):
    done = add(copy, customers, *arguments, "--dry-run", check=False)
    assert done.returncode == 2
    assert "nothing" in done.stderr


def test_a_file_that_is_not_there(copy, tmp_path):
    done = add(copy, tmp_path / "none.csv", check=False)
    assert done.returncode == 2
    assert "none.csv does not exist." in done.stderr


def test_when_dvc_add_fails_nothing_is_left(copy, customers, monkeypatch):
    before = files(copy)
    config = copy.folder / ".dvc/config.local"
    kept = config.read_text()
    config.write_text(kept + "[cache]\n    dir = /proc/none\n")  # a cache that cannot be written
    try:
        done = add(copy, customers, check=False)
    finally:
        config.write_text(kept)
    assert done.returncode == 4
    assert done.stderr.startswith("ERROR add: 'dvc add data/raw/customers.csv' failed: ")
    assert files(copy) == before
    assert status(copy) == []


def test_a_file_that_a_german_spreadsheet_wrote(copy, tmp_path):
    frame = table().rename(columns={"size": "Größe"})
    frame.to_csv(tmp_path / "kunden.csv", index=False, sep=";", decimal=",", encoding="cp1252", lineterminator="\r\n")
    shown = add(copy, tmp_path / "kunden.csv").stdout
    assert "delimiter ';', encoding cp1252, decimal mark ','; encoding cp1252, the only one" in shown
    load = problems(copy)["kunden"]["load"]
    assert (load["delimiter"], load["encoding"], load["decimal"]) == (";", "cp1252", ",")
    assert copy.repro("load@kunden") == ["load@kunden"]
    found = pd.read_parquet(copy.folder / "data/loaded/kunden.parquet")
    np.testing.assert_allclose(found["Größe"], frame["Größe"])
    assert sorted(found["colour"].unique()) == ["blau", "grün", "rot"]


@pytest.mark.parametrize("kind", ["csv.gz", "parquet"])
def test_packed_files_and_parquet(copy, tmp_path, kind):
    path = tmp_path / f"customers.{kind}"
    if kind == "parquet":
        table().to_parquet(path)
    else:
        path.write_bytes(gzip.compress(table().to_csv(index=False).encode(), mtime=0))
    add(copy, path)
    assert problems(copy)["customers"]["load"]["path"] == f"data/raw/customers.{kind}"
    assert copy.repro("load@customers") == ["load@customers"]
    found = pd.read_parquet(copy.folder / "data/loaded/customers.parquet")
    pd.testing.assert_frame_equal(found.reset_index(drop=True), table().drop(columns="row"), check_dtype=False)


def test_a_file_that_is_below_data_raw_already(copy):
    path = copy.folder / "data/raw/mine.csv"
    table().to_csv(path, index=False)
    content = path.read_bytes()
    shown = add(copy, "data/raw/mine.csv", "--name", "churn").stdout
    assert problems(copy)["churn"]["load"]["path"] == "data/raw/mine.csv"
    assert (copy.folder / "data/raw/mine.csv.dvc").exists()
    assert path.read_bytes() == content
    (undo,) = [line for line in shown.splitlines() if line.startswith("Undo:")]
    assert not undo.endswith(" data/raw/mine.csv")  # it is the user's own
    copy.run("git", "checkout", "params.yaml", "dvc.yaml")
    done = add(copy, "data/raw/mine.csv", "--name", "churn", "--target", "none", check=False)
    assert done.returncode == 2
    assert path.read_bytes() == content


def test_a_file_in_the_way_is_not_overwritten(copy, customers):
    there = copy.folder / "data/raw/customers.csv"
    there.write_text("mine\n")
    done = add(copy, customers, check=False)
    assert done.returncode == 2
    assert "data/raw/customers.csv exists already. Give another name: --name customers2." in done.stderr
    assert there.read_text() == "mine\n"


@pytest.mark.parametrize("where", ["data/contracts/customers.yaml"])
def test_a_contract_in_the_way_is_not_overwritten(copy, customers, where):
    there = copy.folder / where
    there.write_text("# mine\n")
    add(copy, customers, check=False)
    assert there.read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (
            lambda frame: frame.assign(churned=frame["churned"].where(frame.index != 3)),
            (),
            "has no value in the target",
        ),
        (lambda frame: frame.head(99), (), "has 99 rows; at least 100 are needed"),
        (lambda frame: frame.assign(churned="ja"), (), "has only one class, 'ja'"),
        (lambda frame: frame, ("--encoding", "nonsense"), "'nonsense' is no encoding that Python knows"),
        (lambda frame: frame, ("--delimiter", ";;"), "';;' is not one ASCII character"),
    ],
)
def test_what_load_would_refuse_is_not_added(copy, tmp_path, monkeypatch, capsys, change, arguments, message):
    path = tmp_path / "customers.csv"
    change(table()).to_csv(path, index=False)
    monkeypatch.chdir(copy.folder)
    try:
        code = main(["add", str(path), *arguments])
    except SystemExit as error:
        code = error.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert status(copy) == []
