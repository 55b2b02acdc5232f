"""What a report is made from: its settings, and the files that the stages before it have written, typed."""

from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lockstep.deciding.decision import NO_DECISION, Decision
from lockstep.kernel.files import read_made_rows
from lockstep.kernel.settings import Settings, Task
from lockstep.learning.model_file import ModelFile
from lockstep.learning.search_result import BestTrial
from lockstep.steps.diagnosing.diagnosis import Diagnosis

import msgspec


class ReportSettings(Settings, frozen=True):
    """The section ``report``; params.yaml says what each key means."""

    title: str = ""
    intended_use: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    licence: str = ""
    former = MappingProxyType(
        dict.fromkeys(
            ("top_features", "slices", "slice_rows", "worst_rows", "learning_curve_rows", "seed"),
            "It is a setting of the section 'diagnose' now: move the line there.",
        )
    )


class FileFacts(msgspec.Struct, frozen=True):
    """A file, by the path that the repository gives it; its size in bytes."""

    path: str
    size: int
    md5: str
    sha256: str


class ProfileColumn(msgspec.Struct, frozen=True):
    """A column of the data; of what does not apply to its type: None; the range of dates as texts. See
    lockstep/reading/profile.py."""

    column: str
    type: str
    missing: int
    distinct: int
    min: int | float | str | None
    mean: float | str | None
    max: int | float | str | None
    most_frequent: str | None
    most_frequent_count: int | None
    description: str
    unit: str = ""


class Profile(msgspec.Struct, frozen=True):
    """What a report shows of the data profile (stage ``load``); ``dropped``: the columns that are left out;
    ``ordered_levels``: of texts whose levels have an order, their rows in that order."""

    file: FileFacts
    rows: int
    rows_left_out: int
    duplicate_rows: int
    columns: list[ProfileColumn]
    dropped: dict[str, str]
    ordered_levels: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)


class Check(msgspec.Struct, frozen=True):
    """What a check of the data found (stage ``split``); ``found``: how many columns, rows or classes."""

    code: str
    check: str
    severity: str
    found: int
    message: str


class Checks(msgspec.Struct, frozen=True):
    """All checks, in the order of their codes."""

    checks: list[Check]


class TrainingRows(msgspec.Struct, frozen=True):
    """How many rows a model was fitted on."""

    rows: int


class Standing(msgspec.Struct, frozen=True):
    """A member of a vote: its weight, and its loss on out-of-fold predictions; None without."""

    member: str
    weight: float
    loss: float | None


class Tally(msgspec.Struct, frozen=True):
    """What the weights of a vote were chosen by: ``metric`` of ``rows`` out-of-fold predictions; ``loss``: of their
    weighted mean."""

    metric: str
    rows: int
    members: list[Standing]
    loss: float | None


class Sidecar(msgspec.Struct, frozen=True):
    """What a report shows of the sidecar of the model file; ``settings``: the sections ``preprocess`` and ``train`` as
    the model was made with them, what a search chose included; ``vote``: None of other model types."""

    size: int
    md5: str
    sha256: str
    task: Task
    target: str
    features: dict[str, str]
    training_rows: TrainingRows
    settings: dict[str, dict[str, Any]]
    libraries: dict[str, str]
    decision: Decision = NO_DECISION
    vote: Tally | None = None


class Interval(msgspec.Struct, frozen=True):
    """A row of intervals.csv: a metric on the test rows, its 95 % interval, and the metric of the baseline."""

    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    baseline: float | None = None


class FoldScore(msgspec.Struct, frozen=True):
    """A row of folds.csv: a metric of a fold whose model was fitted on ``n_train`` rows."""

    n_train: int
    metric: str
    value: float


class Loss(msgspec.Struct, frozen=True):
    """A row of history.csv: the loss on a part of the rows ("train", "validation") after an iteration."""

    iteration: int
    part: str
    loss: float


class CurvePoint(msgspec.Struct, frozen=True):
    """A row of curves.csv: a point of a curve, or the mean of a bin of ``count`` rows with its 95 % interval, or, with
    no x, the area under a curve. See lockstep/steps/evaluating/curves.py."""

    curve: str
    series: str
    y: float
    x: float | None = None
    count: int | None = None
    low: float | None = None
    high: float | None = None


class Importance(msgspec.Struct, frozen=True):
    """A row of importance.csv: by how much ``metric`` gets worse when the feature is shuffled, mean and spread."""

    feature: str
    importance: float
    std: float
    metric: str


class Predicted(msgspec.Struct, frozen=True):
    """A row of predictions.csv of a classification: how many test rows of class ``actual`` were given ``predicted``."""

    actual: str
    predicted: str
    count: int


@dataclass(frozen=True)
class PlotTables:
    """The small tables in metrics/plots/<problem>; ``predictions`` is empty for a regression."""

    intervals: list[Interval]
    folds: list[FoldScore]
    history: list[Loss]
    curves: list[CurvePoint]
    importance: list[Importance]
    predictions: list[Predicted]


def plot_files(folder: Path) -> dict[str, Path]:
    """The file of each of the tables: {"intervals": metrics/plots/<problem>/intervals.csv, ...}."""
    return {field.name: folder / f"{field.name}.csv" for field in fields(PlotTables)}


def read_plot_tables(folder: Path, task: Task) -> PlotTables:
    """The tables in ``folder``. Raises DataError where one is missing, IntegrityError where it is another one."""
    files = plot_files(folder)
    return PlotTables(
        intervals=read_made_rows(files["intervals"], Interval),
        folds=read_made_rows(files["folds"], FoldScore),
        history=read_made_rows(files["history"], Loss),
        curves=read_made_rows(files["curves"], CurvePoint),
        importance=read_made_rows(files["importance"], Importance),
        predictions=read_made_rows(files["predictions"], Predicted) if task == "classification" else [],
    )


@dataclass(frozen=True)
class Sources:
    """What a report is made from.

    Attributes:
        model: what makes up the name of the model file.
        model_path: of the model file.
        best_trial: what the search found; None without one.
        metrics: on the test rows, flat.
        cross_validation: mean and standard deviation of each metric over the folds, flat, and how they are averaged.
    """

    problem: str
    settings: ReportSettings
    model: ModelFile
    model_path: str
    sidecar: Sidecar
    best_trial: BestTrial | None
    profile: Profile
    checks: Checks
    metrics: dict[str, float | str]
    cross_validation: dict[str, float | str]
    plots: PlotTables
    diagnosis: Diagnosis
