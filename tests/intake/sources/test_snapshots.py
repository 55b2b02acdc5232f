"""add of what is no table yet: one file, which says what it was made of, and is read as any."""

import os
import sqlite3

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
