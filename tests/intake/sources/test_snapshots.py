"""add of what is no table yet: one file, which says what it was made of, and is read as any."""

import argparse
import os
import re
import shlex
import sqlite3
import zipfile

from lockstep.commands.intake.add import _again
from lockstep.intake.sources.snapshots import Snapshot
from lockstep.kernel.lock_file import md5_of, read_pointer

import numpy as np
import pandas as pd
import pytest
import yaml
from workspace import Repository


def table(rows=150):
    random = np.random.default_rng(0)
    size = random.normal(10, 3, rows).round(2)
    frame = pd.DataFrame({"code": [f"{number % 40:05d}" for number in range(rows)], "size": size})
    frame["since"] = [f"2024-{number % 12 + 1:02d}-{number % 28 + 1:02d}" for number in range(rows)]
    return frame.assign(churned=np.where(size + random.normal(size=rows) > 10, "yes", "no"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Repository(tmp_path_factory.mktemp("sources") / "copy")


@pytest.fixture
def add(copy, tmp_path, monkeypatch):
    """(exit code, output, errors) of the command in the copy, where paths are those of files beside it."""

    def run(*arguments):
        done = copy.lockstep("add", *arguments, check=False)
        assert str(os.environ.get("TMPDIR", "/tmp")) + "/lockstep." not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def source(copy, name):
    return yaml.safe_load((copy.folder / f"data/raw/{name}.dvc").read_text())["meta"]["source"]


def test_json_lines_are_added_and_read_by_the_stage(copy, add, tmp_path):
    table().to_json(tmp_path / "clients.jsonl", orient="records", lines=True)
    code, shown, _ = add(tmp_path / "clients.jsonl", "--target", "churned")
    assert code == 0
    assert f"{tmp_path / 'clients.jsonl'}, as clients.parquet: 150 rows, 4 columns; a parquet file\n" in shown
    assert "  code: text, 40 distinct\n" in shown
    assert "  since: date, " in shown
    recorded = source(copy, "clients.parquet")
    assert recorded["file"] == "clients.jsonl"
    assert len(recorded["sha256"]) == 64
    assert recorded["snapshot_md5"] == md5_of(copy.folder / "data/raw/clients.parquet")
    assert read_pointer(copy.folder / "data/raw/clients.parquet.dvc", copy.folder).path == "data/raw/clients.parquet"
    assert copy.dvc("repro", "-q", "load@clients").returncode == 0
    copy.lockstep("rename", "clients", "customers")
    assert source(copy, "customers.parquet") == recorded


def test_files_by_a_pattern_with_a_column_of_theirs(copy, add, tmp_path):
    (tmp_path / "months").mkdir()
    for number in range(3):
        part = table().iloc[50 * number : 50 * number + 50]
        part.to_csv(tmp_path / f"months/{number}.csv", index=False, sep=";", encoding="utf-16")
    code, shown, _ = add(tmp_path / "months/*.csv", "--file-column", "month", "--encoding", "utf-16")
    assert code == 0
    assert f"3 files, {tmp_path}/months/0.csv to {tmp_path}/months/2.csv, as months.csv: 150 rows, 5 columns" in shown
    assert (copy.folder / "data/raw/months.csv").read_text().splitlines()[51].endswith(";1.csv")
    recorded = source(copy, "months.csv")
    assert [(file["file"], file["rows"]) for file in recorded["files"]] == [
        (f"{number}.csv", 50) for number in range(3)
    ]
    assert recorded["file_column"] == "month"


def test_a_query(copy, add, tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        table().to_sql("clients", connection, index=False)
    connection.close()
    (tmp_path / "bought.sql").write_text("SELECT *\nFROM clients\n")
    code, shown, _ = add("--sql", f"sqlite:///{tmp_path}/shop.db", "--query", tmp_path / "bought.sql")
    assert code == 0
    assert "ORDER BY makes it the same each time" in shown
    recorded = source(copy, "bought.parquet")
    assert (recorded["sql"], recorded["query"]) == (f"sqlite:///{tmp_path}/shop.db", ["SELECT *", "FROM clients"])
    assert recorded["read"].endswith("+00:00")


def test_a_workbook(copy, add, tmp_path):
    pytest.importorskip("openpyxl", reason="openpyxl is not installed: make sources")
    frame = table().assign(since=lambda rows: pd.to_datetime(rows["since"]))
    frame.to_excel(tmp_path / "book.xlsx", sheet_name="Clients", index=False, startrow=2)
    code, shown, _ = add(tmp_path / "book.xlsx", "--sheet", "Clients")
    assert code == 0
    assert f"{tmp_path / 'book.xlsx'}, sheet 'Clients', as book.parquet: 150 rows" in shown
    assert "  code: text, 40 distinct\n" in shown
    assert source(copy, "book.parquet")["sheet"] == "Clients"


def candidates(rows=150):
    """A table that does not show which of two columns is to be predicted."""
    return table(rows).drop(columns=["churned", "since"]).assign(income=np.arange(rows) / 7, city=["a", "b", "c"] * 50)


def again(error):
    """The command that a refusal gives, as a shell takes it."""
    (command,) = re.findall(r"for instance: python -m lockstep add (.*)$", error, re.MULTILINE)
    return shlex.split(command)


def test_the_command_in_a_refusal_can_be_run(add, tmp_path):
    folder = tmp_path / "the months"
    folder.mkdir()
    for number in range(2):
        candidates().to_csv(folder / f"{number}.csv", index=False, sep="~")
    candidates().to_json(tmp_path / "a b.jsonl", orient="records", lines=True)
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        candidates().to_sql("clients", connection, index=False)
    connection.close()
    (tmp_path / "all.sql").write_text("SELECT * FROM clients")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("inner.csv", candidates().to_csv(index=False))
    for arguments in (
        [f"{folder}/*.csv", "--delimiter", "~", "--file-column", "the part"],
        [f"{tmp_path}/a b.jsonl", "--text", "code"],
        ["--sql", f"sqlite:///{tmp_path}/shop.db", "--query", f"{tmp_path}/all.sql"],
        [f"{tmp_path}/z.zip"],
    ):
        code, _, error = add(*arguments, "--dry-run")
        assert code == 2
        typed = again(error)
        assert typed[: len(arguments)] == arguments
        assert typed[-2] == "--target"
        code, _, error = add(*typed)
        assert code == 0, error


def test_the_command_in_a_refusal_of_a_workbook_can_be_run(add, tmp_path):
    pytest.importorskip("openpyxl", reason="openpyxl is not installed: make sources")
    book = tmp_path / "visits.xlsx"
    candidates().to_excel(book, sheet_name="My clients", index=False)
    _, _, error = add(book, "--dry-run")
    assert again(error) == [str(book), "--dry-run", "--sheet", "My clients", "--target", "income"]
    assert add(*again(error))[0] == 0
    count = candidates().assign(claims=lambda frame: np.resize([0, 0, 0, 1, 1, 2], len(frame)))
    count.to_excel(book, sheet_name="Clients", index=False)
    _, _, error = add(book, "--sheet", "Clients", "--target", "claims", "--dry-run")
    typed = f"python -m lockstep add {book} --sheet Clients --dry-run --target claims --task"
    assert f"Give the one that it is: {typed} regression or {typed} classification.\n" in error


def test_a_password_is_not_repeated(tmp_path):
    """Neither are the options of a URL, in which it may be, too."""
    word = "abc" * 4
    args = argparse.Namespace(sql=f"postgresql://u:{word}@h/d?password={word}", sheet=None)
    made = Snapshot(tmp_path / "q.parquet", "", {"sql": "postgresql://u@h/d"}, [])
    _, typed = _again(made.path, made, args, ["--sql", args.sql, "--query", "q.sql", "--target=a", "--task", "b"])
    assert typed == "python -m lockstep add --sql postgresql://u@h/d --query q.sql"


def test_a_message_names_what_the_user_named(add, tmp_path):
    table().assign(size=lambda rows: [*rows["size"][:-1], 1e300]).to_json(
        tmp_path / "big.ndjson", orient="records", lines=True, double_precision=15
    )
    code, _, error = add(tmp_path / "big.ndjson", "--dry-run")
    assert code == 2
    assert f"{tmp_path / 'big.ndjson'} column 'size': 1e+300 in " in error
    (tmp_path / "mixed.jsonl").write_text('{"a": 1}\n{"a": "x"}\n')
    code, _, error = add(tmp_path / "mixed.jsonl")
    assert (code, "such as 'x' in line 2" in error) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no file is named"),
        (["a.csv", "--sheet", "A"], "--sheet is of an Excel workbook"),
        (["a.csv", "--file-column", "part"], "--file-column is for several files"),
        (["a.csv", "a.csv"], "a.csv is named twice"),
        (["a.csv", "b.jsonl"], "several files must be CSV, and b.jsonl is none"),
        (["a.csv", "b.parquet"], "several files must be CSV, and b.parquet is none"),
        (["none/*.csv"], "no file matches none/*.csv"),
        (["--sql", "sqlite:///a.db"], "--sql URL and --query FILE go together"),
        (["--query", "a.sql"], "--sql URL and --query FILE go together"),
        (["a.csv", "--sql", "sqlite:///a.db", "--query", "a.sql"], "give no FILE"),
        (["--sql", "sqlite:///a.db", "--query", "a.sql"], "a.sql does not exist"),
        (["a.jsonl", "--delimiter", ";"], "--delimiter says how a CSV file is written, and a.jsonl is none"),
    ],
)
def test_flags_that_do_not_go_together(add, copy, arguments, message):
    (copy.folder / "a.jsonl").write_text('{"a": 1}\n')
    code, _, error = add(*arguments)
    (copy.folder / "a.jsonl").unlink()
    assert code == 2
    assert message in error
