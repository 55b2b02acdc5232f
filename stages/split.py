"""Split a problem's table into training, validation and test rows.

Reads   the typed table
Writes  three tables of the same columns: train, validation (of no rows unless validation_size is set) and test; and
        what the checks of the data found

    python -m stages.split --problem iris --table data/loaded/iris.parquet \\
        --train data/split/iris/train.parquet --validation data/split/iris/validation.parquet \\
        --test data/split/iris/test.parquet --checks metrics/iris_checks.json
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
import numpy as np
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

from lockstep.checks import CheckSettings, Finding, run_checks
from lockstep.errors import DataError, SettingsError, some
from lockstep.files import Outputs
from lockstep.log import logger
from lockstep.moments import moments_of
from lockstep.profile import class_counts
from lockstep.settings import Problem, Seed, Settings
from lockstep.stage import run_stage, stage_parser
from lockstep.table import Table, read_table, write_table


class SplitSettings(Settings, frozen=True):
    """The section ``split``; what each key means stands in params.yaml."""

    test_size: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2
    validation_size: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    seed: Seed = 42
    stratify: bool | Literal["auto"] = "auto"
    group: str | None = None
    time: str | None = None
    checks: CheckSettings = CheckSettings()


class Parts(NamedTuple):
    """The rows of a table, each row in one of the three, in the order of the table (by time: in the order of time)."""

    train: Table
    validation: Table
    test: Table


def split_table(table: Table, settings: SplitSettings) -> Parts:
    """Cut the test rows off the table, then the validation rows off the rest.

    Raises:
        SettingsError: settings that contradict each other or the table.
        DataError: too few rows, groups or moments, a class too rare to stratify.
    """
    check_settings(settings)
    _check_columns(table, settings)
    stratified = table.task == "classification" and settings.group is None and settings.time is None
    stratified &= settings.stratify is not False
    table = replace(table, group=settings.group, time=settings.time, stratified=stratified)
    if not len(table.features.columns):
        raise DataError(
            "no feature is left: the group and time columns are not features. Unset split.group or split.time."
        )
    if settings.time is not None:
        table = table.rows(np.argsort(moments_of(table), kind="stable"))
    rest, test = _cut(table, settings.test_size, settings, "split.test_size")
    if settings.validation_size == 0:
        return Parts(rest, rest.rows(np.array([], dtype=np.intp)), test)
    train, validation = _cut(
        rest, settings.validation_size / (1 - settings.test_size), settings, "split.validation_size"
    )
    return Parts(train, validation, test)


def check_settings(settings: SplitSettings) -> None:
    """Raise SettingsError for settings that contradict each other, whatever the table."""
    if settings.test_size + settings.validation_size >= 1:
        raise SettingsError(
            f"split.test_size {settings.test_size} and split.validation_size {settings.validation_size} leave no "
            "training rows. Their sum must be below 1."
        )
    if settings.group is not None and settings.time is not None:
        raise SettingsError("split.group and split.time cannot both be set. Leave one of them empty.")
    if settings.stratify is True and (settings.group is not None or settings.time is not None):
        raise SettingsError("split.stratify cannot be true with split.group or split.time. Set it to auto or false.")


def _check_columns(table: Table, settings: SplitSettings) -> None:
    for key in ("group", "time"):
        column = getattr(settings, key)
        if column is None:
            continue
        if column == table.target:
            raise SettingsError(f"split.{key} is the target '{column}'. Set it to another column, or to null.")
        if column not in table.frame:
            raise SettingsError(
                f"split.{key}: there is no column '{column}'. The table has: {some(list(table.frame.columns), 20)}. "
                "Columns "
                "listed in load.drop are gone; a group or time column need not be dropped, it is never a feature."
            )
        missing = np.flatnonzero(table.frame[column].isna())
        if len(missing):
            raise DataError(
                f"split.{key}: the column '{column}' is empty in {len(missing)} rows, the first being data row "
                f"{missing[0] + 1}. Fill those cells or remove those rows."
            )
    if settings.stratify is True and table.task == "regression":
        raise SettingsError("split.stratify is true, but only classes can be stratified. Set it to auto or false.")


def _cut(table: Table, share: float, settings: SplitSettings, key: str) -> tuple[Table, Table]:
    """(rows kept, rows cut off); ``share`` of the rows, or of the groups, are cut off."""
    n_rows = len(table)
    if settings.time is not None:
        first = _first_of_moment(table, n_rows - max(1, round(n_rows * share)))
        if first == 0:
            raise DataError(
                f"split.time: '{settings.time}' has the same value in too many rows for {key}. Lower {key}."
            )
        return table.rows(np.arange(first)), table.rows(np.arange(first, n_rows))
    if settings.group is not None:
        groups = table.frame[settings.group]
        if groups.nunique() < 3:
            raise DataError(
                f"split.group: '{settings.group}' has {groups.nunique()} groups; at least 3 are needed. Set it to null."
            )
        splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=settings.seed)
        kept, cut = next(splitter.split(table.frame, groups=groups))
    elif table.stratified:
        _check_classes(table, share, key)
        splitter = StratifiedShuffleSplit(n_splits=1, test_size=share, random_state=settings.seed)
        kept, cut = next(splitter.split(table.frame, table.labels))
    else:
        kept, cut = next(ShuffleSplit(n_splits=1, test_size=share, random_state=settings.seed).split(table.frame))
    return table.rows(np.sort(kept)), table.rows(np.sort(cut))


def _check_classes(table: Table, share: float, key: str) -> None:
    counts = class_counts(table.labels)
    rare = {name: count for name, count in counts.items() if count < 2}
    if rare:
        raise DataError(
            f"the target '{table.target}' has only one row of class {some(list(rare))}: one row cannot be in two "
            "parts. Add rows "
            "of that class, remove that row, or merge the class with another one; or set split.stratify to false."
        )
    smaller = min(share, 1 - share) * len(table)
    if smaller < len(counts):
        raise DataError(
            f"{key} leaves a part of {smaller:.0f} rows for {len(counts)} classes. Change {key}, or set "
            "split.stratify to false."
        )


def _first_of_moment(table: Table, position: int) -> int:
    """The first row (0-based) of the moment that row ``position`` belongs to: one moment is never cut in two."""
    moments = moments_of(table)
    return int(np.searchsorted(moments, moments[position]))


def log_parts(parts: Parts) -> None:
    """Log how many rows each part has, and of classes how many of each."""
    for name, table in zip(Parts._fields, parts, strict=True):
        if len(table):
            classes = f", classes: {some([f'{k} {v}' for k, v in class_counts(table.labels).items()], 20)}"
            logger.info("%s: %d rows%s", name, len(table), classes if table.task == "classification" else "")
    if parts.train.task == "classification":
        unseen = sorted(set(class_counts(parts.test.labels)) - set(class_counts(parts.train.labels)))
        if unseen:
            logger.warning("the test rows have classes that no training row has: %s", some(unseen))


def check_parts(parts: Parts, settings: CheckSettings) -> list[Finding]:
    """Check the data before anything is trained, and log what was found.

    Raises:
        DataError: a finding of a check that the settings make an error.
    """
    findings = run_checks(parts.train, parts.test, settings)
    for finding in findings:
        if finding.found and finding.severity == "warning":
            logger.warning("%s %s: %s (docs/checks.md)", finding.code, finding.check, finding.message)
    errors = [finding for finding in findings if finding.found and finding.severity == "error"]
    if errors:
        raise DataError(
            "; ".join(f"{finding.code} {finding.check}: {finding.message}" for finding in errors)
            + ". docs/checks.md says what to do; split.checks makes an error a warning."
        )
    return findings


def execute(problem: Problem, args: argparse.Namespace) -> None:
    settings = problem.section("split", SplitSettings)
    parts = split_table(read_table(args.table), settings)
    log_parts(parts)
    findings = check_parts(parts, settings.checks)
    with Outputs() as outputs:
        outputs.json(args.checks, {"checks": [finding._asdict() for finding in findings]})
        for path, table in zip((args.train, args.validation, args.test), parts, strict=True):
            outputs.write(path, partial(write_table, table))


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("split", __doc__)
    parser.add_argument("--table", type=Path, required=True, metavar="PARQUET", help="the typed table to split")
    parser.add_argument("--train", type=Path, required=True, metavar="PARQUET", help="write the training rows here")
    parser.add_argument(
        "--validation", type=Path, required=True, metavar="PARQUET", help="write the validation rows here"
    )
    parser.add_argument("--checks", type=Path, required=True, metavar="JSON", help="write the data checks here")
    parser.add_argument("--test", type=Path, required=True, metavar="PARQUET", help="write the test rows here")
    return run_stage("split", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
