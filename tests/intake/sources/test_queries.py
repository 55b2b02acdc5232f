"""The rows of a query, of a real SQLite; passwords are shown nowhere, and nothing is changed."""

import sqlite3

from lockstep.intake.sources.queries import run_query
from lockstep.kernel.errors import DataError, LockstepError, MachineError, SettingsError

import pytest

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
