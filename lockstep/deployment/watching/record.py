"""The record of a problem's batches, ``metrics/<problem>_watch.csv``: a line each, for plots over time.

It is no stage's output: git tracks it as any file, ``dvc plots show`` and ``python -m lockstep index`` draw it.
"""

import csv
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from lockstep.comparing.tables.changes import SHIFTED
from lockstep.deployment.watching.batch import Watched
from lockstep.kernel.errors import IntegrityError
from lockstep.kernel.files import Outputs

RECORD_COLUMNS = ("date", "file", "rows", "columns_shifted", "predictions", "odd_share", "verdict", "sha256")
"""Of every record, before the metrics."""
RecordOutcome = Literal["added", "replaced", "there already"]


class BatchFile(NamedTuple):
    """Which batch it is: the day or time that it is of, the name of its file, and the SHA-256 of its bytes."""

    date: str
    name: str
    sha256: str


def record_batch(path: Path, batch: BatchFile, found: Watched) -> RecordOutcome:
    """Add a line to the record at ``path``; a batch of the same date and bytes has one line, the latest.

    Call it while no other command writes (locks.exclusive_command).

    Raises:
        IntegrityError: the file is no such record.
    """
    line = _line(batch, found)
    lines = read_batches(path)
    same = [number for number, other in enumerate(lines) if (other["date"], other["sha256"]) == batch[::2]]
    if same and {key: cell for key, cell in lines[same[0]].items() if cell} == line:
        return "there already"
    if same:
        lines[same[0]] = line
    else:
        lines.append(line)
    header = list(dict.fromkeys([*RECORD_COLUMNS, *(key for each in lines for key in each)]))
    with Outputs() as outputs:
        outputs.csv(path, header, ([each.get(key, "") for key in header] for each in lines))
    return "replaced" if same else "added"


def _line(batch: BatchFile, found: Watched) -> dict[str, str]:
    """The cells that are not empty, by column, as the file has them."""
    metrics = found.metrics if isinstance(found.metrics, tuple) else ()
    shifted = any(item.verdict == SHIFTED for item in found.predictions)
    cells = (
        batch.date,
        batch.name,
        found.rows,
        len(found.shifted_columns),
        SHIFTED if shifted else "",
        found.odd.batch,
    )
    line = dict(zip(RECORD_COLUMNS, (*cells, found.verdict, batch.sha256), strict=True))
    line |= {item.metric: item.after for item in metrics}
    return {key: str(cell) for key, cell in line.items() if cell not in ("", None)}


def read_batches(path: Path) -> list[dict[str, str]]:
    """The lines of a record, {column: cell}; none where there is no file. Raises IntegrityError: it is no record."""
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            table = csv.DictReader(handle, strict=True)
            lines: list[Mapping[str | None, str | list[str] | None]] = list(table)
            sound = tuple(table.fieldnames or ())[: len(RECORD_COLUMNS)] == RECORD_COLUMNS
    except FileNotFoundError:
        return []
    except (csv.Error, UnicodeDecodeError) as error:
        raise _another(path, str(error)) from None
    if not sound or any(None in line or None in line.values() for line in lines):
        raise _another(path, f"its first columns are {', '.join(RECORD_COLUMNS)}, and each line has all of them")
    found = [{str(key): str(cell) for key, cell in line.items()} for line in lines]
    metrics = {key for line in found for key in line if key not in RECORD_COLUMNS}
    numbers = {"rows", "columns_shifted", "odd_share", *metrics}
    try:
        for line in found:
            datetime.fromisoformat(line["date"])
            for key in numbers:
                float(line[key] or 0)
    except ValueError as error:
        raise _another(path, str(error)) from None
    return found


def _another(path: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"{path} is not the record that 'python -m lockstep watch' writes ({why}). Settle it by hand, 'git checkout "
        f"{path}' or move it away. Nothing was recorded."
    )
