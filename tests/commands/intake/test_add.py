"""python -m lockstep add, in a copy of the repository: what it writes and leaves alone, and that repro then works."""

import gzip
import json
import re
import subprocess
import sys
import zipfile

from lockstep.__main__ import main
from lockstep.intake.problems.settings_reference import with_defaults

import numpy as np
import pandas as pd
import pytest
import yaml
from small import widened
from workspace import Repository


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
    built.run("git", "clean", "-qfdx", "-e", ".dvc", "-e", "data/raw")
    for path in (built.folder / "data/raw").iterdir():
        if path.name.split(".")[0] not in ("iris", "housing") and path.name != ".gitignore":
            path.unlink()


@pytest.fixture
def customers(tmp_path):
    path = tmp_path / "customers.csv"
    table().to_csv(path, index=False)
    return path


def add(copy, *arguments, check=True):
    return copy.lockstep("add", *arguments, check=check)


@pytest.mark.exhaustive
def test_two_at_once_add_both(copy, customers):
    """The second waits for the first, and then reads what that has written."""
    command = [sys.executable, "-m", "lockstep", "add", str(customers), "--name"]
    quiet = {"cwd": copy.folder, "env": copy.environment, "stdout": subprocess.DEVNULL}
    with subprocess.Popen([*command, "first"], **quiet) as first, subprocess.Popen([*command, "second"], **quiet):
        pass
    assert first.returncode == 0
    for file, section in ("params.yaml", "problems"), ("dvc.yaml", "artifacts"):
        assert {"first", "second"} <= set(yaml.safe_load((copy.folder / file).read_text())[section])
    for name in "first", "second":
        assert (copy.folder / f"data/raw/{name}.csv.dvc").exists()
        assert f"/{name}.csv\n" in (copy.folder / "data/raw/.gitignore").read_text()


def files(copy):
    """Every file outside git's and DVC's own folders, ignored ones included."""
    return {
        path.relative_to(copy.folder)
        for path in copy.folder.rglob("*")
        if path.is_file() and not {".git", ".dvc", "__pycache__"} & set(path.relative_to(copy.folder).parts)
    }


def problems(copy):
    return yaml.safe_load((copy.folder / "params.yaml").read_text())["problems"]


def other_than_default(copy, name, section):
    default = with_defaults({})[section]
    return {key: value for key, value in problems(copy)[name][section].items() if value != default[key]}


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
    assert copy.status() == []
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


def test_add_changes_these_files_and_no_line_that_was_there(copy, customers):
    before = {name: (copy.folder / name).read_text() for name in ("params.yaml", "dvc.yaml")}
    shown = add(copy, customers).stdout
    assert {line[3:] for line in copy.status()} == {
        "data/contracts/customers.yaml",
        "data/raw/.gitignore",
        "data/raw/customers.csv.dvc",
        "dvc.yaml",
        "features/customers.py",
        "params.yaml",
    }
    more = added_lines(before["params.yaml"], (copy.folder / "params.yaml").read_text())
    assert "  customers:" in more
    assert all(line.startswith("  ") or not line for line in more)
    more = added_lines(before["dvc.yaml"], (copy.folder / "dvc.yaml").read_text())
    keys = [line.split(":")[0] for line in more if line.strip()]
    assert keys == ["  customers", "    path", "    type", "    desc"]
    assert artifact(copy, "customers") == {
        "path": "models/customers/voting_classifier_v1.joblib",
        "type": "model",
        "desc": "churned of customers.csv",
    }
    assert problems(copy)["customers"] == with_defaults(problems(copy)["customers"])  # so that -S can change each
    assert other_than_default(copy, "customers", "load") == {
        "path": "data/raw/customers.csv",
        "task": "classification",
        "target": "churned",
        "drop": ["row"],
    }
    assert (copy.folder / "data/raw/customers.csv").read_bytes() == customers.read_bytes()
    fields = yaml.safe_load((copy.folder / "data/contracts/customers.yaml").read_text())["fields"]
    assert [field["name"] for field in fields] == ["size", "colour", "visits", "churned"]
    (command,) = [line for line in shown.splitlines() if line.startswith("Next:")]
    assert command == "Next:  dvc repro report@customers && python -m lockstep summary customers"
    second = add(copy, customers, check=False)
    assert second.returncode == 2
    assert "params.yaml has a problem 'customers' already. Give another name: --name customers2." in second.stderr


@pytest.mark.slow
@pytest.mark.exhaustive
def test_what_add_says_comes_next_builds_the_problem_and_no_other(copy, customers):
    add(copy, customers)
    ran = copy.repro("report@customers")
    stages = ("load", "split", "preprocess", "tune", "cross_validate", "train", "evaluate", "diagnose", "report")
    assert {f"{name}@customers" for name in stages} <= set(ran)
    assert all(name.endswith("@customers") for name in ran)
    assert json.loads((copy.folder / "metrics/customers.json").read_text())["accuracy"] > 0.6
    assert "customers" in copy.lockstep("summary").stdout


def test_the_undo_line_undoes(copy, customers):
    before = files(copy)
    shown = add(copy, customers).stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("Undo:")]
    copy.run("sh", "-c", line.removeprefix("Undo:"))
    assert files(copy) == before
    assert copy.status() == []


def test_changes_of_the_users_own_are_not_undone(copy, customers):
    """They get a command that takes out what add wrote; the files are those that are git's, not an earlier add's."""
    params = copy.folder / "params.yaml"
    params.write_text(params.read_text() + "\n# mine\n")
    before, shown = files(copy), add(copy, customers).stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("Undo:")]
    assert line == "Undo:  python -m lockstep remove customers --yes"
    copy.lockstep("remove", "customers", "--yes")
    assert files(copy) == before
    assert params.read_text().endswith("\n# mine\n")


def test_the_undo_line_is_quoted_and_removes_only_what_add_made(copy):
    path = copy.folder / "data/raw/my file;touch ran.csv"
    table().to_csv(path, index=False)
    shown = add(copy, "data/raw/my file;touch ran.csv", "--name", "one").stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("Undo:")]
    assert line.endswith(" && rm 'data/raw/my file;touch ran.csv.dvc' data/contracts/one.yaml features/one.py")
    shown = add(copy, "data/raw/my file;touch ran.csv", "--name", "two").stdout
    (line,) = [line for line in shown.splitlines() if line.startswith("Undo:")]
    assert line.endswith(
        "delete problems.two in params.yaml, artifacts.two in dvc.yaml by hand "
        "('git checkout' would lose your other changes there), then: rm data/contracts/two.yaml features/two.py"
    )


def test_what_looks_like_numbers_dates_and_settings_is_added_so_that_it_can_be_read(copy, tmp_path):
    """Levels, a column's name and other settings that readers of YAML take for different things, and a file that DVC
    would take for the name of a setting."""
    params = copy.folder / "params.yaml"
    params.write_text(params.read_text().replace("test_size: 0.2 ", "test_size: 2e-1 ", 1))
    frame = table().rename(columns={"row": "2024-1-5"})
    frame["day"] = np.resize(["2024-1-5", "1e5", "0o17", "0x1F", "1_000"], len(frame))
    frame.to_csv(tmp_path / "${nope}.csv", index=False)
    add(copy, tmp_path / "${nope}.csv", "--target", "churned", "--name", "visits")
    copy.lockstep("check")
    assert artifact(copy, "visits")["desc"] == "churned of ${nope}.csv"
    assert problems(copy)["visits"]["load"]["drop"] == ["2024-1-5"]
    assert copy.repro("load@visits") == ["check@visits", "load@visits"]


def test_a_contract_that_cannot_be_read_back_is_not_left(copy, customers, monkeypatch, capsys):
    monkeypatch.chdir(copy.folder)
    before = files(copy)
    monkeypatch.setattr(
        "lockstep.intake.problems.adding.write_contract", lambda contract, path: path.write_text("fields: []\n")
    )
    assert main(["add", str(customers)]) == 4
    assert "data/contracts/customers.yaml was not written as it was meant." in capsys.readouterr().err
    assert files(copy) == before
    assert copy.status() == []


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("2024-sales.csv", "data_2024-sales"),
        ("index.csv", "data_index"),
        ("приклад.csv", "data"),
        ("_a b_.csv", "a_b"),
        (f"{'x' * 70}.csv", "x" * 64),
    ],
)
def test_the_name_that_is_made_of_a_files_name_is_allowed(copy, tmp_path, monkeypatch, capsys, file, name):
    table().to_csv(tmp_path / file, index=False)
    monkeypatch.chdir(copy.folder)
    assert main(["add", str(tmp_path / file), "--dry-run"]) == 0
    assert f"Would write data/raw/{name}.csv, " in capsys.readouterr().out


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
    assert other_than_default(copy, "sizes", "load") == {
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
        (["--name", "2024_sales"], "For instance: --name data_2024_sales"),
        (["--name", "Index"], "reports/index.html. Give another one. For instance: --name data_Index"),
        (["--name", "iris_tune"], "problems.iris_tune would write to files of 'iris'."),
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
    assert copy.status() == []
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
    assert copy.status() == []


def test_a_file_that_a_german_spreadsheet_wrote(copy, tmp_path):
    frame = table().rename(columns={"size": "Größe"})
    frame.to_csv(tmp_path / "kunden.csv", index=False, sep=";", decimal=",", encoding="cp1252", lineterminator="\r\n")
    shown = add(copy, tmp_path / "kunden.csv").stdout
    assert "delimiter ';', encoding cp1252, decimal mark ','\n" in shown
    assert "Encoding: 'cp1252', since the text is plausible in no other one (--encoding NAME)\n" in shown
    load = problems(copy)["kunden"]["load"]
    assert (load["delimiter"], load["encoding"], load["decimal"]) == (";", "cp1252", ",")
    assert copy.repro("load@kunden") == ["check@kunden", "load@kunden"]
    found = pd.read_parquet(copy.folder / "data/loaded/kunden.parquet")
    np.testing.assert_allclose(found["Größe"], frame["Größe"])
    assert sorted(found["colour"].unique()) == ["blau", "grün", "rot"]


def test_what_is_not_given_is_found(copy, tmp_path, monkeypatch, capsys):
    """An encoding that is given leaves the rest to add; one that is not is chosen, and others are shown."""
    frame = table().rename(columns={"size": "Größe"}).replace({"colour": {"blau": "Hélène"}})
    path = tmp_path / "kunden.csv"
    frame.to_csv(path, index=False, sep=";", decimal=",", encoding="cp1252")
    monkeypatch.chdir(copy.folder)
    assert main(["add", str(path), "--dry-run"]) == 0
    assert re.search(
        r"Encoding: 'cp1252', since it is the likeliest of [0-9]+ .* 'Hélčne' as cp1250.* \(--encoding NAME\)\n",
        capsys.readouterr().out,
    )
    for arguments in ((), ("--delimiter", ";"), ("--decimal", ",")):
        assert main(["add", str(path), "--encoding", "cp1252", *arguments, "--dry-run"]) == 0
        shown = capsys.readouterr().out
        assert "Größe: number" in shown
        assert "    delimiter: ;\n    encoding: cp1252\n    decimal: ','\n" in shown
    assert main(["add", str(path), "--encoding", "cp1252", "--decimal", ".", "--dry-run"]) == 0
    assert "decimal: " not in capsys.readouterr().out


@pytest.mark.parametrize("kind", widened(["csv.gz", "parquet"], ("parquet",)))
def test_packed_files_and_parquet(copy, tmp_path, kind):
    path = tmp_path / f"customers.{kind}"
    if kind == "parquet":
        table().to_parquet(path)
    else:
        path.write_bytes(gzip.compress(table().to_csv(index=False).encode(), mtime=0))
    add(copy, path)
    assert problems(copy)["customers"]["load"]["path"] == f"data/raw/customers.{kind}"
    assert copy.repro("load@customers") == ["check@customers", "load@customers"]
    found = pd.read_parquet(copy.folder / "data/loaded/customers.parquet")
    pd.testing.assert_frame_equal(found.reset_index(drop=True), table().drop(columns="row"), check_dtype=False)


def test_ordered_levels_of_a_parquet_file_are_so_in_the_contract(copy, tmp_path):
    sizes = pd.Categorical(np.resize(["small", "huge", "large"], 150), ["small", "large", "huge"], ordered=True)
    table().assign(size=sizes).to_parquet(tmp_path / "t.parquet")
    shown = add(copy, tmp_path / "t.parquet").stdout
    assert "  size: text, 3 distinct, in the order small < large < huge\n" in shown
    written = (copy.folder / "data/contracts/t.yaml").read_text()
    assert "categories: [small, large, huge]\n  categoriesOrdered: true\n" in written
    assert copy.repro("load@t") == ["check@t", "load@t"]
    levels = json.loads((copy.folder / "metrics/t_profile.json").read_text())["ordered_levels"]["size"]
    assert list(levels) == ["small", "large", "huge"]


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
            ("--missing-target", "error"),
            "has no value in the target",
        ),
        (
            lambda frame: frame.assign(churned=["selten", *frame["churned"][1:]]),
            (),
            "one row cannot be in two parts. Add rows of that class; or set --rare-classes to drop, which leaves the ",
        ),
        (
            lambda frame: frame.assign(churned=[f"k{i % 40}" for i in range(150)]),
            ("--task", "classification"),
            "leaves a part of 30 rows for the 40 classes of the target 'churned'",
        ),
        (
            lambda frame: frame.sort_values("churned").assign(day=np.arange(150)),
            ("--time", "day"),
            "training rows that a fold is fitted on are all of the class 'ja'",
        ),
        (lambda frame: frame.head(0), ("--target", "churned", "--task", "classification"), "has 0 rows; at least 100"),
        (lambda frame: frame.head(99), (), "has 99 rows; at least 100 are needed"),
        (lambda frame: frame.assign(churned="ja"), ("--target", "churned"), "has only one class, 'ja'"),
        (lambda frame: frame, ("--encoding", "nonsense"), "'nonsense' is no character set that Python knows"),
        (
            lambda frame: frame,
            ("--encoding", "punycode"),
            "'punycode' is no character set that Python knows. Allowed are",
        ),
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
    assert copy.status() == []


@pytest.fixture
def tried(copy, tmp_path, monkeypatch, capsys):
    """Adds a table, or text, with --dry-run: (exit code, stdout, stderr)."""

    def run(content, *arguments, name="t.csv"):
        path = tmp_path / name
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        else:
            path.write_text(content)
        monkeypatch.chdir(copy.folder)
        code = main(["add", str(path), *arguments, "--dry-run"])
        return code, *capsys.readouterr()

    return run


PRICES = [f"{1000 + 7.5 * i:,.2f}" for i in range(150)]


@pytest.mark.parametrize(
    ("price", "remedy"),
    [
        (
            [f"{i % 60},88" for i in range(150)],
            "its commas may be decimal marks, or part a list: other columns have decimal points: --numbers price reads",
        ),
        (["€5.50", *[f"€{i}.50" for i in range(148)], "$7.50"], "not all in one unit: € (149 cells), $ (1 cell)"),
        ([f"house {i}" for i in range(150)], "hardly classes. If another column is the target"),
    ],
)
def test_a_text_target_of_hundreds_of_values_is_no_classification(tried, price, remedy):
    frame = table().drop(columns="churned").assign(price=price)
    code, _, error = tried(frame, "--target", "price")
    assert code == 2
    assert remedy in error
    assert "hardly classes" not in tried(frame, "--task", "classification")[2]


def test_a_price_in_dollars_is_a_regression_and_read_as_the_contract_says(copy, tmp_path, monkeypatch, capsys):
    frame = table().drop(columns="churned")
    frame = frame.assign(price=[f"${price}" for price in PRICES], size=[*["-"] * 9, *[f"{i} kg" for i in range(141)]])
    frame.to_csv(tmp_path / "homes.csv", index=False)
    monkeypatch.chdir(copy.folder)
    assert main(["add", str(tmp_path / "homes.csv"), "--drop"]) == 0
    shown = capsys.readouterr().out
    assert "price: numbers written as $1,000.00, in $ (--text price)\n" in shown
    assert "size: numbers written as 10 kg, in kg, '-' is missing (9 cells) (--text size)\n" in shown
    assert problems(copy)["homes"]["load"]["task"] == "regression"
    fields = yaml.safe_load((copy.folder / "data/contracts/homes.yaml").read_text())["fields"]
    written = {field["name"]: field for field in fields}
    assert written["price"]["lockstep"] == {"prefix": "$"}
    assert (written["price"]["groupChar"], written["price"]["bareNumber"]) == (",", False)
    assert (written["size"]["lockstep"], written["size"]["missingValues"]) == ({"suffix": "kg"}, ["-"])
    assert copy.repro("load@homes") == ["check@homes", "load@homes"]
    found = pd.read_parquet(copy.folder / "data/loaded/homes.parquet")
    np.testing.assert_allclose(found["price"], [1000 + 7.5 * i for i in range(150)])
    assert found["size"].isna().sum() == 9
    profile = json.loads((copy.folder / "metrics/homes_profile.json").read_text())
    assert {entry["column"]: entry["unit"] for entry in profile["columns"] if entry["unit"]} == {
        "price": "$",
        "size": "kg",
    }
    assert profile["missing_words"] == {"size": {"-": 9}}


def test_flags_say_which_columns_are_numbers_and_which_are_texts(tried):
    frame = table().assign(price=[f"${price}" for price in PRICES], size=[*["1-5"] * 3, *map(str, range(147))])
    late = [*[f"{i / 10:.1f}" for i in range(149)], "1,234"]
    _, shown, _ = tried(frame.assign(late=late), "--text", "price", "--target", "churned")
    assert "late: numbers written as 0.0, ',' between thousands (--text late)" in shown
    assert "price: text" in shown
    assert "price: numbers" not in shown
    assert "WARNING 'size' is text for the model, though most of its cells seem to be numbers" in shown
    _, shown, error = tried(frame, "--numbers", "size", "--target", "churned")
    assert "size: numbers written as 10, other cells are missing (3: '1-5') (--text size)" in shown
    assert (
        "column 'size' has 3 cells that are no numbers, and are missing as the contract says: '1-5' (line 2)" in error
    )
    for flag in ("--numbers", "--text"):
        code, _, error = tried(frame, flag, "none")
        assert (code, f"{flag}: there is no column 'none'. There are:" in error) == (2, True)


def test_numbers_that_are_texts_for_the_model_are_said_once_with_the_flag(tried):
    code, shown, error = tried(
        table().assign(income=[f"{i + 1},{i:03}" for i in range(150)])[["income", "churned"]], "--drop"
    )
    assert code == 0
    assert (
        "WARNING 'income' is text for the model, though most of its cells seem to be numbers, such as '100,099': "
        "'100,099' may be 100099 or 100.099, and no other cell decides it. If they are numbers, add the table with "
        "--thousands , or --decimal ,; if not, add it with --text income\n"
    ) in shown
    assert "income" not in error


def test_a_stray_cell_is_said_once_and_what_to_undo_only_where_it_was_done(copy, tried, tmp_path):
    cells = [*["NA"] * 9, *["400 - 520"] * 2, *map(str, range(139))]
    code, shown, error = tried(table().assign(size=cells), "--target", "churned")
    assert code == 0
    assert "2 of its 141 cells are no such numbers, as '400 - 520'. If they are numbers, --numbers size reads" in shown
    assert "; if not, add it with --text size\n" in shown
    assert "size" not in error
    assert "undo" not in shown
    done = add(copy, tmp_path / "t.csv", "--target", "churned")
    assert done.stdout.endswith("\nTo follow a WARNING above, undo it first, and add the table anew.\n")


def test_a_column_of_numbers_and_texts_at_once_is_refused(tried):
    code, _, error = tried(table(), "--numbers", "size", "visits", "--text", "visits")
    assert code == 2
    assert error == "ERROR add: --numbers and --text both name 'visits'. Leave it out of one of them.\n"


def test_every_way_of_writing_has_a_flag(copy, tmp_path):
    random = np.random.default_rng(0)
    lines = [
        f"'x; {i % 3}';1 {i:03},5;{random.choice(['ja', 'nein'])};{['gut', '-', 'oh/;weh'][i % 3]}" for i in range(150)
    ]
    (tmp_path / "t.csv").write_text("\n".join(["Titel", "a;b;label;c", *lines, "Summe;1;2", ""]))
    flags = ["--skip-lines", "1", "--skip-footer-lines", "1", "--quote", "'", "--escape", "/", "--thousands", " "]
    add(copy, tmp_path / "t.csv", *flags, "--missing", "NA", "--missing-texts", "-", "--drop")
    load = other_than_default(copy, "t", "load")
    assert {key: load[key] for key in load if key not in ("path", "task", "target", "drop")} == {
        "delimiter": ";",
        "quote": "'",
        "escape": "/",
        "skip_lines": 1,
        "skip_footer_lines": 1,
        "decimal": ",",
        "thousands": " ",
        "missing": ["NA"],
        "missing_texts": ["-"],
    }
    assert copy.repro("load@t") == ["check@t", "load@t"]
    found = pd.read_parquet(copy.folder / "data/loaded/t.parquet")
    assert found["b"].tolist()[:2] == [1000.5, 1001.5]
    assert found["c"].isna().sum() == 50
    assert found["c"].iloc[2] == "oh;weh"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--quote", ";", "--delimiter", ";"], "--delimiter and --quote are the same, ';'. Give different characters."),
        (["--decimal", ".", "--thousands", "."], "--decimal and --thousands are the same, '.'."),
        (["--skip-lines", "900"], "has 151 lines, --skip-lines is 900. Lower it."),
        (["--escape", "a"], "--escape"),
        (["--task", "regression"], "--task regression: the target 'churned' is a text column, with values such as "),
    ],
)  # fmt: skip
def test_messages_name_flags(tried, arguments, message):
    code, _, error = tried(table().replace("blau", "bl\\au"), *arguments)
    assert code == 2
    assert message in error
    assert "load." not in error


ONE_RARE = ["selten", *table()["churned"][1:]]
ONCE = [f"k{i % 40}" for i in range(150)]


@pytest.mark.parametrize(
    ("columns", "arguments", "advice", "typed"),
    [
        ({"churned": ONE_RARE}, [], "set --rare-classes to drop", ["--rare-classes", "drop"]),
        ({"churned": ONE_RARE}, [], "or set --stratify to false", ["--stratify", "false"]),
        ({"churned": ONCE}, ["--task", "classification"], "Change it, set --stratify to", ["--test-size", "0.4"]),
        ({"churned": ONCE}, ["--task", "classification"], "set --stratify to false, or", ["--stratify", "false"]),
        ({}, ["--test-size", "0.97"], "4 training rows are too few for 5 folds. Lower --folds.", ["--folds", "2"]),
        ({"day": np.arange(150) // 40}, ["--time", "day"], "are too few for 5 folds. Lower --folds.", ["--folds", "2"]),
        (
            {"who": np.arange(150) // 40},
            ["--group", "who"],
            "are too few for 5 folds. Lower --folds.",
            ["--folds", "2"],
        ),
        ({"who": np.arange(150) % 2}, ["--group", "who"], "needed. Leave --group empty.", ["--group", ""]),
        ({"day": np.arange(150) // 149}, ["--time", "day"], "or leave --time empty.", ["--time", ""]),
        ({"day": "soon"}, ["--time", "day"], "or leave --time empty.", ["--time", ""]),
        ({"who": [None, *np.arange(149) // 5]}, ["--group", "who"], "or leave --group empty.", ["--group", ""]),
        ({"who": 1}, ["--group", "who", "--time", "visits"], "cannot both be set. Leave one", ["--group", ""]),
        ({"who": 1}, ["--time", "visits", "--stratify", "true"], "Set it to auto or false, or", ["--stratify", "auto"]),
        ({"churned": np.arange(150) / 7}, ["--stratify", "true"], "Set it to auto or false.", ["--stratify", "false"]),
        ({"size": [1e39, *range(149)]}, [], "these are codes, --text keeps them as they are", ["--text", "size"]),
        ({"size": [1e39, *range(149)]}, [], "or leave it out with --drop.", ["--drop", "size", "row"]),
        (
            {"size": ["a", *range(149)], "visits": ["b", *range(149)]},
            [],
            "If it is a row, --text reads these columns as texts.",
            ["--text", "size", "visits", "row"],
        ),
        (
            {"churned": np.sort(table()["churned"]), "day": np.arange(150)},
            ["--time", "day"],
            "Set --time or --group to another column or to none, or lower --folds.",
            ["--time", ""],
        ),
    ],
)
def test_what_a_refusal_advises_can_be_typed(tried, columns, arguments, advice, typed):
    """Nothing is written yet that could be edited instead."""
    code, _, error = tried(table().assign(**columns), *arguments)
    assert code == 2
    assert advice in error
    assert not re.search(r"(load|split|cross_validate)\.[a-z]|contract", error)
    code, _, error = tried(table().assign(**columns), *arguments, *typed)
    assert code == 0, error


def test_how_rows_are_cut_is_said_and_written(copy, tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    said = add(copy, tmp_path / "t.csv", "--test-size", "0.3", "--stratify", "false", "--folds", "3").stdout
    assert "\nTest size: 0.3, since --test-size\nStratify: False, since --stratify\nFolds: 3, since --folds\n" in said
    problem = yaml.safe_load((copy.folder / "params.yaml").read_text())["problems"]["t"]
    assert (problem["split"]["test_size"], problem["split"]["stratify"]) == (0.3, False)
    assert problem["cross_validate"]["folds"] == 3


def test_a_rare_class_is_warned_of_with_the_flag(tried):
    code, _, error = tried(table().assign(churned=["selten"] * 4 + list(table()["churned"][4:])))
    assert code == 0
    assert "class selten has 3 training rows, fewer than the 5 folds: not every fold has it. Lower --folds to" in error


@pytest.mark.parametrize("flag", ["--target", "--drop", "--group", "--time", "--text", "--numbers"])
def test_a_column_that_is_almost_there_is_proposed(tried, flag):
    code, _, error = tried(table().rename(columns={"visits": "Visits"}), flag, "visits")
    assert code == 2
    assert error.endswith(" Did you mean 'Visits'?\n")


def test_flags_stand_for_settings_and_not_for_what_only_looks_like_them(tried):
    frame = table()[["size", "visits", "churned"]].rename(columns={"size": "load.path", "visits": "load.drop"})
    code, _, error = tried(frame.to_csv(index=False) + "Sum,all,ja\n")
    assert code == 2
    assert "(load.path, load.drop): it seems to be a footer. Set --skip-footer-lines to skip it." in error


def test_a_total_below_the_rows_is_left_out_and_said_with_its_flag(copy, tmp_path):
    frame = table().drop(columns="row").assign(amount=lambda frame: 1000 + 7.5 * frame.index)
    rows = frame.assign(amount=[f"${amount:,.2f}" for amount in frame["amount"]]).to_csv(index=False)
    total = f"${frame['amount'].sum():,.2f}"
    (tmp_path / "t.csv").write_text(f'Sales of the year\n{rows}\nTotal,,,,"{total}"\n')
    shown = add(copy, tmp_path / "t.csv", "--target", "amount").stdout
    assert (
        "Skip footer lines: 2, since line 154 is a total: 'Total' stands in 'size', as in no other row, and "
        f"'{total}' in 'amount' is the sum of the numbers above it; 'update' asks for such a line below a new table "
        "(--skip-footer-lines N)\n"
    ) in shown
    assert problems(copy)["t"]["load"]["skip_footer_lines"] == 2
    assert copy.repro("load@t") == ["check@t", "load@t"]
    found = pd.read_parquet(copy.folder / "data/loaded/t.parquet")
    np.testing.assert_allclose(found["amount"], frame["amount"])


def test_what_the_reader_warns_of_is_said_once_with_its_flag(tried):
    words = np.where(np.arange(150) % 3, "rot", "NA")
    code, _, error = tried(table().assign(colour=words, other=words, size=2**53 + 1 + np.arange(150) % 9))
    assert code == 0
    said = ["'size' has whole", *[f"{name} is text, so that 'NA' (50 times)" for name in ("'colour'", "'other'")]]
    assert [
        line.split("column ")[1][: len(start)] for line, start in zip(error.splitlines(), said, strict=True)
    ] == said
    assert "are values, not missing; --missing-texts with these words makes them missing values\n" in error


@pytest.mark.parametrize("arguments", [["--skip-lines", "-1"], ["--skip-footer-lines", "1001"], ["--thousands", "_"]])
def test_flags_take_what_the_settings_take(tried, arguments):
    with pytest.raises(SystemExit, match="2"):
        tried(table(), *arguments)


def test_a_regression_of_booleans_is_one_message(tried):
    code, _, error = tried(table().assign(flag=[True, False, True] * 50), "--target", "flag", "--task", "regression")
    assert code == 2
    assert error.endswith(
        "the target 'flag' is a boolean column, with values such as 'True', and a regression needs numbers. Leave "
        "--task out, or name another --target.\n"
    )


def test_a_class_named_none(copy, tmp_path, tried):
    disorder = np.where(np.arange(150) % 2, "None", np.where(np.arange(150) % 4, "Insomnia", "Sleep Apnea"))
    frame = table().drop(columns="churned").assign(disorder=disorder)
    frame.to_csv(tmp_path / "sleep.csv", index=False)
    shown = add(copy, tmp_path / "sleep.csv", "--target", "disorder").stdout
    assert (
        "Missing: NA, N/A, n/a, NaN, nan, NULL, null, ?, since 'None' is a class of 'disorder', as frequent as one "
        in (shown)
    )
    missing = problems(copy)["sleep"]["load"]["missing"]
    assert "None" not in missing
    assert "NA" in missing
    assert copy.repro("load@sleep") == ["check@sleep", "load@sleep"]
    rare = frame.assign(disorder=[*["None"] * 9, *disorder[9:].tolist()]).replace({"disorder": {"None": "Insomnia"}})
    rare.loc[:4, "disorder"] = "None"
    code, _, error = tried(rare, "--target", "disorder")
    assert code == 2
    assert "If a word in them is a class, set --missing to the other words that mean a missing value." in error
    assert tried(rare, "--target", "disorder", "--missing", "NA", "?")[0] == 0
    code, _, error = tried(
        frame.assign(size=frame["size"].astype(str).where(frame.index > 3, "None")), "--target", "disorder"
    )
    assert code == 2  # where it is a missing value among numbers too
    assert "has no value in the target 'disorder'" in error


def test_a_word_for_a_missing_value_in_the_target_is_not_said_to_be_a_value(tried):
    """One line says that the rows have no target: no other one counts the word as a class, or a value."""
    frame = table().assign(churned=lambda frame: frame["churned"].where(frame.index % 30 > 0, "None"))
    code, shown, error = tried(frame, "--target", "churned")
    assert code == 2
    assert "has no value in the target 'churned' in 5 of 150 rows" in error
    assert "are values, not missing" not in error
    assert "None" not in shown
    code, shown, error = tried(frame, "--target", "churned", "--missing-target", "drop")
    assert (code, error) == (0, "")


def test_no_evident_target_is_a_question_and_nothing_is_added(copy, tmp_path):
    path = tmp_path / "t.csv"
    table().rename(columns={"churned": "region"}).to_csv(path, index=False)
    done = add(copy, path, check=False)
    assert (done.returncode, copy.status()) == (2, [])
    assert done.stderr == (
        f"ERROR add: {path} does not show which column is to be predicted. It could be 'region' (it is the last "
        "column; text of 2 levels), 'size' (145 distinct numbers), 'colour' (text of 3 levels), 'visits' (9 distinct "
        "whole numbers). Hardly 'row' (numbers the rows). Give it with --target, for instance: python -m lockstep add "
        f"{path} --target region\n"
    )
    assert add(copy, path, "--target", "region", "--dry-run").returncode == 0


def test_what_becomes_of_rows_without_a_target_or_of_a_rare_class_is_said_and_written(copy, tmp_path):
    frame = table(160)
    frame.loc[:3, "churned"] = None
    frame.loc[4:6, "churned"] = ["eins", "zwei", "drei"]
    frame.to_csv(tmp_path / "t.csv", index=False)
    shown = add(copy, tmp_path / "t.csv", "--rare-classes", "merge", "--class-rows", "3").stdout
    reason = "4 of 160 rows have no value in 'churned', and nothing to learn or test by"
    assert f"Missing target: drop, since {reason} (--missing-target error|drop)\n" in shown
    assert "Rare classes: merge, since --rare-classes\n" in shown
    load = problems(copy)["t"]["load"]
    assert (load["missing_target"], load["rare_classes"], load["class_rows"]) == ("drop", "merge", 3)
    assert copy.repro("load@t", "split@t") == ["check@t", "load@t", "split@t"]
    found = pd.read_parquet(copy.folder / "data/loaded/t.parquet")
    assert (len(found), (found["churned"] == "other").sum()) == (156, 3)


def test_rows_in_the_order_of_a_date_are_split_by_it(copy, tmp_path):
    days = pd.date_range("2024-01-01", periods=150).astype(str)
    table().assign(day=days).to_csv(tmp_path / "t.csv", index=False)
    shown = add(copy, tmp_path / "t.csv").stdout
    assert (
        "Time: day, since the rows are in its order, and later ones are to be told (--time COLUMN, or '' for none)\n"
        in shown
    )
    assert problems(copy)["t"]["split"]["time"] == "day"
    shown = add(copy, tmp_path / "t.csv", "--name", "u", "--time", "").stdout
    assert "Consider: the split is at random, though 'day' tells when" in shown
    assert problems(copy)["u"]["split"]["time"] is None


def test_spaces_are_said_and_shown(tried):
    text = "age, work, label\n" + "".join(f"{i % 50}, {'ab'[i % 2]},{'uv'[i % 3 == 0]}\n" for i in range(150))
    code, shown, _ = tried(text)
    assert code == 0
    assert "  ' work': text, 2 distinct\n" in shown
    assert "Target: ' label', since its name" in shown
    for where in ("the names of ' work', ' label'", "cells of ' work'"):
        assert f"WARNING spaces are around {where}, and are read as a part of them" in shown
    code, _, error = tried(text, "--target", "label")
    assert "has no column 'label'. It has: age, ' work', ' label'." in error


def test_a_name_that_dvc_would_take_for_a_setting(tried):
    for frame, flags in (
        (table().rename(columns={"churned": "${nope}"}), ["--target", "${nope}"]),
        (table().rename(columns={"row": "${row}"}), []),
    ):
        code, _, error = tried(frame, *flags)
        assert code == 2
        assert "has a column named with '${" in error
        assert "Rename the column in the file, without '${'." in error
    assert tried(table().rename(columns={"colour": "${colour}"}))[0] == 0  # params.yaml does not name it


def test_what_is_no_table(copy, tmp_path, monkeypatch, capsys):
    (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99))
    with zipfile.ZipFile(tmp_path / "new.ods", "w") as archive:
        archive.writestr("content.xml", "<document/>")
    table().to_parquet(tmp_path / "t.parquet")
    monkeypatch.chdir(copy.folder)
    for arguments, message in (
        (["old.xls"], "old.xls is a spreadsheet, or another document, of Microsoft Office, not CSV text. Open it and "),
        (["new.ods"], "new.ods is a spreadsheet, not CSV text."),
        (["none.csv"], "none.csv does not exist. Put the file there, "),
        (["."], " is a directory. Set FILE to a CSV file."),
        (["t.parquet", "--quote", ""], "--quote says how a CSV file is written, and "),
    ):
        assert main(["add", str(tmp_path / arguments[0]), *arguments[1:]]) == 2
        assert message in capsys.readouterr().err
    assert main(["add", "http://host/t.csv"]) == 2
    assert "is a URL, and nothing is read from the network." in capsys.readouterr().err


def test_a_column_is_said_to_be_dropped_only_if_it_is(tried):
    _, shown, _ = tried(table(), "--drop", "visits")
    assert "  row: number, 150 distinct, numbers the rows\n" in shown
    assert "  visits: number, 9 distinct: dropped\n" in shown


def test_duplicate_rows_are_those_of_the_columns_that_are_kept(tried):
    """As in the data profile: a row is not told from its copy by a number that is left out."""
    _, shown, _ = tried(pd.concat([table(), table().head(7).assign(row=range(151, 158))]))
    assert "row: number, 157 distinct, numbers the rows: dropped\n" in shown
    assert "Duplicate rows: 7, by the columns that are not dropped\n" in shown


def test_a_missing_header_is_not_added(tried):
    lines = table().drop(columns="row").to_csv(index=False, header=False)
    code, _, error = tried(lines)
    assert code == 2
    assert "the first line looks like a row, not like column names: " in error


@pytest.mark.parametrize(
    ("columns", "arguments", "message"),
    [
        (
            {"": range(150)},
            [],
            (
                "each column beside the target 'churned' is left out: 'column_1' (it has no name and numbers the "
                "rows, as a saved index does)"
            ),
        ),
        (
            {"note": [f"note {i} of many" for i in range(150)]},
            [],
            (
                "has no feature: each column beside the target 'churned' is left out: 'note' (nearly all values differ)"
                ". A text that differs in nearly every row tells a model nothing: put columns of what is in 'note' "
                "into the file, such as its length, or whether it has a certain word. Or, if it is a category, keep "
                "it: give --drop without a column.\n"
            ),
        ),
        (
            {"row": range(150)},
            [],
            "is left out: 'row' (numbers the rows). Add columns to the file. Or, if that is no reason, keep it: give ",
        ),
        (
            {"note": [f"note {i}" for i in range(150)], "size": table()["size"]},
            ["--drop", "note", "size"],
            "has no feature: --drop lists every column beside the target 'churned'. Take one off --drop.\n",
        ),
        (
            {"size": table()["size"]},
            ["--group", "size"],
            (
                "has no feature: beside the target 'churned' there is only what the rows are split or weighted by. Add "
                "columns to the file; or, to learn from 'size', leave out --group.\n"
            ),
        ),
        (
            {"day": [f"{1 + i % 12:02}/{1 + i // 13:02}/2024" for i in range(150)]},
            [],
            (
                "'day' (nearly all values differ, dates as text). If 'day' holds dates, say how they are written: "
                "--dates day=FORMAT, such as %d/%m/%Y. If it is a category, keep it: give --drop without a column.\n"
            ),
        ),
    ],
)
def test_a_table_without_a_feature_says_why(tried, columns, arguments, message):
    code, _, error = tried(pd.DataFrame(columns).assign(churned=table()["churned"]), *arguments)
    assert code == 2
    assert message in error
    assert tried(pd.DataFrame(columns).assign(churned=table()["churned"]), "--drop")[0] == 0
