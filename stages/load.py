"""Read a problem's CSV file, check it, type its columns.

Reads   the raw CSV file that load.path names
Writes  the typed table as parquet, and the data profile as JSON

    python -m stages.load --problem iris --table data/loaded/iris.parquet --profile metrics/iris_profile.json
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import pandas as pd

from lockstep.columns import normalised_frame, typed_frame
from lockstep.csvfile import read_csv
from lockstep.errors import DataError, some
from lockstep.files import Outputs
from lockstep.log import logger
from lockstep.profile import class_counts, column_type, profile_of
from lockstep.settings import Problem, Settings
from lockstep.stage import run_stage, stage_parser
from lockstep.table import Table, Task, write_table

MINIMUM_ROWS = 100
DEFAULT_TARGET: dict[Task, str] = {"classification": "target", "regression": "price"}


class LoadSettings(Settings, frozen=True):
    """The section ``load``; what each key means stands in params.yaml."""

    path: Annotated[str, msgspec.Meta(min_length=1)]
    task: Task
    target: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    drop: tuple[str, ...] = ()


def load_csv(path: Path, settings: LoadSettings) -> Table:
    """The checked table of a CSV file. Raises DataError with file, column and lines."""
    text = read_csv(path)
    _check_columns(text.cells.column_names, settings, str(path))
    text = text.without(settings.drop)
    return checked_table(typed_frame(text, str(path)), settings, str(path), text.line_starts)


def load_frame(frame: pd.DataFrame, settings: LoadSettings) -> Table:
    """The checked table of a DataFrame: the same table as load_csv gives for a CSV file of the same content."""
    name = "the DataFrame"
    _check_columns([str(column) for column in frame.columns], settings, name)
    return checked_table(normalised_frame(frame.drop(columns=list(settings.drop))), settings, name, None)


def target_of(settings: LoadSettings) -> str:
    """The target's name: load.target, or the default of the task."""
    return settings.target or DEFAULT_TARGET[settings.task]


def _check_columns(names: Sequence[str], settings: LoadSettings, name: str) -> None:
    target = target_of(settings)
    if target not in names:
        raise DataError(
            f"{name} has no column '{target}', which load.target declares to be the target. It has: "
            f"{some(list(names), 20)}. "
            "Set load.target to one of them."
        )
    unknown = [column for column in settings.drop if column not in names]
    if unknown:
        raise DataError(f"{name} has no column '{unknown[0]}', which load.drop lists. It has: {some(list(names), 20)}.")
    if target in settings.drop:
        raise DataError(f"load.drop lists the target '{target}'. Remove it from load.drop, or set another load.target.")
    if len(set(names) - set(settings.drop)) < 2:
        raise DataError(f"{name} has no feature: no column is left beside the target '{target}'. Drop fewer columns.")


def checked_table(frame: pd.DataFrame, settings: LoadSettings, name: str, line_starts: np.ndarray | None) -> Table:
    """Check the rows and the target (SPEC I4, E3, E5).

    Args:
        frame: (n_rows, n_columns), typed, indexed by row number.
        settings: the section ``load``.
        name: what messages call the data.
        line_starts: (n_rows,) the line of the file on which each row begins, or None for a DataFrame.

    Raises:
        DataError: fewer than 100 rows, a target with a missing value, of one class only, or unfit for the task.
    """
    target = target_of(settings)
    labels = frame[target]

    def where(rows: np.ndarray) -> str:
        found = rows if line_starts is None else line_starts[rows]
        return f"{'row' if line_starts is None else 'line'}{'' if len(rows) == 1 else 's'} {some(found.tolist())}"

    if len(frame) < MINIMUM_ROWS:
        raise DataError(f"{name} has {len(frame)} rows; at least {MINIMUM_ROWS} are needed. Add rows to it.")
    missing = np.flatnonzero(labels.isna())
    if len(missing):
        raise DataError(
            f"{name} has no value in the target '{target}' in {len(missing)} of {len(frame)} rows, {where(missing)}. "
            "Fill those cells or remove those rows: a target is never imputed."
        )
    if settings.task == "regression" and column_type(labels) != "number":
        numbers = pd.to_numeric(labels.astype("str"), errors="coerce")
        wrong = np.flatnonzero(numbers.isna())
        first = f", the first {labels.iloc[wrong[0]]!r} in {where(wrong[:1])}" if len(wrong) else ""
        raise DataError(
            f"{name}: the target '{target}' of a regression must hold numbers, but {len(wrong)} of {len(frame)} cells "
            "do "
            f"not{first}. Correct them, or set load.task to classification."
        )
    if settings.task == "classification" and labels.dtype.kind == "f":
        fractions = np.flatnonzero(labels.to_numpy() % 1 != 0)
        if len(fractions):
            raise DataError(
                f"{name}: the target '{target}' holds fractions, such as {labels.iloc[fractions[0]]} in "
                f"{where(fractions[:1])}, which are not classes. Set load.task to regression, or load.target to "
                "another column."
            )
        frame = frame.assign(**{target: labels.astype("int64")})
    if (labels == labels.iloc[0]).all():
        what = "class" if settings.task == "classification" else "value"
        raise DataError(
            f"{name}: the target '{target}' has only one {what}, {labels.astype(object).iloc[0]!r}: there is nothing "
            "to learn. "
            "Add rows of another one, or set load.target to another column."
        )
    return Table(frame, target, settings.task)


def log_table(table: Table) -> None:
    """Log shape, column types, missing cells, and the classes or the range of the target."""
    kinds = [column_type(table.features[name]) for name in table.features]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in ("number", "boolean", "text") if kind in kinds)
    missing = int(table.features.isna().sum().sum())
    logger.info("%d rows, %d features (%s), %d missing cells", len(table), len(kinds), counts, missing)
    if table.task == "classification":
        classes = class_counts(table.labels)
        shares = [f"{name} {count} ({count / len(table):.1%})" for name, count in classes.items()]
        logger.info("target '%s', %d classes: %s", table.target, len(classes), some(shares, 20))
    else:
        low, middle, high = np.quantile(table.labels, [0, 0.5, 1])
        logger.info("target '%s': %g to %g, median %g", table.target, low, high, middle)


def execute(problem: Problem, args: argparse.Namespace) -> None:
    settings = problem.section("load", LoadSettings)
    table = load_csv(Path(settings.path), settings)
    log_table(table)
    with Outputs() as outputs:
        outputs.write(args.table, lambda path: write_table(table, path))
        outputs.json(args.profile, profile_of(table))


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("load", __doc__)
    parser.add_argument("--table", type=Path, required=True, metavar="PARQUET", help="write the table here")
    parser.add_argument("--profile", type=Path, required=True, metavar="JSON", help="write the data profile here")
    return run_stage("load", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
