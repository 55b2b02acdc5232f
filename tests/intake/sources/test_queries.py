"""The rows of a query, of a real SQLite and a real PostgreSQL; passwords are shown nowhere, and nothing is changed."""

import os
import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal

from lockstep.intake.sources.queries import run_query
from lockstep.intake.sources.values import snapshot_table
from lockstep.kernel.errors import DataError, LockstepError, MachineError, SettingsError

import pytest
from servers import postgresql

SECRET = "hush"
LOGIN = f"x:{SECRET}"


@pytest.fixture
def shop(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE sales (code TEXT, price REAL, n INTEGER, at TEXT)")
        connection.execute("INSERT INTO sales VALUES ('007', 1.5, 3, '2024-01-31'), (NULL, NULL, NULL, NULL)")
    connection.close()
    return f"sqlite:///{tmp_path / 'shop.db'}"


def test_rows_as_they_are(shop):
    columns, origin, shown = run_query(shop, "SELECT *, '100%' AS share, ':x' FROM sales")
    assert columns == {
        "code": ["007", None], "price": [1.5, None], "n": [3, None], "at": ["2024-01-31", None],
        "share": ["100%"] * 2, "':x'": [":x"] * 2,
    }  # fmt: skip
    assert (shown, origin.name, origin.place(1, 0)) == (shop, shop, "row 2")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT colour FROM sales", "refuses the query: no such column: colour"),
        ("SELEC", "refuses the query: "),
        ("DROP TABLE sales", "refuses the query: attempt to write a readonly database"),
        ("DELETE FROM sales RETURNING code", "attempt to write a readonly database"),
        ("SELECT 1; SELECT 2", "refuses the query: You can only execute one statement"),
        ("SELECT n, n FROM sales", "two columns named 'n'"),
        ("SELECT n FROM sales WHERE n > 5", "returns no row"),
        ("-- nothing", "returns no table"),
    ],
)
def test_what_is_refused_changes_nothing(shop, query, message):
    with pytest.raises(DataError, match=message):
        run_query(shop, query)
    assert len(run_query(shop, "SELECT * FROM sales")[0]["n"]) == 2


@pytest.mark.parametrize(
    ("url", "kind", "message"),
    [
        ("shop.db", SettingsError, "is no URL of a database"),
        (f"shop://{LOGIN}@host/y", SettingsError, "Can't load plugin"),
        ("sqlite:///none.db", SettingsError, r"there is no file none\.db"),
        ("sqlite://", SettingsError, "there is no file"),
        (
            f"mysql+pymysql://{LOGIN}@host/y?ssl_key={SECRET}",
            MachineError,
            r"^mysql\+pymysql://x@host/y: the",
        ),
    ],
)
def test_no_database_and_no_password_is_shown(url, kind, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LockstepError, match=message) as caught:
        run_query(url, "SELECT 1")
    assert isinstance(caught.value, kind)
    assert SECRET not in str(caught.value)
    assert not list(tmp_path.iterdir())  # SQLite would make a file


@pytest.fixture(scope="module")
def database():
    """The URL of a PostgreSQL with a table ``sales`` of two rows."""
    try:
        import psycopg
    except ImportError:
        message = "psycopg is not installed: make sources"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    with postgresql() as port:
        with psycopg.connect(
            f"host=127.0.0.1 port={port} user=reader dbname=postgres connect_timeout=30"
        ) as connection:
            connection.execute(
                "CREATE TABLE sales (code text, price numeric(6,2), n integer, day date, at timestamptz, paid boolean)"
            )
            connection.execute(
                "INSERT INTO sales VALUES ('007', 1.50, 3, '2024-01-31', '2024-01-31 07:30+00', true), "
                "(NULL, NULL, NULL, NULL, NULL, NULL)"
            )
        yield f"postgresql://reader:{SECRET}@127.0.0.1:{port}/postgres"


def test_postgresql_gives_rows_as_they_are_and_refuses_changes(database):
    columns, _, shown = run_query(database, "SELECT *, '100%' AS share FROM sales ORDER BY code")
    at = columns.pop("at")
    assert columns == {
        "code": ["007", None], "price": [Decimal("1.50"), None], "n": [3, None], "day": [date(2024, 1, 31), None],
        "paid": [True, None], "share": ["100%"] * 2,
    }  # fmt: skip
    assert at[0].astimezone(UTC) == datetime(2024, 1, 31, 7, 30, tzinfo=UTC)
    assert SECRET not in shown
    for query, message in {
        "DELETE FROM sales RETURNING code": "refuses the query: cannot execute DELETE in a read-only transaction",
        "SELECT colour FROM sales": 'refuses the query: column "colour" does not exist',
        "SELEC": "refuses the query: syntax error",
        "SELECT n FROM sales WHERE n > 5": "returns no row",
    }.items():
        with pytest.raises(DataError, match=message) as caught:
            run_query(database, query)
        assert SECRET not in str(caught.value)
    assert len(run_query(database, "SELECT * FROM sales")[0]["n"]) == 2


def test_postgresql_that_does_not_answer(database):
    with pytest.raises(MachineError, match=r"does not answer: .*no_such_database") as caught:
        run_query(database.replace("/postgres", "/no_such_database"), "SELECT 1")
    assert SECRET not in str(caught.value)


def test_a_table_of_postgresql_becomes_columns_of_a_file(database):
    columns, origin, _ = run_query(database, "SELECT code, price, n, day, paid FROM sales")
    table, _ = snapshot_table(columns, origin, missing=None, texts=())
    assert {name: str(column.type) for name, column in zip(table.column_names, table.columns, strict=True)} == {
        "code": "large_string", "price": "double", "n": "int64", "day": "date32[day]", "paid": "bool",
    }  # fmt: skip
