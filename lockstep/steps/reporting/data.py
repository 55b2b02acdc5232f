"""What a report shows of the data: file, rows, columns, and what the checks found."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from lockstep.steps.reporting.sources import Check, FileFacts, ProfileColumn, Sources
from lockstep.steps.reporting.wording import number, percent, visible

import msgspec

MAX_COLUMNS = 150
"""Columns that the table of the data describes one by one."""

_DATE_LENGTH = len("2024-01-31")
"""Characters of a date without a time of day."""
SEVERE = ("target_leak", "duplicate_rows", "shared_identifier")
"""Checks whose findings say that the model may be worse on new rows than on the test rows."""


class RowFacts(NamedTuple):
    """How many rows there are, how many the settings leave out, being without a target or of a rare class, and how they
    were split: by time, by group, or (None, None) at random; and the column that says how much each counts."""

    total: int
    left_out: int
    duplicate: int
    training: int
    validation: int
    test: int
    group: str | None
    time: str | None
    weight: str | None


class ColumnFacts(NamedTuple):
    """A column of the raw data. ``role``: feature, target, group, time, weight; "time, feature" of a time that the
    model sees, too."""

    name: str
    role: str
    type: str
    missing: int
    distinct: int
    typical: str
    description: str


class Finding(NamedTuple):
    """A data check that found something."""

    code: str
    check: str
    severity: str
    found: int
    message: str


@dataclass(frozen=True)
class DataFacts:
    """The data. ``columns``, ``features`` and ``dropped`` are capped at MAX_COLUMNS, the numbers are not."""

    file: FileFacts
    rows: RowFacts
    columns: list[ColumnFacts]
    n_columns: int
    features: list[str]
    n_features: int
    dropped: list[str]
    missing_cells: int
    columns_with_missing: int


@dataclass(frozen=True)
class CheckFacts:
    """The checks of the data: what was found, what of it says that the result may be too good, the names of those
    that found nothing, and of those that are off."""

    findings: list[Finding]
    severe: list[Finding]
    quiet: list[str]
    off: list[str]


def data_facts(given: Sources) -> DataFacts:
    """What there is to show of the data."""
    profile, diagnosis, features = given.profile, given.diagnosis, given.sidecar.features
    trained, tested = given.sidecar.training_rows.rows, int(given.metrics["test_rows"])
    return DataFacts(
        file=msgspec.structs.replace(profile.file, path=visible(profile.file.path, 200)),
        rows=RowFacts(
            total=profile.rows,
            left_out=profile.rows_left_out,
            duplicate=profile.duplicate_rows,
            training=trained,
            validation=profile.rows - trained - tested,
            test=tested,
            group=None if diagnosis.group is None else visible(diagnosis.group),
            time=None if diagnosis.time is None else visible(diagnosis.time),
            weight=None if diagnosis.weight is None else visible(diagnosis.weight),
        ),
        columns=[_column(entry, given) for entry in profile.columns[:MAX_COLUMNS]],
        n_columns=len(profile.columns),
        features=[visible(name, 40) for name in list(features)[:MAX_COLUMNS]],
        n_features=len(features),
        dropped=[visible(name, 40) for name in list(profile.dropped)[:MAX_COLUMNS]],
        missing_cells=sum(entry.missing for entry in profile.columns),
        columns_with_missing=sum(entry.missing > 0 for entry in profile.columns),
    )


def _column(entry: ProfileColumn, given: Sources) -> ColumnFacts:
    columns = {"target": given.sidecar.target, "group": given.diagnosis.group, "time": given.diagnosis.time}
    roles = {name: role for role, name in (columns | {"weight": given.diagnosis.weight}).items()}
    role = roles.get(entry.column, "feature")
    if entry.min is not None:
        low, mean, high = (
            value if isinstance(value, str) else number(value) for value in (entry.min, entry.mean, entry.max)
        )
        if entry.type == "date" and len(low) == len(high) == _DATE_LENGTH:  # else the mean alone would have a time
            mean = mean[:_DATE_LENGTH]
        typical = f"{low} to {high}, mean {mean}"
    elif entry.most_frequent is not None:
        share = (entry.most_frequent_count or 0) / max(1, given.profile.rows)
        typical = f"{visible(entry.most_frequent, 40)} ({percent(share)})"
    else:
        typical = ""
    return ColumnFacts(
        name=visible(entry.column),
        role=f"{role}, feature" if role != "feature" and entry.column in given.sidecar.features else role,
        type=_type(entry, given.profile.ordered_levels.get(entry.column, {})),
        missing=entry.missing,
        distinct=entry.distinct,
        typical=typical,
        description=visible(entry.description, 200),
    )


def _type(entry: ProfileColumn, ordered: Collection[str]) -> str:
    """A column's type, with the unit of its numbers, or its levels where they have an order."""
    if entry.unit:
        return f"{entry.type} in {visible(entry.unit, 40)}"
    return f"{entry.type}: {visible(' < '.join(ordered), 80)}" if ordered else entry.type


def check_facts(given: Sources) -> CheckFacts:
    """What there is to show of the checks."""
    checks = given.checks.checks
    quiet = [
        check
        for check in checks
        if not check.found
        and check.severity != "off"
        and (given.sidecar.task, check.check) != ("regression", "rare_class")
    ]
    return CheckFacts(
        findings=[_finding(check) for check in checks if check.found],
        severe=[_finding(check) for check in checks if check.found and check.check in SEVERE],
        quiet=[_name(check) for check in quiet],
        off=[_name(check) for check in checks if check.severity == "off"],
    )


def _finding(check: Check) -> Finding:
    return Finding(check.code, _name(check), check.severity, check.found, visible(check.message, 600))


def _name(check: Check) -> str:
    return check.check.replace("_", " ")
