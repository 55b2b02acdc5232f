"""Everything that a report is made from, made in memory by the stages' own functions."""

from lockstep.evaluating.curves import CURVES_COLUMNS, curve_rows
from lockstep.intake.contract_inference import infer_contract
from lockstep.learning.cross_validation import CrossValidateSettings, cross_validate, summary
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.model_types import KINDS
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.reading.profile import profile_of
from lockstep.reporting.facts import FileFacts, ReportSettings, Sources
from lockstep.splitting.data_checks import CheckSettings, run_checks
from lockstep.splitting.parts import SplitSettings, split_table
from lockstep.tables.table import ROW, Table
from lockstep.training.history import COLUMNS
from stages.evaluate import IMPORTANCE_COLUMNS, INTERVALS_COLUMNS, EvaluateSettings, evaluate
from stages.preprocess import preprocess
from stages.train import train

import numpy as np
import pandas as pd
from small import SMALL

FOLD_COLUMNS = ("repeat", "fold", "n_train", "n_test", "metric", "value")
HOSTILE = "<script>alert(1)</script>"


def noisy(task="classification", rows=240, classes=2, seed=0):
    """A table of a number with gaps, a text with gaps, a boolean; the target follows from them, with noise."""
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


def sources_of(table, model="random_forest", *, split=None, folds=3, **report):
    """The Sources of a report on ``table``, all stages run."""
    task = table.task
    settings = TrainSettings(model=model, kind=KINDS[task], version=1, hyperparameters=SMALL.get(model, {}))
    parts, cleaning = split_table(table, split or SplitSettings()), PreprocessSettings()
    preprocessor, processed = preprocess(parts.train, cleaning, model)
    scores = cross_validate(parts.train, CrossValidateSettings(folds=folds), cleaning, settings)
    trained = train(processed, preprocessor, parts.validation, settings)
    found = evaluate(trained.model, parts.test, parts.train.labels, EvaluateSettings(importance_repeats=2))
    file = FileFacts("models/p/file.joblib", 12345, "0" * 32, "0" * 64)
    return Sources(
        problem="p",
        settings=ReportSettings(**{"learning_curve_rows": 0, "title": "A title"} | report),
        preprocess=cleaning,
        train_settings=settings,
        searched=[],
        raw_file=file._replace(path="data/raw/p.csv"),
        model_file=file,
        contract=infer_contract(table.frame),
        profile=profile_of(table, {}),
        checks=[finding._asdict() for finding in run_checks(parts.train, parts.test, CheckSettings())],
        train=parts.train,
        validation_rows=len(parts.validation),
        test=parts.test,
        model=trained.model,
        metrics=found.metrics,
        cross_validation=summary(scores),
        intervals=pd.DataFrame(found.intervals, columns=list(INTERVALS_COLUMNS)),
        folds=pd.DataFrame(
            [(*fold[:4], name, value) for fold in scores for name, value in fold.metrics.items()],
            columns=list(FOLD_COLUMNS),
        ),
        history=pd.DataFrame(trained.history, columns=list(COLUMNS)),
        curves=pd.DataFrame(curve_rows(parts.test.labels, found.raw, task), columns=list(CURVES_COLUMNS)),
        importance=pd.DataFrame(found.importance, columns=list(IMPORTANCE_COLUMNS)),
        predictions=found.predictions,
        versions={"numpy": "1.2.3"},
    )
