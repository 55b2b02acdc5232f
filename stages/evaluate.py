"""Evaluate the saved model on the test rows, which no other stage sees.

Reads   the model and its sidecar, the raw test rows, and the target of the training rows (for the baseline)
Writes  the metrics, the predictions of every test row, and small tables for plots, one of them with each metric's
        95 % interval

    python -m stages.evaluate --problem iris --models models/iris --test data/split/iris/test.parquet \\
        --train data/split/iris/train.parquet --metrics metrics/iris.json \\
        --predictions data/predictions/iris.parquet --plots metrics/plots/iris
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.deciding.conformal import interval_columns
from lockstep.deciding.decision import NO_DECISION, Decision, decision_of
from lockstep.kernel.files import Outputs
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.settings import Problem
from lockstep.kernel.stage import add_used_code, run_stage, stage_parser
from lockstep.learning.metrics import METRICS
from lockstep.learning.model_file import ModelFile, model_file_name
from lockstep.learning.own_metrics import make_scorers
from lockstep.learning.scoring import WEIGHT, Predictions, metrics_of, predict, prediction_columns
from lockstep.saving.joblib_file import load_joblib
from lockstep.saving.sidecar import read_about
from lockstep.steps.evaluating.curves import (
    CURVES_COLUMNS,
    PREDICTIONS_COLUMNS,
    curve_rows,
    prediction_rows,
)
from lockstep.steps.evaluating.decisions import decision_metrics, uncalibrated
from lockstep.steps.evaluating.design import Design
from lockstep.steps.evaluating.importance import IMPORTANCE_COLUMNS, importance_of
from lockstep.steps.evaluating.resampling import intervals_of
from lockstep.steps.evaluating.settings import EvaluateSettings
from lockstep.tables.table import Table, read_table

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import Pipeline

INTERVALS_COLUMNS = ("metric", "value", "low", "high", "baseline")


class Evaluation(NamedTuple):
    """What a model is worth on the test rows.

    Attributes:
        metrics: flat; those that have a baseline first, then more, then those of the baseline.
        predictions: (n_test, ...): row, row_hash, actual; where the split was by group, group; where rows have weights,
            weight; then the columns of ``prediction_columns`` and ``interval_columns``.
        intervals: rows of INTERVALS_COLUMNS, one per metric: its 95 % interval, None where it has none, and what the
            baseline has.
        importance: rows of IMPORTANCE_COLUMNS, the most important feature first.
        raw: the predictions as arrays.
        uncalibrated: those of the estimator, where the model calibrates them.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    intervals: list[tuple[str, float, float | None, float | None, float | None]]
    importance: list[tuple[str, float, float, str]]
    raw: Predictions
    uncalibrated: Predictions | None


def evaluate(
    model: Pipeline, test: Table, train: Table, settings: EvaluateSettings, decision: Decision = NO_DECISION
) -> Evaluation:
    """Predict the test rows, compare with the truth, with a baseline, and with shuffled features.

    The baseline knows the training rows' target only: it predicts the most frequent class with the classes' shares as
    probabilities, or the mean.

    Args:
        model: takes raw rows.
        test: raw rows that the model was not fitted on.
        train: rows that it was fitted on; their target and weights are looked at, no other column.
        decision: what the model's sidecar says of its threshold and intervals.
    """
    X, y, scorers = (
        test.features,
        test.labels,
        make_scorers(settings.metrics, test.task, weighted=test.weight is not None),
    )
    with heartbeat(f"predictions of {len(test)} rows"):
        raw = predict(model, X, test.task, test.positive)
        own = metrics_of(y, raw, test.task, settings.average, scorers, test.weights)
    for scorer in scorers:
        if scorer.key not in own:
            logger.warning(
                "%s cannot be computed on the test rows: it is for another task, for probabilities that the model does "
                "not give, or for rows of every class", scorer.key,
            )  # fmt: skip
    dummy = DummyClassifier(strategy="prior") if test.task == "classification" else DummyRegressor()
    dummy.fit(np.zeros((len(train), 1)), train.labels, sample_weight=train.weights)
    constant = predict(dummy, np.zeros((len(y), 1)), test.task, test.positive)
    baseline = metrics_of(y, constant, test.task, settings.average, scorers, test.weights)
    named = [name for name, metric in METRICS[test.task].items() if metric.has_baseline]
    metrics: dict[str, Any] = own | {f"baseline_{name}": baseline[name] for name in named}
    if test.task == "classification":
        metrics["average"] = settings.average
    metrics["test_rows"] = len(test)
    design = Design.of_table(test)
    with heartbeat("calibration, threshold and intervals"):
        before = None if decision.calibrate == "none" else uncalibrated(model, test)
        metrics |= decision_metrics(model, test, raw, before, decision, design)
    importance = importance_of(model, X, y, test.task, settings.importance_repeats, settings.seed, test.weights)
    with heartbeat(f"intervals of {len(own)} metrics on {len(test)} rows"):
        ranges = intervals_of(y, raw, test.task, settings.average, design, scorers)
    intervals = [(name, value, *(ranges.get(name) or (None, None)), baseline.get(name)) for name, value in own.items()]
    predictions = prediction_table(test, raw).assign(**interval_columns(decision, raw))
    return Evaluation(metrics, predictions, intervals, importance, raw, before)


def prediction_table(test: Table, raw: Predictions) -> pd.DataFrame:
    """One row per test row. ``row`` is its number in the raw data; ``row_hash``, of the row's content, finds the row
    again in other versions of the data, where it may have another number (equal rows have equal hashes).
    """
    rows = {
        "row": test.frame.index,
        "row_hash": test.row_hashes.to_numpy(),
        "actual": test.labels,
    }
    if test.group is not None:
        rows["group"] = test.frame[test.group].to_numpy()
    if test.weights is not None:
        rows[WEIGHT] = test.weights
    return pd.DataFrame({**rows, **prediction_columns(raw)})


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    settings = problem.section("evaluate", EvaluateSettings)
    name = problem.pick("train", ModelFile)
    path = args.models / model_file_name(name.model, name.kind, name.version)
    model, decision = load_joblib(path), decision_of(read_about(path))
    test, train = read_table(args.test), read_table(args.train, only_target=True)
    found = evaluate(model, test, train, settings, decision)
    numbers = [f"{key} {value:.6g}" for key, value in found.metrics.items() if isinstance(value, float)]
    logger.info("%d rows: %s", len(test), ", ".join(numbers))
    outputs.json(args.metrics, found.metrics)
    outputs.write(args.predictions, lambda path: found.predictions.to_parquet(path, index=False, compression="zstd"))
    outputs.csv(args.plots / "predictions.csv", PREDICTIONS_COLUMNS, prediction_rows(test.labels, found.raw))
    curves = curve_rows(test.labels, found.raw, test.task, found.uncalibrated, Design.of_table(test))
    outputs.csv(args.plots / "curves.csv", CURVES_COLUMNS, curves)
    outputs.csv(args.plots / "intervals.csv", INTERVALS_COLUMNS, found.intervals)
    outputs.csv(args.plots / "importance.csv", IMPORTANCE_COLUMNS, found.importance)


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("evaluate", __doc__)
    parser.add_argument("--models", type=Path, required=True, metavar="FOLDER", help="the folder of the model")
    parser.add_argument("--test", type=Path, required=True, metavar="PARQUET", help="the raw test rows")
    parser.add_argument("--train", type=Path, required=True, metavar="PARQUET", help="the raw training rows")
    parser.add_argument("--metrics", type=Path, required=True, metavar="JSON", help="write the metrics here")
    parser.add_argument("--predictions", type=Path, required=True, metavar="PARQUET", help="write the predictions here")
    parser.add_argument("--plots", type=Path, required=True, metavar="FOLDER", help="write the plots' tables here")
    add_used_code(parser, "estimators", "scorers")
    return run_stage("evaluate", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
