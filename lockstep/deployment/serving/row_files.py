"""Files of new rows as the tables that are scored; of a workbook or JSON lines a snapshot is made for the time."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from lockstep.intake.sources.snapshots import NewRows, Snapshot, as_table
from lockstep.kernel.errors import DataError
from lockstep.kernel.log import logger

FILE_KINDS = (
    "a CSV file (also .gz, .zst, .zip), a parquet file, an Excel workbook (.xlsx), JSON lines (.jsonl, .ndjson)"
)


@contextmanager
def table_of(rows: NewRows, missing: Collection[str], instead: str = "") -> Iterator[tuple[Path, str]]:
    """A CSV or parquet file with the rows, for the time of the block, and what messages call it; what was decided of
    the cells of a workbook or of JSON lines is said.

    Args:
        rows: the file, and how it is read.
        missing: words for a missing value, of the problem's settings.
        instead: what may be given in place of a file, for a message.

    Raises:
        LockstepError: there is no such file, or as ``as_table``.
    """
    if not rows.path.is_file():
        what = "is not a file" if rows.path.exists() else "does not exist"
        raise DataError(f"{rows.path} {what}. Give {FILE_KINDS}{instead}.")
    with as_table(rows, missing) as table:
        if isinstance(table, Snapshot):
            for note in table.notes:
                logger.warning("%s: %s", table.name, note)
            yield table.path, table.name
        else:
            yield table, str(table)
