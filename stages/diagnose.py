"""Diagnose the saved model: what only the model and the rows together can say, as numbers for the report.

Reads   the model, the raw training and test rows, the predictions of the test rows, the importance of the features, and
        the hyperparameters that the search chose and the user's own features (for the refits of the learning curve)
Writes  one JSON: learning curve, partial dependence, weak subgroups, worst single predictions, equals of training rows,
        thresholds and distributions

    python -m stages.diagnose --problem iris --models models/iris --train data/split/iris/train.parquet \\
        --test data/split/iris/test.parquet --predictions data/predictions/iris.parquet \\
        --importance metrics/plots/iris/importance.csv --best-trial metrics/iris_tune.json \\
        --features features/iris.py --diagnosis data/diagnosis/iris.json
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lockstep.kernel.start  # noqa: F401 - first, before what takes long or may be missing
from lockstep.kernel.files import Outputs, read_made_rows
from lockstep.kernel.log import heartbeat, logger
from lockstep.kernel.portable import estimator_of
from lockstep.kernel.settings import Problem
from lockstep.kernel.stage import add_used_code, run_stage, stage_parser
from lockstep.learning.cross_validation import PipelineSettings
from lockstep.learning.estimators import TrainSettings, with_best_trial
from lockstep.learning.metrics import AUTO, is_lopsided
from lockstep.learning.model_file import model_file_name
from lockstep.learning.own_features import read_features
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.scoring import Predictions, predictions_of
from lockstep.learning.search_result import read_best_trial
from lockstep.learning.voting import member_of
from lockstep.saving.joblib_file import load_joblib
from lockstep.steps.diagnosing.dependence import dependence_of
from lockstep.steps.diagnosing.diagnosis import Diagnosis, Iterations, OfClasses, OfNumbers, Worst
from lockstep.steps.diagnosing.distributions import cloud_of, scores_of, target_histogram
from lockstep.steps.diagnosing.learning_curve import learning_curve_of
from lockstep.steps.diagnosing.reasons import drawn, reasons_of, strongest
from lockstep.steps.diagnosing.row_errors import copies_of, errors_of, worst_of
from lockstep.steps.diagnosing.settings import DiagnoseSettings
from lockstep.steps.diagnosing.subgroups import slices_of
from lockstep.steps.evaluating.curves import followed_classes
from lockstep.steps.evaluating.design import Design
from lockstep.tables.table import Table, class_counts, read_table

import msgspec
import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

MAX_VALUES = 5
"""Features whose values are shown beside a single prediction: the most important ones."""
MAX_REASONS = 3
"""Columns given as the reasons of a single prediction."""
MAX_SERIES = 4
"""Classes whose probability is followed as a feature changes: the most frequent ones."""


class Ranked(msgspec.Struct, frozen=True):
    """A row of importance.csv: the most important feature comes first."""

    feature: str


def diagnose(
    model: Pipeline,
    train: Table,
    test: Table,
    predictions: pd.DataFrame,
    ranked: Sequence[str],
    settings: DiagnoseSettings,
    pipeline: PipelineSettings,
) -> Diagnosis:
    """What only the model and the rows together can say. All of it is bounded (sampled rows, binned numbers, capped
    levels), so that it costs seconds on a table of any size, and gives few numbers.

    Args:
        model: takes raw rows.
        train, test: the raw rows.
        predictions: what evaluate.prediction_table gives for the test rows.
        ranked: the features, the most important one first.
        settings: the section ``diagnose``.
        pipeline: how the learning curve refits the model, with what the search chose.
    """
    classes = model.classes_ if test.task == "classification" else None
    found = predictions_of(predictions, classes, test.positive)
    errors = errors_of(test.labels, found.values, test.task)
    series = [] if classes is None else [classes[i] for i in followed_classes(test.labels, found, MAX_SERIES)]
    in_order = [name for name in ranked if name in test.features.columns]
    shown, metric = in_order[:MAX_VALUES], headline_of(train, test, found)
    learning = learning_curve_of(train, pipeline, metric, settings.learning_curve_rows, settings.seed)
    followed = in_order[: settings.top_features]
    dependence = dependence_of(model, train, test, followed, series, settings.seed)
    slices = worst = None
    if settings.slices:
        with heartbeat("subgroups"):
            slices = slices_of(test.features, errors, found.values, test.task, settings, Design.of_table(test))
    if settings.worst_rows:
        with heartbeat("reasons of the worst rows"):
            worst = _worst(model, train, test, found, shown, settings.worst_rows)
    return Diagnosis(
        estimator=type(member_of(estimator_of(model))).__name__,
        iterations=iterations_of(estimator_of(model)),
        group=test.group,
        time=test.time,
        weight=test.weight,
        copies=copies_of(train, test, errors),
        metric=metric,
        learning=learning,
        dependence=dependence,
        slices=slices,
        worst=worst,
        own=_of_numbers(train, test, found) if classes is None else _of_classes(train, test, found, classes),
    )


def headline_of(train: Table, test: Table, found: Predictions) -> str:
    """The key of the metric that measures the model first, of those that rise as it gets better."""
    if found.classes is None or not is_lopsided(baseline_accuracy(train, test)):
        return AUTO[test.task]
    ranks = found.scores is not None or found.probabilities is not None
    return "roc_auc" if ranks and set(np.unique(test.labels)) == set(found.classes) else "balanced_accuracy"


def baseline_accuracy(train: Table, test: Table) -> float:
    """The share of the test rows that are of the most frequent class of the training rows, both by weight."""
    classes, codes = np.unique(train.labels, return_inverse=True)
    most_frequent = classes[np.bincount(codes, train.weights).argmax()]
    return float(np.average(test.labels == most_frequent, weights=test.weights))


def iterations_of(estimator: Any) -> Iterations | None:
    """The iterations of boosting and neural networks, the models that have a history; None of any other."""
    if not (hasattr(estimator, "staged_predict") or hasattr(estimator, "loss_curve_")):
        return None
    if hasattr(estimator, "n_estimators_"):
        return Iterations(int(estimator.n_estimators_), int(estimator.n_estimators))
    if hasattr(estimator, "n_iter_") and hasattr(estimator, "max_iter"):
        return Iterations(int(estimator.n_iter_), int(estimator.max_iter))
    return None


def _worst(model: Pipeline, train: Table, test: Table, found: Predictions, shown: Sequence[str], most: int) -> Worst:
    """The worst predictions, each with what moved it."""
    rows = worst_of(test, found, shown, most)
    features = test.features.loc[[row.row for row in rows]]
    names = list(map(str, features))
    moved = reasons_of(model, features, drawn(train.features, test.positive), test.task)
    reasons = strongest(moved, names, MAX_REASONS)
    return Worst(
        list(shown), [msgspec.structs.replace(row, reasons=own) for row, own in zip(rows, reasons, strict=True)]
    )


def _of_numbers(train: Table, test: Table, found: Predictions) -> OfNumbers:
    return OfNumbers(
        target=target_histogram(train.labels, test.labels),
        predicted=cloud_of(found.values, test.labels),
        residuals=cloud_of(found.values, test.labels - found.values),
    )


def _of_classes(train: Table, test: Table, found: Predictions, classes: np.ndarray) -> OfClasses:
    place = followed_classes(test.labels, found, 1)[0] if len(classes) == 2 else None
    given = found.probabilities
    return OfClasses(
        training_rows=class_counts(train.labels),
        positive=None if place is None else str(classes[place]),
        probabilities=given is not None,
        scores=None if place is None or given is None else scores_of(test.labels, given[:, place], classes[place]),
    )


def summary_of(found: Diagnosis) -> str:
    """What was found, in a line; of the subgroups, as the page has it, how many stand out from chance."""
    parts = [f"{len(found.learning)} sizes refitted", f"{len(found.dependence)} features varied"]
    if found.slices is not None:
        out, shown = sum(part.stands_out for part in found.slices.worst), len(found.slices.worst)
        parts.append(f"{found.slices.looked_at} subgroups looked at")
        parts += [f"{out} of the {shown} worst stand out"] if shown else []
    return ", ".join([*parts, f"{len(found.worst.rows) if found.worst else 0} worst rows"])


def execute(problem: Problem, args: argparse.Namespace, outputs: Outputs) -> None:
    settings = problem.section("diagnose", DiagnoseSettings)
    preprocess = problem.section("preprocess", PreprocessSettings)
    refit = with_best_trial(problem.section("train", TrainSettings), read_best_trial(args.best_trial))
    model = load_joblib(args.models / model_file_name(refit.model, refit.kind, refit.version))
    ranked = [row.feature for row in read_made_rows(args.importance, Ranked)]
    train, test = read_table(args.train, in_pieces=True), read_table(args.test)
    predictions = pd.read_parquet(args.predictions)
    pipeline = PipelineSettings(preprocess, refit, read_features(args.features))
    found = diagnose(model, train, test, predictions, ranked, settings, pipeline)
    logger.info("%s", summary_of(found))
    outputs.json(args.diagnosis, msgspec.to_builtins(found))


def main(argv: Sequence[str] | None = None) -> int:
    parser = stage_parser("diagnose", __doc__)
    parser.add_argument("--models", type=Path, required=True, metavar="FOLDER", help="the folder of the model")
    parser.add_argument("--train", type=Path, required=True, metavar="PARQUET", help="the raw training rows")
    parser.add_argument("--test", type=Path, required=True, metavar="PARQUET", help="the raw test rows")
    parser.add_argument("--predictions", type=Path, required=True, metavar="PARQUET", help="the predictions")
    parser.add_argument("--importance", type=Path, required=True, metavar="CSV", help="the importance of the features")
    parser.add_argument("--features", type=Path, metavar="PY", help="the user's own features (default: none)")
    parser.add_argument("--best-trial", type=Path, required=True, metavar="JSON", help="what the search chose")
    parser.add_argument("--diagnosis", type=Path, required=True, metavar="JSON", help="write the diagnosis here")
    add_used_code(parser, "estimators")
    return run_stage("diagnose", parser.parse_args(argv), execute)


if __name__ == "__main__":
    sys.exit(main())
