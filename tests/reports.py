"""Everything that a report is made from, made in memory by the stages' own functions."""

from typing import Any, NamedTuple

from lockstep.deciding.decide import decide
from lockstep.learning.cross_validation import (
    CrossValidateSettings,
    PipelineSettings,
    cross_validate,
    fold_summary,
    out_of_fold,
)
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.model_file import ModelFile
from lockstep.learning.model_types import KINDS
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.search_result import BestTrial
from lockstep.learning.voting import tally_of
from lockstep.reading.profile import profile_of
from lockstep.saving.sidecar import sidecar
from lockstep.steps.diagnosing.settings import DiagnoseSettings
from lockstep.steps.evaluating.curves import (
    CURVES_COLUMNS,
    PREDICTIONS_COLUMNS,
    curve_rows,
    prediction_rows,
)
from lockstep.steps.evaluating.importance import IMPORTANCE_COLUMNS
from lockstep.steps.reporting.sources import (
    Checks,
    CurvePoint,
    FoldScore,
    Importance,
    Interval,
    Loss,
    PlotTables,
    Predicted,
    Profile,
    ReportSettings,
    Sidecar,
    Sources,
)
from lockstep.steps.splitting.data_checks import CheckSettings, run_checks
from lockstep.steps.splitting.parts import SplitSettings, split_table
from lockstep.steps.training.history import HISTORY_COLUMNS
from lockstep.tables.table import ROW, Table
from stages.cross_validate import FOLD_COLUMNS
from stages.diagnose import diagnose
from stages.evaluate import INTERVALS_COLUMNS, EvaluateSettings, evaluate
from stages.preprocess import describe, preprocess
from stages.train import describe as describe_model
from stages.train import train

import msgspec
import numpy as np
import pandas as pd
from small import SMALL

FOUND = BestTrial(
    metric="accuracy", trials=3, failed=0, best_trial=2, mean=0.9, std=0.1, given_mean=0.8,
    hyperparameters={"n_estimators": 5},
)  # fmt: skip
"""What a search found."""


def noisy(task="classification", rows=240, classes=2, seed=0):
    """A table of a number and a text with missing values, a boolean; the target follows from them, with noise."""
    rng = np.random.default_rng(seed)
    number, text = rng.normal(size=rows), rng.choice(["low", "mid", "high"], size=rows)
    flag = rng.random(rows) < 0.5
    y = number + (text == "high") * 2 + flag + rng.normal(scale=0.8, size=rows)
    if task == "classification":
        y = np.array([f"c{i}" for i in range(classes)])[
            np.searchsorted(np.quantile(y, np.arange(1, classes) / classes), y)
        ]
    frame = pd.DataFrame({"number": number, "text": text, "flag": flag, "y": y})
    frame.loc[rng.random(rows) < 0.1, "number"] = np.nan
    frame.loc[rng.random(rows) < 0.1, "text"] = None
    return table_of(frame, task)


def table_of(frame, task="classification", **own):
    """The frame as a Table whose target is ``y``."""
    texts = [name for name in frame if isinstance(frame[name].dtype, pd.StringDtype)]
    frame = frame.astype(dict.fromkeys(texts, "str"))
    return Table(frame.set_axis(pd.Index(np.arange(1, len(frame) + 1), name=ROW)), "y", task, **own)


class Made(NamedTuple):
    """The Sources of a report, and what they were made from: rows, model, predictions of the test rows."""

    sources: Sources
    train: Table
    test: Table
    model: Any
    predictions: pd.DataFrame


def rows_of(kind, columns, rows):
    """Rows of a small table as ``kind``, as if they had been written and read again."""
    named = (dict(zip(columns, row, strict=True)) for row in rows)
    return [msgspec.convert({key: cell for key, cell in row.items() if cell is not None}, kind) for row in named]


def made_of(
    table, model="random_forest", *, split=None, folds=3, report=None, trained=None, class_weight=None, **diagnosed
):
    """What a report on ``table`` is made from, all stages run.

    Args:
        table: typed, not split yet.
        model: the model type.
        split: the section ``split``.
        folds: of the cross-validation.
        report: settings of the section ``report``.
        class_weight: a setting of the section ``train``.
        trained: further settings of it.
        diagnosed: settings of the section ``diagnose``.
    """
    task = table.task
    settings = TrainSettings(
        model=model,
        kind=KINDS[task],
        version=1,
        class_weight=class_weight,
        hyperparameters=SMALL.get(model, {}),
        **(trained or {}),
    )
    parts, cleaning = split_table(table, split or SplitSettings()), PreprocessSettings()
    preprocessor, processed = preprocess(parts.train, cleaning, model)
    scores = cross_validate(parts.train, CrossValidateSettings(folds=folds), PipelineSettings(cleaning, settings))
    fitted = train(processed, preprocessor, parts.validation, settings)
    whole, decision = decide(fitted.model, out_of_fold(scores), settings, parts.train.positive)
    found = evaluate(whole, parts.test, parts.train, EvaluateSettings(importance_repeats=2), decision)
    curves = curve_rows(parts.test.labels, found.raw, task, found.uncalibrated)
    file = {"path": "data/raw/p.csv", "size": 12345, "md5": "0" * 32, "sha256": "0" * 64}
    about = describe_model(describe(parts.train, "0" * 64, cleaning), settings, decision, tally_of(fitted.model[-1]))
    checks = [finding._asdict() for finding in run_checks(parts.train, parts.test, CheckSettings())]
    fold_rows = [(*fold[:4], name, value) for fold in scores for name, value in fold.metrics.items()]
    sources = Sources(
        problem="p",
        settings=ReportSettings(**{"title": "A title"} | (report or {})),
        model=ModelFile(model=model, kind=KINDS[task], version=1),
        model_path="models/p/file.joblib",
        sidecar=msgspec.convert(sidecar(b"model", "file.joblib", about), Sidecar),
        best_trial=None,
        profile=msgspec.convert(profile_of(table, {}, [], file, {}, {}), Profile),
        checks=msgspec.convert({"checks": checks}, Checks),
        metrics=found.metrics,
        cross_validation=fold_summary(scores),
        plots=PlotTables(
            intervals=rows_of(Interval, INTERVALS_COLUMNS, found.intervals),
            folds=rows_of(FoldScore, FOLD_COLUMNS, fold_rows),
            history=rows_of(Loss, HISTORY_COLUMNS, fitted.history),
            curves=rows_of(CurvePoint, CURVES_COLUMNS, curves),
            importance=rows_of(Importance, IMPORTANCE_COLUMNS, found.importance),
            predictions=rows_of(Predicted, PREDICTIONS_COLUMNS, prediction_rows(parts.test.labels, found.raw))
            if task == "classification"
            else [],
        ),
        diagnosis=diagnose(
            whole, parts.train, parts.test, found.predictions, [row[0] for row in found.importance],
            DiagnoseSettings(**{"learning_curve_rows": 0} | diagnosed), PipelineSettings(cleaning, settings),
        ),
    )  # fmt: skip
    return Made(sources, parts.train, parts.test, whole, found.predictions)


def sources_of(table, model="random_forest", **values):
    """The Sources of a report on ``table``, all stages run; see made_of."""
    return made_of(table, model, **values).sources
