"""The rows that a query of a database returns."""

from pathlib import Path
from typing import Any

from lockstep.intake.sources.values import Origin
from lockstep.kernel.errors import DataError, MachineError, SettingsError


def run_query(url: str, query: str) -> tuple[dict[str, list[Any]], Origin, str]:
    """Run ``query``, which can change nothing: what it did is rolled back, and SQLite and PostgreSQL refuse changes.

    Args:
        url: of the database, in the form of SQLAlchemy: ``sqlite:///shop.db``.
        query: a SELECT in the database's own SQL.

    Returns:
        ({column: (n_rows,) values}, where they come from, the URL without password and options)

    Raises:
        DataError: the database refuses the query; it returns no rows, or two columns of one name.
        SettingsError: the URL is none, or of a kind of database that is not known; an SQLite file that is not there.
        MachineError: the library that talks to such a database is not installed, or no database answers.
    """
    import sqlalchemy
    from sqlalchemy import exc

    try:
        address = sqlalchemy.make_url(url)
        place = address.username, None, address.host, address.port, address.database  # options may hold passwords, too
        shown = sqlalchemy.URL.create(address.drivername, *place).render_as_string()
        engine = sqlalchemy.create_engine(address, poolclass=sqlalchemy.pool.NullPool)
    except exc.NoSuchModuleError as error:
        raise SettingsError(f"--sql: {error}. SQLAlchemy's own are sqlite, postgresql, mysql, mariadb, ....") from None
    except (exc.ArgumentError, ValueError):
        raise SettingsError(
            "--sql is no URL of a database, such as sqlite:///shop.db or postgresql://user@host/shop."
        ) from None
    except ModuleNotFoundError as error:
        raise MachineError(
            f"{shown}: the library that talks to this database is not installed ({error}). Install it with pip, then "
            "run this again."
        ) from None
    is_sqlite = address.get_backend_name() == "sqlite"
    if is_sqlite and not (address.database and Path(address.database).is_file()):
        raise SettingsError(f"--sql: there is no file {address.database} ({shown}).")
    read_only = {"postgresql_readonly": True} if address.get_backend_name() == "postgresql" else {}
    try:
        with engine.connect().execution_options(no_parameters=True, **read_only) as connection:
            if is_sqlite:
                connection.exec_driver_sql("PRAGMA query_only = ON")
            result = connection.exec_driver_sql(query)
            if not result.returns_rows:
                raise DataError(f"{shown}: the query returns no table. Give one SELECT.")
            names, rows = list(result.keys()), result.fetchall()
    except (exc.OperationalError, exc.InterfaceError) as error:
        if error.statement is None:
            raise MachineError(f"{shown} does not answer: {_reason(error)}. Correct --sql, or start it.") from None
        raise DataError(f"{shown} refuses the query: {_reason(error)}. Correct it.") from None
    except exc.SQLAlchemyError as error:
        raise DataError(f"{shown} refuses the query: {_reason(error)}. Correct it.") from None
    finally:
        engine.dispose()
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(
            f"{shown}: the query returns two columns named '{twice[0]}'. Rename one of them: AS another_name."
        )
    if not rows:
        raise DataError(f"{shown}: the query returns no row. Correct it.")
    columns = {name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
    remedy = "Convert it in the query, such as CAST(age AS REAL)"
    return columns, Origin(shown, lambda row, _: f"row {row + 1}", remedy), shown


def _reason(error: Exception) -> str:
    """The database's own words, of which one line says it."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0].rstrip(".")
