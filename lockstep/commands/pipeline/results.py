"""What the last run of a problem gave, from the files that its stages wrote: for ``summary`` and ``index``."""

import csv
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from lockstep.kernel.errors import DataError
from lockstep.kernel.files import not_made
from lockstep.kernel.lock_file import LOCK_FILE, LockedStage, read_lock, value_at
from lockstep.kernel.paths import PARAMS
from lockstep.learning.metrics import metric_of
from lockstep.steps.reporting.wording import visible

T = TypeVar("T")
_MEASURING = ("load", "split", "preprocess", "tune", "cross_validate", "train", "evaluate")
"""The stages that the metrics come from."""


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


def other_model(problem: str, model: str) -> str | None:
    """The model that the metrics are of, in words, where dvc.lock records that it is not ``model``, or not the one that
    was trained last under that name."""
    runs = _recorded()
    evaluated, trained = runs.get(f"evaluate@{problem}"), runs.get(f"train@{problem}")
    is_model = re.compile(rf"models/{re.escape(problem)}/[^/]+\.joblib").fullmatch
    found = next((file for file in (evaluated.deps if evaluated is not None else ()) if is_model(file.path)), None)
    if found is None:
        return None
    if found.path != model:
        return found.path
    now = {file.path: file.md5 for file in (trained.outs if trained is not None else ())}
    return None if now.get(model, found.md5) == found.md5 else f"the {model} before it was trained anew"


def changed_settings(problem: str, problems: Mapping[str, Any]) -> list[str]:
    """The keys of settings that are others in ``problems`` than dvc.lock records of the stages that the metrics come
    from."""
    recorded: dict[str, Any] = {}
    for stage, run in _recorded().items():
        if stage in {f"{name}@{problem}" for name in _MEASURING}:
            recorded |= run.params.get(PARAMS.name, {})
    return [key for key, value in recorded.items() if value_at({"problems": problems}, key) != value]


def _recorded() -> Mapping[str, LockedStage]:
    return read_lock() if LOCK_FILE.exists() else {}


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
