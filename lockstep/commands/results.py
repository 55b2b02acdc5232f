"""What the last run of a problem gave, from the files that its stages wrote: for ``summary`` and ``index``."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lockstep.kernel.errors import DataError

T = TypeVar("T")


class MetricResult(NamedTuple):
    """A metric on the test rows: its value, the baseline's, its 95 % interval; and mean and standard deviation over the
    folds. None where there is none."""

    test: float
    baseline: float | None
    interval: tuple[float, float] | None
    folds_mean: float | None
    folds_std: float | None


class Results(NamedTuple):
    """The metrics of a problem, by name, and how many test rows they are of."""

    metrics: dict[str, MetricResult]
    test_rows: int


def results_of(problem: str) -> Results:
    """Raises DataError where a file is missing or damaged."""
    metrics = read_made(Path(f"metrics/{problem}.json"), "a metrics file", json.loads)
    folds = read_made(Path(f"metrics/{problem}_cross_validation.json"), "a metrics file", json.loads)
    intervals = read_made(Path(f"metrics/plots/{problem}/intervals.csv"), "a table of intervals", _intervals)
    found = {
        name: MetricResult(
            value, metrics.get(f"baseline_{name}"), intervals.get(name), folds[f"{name}_mean"], folds.get(f"{name}_std")
        )
        for name, value in metrics.items()
        if f"{name}_mean" in folds
    }
    return Results(found, metrics.get("test_rows", 0))


def read_made(path: Path, kind: str, parse: Callable[[str], T]) -> T:
    """The content of a file that a stage wrote. Raises DataError where there is none, or it is not of its ``kind``."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run 'dvc repro', which makes it.") from None
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} is not {kind} ({error!r}). Run 'dvc repro' to remake it.") from None


def _intervals(text: str) -> dict[str, Any]:
    rows = csv.DictReader(text.splitlines())
    return {row["metric"]: (float(row["low"]), float(row["high"])) if row["low"] else None for row in rows}
