"""What the last run of a problem gave, from the files that its stages wrote: for ``summary`` and ``index``."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from lockstep.kernel.errors import DataError
from lockstep.kernel.files import not_made
from lockstep.learning.metrics import metric_of
from lockstep.steps.reporting.wording import visible

T = TypeVar("T")


class MetricResult(NamedTuple):
    """A metric on the test rows: its value, the baseline's, its 95 % interval; and mean and standard deviation over the
    folds, if they are averaged over the classes in the same way. None where there is none."""

    test: float
    baseline: float | None
    interval: tuple[float, float] | None
    folds_mean: float | None
    folds_std: float | None


class Results(NamedTuple):
    """The metrics of a problem, by name, how they are averaged over the classes (None in a regression), the unit of the
    target ("": unknown), and how many test rows they are of."""

    metrics: dict[str, MetricResult]
    average: str | None
    unit: str
    test_rows: int


def results_of(problem: str) -> Results:
    """Raises DataError where a file is missing or damaged."""
    metrics = _read_output(Path(f"metrics/{problem}.json"), "a metrics file", json.loads)
    folds = _read_output(Path(f"metrics/{problem}_cross_validation.json"), "a metrics file", json.loads)
    intervals = _read_output(Path(f"metrics/plots/{problem}/intervals.csv"), "a table of intervals", _intervals)
    average = metrics.get("average")
    if folds.get("average") != average:  # cross_validate has not run since the setting changed
        folds = {key: value for key, value in folds.items() if not _is_averaged(key)}
    found = {
        name: row._replace(folds_mean=folds.get(f"{name}_mean"), folds_std=folds.get(f"{name}_std"))
        for name, row in intervals.items()
    }
    profile = Path(f"metrics/{problem}_profile.json")
    unit = _read_output(profile, "a data profile", _unit) if profile.exists() else ""
    return Results(found, average, unit, metrics.get("test_rows", 0))


def _unit(text: str) -> str:
    """The unit of the target, of a data profile."""
    profile = json.loads(text)
    target = profile["target"]["column"]
    return visible(next(column.get("unit", "") for column in profile["columns"] if column["column"] == target), 40)


def _is_averaged(key: str) -> bool:
    """Whether ``key`` of the folds' file is the mean or the standard deviation of a metric that is averaged over the
    classes."""
    metric = key.rpartition("_")[0]
    return metric_of(metric).averaged


def _read_output(path: Path, kind: str, parse: Callable[[str], T]) -> T:
    """The content of a file that a stage wrote. Raises DataError where there is none, or it is not of its ``kind``."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise not_made(path) from None
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is not {kind} ({error!r}). Run 'dvc repro' to remake it.") from None


def _intervals(text: str) -> dict[str, MetricResult]:
    """What evaluate wrote of each metric; nothing of the folds yet."""
    rows = csv.DictReader(text.splitlines())
    return {
        row["metric"]: MetricResult(
            test=float(row["value"]),
            baseline=float(row["baseline"]) if row["baseline"] else None,
            interval=(float(row["low"]), float(row["high"])) if row["low"] else None,
            folds_mean=None,
            folds_std=None,
        )
        for row in rows
    }
